/* kind_values: conditions on single cells. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/pattern.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static bool has_ignore_case(const struct dqdl_rule *rule) {
	const char *value = check_tag(rule, "ignoreCase");
	return value && strcasecmp(value, "\"true\"") == 0;
}

/* Of lengths: that of an empty cell is measured, if it turns out to be a text. */
struct seen {
	bool is_length, has_empty;
};

static int start(DqdlEvaluator *evaluator, struct check *check) {
	struct seen *seen = check->own = calloc(1, sizeof *seen);
	if (!seen)
		return evaluator_out_of_memory();
	seen->is_length = check->rule->id == DQDL_COLUMN_LENGTH;
	struct predicate_options options = {
	        .now = evaluator->options.now,
	        .lengths = check->rule->id == DQDL_COLUMN_LENGTH,
	        .fold_case = has_ignore_case(check->rule),
	};
	int rc = predicate_new(check->condition, &options, &check->predicate);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	const struct dqdl_condition *condition = &check->rule->condition;
	check->fail_if_text = !condition->negated;
	return 0;
}

/* What has no length is taken as 0 long. */
static double misses_by(const struct check *check, double number) {
	const struct seen *seen = check->own;
	return predicate_misses_by(check->predicate, seen->is_length && number != number ? 0 : number);
}

static void note_empties(const DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells,
        size_t stride, size_t count) {
	struct seen *seen = check->own;
	for (size_t i = 0; seen->is_length && !seen->has_empty && i < count; i++)
		seen->has_empty = cell_presence_of(&evaluator->options.nulls, cells[i * stride]) == CELL_EMPTY;
}

/* A cell's verdict for the check, and the number that it is (NaN: none); `line` 0: for the row alone. */
static int take_verdict(
        DqdlEvaluator *evaluator, struct check *check, enum predicate_verdict verdict, double number, uint64_t line) {
	switch (verdict) {
	case PREDICATE_PASS:
		check->row = DQDL_ROW_PASSED;
		return 0;
	case PREDICATE_FAIL:
		check->row = DQDL_ROW_FAILED;
		if (!line)
			return 0;
		first_lines_add(&check->failing, line);
		if (predicate_finds_numbers(check->predicate))
			worst_lines_add(&check->worst, misses_by(check, number), line);
		return 0;
	case PREDICATE_PASS_IF_NULL:
	case PREDICATE_FAIL_IF_NULL:
		if (line)
			first_lines_add(&check->undecided, line);
		else
			check->row = empty_is_null(evaluator, check->columns, 1) == (verdict == PREDICATE_PASS_IF_NULL)
			                     ? DQDL_ROW_PASSED
			                     : DQDL_ROW_FAILED;
		return 0;
	case PREDICATE_OVER_LIMIT:
	default:
		check->row = DQDL_ROW_SKIPPED;
		if (!line)
			return 0;
		return check_settle(check, DQDL_ERROR,
		        "line %llu: the regular expression takes more than %u steps; write it without nested "
		        "repetition",
		        (unsigned long long)line, PATTERN_MATCH_LIMIT);
	}
}

static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct table_cell cell = cells[check->columns[0]];
	enum cell_presence presence = cell_presence_of(&evaluator->options.nulls, cell);
	double number = __builtin_nan("");
	enum predicate_verdict verdict = predicate_test(check->predicate, cell, presence, &number);
	if (line && number == number)
		check_measure(check, number);
	if (line)
		note_empties(evaluator, check, &cell, 1, 1);
	return take_verdict(evaluator, check, verdict, number, line);
}

enum { LOT = 256 };

/* Numbers that are none change nothing. */
static void measure(struct check *check, const double *numbers, size_t count) {
	double least = check->measured ? check->minimum : __builtin_inf();
	double greatest = check->measured ? check->maximum : -__builtin_inf();
	bool measured = false;
	for (size_t i = 0; i < count; i++) {
		least = numbers[i] < least ? numbers[i] : least;
		greatest = numbers[i] > greatest ? numbers[i] : greatest;
		measured |= numbers[i] == numbers[i];
	}
	check->measured |= measured;
	check->minimum = least;
	check->maximum = greatest;
}

