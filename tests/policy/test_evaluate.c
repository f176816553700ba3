#include "policy/dqdl/evaluate.h"

#include "crypto/base/fault.h"
#include "policy/table/csv.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/pieces.h"

/* 2026-11-23 10:30:45 UTC */
#define NOW 1795429845

static Ruleset *parse(const char *rules) {
	Ruleset *ruleset = NULL;
	if (dqdl_parse(bytes_of_string(rules), &ruleset, NULL) < 0)
		fail_msg("%s in %s", fault_message(), rules);
	return ruleset;
}

static DqdlEvaluator *start(const Ruleset *ruleset, struct dqdl_options options) {
	DqdlEvaluator *evaluator = NULL;
	options.now = NOW;
	assert_int_equal(dqdl_evaluator_new(ruleset, &options, &evaluator), 0);
	return evaluator;
}

static void feed_csv(DqdlEvaluator *evaluator, const char *csv, size_t size) {
	struct pieces source = {.data = csv, .size = size};
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(csv_open(pieces_take, &source, &(struct csv_options){.header = CSV_HEADER_YES}, &reader), 0);
	assert_int_equal(dqdl_evaluator_header(evaluator, csv_header_of(reader), csv_columns(reader)), 0);
	int rc;
	while ((rc = csv_next(reader, &cells)) == 1)
		assert_int_equal(dqdl_evaluator_row(evaluator, cells, csv_line(reader)), 0);
	assert_int_equal(rc, 0);
	assert_int_equal(dqdl_evaluator_finish(evaluator), 0);
}

static const char *const results[] = {"PASSED", "FAILED", "ERROR"};

/* Holds one rule against a CSV text; `words` must be in the reason (NULL: any). */
static void assert_result(
        const char *csv, struct dqdl_options options, const char *rule, enum dqdl_result expected, const char *words) {
	_cleanup_(freep) char *rules = NULL;
	assert_true(asprintf(&rules, "Rules = [ %s ]", rule) > 0);
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(rules);
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, options);
	feed_csv(evaluator, csv, strlen(csv));
	const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, 0);
	const char *reason = outcome->reason ? outcome->reason : "";
	if (outcome->result != expected)
		fail_msg("%s: %s (%s), expected %s", rule, results[outcome->result], reason, results[expected]);
	if (expected != DQDL_PASSED)
		assert_non_null(outcome->reason);
	if (words && !strstr(reason, words))
		fail_msg("%s: \"%s\" does not say \"%s\"", rule, reason, words);
}

static const struct dqdl_options glue;
static const struct dqdl_options empty = {.nulls = {.mode = DQDL_NULLS_EMPTY}};
static const struct dqdl_options none = {.nulls = {.mode = DQDL_NULLS_NONE}};

static const char people[] = "id,name,age,born,city\n"
                             "1,Ann,34,1990-01-02,Oslo\n"
                             "2,Bob,,1985-07-30,\n"
                             "3,Cid,51,1973-11-11,Rome\n"
                             "4,Ann,17,,Rome\n";

static void passes(const char *rule) {
	assert_result(people, glue, rule, DQDL_PASSED, NULL);
}

static void fails(const char *rule, const char *words) {
	assert_result(people, glue, rule, DQDL_FAILED, words);
}

static void tables_are_counted(void **state) {
	(void)state;
	passes("RowCount = 4");
	passes("RowCount between 3 and 5");
	fails("RowCount between 4 and 5", "RowCount is 4; the rule wants between 4 and 5");
	passes("ColumnCount = 5");
	fails("ColumnCount > 5", "ColumnCount is 5");
	passes("ColumnExists \"city\"");
	passes("ColumnExists \"CITY\"");
	fails("ColumnExists \"country\"", "the table has no column \"country\"");
	fails("IsComplete \"country\"", "the table has no column \"country\"");
}

