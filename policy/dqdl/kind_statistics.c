/*
 * kind_statistics: what a column's values come to, with no condition on any: the analyzers ColumnValues, ColumnLength
 * and AllStatistics.
 *
 * A column whose values are all numbers has statistics of numbers, any other of lengths, as in Glue.
 */
#include "policy/dqdl/evaluator.h"

#include "policy/table/utf8.h"

#include <stdlib.h>

struct statistics {
	struct numbers numbers;
	uint64_t values, nulls, empties, others; /* others: values that are no numbers */
	double shortest, longest;                /* in code points, over `values` */
};

static int start(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	check->own = calloc(1, sizeof(struct statistics));
	return check->own ? 0 : evaluator_out_of_memory();
}

static int start_all(DqdlEvaluator *evaluator, struct check *check) {
	int rc = start(evaluator, check);
	return rc < 0 ? rc : tuple_for(evaluator, check);
}

static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct statistics *all = check->own;
	struct table_cell cell = cells[check->columns[0]];
	enum cell_presence presence = cell_presence_of(&evaluator->options.nulls, cell);
	double number;
	(void)line;
	all->nulls += presence == CELL_NULL;
	all->empties += presence == CELL_EMPTY;
	if (presence != CELL_VALUE)
		return 0;
	double length = (double)utf8_length(cell.data, cell.size);
	if (all->values == 0 || length < all->shortest)
		all->shortest = length;
	if (all->values == 0 || length > all->longest)
		all->longest = length;
	all->values++;
	if (cell_number(cell, &number))
		numbers_add(&all->numbers, number);
	else
		all->others++;
	return 0;
}

static bool is_numeric(const struct statistics *all) {
	return all->numbers.count > 0 && all->others == 0;
}

/* Empty texts are values, too, where they are no NULL. */
static int add_lengths(const DqdlEvaluator *evaluator, struct check *check) {
	const struct statistics *all = check->own;
	bool has_empty = all->empties > 0 && !empty_is_null(evaluator, check->columns, 1);
	if (all->values == 0 && !has_empty)
		return check_settle(check, DQDL_FAILED, "there is not one value, so that there is nothing to measure");
	int rc = check_add_metric(check, "MinimumLength", has_empty ? 0 : all->shortest);
	return rc < 0 ? rc : check_add_metric(check, "MaximumLength", all->longest);
}

static int add_extremes(struct check *check) {
	const struct statistics *all = check->own;
	int rc = check_add_metric(check, "Minimum", all->numbers.least);
	return rc < 0 ? rc : check_add_metric(check, "Maximum", all->numbers.greatest);
}

static int finish_extremes(DqdlEvaluator *evaluator, struct check *check) {
	bool numeric = check->rule->id == DQDL_COLUMN_VALUES && is_numeric(check->own);
	int rc = numeric ? add_extremes(check) : add_lengths(evaluator, check);
	return rc < 0 || check->settled ? rc : check_pass(check);
}

const struct check_kind kind_extremes = {
        .asks_kind = true, .measures = true, .start = start, .row = feed, .finish = finish_extremes};

/* ---- AllStatistics ---- */

static int add_metrics(struct check *check, const struct dqdl_metric *metrics, size_t count) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = check_add_metric(check, metrics[i].name, metrics[i].value);
	return rc;
}

static int add_shares(const DqdlEvaluator *evaluator, struct check *check) {
	uint64_t rows = check->filter->rows, nulls = 0;
	struct distinct_totals values = tuple_totals(evaluator, check->tuple, &nulls);
	const struct dqdl_metric metrics[] = {
	        {"Completeness", (double)(rows - nulls) / (double)rows},
	        {"DistinctValuesCount", (double)(values.values + (nulls > 0))},
	        {"Uniqueness", (double)values.once / (double)values.total},
	        {"UniqueValueRatio", (double)values.once / (double)values.values},
	        {"Entropy", values.total > 0 ? distinct_entropy(&values) : 0},
	};
	if (rows == 0)
		return 0;
	return add_metrics(check, metrics, values.total > 0 ? sizeof metrics / sizeof *metrics : 2);
}

static int add_numbers(struct check *check) {
	const struct statistics *all = check->own;
	const struct dqdl_metric metrics[] = {
	        {"Mean", numbers_metric(DQDL_MEAN, &all->numbers)},
	        {"Sum", numbers_metric(DQDL_SUM, &all->numbers)},
	        {"StandardDeviation", numbers_metric(DQDL_STANDARD_DEVIATION, &all->numbers)},
	        {"Variance", numbers_metric(DQDL_VARIANCE, &all->numbers)},
	        {"Range", numbers_metric(DQDL_RANGE, &all->numbers)},
	};
	int rc = add_extremes(check);
	return rc < 0 ? rc : add_metrics(check, metrics, sizeof metrics / sizeof *metrics);
}

static int finish_all(DqdlEvaluator *evaluator, struct check *check) {
	int rc = 0;
	if (tuple_settle_stopped(check, &rc))
		return rc;
	if ((rc = check_add_named_metric(check, "Dataset.*.RowCount", (double)check->filter->rows)) < 0 ||
	        (rc = check_add_named_metric(check, "Dataset.*.ColumnCount", (double)evaluator->column_count)) < 0 ||
	        (rc = add_shares(evaluator, check)) < 0)
		return rc;
	rc = is_numeric(check->own) ? add_numbers(check) : add_lengths(evaluator, check);
	return rc < 0 || check->settled ? rc : check_pass(check);
}

const struct check_kind kind_all_statistics = {
        .asks_kind = true, .measures = true, .start = start_all, .row = feed, .finish = finish_all};
