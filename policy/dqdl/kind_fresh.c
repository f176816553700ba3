/* kind_fresh: DataFreshness, how long ago the times of a column were. */
#include "policy/dqdl/evaluator.h"

#include <math.h>
#include <stdlib.h>

/* The operands of a duration condition in hours. */
static double hours_of(const struct dqdl_operand *operand) {
	double amount = (double)operand->amount;
	return operand->unit == DQDL_DAYS ? amount * 24 : operand->unit == DQDL_HOURS ? amount : amount / 60;
}

static bool holds(const struct dqdl_condition *condition, double hours) {
	const struct dqdl_operand *operands = condition->operands;
	bool found = false;
	switch (condition->op) {
	case DQDL_BETWEEN:
		found = hours > hours_of(&operands[0]) && hours < hours_of(&operands[1]);
		break;
	case DQDL_GREATER:
		found = hours > hours_of(&operands[0]);
		break;
	case DQDL_GREATER_EQUAL:
		found = hours >= hours_of(&operands[0]);
		break;
	case DQDL_LESS:
		found = hours < hours_of(&operands[0]);
		break;
	case DQDL_LESS_EQUAL:
		found = hours <= hours_of(&operands[0]);
		break;
	case DQDL_EQUAL:
	case DQDL_IN:
	case DQDL_MATCHES:
	default:
		for (size_t i = 0; i < condition->operand_count; i++)
			found |= hours == hours_of(&operands[i]);
	}
	return found != condition->negated;
}

/* Rounded to two digits, as Glue compares it. What has no time, or one that can't be read, is not fresh. */
static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct table_cell cell = cells[check->columns[0]];
	int64_t seconds = 0;
	bool fresh = false;
	if (cell_presence_of(&evaluator->options.nulls, cell) == CELL_VALUE && cell_time(cell, &seconds)) {
		double hours = round((double)(evaluator->options.now - seconds) / 36.0) / 100.0;
		fresh = holds(&check->rule->condition, hours);
		if (line)
			check_measure(check, hours);
	}
	check->row = fresh ? DQDL_ROW_PASSED : DQDL_ROW_FAILED;
	if (!fresh && line)
		first_lines_add(&check->failing, line);
	return 0;
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	int rc = check->measured ? check_add_metric(check, "DataFreshness.MaximumHours", check->maximum) : 0;
	return rc < 0 ? rc : check_settle_rows(evaluator, check, "DataFreshness.Compliance");
}

const struct check_kind kind_data_freshness = {.row_level = true, .row = feed, .finish = finish};
