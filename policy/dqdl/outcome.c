/* outcome: metrics, results and reasons, when all rows have been seen. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int out_of_memory(void) {
	return fault(ENOMEM, "out of memory while evaluating rules");
}

/* A number as a person would write it: six digits, more where it would else look like a rounder one that it is not
 * (0.9999999 is no 1). */
static void number_text(double value, char ret_text[static 32]) {
	for (int digits = 6; digits <= 17; digits++) {
		char rounder[32];
		(void)snprintf(ret_text, 32, "%.*g", digits, value);
		(void)snprintf(rounder, sizeof rounder, "%.*g", digits - 2, value);
		double shown = strtod(ret_text, NULL), round = strtod(rounder, NULL);
		if (shown == value || shown < round || shown > round)
			return;
	}
}

/* Adds SUBJECT.NAME to a check's metrics, the subject being the table, a column or columns as the rule names them. */
static int add_metric(struct check *check, const char *name, double value) {
	const struct dqdl_rule *rule = check->rule;
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return out_of_memory();
	bool several =
	        rule->parameter_count > 1 || (rule->id == DQDL_DUPLICATE_ROW_COUNT && rule->parameter_count == 1);
	(void)fputs(rule->parameter_count == 0 ? "Dataset.*" : several ? "Multicolumn." : "Column.", out);
	for (size_t i = 0; i < rule->parameter_count; i++)
		(void)fprintf(out, "%s%s", i ? "," : "", rule->parameters[i].value);
	(void)fprintf(out, ".%s", name);
	if (fclose(out) != 0)
		return out_of_memory();
	check->metrics[check->metric_count++] = (struct dqdl_metric){.name = steal_pointer(&text), .value = value};
	return 0;
}

static int settle(struct check *check, enum dqdl_result result) {
	check->result = result;
	check->settled = true;
	return 0;
}

