/* Building a check's answer. */
#include "policy/check.h"

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const words[] = {[OUTCOME_NONE] = "none",
        [OUTCOME_PENDING] = "pending",
        [OUTCOME_PASSED] = "passed",
        [OUTCOME_FAILED] = "failed",
        [OUTCOME_ERROR] = "error"};

const char *outcome_word(enum outcome outcome) {
	return (unsigned)outcome <= OUTCOME_ERROR ? words[outcome] : "error";
}

int outcome_from_word(const char *word, enum outcome *ret_outcome) {
	for (enum outcome outcome = OUTCOME_NONE; outcome <= OUTCOME_ERROR; outcome++)
		if (strcmp(word, words[outcome]) == 0) {
			*ret_outcome = outcome;
			return 0;
		}
	return fault(EINVAL, "'%.20s' is no outcome", word);
}

static int no_memory(void) {
	return fault(ENOMEM, "no memory for the result of a check");
}

/* A copy that any JSON writer takes: cut to CHECK_TEXT_MAX at a character, '?' for what is not UTF-8. */
static char *copy_text(const char *text) {
	size_t size = strnlen(text, CHECK_TEXT_MAX);
	bool is_cut = text[size] != '\0';
	char *copy = malloc(size + 1);
	if (!copy)
		return NULL;
	memcpy(copy, text, size);
	copy[size] = '\0';
	for (size_t valid; (valid = utf8_valid_prefix(copy, size)) < size;) {
		if (is_cut && size - valid < 4)
			size = valid; /* the character that was cut in two */
		else
			copy[valid] = '?';
	}
	copy[size] = '\0';
	return copy;
}

int check_result_new(struct check_result **ret_result) {
	struct check_result *result = calloc(1, sizeof *result);
	if (!result)
		return no_memory();
	*ret_result = result;
	return 0;
}

static void free_rule(struct check_rule *rule) {
	for (size_t i = 0; i < rule->metric_count; i++)
		free(rule->metrics[i].name);
	free(rule->metrics);
	free(rule->failing_lines);
	free(rule->text);
	free(rule->reason);
}

static void free_privacy(struct check_privacy_result *privacy) {
	for (size_t i = 0; i < privacy->finding_count; i++) {
		free(privacy->findings[i].entity);
		free(privacy->findings[i].column);
		free(privacy->findings[i].lines);
	}
	for (size_t i = 0; i < privacy->allowed_count; i++)
		free(privacy->allowed[i].owner);
	free(privacy->findings);
	free(privacy->allowed);
}

void check_result_free(struct check_result *result) {
	if (!result)
		return;
	for (size_t i = 0; i < result->rule_count; i++)
		free_rule(&result->rules[i]);
	for (size_t i = 0; i < result->analyzer_count; i++)
		free_rule(&result->analyzers[i]);
	for (size_t i = 0; i < result->warning_count; i++)
		free(result->warnings[i]);
	free(result->rules);
	free(result->analyzers);
	free(result->warnings);
	row_list_free(result->withheld);
	edit_list_free(result->edits);
	free_privacy(&result->privacy);
	free(result->reason);
	free(result->canonical);
	free(result->dialect);
	free(result);
}

int check_result_say(struct check_result *result, enum outcome outcome, const char *format, ...) {
	char text[2048];
	va_list list;
	if (result->outcome == OUTCOME_ERROR)
		return 0;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	char *reason = copy_text(text);
	if (!reason)
		return no_memory();
	free(result->reason);
	result->reason = reason;
	result->outcome = outcome;
	return 0;
}

char *check_result_summary(const struct check_result *result) {
	char *summary = NULL;
	size_t failed = 0;
	int length = -1;
	for (size_t i = 0; i < result->rule_count; i++) {
		const struct check_rule *rule = &result->rules[i];
		if (rule->outcome == OUTCOME_ERROR) {
			length = asprintf(&summary, "rule %zu, %.300s: %.500s", i + 1, rule->text,
			        rule->reason ? rule->reason : "it could not be decided");
			return length < 0 ? NULL : summary;
		}
		failed += rule->outcome != OUTCOME_PASSED;
	}
	if (failed > 0)
		length = asprintf(&summary, "%zu of %zu rule%s did not pass", failed, result->rule_count,
		        result->rule_count == 1 ? "" : "s");
	return length < 0 ? NULL : summary;
}

int check_result_take_output(struct check_result *result, const struct check_result *output) {
	int rc = 0;
	for (size_t i = 0; i < output->rule_count && rc == 0; i++) {
		const struct check_rule *from = &output->rules[i];
		struct check_rule *rule = check_result_add_rule(result, from->text, from->outcome);
		if (!rule)
			return -ENOMEM;
		rc = from->reason ? check_rule_set_reason(rule, from->reason) : 0;
	}
	bool passes = output->outcome == OUTCOME_PASSED;
	return rc < 0 || passes ? rc : check_result_say(result, output->outcome, "%s", output->reason);
}

int check_result_error(struct check_result **ret_result, const char *format, ...) {
	char text[2048];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	int rc = check_result_new(&result);
	if (rc < 0 || (rc = check_result_say(result, OUTCOME_ERROR, "%s", text)) < 0)
		return rc;
	*ret_result = steal_pointer(&result);
	return 0;
}

/* Room for one more in an array that grows by doubling. */
static void *room_for_one(void *items, size_t count, size_t size) {
	bool is_full = count == 0 || (count >= 4 && (count & (count - 1)) == 0);
	if (!is_full)
		return items;
	return reallocarray(items, count < 4 ? 4 : count * 2, size);
}

