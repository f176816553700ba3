/* settle: results, reasons and metrics of single checks. */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

int evaluator_out_of_memory(void) {
	return fault(ENOMEM, "out of memory while evaluating rules");
}

int check_settle(struct check *check, enum dqdl_result result, const char *format, ...) {
	char *reason = NULL;
	va_list args;
	va_start(args, format);
	int size = vasprintf(&reason, format, args);
	va_end(args);
	if (size < 0)
		return evaluator_out_of_memory();
	free(check->reason);
	check->reason = reason;
	check->result = result;
	check->settled = true;
	return 0;
}

int check_pass(struct check *check) {
	check->result = DQDL_PASSED;
	check->settled = true;
	return 0;
}

bool empty_is_null(const DqdlEvaluator *evaluator, const size_t *columns, size_t count) {
	for (size_t i = 0; i < count; i++)
		if (column_kind_is_text(&evaluator->columns[columns[i]].kind))
			return false;
	return true;
}

/* A number as a person would write it: six digits, more where it would else look like a rounder one that it is not
 * (0.9999999 is no 1). */
void number_text(double value, char ret_text[static 32]) {
	(void)snprintf(ret_text, 32, "NaN");
	for (int digits = 6; digits <= 17 && value == value; digits++) {
		char rounder[32];
		(void)snprintf(ret_text, 32, "%.*g", digits, value);
		(void)snprintf(rounder, sizeof rounder, "%.*g", digits - 2, value);
		double shown = strtod(ret_text, NULL), round = strtod(rounder, NULL);
		if (shown == value || shown < round || shown > round)
			return;
	}
}

int check_add_named_metric(struct check *check, const char *name, double value) {
	struct dqdl_metric *metrics = reallocarray(check->metrics, check->metric_count + 1, sizeof *metrics);
	if (!metrics)
		return evaluator_out_of_memory();
	check->metrics = metrics;
	char *copy = strdup(name);
	if (!copy)
		return evaluator_out_of_memory();
	check->metrics[check->metric_count++] = (struct dqdl_metric){.name = copy, .value = value};
	return 0;
}

int check_add_metric(struct check *check, const char *name, double value) {
	const struct dqdl_rule *rule = check->rule;
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return evaluator_out_of_memory();
	bool several =
	        rule->parameter_count > 1 || (rule->id == DQDL_DUPLICATE_ROW_COUNT && rule->parameter_count == 1);
	bool of_dataset = rule->parameter_count == 0 || check->kind->columns == KIND_COLUMNS_NONE;
	(void)fputs(of_dataset ? "Dataset.*" : several ? "Multicolumn." : "Column.", out);
	for (size_t i = 0; i < rule->parameter_count && !of_dataset; i++)
		(void)fprintf(out, "%s%s", i ? "," : "", rule->parameters[i].value);
	(void)fprintf(out, ".%s", name);
	return fclose(out) != 0 ? evaluator_out_of_memory() : check_add_named_metric(check, text, value);
}

int check_settle_metric(struct check *check, const char *name, double value) {
	bool holds = false;
	int rc = check_add_metric(check, name, value);
	if (rc < 0)
		return rc;
	if (dqdl_condition_holds(&check->rule->condition, value, &holds) < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	if (holds)
		return check_pass(check);
	char number[32];
	number_text(value, number);
	_cleanup_(freep) char *wanted = dqdl_condition_text(&check->rule->condition);
	if (!wanted)
		return evaluator_out_of_memory();
	return check_settle(check, DQDL_FAILED, "%s is %s; the rule wants %s", name, number, wanted);
}

void check_merge_lines(struct check *check, const struct first_lines *a, const struct first_lines *b) {
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
int check_fail_with_lines(struct check *check, const char *reason) {
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return evaluator_out_of_memory();
	(void)fputs(reason, out);
	for (size_t i = 0; i < check->line_count; i++)
		(void)fprintf(out, "%s%" PRIu64,
		        i == 0 ? check->line_count > 1 ? "; first on lines " : "; on line " : ", ", check->lines[i]);
	if (fclose(out) != 0)
		return evaluator_out_of_memory();
	return check_settle(check, DQDL_FAILED, "%s", text);
}

void check_count_failing(const DqdlEvaluator *evaluator, struct check *check) {
	static const struct first_lines nothing;
	bool null = check->undecided.count && empty_is_null(evaluator, check->columns, check->column_count);
	bool undecided_fail = check->undecided.count && null != check->fail_if_text;
	check->failing_rows = check->failing.count + (undecided_fail ? check->undecided.count : 0);
	check_merge_lines(check, &check->failing, undecided_fail ? &check->undecided : &nothing);
}

void check_measure(struct check *check, double value) {
	if (!check->measured || value < check->minimum)
		check->minimum = value;
	if (!check->measured || value > check->maximum)
		check->maximum = value;
	check->measured = true;
}

const char *check_tag(const struct dqdl_rule *rule, const char *key) {
	for (size_t i = 0; i < rule->tags.count; i++)
		if (strcasecmp(rule->tags.pairs[i].key, key) == 0)
			return rule->tags.pairs[i].value;
	return NULL;
}

static int fail_rows(struct check *check, double share) {
	_cleanup_(freep) char *wanted = dqdl_condition_text(&check->rule->threshold);
	if (!wanted)
		return evaluator_out_of_memory();
	char number[32];
	char reason[400];
	number_text(share, number);
	(void)snprintf(reason, sizeof reason,
	        "%" PRIu64 " of %" PRIu64 " rows do not conform (%s do; the rule wants %.100s)", check->failing_rows,
	        check->filter->rows, number, wanted[0] ? wanted : "all");
	return check_fail_with_lines(check, reason);
}

int check_settle_rows(const DqdlEvaluator *evaluator, struct check *check, const char *share_metric) {
	check_count_failing(evaluator, check);
	uint64_t rows = check->filter->rows;
	double share = rows ? (double)(rows - check->failing_rows) / (double)rows : 1;
	bool holds = check->failing_rows == 0;
	int rc = share_metric && rows > 0 ? check_add_metric(check, share_metric, share) : 0;
	if (rc < 0)
		return rc;
	if (rows == 0)
		return check_settle(check, DQDL_PASSED, "%s",
		        check->filter->where ? "no rows matched the filter" : "the table has no rows");
	const struct dqdl_condition *threshold = &check->rule->threshold;
	if (threshold->kind != DQDL_CONDITION_NONE && dqdl_condition_holds(threshold, share, &holds) < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	return holds ? check_pass(check) : fail_rows(check, share);
}
