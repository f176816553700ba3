/* kind_fresh: DataFreshness, how long ago the times of a column were. */
#include "policy/dqdl/compare.h"
#include "policy/dqdl/evaluator.h"

#include <math.h>
#include <stdlib.h>

static double hours_of(const struct dqdl_operand *operand) {
	double amount = (double)operand->amount;
	return operand->unit == DQDL_DAYS ? amount * 24 : operand->unit == DQDL_HOURS ? amount : amount / 60;
}

/* The check's own: the condition's operands in hours. */
static int start(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	const struct dqdl_condition *condition = &check->rule->condition;
	double *hours = check->own = calloc(condition->operand_count + 2, sizeof *hours);
	if (!hours)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < condition->operand_count; i++)
		hours[i] = hours_of(&condition->operands[i]);
	return 0;
}

static bool is_fresh(const struct check *check, double hours) {
	const struct dqdl_condition *condition = &check->rule->condition;
	return dqdl_compare(condition->op, check->own, condition->operand_count, hours) != condition->negated;
}

/* Rounded to two digits, as Glue compares it. What has no time, or one that can't be read, is not fresh. */
static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct table_cell cell = cells[check->columns[0]];
	int64_t seconds = 0;
	double hours = __builtin_nan("");
	bool fresh = false;
	if (cell_presence_of(&evaluator->options.nulls, cell) == CELL_VALUE && cell_time(cell, &seconds)) {
		hours = round((double)(evaluator->options.now - seconds) / 36.0) / 100.0;
		fresh = is_fresh(check, hours);
		if (line)
			check_measure(check, hours);
	}
	check->row = fresh ? DQDL_ROW_PASSED : DQDL_ROW_FAILED;
	if (fresh || !line)
		return 0;
	first_lines_add(&check->failing, line);
	worst_lines_add(&check->worst, dqdl_distance(check->own, check->rule->condition.operand_count, hours), line);
	return 0;
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	int rc = check->measured ? check_add_metric(check, "DataFreshness.MaximumHours", check->maximum) : 0;
	return rc < 0 ? rc : check_settle_rows(evaluator, check, "DataFreshness.Compliance");
}

const struct check_kind kind_data_freshness = {.row_level = true, .start = start, .row = feed, .finish = finish};
