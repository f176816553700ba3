/* check_rules: a table held against its ruleset, for check.c: table reader on one side, DQDL evaluator on the other. */
#pragma once

#include "policy/check.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/table.h"

check_function check_rules;

/*
 * check_split.c: of a table that failed, the rows that are to be withheld: those that break any rule on rows. Reads the
 * input again, with the rows judged by all that the first reading told (which value came twice, what an empty cell
 * means). They become the result's `withheld`.
 *
 * It fails whole, and its reason says why, when a rule failed that says nothing of single rows (aggregates never
 * split), when no row passed, when no row broke a rule by itself, when its rows are not bytes of the file (packed, or
 * in another encoding), or past the limits of row_list.h. Rows that `keep` drops are listed, too, with no rule. Nothing
 * is done for a table that passed or could not be decided, or an input that can't be read again.
 */
int check_split(struct check_input *input, const struct table_options *options, DqdlEvaluator *evaluator,
        struct check_result *result);
