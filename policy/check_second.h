/*
 * check_second: a table's second reading, when all that the first one told is known: which rows are not to be
 * published, and which places of the others otherwise. For check_rules.c.
 *
 *     failed, may be split    rows that break a rule, or hold what is refused ──▶ withheld
 *     passed, privacy acts    rows that are dropped ──▶ withheld, without a reason; places ──▶ edits
 *
 * Rows are judged by all that the first reading told (which value came twice, what an empty cell means). A file fails
 * whole, and its reason says why, when a rule failed that says nothing of single rows (aggregates never split), when no
 * row passed, when no row broke a rule by itself, when its rows are not bytes of the file (packed, or in another
 * encoding), or past the limits of row_list.h. Rows that `keep` drops are listed, too, without a reason. What can't be
 * published otherwise for such a cause, though it would have to be, is an `error`.
 */
#pragma once

#include "policy/check_privacy.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/table.h"

/* Reads the input again, where there is something to find; `privacy` may be NULL. */
int check_second(const struct check_job *job, struct check_input *input, const struct table_options *options,
        DqdlEvaluator *evaluator, CheckPrivacy *privacy, struct check_result *result);
