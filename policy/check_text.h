/* check_text: a file that is no table, held against what its dataset says of personal data; for check.c. */
#pragma once

#include "policy/check.h"

/* As text, in UTF-8 or windows-1252. What is neither (a NUL byte) is an `error`: a binary file that claims no format
 * can't be searched, so it does not pass. */
check_function check_text;
