/*
 * lookback: rules that look back on earlier values of their own metric (dynamic rules).
 *
 *     RowCount > avg(last(3)) * 0.5          wanted: Dataset.*.RowCount, 3 values
 *               │ with the values 20, 30, 40
 *               ▼
 *     RowCount > 15                          is what the check is made of
 *
 * With fewer values than asked for, those there are count. With none the rule passes, with a note, so that a first
 * delivery can come at all; Glue takes 0 instead. What ColumnValues and ColumnLength look back on is the least value
 * for > and >=, the greatest for < and <=, and for the two ends of `between` the one and the other.
 */
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- names ---- */

static bool ends_with(const char *text, const char *end) {
	size_t size = strlen(text), length = strlen(end);
	return size >= length && strcmp(text + size - length, end) == 0;
}

/* A share of rows that conform: to what, the rule's condition says. */
static bool is_share(const char *metric) {
	return ends_with(metric, "Compliance") || ends_with(metric, ".PatternMatch");
}

/* The name as it is, or its beginning and a hash of it all. Takes it over. */
static char *shortened(char *name) {
	char hex[DIGEST_HEX_BYTES], *text = NULL;
	uint8_t digest[DIGEST_BYTES];
	if (strlen(name) <= DQDL_SERIES_NAME_MAX)
		return name;
	sha256(bytes_of_string(name), digest);
	digest_hex(digest, hex);
	size_t kept = utf8_valid_prefix(name, DQDL_SERIES_NAME_MAX - DIGEST_HEX_BYTES - 8);
	if (asprintf(&text, "%.*s… %s", (int)kept, name, hex) < 0)
		text = NULL;
	free(name);
	return text;
}

/* Adds MIDDLE "TEXT" to a name, or nothing. */
static int put_quoted(FILE *out, const char *middle, const char *text) {
	return text ? fprintf(out, " %s \"%s\"", middle, text) : 0;
}

char *dqdl_series_name(const struct dqdl_rule *rule, const char *metric) {
	_cleanup_(freep) char *condition = is_share(metric) ? dqdl_condition_text(&rule->condition) : strdup("");
	_cleanup_(freep) char *name = NULL;
	size_t size;
	FILE *out = condition ? open_memstream(&name, &size) : NULL;
	if (!out)
		return NULL;
	(void)fprintf(out, "%s%s%s", metric, *condition ? " of " : "", condition);
	(void)put_quoted(out, "of", rule->id == DQDL_CUSTOM_SQL ? rule->parameters[0].value : NULL);
	(void)put_quoted(out, "where", rule->where);
	return fclose(out) == 0 ? shortened(steal_pointer(&name)) : NULL;
}

/* Do the metrics' names not tell all of what they are about? */
static bool is_particular(const struct dqdl_rule *rule) {
	return rule->where != NULL || rule->id == DQDL_CUSTOM_SQL;
}

bool dqdl_metrics_are_vague(const struct dqdl_rule *rule) {
	if (rule->id != DQDL_COMPOSITE)
		return false;
	const struct dqdl_rule *sides[] = {rule->left, rule->right};
	for (int i = 0; i < 2; i++)
		if (is_particular(sides[i]) || dqdl_metrics_are_vague(sides[i]))
			return true;
	return false;
}

/* The metric that an operand of the rule's condition is compared with; NULL: there is no single one. */
static const char *metric_compared(const struct dqdl_rule *rule, bool is_upper) {
	bool lengths = rule->id == DQDL_COLUMN_LENGTH;
	enum dqdl_operator op = rule->condition.op;
	if (rule->id == DQDL_CUSTOM_SQL)
		return "CustomSQL";
	if (rule->id != DQDL_COLUMN_VALUES && !lengths)
		return rule->type;
	if (op == DQDL_GREATER || op == DQDL_GREATER_EQUAL || (op == DQDL_BETWEEN && !is_upper))
		return lengths ? "MinimumLength" : "Minimum";
	if (op == DQDL_LESS || op == DQDL_LESS_EQUAL || op == DQDL_BETWEEN)
		return lengths ? "MaximumLength" : "Maximum";
	return NULL;
}

/* The share that a rule's threshold is compared with. */
static const char *share_compared(const struct dqdl_rule *rule) {
	if (rule->id == DQDL_COLUMN_VALUES)
		return rule->condition.op == DQDL_MATCHES ? "PatternMatch" : "ColumnValues.Compliance";
	return rule->id == DQDL_COLUMN_DATA_TYPE ? "ColumnDataType.Compliance" : NULL;
}

/* ---- what a ruleset asks for ---- */