static void completeness_follows_the_null_policy(void **state) {
	(void)state;
	/* Glue: an empty cell is NULL in a column of numbers or dates, an empty text in one of texts. */
	fails("IsComplete \"age\"", "1 of 4 rows have no value (Completeness is 0.75); on line 3");
	fails("IsComplete \"born\"", "on line 5");
	passes("IsComplete \"city\"");
	passes("Completeness \"age\" = 0.75");
	assert_result(people, empty, "IsComplete \"city\"", DQDL_FAILED, "line 3");
	assert_result(people, none, "IsComplete \"age\"", DQDL_PASSED, NULL);
	static const char *const list[] = {"NA", ""};
	struct dqdl_options listed = {.nulls = {.mode = DQDL_NULLS_LIST, .list = list, .count = 2}};
	assert_result("a,b\nNA,x\n,y\n", listed, "Completeness \"a\" = 0.0", DQDL_PASSED, NULL);
	listed.nulls.count = 1;
	assert_result("a,b\nNA,x\n,y\n", listed, "Completeness \"a\" = 0.5", DQDL_PASSED, NULL);
}

static void different_values_are_counted(void **state) {
	(void)state;
	passes("IsUnique \"id\"");
	fails("IsUnique \"name\"",
	        "2 rows share their value with another (Uniqueness is 0.5); a value comes again; on line 5");
	passes("Uniqueness \"name\" = 0.5");
	passes("IsUnique \"name\" \"age\"");
	passes("UniqueValueRatio \"name\" > 0.66");
	passes("DistinctValuesCount \"name\" = 3");
	passes("DistinctValuesCount \"age\" = 4");
	passes("UniqueValueRatio \"age\" = 1.0");
	passes("Entropy \"age\" between 1.098612 and 1.098613");
	passes("Entropy \"id\" between 1.386294 and 1.386295");
	passes("DuplicateRowCount = 0");
	passes("DuplicateRowCount \"name\" = 2");
	assert_result("a,b\n,x\n,x\n1,x\n", empty, "Uniqueness \"a\" = 1.0", DQDL_PASSED, NULL);
	assert_result("a,b\n,x\n,x\n1,x\n", none, "Uniqueness \"a\" between 0.333 and 0.334", DQDL_PASSED, NULL);
}

static void counting_values_stops_at_its_memory(void **state) {
	(void)state;
	struct dqdl_options small = {.memory_bytes = 30000};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fputs("id,x\n", out);
	for (int i = 0; i < 5000; i++)
		fprintf(out, "%d,y\n", i);
	fclose(out);
	assert_result(text, small, "IsUnique \"id\"", DQDL_ERROR, "too many different values");
	assert_result(text, glue, "IsUnique \"id\"", DQDL_PASSED, NULL);
	free(text);
}

static void numbers_are_compared(void **state) {
	(void)state;
	passes("ColumnValues \"id\" > 0");
	passes("ColumnValues \"id\" between 0 and 5");
	fails("ColumnValues \"id\" between 1 and 5",
	        "1 of 4 rows do not conform (0.75 do; the rule wants all); on line 2");
	passes("ColumnValues \"id\" not between 4 and 5");
	fails("ColumnValues \"age\" > 16", "line 3");
	passes("ColumnValues \"age\" != 18");
	passes("ColumnValues \"age\" not in [1, 2]");
	fails("ColumnValues \"age\" not in [1, NULL]", "line 3");
	passes("ColumnValues \"age\" in [34, 51, 17, NULL]");
	fails("ColumnValues \"name\" != 5", "4 of 4");
	passes("ColumnValues \"age\" > 20 with threshold >= 0.5");
	fails("ColumnValues \"age\" > 20 with threshold > 0.5", "(0.5 do; the rule wants > 0.5); first on lines 3, 5");
	fails("ColumnValues \"age\" != NULL", "line 3");
	passes("ColumnValues \"city\" != NULL");
	fails("ColumnValues \"city\" = NULL", "4 of 4 rows");
	assert_result("a,b\n1e3,x\n 1000 ,y\n1000.0,z\n", glue, "ColumnValues \"a\" = 1000", DQDL_PASSED, NULL);
}

