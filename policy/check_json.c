#include "policy/check_json.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <math.h>

/* ---- metrics: JSON has no words for what is not finite ---- */

static json_t *number_json(double value) {
	if (isnan(value))
		return json_string("NaN");
	if (isinf(value))
		return json_string(value > 0 ? "Infinity" : "-Infinity");
	return json_real(value);
}

static int number_read(const json_t *value, double *ret_number) {
	const char *text = json_string_value(value);
	if (json_is_real(value))
		*ret_number = json_real_value(value);
	else if (text && strcmp(text, "NaN") == 0)
		*ret_number = (double)NAN;
	else if (text && strcmp(text, "Infinity") == 0)
		*ret_number = (double)INFINITY;
	else if (text && strcmp(text, "-Infinity") == 0)
		*ret_number = -(double)INFINITY;
	else
		return fault(EBADMSG, "a metric is no number");
	return 0;
}

/* ---- writing ---- */

json_t *check_texts_json(const char *const *texts, size_t count) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < count; i++)
		if (json_array_append_new(list, json_string(texts[i])) != 0)
			return NULL;
	return steal_pointer(&list);
}

static json_t *metrics_json(const struct check_rule *rule) {
	_cleanup_(json_decrefp) json_t *metrics = json_object();
	for (size_t i = 0; metrics && i < rule->metric_count; i++)
		if (json_object_set_new(metrics, rule->metrics[i].name, number_json(rule->metrics[i].value)) != 0)
			return NULL;
	return steal_pointer(&metrics);
}

static json_t *lines_json(const uint64_t *lines, size_t count) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < count; i++)
		if (json_array_append_new(list, json_integer((json_int_t)lines[i])) != 0)
			return NULL;
	return steal_pointer(&list);
}

static bool put_count_or_null(json_t *object, const char *key, bool is_there, uint64_t count) {
	return is_there ? json_put_count(object, key, count) : json_put_text(object, key, NULL);
}

static json_t *rule_json(const struct check_rule *rule) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_text(object, "rule", rule->text) &&
	            json_put_text(object, "outcome", outcome_word(rule->outcome)) &&
	            json_put_text(object, "reason", rule->reason) &&
	            put_count_or_null(object, "failing_rows", rule->has_failing_rows, rule->failing_rows) &&
	            json_object_set_new(
	                    object, "failing_lines", lines_json(rule->failing_lines, rule->failing_line_count)) == 0 &&
	            json_object_set_new(object, "metrics", metrics_json(rule)) == 0;
	return done ? steal_pointer(&object) : NULL;
}

static json_t *analyzer_json(const struct check_rule *analyzer) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_text(object, "analyzer", analyzer->text) &&
	            json_put_text(object, "outcome", outcome_word(analyzer->outcome)) &&
	            json_put_text(object, "reason", analyzer->reason) &&
	            json_object_set_new(object, "metrics", metrics_json(analyzer)) == 0;
	return done ? steal_pointer(&object) : NULL;
}

/* Only where there are any: verdicts from before there were analyzers are canonical, too. */
static bool put_analyzers(json_t *object, const struct check_result *result) {
	_cleanup_(json_decrefp) json_t *analyzers = json_array();
	if (result->analyzer_count == 0)
		return true;
	for (size_t i = 0; analyzers && i < result->analyzer_count; i++)
		if (json_array_append_new(analyzers, analyzer_json(&result->analyzers[i])) != 0)
			return false;
	return json_object_set_new(object, "analyzers", steal_pointer(&analyzers)) == 0;
}

static json_t *rules_json(const struct check_result *result) {
	_cleanup_(json_decrefp) json_t *rules = json_array();
	for (size_t i = 0; rules && i < result->rule_count; i++)
		if (json_array_append_new(rules, rule_json(&result->rules[i])) != 0)
			return NULL;
	return steal_pointer(&rules);
}

