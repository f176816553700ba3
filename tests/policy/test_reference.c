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

static CsvReader *open_text(struct pieces *source) {
	CsvReader *reader = NULL;
	struct csv_options options = {.header = CSV_HEADER_YES, .delimiter = ','};
	if (csv_open(pieces_take, source, &options, &reader) < 0)
		fail_msg("%s", fault_message());
	return reader;
}

static void feed_reference(DqdlEvaluator *evaluator, const char *alias, const char *text) {
	struct pieces source = pieces_of(bytes_of_string(text), 0);
	_cleanup_(csv_closep) CsvReader *reader = open_text(&source);
	const struct table_cell *cells;
	assert_int_equal(dqdl_evaluator_reference(evaluator, alias, csv_header_of(reader), csv_columns(reader)), 0);
	while (csv_next(reader, &cells) == 1)
		assert_int_equal(dqdl_evaluator_reference_row(evaluator, cells, csv_line(reader)), 0);
	assert_int_equal(dqdl_evaluator_reference_end(evaluator), 0);
}

struct judged {
	Ruleset *ruleset;
	DqdlEvaluator *evaluator;
	const struct dqdl_outcome *outcome;
	char rows[64]; /* of each row as it was judged in the end: P, F or S */
};

static void drop(struct judged *judged) {
	dqdl_evaluator_free(judged->evaluator);
	ruleset_free(judged->ruleset);
}

/* `reference` NULL: there is none. */
static void judge(const char *primary, const char *reference, const char *rule, const struct dqdl_options *options,
        struct judged *ret_judged) {
	char rules[500];
	(void)snprintf(rules, sizeof rules, "Rules = [ %s ]", rule);
	struct judged judged = {0};
	if (dqdl_parse(bytes_of_string(rules), &judged.ruleset, NULL) < 0)
		fail_msg("%s in %s", fault_message(), rules);
	assert_int_equal(dqdl_evaluator_new(judged.ruleset, options, &judged.evaluator), 0);
	for (int again = 0; again < 2; again++) {
		struct pieces source = pieces_of(bytes_of_string(primary), 0);
		_cleanup_(csv_closep) CsvReader *reader = open_text(&source);
		const struct table_cell *cells;
		if (!again)
			assert_int_equal(
			        dqdl_evaluator_header(judged.evaluator, csv_header_of(reader), csv_columns(reader)), 0);
		if (!again && reference)
			feed_reference(judged.evaluator, "ref", reference);
		for (size_t row = 0; csv_next(reader, &cells) == 1; row++) {
			assert_int_equal(again ? dqdl_evaluator_judge(judged.evaluator, cells)
			                       : dqdl_evaluator_row(judged.evaluator, cells, csv_line(reader)),
			        0);
			if (again && row < sizeof judged.rows - 1)
				judged.rows[row] = "PFS"[dqdl_evaluator_row_result(judged.evaluator, 0)];
		}
		if (!again)
			assert_int_equal(dqdl_evaluator_finish(judged.evaluator), 0);
	}
	judged.outcome = dqdl_evaluator_outcome(judged.evaluator, 0);
	*ret_judged = judged;
}

static const struct dqdl_options glue;
static const struct dqdl_options empty = {.nulls = {.mode = DQDL_NULLS_EMPTY}};

static void expect(const char *primary, const char *reference, const char *rule, enum dqdl_result result, double metric,
        const char *words) {
	struct judged judged;
	judge(primary, reference, rule, &glue, &judged);
	const char *reason = judged.outcome->reason ? judged.outcome->reason : "";
	if (judged.outcome->result != result)
		fail_msg("%s: %d (%s)", rule, judged.outcome->result, reason);
	if (metric >= 0 && (judged.outcome->metric_count != 1 || judged.outcome->metrics[0].value != metric))
		fail_msg("%s: not %g (%s)", rule, metric, reason);
	if (metric < 0)
		assert_int_equal(judged.outcome->metric_count, 0);
	if (words && !strstr(reason, words))
		fail_msg("%s: \"%s\" does not say \"%s\"", rule, reason, words);
	drop(&judged);
}

