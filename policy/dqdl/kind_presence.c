/* kind_presence: which cells have a value at all. */
#include "policy/dqdl/evaluator.h"

#include <inttypes.h>
#include <stdio.h>

static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	enum cell_presence presence = cell_presence_of(&evaluator->options.nulls, cells[check->columns[0]]);
	check->row = DQDL_ROW_PASSED;
	if (presence == CELL_VALUE)
		return 0;
	if (line)
		first_lines_add(presence == CELL_NULL ? &check->failing : &check->undecided, line);
	else if (presence == CELL_NULL || empty_is_null(evaluator, check->columns, 1))
		check->row = DQDL_ROW_FAILED;
	return 0;
}

static int feed_rows(DqdlEvaluator *evaluator, struct check *check, const struct table_rows *rows) {
	const struct dqdl_nulls *nulls = &evaluator->options.nulls;
	for (size_t i = 0; i < rows->count; i++)
		if (cell_presence_of(nulls, rows_at(rows, i)[check->columns[0]]) != CELL_VALUE)
			(void)feed(evaluator, check, rows_at(rows, i), rows->lines[i]);
	return 0;
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	check_count_failing(evaluator, check);
	if (check->filter->rows == 0)
		return check_settle(check, DQDL_FAILED, "the table has no rows, so that there is no Completeness");
	double value = (double)(check->filter->rows - check->failing_rows) / (double)check->filter->rows;
	if (check->rule->id == DQDL_COMPLETENESS)
		return check_settle_metric(check, "Completeness", value);
	int rc = check_add_metric(check, "Completeness", value);
	if (rc < 0 || check->failing_rows == 0)
		return rc < 0 ? rc : check_pass(check);
	char number[32];
	char reason[200];
	number_text(value, number);
	(void)snprintf(reason, sizeof reason, "%" PRIu64 " of %" PRIu64 " rows have no value (Completeness is %s)",
	        check->failing_rows, check->filter->rows, number);
	return check_fail_with_lines(check, reason);
}

const struct check_kind kind_completeness = {
        .asks_kind = true, .measures = true, .row = feed, .rows = feed_rows, .finish = finish};
const struct check_kind kind_is_complete = {
        .row_level = true, .asks_kind = true, .row = feed, .rows = feed_rows, .finish = finish};