static json_t *finding_json(const struct check_finding *finding) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_text(object, "entity", finding->entity) &&
	            json_put_text(object, "column", finding->column) &&
	            json_object_set_new(object, "of_column", json_boolean(finding->of_column)) == 0 &&
	            json_put_text(object, "action", privacy_action_words[finding->action]) &&
	            json_object_set_new(object, "acts", json_boolean(finding->acts)) == 0 &&
	            json_put_count(object, "matches", finding->matches) &&
	            json_put_count(object, "cells", finding->cells) &&
	            json_put_count(object, "score", finding->score) &&
	            json_object_set_new(object, "lines", lines_json(finding->lines, finding->line_count)) == 0;
	return done ? steal_pointer(&object) : NULL;
}

static json_t *findings_json(const struct check_privacy_result *privacy) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < privacy->finding_count; i++)
		if (json_array_append_new(list, finding_json(&privacy->findings[i])) != 0)
			return NULL;
	return steal_pointer(&list);
}

static json_t *allowed_json(const struct check_privacy_result *privacy) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < privacy->allowed_count; i++) {
		_cleanup_(json_decrefp) json_t *object = json_object();
		if (!object || !json_put_text(object, "owner", privacy->allowed[i].owner) ||
		        !json_put_count(object, "count", privacy->allowed[i].count) ||
		        json_array_append(list, object) != 0)
			return NULL;
	}
	return steal_pointer(&list);
}

/* Only where somebody asked for it. */
static bool put_privacy(json_t *object, const struct check_result *result) {
	const struct check_privacy_result *privacy = &result->privacy;
	if (!result->has_privacy)
		return true;
	_cleanup_(json_decrefp) json_t *item = json_object();
	bool done = item && json_put_text(item, "sensitivity", privacy->sensitivity == SCAN_LOW ? "low" : "high") &&
	            json_object_set_new(item, "threshold", json_real(privacy->threshold)) == 0 &&
	            json_put_count(item, "dropped_rows", privacy->dropped) &&
	            json_object_set_new(item, "findings", findings_json(privacy)) == 0 &&
	            json_object_set_new(item, "allowed", allowed_json(privacy)) == 0;
	return done && json_object_set(object, "privacy", item) == 0;
}

json_t *check_result_json(const struct check_result *result) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_text(object, "outcome", outcome_word(result->outcome)) &&
	            json_put_text(object, "reason", result->reason) &&
	            json_put_text(object, "canonical", result->canonical) &&
	            json_put_text(object, "dialect", result->dialect) &&
	            json_put_count(object, "bytes_read", result->bytes_read) &&
	            put_count_or_null(object, "rows", result->has_rows, result->rows) &&
	            put_count_or_null(object, "columns", result->has_rows, result->columns) &&
	            (!result->has_dropped || json_put_count(object, "dropped_rows", result->dropped)) &&
	            json_object_set_new(object, "rules", rules_json(result)) == 0 && put_analyzers(object, result) &&
	            put_privacy(object, result) &&
	            json_object_set_new(object, "warnings",
	                    check_texts_json((const char *const *)result->warnings, result->warning_count)) == 0;
	return done ? steal_pointer(&object) : NULL;
}

int check_result_to_json(const struct check_result *result, char **ret_json, size_t *ret_size) {
	_cleanup_(json_decrefp) json_t *object = check_result_json(result);
	if (!object)
		return fault(ENOMEM, "no memory to write a check's result");
	_cleanup_(freep) char *text = NULL;
	size_t size;
	int rc = json_strict_write(object, &text, &size);
	if (rc < 0)
		return rc;
	if (size > CHECK_RESULT_MAX)
		return fault(E2BIG, "the result of the check is larger than %u bytes", CHECK_RESULT_MAX);
	*ret_json = steal_pointer(&text);
	*ret_size = size;
	return 0;
}

/* ---- reading ---- */

/* Outcomes of a finished check; none and pending are the gate's. */
static int read_outcome(const json_t *object, enum outcome *ret_outcome) {
	_cleanup_(freep) char *word = NULL;
	int rc = json_strict_text(object, "outcome", &word);
	if (rc < 0)
		return rc;
	return outcome_from_word(word, ret_outcome) < 0 ? -EBADMSG : 0;
}

