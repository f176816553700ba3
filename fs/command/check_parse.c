/* `assayfs check --parse-only`: are these rules, and which? */
#include "fs/command/check.h"

#include "fs/words.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/dqdl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- for programs ---- */

static bool put(json_t *object, const char *key, json_t *value) {
	return json_object_set_new(object, key, value) == 0;
}

static json_t *text_or_null(const char *text) {
	return text ? json_string(text) : json_null();
}

static json_t *parameters_json(const struct dqdl_rule *rule) {
	json_t *object = json_object();
	for (size_t i = 0; i < rule->parameter_count; i++)
		(void)put(object, rule->parameters[i].name, json_string(rule->parameters[i].value));
	return object;
}

/* A tag's text without its quotes, which the tree keeps. */
static json_t *pairs_json(const struct dqdl_pairs *pairs, bool is_quoted) {
	json_t *object = json_object();
	for (size_t i = 0; i < pairs->count; i++) {
		const char *value = pairs->pairs[i].value;
		size_t size = strlen(value), skipped = is_quoted && value[0] == '"' && size >= 2;
		(void)put(object, pairs->pairs[i].key, json_stringn(value + skipped, size - 2 * skipped));
	}
	return object;
}

static json_t *condition_json(const struct dqdl_condition *condition) {
	_cleanup_(freep) char *text = condition->kind == DQDL_CONDITION_NONE ? NULL : dqdl_condition_text(condition);
	return text_or_null(text);
}

/* Depth is bounded by the parser (DQDL_MAX_CHAIN). */
static json_t *rule_json(const struct dqdl_rule *rule) {
	json_t *object = json_object();
	(void)put(object, "type", json_string(rule->type));
	(void)put(object, "params", parameters_json(rule));
	(void)put(object, "text", text_or_null(rule->text));
	(void)put(object, "line", json_integer(rule->line));
	(void)put(object, "column", json_integer(rule->column));
	if (rule->id == DQDL_COMPOSITE) {
		(void)put(object, "op", json_string(rule->is_or ? "OR" : "AND"));
		(void)put(object, "nested", json_pack("[o?, o?]", rule_json(rule->left), rule_json(rule->right)));
	} else {
		(void)put(object, "condition", condition_json(&rule->condition));
		(void)put(object, "threshold", condition_json(&rule->threshold));
		(void)put(object, "where", text_or_null(rule->where));
	}
	(void)put(object, "tags", pairs_json(&rule->tags, true));
	(void)put(object, "labels", pairs_json(&rule->labels, false));
	return object;
}

static json_t *diagnostic_json(const struct dqdl_diagnostic *at) {
	return json_pack("{s:i, s:i, s:s}", "line", (int)at->line, "column", (int)at->column, "message", at->message);
}

static json_t *ruleset_json(const Ruleset *ruleset) {
	json_t *object = json_object(), *rules = json_array(), *analyzers = json_array(), *warnings = json_array();
	for (size_t i = 0; i < ruleset_rules(ruleset); i++)
		(void)json_array_append_new(rules, rule_json(ruleset_rule(ruleset, i)));
	for (size_t i = 0; i < ruleset_analyzers(ruleset); i++)
		(void)json_array_append_new(analyzers, rule_json(ruleset_analyzer(ruleset, i)));
	for (size_t i = 0; i < ruleset_warnings(ruleset); i++)
		(void)json_array_append_new(warnings, diagnostic_json(ruleset_warning(ruleset, i)));
	(void)put(object, "valid", json_true());
	(void)put(object, "canonical", json_string(dqdl_canonical(ruleset)));
	(void)put(object, "rules", rules);
	(void)put(object, "analyzers", analyzers);
	(void)put(object, "warnings", warnings);
	(void)put(object, "error", json_null());
	return object;
}

/* As a check would be, so that an editor needs one way to read it. */
static json_t *error_json(const struct dqdl_diagnostic *at) {
	return json_pack("{s:b, s:n, s:[], s:[], s:[], s:o}", "valid", 0, "canonical", "rules", "analyzers", "warnings",
	        "error", diagnostic_json(at));
}

/* ---- for people ---- */

static void print_ruleset(const char *path, const Ruleset *ruleset) {
	_cleanup_(freep) char *safe = words_safe(path);
	words_print_lines(dqdl_canonical(ruleset));
	for (size_t i = 0; i < ruleset_warnings(ruleset); i++) {
		const struct dqdl_diagnostic *at = ruleset_warning(ruleset, i);
		_cleanup_(freep) char *message = words_line(at->message);
		printf("note: %s:%u:%u: %s\n", safe ? safe : "?", at->line, at->column, message ? message : "?");
	}
	size_t rules = ruleset_rules(ruleset), analyzers = ruleset_analyzers(ruleset);
	printf("%s: valid (%zu rule%s, %zu analyzer%s)\n", safe ? safe : "?", rules, words_s(rules), analyzers,
	        words_s(analyzers));
}

int check_parse_only(const struct invocation *call) {
	const char *path = command_value(call, "rules");
	_cleanup_(freep) char *text = NULL;
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	struct dqdl_diagnostic at = {.line = 1, .column = 1};
	size_t size = 0;
	if (!path)
		return command_fail(call, EXIT_USAGE, "--parse-only reads the rules that --rules names: give it");
	int rc = check_read_rules(path, &text, &size);
	if (rc == 0)
		rc = dqdl_parse(bytes_of(text, size), &ruleset, &at);
	if (rc == -EMSGSIZE || rc == -EFBIG) {
		snprintf(at.message, sizeof at.message, "%s", fault_message());
		rc = -EINVAL;
	} else if (rc < 0 && rc != -EINVAL) {
		int code = command_fault(call, rc, "reading %s", path);
		return rc == -ENOENT || rc == -ENOTDIR || rc == -EISDIR ? code : EXIT_UNDECIDED;
	}
	if (command_has(call, "json")) {
		int code = check_print_line(call, rc == 0 ? ruleset_json(ruleset) : error_json(&at));
		return code || rc == 0 ? code : EXIT_NO;
	}
	if (rc < 0)
		return command_fail(call, EXIT_NO, "%s:%u:%u: %s", path, at.line, at.column, at.message);
	print_ruleset(path, ruleset);
	return EXIT_DONE;
}
