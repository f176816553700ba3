#include "tests/policy/evaluate_csv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	assert_result(
	        csv, glue, "ColumnValues \"a\" matches \"(a+)+\"", DQDL_ERROR, "line 2: the regular expression takes");
	/* Long cells are no reason, only steps are. */
	char tall[60000] = "a,b\n";
	memset(tall + 4, 'a', 20000);
	strcpy(tall + 20004, ",1\n");
	assert_result(tall, glue, "ColumnValues \"a\" matches \"(a|ba)*\"", DQDL_PASSED, NULL);
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

/* Where more fail than are named: also those that are farthest off, text that is no number before all. */
static void the_worst_lines_are_named_too(void **state) {
	(void)state;
	static const struct {
		const char *rule, *words;
	} cases[] = {{"ColumnValues \"n\" < 5",
	                     "; first on lines 7, 8, 9, 10, 11, 12, 13, 14, 15, 16; farthest off on lines 31, "
	                     "41, 40, 39, 38, 37, 36, 35, 34, 33"},
	        {"ColumnValues \"n\" between 17 and 20", "; farthest off on lines 31, 41, 40, 2, 39, 3, 38, 4, 37, 5"},
	        {"ColumnLength \"t\" <= 10", "; farthest off on lines 41, 40, 39, 38, 37, 36, 35, 34, 33, 32"},
	        {"ColumnValues \"d\" > \"2024-01-20\"", "; farthest off on lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"}};
	char csv[4000] = "n,t,d\n";
	for (int i = 0; i < 40; i++) {
		char n[20];
		(void)snprintf(n, sizeof n, i == 29 ? "none" : "%d", i);
		(void)snprintf(csv + strlen(csv), sizeof csv - strlen(csv), "%s,%.*s,2024-01-%02d\n", n, i,
		        "0123456789012345678901234567890123456789", i < 30 ? i + 1 : 30);
	}
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[200];
		(void)snprintf(text, sizeof text, "Rules = [ %s ]", cases[i].rule);
		_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
		_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, glue);
		feed_csv(evaluator, csv, strlen(csv));
		const char *reason = dqdl_evaluator_outcome(evaluator, 0)->reason;
		if (!strstr(reason, cases[i].words))
			fail_msg("%s: %s", cases[i].rule, reason);
	}
	_cleanup_(ruleset_freep) Ruleset *alike = parse("Rules = [ ColumnValues \"d\" != \"2024-01-30\" ]");
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(alike, glue);
	feed_csv(evaluator, csv, strlen(csv));
	assert_null(strstr(dqdl_evaluator_outcome(evaluator, 0)->reason, "farthest"));
}

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
	const enum dqdl_row_result judged[][5] = {{F, P, S, F, P}, {P, F, S, F, F}, {F, F, S, F, P}};
	assert_int_equal(dqdl_evaluator_header(evaluator, header, 2), 0);
	for (size_t row = 0; row < 3; row++)
		assert_int_equal(dqdl_evaluator_row(evaluator, rows[row], row + 2), 0);
	assert_int_equal(dqdl_evaluator_finish(evaluator), 0);
	for (size_t row = 0; row < 3; row++) {
		assert_int_equal(dqdl_evaluator_judge(evaluator, rows[row]), 0);
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(dqdl_evaluator_row_result(evaluator, i), judged[row][i]);
	}
	assert_int_equal(dqdl_evaluator_row_count(evaluator), 3);
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
	        cmocka_unit_test(the_worst_lines_are_named_too),
	        cmocka_unit_test(rows_know_which_rules_they_break),
	        cmocka_unit_test(metrics_have_glues_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