static int read_count_or_null(const json_t *object, const char *key, bool *ret_is_there, uint64_t *ret_count) {
	if (json_strict_is_null(object, key))
		return 0;
	*ret_is_there = true;
	return json_strict_count(object, key, ret_count);
}

static int read_lines(const json_t *object, struct check_rule *rule) {
	const json_t *lines;
	int rc = json_strict_array(object, "failing_lines", CHECK_FAILING_LINES_MAX, &lines);
	for (size_t i = 0; rc == 0 && i < json_array_size(lines); i++) {
		const json_t *line = json_array_get(lines, i);
		if (!json_is_integer(line) || json_integer_value(line) < 0)
			return fault(EBADMSG, "a line number is no number");
		rc = check_rule_add_failing_line(rule, (uint64_t)json_integer_value(line));
	}
	return rc;
}

static int read_metrics(const json_t *object, struct check_rule *rule) {
	const json_t *metrics;
	int rc = json_strict_object(object, "metrics", &metrics);
	if (rc < 0)
		return rc;
	/* jansson iterates through a value that it does not change, but does not say so. */
	json_t *mutable = (json_t *)(uintptr_t)metrics;
	const char *name;
	json_t *value;
	json_object_foreach(mutable, name, value) {
		double number;
		if ((rc = number_read(value, &number)) < 0 || (rc = check_rule_add_metric(rule, name, number)) < 0)
			return rc == -E2BIG ? fault_while(-EBADMSG, "the result") : rc;
	}
	return 0;
}

static int read_rule(const json_t *object, struct check_result *result) {
	_cleanup_(freep) char *text = NULL;
	enum outcome outcome = OUTCOME_ERROR;
	int rc = json_strict_text(object, "rule", &text);
	if (rc < 0 || (rc = read_outcome(object, &outcome)) < 0)
		return rc;
	struct check_rule *rule = check_result_add_rule(result, text, outcome);
	if (!rule)
		return -ENOMEM;
	if ((rc = json_strict_text_or_null(object, "reason", &rule->reason)) < 0 ||
	        (rc = read_count_or_null(object, "failing_rows", &rule->has_failing_rows, &rule->failing_rows)) < 0 ||
	        (rc = read_lines(object, rule)) < 0)
		return rc;
	return read_metrics(object, rule);
}

static int read_analyzer(const json_t *object, struct check_result *result) {
	_cleanup_(freep) char *text = NULL;
	enum outcome outcome = OUTCOME_ERROR;
	int rc = json_strict_text(object, "analyzer", &text);
	if (rc < 0 || (rc = read_outcome(object, &outcome)) < 0)
		return rc;
	struct check_rule *analyzer = check_result_add_analyzer(result, text, outcome);
	if (!analyzer)
		return -ENOMEM;
	rc = json_strict_text_or_null(object, "reason", &analyzer->reason);
	return rc < 0 ? rc : read_metrics(object, analyzer);
}

static int read_analyzers(const json_t *object, struct check_result *result) {
	const json_t *analyzers;
	if (!json_object_get(object, "analyzers"))
		return 0;
	int rc = json_strict_array(object, "analyzers", CHECK_ANALYZERS_MAX, &analyzers);
	for (size_t i = 0; rc == 0 && i < json_array_size(analyzers); i++)
		rc = read_analyzer(json_array_get(analyzers, i), result);
	return rc;
}

static int read_lists(const json_t *object, struct check_result *result) {
	const json_t *rules, *warnings;
	int rc = json_strict_array(object, "rules", CHECK_RULES_MAX, &rules);
	for (size_t i = 0; rc == 0 && i < json_array_size(rules); i++)
		rc = read_rule(json_array_get(rules, i), result);
	if (rc == 0)
		rc = read_analyzers(object, result);
	if (rc < 0 || (rc = json_strict_array(object, "warnings", CHECK_WARNINGS_MAX, &warnings)) < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < json_array_size(warnings); i++) {
		const char *warning = json_string_value(json_array_get(warnings, i));
		rc = warning ? check_result_warn(result, warning) : fault(EBADMSG, "a warning is no text");
	}
	return rc;
}

