/* The evaluator on real data and on cases that were executed by the open one: neither is in the repository. */
#include "tests/policy/evaluate_csv.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *data_path(const char *name) {
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", data ? data : "", name) > 0);
	if (!data || access(path, R_OK) != 0) {
		print_message("skipped: no %s under ASSAYFS_TEST_DATA\n", name);
		free(path);
		skip();
	}
	return path;
}

static char *read_file(const char *name, size_t *ret_size) {
	_cleanup_(freep) char *path = data_path(name);
	FILE *file = fopen(path, "r");
	char *text = malloc(4 << 20);
	*ret_size = fread(text, 1, 4 << 20, file);
	fclose(file);
	return text;
}

/* One column's metrics under one null policy: each expected number is computed by a rule. */
static size_t check_column(
        const char *csv, size_t size, const char *column, json_t *expected, const struct dqdl_options *options) {
	static const struct {
		const char *name;
		const char *rule;
		size_t metric;
	} cases[] = {{"Completeness", "Completeness \"%s\" >= 0", 0}, {"Uniqueness", "Uniqueness \"%s\" >= 0", 0},
	        {"UniqueValueRatio", "UniqueValueRatio \"%s\" >= 0", 0},
	        {"DistinctValuesCount_deequ(null is a bin)", "DistinctValuesCount \"%s\" >= 0", 0},
	        {"Entropy_ln", "Entropy \"%s\" >= 0", 0}, {"MinLength", "ColumnLength \"%s\" between -1 and 99", 0},
	        {"MaxLength", "ColumnLength \"%s\" between -1 and 99", 1}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char rule[200];
		char text[300];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(rule, sizeof rule, cases[i].rule, column);
#pragma GCC diagnostic pop
		(void)snprintf(text, sizeof text, "Rules = [ %s ]", rule);
		_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
		_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, *options);
		feed_csv(evaluator, csv, size);
		const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, 0);
		assert_int_equal(outcome->result, DQDL_PASSED);
		double value = outcome->metrics[cases[i].metric].value;
		double wanted = json_number_value(json_object_get(expected, cases[i].name));
		if (fabs(value - wanted) > 1e-12 * fabs(wanted))
			fail_msg("%s %s: %.17g, expected %.17g", column, cases[i].name, value, wanted);
	}
	return sizeof cases / sizeof *cases;
}

static void the_lost_and_found_file_has_the_expected_metrics(void **state) {
	(void)state;
	static const char *const file = "animal-control-inventory-lost-and-found.csv";
	_cleanup_(freep) char *path = data_path("vancouver/expected_metrics.json");
	json_t *root = json_load_file(path, 0, NULL);
	json_t *expected = json_object_get(root, file);
	size_t size;
	_cleanup_(freep) char *csv = read_file("vancouver/animal-control-inventory-lost-and-found.csv", &size);
	size_t checked = 0;
	const char *column;
	json_t *policies;
	json_object_foreach(json_object_get(expected, "cols"), column, policies) {
		checked += check_column(csv, size, column, json_object_get(policies, "empty_is_null"), &empty);
		checked += check_column(csv, size, column, json_object_get(policies, "empty_is_string"), &none);
		/* All its columns with empty cells are texts. */
		checked += check_column(csv, size, column, json_object_get(policies, "empty_is_string"), &glue);
	}
	assert_int_equal(checked, 6 * 7 * 3);
	_cleanup_(ruleset_freep) Ruleset *ruleset =
	        parse("Rules = [ RowCount = 17628, ColumnCount = 6, DuplicateRowCount = 28 ]");
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, empty);
	feed_csv(evaluator, csv, size);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(dqdl_evaluator_outcome(evaluator, i)->result, DQDL_PASSED);
	json_decref(root);
}

/* A JSON value as a cell; the text is the caller's to free. */
static struct table_cell json_cell(json_t *value, char **ret_text) {
	*ret_text = NULL;
	int size = -1;
	if (json_is_string(value))
		size = asprintf(ret_text, "%s", json_string_value(value));
	else if (json_is_integer(value))
		size = asprintf(ret_text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		size = asprintf(ret_text, "%.17g", json_real_value(value));
	else if (json_is_boolean(value))
		size = asprintf(ret_text, "%s", json_is_true(value) ? "true" : "false");
	return (struct table_cell){.data = *ret_text, .size = size < 0 ? 0 : (size_t)size};
}

#define WIDEST 8

enum pass { HEADER, FEED, JUDGE, REFERENCE_ROW };

/* Passes an array of JSON values to the evaluator. */
static void pass_row(DqdlEvaluator *evaluator, json_t *values, enum pass pass, uint64_t line) {
	struct table_cell cells[WIDEST];
	char *texts[WIDEST];
	size_t count = json_array_size(values);
	assert_true(count <= WIDEST);
	for (size_t i = 0; i < count; i++)
		cells[i] = json_cell(json_array_get(values, i), &texts[i]);
	int rc = pass == HEADER  ? dqdl_evaluator_header(evaluator, cells, count)
	         : pass == FEED  ? dqdl_evaluator_row(evaluator, cells, line)
	         : pass == JUDGE ? dqdl_evaluator_judge(evaluator, cells)
	                         : dqdl_evaluator_reference_row(evaluator, cells, line);
	assert_int_equal(rc, 0);
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
}

static void pass_references(DqdlEvaluator *evaluator, json_t *references) {
	const char *alias;
	json_t *table;
	json_object_foreach(references, alias, table) {
		json_t *columns = json_object_get(table, "columns"), *rows = json_object_get(table, "rows");
		struct table_cell names[WIDEST];
		for (size_t i = 0; i < json_array_size(columns); i++)
			names[i] = (struct table_cell){.data = json_string_value(json_array_get(columns, i)),
			        .size = json_string_length(json_array_get(columns, i))};
		assert_int_equal(dqdl_evaluator_reference(evaluator, alias, names, json_array_size(columns)), 0);
		for (size_t i = 0; i < json_array_size(rows); i++)
			pass_row(evaluator, json_array_get(rows, i), REFERENCE_ROW, i + 1);
		assert_int_equal(dqdl_evaluator_reference_end(evaluator), 0);
	}
}

static bool is_supported(const DqdlEvaluator *evaluator) {
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++) {
		const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, i);
		if (outcome->result == DQDL_ERROR && strstr(outcome->reason, "not supported yet"))
			return false;
	}
	return true;
}

