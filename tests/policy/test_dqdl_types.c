/* The table of rule types: against the open parser's, and docs/dqdl.md against it. */
#include "policy/dqdl/types.h"

#include "crypto/base/cleanup.h"
#include "policy/dqdl/evaluator.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_type_is_found_by_its_name_and_parameters(void **state) {
	(void)state;
	assert_int_equal(dqdl_type_find("DatasetMatch", 2)->parameter_count, 2);
	assert_int_equal(dqdl_type_find("DatasetMatch", 3)->parameter_count, 3);
	assert_null(dqdl_type_find("DatasetMatch", 1));
	assert_int_equal(dqdl_type_find("IsUnique", 7)->id, DQDL_IS_UNIQUE);
	assert_null(dqdl_type_find("IsUnique", 0));
	assert_null(dqdl_type_find("isUnique", 1));
	assert_int_equal(dqdl_type_named("DatasetMatch")->id, DQDL_DATASET_MATCH);
	assert_true(dqdl_type_is_boolean(dqdl_type_named("IsComplete")));
	assert_false(dqdl_type_is_boolean(dqdl_type_named("CustomSql")));
	assert_null(dqdl_type_at(1000));
}

/* ---- the open parser's table ---- */

static enum dqdl_condition_kind kind_of_word(const char *word, size_t length) {
	static const struct {
		const char *word;
		enum dqdl_condition_kind kind;
	} words[] = {{"BOOLEAN", DQDL_CONDITION_NONE}, {"NUMBER", DQDL_CONDITION_NUMBER},
	        {"NUMBER_ARRAY", DQDL_CONDITION_NUMBER}, {"STRING", DQDL_CONDITION_STRING},
	        {"STRING_ARRAY", DQDL_CONDITION_STRING}, {"DATE", DQDL_CONDITION_DATE},
	        {"DATE_ARRAY", DQDL_CONDITION_DATE}, {"DURATION_ARRAY", DQDL_CONDITION_DURATION},
	        {"SIZE", DQDL_CONDITION_SIZE}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strlen(words[i].word) == length && strncmp(words[i].word, word, length) == 0)
			return words[i].kind;
	fail_msg("no condition is called %s", word);
	return DQDL_CONDITION_NONE;
}

static bool flag(json_t *object, const char *key) {
	return json_is_true(json_object_get(object, key));
}

static void check_type(json_t *wanted, const struct dqdl_type *type) {
	assert_string_equal(type->name, json_string_value(json_object_get(wanted, "rule_type_name")));
	json_t *parameters = json_object_get(wanted, "parameters"), *parameter;
	size_t i;
	bool variadic = false;
	assert_int_equal(type->parameter_count, json_array_size(parameters));
	json_array_foreach(parameters, i, parameter) {
		assert_string_equal(type->parameters[i], json_string_value(json_object_get(parameter, "name")));
		variadic |= flag(parameter, "is_var_arg");
	}
	assert_int_equal(type->variadic, variadic);
	assert_int_equal(type->threshold, flag(wanted, "is_threshold_supported"));
	assert_int_equal(type->where, flag(wanted, "is_where_clause_supported"));
	assert_int_equal(type->analyzer_only, flag(wanted, "is_analyzer_only"));
	assert_int_equal(type->excluded_in_rows, flag(wanted, "is_excluded_at_row_level_in_composite_rules"));
	const char *word = json_string_value(json_object_get(wanted, "return_type"));
	for (i = 0; *word; i++) {
		size_t length = strcspn(word, "|");
		assert_true(i < type->return_count);
		assert_int_equal(type->returns[i], kind_of_word(word, length));
		word += length + (word[length] == '|');
	}
	assert_int_equal(i, type->return_count);
}