static int read_flag(const json_t *object, const char *key, bool *ret_flag) {
	const json_t *value = json_object_get(object, key);
	if (!json_is_boolean(value))
		return fault(EBADMSG, "'%s' is neither true nor false", key);
	*ret_flag = json_is_true(value);
	return 0;
}

static int read_action(const json_t *object, enum privacy_action *ret_action) {
	const char *word = json_string_value(json_object_get(object, "action"));
	for (unsigned i = 0; word && i < PRIVACY_ACTIONS; i++)
		if (strcmp(word, privacy_action_words[i]) == 0) {
			*ret_action = (enum privacy_action)i;
			return 0;
		}
	return fault(EBADMSG, "a finding's action is none");
}

static int read_finding_lines(const json_t *object, struct check_finding *finding) {
	const json_t *lines;
	int rc = json_strict_array(object, "lines", CHECK_FAILING_LINES_MAX, &lines);
	for (size_t i = 0; rc == 0 && i < json_array_size(lines); i++) {
		const json_t *line = json_array_get(lines, i);
		if (!json_is_integer(line) || json_integer_value(line) < 0)
			return fault(EBADMSG, "a line number is no number");
		rc = check_finding_add_line(finding, (uint64_t)json_integer_value(line));
	}
	return rc;
}

static int read_finding(const json_t *object, struct check_result *result) {
	_cleanup_(freep) char *entity = NULL, *column = NULL;
	uint64_t score = 0;
	int rc = json_strict_text(object, "entity", &entity);
	if (rc < 0 || (rc = json_strict_text_or_null(object, "column", &column)) < 0)
		return rc;
	struct check_finding *finding = check_result_add_finding(result, entity, column);
	if (!finding)
		return -ENOMEM;
	if ((rc = read_flag(object, "of_column", &finding->of_column)) < 0 ||
	        (rc = read_action(object, &finding->action)) < 0 ||
	        (rc = read_flag(object, "acts", &finding->acts)) < 0 ||
	        (rc = json_strict_count(object, "matches", &finding->matches)) < 0 ||
	        (rc = json_strict_count(object, "cells", &finding->cells)) < 0 ||
	        (rc = json_strict_count(object, "score", &score)) < 0)
		return rc;
	finding->score = score <= 100 ? (unsigned)score : 101;
	return score > 100 ? fault(EBADMSG, "a finding's score is none") : read_finding_lines(object, finding);
}

static int read_allowed(const json_t *object, struct check_result *result) {
	_cleanup_(freep) char *owner = NULL;
	int rc = json_strict_text_or_null(object, "owner", &owner);
	if (rc < 0)
		return rc;
	struct check_allowed *allowed = check_result_add_allowed(result, owner);
	return allowed ? json_strict_count(object, "count", &allowed->count) : -ENOMEM;
}

static int read_privacy_lists(const json_t *object, struct check_result *result) {
	const json_t *findings, *allowed;
	int rc = json_strict_array(object, "findings", CHECK_FINDINGS_MAX, &findings);
	for (size_t i = 0; rc == 0 && i < json_array_size(findings); i++)
		rc = read_finding(json_array_get(findings, i), result);
	if (rc == 0)
		rc = json_strict_array(object, "allowed", PRIVACY_ALLOWS_MAX, &allowed);
	for (size_t i = 0; rc == 0 && i < json_array_size(allowed); i++)
		rc = read_allowed(json_array_get(allowed, i), result);
	return rc;
}

