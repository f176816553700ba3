/* kind_table: rules about the table as a whole. */
#include "policy/dqdl/evaluator.h"

static int finish_row_count(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	return check_settle_metric(check, "RowCount", (double)check->filter->rows);
}
const struct check_kind kind_row_count = {.columns = KIND_COLUMNS_NONE, .measures = true, .finish = finish_row_count};

static int finish_column_count(DqdlEvaluator *evaluator, struct check *check) {
	return check_settle_metric(check, "ColumnCount", (double)evaluator->column_count);
}
const struct check_kind kind_column_count = {
        .columns = KIND_COLUMNS_NONE, .measures = true, .finish = finish_column_count};

/* Had it been missing, the check would be settled. */
static int finish_column_exists(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	return check_pass(check);
}
const struct check_kind kind_column_exists = {.finish = finish_column_exists};