static void texts_are_compared(void **state) {
	(void)state;
	passes("ColumnValues \"name\" in [\"Ann\", \"Bob\", \"Cid\"]");
	fails("ColumnValues \"name\" in [\"Ann\", \"bob\"]", "2 of 4 rows");
	passes("ColumnValues \"name\" in [\"ANN\", \"bob\", \"ciD\"] with ignoreCase = \"true\"");
	passes("ColumnValues \"city\" in [\"Oslo\", \"Rome\", EMPTY]");
	fails("ColumnValues \"city\" != EMPTY", "line 3");
	passes("ColumnValues \"name\" != \"Eve\"");
	assert_result("a,b\n\" \t\",1\n", glue, "ColumnValues \"a\" = WHITESPACES_ONLY", DQDL_PASSED, NULL);
	assert_result("a,b\n\"x\"\"y\",1\n", glue, "ColumnValues \"a\" in [\"x\\\"y\"]", DQDL_PASSED, NULL);
	assert_result(
	        "a,b\nÄRGER,1\n", glue, "ColumnValues \"a\" = \"ärger\" with ignoreCase = \"true\"", DQDL_PASSED, NULL);
}

static void patterns_match_as_java_has_it(void **state) {
	(void)state;
	passes("ColumnValues \"name\" matches \"[A-C][a-z]+\"");
	fails("ColumnValues \"name\" matches \"[A-C]\"", "4 of 4");
	fails("ColumnValues \"city\" matches \"[A-Za-z]*\"", "line 3");
	passes("ColumnValues \"name\" not matches \"Dan\"");
	fails("ColumnValues \"name\" not matches \"Ann\"", "2 of 4");
	passes("ColumnValues \"born\" matches \"\\d{4}-\\d\\d-\\d\\d\" with threshold = 0.75");
	passes("ColumnValues \"name\" matches \"\\p{Lu}\\p{Ll}+\"");
	assert_result("a,b\né,1\n", glue, "ColumnValues \"a\" matches \"\\u00e9\"", DQDL_PASSED, NULL);
	assert_result(people, glue, "ColumnValues \"name\" matches \"(\"", DQDL_ERROR, "does not compile");
}

static void a_catastrophic_pattern_ends_as_an_error(void **state) {
	(void)state;
	const char *csv = "a,b\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!,1\n";
	struct dqdl_options interpreted = {.no_jit = true};
	assert_result(
	        csv, glue, "ColumnValues \"a\" matches \"(a+)+\"", DQDL_ERROR, "line 2: the regular expression takes");
	assert_result(csv, interpreted, "ColumnValues \"a\" matches \"(a+)+\"", DQDL_ERROR, "more than");
}

static void dates_are_compared(void **state) {
	(void)state;
	passes("ColumnValues \"born\" != \"2000-01-01\"");
	fails("ColumnValues \"born\" < \"2000-01-01\"", "line 5");
	passes("ColumnValues \"born\" in [\"1990-01-02\", \"1985-07-30\", \"1973-11-11\", NULL]");
	const char *csv = "d,e\n2026-11-22,x\n2026-11-23 23:00:00,y\n";
	assert_result(csv, glue, "ColumnValues \"d\" > (now() - 2 days)", DQDL_PASSED, NULL);
	assert_result(csv, glue, "ColumnValues \"d\" > (now() - 1 days)", DQDL_FAILED, "line 2");
	assert_result(csv, glue, "ColumnValues \"d\" <= now()", DQDL_PASSED, NULL);
	assert_result("d,e\nsoon,x\n", glue, "ColumnValues \"d\" != \"2000-01-01\"", DQDL_FAILED, "1 of 1");
}

static void lengths_count_characters(void **state) {
	(void)state;
	passes("ColumnLength \"name\" = 3");
	fails("ColumnLength \"city\" > 0", "line 3");
	passes("ColumnLength \"age\" in [0, 2]");
	assert_result("a,b\nżółw,1\n", glue, "ColumnLength \"a\" = 4", DQDL_PASSED, NULL);
}

static void composites_combine_outcomes(void **state) {
	(void)state;
	passes("(RowCount > 100) or (IsUnique \"id\")");
	fails("(RowCount > 100) and (IsUnique \"id\")", "RowCount > 100: RowCount is 4");
	passes("(RowCount > 100) or (IsUnique \"id\") and (ColumnCount = 5)");
	assert_result(people, glue, "(IsUnique \"id\") or (ColumnValues \"id\" > NULL)", DQDL_ERROR, "has no order");
}

