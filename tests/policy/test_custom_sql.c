/* CustomSql, and what columns hold for SQL. */
#include "policy/dqdl/evaluate.h"

#include "crypto/base/fault.h"
#include "policy/table/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/pieces.h"

/* A table held against one rule, and what came of it. */
struct held {
	Ruleset *ruleset;
	DqdlEvaluator *evaluator;
	const struct dqdl_outcome *outcome;
};

static void drop(struct held *held) {
	dqdl_evaluator_free(held->evaluator);
	ruleset_free(held->ruleset);
}

enum pass { SAMPLE, FEED };

static void pass_rows(DqdlEvaluator *evaluator, const char *csv, enum pass pass) {
	struct pieces source = pieces_of(bytes_of_string(csv), 0);
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(csv_open(pieces_take, &source, &(struct csv_options){.header = CSV_HEADER_YES}, &reader), 0);
	size_t columns = csv_columns(reader);
	if (pass == FEED)
		assert_int_equal(dqdl_evaluator_header(evaluator, csv_header_of(reader), columns), 0);
	while (csv_next(reader, &cells) == 1)
		assert_int_equal(pass == FEED ? dqdl_evaluator_row(evaluator, cells, csv_line(reader))
		                              : dqdl_evaluator_sample(evaluator, cells, columns),
		        0);
}

/* `sample` NULL: none is shown. */
static struct held hold(const char *csv, const char *sample, const char *rule, struct dqdl_options options) {
	struct held held = {0};
	_cleanup_(freep) char *rules = NULL;
	assert_true(asprintf(&rules, "Rules = [ %s ]", rule) > 0);
	if (dqdl_parse(bytes_of_string(rules), &held.ruleset, NULL) < 0)
		fail_msg("%s in %s", fault_message(), rules);
	assert_int_equal(dqdl_evaluator_new(held.ruleset, &options, &held.evaluator), 0);
	if (sample)
		pass_rows(held.evaluator, sample, SAMPLE);
	pass_rows(held.evaluator, csv, FEED);
	assert_int_equal(dqdl_evaluator_finish(held.evaluator), 0);
	held.outcome = dqdl_evaluator_outcome(held.evaluator, 0);
	return held;
}

static const char *const results[] = {"PASSED", "FAILED", "ERROR"};

static void assert_held(
        const char *csv, const char *rule, struct dqdl_options options, enum dqdl_result expected, const char *words) {
	struct held held = hold(csv, csv, rule, options);
	const char *reason = held.outcome->reason ? held.outcome->reason : "";
	if (held.outcome->result != expected)
		fail_msg("%s: %s (%s)", rule, results[held.outcome->result], reason);
	if (words && !strstr(reason, words))
		fail_msg("%s: \"%s\" does not say \"%s\"", rule, reason, words);
	drop(&held);
}

static const struct dqdl_options glue;

static const char people[] = "id,name,age,zip,my name\n"
                             "1,Ann,34,02134,x\n"
                             "2,Bob,,K1A,y\n"
                             "3,Cid,51,2134,\n"
                             "4,Ann,17,10115,x\n";

static void passes(const char *rule) {
	assert_held(people, rule, glue, DQDL_PASSED, NULL);
}

static void fails(const char *rule, const char *words) {
	assert_held(people, rule, glue, DQDL_FAILED, words);
}

static void one_number_is_held_against_the_condition(void **state) {
	(void)state;
	passes("CustomSql \"select count(*) from primary\" = 4");
	passes("CustomSql \"SELECT SUM(age) FROM primary p WHERE p.age > 20\" = 85");
	passes("CustomSql \"select avg(age) from primary\" between 33 and 35");
	passes("CustomSql \"select max(n) from (select count(*) n from primary group by name)\" = 2");
	passes("CustomSql \"select count(*) from primary p join primary q on p.id + 1 = q.id\" = 3");
	passes("CustomSql \"select '12.5'\" = 12.5");
	passes("CustomSql \"select count(*) from primary where zip = '02134'\" = 1");
	passes("CustomSql \"select count(`my name`) from primary -- FROM other\" = 4");
	fails("CustomSql \"select count(*) from primary\" > 4", "CustomSQL is 4; the rule wants > 4");
	fails("CustomSql \"select age from primary where id < 3\" > 4", "more than one row");
	fails("CustomSql \"select age from primary where id > 9\" > 4", "gives no row");
	fails("CustomSql \"select id, age from primary where id = 1\" > 4", "gives 2 columns");
	fails("CustomSql \"select sum(age) from primary where id > 9\" >= 0", "value is NULL");
	fails("CustomSql \"select min(name) from primary\" >= 0", "no number");
}