#define PASSES(primary, reference, rule, metric) expect(primary, reference, rule, DQDL_PASSED, metric, NULL)
#define FAILS(primary, reference, rule, metric, words) expect(primary, reference, rule, DQDL_FAILED, metric, words)
#define NO_METRIC (-1.0)

static const char animals[] = "id,state,weight\n1,Lost,1.5\n2,Found,2\n3,Lost,4.5\n4,Gone,\n";
static const char states[] = "name,code\nLost,L\nFound,F\n";

static void rows_are_counted_against_another_tables(void **state) {
	(void)state;
	PASSES(animals, states, "RowCountMatch \"ref\" = 2.0", 2);
	FAILS(animals, states, "RowCountMatch \"ref\" = 1.0", 2, "does not meet the constraint requirement: = 1.0");
	FAILS(animals, "a,b\n", "RowCountMatch \"ref\" >= 0", NO_METRIC, "\"ref\" has no rows");
}

static void a_table_that_was_not_given_fails_the_rule(void **state) {
	(void)state;
	static const char *const rules[] = {"RowCountMatch \"ref\" > 0", "SchemaMatch \"ref\" > 0"};
	static const char *const others[] = {"ReferentialIntegrity \"id\" \"ref.id\" > 0",
	        "DatasetMatch \"ref\" \"id\" > 0", "AggregateMatch \"sum(id)\" \"sum(ref.id)\" > 0"};
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		FAILS(animals, NULL, rules[i], NO_METRIC, "\"ref\" not found in additional data sources");
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		FAILS(animals, NULL, others[i], NO_METRIC, "\"ref\" not found in additional sources");
}

static void values_are_looked_up_in_another_table(void **state) {
	(void)state;
	PASSES(animals, states, "ReferentialIntegrity \"state\" \"ref.name\" > 0.7", 0.75);
	FAILS(animals, states, "ReferentialIntegrity \"state\" \"ref.name\" = 1.0", 0.75, "; on line 5");
	PASSES("a,b\n1,x\n2,y\n", "c,d\n1,x\n2,x\n", "ReferentialIntegrity \"a,b\" \"ref.{c,d}\" = 0.5", 0.5);
	PASSES("a,b\n1,x\n2,y\n", "c,d\nx,1\ny,2\n", "ReferentialIntegrity \"a, b\" \"ref.{d, c}\" = 1.0", 1);
	/* "1" and "1x" are not taken for "11" and "x" */
	PASSES("a,b\n1,1x\n", "c,d\n11,x\n", "ReferentialIntegrity \"a,b\" \"ref.{c,d}\" = 0", 0);
	FAILS(animals, states, "ReferentialIntegrity \"status\" \"ref.name\" > 0", NO_METRIC,
	        "\"status\" does not exist in \"primary\"");
	FAILS(animals, states, "ReferentialIntegrity \"state\" \"ref.state\" > 0", NO_METRIC, "does not exist");
	FAILS(animals, states, "ReferentialIntegrity \"state\" \"name\" > 0", NO_METRIC, "neither alias.column nor");
	FAILS(animals, states, "ReferentialIntegrity \"id,state\" \"ref.name\" > 0", NO_METRIC,
	        "it names 2 columns, and 1 of \"ref\"");
	FAILS("a\n", states, "ReferentialIntegrity \"a\" \"ref.name\" > 0", NO_METRIC, "the table has no rows");
}

static void numbers_are_compared_as_numbers_where_the_reference_has_nothing_else(void **state) {
	(void)state;
	static const char rule[] = "ReferentialIntegrity \"a\" \"ref.b\" = 1.0";
	PASSES("a\n7\n07\n7.0\n 7\n7e0\n1.50\n", "b\n7.00\n1.5\n", rule, 1);
	PASSES("a\n7\n07\n", "b\n7\n", rule, 1);
	PASSES("a\n123456789012345678.5\n", "b\n1.234567890123456785e17\n", rule, 1);
	FAILS("a\n7\n07\n", "b\n7\nx\n", rule, 0.5, "on line 3");
	FAILS("a\n7\n", "b\n07\nx\n", rule, 0, "on line 2");
	FAILS("a\n7\nseven\n", "b\n7\n8\n", rule, 0.5, "on line 3");
}

