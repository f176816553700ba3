/*
 * kind_numbers: what the numbers of a column come to. NULL is left out; a text that is no number fails the rule, as it
 * would make the column no column of numbers for Glue. Deviation and variance are those of the whole population.
 *
 * Mean and variance: Welford, "Note on a method for calculating corrected sums of squares and products" (1962), in
 * extended precision; the correlation by the same method for products. The sum is kept beside, exact to 64 bits.
 */
#include "policy/dqdl/evaluator.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static int start_numbers(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	check->own = calloc(1, sizeof(struct numbers));
	return check->own ? 0 : evaluator_out_of_memory();
}

void numbers_add(struct numbers *numbers, double value) {
	if (numbers->count == 0 || value < numbers->least)
		numbers->least = value;
	if (numbers->count == 0 || value > numbers->greatest)
		numbers->greatest = value;
	numbers->count++;
	numbers->sum += value;
	long double away = value - numbers->mean;
	numbers->mean += away / (long double)numbers->count;
	numbers->squares += away * (value - numbers->mean);
}

static int feed_numbers(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct numbers *numbers = check->own;
	struct table_cell cell = cells[check->columns[0]];
	double value;
	if (cell_presence_of(&evaluator->options.nulls, cell) != CELL_VALUE)
		return 0;
	if (cell_number(cell, &value))
		numbers_add(numbers, value);
	else if (!numbers->other_line)
		numbers->other_line = line;
	return 0;
}

/* Settles a rule for which there is no metric; false: there is one. */
static bool is_without(struct check *check, uint64_t other_line, uint64_t count, int *ret_rc) {
	const char *type = check->rule->type;
	if (other_line)
		*ret_rc = check_settle(check, DQDL_FAILED,
		        "line %" PRIu64 " has a text that is no number, so that there is no %s", other_line, type);
	else if (count == 0)
		*ret_rc = check_settle(check, DQDL_FAILED, "there is not one number, so that there is no %s", type);
	return other_line || count == 0;
}

double numbers_metric(enum dqdl_rule_id id, const struct numbers *numbers) {
	long double variance = numbers->squares / (long double)numbers->count;
	switch ((int)id) {
	case DQDL_SUM:
		return (double)numbers->sum;
	case DQDL_MEAN:
		return (double)(numbers->sum / (long double)numbers->count);
	case DQDL_VARIANCE:
		return (double)variance;
	case DQDL_STANDARD_DEVIATION:
		return (double)sqrtl(variance);
	case DQDL_RANGE:
	default:
		return numbers->greatest - numbers->least;
	}
}

static int finish_numbers(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	const struct numbers *numbers = check->own;
	int rc = 0;
	if (is_without(check, numbers->other_line, numbers->count, &rc))
		return rc;
	return check_settle_metric(check, check->rule->type, numbers_metric(check->rule->id, numbers));
}

const struct check_kind kind_numbers = {
        .measures = true, .start = start_numbers, .row = feed_numbers, .finish = finish_numbers};

/* ---- of two columns ---- */

struct pairs {
	uint64_t count, other_line;
	long double mean[2], squares[2], products;
};

static int start_pairs(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	check->own = calloc(1, sizeof(struct pairs));
	return check->own ? 0 : evaluator_out_of_memory();
}

static void add_pair(struct pairs *pairs, const double value[static 2]) {
	long double n = (long double)++pairs->count;
	long double away = value[0] - pairs->mean[0];
	for (size_t i = 0; i < 2; i++) {
		long double before = value[i] - pairs->mean[i];
		pairs->mean[i] += before / n;
		pairs->squares[i] += before * (value[i] - pairs->mean[i]);
	}
	pairs->products += away * (value[1] - pairs->mean[1]);
}

/* A row with NULL on either side is left out. */
static int feed_pairs(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct pairs *pairs = check->own;
	double value[2] = {0};
	for (size_t i = 0; i < 2; i++) {
		struct table_cell cell = cells[check->columns[i]];
		if (cell_presence_of(&evaluator->options.nulls, cell) != CELL_VALUE)
			return 0;
		if (!cell_number(cell, &value[i])) {
			pairs->other_line = pairs->other_line ? pairs->other_line : line;
			return 0;
		}
	}
	add_pair(pairs, value);
	return 0;
}

/* Of a column that is the same everywhere there is none: NaN, which meets no condition. */
static int finish_pairs(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	const struct pairs *pairs = check->own;
	int rc = 0;
	if (is_without(check, pairs->other_line, pairs->count, &rc))
		return rc;
	return check_settle_metric(
	        check, "ColumnCorrelation", (double)(pairs->products / sqrtl(pairs->squares[0] * pairs->squares[1])));
}

const struct check_kind kind_correlation = {
        .measures = true, .start = start_pairs, .row = feed_pairs, .finish = finish_pairs};