static void rows_are_among_the_answers_or_not(void **state) {
	(void)state;
	passes("CustomSql \"select id, name from primary\"");
	passes("CustomSql \"select age from primary\"");
	fails("CustomSql \"select id from primary where id < 4\"",
	        "1 of 4 rows do not conform (0.75 do; the rule wants all); on line 5");
	passes("CustomSql \"select id from primary where id < 4\" with threshold >= 0.75");
	fails("CustomSql \"select id from primary where id < 4\" with threshold > 0.75", "the rule wants > 0.75");
	/* The same in ways that look at more than the row. */
	fails("CustomSql \"select id from primary where age > 20\"", "on lines 3, 5");
	fails("CustomSql \"select ID from primary where name in (select name from primary where id = 1)\"",
	        "on lines 3, 4");
	passes("CustomSql \"select name from primary where name <> 'Ann' union all select name from primary\"");
	/* Line 5 has the name of line 2, which is among the answers. */
	fails("CustomSql \"select name from primary where id = 1\"", "2 of 4 rows do not conform");
	fails("CustomSql \"select upper(name) as name from primary\"", "4 of 4 rows do not conform");
	fails("CustomSql \"select id, name || '' as other from primary\"",
	        "\"other\" is not found among those of primary");
}

static void null_is_like_null(void **state) {
	(void)state;
	passes("CustomSql \"select age, 'Ann' as name from primary union select age, 'Bob' from primary "
	       "union select age, 'Cid' from primary\"");
	fails("CustomSql \"select age from primary where age > 0\"", "on line 3");
	passes("CustomSql \"select NULL as age union select age from primary\"");
}

static void a_statement_that_is_none_fails_with_words(void **state) {
	(void)state;
	fails("CustomSql \"select count(*) from register\" > 0", "the table register is not found");
	fails("CustomSql \"select height from primary\" > 0", "no such column: height");
	fails("CustomSql \"\" > 0", "it must be one SELECT");
	fails("CustomSql \"delete from primary\"", "the SQL statement is invalid");
	fails("CustomSql \"select rowid from primary\"", "the SQL statement is invalid");
	fails("CustomSql \"select count(*) from primary; select 1\" > 0", "it must be one SELECT");
	fails("CustomSql \"with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n\" > "
	      "0",
	        "the SQL statement is invalid");
	assert_held(
	        "a,A\n1,2\n", "CustomSql \"select count(*) from primary\" > 0", glue, DQDL_FAILED, "duplicate column");
	assert_held(people, "CustomSql \"select abs(-9223372036854775807 - 1)\" > 0", glue, DQDL_ERROR, "overflow");
}

static void a_table_without_rows_fails_rows_and_counts_none(void **state) {
	(void)state;
	assert_held("id,name\n", "CustomSql \"select id from primary\"", glue, DQDL_FAILED, "the table has no rows");
	assert_held("id,name\n", "CustomSql \"select count(*) from primary\" = 0", glue, DQDL_PASSED, NULL);
	assert_held("id,name\n", "CustomSql \"select max(id) from primary\" = 0", glue, DQDL_FAILED, "NULL");
}

static void metrics_have_glues_names(void **state) {
	(void)state;
	struct held held = hold(people, people, "CustomSql \"select count(*) from primary\" > 9", glue);
	assert_int_equal(held.outcome->metric_count, 1);
	assert_string_equal(held.outcome->metrics[0].name, "Dataset.*.CustomSQL");
	assert_true(held.outcome->metrics[0].value == 4);
	assert_false(held.outcome->row_level);
	drop(&held);
	held = hold(people, people, "CustomSql \"select id from primary where id < 4\"", glue);
	assert_string_equal(held.outcome->metrics[0].name, "Dataset.*.CustomSQL.Compliance");
	assert_true(held.outcome->metrics[0].value == 0.75);
	assert_true(held.outcome->row_level);
	assert_int_equal(held.outcome->failing_rows, 1);
	drop(&held);
}