static void no_value_matches_nothing(void **state) {
	(void)state;
	static const char rule[] = "ReferentialIntegrity \"a\" \"ref.b\" = 1.0";
	/* in columns of numbers an empty cell is NULL, in columns of texts it is an empty text */
	FAILS("a,c\n1,\n,\n", "b,c\n1,\n,\n", rule, 0.5, "on line 3");
	PASSES("a,c\nx,\n,\n", "b,c\nx,\n,\n", rule, 1);
	FAILS("a,c\nx,\n,\n", "b,c\nx,\ny,\n", rule, 0.5, "on line 3");
	/* ours is an empty text, theirs is NULL */
	FAILS("a,c\nx,\n,\n", "b,c\n1,\n,\n", rule, 0, "on lines 2, 3");
	/* ours turns out to be one of numbers at its end, theirs is one of texts */
	FAILS("a,c\n,\n1,\n", "b,c\n,\n1,\nx,\n", rule, 0.5, "on line 2");
	struct judged judged;
	judge("a,c\nx,\n,\n", "b,c\nx,\n,\n", rule, &empty, &judged);
	assert_int_equal(judged.outcome->result, DQDL_FAILED);
	assert_string_equal(judged.rows, "PF");
	drop(&judged);
}

static void rows_know_whether_they_match(void **state) {
	(void)state;
	struct judged judged;
	judge(animals, states, "ReferentialIntegrity \"state\" \"ref.name\" > 0.5", &glue, &judged);
	assert_true(judged.outcome->row_level);
	assert_int_equal(judged.outcome->failing_rows, 1);
	assert_int_equal(judged.outcome->lines[0], 5);
	assert_string_equal(judged.rows, "PPPF");
	drop(&judged);
	judge(animals, states, "(ReferentialIntegrity \"state\" \"ref.name\" > 0.5) and (IsComplete \"id\")", &glue,
	        &judged);
	assert_false(judged.outcome->row_level);
	assert_string_equal(judged.rows, "SSSS");
	drop(&judged);
	judge("k,v\n1,a\n2,b\n", "k,v\n1,a\n2,c\n", "DatasetMatch \"ref\" \"k\" > 0.4", &glue, &judged);
	assert_string_equal(judged.rows, "PF");
	drop(&judged);
}

static void rows_are_matched_by_key(void **state) {
	(void)state;
	static const char ours[] = "k,v,w\n1,a,x\n2,b,y\n3,c,\n";
	PASSES(ours, "w,v,k\nx,a,1\ny,b,2\n,c,3\n", "DatasetMatch \"ref\" \"k\" = 1.0", 1);
	PASSES(ours, "w,v,k\nx,a,1\ny,B,2\n", "DatasetMatch \"ref\" \"k\" > 0.3", 1.0 / 3);
	FAILS(ours, "key,value\n1,a\n2,B\n", "DatasetMatch \"ref\" \"k->key\" \"v->value\" > 0.5", 1.0 / 3,
	        "first on lines 3, 4");
	PASSES(ours, "key,v\n1,a\n2,b\n3,c\n", "DatasetMatch \"ref\" \"k -> key\" \"v\" = 1.0", 1);
	PASSES("k,v\n1,10\n", "k,v\n01,10.0\n", "DatasetMatch \"ref\" \"k\" = 1.0", 1);
	FAILS(ours, "key,v,w\n1,a,x\n", "DatasetMatch \"ref\" \"k\" > 0", NO_METRIC,
	        "these key columns were not found in \"ref\", or not once: \"k\"");
	FAILS(ours, "k,v\n1,a\n", "DatasetMatch \"ref\" \"k\" > 0", NO_METRIC,
	        "these columns were not found in \"ref\", or not once: \"w\"");
	FAILS(ours, "k,v\n1,a\n", "DatasetMatch \"ref\" \"k\" \"\" > 0", NO_METRIC,
	        "not found in \"ref\", or not once: \"w\"");
	FAILS(ours, "k,v\n1,a\n", "DatasetMatch \"ref\" \"k\" \"v->missing\" > 0", NO_METRIC, "not found");
}