struct gathering {
	struct dqdl_wanted *wanted;
	size_t count;
};

static int want(struct gathering *gathering, const struct dqdl_rule *rule, const char *metric, size_t depth) {
	if (!metric)
		return 0;
	_cleanup_(freep) char *plain = metric_name(rule, metric);
	_cleanup_(freep) char *name = plain ? dqdl_series_name(rule, plain) : NULL;
	if (!name)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < gathering->count; i++) {
		struct dqdl_wanted *known = &gathering->wanted[i];
		if (strcmp(known->name, name) != 0)
			continue;
		known->depth = depth > known->depth ? depth : known->depth;
		return 0;
	}
	struct dqdl_wanted *grown = reallocarray(gathering->wanted, gathering->count + 1, sizeof *grown);
	if (!grown)
		return evaluator_out_of_memory();
	gathering->wanted = grown;
	grown[gathering->count++] = (struct dqdl_wanted){.name = steal_pointer(&name), .depth = depth};
	return 0;
}

static int want_watched(struct gathering *gathering, const struct dqdl_rule *rule) {
	_cleanup_(arena_freep) Arena *arena = arena_new();
	const struct dqdl_rule *subject = NULL;
	int rc = arena ? anomaly_subject(arena, rule, &subject) : evaluator_out_of_memory();
	if (rc < 0 || !subject)
		return rc;
	const char *const *metrics = measured_metrics(subject);
	if (!metrics)
		return want(gathering, subject, metric_compared(subject, false), DQDL_ANOMALY_WINDOW);
	for (; rc == 0 && *metrics; metrics++)
		rc = want(gathering, subject, *metrics, DQDL_ANOMALY_WINDOW);
	return rc;
}

static int want_all(struct gathering *gathering, const struct dqdl_rule *rule) {
	if (rule->id == DQDL_COMPOSITE) {
		int rc = want_all(gathering, rule->left);
		return rc < 0 ? rc : want_all(gathering, rule->right);
	}
	if (rule->id == DQDL_DETECT_ANOMALIES)
		return want_watched(gathering, rule);
	size_t depth = dqdl_condition_depth(&rule->condition), share_depth = dqdl_condition_depth(&rule->threshold);
	int rc = depth ? want(gathering, rule, metric_compared(rule, false), depth) : 0;
	if (rc == 0 && depth)
		rc = want(gathering, rule, metric_compared(rule, true), depth);
	return rc == 0 && share_depth ? want(gathering, rule, share_compared(rule), share_depth) : rc;
}

int dqdl_wanted_history(const Ruleset *ruleset, struct dqdl_wanted **ret_wanted, size_t *ret_count) {
	struct gathering gathering = {0};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ruleset_rules(ruleset); i++)
		rc = want_all(&gathering, ruleset_rule(ruleset, i));
	if (rc < 0) {
		dqdl_wanted_free(gathering.wanted, gathering.count);
		return rc;
	}
	*ret_wanted = gathering.wanted;
	*ret_count = gathering.count;
	return 0;
}

void dqdl_wanted_free(struct dqdl_wanted *wanted, size_t count) {
	for (size_t i = 0; i < count; i++)
		free(wanted[i].name);
	free(wanted);
}

/* ---- making a condition of numbers ---- */

/* Sets *ret_note (allocated) to why there is nothing to compare with. */
static int note_missing(const struct dqdl_series *series, char **ret_note) {
	int size = !series              ? asprintf(ret_note, "not compared: no history was given")
	           : series->count == 0 ? asprintf(ret_note, "not compared: there is no history yet")
	                                : asprintf(ret_note, "not compared: the history has %zu value%s yet",
	                                          series->count, series->count == 1 ? "" : "s");
	return size < 0 ? evaluator_out_of_memory() : 0;
}

int lookback_series(const DqdlEvaluator *evaluator, struct check *check, const char *metric,
        const struct dqdl_series **ret_series) {
	const struct dqdl_options *options = &evaluator->options;
	*ret_series = NULL;
	if (!options->knows_history)
		return 0;
	_cleanup_(freep) char *name = dqdl_series_name(check->rule, metric);
	if (!name)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < options->series_count && !*ret_series; i++)
		if (strcmp(options->series[i].name, name) == 0)
			*ret_series = &options->series[i];
	return *ret_series ? 0 : check_settle(check, DQDL_ERROR, "the history of %.300s was not given", name);
}

