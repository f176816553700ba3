/* check_rules: a table held against its ruleset, for check.c: CSV reader on one side, DQDL evaluator on the other. */
#pragma once

#include "policy/check.h"

check_function check_rules;