static void keys_of_a_match_are_unique_on_both_sides(void **state) {
	(void)state;
	FAILS("k,v\n1,a\n1,b\n", "k,v\n1,a\n2,b\n", "DatasetMatch \"ref\" \"k\" > 0", NO_METRIC,
	        "keys must be unique, and 1 rows of primary and 0 rows of \"ref\"");
	FAILS("k,v\n1,a\n2,b\n", "k,v\n1,a\n1,b\n", "DatasetMatch \"ref\" \"k\" > 0", NO_METRIC,
	        "0 rows of primary and 1 rows of \"ref\"");
	PASSES("k,l,v\n1,a,x\n1,b,y\n", "k,l,v\n1,a,x\n1,b,y\n", "DatasetMatch \"ref\" \"k,l\" = 1.0", 1);
}

static void schemas_are_compared_by_name_and_type(void **state) {
	(void)state;
	static const char ours[] = "i,d,b,t,s,w\n1,1.5,true,2026-01-01,x,2026-01-01 10:00:00\n,2,false,,y,\n";
	static const char theirs[] = "w,s,t,b,d,i\n2025-01-01 09:00:00,z,2024-02-02,FALSE,3.5,77\n";
	PASSES(ours, theirs, "SchemaMatch \"ref\" = 1.0", 1);
	PASSES("a,b,c,d\n1,1,x,2026-01-01\n", "a,b,c,D\n1,1.5,y,2026-01-01\n", "SchemaMatch \"ref\" = 0.5", 0.5);
	PASSES("a,b\n1,2026-01-01\n", "a,b\n1,2026-01-01 10:00:00\n", "SchemaMatch \"ref\" = 0.5", 0.5);
	FAILS("a,b\n1,2\n", "a,b,c\n1,2,3\n", "SchemaMatch \"ref\" > 0.1", 0, "SchemaMatch is 0");
	struct column_given types[] = {{.name = "a", .type = COLUMN_TEXT}};
	struct dqdl_options given = {.types = types, .type_count = 1};
	struct judged judged;
	judge("a,b\n1,2\n", "a,b\nx,2\n", "SchemaMatch \"ref\" = 1.0", &given, &judged);
	assert_int_equal(judged.outcome->result, DQDL_PASSED);
	drop(&judged);
}

static void sums_and_means_are_compared(void **state) {
	(void)state;
	static const char ours[] = "amount,n\n10,1\n20,\n30,3\n", theirs[] = "total,zero\n30,0\n90,0\n";
	PASSES(ours, theirs, "AggregateMatch \"sum(amount)\" \"sum(ref.total)\" = 0.5", 0.5);
	PASSES(ours, theirs, "AggregateMatch \"avg(amount)\" \"avg(ref.total)\" between 0.33 and 0.34", 20.0 / 60);
	PASSES(ours, theirs, "AggregateMatch \"SUM(primary.amount)\" \"AVG(n)\" = 30", 30);
	PASSES(ours, theirs, "AggregateMatch \"sum(amount)\" \"sum(ref.zero)\" = 0", 0);
	PASSES(ours, theirs, "AggregateMatch \"sum(ref.zero)\" \"sum(ref.zero)\" = 1.0", 1);
	FAILS(ours, theirs, "AggregateMatch \"sum(amount)\" \"sum(ref.amount)\" > 0", NO_METRIC,
	        "\"ref\" has no column \"amount\"");
	FAILS(ours, theirs, "AggregateMatch \"max(amount)\" \"sum(ref.total)\" > 0", NO_METRIC, "neither sum(column)");
	FAILS("amount\n", theirs, "AggregateMatch \"sum(amount)\" \"sum(ref.total)\" >= 0", NO_METRIC,
	        "\"primary\" has not one number in \"amount\"");
	FAILS(ours, "total\n1\nmuch\n", "AggregateMatch \"sum(amount)\" \"sum(ref.total)\" >= 0", NO_METRIC,
	        "line 3 of \"ref\" has a text that is no number in \"total\"");
}

