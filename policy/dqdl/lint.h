/*
 * lint: what no table can mend: rules that are an error, or fail, whatever file they are held against. For whoever puts
 * rules in force.
 *
 *     a regular expression that does not compile; a function that there is not; last(3) where one number is wanted;
 *     DetectAnomalies of nothing that is measured; SQL that does not parse, or calls a function that there is not
 *
 * The rules are made ready for a table that has every column they name and a history as long as they ask for; what
 * can't be made ready then never can.
 */
#pragma once

#include "policy/dqdl/dqdl.h"

/* `keep`: the dataset's own filter, or NULL. -EINVAL: *ret_at says which rule and why (line 0: the filter); -ENOMEM. */
int dqdl_lint(const Ruleset *ruleset, const char *keep, struct dqdl_diagnostic *ret_at);