static void the_table_is_the_open_parsers(void **state) {
	(void)state;
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char path[512];
	(void)snprintf(path, sizeof path, "%s/dqdl/rules_config.json", data ? data : "");
	json_t *root = data ? json_load_file(path, 0, NULL) : NULL;
	if (!root) {
		print_message("skipped: no dqdl/rules_config.json under ASSAYFS_TEST_DATA\n");
		skip();
	}
	json_t *types = json_object_get(root, "rule_types");
	size_t count = 0;
	for (; dqdl_type_at(count); count++)
		check_type(json_array_get(types, count), dqdl_type_at(count));
	assert_int_equal(count, json_array_size(types));
	json_decref(root);
}

/* ---- the documentation ---- */

static void print_parameters(FILE *out, const struct dqdl_type *type) {
	for (size_t i = 0; i < type->parameter_count; i++)
		(void)fprintf(out, "%s%s%s", i ? ", " : "", type->parameters[i],
		        type->variadic && i + 1 == type->parameter_count ? "…" : "");
}

static void print_conditions(FILE *out, const struct dqdl_type *type) {
	static const char *const words[] = {"none", "number", "string", "date", "duration", "size"};
	for (size_t i = 0; i < type->return_count; i++)
		(void)fprintf(out, "%s%s", i ? ", " : "", words[type->returns[i]]);
}

/* A rule says something about single rows when that of any of its conditions does. */
static bool has_rows(const struct dqdl_type *type) {
	bool rows = false;
	for (size_t i = 0; i < type->return_count; i++) {
		struct dqdl_rule rule = {
		        .id = type->id, .condition.kind = type->returns[i], .parameter_count = type->parameter_count};
		rows |= kind_of(&rule) && kind_of(&rule)->row_level;
	}
	return rows;
}

/* A row of the table in docs/dqdl.md. */
static char *row_of(const struct dqdl_type *type) {
	char *text = NULL;
	size_t size;
	struct dqdl_rule rule = {
	        .id = type->id, .condition.kind = type->returns[0], .parameter_count = type->parameter_count};
	FILE *out = open_memstream(&text, &size);
	(void)fprintf(out, "| `%s` | ", type->name);
	print_parameters(out, type);
	(void)fputs(type->parameter_count ? " | " : "| ", out);
	print_conditions(out, type);
	(void)fprintf(out, " |%s |%s |%s |%s |\n", type->where ? " yes" : "", type->threshold ? " yes" : "",
	        !has_rows(type)          ? ""
	        : type->excluded_in_rows ? " not in and/or"
	                                 : " yes",
	        kind_of(&rule) ? " yes" : " not yet");
	(void)fclose(out);
	return text;
}

static char *read_page(void) {
	const char *source = getenv("ASSAYFS_SOURCE");
	char path[512];
	(void)snprintf(path, sizeof path, "%s/docs/dqdl.md", source ? source : ".");
	FILE *file = fopen(path, "re");
	if (!file)
		fail_msg("%s can't be opened", path);
	char *text = calloc(1, 1 << 20);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	(void)fclose(file);
	return text;
}

static size_t count_of(const char *text, const char *part) {
	size_t count = 0;
	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		count++;
	return count;
}

static void the_documentation_lists_each_type_as_it_is(void **state) {
	(void)state;
	_cleanup_(freep) char *page = read_page();
	char *table = strstr(page, "\n## Rule types\n");
	assert_non_null(table);
	char *end = strstr(table + 1, "\n## ");
	assert_non_null(end);
	*end = '\0';
	size_t count = 0, missing = 0;
	for (const struct dqdl_type *type; (type = dqdl_type_at(count)) != NULL; count++) {
		_cleanup_(freep) char *row = row_of(type);
		if (strstr(table, row))
			continue;
		missing++;
		print_message("%s", row);
	}
	if (missing > 0)
		fail_msg("docs/dqdl.md lacks the %zu rows above in its table of rule types", missing);
	if (count_of(table, "\n| `") != count)
		fail_msg("docs/dqdl.md has %zu rows for %zu rule types", count_of(table, "\n| `"), count);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_type_is_found_by_its_name_and_parameters),
	        cmocka_unit_test(the_table_is_the_open_parsers),
	        cmocka_unit_test(the_documentation_lists_each_type_as_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
