/*
 * check_hide: numbers that would tell what stands in a column in which personal data was found. For check_rules.c.
 *
 *     Column.phone.Minimum = 6045550142        a telephone number
 *
 * Shares, counts and lengths stay; the least, greatest, average and summed up number go, what is computed of such, and
 * what a statement of SQL or a comparison of sums came to where anything was found in the file. A reason that may have
 * such a number says that it is not told.
 */
#pragma once

#include "policy/check.h"

/* At the end. Columns are those of findings and those that the policy treats as a whole; all, where it did not come to
 * findings as the rules were an error. -ENOMEM. */
int check_hide_numbers(const struct privacy *privacy, struct check_result *result);