static void a_metric_is_called_as_glue_does(void **state) {
	(void)state;
	static const char *const cases[][2] = {{"RowCountMatch \"ref\" > 0", "Dataset.ref.RowCountMatch"},
	        {"ReferentialIntegrity \"a\" \"ref.a\" > 0", "Column.ref.ReferentialIntegrity"},
	        {"DatasetMatch \"ref\" \"a\" > 0", "Dataset.ref.DatasetMatch"},
	        {"SchemaMatch \"ref\" > 0", "Dataset.ref.SchemaMatch"},
	        {"AggregateMatch \"sum(a)\" \"sum(ref.b)\" > 0", "Column.a,b.AggregateMatch"},
	        {"AggregateMatch \"sum(a)\" \"sum(ref.a)\" > 0", "Column.a.AggregateMatch"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct judged judged;
		judge("a,b\n1,2\n", "a,b\n1,2\n", cases[i][0], &glue, &judged);
		assert_int_equal(judged.outcome->result, DQDL_PASSED);
		assert_string_equal(judged.outcome->metrics[0].name, cases[i][1]);
		drop(&judged);
	}
}

static char *many_rows(size_t rows) {
	char *text = malloc(20 * rows + 10), *to = text + sprintf(text, "a\n");
	for (size_t i = 0; i < rows; i++)
		to += sprintf(to, "v%zu\n", i);
	return text;
}

static void a_reference_over_the_memorys_limit_is_an_error(void **state) {
	(void)state;
	static const char *const rules[] = {
	        "ReferentialIntegrity \"a\" \"ref.a\" = 1.0", "DatasetMatch \"ref\" \"a\" = 1.0"};
	_cleanup_(freep) char *text = many_rows(20000);
	for (size_t i = 0; i < 2; i++) {
		struct judged judged;
		struct dqdl_options small = {.memory_bytes = 100000};
		judge(text, text, rules[i], &small, &judged);
		assert_int_equal(judged.outcome->result, DQDL_ERROR);
		assert_non_null(strstr(judged.outcome->reason, "more than the limit of 100000 bytes of memory"));
		drop(&judged);
		judge(text, text, rules[i], &glue, &judged);
		assert_int_equal(judged.outcome->result, DQDL_PASSED);
		drop(&judged);
	}
}

static void only_tables_that_a_rule_names_are_wanted(void **state) {
	(void)state;
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = NULL;
	const char *rules = "Rules = [ RowCount > 0, AggregateMatch \"sum(x.a)\" \"sum(a)\" > 0, "
	                    "ReferentialIntegrity \"b\" \"y.a\" > 0 ]";
	const struct table_cell names[] = {{"a", 1}};
	assert_int_equal(dqdl_parse(bytes_of_string(rules), &ruleset, NULL), 0);
	assert_int_equal(dqdl_evaluator_new(ruleset, &glue, &evaluator), 0);
	assert_int_equal(dqdl_evaluator_header(evaluator, names, 1), 0);
	assert_true(dqdl_evaluator_wants(evaluator, "x"));
	assert_false(dqdl_evaluator_wants(evaluator, "y")); /* there is no column b, so the rule has failed */
	assert_false(dqdl_evaluator_wants(evaluator, "primary"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_are_counted_against_another_tables),
	        cmocka_unit_test(a_table_that_was_not_given_fails_the_rule),
	        cmocka_unit_test(values_are_looked_up_in_another_table),
	        cmocka_unit_test(numbers_are_compared_as_numbers_where_the_reference_has_nothing_else),
	        cmocka_unit_test(no_value_matches_nothing),
	        cmocka_unit_test(rows_know_whether_they_match),
	        cmocka_unit_test(rows_are_matched_by_key),
	        cmocka_unit_test(keys_of_a_match_are_unique_on_both_sides),
	        cmocka_unit_test(schemas_are_compared_by_name_and_type),
	        cmocka_unit_test(sums_and_means_are_compared),
	        cmocka_unit_test(a_metric_is_called_as_glue_does),
	        cmocka_unit_test(a_reference_over_the_memorys_limit_is_an_error),
	        cmocka_unit_test(only_tables_that_a_rule_names_are_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
