/* check_rules: a table held against its ruleset, for check.c: table reader on one side, DQDL evaluator on the other. */
#pragma once

#include "policy/check.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/table.h"

check_function check_rules;
