/* check_sample: what a table's columns hold, told by the rows in its first bytes, for SQL in rules; for check_rules.c.
 */
#pragma once

#include "policy/check.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/peek.h"
#include "policy/table/table.h"

/*
 * Where the rules ask SQL, reads the source's head into `peek` and shows the evaluator the rows that are whole in it;
 * *ret_source is the source from its first byte on, as long as `peek`. What can't be read in the head is found again,
 * and told, when the table is. -ENOMEM, or the source's own error.
 */
int check_sample(struct table_source source, const struct table_options *options, DqdlEvaluator *evaluator,
        struct peek *peek, struct table_source *ret_source);

/* Warns of cells that SQL took as NULL, since whoever counts on them would miss them. */
int check_sample_warn(const DqdlEvaluator *evaluator, const TableReader *reader, struct check_result *result);