static void what_cannot_be_decided_is_an_error(void **state) {
	(void)state;
	assert_result(people, glue, "ColumnNamesMatchPattern \"(\"", DQDL_ERROR, "does not compile");
	assert_result(people, glue, "RowCount > ave(last(3))", DQDL_ERROR, "there is no function ave()");
	assert_result("a,a\n1,2\n", glue, "IsComplete \"a\"", DQDL_ERROR, "2 columns are called \"a\"");
	assert_result(people, glue, "ColumnValues \"id\" > NULL", DQDL_ERROR, "NULL has no order");
}

static void numbers_are_summed_up(void **state) {
	(void)state;
	passes("Mean \"age\" = 34.0"); /* NULL is left out */
	passes("Sum \"age\" = 102");
	passes("Range \"age\" = 34");
	passes("Variance \"age\" between 192.6 and 192.7"); /* of the population */
	passes("StandardDeviation \"age\" between 13.88 and 13.89");
	fails("Mean \"city\" > 1", "line 2 has a text that is no number, so that there is no Mean");
	passes("Mean \"age\" = 34 where \"id > 0\"");
	passes("Sum \"age\" = 51 where \"city = 'Rome' and age > 20\"");
	fails("Sum \"age\" = 0 where \"id > 99\"", "there is not one number");
	passes("ColumnCorrelation \"id\" \"age\" between -0.3274 and -0.3273");
	assert_result("a,b\n1,2\n1,3\n", glue, "ColumnCorrelation \"a\" \"b\" > -2", DQDL_FAILED, "is NaN");
	/* Large and alike: the textbook formula would give 0 or less. */
	assert_result("a\n1000000001\n1000000002\n1000000003\n", glue, "Variance \"a\" between 0.666666 and 0.666667",
	        DQDL_PASSED, NULL);
}

static void a_primary_key_is_unique_and_complete(void **state) {
	(void)state;
	passes("IsPrimaryKey \"id\"");
	passes("IsPrimaryKey \"id\" \"name\"");
	fails("IsPrimaryKey \"name\"", "a value comes again; on line 5");
	fails("IsPrimaryKey \"id\" \"age\"",
	        "1 of 4 rows have no value in \"age\", which a primary key needs; on line 3");
	passes("IsPrimaryKey \"name\" where \"id < 4\"");
}

static void cells_are_of_a_type(void **state) {
	(void)state;
	passes("ColumnDataType \"id\" = \"Integer\"");
	fails("ColumnDataType \"age\" = \"Integer\"", "1 of 4 rows do not conform");
	passes("ColumnDataType \"age\" = \"Integer\" with threshold > 0.7");
	passes("ColumnDataType \"name\" != \"DATE\"");
	fails("ColumnDataType \"id\" = \"String\"", "no data type");
	fails("ColumnDataType \"id\" in [\"Integer\"]", "= and != alone");
	passes("ColumnNamesMatchPattern \"[a-z]\"");
	fails("ColumnNamesMatchPattern \"^[a-r]+$\"", "1 of 5 columns' names do not match; the first is \"city\"");
}

static void times_are_fresh(void **state) {
	(void)state;
	static const char log[] = "id,at\n1,2026-11-23 10:00:00\n2,2026-11-23T06:30:45-04:00\n3,\n";
	assert_result(log, glue, "DataFreshness \"at\" <= 1 hours where \"id < 3\"", DQDL_PASSED, NULL);
	assert_result(log, glue, "DataFreshness \"at\" <= 30 minutes where \"id = 1\"", DQDL_FAILED, "on line 2");
	assert_result(
	        log, glue, "DataFreshness \"at\" between 0 hours and 1 hours where \"id = 1\"", DQDL_PASSED, NULL);
	assert_result(log, glue, "DataFreshness \"at\" < 40 days", DQDL_FAILED, "1 of 3 rows do not conform");
	assert_result(log, glue, "DataFreshness \"at\" < 40 days where \"id > 3\"", DQDL_PASSED, "no rows matched");
}