/* One more in a list of rules or analyzers. */
static struct check_rule *add_rule(struct check_rule **list, size_t *count, const char *text, enum outcome outcome) {
	struct check_rule *grown = room_for_one(*list, *count, sizeof *grown);
	if (grown)
		*list = grown;
	char *copy = grown ? copy_text(text) : NULL;
	if (!copy) {
		(void)no_memory();
		return NULL;
	}
	struct check_rule *rule = &grown[(*count)++];
	*rule = (struct check_rule){.text = copy, .outcome = outcome};
	return rule;
}

struct check_rule *check_result_add_rule(struct check_result *result, const char *text, enum outcome outcome) {
	if (result->rule_count < CHECK_RULES_MAX)
		return add_rule(&result->rules, &result->rule_count, text, outcome);
	(void)fault(E2BIG, "a ruleset has at most %d rules", CHECK_RULES_MAX);
	return NULL;
}

struct check_rule *check_result_add_analyzer(struct check_result *result, const char *text, enum outcome outcome) {
	if (result->analyzer_count < CHECK_ANALYZERS_MAX)
		return add_rule(&result->analyzers, &result->analyzer_count, text, outcome);
	(void)fault(E2BIG, "a ruleset has at most %d analyzers", CHECK_ANALYZERS_MAX);
	return NULL;
}

int check_rule_set_reason(struct check_rule *rule, const char *reason) {
	char *copy = copy_text(reason);
	if (!copy)
		return no_memory();
	free(rule->reason);
	rule->reason = copy;
	return 0;
}

int check_rule_add_metric(struct check_rule *rule, const char *name, double value) {
	if (rule->metric_count >= CHECK_METRICS_MAX)
		return fault(E2BIG, "a rule has at most %d metrics", CHECK_METRICS_MAX);
	struct check_metric *grown = room_for_one(rule->metrics, rule->metric_count, sizeof *grown);
	if (!grown)
		return no_memory();
	rule->metrics = grown;
	char *copy = copy_text(name);
	if (!copy)
		return no_memory();
	grown[rule->metric_count++] = (struct check_metric){.name = copy, .value = value};
	return 0;
}

int check_rule_add_failing_line(struct check_rule *rule, uint64_t line) {
	if (rule->failing_line_count >= CHECK_FAILING_LINES_MAX)
		return 0;
	uint64_t *grown = room_for_one(rule->failing_lines, rule->failing_line_count, sizeof *grown);
	if (!grown)
		return no_memory();
	rule->failing_lines = grown;
	grown[rule->failing_line_count++] = line;
	return 0;
}

int check_result_warn(struct check_result *result, const char *warning) {
	if (result->warning_count >= CHECK_WARNINGS_MAX)
		return 0;
	char **grown = room_for_one(result->warnings, result->warning_count, sizeof *grown);
	if (!grown)
		return no_memory();
	result->warnings = grown;
	char *copy = copy_text(warning);
	if (!copy)
		return no_memory();
	grown[result->warning_count++] = copy;
	return 0;
}

/* ---- personal data ---- */

struct check_finding *check_result_add_finding(struct check_result *result, const char *entity, const char *column) {
	struct check_privacy_result *privacy = &result->privacy;
	if (privacy->finding_count >= CHECK_FINDINGS_MAX) {
		(void)fault(E2BIG, "personal data is found in more than %d columns", CHECK_FINDINGS_MAX);
		return NULL;
	}
	struct check_finding *grown = room_for_one(privacy->findings, privacy->finding_count, sizeof *grown);
	if (grown)
		privacy->findings = grown;
	_cleanup_(freep) char *entity_copy = grown ? copy_text(entity) : NULL;
	char *column_copy = entity_copy && column ? copy_text(column) : NULL;
	if (!entity_copy || (column && !column_copy)) {
		(void)no_memory();
		return NULL;
	}
	struct check_finding *finding = &grown[privacy->finding_count++];
	*finding = (struct check_finding){.entity = steal_pointer(&entity_copy), .column = column_copy, .acts = true};
	return finding;
}

struct check_allowed *check_result_add_allowed(struct check_result *result, const char *owner) {
	struct check_privacy_result *privacy = &result->privacy;
	struct check_allowed *grown = room_for_one(privacy->allowed, privacy->allowed_count, sizeof *grown);
	if (grown)
		privacy->allowed = grown;
	char *copy = grown && owner ? copy_text(owner) : NULL;
	if (!grown || (owner && !copy)) {
		(void)no_memory();
		return NULL;
	}
	struct check_allowed *allowed = &grown[privacy->allowed_count++];
	*allowed = (struct check_allowed){.owner = copy};
	return allowed;
}

int check_finding_add_line(struct check_finding *finding, uint64_t line) {
	if (finding->line_count >= CHECK_FAILING_LINES_MAX)
		return 0;
	uint64_t *grown = room_for_one(finding->lines, finding->line_count, sizeof *grown);
	if (!grown)
		return no_memory();
	finding->lines = grown;
	grown[finding->line_count++] = line;
	return 0;
}

char *check_finding_text(const struct check_finding *finding) {
	char *text = NULL;
	bool is_column = strcmp(finding->entity, CHECK_ENTITY_COLUMN) == 0;
	int length = !finding->column ? asprintf(&text, "%s", finding->entity)
	             : is_column      ? asprintf(&text, "the column \"%s\"", finding->column)
	                              : asprintf(&text, "%s in \"%s\"", finding->entity, finding->column);
	return length < 0 ? NULL : text;
}

size_t check_result_reasons(const struct check_result *result) {
	return result->rule_count + result->privacy.finding_count;
}
