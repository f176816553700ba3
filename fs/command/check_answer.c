/* What became of a checked file: rule by rule for people, one JSON object in one line for programs. */
#include "fs/command/check.h"

#include "fs/words.h"

#include "crypto/base/fault.h"
#include "policy/check_json.h"
#include "policy/privacy_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int exit_of(enum outcome outcome) {
	return outcome == OUTCOME_PASSED ? EXIT_DONE : outcome == OUTCOME_FAILED ? EXIT_NO : EXIT_UNDECIDED;
}

/* ---- for people ---- */

static void print_rule(const char *word, const struct check_rule *rule) {
	/* Rules have backslashes of their own, to be read and copied as they are. */
	_cleanup_(freep) char *text = words_line(rule->text);
	_cleanup_(freep) char *reason = rule->reason ? words_line(rule->reason) : NULL;
	printf("%-6s  %s\n", word, text ? text : "?");
	if (reason)
		printf("        %s\n", reason);
	for (size_t i = 0; i < rule->metric_count; i++) {
		_cleanup_(freep) char *name = words_safe(rule->metrics[i].name);
		printf("        %s = %.15g\n", name ? name : "?", rule->metrics[i].value);
	}
}

static void print_result(const char *file, const struct check_result *result) {
	_cleanup_(freep) char *safe = words_safe(file);
	for (size_t i = 0; i < result->rule_count; i++)
		print_rule(outcome_word(result->rules[i].outcome), &result->rules[i]);
	for (size_t i = 0; i < result->analyzer_count; i++)
		print_rule("measured", &result->analyzers[i]);
	privacy_text_put(stdout, result);
	for (size_t i = 0; i < result->warning_count; i++) {
		_cleanup_(freep) char *warning = words_line(result->warnings[i]);
		printf("note: %s\n", warning ? warning : "?");
	}
	printf("%s: %s", safe ? safe : "?", outcome_word(result->outcome));
	if (result->reason) {
		_cleanup_(freep) char *reason = words_line(result->reason);
		printf(": %s", reason ? reason : "?");
	}
	if (result->has_rows)
		printf(" (%" PRIu64 " row%s, %" PRIu64 " column%s)", result->rows, words_s(result->rows),
		        result->columns, words_s(result->columns));
	if (result->has_dropped)
		printf("; %" PRIu64 " more row%s dropped by keep", result->dropped, words_s(result->dropped));
	putchar('\n');
}

/* ---- for programs ---- */

/* A rule's outcome in the words of AWS Glue, where it is one of its own results. */
static const char *glue_word(const char *word) {
	return strcmp(word, "passed") == 0 ? "Passed" : strcmp(word, "failed") == 0 ? "Failed" : "Error";
}

static bool set_glue_words(json_t *items) {
	json_t *item;
	size_t i;
	bool done = true;
	json_array_foreach(items, i, item) {
		const char *word = json_string_value(json_object_get(item, "outcome"));
		done = done && word && json_object_set_new(item, "outcome", json_string(glue_word(word))) == 0;
	}
	return done;
}

static json_t *result_json(const char *file, const struct check_result *result) {
	_cleanup_(json_decrefp) json_t *all = check_result_json(result);
	_cleanup_(json_decrefp) json_t *object = json_object();
	if (!all || !object)
		return NULL;
	if (!set_glue_words(json_object_get(all, "rules")) || !set_glue_words(json_object_get(all, "analyzers")))
		return NULL;
	/* What everybody looks for comes first; then all that there is. A file that can't be read has no row. */
	static const char *const first[] = {"outcome", "canonical", "rules", "analyzers", "warnings"};
	if (json_object_set_new(object, "file", words_is_utf8(file) ? json_string(file) : json_null()) != 0 ||
	        json_object_set_new(object, "rows", json_integer((json_int_t)result->rows)) != 0)
		return NULL;
	json_t *value;
	for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
		value = json_object_get(all, first[i]);
		if (json_object_set_new(object, first[i], value ? json_incref(value) : json_array()) != 0)
			return NULL;
	}
	const char *key;
	json_object_foreach(all, key, value) {
		if (!json_object_get(object, key) && json_object_set(object, key, value) != 0)
			return NULL;
	}
	return steal_pointer(&object);
}

int check_print_line(const struct invocation *call, json_t *value) {
	if (!value)
		return command_fail(call, EXIT_UNDECIDED, "printing JSON: out of memory");
	int rc = json_dumpf(value, stdout, JSON_COMPACT);
	json_decref(value);
	putchar('\n');
	if (rc || ferror(stdout))
		return command_fail(call, EXIT_UNDECIDED, "printing JSON: standard output can't be written");
	return EXIT_DONE;
}

int check_answer(const struct invocation *call, const char *file, const struct check_result *result) {
	int code = EXIT_DONE;
	if (command_has(call, "json"))
		code = check_print_line(call, result_json(file, result));
	else
		print_result(file, result);
	return code ? code : exit_of(result->outcome);
}
