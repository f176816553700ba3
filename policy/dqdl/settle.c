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

char *metric_name(const struct dqdl_rule *rule, const char *name) {
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	bool several =
	        rule->parameter_count > 1 || (rule->id == DQDL_DUPLICATE_ROW_COUNT && rule->parameter_count == 1);
	const struct check_kind *kind = kind_of(rule);
	bool of_dataset = rule->parameter_count == 0 || (kind && kind->columns == KIND_COLUMNS_NONE);
	(void)fputs(of_dataset ? "Dataset.*" : several ? "Multicolumn." : "Column.", out);
	for (size_t i = 0; i < rule->parameter_count && !of_dataset; i++)
		(void)fprintf(out, "%s%s", i ? "," : "", rule->parameters[i].value);
	(void)fprintf(out, ".%s", name);
	return fclose(out) == 0 ? steal_pointer(&text) : NULL;
}

int check_add_metric(struct check *check, const char *name, double value) {
	_cleanup_(freep) char *text = metric_name(check->rule, name);
	return text ? check_add_named_metric(check, text, value) : evaluator_out_of_memory();
}

/* "> avg(last(3)), which is > 12": what the rule says, and what that came to. Allocated; NULL without memory. */
static char *wanted_text(const struct dqdl_condition *said, const struct dqdl_condition *meant) {
	_cleanup_(freep) char *text = dqdl_condition_text(said);
	if (!text || said == meant)
		return steal_pointer(&text);
	_cleanup_(freep) char *numbers = dqdl_condition_text(meant);
	char *both = NULL;
	return numbers && asprintf(&both, "%s, which is %s", text, numbers) >= 0 ? both : NULL;
}

int check_settle_metric(struct check *check, const char *name, double value) {
	bool holds = false;
	int rc = check_add_metric(check, name, value);
	if (rc < 0)
		return rc;
	if (check->measures_only)
		return check_pass(check);
	if (dqdl_condition_holds(check->condition, value, &holds) < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	if (holds)
		return check_pass(check);
	char number[32];
	number_text(value, number);
	_cleanup_(freep) char *wanted = wanted_text(&check->rule->condition, check->condition);
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

void worst_lines_add(struct worst_lines *worst, double by, uint64_t line) {
	size_t at = worst->count;
	if (at == DQDL_FAILING_LINES && worst->lines[at - 1].by >= by)
		return;
	at = at < DQDL_FAILING_LINES ? worst->count++ : at - 1;
	for (; at > 0 && worst->lines[at - 1].by < by; at--)
		worst->lines[at] = worst->lines[at - 1];
	worst->lines[at].by = by;
	worst->lines[at].line = line;
}

/* Where more rows fail than the first that are named, and not all as far. */
static void put_worst(FILE *out, const struct check *check) {
	const struct worst_lines *worst = &check->worst;
	if (check->failing_rows <= check->line_count || worst->count == 0 ||
	        worst->lines[0].by == worst->lines[worst->count - 1].by)
		return;
	for (size_t i = 0; i < worst->count; i++)
		(void)fprintf(out, "%s%" PRIu64, i == 0 ? "; farthest off on lines " : ", ", worst->lines[i].line);
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
	put_worst(out, check);
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

static int fail_rows(struct check *check, const struct dqdl_condition *threshold, double share) {
	_cleanup_(freep) char *wanted = wanted_text(&check->rule->threshold, threshold);
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
	if (dqdl_condition_depth(threshold) > 0)
		rc = lookback_threshold(evaluator, check, share_metric, &threshold);
	if (rc < 0 || check->settled)
		return rc;
	if (!threshold)
		return check_pass(check);
	if (threshold->kind != DQDL_CONDITION_NONE && dqdl_condition_holds(threshold, share, &holds) < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	return holds ? check_pass(check) : fail_rows(check, threshold, share);
}