/* As number_text, with all digits: it stands in the place of the expression. */
static int put_number(Arena *arena, double value, struct dqdl_operand *operand) {
	char text[32];
	number_text(value, text);
	struct dqdl_number *number = arena_alloc(arena, sizeof *number);
	char *kept = arena_text(arena, text, strlen(text));
	if (!number || !kept)
		return evaluator_out_of_memory();
	*number = (struct dqdl_number){.form = DQDL_NUMBER_LITERAL, .text = kept, .value = value};
	operand->number = number;
	return 0;
}

/* What is known of the past of both ends; the same for both where they are compared with one metric. */
struct past {
	const struct dqdl_series *lower, *upper;
};

/* -ENODATA: *ret_note says why; -EINVAL with words. */
static int put_numbers(Arena *arena, const struct dqdl_condition *condition, const struct past *past,
        struct dqdl_condition **ret_condition, char **ret_note) {
	struct dqdl_condition *numbers = arena_alloc(arena, sizeof *numbers);
	struct dqdl_operand *operands = arena_alloc(arena, condition->operand_count * sizeof *operands);
	if (!numbers || !operands)
		return evaluator_out_of_memory();
	*numbers = *condition;
	numbers->operands = operands;
	for (size_t i = 0; i < condition->operand_count; i++) {
		const struct dqdl_series *series = i == 0 ? past->lower : past->upper;
		double value = 0;
		operands[i] = condition->operands[i];
		if (operands[i].form != DQDL_OPERAND_NUMBER)
			continue;
		int rc = dqdl_number_value_over(operands[i].number, series, &value);
		if (rc == -ENODATA)
			return note_missing(series, ret_note) < 0 ? -ENOMEM : -ENODATA;
		if (rc < 0 || (rc = put_number(arena, value, &operands[i])) < 0)
			return rc;
	}
	*ret_condition = numbers;
	return 0;
}

/* The check goes on without a condition: its metrics are the first of a history. */
static int measure_only(struct check *check) {
	static const struct dqdl_condition none;
	check->measures_only = true;
	check->condition = &none;
	check->kind = kind_that_measures(check->rule);
	return 0;
}

static int find_past(const DqdlEvaluator *evaluator, struct check *check, struct past *ret_past) {
	const struct dqdl_series **ends[] = {&ret_past->lower, &ret_past->upper};
	for (int i = 0; i < 2 && !check->settled; i++) {
		_cleanup_(freep) char *name = metric_name(check->rule, metric_compared(check->rule, i > 0));
		int rc = name ? lookback_series(evaluator, check, name, ends[i]) : evaluator_out_of_memory();
		if (rc < 0)
			return rc;
	}
	return 0;
}

int lookback_prepare(DqdlEvaluator *evaluator, struct check *check) {
	struct past past = {0};
	struct dqdl_condition *numbers = NULL;
	if (check->measures_only || dqdl_condition_depth(check->condition) == 0)
		return 0;
	if (!kind_that_measures(check->rule) || check->kind->names_itself || !metric_compared(check->rule, false))
		return check_settle(check, DQDL_ERROR, "%s can't look back on earlier values this way%s",
		        check->rule->type, check->kind->row_level ? "; it can with >, >=, <, <= and between" : "");
	if (check->is_inside && is_particular(check->rule))
		return check_settle(check, DQDL_ERROR,
		        "a rule with SQL that looks back can't stand inside and/or: make it a rule of its own");
	int rc = find_past(evaluator, check, &past);
	if (rc < 0 || check->settled)
		return rc;
	rc = put_numbers(evaluator->arena, check->condition, &past, &numbers, &check->note);
	if (rc == -ENODATA)
		return measure_only(check);
	if (rc == -EINVAL)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	if (rc == 0)
		check->condition = numbers;
	return rc;
}

int lookback_threshold(const DqdlEvaluator *evaluator, struct check *check, const char *share_metric,
        const struct dqdl_condition **ret_threshold) {
	const char *share = share_compared(check->rule);
	struct dqdl_condition *numbers = NULL;
	const struct dqdl_series *series = NULL;
	if (!share || !share_metric || strcmp(share, share_metric) != 0 || check->is_inside)
		return check_settle(check, DQDL_ERROR,
		        "a threshold that looks back is for ColumnValues and ColumnDataType that stand alone");
	_cleanup_(freep) char *name = metric_name(check->rule, share);
	int rc = name ? lookback_series(evaluator, check, name, &series) : evaluator_out_of_memory();
	if (rc < 0 || check->settled)
		return rc;
	const struct past past = {.lower = series, .upper = series};
	rc = put_numbers(evaluator->arena, &check->rule->threshold, &past, &numbers, &check->note);
	if (rc == -EINVAL)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	*ret_threshold = numbers;
	return rc == -ENODATA ? 0 : rc;
}