static void check_outcomes(const DqdlEvaluator *evaluator, json_t *expected, const char *rules) {
	if (!expected)
		return;
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++) {
		const char *wanted = json_is_string(expected) ? json_string_value(expected) + 4
		                                              : json_string_value(json_array_get(expected, i));
		const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, i);
		if (strcasecmp(results[outcome->result], wanted) != 0)
			fail_msg("%s: %s, expected %s (%s)", rules, results[outcome->result], wanted,
			        outcome->reason ? outcome->reason : "");
	}
}

static void check_metrics(const DqdlEvaluator *evaluator, json_t *expected, const char *rules) {
	const char *name;
	json_t *value;
	json_object_foreach(expected, name, value) {
		bool found = false;
		for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++) {
			const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, i);
			for (size_t j = 0; j < outcome->metric_count; j++)
				found |= strcmp(outcome->metrics[j].name, name) == 0 &&
				         outcome->metrics[j].value == json_number_value(value);
		}
		if (!found)
			fail_msg("%s: no metric %s = %g", rules, name, json_number_value(value));
	}
}

static void check_rows(DqdlEvaluator *evaluator, json_t *rows, json_t *expected, const char *rules) {
	for (size_t row = 0; row < json_array_size(expected); row++) {
		pass_row(evaluator, json_array_get(rows, row), JUDGE, 0);
		bool failed = false;
		for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++)
			failed |= dqdl_evaluator_row_result(evaluator, i) == DQDL_ROW_FAILED;
		bool wanted = strcmp(json_string_value(json_array_get(expected, row)), "Failed") == 0;
		if (failed != wanted)
			fail_msg("%s: row %zu", rules, row);
	}
}

/* Rulesets that are decided otherwise here, as docs/dqdl.md says with the reason. */
static bool is_decided_otherwise(const char *rules) {
	static const char *const others[] = {
	        "Rules=[ColumnDataType \"info._1\" = \"DATE\"]", /* a column of structs: a table of texts has none */
	};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(rules, others[i]) == 0)
			return true;
	return false;
}

/* One executed case of the open evaluator's tests; false if it needs what is not supported yet. */
static bool check_executed(json_t *test) {
	const char *rules = json_string_value(json_object_get(test, "ruleset"));
	if (is_decided_otherwise(rules))
		return true;
	json_t *data = json_object_get(test, "data");
	json_t *rows = json_object_get(data, "rows");
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(rules);
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, glue);
	pass_row(evaluator, json_object_get(data, "columns"), HEADER, 0);
	pass_references(evaluator, json_object_get(test, "refs"));
	for (size_t i = 0; i < json_array_size(rows); i++)
		pass_row(evaluator, json_array_get(rows, i), FEED, i + 1);
	assert_int_equal(dqdl_evaluator_finish(evaluator), 0);
	if (!is_supported(evaluator)) {
		print_message("not supported yet: %s\n", rules);
		return false;
	}
	check_outcomes(evaluator, json_object_get(test, "outcomes"), rules);
	check_metrics(evaluator, json_object_get(test, "metrics"), rules);
	check_rows(evaluator, rows, json_object_get(test, "row_outcomes"), rules);
	return true;
}

static void executed_cases_come_out_as_in_the_open_evaluator(void **state) {
	(void)state;
	_cleanup_(freep) char *path = data_path("dqdl/eval_deequ.jsonl");
	FILE *file = fopen(path, "r");
	_cleanup_(freep) char *line = NULL;
	size_t room = 0;
	size_t passed = 0;
	size_t unsupported = 0;
	while (getline(&line, &room, file) > 0) {
		json_t *test = json_loads(line, 0, NULL);
		assert_non_null(test);
		if (check_executed(test))
			passed++;
		else
			unsupported++;
		json_decref(test);
	}
	fclose(file);
	assert_int_equal(passed, 168);
	assert_int_equal(unsupported, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_lost_and_found_file_has_the_expected_metrics),
	        cmocka_unit_test(executed_cases_come_out_as_in_the_open_evaluator),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
