/* kind_values: conditions on single cells. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/pattern.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

static bool has_ignore_case(const struct dqdl_rule *rule) {
	const char *value = check_tag(rule, "ignoreCase");
	return value && strcasecmp(value, "\"true\"") == 0;
}

static int start(DqdlEvaluator *evaluator, struct check *check) {
	struct predicate_options options = {
	        .now = evaluator->options.now,
	        .lengths = check->rule->id == DQDL_COLUMN_LENGTH,
	        .fold_case = has_ignore_case(check->rule),
	        .no_jit = evaluator->options.no_jit,
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

static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct table_cell cell = cells[check->columns[0]];
	enum cell_presence presence = cell_presence_of(&evaluator->options.nulls, cell);
	double none = __builtin_nan("");
	double number = none;
	enum predicate_verdict verdict = predicate_test(check->predicate, cell, presence, &number);
	if (line && number == number)
		check_measure(check, number);
	switch (verdict) {
	case PREDICATE_PASS:
		check->row = DQDL_ROW_PASSED;
		return 0;
	case PREDICATE_FAIL:
		check->row = DQDL_ROW_FAILED;
		if (line)
			first_lines_add(&check->failing, line);
		return 0;
	case PREDICATE_PASS_IF_NULL:
	case PREDICATE_FAIL_IF_NULL:
		check->row = empty_is_null(evaluator, check->columns, 1) == (verdict == PREDICATE_PASS_IF_NULL)
		                     ? DQDL_ROW_PASSED
		                     : DQDL_ROW_FAILED;
		if (line)
			first_lines_add(&check->undecided, line);
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
	const char *share;
	int rc = add_extremes(check, &share);
	return rc < 0 ? rc : check_settle_rows(evaluator, check, share);
}

const struct check_kind kind_column_values = {.row_level = true, .start = start, .row = feed, .finish = finish};
const struct check_kind kind_column_length = {.row_level = true, .start = start, .row = feed, .finish = finish};