static int read_privacy(const json_t *object, struct check_result *result) {
	struct check_privacy_result *privacy = &result->privacy;
	_cleanup_(freep) char *word = NULL;
	const json_t *item, *threshold;
	if (!json_object_get(object, "privacy"))
		return 0;
	result->has_privacy = true;
	int rc = json_strict_object(object, "privacy", &item);
	if (rc < 0 || (rc = json_strict_text(item, "sensitivity", &word)) < 0)
		return rc;
	privacy->sensitivity = strcmp(word, "high") == 0 ? SCAN_HIGH : SCAN_LOW;
	if (privacy->sensitivity == SCAN_LOW && strcmp(word, "low") != 0)
		return fault(EBADMSG, "a sensitivity is neither low nor high");
	threshold = json_object_get(item, "threshold");
	if (!json_is_real(threshold))
		return fault(EBADMSG, "a threshold is no number");
	privacy->threshold = json_real_value(threshold);
	if (!(privacy->threshold >= 0 && privacy->threshold <= 1))
		return fault(EBADMSG, "a threshold is no share");
	rc = json_strict_count(item, "dropped_rows", &privacy->dropped);
	return rc < 0 ? rc : read_privacy_lists(item, result);
}

/* What refuses a file, and was found. */
static bool is_refused(const struct check_privacy_result *privacy) {
	for (size_t i = 0; i < privacy->finding_count; i++)
		if (privacy->findings[i].acts && privacy->findings[i].action == PRIVACY_REFUSE)
			return true;
	return false;
}

/* An outcome that its own parts speak against is no outcome: a pass with a rule that did not pass is a lie. */
static int check_sense(const struct check_result *result) {
	if (result->outcome != OUTCOME_PASSED)
		return result->reason
		               ? 0
		               : fault(EBADMSG, "the result is '%s' without a reason", outcome_word(result->outcome));
	if (result->rule_count == 0 && !result->has_privacy)
		return fault(EBADMSG, "the result is 'passed' without a rule");
	if (is_refused(&result->privacy))
		return fault(EBADMSG, "the result is 'passed', but personal data refuses it");
	for (size_t i = 0; i < result->rule_count; i++)
		if (result->rules[i].outcome != OUTCOME_PASSED)
			return fault(EBADMSG, "the result is 'passed', but rule %zu is not", i + 1);
	return 0;
}

/* There only for a dataset that has a `keep`, which verdicts of before knew nothing of. */
static int read_dropped(const json_t *object, struct check_result *result) {
	result->has_dropped = json_object_get(object, "dropped_rows") != NULL;
	return result->has_dropped ? json_strict_count(object, "dropped_rows", &result->dropped) : 0;
}

int check_result_read_json(const json_t *object, struct check_result **ret_result) {
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	bool has_columns = false;
	int rc = check_result_new(&result);
	if (rc < 0 || (rc = read_outcome(object, &result->outcome)) < 0 ||
	        (rc = json_strict_text_or_null(object, "reason", &result->reason)) < 0 ||
	        (rc = json_strict_text_or_null(object, "canonical", &result->canonical)) < 0 ||
	        (rc = json_strict_text_or_null(object, "dialect", &result->dialect)) < 0 ||
	        (rc = json_strict_count(object, "bytes_read", &result->bytes_read)) < 0 ||
	        (rc = read_count_or_null(object, "rows", &result->has_rows, &result->rows)) < 0 ||
	        (rc = read_count_or_null(object, "columns", &has_columns, &result->columns)) < 0 ||
	        (rc = read_dropped(object, result)) < 0 || (rc = read_lists(object, result)) < 0 ||
	        (rc = read_privacy(object, result)) < 0 || (rc = check_sense(result)) < 0)
		return rc;
	*ret_result = steal_pointer(&result);
	return 0;
}

int check_result_from_json(struct bytes json, struct check_result **ret_result) {
	static const char what[] = "the result of the check";
	_cleanup_(json_decrefp) json_t *object = NULL;
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	_cleanup_(freep) char *again = NULL;
	size_t size;
	int rc = json_strict_parse(json, what, CHECK_RESULT_MAX, CHECK_ELEMENTS_MAX, &object);
	if (rc < 0 || (rc = check_result_read_json(object, &result)) < 0 ||
	        (rc = check_result_to_json(result, &again, &size)) < 0 ||
	        (rc = json_strict_same(json, again, size, what)) < 0)
		return rc == -ENOMEM ? rc : fault_while(-EBADMSG, "%s", what);
	*ret_result = steal_pointer(&result);
	return 0;
}