static void rows_can_be_judged_again(void **state) {
	(void)state;
	static const char *const rules[] = {"CustomSql \"select id from primary where id < 3\"",
	        "CustomSql \"select id from primary where id < (select avg(id) + 0.5 from primary)\""};
	const struct table_cell good[] = {{"2", 1}, {"", 0}, {"", 0}, {"", 0}, {"", 0}};
	const struct table_cell bad[] = {{"3", 1}, {"", 0}, {"", 0}, {"", 0}, {"", 0}};
	for (size_t i = 0; i < 2; i++) {
		struct held held = hold(people, people, rules[i], glue);
		assert_int_equal(dqdl_evaluator_judge(held.evaluator, good), 0);
		assert_int_equal(dqdl_evaluator_row_result(held.evaluator, 0), DQDL_ROW_PASSED);
		assert_int_equal(dqdl_evaluator_judge(held.evaluator, bad), 0);
		assert_int_equal(dqdl_evaluator_row_result(held.evaluator, 0), DQDL_ROW_FAILED);
		drop(&held);
	}
	struct held held = hold(people, people, "CustomSql \"select height from primary\"", glue);
	assert_int_equal(dqdl_evaluator_judge(held.evaluator, bad), 0);
	assert_int_equal(dqdl_evaluator_row_result(held.evaluator, 0), DQDL_ROW_SKIPPED);
	drop(&held);
}