/* Most pass, so eight are looked at at once. */
static int take_verdicts(DqdlEvaluator *evaluator, struct check *check, const uint8_t verdicts[static LOT],
        const double numbers[static LOT], const uint64_t *lines, size_t count) {
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0 && !check->settled; i++) {
		uint64_t eight;
		memcpy(&eight, verdicts + (i & ~(size_t)7), sizeof eight);
		if (eight == 0 && i % 8 == 0)
			i += 7;
		else if (verdicts[i] != PREDICATE_PASS)
			rc = take_verdict(evaluator, check, verdicts[i], numbers[i], lines[i]);
	}
	return rc;
}

static int feed_lot(
        DqdlEvaluator *evaluator, struct check *check, const struct table_rows *rows, size_t from, size_t count) {
	static_assert(PREDICATE_PASS == 0, "eight at once");
	uint8_t verdicts[LOT] = {0};
	double numbers[LOT];
	struct predicate_cells cells = {.first = rows_at(rows, from) + check->columns[0],
	        .stride = rows->columns,
	        .count = count,
	        .nulls = &evaluator->options.nulls};
	predicate_test_many(check->predicate, &cells, verdicts, numbers);
	note_empties(evaluator, check, cells.first, cells.stride, count);
	if (predicate_finds_numbers(check->predicate))
		measure(check, numbers, count);
	return take_verdicts(evaluator, check, verdicts, numbers, rows->lines + from, count);
}

static int feed_rows(DqdlEvaluator *evaluator, struct check *check, const struct table_rows *rows) {
	int rc = 0;
	for (size_t i = 0; i < rows->count && rc == 0 && !check->settled; i += LOT)
		rc = feed_lot(evaluator, check, rows, i, rows->count - i < LOT ? rows->count - i : LOT);
	return rc;
}

/* The metrics a condition is told by: the least or greatest number for comparisons, else the share that conforms, whose
 * name is given (NULL: not told). */
static int add_extremes(struct check *check, const char **ret_share) {
	const struct dqdl_condition *condition = &check->rule->condition;
	bool lengths = check->rule->id == DQDL_COLUMN_LENGTH;
	bool equal = condition->op == DQDL_EQUAL && condition->operands[0].form == DQDL_OPERAND_NUMBER &&
	             (lengths || !condition->negated);
	bool looks_back = condition->op == DQDL_BETWEEN && dqdl_condition_depth(condition) > 0; /* on both */
	bool both = equal || looks_back || (lengths && condition->op == DQDL_BETWEEN && !condition->negated);
	bool number = condition->kind == DQDL_CONDITION_NUMBER;
	bool least = number && (both || condition->op == DQDL_GREATER || condition->op == DQDL_GREATER_EQUAL);
	bool greatest = number && (both || condition->op == DQDL_LESS || condition->op == DQDL_LESS_EQUAL);
	const char *share_name = lengths                         ? "LengthCompliance"
	                         : condition->op == DQDL_MATCHES ? "PatternMatch"
	                                                         : "ColumnValues.Compliance";
	int rc = 0;
	if (least && check->measured)
		rc = check_add_metric(check, lengths ? "MinimumLength" : "Minimum", check->minimum);
	if (rc == 0 && greatest && check->measured)
		rc = check_add_metric(check, lengths ? "MaximumLength" : "Maximum", check->maximum);
	bool shown = (!least && !greatest) || check->rule->threshold.kind != DQDL_CONDITION_NONE;
	*ret_share = shown ? share_name : NULL;
	return rc;
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	const struct seen *seen = check->own;
	const char *share;
	if (seen->has_empty && !empty_is_null(evaluator, check->columns, 1))
		check_measure(check, 0);
	int rc = add_extremes(check, &share);
	return rc < 0 ? rc : check_settle_rows(evaluator, check, share);
}

const struct check_kind kind_column_values = {
        .row_level = true, .start = start, .row = feed, .rows = feed_rows, .finish = finish};
const struct check_kind kind_column_length = {
        .row_level = true, .start = start, .row = feed, .rows = feed_rows, .finish = finish};