static void a_filter_leaves_rows_out(void **state) {
	(void)state;
	passes("RowCount = 2 where \"city = 'Rome'\"");
	passes("IsComplete \"age\" where \"id <> 2\"");
	fails("IsComplete \"age\" where \"id <= 2\"", "1 of 2 rows have no value");
	passes("IsUnique \"name\" where \"id < 4\"");
	fails("IsUnique \"name\" where \"age > 1\"", "a value comes again; on line 5");
	passes("DistinctValuesCount \"name\" = 3 where \"id < 4\"");
	fails("IsComplete \"id\" where \"height > 1\"", "the where clause is invalid: no such column: height");
	fails("IsComplete \"id\" where \"id > \"", "the where clause is invalid");
	assert_result(people, glue,
	        "IsComplete \"id\" where \"(with recursive n(i) as (select 1 union all select i + 1 from n) select "
	        "count(*) from n) > 0\"",
	        DQDL_FAILED, "where clause is invalid");
}

static void a_table_without_rows_has_no_shares(void **state) {
	(void)state;
	assert_result("a,b\n", glue, "IsComplete \"a\"", DQDL_FAILED, "no rows");
	assert_result("a,b\n", glue, "ColumnValues \"a\" > 1", DQDL_PASSED, "no rows");
	assert_result("a,b\n", glue, "RowCount = 0", DQDL_PASSED, NULL);
	assert_result("a,b\n", glue, "IsUnique \"a\"", DQDL_FAILED, "not one value");
}

static void numbers_are_short_but_no_rounder_than_they_are(void **state) {
	(void)state;
	assert_result("n\na\nb\nc\n", glue, "ColumnValues \"n\" in [\"a\", \"b\"]", DQDL_FAILED, "(0.666667 do; the");
	/* 1 of 2,000,001: six digits would say 1. */
	enum { ROWS = 2000001 };
	char *csv = malloc(2 * (size_t)ROWS + 3);
	assert_non_null(csv);
	memcpy(csv, "n\n", 2);
	for (size_t i = 0; i < ROWS; i++)
		memcpy(csv + 2 + 2 * i, i ? "a\n" : "b\n", 2);
	csv[2 * (size_t)ROWS + 2] = '\0';
	assert_result(csv, glue, "ColumnValues \"n\" = \"a\"", DQDL_FAILED, "(0.9999995 do; the");
	free(csv);
}

static void reasons_never_hold_cells(void **state) {
	(void)state;
	const char *csv = "a,b\nsecret-value,1\nsecret-value,2\n";
	static const char *const rules[] = {"ColumnValues \"a\" in [\"x\"]", "ColumnValues \"a\" matches \"y\"",
	        "IsUnique \"a\"", "ColumnLength \"a\" = 1", "ColumnValues \"a\" > 1"};
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		_cleanup_(freep) char *text = NULL;
		assert_true(asprintf(&text, "Rules = [ %s ]", rules[i]) > 0);
		_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
		_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, glue);
		feed_csv(evaluator, csv, strlen(csv));
		assert_int_equal(dqdl_evaluator_outcome(evaluator, 0)->result, DQDL_FAILED);
		assert_null(strstr(dqdl_evaluator_outcome(evaluator, 0)->reason, "secret"));
	}
}

static void at_most_ten_lines_are_named(void **state) {
	(void)state;
	char csv[400] = "a,b\n";
	for (int i = 0; i < 50; i++)
		strcat(csv, "x,1\n");
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse("Rules = [ ColumnValues \"a\" = \"y\" ]");
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, glue);
	feed_csv(evaluator, csv, strlen(csv));
	const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, 0);
	assert_int_equal(outcome->failing_rows, 50);
	assert_int_equal(outcome->line_count, 10);
	assert_int_equal(outcome->lines[9], 11);
}