/* A table of so many rows: id, the text "x" or nothing. */
static char *many_rows(size_t count) {
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fputs("id,word\n", out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%zu,%s\n", i, i % 3 ? "x" : "");
	fclose(out);
	return text;
}

static void parts_and_the_whole_come_to_the_same(void **state) {
	(void)state;
	_cleanup_(freep) char *csv = many_rows(30000);
	const struct dqdl_options small = {.memory_bytes = 100000};
	assert_held(csv, "CustomSql \"select count(*) from primary\" = 30000", small, DQDL_PASSED, NULL);
	assert_held(csv, "CustomSql \"select sum(id) from primary where word = 'x'\" = 300000000", small, DQDL_PASSED,
	        NULL);
	assert_held(csv, "CustomSql \"select count(*) + 0 from primary\" = 30000", glue, DQDL_PASSED, NULL);
	assert_held(csv, "CustomSql \"select sum(id) + 0 from primary where word = 'x'\" = 300000000", glue,
	        DQDL_PASSED, NULL);
	assert_held(
	        csv, "CustomSql \"select id from primary where id < 29990\"", small, DQDL_FAILED, "10 of 30000 rows");
	assert_held(csv, "CustomSql \"select id from primary where id < 29990 limit -1\"", glue, DQDL_FAILED,
	        "10 of 30000 rows");
}

static void keeping_rows_stops_at_its_memory(void **state) {
	(void)state;
	_cleanup_(freep) char *csv = many_rows(30000);
	const struct dqdl_options small = {.memory_bytes = 100000};
	assert_held(
	        csv, "CustomSql \"select max(id) from primary\" > 0", small, DQDL_ERROR, "the limit of 100000 bytes");
	assert_held(csv, "CustomSql \"select id from primary where word = 'x'\"", small, DQDL_ERROR,
	        "the limit of 100000 bytes");
	/* What others keep is not touched by that, nor is what they have. */
	assert_held(csv, "(CustomSql \"select max(id) from primary\" > 0) or (RowCount > 0)", small, DQDL_ERROR, NULL);
}

static void feed_reference(DqdlEvaluator *evaluator, const char *alias, const char *csv) {
	struct pieces source = pieces_of(bytes_of_string(csv), 0);
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(csv_open(pieces_take, &source, &(struct csv_options){.header = CSV_HEADER_YES}, &reader), 0);
	assert_int_equal(dqdl_evaluator_reference(evaluator, alias, csv_header_of(reader), csv_columns(reader)), 0);
	while (csv_next(reader, &cells) == 1)
		assert_int_equal(dqdl_evaluator_reference_row(evaluator, cells, csv_line(reader)), 0);
	assert_int_equal(dqdl_evaluator_reference_end(evaluator), 0);
}

/* Holds rules against people, with registers of zips. */
static struct held hold_beside(const char *registers, const char *rules, struct dqdl_options options) {
	struct held held = {0};
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	struct pieces source = pieces_of(bytes_of_string(people), 0);
	assert_int_equal(dqdl_parse(bytes_of_string(rules), &held.ruleset, NULL), 0);
	assert_int_equal(dqdl_evaluator_new(held.ruleset, &options, &held.evaluator), 0);
	pass_rows(held.evaluator, people, SAMPLE);
	assert_int_equal(csv_open(pieces_take, &source, &(struct csv_options){.header = CSV_HEADER_YES}, &reader), 0);
	assert_int_equal(dqdl_evaluator_header(held.evaluator, csv_header_of(reader), csv_columns(reader)), 0);
	assert_true(dqdl_evaluator_wants(held.evaluator, "zips"));
	assert_false(dqdl_evaluator_wants(held.evaluator, "nowhere"));
	feed_reference(held.evaluator, "zips", registers);
	while (csv_next(reader, &cells) == 1)
		assert_int_equal(dqdl_evaluator_row(held.evaluator, cells, csv_line(reader)), 0);
	assert_int_equal(dqdl_evaluator_finish(held.evaluator), 0);
	held.outcome = dqdl_evaluator_outcome(held.evaluator, 0);
	return held;
}

static void references_are_tables_by_their_alias(void **state) {
	(void)state;
	struct held held = hold_beside("zip,n\n02134,1\nK1A,2\n10115,30\n",
	        "Rules = [ CustomSql \"select count(*) from primary p join zips z on p.zip = z.zip\" = 3,"
	        " CustomSql \"select zip from primary where zip in (select zip from Zips)\","
	        " CustomSql \"select sum(n) from zips where n > '5'\" = 30,"
	        " CustomSql \"select count(*) from primary\" = 4, CustomSql \"select count(*) from other\" = 0 ]",
	        glue);
	static const enum dqdl_result expected[] = {DQDL_PASSED, DQDL_FAILED, DQDL_PASSED, DQDL_PASSED, DQDL_FAILED};
	for (size_t i = 0; i < 5; i++)
		if (dqdl_evaluator_outcome(held.evaluator, i)->result != expected[i])
			fail_msg("rule %zu: %s", i + 1, dqdl_evaluator_outcome(held.evaluator, i)->reason);
	assert_int_equal(dqdl_evaluator_outcome(held.evaluator, 1)->lines[0], 4);
	drop(&held);
}

static void a_reference_that_makes_no_table_or_too_large_a_one_is_an_error(void **state) {
	(void)state;
	_cleanup_(freep) char *many = many_rows(30000);
	const struct dqdl_options small = {.memory_bytes = 200000};
	static const char rules[] = "Rules = [ CustomSql \"select count(*) from zips z, primary\" > 0 ]";
	struct held held = hold_beside("a,A\n1,2\n", rules, glue);
	assert_int_equal(held.outcome->result, DQDL_ERROR);
	assert_non_null(strstr(held.outcome->reason, "the reference \"zips\": the columns make no table"));
	drop(&held);
	held = hold_beside(many, rules, small);
	assert_int_equal(held.outcome->result, DQDL_ERROR);
	assert_non_null(strstr(held.outcome->reason, "the limit of 200000 bytes"));
	drop(&held);
	held = hold_beside(many, rules, glue); /* more than wait for the columns' types */
	assert_int_equal(held.outcome->result, DQDL_PASSED);
	assert_true(held.outcome->metrics[0].value == 120000);
	drop(&held);
}

static void a_column_of_codes_is_one_of_texts(void **state) {
	(void)state;
	passes("RowCount = 1 where \"zip = '02134'\"");
	passes("RowCount = 1 where \"zip = 2134\""); /* a number beside a text is its text */
	passes("RowCount = 2 where \"length(zip) = 5\"");
	passes("RowCount = 2 where \"age > '20'\"");
	passes("RowCount = 3 where \"age > 0\"");
}

static void a_later_cell_that_is_no_number_is_null_and_counted(void **state) {
	(void)state;
	uint64_t line;
	static const char later[] = "id,name,age,zip,z\n1,a,5,x,\n2,a,n/a,x,\n3,a,many,x,\n4,a,70,x,\n5,a,,x,\n";
	struct held held = hold(later, people, "RowCount = 1 where \"age > 21 and age <> 5\"", glue);
	assert_int_equal(held.outcome->result, DQDL_PASSED);
	assert_int_equal(dqdl_evaluator_misfits(held.evaluator, 2, &line), 2);
	assert_int_equal(line, 3);
	assert_int_equal(dqdl_evaluator_misfits(held.evaluator, 0, &line), 0);
	drop(&held);
	held = hold(
	        later, NULL, "RowCount = 4 where \"age > 21\"", glue); /* nothing was shown: a text is above a number */
	assert_int_equal(held.outcome->result, DQDL_PASSED);
	drop(&held);
}

static void rows_that_are_not_kept_are_no_rows(void **state) {
	(void)state;
	const struct dqdl_options keep = {.keep = "zip <> 'K1A' and age > 20"};
	const struct table_cell dropped[] = {{"4", 1}, {"Ann", 3}, {"17", 2}, {"1", 1}, {"x", 1}};
	const struct table_cell kept[] = {{"4", 1}, {"Ann", 3}, {"21", 2}, {"1", 1}, {"x", 1}};
	struct held held = hold(people, people, "ColumnValues \"id\" in [1]", keep);
	assert_int_equal(held.outcome->failing_rows, 1);
	assert_int_equal(dqdl_evaluator_row_count(held.evaluator), 2);
	assert_int_equal(dqdl_evaluator_dropped(held.evaluator), 2);
	assert_null(dqdl_evaluator_keep_fault(held.evaluator));
	assert_int_equal(dqdl_evaluator_judge(held.evaluator, dropped), 0);
	assert_false(dqdl_evaluator_kept(held.evaluator));
	assert_int_equal(dqdl_evaluator_row_result(held.evaluator, 0), DQDL_ROW_SKIPPED);
	assert_int_equal(dqdl_evaluator_judge(held.evaluator, kept), 0);
	assert_true(dqdl_evaluator_kept(held.evaluator));
	assert_int_equal(dqdl_evaluator_row_result(held.evaluator, 0), DQDL_ROW_FAILED);
	drop(&held);
	assert_held(people, "CustomSql \"select max(id) from primary\" = 3", keep, DQDL_PASSED, NULL);
	assert_held(people, "(RowCount = 2) and (IsUnique \"name\")", keep, DQDL_PASSED, NULL);
	assert_held(people, "RowCount = 1 where \"id > 1\"", keep, DQDL_PASSED, NULL);
	assert_held(people, "RowCount = 0", (struct dqdl_options){.keep = "NULL"}, DQDL_PASSED, NULL);
	assert_held(people, "Completeness \"id\" > 0", (struct dqdl_options){.keep = "0"}, DQDL_FAILED, "no rows");
}

static void a_keep_that_is_none_is_told(void **state) {
	(void)state;
	static const char *const keeps[] = {"height > 3", "id >", "1; drop table x", "", "id = 1) union select (1",
	        "(select count(*) from primary) > 0", "rowid = 1", "load_extension('x')"};
	for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
		struct held held = hold(people, people, "RowCount >= 0", (struct dqdl_options){.keep = keeps[i]});
		if (!dqdl_evaluator_keep_fault(held.evaluator))
			fail_msg("%s", keeps[i]);
		assert_non_null(strstr(dqdl_evaluator_keep_fault(held.evaluator), "the dataset's keep is invalid"));
		assert_int_equal(dqdl_evaluator_row_count(held.evaluator), 0);
		drop(&held);
	}
	struct held held = hold(people, people, "RowCount >= 0",
	        (struct dqdl_options){.keep = "abs(-9223372036854775807 - (id > 2)) > 0"});
	assert_non_null(strstr(dqdl_evaluator_keep_fault(held.evaluator), "line 4: "));
	assert_int_equal(dqdl_evaluator_row_count(held.evaluator), 2);
	drop(&held);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_number_is_held_against_the_condition),
	        cmocka_unit_test(rows_are_among_the_answers_or_not),
	        cmocka_unit_test(null_is_like_null),
	        cmocka_unit_test(a_statement_that_is_none_fails_with_words),
	        cmocka_unit_test(a_table_without_rows_fails_rows_and_counts_none),
	        cmocka_unit_test(metrics_have_glues_names),
	        cmocka_unit_test(rows_can_be_judged_again),
	        cmocka_unit_test(parts_and_the_whole_come_to_the_same),
	        cmocka_unit_test(keeping_rows_stops_at_its_memory),
	        cmocka_unit_test(rows_that_are_not_kept_are_no_rows),
	        cmocka_unit_test(a_keep_that_is_none_is_told),
	        cmocka_unit_test(references_are_tables_by_their_alias),
	        cmocka_unit_test(a_reference_that_makes_no_table_or_too_large_a_one_is_an_error),
	        cmocka_unit_test(a_column_of_codes_is_one_of_texts),
	        cmocka_unit_test(a_later_cell_that_is_no_number_is_null_and_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
