/* privacy_text: what personal data a check has found, as a person wants to read it. */
#pragma once

#include "policy/check.h"

#include <stdio.h>

/* A line for each finding, indented; nothing where nobody asked, or nothing was looked at. */
void privacy_text_put(FILE *to, const struct check_result *check);