/* Holds one metric against the rule's condition. */
static int settle_metric(struct check *check, const char *name, double value) {
	bool holds = false;
	int rc = add_metric(check, name, value);
	if (rc < 0)
		return rc;
	if (dqdl_condition_holds(&check->rule->condition, value, &holds) < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	if (holds)
		return settle(check, DQDL_PASSED);
	char number[32];
	number_text(value, number);
	_cleanup_(freep) char *wanted = dqdl_condition_text(&check->rule->condition);
	if (!wanted)
		return out_of_memory();
	return check_settle(check, DQDL_FAILED, "%s is %s; the rule wants %s", name, number, wanted);
}

/* Merges two ascending lists into the check's first failing lines. */
static void merge_lines(struct check *check, const struct first_lines *a, const struct first_lines *b) {
	size_t i = 0;
	size_t j = 0;
	size_t a_count = a->count < DQDL_FAILING_LINES ? a->count : DQDL_FAILING_LINES;
	size_t b_count = b->count < DQDL_FAILING_LINES ? b->count : DQDL_FAILING_LINES;
	while (check->line_count < DQDL_FAILING_LINES && (i < a_count || j < b_count)) {
		bool first = j == b_count || (i < a_count && a->lines[i] <= b->lines[j]);
		check->lines[check->line_count++] = first ? a->lines[i++] : b->lines[j++];
	}
}

/* ": first on lines 3, 9, …" behind a reason. */
static int settle_with_lines(struct check *check, const char *reason) {
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return out_of_memory();
	(void)fputs(reason, out);
	for (size_t i = 0; i < check->line_count; i++)
		(void)fprintf(out, "%s%" PRIu64,
		        i == 0 ? check->line_count > 1 ? "; first on lines " : "; on line " : ", ", check->lines[i]);
	if (fclose(out) != 0)
		return out_of_memory();
	return check_settle(check, DQDL_FAILED, "%s", text);
}

static void count_failing(const DqdlEvaluator *evaluator, struct check *check) {
	static const struct first_lines nothing;
	bool null = check->undecided.count && empty_is_null(evaluator, check->columns, check->column_count);
	bool undecided_fail = check->undecided.count && null != check->fail_if_text;
	check->failing_rows = check->failing.count + (undecided_fail ? check->undecided.count : 0);
	merge_lines(check, &check->failing, undecided_fail ? &check->undecided : &nothing);
}

static int finish_completeness(const DqdlEvaluator *evaluator, struct check *check) {
	count_failing(evaluator, check);
	if (evaluator->rows == 0)
		return check_settle(check, DQDL_FAILED, "the table has no rows, so that there is no Completeness");
	double value = (double)(evaluator->rows - check->failing_rows) / (double)evaluator->rows;
	if (check->rule->id == DQDL_COMPLETENESS)
		return settle_metric(check, "Completeness", value);
	int rc = add_metric(check, "Completeness", value);
	if (rc < 0 || check->failing_rows == 0)
		return rc < 0 ? rc : settle(check, DQDL_PASSED);
	char number[32];
	char reason[200];
	number_text(value, number);
	(void)snprintf(reason, sizeof reason, "%" PRIu64 " of %" PRIu64 " rows have no value (Completeness is %s)",
	        check->failing_rows, evaluator->rows, number);
	return settle_with_lines(check, reason);
}

/* The metrics a condition is told by: the least or greatest number for comparisons, else the share that conforms. */
static int row_metrics(const DqdlEvaluator *evaluator, struct check *check, double share) {
	const struct dqdl_condition *condition = &check->rule->condition;
	bool lengths = check->rule->id == DQDL_COLUMN_LENGTH;
	bool equal = condition->op == DQDL_EQUAL && condition->operands[0].form == DQDL_OPERAND_NUMBER &&
	             (lengths || !condition->negated);
	bool both = equal || (lengths && condition->op == DQDL_BETWEEN && !condition->negated);
	bool number = condition->kind == DQDL_CONDITION_NUMBER;
	bool least = number && (both || condition->op == DQDL_GREATER || condition->op == DQDL_GREATER_EQUAL);
	bool greatest = number && (both || condition->op == DQDL_LESS || condition->op == DQDL_LESS_EQUAL);
	const char *share_name = lengths                         ? "LengthCompliance"
	                         : condition->op == DQDL_MATCHES ? "PatternMatch"
	                                                         : "ColumnValues.Compliance";
	int rc = 0;
	if (least && check->measured)
		rc = add_metric(check, lengths ? "MinimumLength" : "Minimum", check->minimum);
	if (rc == 0 && greatest && check->measured)
		rc = add_metric(check, lengths ? "MaximumLength" : "Maximum", check->maximum);
	bool shown = (!least && !greatest) || check->rule->threshold.kind != DQDL_CONDITION_NONE;
	if (rc == 0 && shown && evaluator->rows > 0)
		rc = add_metric(check, share_name, share);
	return rc;
}

static int finish_rows(const DqdlEvaluator *evaluator, struct check *check) {
	count_failing(evaluator, check);
	uint64_t rows = evaluator->rows;
	double share = rows ? (double)(rows - check->failing_rows) / (double)rows : 1;
	bool holds = check->failing_rows == 0;
	int rc = row_metrics(evaluator, check, share);
	if (rc < 0)
		return rc;
	if (rows == 0)
		return check_settle(check, DQDL_PASSED, "the table has no rows");
	const struct dqdl_condition *threshold = &check->rule->threshold;
	if (threshold->kind != DQDL_CONDITION_NONE && dqdl_condition_holds(threshold, share, &holds) < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	if (holds)
		return settle(check, DQDL_PASSED);
	_cleanup_(freep) char *wanted = dqdl_condition_text(threshold);
	if (!wanted)
		return out_of_memory();
	char number[32];
	char reason[400];
	number_text(share, number);
	(void)snprintf(reason, sizeof reason,
	        "%" PRIu64 " of %" PRIu64 " rows do not conform (%s do; the rule wants %.100s)", check->failing_rows,
	        rows, number, wanted[0] ? wanted : "all");
	return settle_with_lines(check, reason);
}

static int finish_unique(struct check *check, const struct distinct_summary *summary, double uniqueness) {
	static const struct first_lines nothing;
	int rc = add_metric(check, "Uniqueness", uniqueness);
	check->failing_rows = summary->duplicated;
	if (rc < 0 || summary->duplicated == 0)
		return rc < 0 ? rc : settle(check, DQDL_PASSED);
	char number[32];
	char reason[200];
	number_text(uniqueness, number);
	merge_lines(check, &check->tuple->repeats, &nothing);
	(void)snprintf(reason, sizeof reason,
	        "%" PRIu64 " rows share their value with another (Uniqueness is %s); a value comes again",
	        summary->duplicated, number);
	return settle_with_lines(check, reason);
}

static int finish_tuple(const DqdlEvaluator *evaluator, struct check *check) {
	const struct tuple *tuple = check->tuple;
	if (tuple->stopped)
		return check_settle(check, DQDL_ERROR,
		        "too many different values: counting them needs more than the limit of %zu bytes of memory",
		        evaluator->budget.limit);
	bool null = tuple->empties && empty_is_null(evaluator, tuple->columns, tuple->column_count);
	uint64_t nulls = tuple->nulls + (null ? tuple->empties : 0);
	struct distinct_summary summary = distinct_summarize(tuple->distinct, null ? 0 : tuple->empties);
	enum dqdl_rule_id id = check->rule->id;
	if (id == DQDL_DISTINCT_VALUES_COUNT)
		return settle_metric(check, "DistinctValuesCount", (double)(summary.values + (nulls > 0)));
	if (id == DQDL_DUPLICATE_ROW_COUNT)
		return settle_metric(check, "DuplicateRowCount", (double)summary.duplicated);
	if (summary.total == 0)
		return check_settle(check, DQDL_FAILED, "there is not one value, so that there is no %s to tell",
		        check->rule->type);
	double uniqueness = (double)summary.once / (double)summary.total;
	if (id == DQDL_UNIQUE_VALUE_RATIO)
		return settle_metric(check, "UniqueValueRatio", (double)summary.once / (double)summary.values);
	if (id == DQDL_ENTROPY)
		return settle_metric(check, "Entropy", summary.entropy);
	if (id == DQDL_UNIQUENESS)
		return settle_metric(check, "Uniqueness", uniqueness);
	return finish_unique(check, &summary, uniqueness);
}

int check_finish(DqdlEvaluator *evaluator, struct check *check) {
	if (check->settled)
		return 0;
	switch ((int)check->rule->id) {
	case DQDL_ROW_COUNT:
		return settle_metric(check, "RowCount", (double)evaluator->rows);
	case DQDL_COLUMN_COUNT:
		return settle_metric(check, "ColumnCount", (double)evaluator->column_count);
	case DQDL_COLUMN_EXISTS:
		/* Had it been missing, the check would be settled. */
		return settle(check, DQDL_PASSED);
	case DQDL_COMPLETENESS:
	case DQDL_IS_COMPLETE:
		return finish_completeness(evaluator, check);
	case DQDL_COLUMN_VALUES:
	case DQDL_COLUMN_LENGTH:
		return finish_rows(evaluator, check);
	default:
		return finish_tuple(evaluator, check);
	}
}

/* --- from checks to outcomes --- */

static enum dqdl_result combine(bool is_or, enum dqdl_result left, enum dqdl_result right) {
	if (left == DQDL_ERROR || right == DQDL_ERROR)
		return DQDL_ERROR;
	bool passed = is_or ? left == DQDL_PASSED || right == DQDL_PASSED : left == DQDL_PASSED && right == DQDL_PASSED;
	return passed ? DQDL_PASSED : DQDL_FAILED;
}

struct gathering {
	const struct check *check;
	struct dqdl_metric *metric;
	FILE *reasons;
	bool said;
	bool row_level;
};

static enum dqdl_result gather(const struct dqdl_rule *rule, struct gathering *gathering) {
	if (rule->id == DQDL_COMPOSITE) {
		enum dqdl_result left = gather(rule->left, gathering);
		return combine(rule->is_or, left, gather(rule->right, gathering));
	}
	const struct check *check = gathering->check++;
	for (size_t i = 0; i < check->metric_count; i++)
		*gathering->metric++ = check->metrics[i];
	if (check->reason && check->result != DQDL_PASSED) {
		(void)fprintf(gathering->reasons, "%s%s: %s", gathering->said ? "; " : "", rule->text, check->reason);
		gathering->said = true;
	}
	gathering->row_level &= check->row_level && check->result != DQDL_ERROR && !rule->excluded_in_rows;
	return check->result;
}

static int make_composite(DqdlEvaluator *evaluator, size_t index, struct gathering *gathering) {
	struct dqdl_outcome *outcome = &evaluator->outcomes[index];
	size_t size;
	struct dqdl_metric *first = gathering->metric;
	gathering->reasons = open_memstream(&evaluator->reasons[index], &size);
	if (!gathering->reasons)
		return out_of_memory();
	gathering->said = false;
	gathering->row_level = true;
	outcome->result = gather(outcome->rule, gathering);
	if (fclose(gathering->reasons) != 0)
		return out_of_memory();
	if (gathering->said && outcome->result != DQDL_PASSED)
		outcome->reason = evaluator->reasons[index];
	outcome->row_level = gathering->row_level;
	outcome->metrics = first;
	outcome->metric_count = (size_t)(gathering->metric - first);
	return 0;
}

static void make_single(struct dqdl_outcome *outcome, const struct check *check) {
	outcome->result = check->result;
	outcome->reason = check->reason;
	outcome->metrics = check->metrics;
	outcome->metric_count = check->metric_count;
	outcome->row_level = check->row_level && check->result != DQDL_ERROR;
	outcome->failing_rows = check->row_level ? check->failing_rows : 0;
	outcome->lines = check->lines;
	outcome->line_count = check->line_count;
}

int outcomes_make(DqdlEvaluator *evaluator) {
	size_t rules = ruleset_rules(evaluator->ruleset);
	evaluator->outcomes = calloc(rules + 1, sizeof *evaluator->outcomes);
	evaluator->metrics = calloc(evaluator->check_count * MAX_METRICS + 1, sizeof *evaluator->metrics);
	evaluator->reasons = calloc(rules + 1, sizeof *evaluator->reasons);
	if (!evaluator->outcomes || !evaluator->metrics || !evaluator->reasons)
		return out_of_memory();
	struct gathering gathering = {.check = evaluator->checks, .metric = evaluator->metrics};
	for (size_t i = 0; i < rules; i++) {
		struct dqdl_outcome *outcome = &evaluator->outcomes[i];
		outcome->rule = ruleset_rule(evaluator->ruleset, i);
		if (outcome->rule->id != DQDL_COMPOSITE) {
			make_single(outcome, gathering.check++);
			continue;
		}
		int rc = make_composite(evaluator, i, &gathering);
		if (rc < 0)
			return rc;
	}
	return 0;
}