/* Feeds one row at a time and returns the rule's result for the row, fed or judged again. */
static void rows_know_which_rules_they_break(void **state) {
	(void)state;
	_cleanup_(ruleset_freep) Ruleset *ruleset =
	        parse("Rules = [ IsUnique \"a\", ColumnValues \"b\" > 1, RowCount > 0, "
	              "(IsComplete \"b\") and (IsUnique \"a\"), IsComplete \"b\" ]");
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, glue);
	const struct table_cell header[] = {{"a", 1}, {"b", 1}};
	const struct table_cell rows[][2] = {{{"x", 1}, {"5", 1}}, {{"y", 1}, {"", 0}}, {{"x", 1}, {"1", 1}}};
	const enum dqdl_row_result P = DQDL_ROW_PASSED;
	const enum dqdl_row_result F = DQDL_ROW_FAILED;
	const enum dqdl_row_result S = DQDL_ROW_SKIPPED;
	const enum dqdl_row_result fed[][5] = {{P, P, S, P, P}, {P, F, S, F, F}, {F, F, S, F, P}};
	const enum dqdl_row_result judged[][5] = {{F, P, S, F, P}, {P, F, S, F, F}, {F, F, S, F, P}};
	assert_int_equal(dqdl_evaluator_header(evaluator, header, 2), 0);
	for (size_t row = 0; row < 3; row++) {
		assert_int_equal(dqdl_evaluator_row(evaluator, rows[row], row + 2), 0);
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(dqdl_evaluator_row_result(evaluator, i), fed[row][i]);
	}
	assert_int_equal(dqdl_evaluator_finish(evaluator), 0);
	for (size_t row = 0; row < 3; row++) {
		assert_int_equal(dqdl_evaluator_judge(evaluator, rows[row]), 0);
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(dqdl_evaluator_row_result(evaluator, i), judged[row][i]);
	}
	assert_int_equal(dqdl_evaluator_rows(evaluator), 3);
	assert_true(dqdl_evaluator_outcome(evaluator, 3)->row_level);
	assert_false(dqdl_evaluator_outcome(evaluator, 2)->row_level);
}

static void metrics_have_glues_names(void **state) {
	(void)state;
	_cleanup_(ruleset_freep) Ruleset *ruleset =
	        parse("Rules = [ (RowCount > 1) and (Uniqueness \"id\" \"name\" = 1.0), ColumnValues \"id\" >= 1, "
	              "ColumnValues \"name\" in [\"Ann\"], ColumnLength \"name\" between 1 and 5 ]");
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, glue);
	feed_csv(evaluator, people, strlen(people));
	const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, 0);
	assert_int_equal(outcome->metric_count, 2);
	assert_string_equal(outcome->metrics[0].name, "Dataset.*.RowCount");
	assert_string_equal(outcome->metrics[1].name, "Multicolumn.id,name.Uniqueness");
	assert_string_equal(dqdl_evaluator_outcome(evaluator, 1)->metrics[0].name, "Column.id.Minimum");
	assert_string_equal(
	        dqdl_evaluator_outcome(evaluator, 2)->metrics[0].name, "Column.name.ColumnValues.Compliance");
	assert_true(dqdl_evaluator_outcome(evaluator, 2)->metrics[0].value == 0.5);
	assert_string_equal(dqdl_evaluator_outcome(evaluator, 3)->metrics[1].name, "Column.name.MaximumLength");
}

/* --- data that is not in the repository --- */

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
	        cmocka_unit_test(tables_are_counted),
	        cmocka_unit_test(completeness_follows_the_null_policy),
	        cmocka_unit_test(different_values_are_counted),
	        cmocka_unit_test(counting_values_stops_at_its_memory),
	        cmocka_unit_test(numbers_are_compared),
	        cmocka_unit_test(texts_are_compared),
	        cmocka_unit_test(patterns_match_as_java_has_it),
	        cmocka_unit_test(a_catastrophic_pattern_ends_as_an_error),
	        cmocka_unit_test(dates_are_compared),
	        cmocka_unit_test(lengths_count_characters),
	        cmocka_unit_test(composites_combine_outcomes),
	        cmocka_unit_test(what_cannot_be_decided_is_an_error),
	        cmocka_unit_test(numbers_are_summed_up),
	        cmocka_unit_test(a_primary_key_is_unique_and_complete),
	        cmocka_unit_test(cells_are_of_a_type),
	        cmocka_unit_test(times_are_fresh),
	        cmocka_unit_test(a_filter_leaves_rows_out),
	        cmocka_unit_test(a_table_without_rows_has_no_shares),
	        cmocka_unit_test(numbers_are_short_but_no_rounder_than_they_are),
	        cmocka_unit_test(reasons_never_hold_cells),
	        cmocka_unit_test(at_most_ten_lines_are_named),
	        cmocka_unit_test(rows_know_which_rules_they_break),
	        cmocka_unit_test(metrics_have_glues_names),
	        cmocka_unit_test(the_lost_and_found_file_has_the_expected_metrics),
	        cmocka_unit_test(executed_cases_come_out_as_in_the_open_evaluator),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
