/* What looks back on earlier values: dynamic rules, DetectAnomalies; and the analyzers that give such values. */
#include "policy/dqdl/evaluate.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static Ruleset *parse(const char *rules) {
	Ruleset *ruleset = NULL;
	if (dqdl_parse(bytes_of_string(rules), &ruleset, NULL) < 0)
		fail_msg("%s in %s", fault_message(), rules);
	return ruleset;
}

/* ---- number expressions ---- */

static const double earlier[] = {40, 10, 30, 20}; /* newest first */
static const struct dqdl_series series = {.name = "any", .values = earlier, .count = 4};

static int value_of(const char *text, const struct dqdl_series *past, double *ret_value) {
	_cleanup_(freep) char *rules = NULL;
	assert_true(asprintf(&rules, "Rules = [ RowCount > %s ]", text) > 0);
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(rules);
	return dqdl_number_value_over(ruleset_rule(ruleset, 0)->condition.operands[0].number, past, ret_value);
}

static void functions_take_earlier_values(void **state) {
	(void)state;
	static const struct {
		const char *text;
		double value;
	} cases[] = {{"last()", 40}, {"last(1)", 40}, {"avg(last(2))", 25}, {"avg(last(100))", 25},
	        {"min(last(3))", 10}, {"max(last(2))", 40}, {"sum(last(4))", 100}, {"median(last(3))", 30},
	        {"median(last(4))", 25}, {"std(last(2))", 15}, {"index(last(4), 0)", 40}, {"index(last(4), 3)", 20},
	        {"abs(0 - last())", 40}, {"max(abs(last(2)))", 40}, {"percentile(last(4), 0)", 10},
	        {"percentile(last(4), 100)", 40}, {"percentile(last(4), 50)", 25}, {"percentile(last(3), 25)", 20},
	        {"avg(std(last(2)))", 15}, {"avg(last(2)) * 0.5 + 1", 13.5}, {"avg(last(1 + 1))", 25}, {"avg(3)", 3}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double value = 0;
		if (value_of(cases[i].text, &series, &value) < 0)
			fail_msg("%s: %s", cases[i].text, fault_message());
		if (fabs(value - cases[i].value) > 1e-12)
			fail_msg("%s: %.17g, expected %g", cases[i].text, value, cases[i].value);
	}
}

static void what_functions_can_not_take_is_said(void **state) {
	(void)state;
	static const struct {
		const char *text, *words;
	} cases[] = {{"last(2)", "2 earlier values stand where one number is wanted"}, {"last(2) + 1", "one number"},
	        {"last(0)", "last() takes a whole number from 1 to 1000"}, {"last(1001)", "from 1 to 1000"},
	        {"last(1.5)", "whole number"}, {"last(1, 2)", "can't have 2 arguments"},
	        {"last(last())", "whole number"}, {"avg()", "can't have 0 arguments"},
	        {"mode(last(2))", "there is no function mode()"}, {"index(last(3), 3)", "from 0 to 2"},
	        {"index(avg(last(3)), 1)", "index() takes last(k)"}, {"percentile(last(3), 101)", "from 0 to 100"},
	        {"avg(NULL)", "NULL has no value"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double value = 77;
		if (value_of(cases[i].text, &series, &value) != -EINVAL || value != 77)
			fail_msg("%s is taken", cases[i].text);
		if (!strstr(fault_message(), cases[i].words))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, fault_message(), cases[i].words);
	}
}

static void a_past_that_is_not_there_is_told_apart(void **state) {
	(void)state;
	const struct dqdl_series empty = {.name = "any"};
	double value;
	assert_int_equal(value_of("avg(last(3))", &empty, &value), -ENODATA);
	assert_int_equal(value_of("avg(last(3))", NULL, &value), -ENODATA);
	assert_int_equal(value_of("index(last(9), 4)", &series, &value), -ENODATA);
	assert_int_equal(value_of("last() - last(2)", &series, &value), -EINVAL);
}

/* ---- rules ---- */

struct run {
	Ruleset *ruleset;
	DqdlEvaluator *evaluator;
};

static void run_done(struct run *run) {
	dqdl_evaluator_free(run->evaluator);
	ruleset_free(run->ruleset);
}

/* A table with one column `n`; past NULL: no history is given. */
static struct run evaluate(const char *rules, const char *const *cells, const struct dqdl_series *past, size_t count) {
	struct run run = {.ruleset = parse(rules)};
	const struct dqdl_options options = {.knows_history = past != NULL, .series = past, .series_count = count};
	const struct table_cell header = {"n", 1};
	assert_int_equal(dqdl_evaluator_new(run.ruleset, &options, &run.evaluator), 0);
	assert_int_equal(dqdl_evaluator_header(run.evaluator, &header, 1), 0);
	for (uint64_t line = 2; *cells; cells++, line++) {
		const struct table_cell cell = {*cells, strlen(*cells)};
		assert_int_equal(dqdl_evaluator_row(run.evaluator, &cell, line), 0);
	}
	assert_int_equal(dqdl_evaluator_finish(run.evaluator), 0);
	return run;
}

static const char *const ten[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", NULL};

/* The rule on the numbers 1 to 10 with that past of one series. */
static void decides(const char *rule, const char *name, const double *values, size_t count, enum dqdl_result expected,
        const char *words) {
	_cleanup_(freep) char *rules = NULL;
	const struct dqdl_series past = {.name = name, .values = values, .count = count};
	assert_true(asprintf(&rules, "Rules = [ %s ]", rule) > 0);
	_cleanup_(run_done) struct run run = evaluate(rules, ten, name ? &past : NULL, 1);
	const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(run.evaluator, 0);
	const char *reason = outcome->reason ? outcome->reason : "";
	if (outcome->result != expected)
		fail_msg("%s: %d (%s)", rule, outcome->result, reason);
	if (words ? strstr(reason, words) == NULL : outcome->reason != NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", rule, reason, words ? words : "nothing");
}

#define ROWS "Dataset.*.RowCount"

static void a_rule_is_held_against_the_past_of_its_metric(void **state) {
	(void)state;
	const double rows[] = {12, 18, 24};
	decides("RowCount > avg(last(3)) * 0.5", ROWS, rows, 3, DQDL_PASSED, NULL);
	decides("RowCount > avg(last(3))", ROWS, rows, 3, DQDL_FAILED,
	        "RowCount is 10; the rule wants > avg(last(3)), which is > 18");
	decides("RowCount between min(last(3)) - 3 and max(last(3)) + 1", ROWS, rows, 3, DQDL_PASSED, NULL);
	decides("RowCount not between min(last(3)) - 3 and max(last(3)) + 1", ROWS, rows, 3, DQDL_FAILED, "between 9");
	decides("RowCount in [last() - 2, 7]", ROWS, rows, 3, DQDL_PASSED, NULL);
	decides("RowCount > last(2)", ROWS, rows, 3, DQDL_ERROR, "2 earlier values stand where one number is wanted");
	decides("Mean \"n\" < last() * 2", "Column.n.Mean", rows, 1, DQDL_PASSED, NULL);
	decides("(RowCount > last()) or (ColumnCount = 1)", ROWS, rows, 3, DQDL_PASSED, "RowCount is 10");
}

static void column_values_look_back_on_their_extremes(void **state) {
	(void)state;
	const double low[] = {2, 1, 1}, high[] = {12, 11, 10};
	decides("ColumnValues \"n\" >= min(last(3))", "Column.n.Minimum", low, 3, DQDL_PASSED, NULL);
	decides("ColumnValues \"n\" >= last()", "Column.n.Minimum", low, 3, DQDL_FAILED, "1 of 10 rows do not conform");
	decides("ColumnValues \"n\" <= last(1) - 3", "Column.n.Maximum", high, 3, DQDL_FAILED, "line 11");
	decides("ColumnValues \"n\" = last()", "Column.n.Minimum", low, 3, DQDL_ERROR, "can't look back");
	const struct dqdl_series past[] = {{"Column.n.Minimum", low, 3}, {"Column.n.Maximum", high, 3}};
	_cleanup_(run_done) struct run run =
	        evaluate("Rules = [ ColumnValues \"n\" between min(last(3)) - 1 and max(last(3)) + 1 ]", ten, past, 2);
	const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(run.evaluator, 0);
	assert_int_equal(outcome->result, DQDL_PASSED);
	assert_string_equal(outcome->metrics[0].name, "Column.n.Minimum");
	assert_string_equal(outcome->metrics[1].name, "Column.n.Maximum");
	assert_true(outcome->metrics[1].value == 10);
}

static void a_threshold_looks_back_on_the_share(void **state) {
	(void)state;
	const double share[] = {0.6};
	decides("ColumnValues \"n\" > 5 with threshold > last()", "Column.n.ColumnValues.Compliance of > 5", share, 1,
	        DQDL_FAILED, "the rule wants > last(), which is > 0.6");
	decides("ColumnValues \"n\" > 3 with threshold > last()", "Column.n.ColumnValues.Compliance of > 3", share, 1,
	        DQDL_PASSED, NULL);
	decides("ColumnValues \"n\" > 3 with threshold > last()", "Column.n.ColumnValues.Compliance of > 3", share, 0,
	        DQDL_PASSED, "there is no history yet");
	decides("(ColumnValues \"n\" > 3 with threshold > last()) and (RowCount > 0)",
	        "Column.n.ColumnValues.Compliance of > 3", share, 1, DQDL_ERROR, "that stand alone");
}

static void statements_have_a_past_of_their_own(void **state) {
	(void)state;
	const double count[] = {5};
	const char *rule = "CustomSql \"select count(*) from primary where n > 5\" > last()";
	const char *name = "Dataset.*.CustomSQL of \"select count(*) from primary where n > 5\"";
	decides(rule, name, count, 1, DQDL_FAILED, "CustomSQL is 5; the rule wants > last(), which is > 5");
	decides(rule, name, count, 0, DQDL_PASSED, "no history yet");
	decides(rule, "Dataset.*.CustomSQL", count, 1, DQDL_ERROR, "was not given");
}

static void long_names_end_with_their_hash(void **state) {
	(void)state;
	char rules[4000], *names[2];
	for (int i = 0; i < 2; i++) {
		snprintf(rules, sizeof rules, "Rules = [ RowCount > last() where \"n != '%s%01500d%d'\" ]", "é", 1, i);
		_cleanup_(ruleset_freep) Ruleset *ruleset = parse(rules);
		names[i] = dqdl_series_name(ruleset_rule(ruleset, 0), ROWS);
		assert_true(strlen(names[i]) <= DQDL_SERIES_NAME_MAX);
		assert_memory_equal(names[i], ROWS " where \"n != 'é", strlen(ROWS) + 16);
	}
	assert_string_not_equal(names[0], names[1]);
	free(names[0]);
	free(names[1]);
}

static void a_first_delivery_passes_and_says_why(void **state) {
	(void)state;
	decides("RowCount > max(last(3)) * 2", ROWS, NULL, 0, DQDL_PASSED, "not compared: there is no history yet");
	decides("RowCount > max(last(3)) * 2", NULL, NULL, 0, DQDL_PASSED, "not compared: no history was given");
	decides("RowCount > index(last(3), 2)", ROWS, earlier, 2, DQDL_PASSED, "the history has 2 values yet");
	decides("ColumnValues \"n\" > last()", "Column.n.Minimum", NULL, 0, DQDL_PASSED, "no history yet");
	decides("(RowCount > last()) and (ColumnCount = 1)", ROWS, NULL, 0, DQDL_PASSED,
	        "RowCount > last(): not compared");
	/* What is wrong with a rule is not hidden by it, nor what the rule finds by itself. */
	decides("RowCount > mode(last(3))", ROWS, NULL, 0, DQDL_ERROR, "there is no function mode()");
	decides("Mean \"m\" > last()", "Column.m.Mean", NULL, 0, DQDL_FAILED, "no column \"m\"");
	decides("RowCount > last()", "Dataset.*.ColumnCount", NULL, 0, DQDL_ERROR, "the history of " ROWS);
	const struct dqdl_series past = {.name = ROWS};
	_cleanup_(run_done) struct run run = evaluate("Rules = [ RowCount > last() ]", ten, &past, 1);
	assert_true(dqdl_evaluator_outcome(run.evaluator, 0)->metrics[0].value == 10); /* the next one's past */
}

static void rules_on_other_rows_have_a_past_of_their_own(void **state) {
	(void)state;
	const double rows[] = {5};
	decides("RowCount > last() where \"n > 5\"", ROWS " where \"n > 5\"", rows, 1, DQDL_FAILED, "RowCount is 5");
	decides("RowCount > last() where \"n > 5\"", ROWS, rows, 1, DQDL_ERROR, "was not given");
	decides("(RowCount > last() where \"n > 5\") and (ColumnCount = 1)", ROWS " where \"n > 5\"", rows, 1,
	        DQDL_ERROR, "a rule of its own");
}

static void a_ruleset_tells_what_it_wants(void **state) {
	(void)state;
	static const struct {
		const char *name;
		size_t depth;
	} expected[] = {{ROWS, 7}, {"Column.n.Minimum", 2}, {"Column.n.Maximum", 2}, {"Multicolumn.a,b.Uniqueness", 1},
	        {ROWS " where \"n > 1\"", 3}, {"Column.n.Completeness", DQDL_ANOMALY_WINDOW},
	        {"Column.n.MinimumLength", DQDL_ANOMALY_WINDOW}, {"Column.n.MaximumLength", DQDL_ANOMALY_WINDOW},
	        {"Column.n.PatternMatch of matches \"a\"", DQDL_HISTORY_MAX}};
	_cleanup_(ruleset_freep) Ruleset *ruleset =
	        parse("Rules = [ RowCount > avg(last(3)), (RowCount < avg(abs(last(7)))) or (ColumnCount > 1), "
	              "ColumnValues \"n\" between min(last(2)) and 9, Uniqueness \"a\" \"b\" > last(), "
	              "RowCount > avg(last(3)) where \"n > 1\", DetectAnomalies \"Completeness\" \"n\", "
	              "DetectAnomalies \"ColumnLength\" \"n\", DetectAnomalies \"IsComplete\" \"n\", "
	              "ColumnValues \"n\" matches \"a\" with threshold > avg(last(5000)) ]");
	struct dqdl_wanted *wanted = NULL;
	size_t count = 0;
	assert_int_equal(dqdl_wanted_history(ruleset, &wanted, &count), 0);
	assert_int_equal(count, sizeof expected / sizeof *expected);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(wanted[i].name, expected[i].name);
		assert_int_equal(wanted[i].depth, expected[i].depth);
	}
	dqdl_wanted_free(wanted, count);
}

/* ---- anomalies ---- */

static void what_lies_far_from_the_median_is_an_anomaly(void **state) {
	(void)state;
	const double steady[] = {10, 10, 10, 10, 10, 10}, near[] = {11, 11, 11, 11, 11}, far[] = {12, 12, 12, 12, 12};
	const double wide[] = {4, 24, 8, 20, 14}, once[] = {10, 1000, 10, 11, 9, 10};
	decides("DetectAnomalies \"RowCount\"", ROWS, steady, 6, DQDL_PASSED, NULL);
	decides("DetectAnomalies \"RowCount\"", ROWS, near, 5, DQDL_PASSED, NULL); /* within a tenth */
	decides("DetectAnomalies \"RowCount\"", ROWS, far, 5, DQDL_FAILED,
	        "Dataset.*.RowCount is 10, an anomaly: the median of the last 5 values is 12, and from 10.8 to 13.2");
	decides("DetectAnomalies \"RowCount\"", ROWS, wide, 5, DQDL_PASSED, NULL);
	decides("DetectAnomalies \"RowCount\"", ROWS, once, 6, DQDL_PASSED, NULL); /* one odd value moves nothing */
	decides("DetectAnomalies \"RowCount\"", ROWS, far, 4, DQDL_PASSED, "4 of the 5 earlier values");
	decides("DetectAnomalies \"RowCount\"", NULL, NULL, 0, DQDL_PASSED, "0 of the 5");
	decides("DetectAnomalies \"Mean\" \"n\"", "Column.n.Mean", far, 5, DQDL_FAILED, "Column.n.Mean is 5.5");
	decides("DetectAnomalies \"Mean\" \"m\"", "Column.m.Mean", far, 5, DQDL_FAILED, "no column \"m\"");
	decides("DetectAnomalies \"IsComplete\" \"n\"", ROWS, far, 5, DQDL_ERROR, "watches no \"IsComplete\"");
	decides("DetectAnomalies \"RowCount\" \"n\"", ROWS, far, 5, DQDL_ERROR, "watches no \"RowCount\" with 1");
	decides("DetectAnomalies \"DetectAnomalies\" \"RowCount\"", ROWS, far, 5, DQDL_ERROR, "watches no");
}

static void both_lengths_are_watched(void **state) {
	(void)state;
	const double ones[] = {1, 1, 1, 1, 1}, fives[] = {5, 5, 5, 5, 5};
	const struct dqdl_series past[] = {{"Column.n.MinimumLength", ones, 5}, {"Column.n.MaximumLength", fives, 5}};
	_cleanup_(run_done) struct run run =
	        evaluate("Rules = [ DetectAnomalies \"ColumnLength\" \"n\" ]", ten, past, 2);
	const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(run.evaluator, 0);
	assert_int_equal(outcome->result, DQDL_FAILED);
	assert_non_null(strstr(outcome->reason, "Column.n.MaximumLength is 2"));
	assert_string_equal(outcome->rule->text, "DetectAnomalies \"ColumnLength\" \"n\"");
}

/* ---- analyzers ---- */

static void metric_is(const struct dqdl_outcome *outcome, const char *name, double value) {
	for (size_t i = 0; i < outcome->metric_count; i++) {
		if (strcmp(outcome->metrics[i].name, name) != 0)
			continue;
		if (fabs(outcome->metrics[i].value - value) > 1e-12)
			fail_msg("%s is %.17g, expected %g", name, outcome->metrics[i].value, value);
		return;
	}
	fail_msg("there is no %s", name);
}

static void analyzers_measure_and_decide_nothing(void **state) {
	(void)state;
	_cleanup_(run_done) struct run run =
	        evaluate("Rules = [ RowCount = 10 ] Analyzers = [ RowCount, Mean \"n\", ColumnValues \"n\", "
	                 "ColumnLength \"n\", Mean \"m\", DataFreshness \"n\", Uniqueness \"n\" ]",
	                ten, NULL, 0);
	assert_int_equal(dqdl_evaluator_outcomes(run.evaluator), 1);
	assert_int_equal(dqdl_evaluator_analyzers(run.evaluator), 7);
	const struct dqdl_outcome *outcomes[7];
	for (size_t i = 0; i < 7; i++)
		outcomes[i] = dqdl_evaluator_analyzer(run.evaluator, i);
	assert_string_equal(outcomes[1]->rule->text, "Mean \"n\"");
	metric_is(outcomes[0], ROWS, 10);
	metric_is(outcomes[1], "Column.n.Mean", 5.5);
	metric_is(outcomes[2], "Column.n.Minimum", 1);
	metric_is(outcomes[2], "Column.n.Maximum", 10);
	metric_is(outcomes[3], "Column.n.MaximumLength", 2);
	assert_int_equal(outcomes[3]->result, DQDL_PASSED);
	assert_int_equal(outcomes[4]->result, DQDL_FAILED);
	assert_int_equal(outcomes[5]->result, DQDL_ERROR);
	assert_non_null(strstr(outcomes[5]->reason, "measures nothing without a condition"));
	metric_is(outcomes[6], "Column.n.Uniqueness", 1);
}

static void all_statistics_of_numbers_are_those_of_numbers(void **state) {
	(void)state;
	static const char *const cells[] = {"0", "", "20", "20", "40", NULL};
	_cleanup_(run_done) struct run run = evaluate("Analyzers = [ AllStatistics \"n\" ]", cells, NULL, 0);
	const struct dqdl_outcome *all = dqdl_evaluator_analyzer(run.evaluator, 0);
	assert_int_equal(all->result, DQDL_PASSED);
	metric_is(all, ROWS, 5);
	metric_is(all, "Dataset.*.ColumnCount", 1);
	metric_is(all, "Column.n.Completeness", 0.8);
	metric_is(all, "Column.n.DistinctValuesCount", 4);
	metric_is(all, "Column.n.Uniqueness", 0.5);
	metric_is(all, "Column.n.UniqueValueRatio", 2.0 / 3);
	metric_is(all, "Column.n.Entropy", 2 * -0.25 * log(0.25) - 0.5 * log(0.5));
	metric_is(all, "Column.n.Minimum", 0);
	metric_is(all, "Column.n.Maximum", 40);
	metric_is(all, "Column.n.Mean", 20);
	metric_is(all, "Column.n.Sum", 80);
	metric_is(all, "Column.n.StandardDeviation", sqrt(200));
	metric_is(all, "Column.n.Variance", 200);
	metric_is(all, "Column.n.Range", 40);
	assert_int_equal(all->metric_count, 14);
}

static void all_statistics_of_texts_are_those_of_lengths(void **state) {
	(void)state;
	static const char *const cells[] = {"a", "", "żółw", NULL}, *const nothing[] = {NULL},
	                         *const nulls[] = {"", NULL};
	_cleanup_(run_done) struct run run =
	        evaluate("Analyzers = [ AllStatistics \"n\", ColumnValues \"n\" ]", cells, NULL, 0);
	const struct dqdl_outcome *all = dqdl_evaluator_analyzer(run.evaluator, 0);
	metric_is(all, "Column.n.Completeness", 1);
	metric_is(all, "Column.n.MinimumLength", 0);
	metric_is(all, "Column.n.MaximumLength", 4);
	assert_int_equal(all->metric_count, 9);
	metric_is(dqdl_evaluator_analyzer(run.evaluator, 1), "Column.n.MaximumLength", 4);
	_cleanup_(run_done) struct run none = evaluate("Analyzers = [ AllStatistics \"n\" ]", nothing, NULL, 0);
	all = dqdl_evaluator_analyzer(none.evaluator, 0);
	assert_int_equal(all->result, DQDL_FAILED);
	metric_is(all, ROWS, 0);
	_cleanup_(run_done) struct run empty = evaluate("Analyzers = [ AllStatistics \"n\" ]", nulls, NULL, 0);
	metric_is(dqdl_evaluator_analyzer(empty.evaluator, 0), "Column.n.MaximumLength", 0);
}

/* ---- the clock ---- */

static void rules_that_look_at_the_clock_are_known(void **state) {
	(void)state;
	static const char *const timeless[] = {"RowCount > avg(last(3))", "ColumnValues \"a\" > \"2020-01-01\"",
	        "IsComplete \"a\" where \"a > 1\"", "(RowCount > 1) and (ColumnCount > 1)",
	        "CustomSql \"select count(*) from primary\" > 1"};
	static const char *const timely[] = {"ColumnValues \"a\" > now()", "ColumnValues \"a\" > (now() - 3 days)",
	        "DataFreshness \"a\" < 3 days", "(RowCount > 1) or (DataFreshness \"a\" < 1 hours)",
	        "IsComplete \"a\" where \"a > Date/**/('NOW')\"", "IsComplete \"a\" where \"a > CURRENT_TIMESTAMP\"",
	        "CustomSql \"select count(*) from primary where a < unixepoch()\" > 1",
	        "ColumnValues \"a\" > \"10:30\"", "FileFreshness \"a\" > (now() - 1 days)"};
	for (size_t i = 0; i < sizeof timeless / sizeof *timeless + sizeof timely / sizeof *timely; i++) {
		bool expected = i < sizeof timeless / sizeof *timeless;
		const char *rule = expected ? timeless[i] : timely[i - sizeof timeless / sizeof *timeless];
		_cleanup_(freep) char *rules = NULL;
		assert_true(asprintf(&rules, "Rules = [ %s ]", rule) > 0);
		_cleanup_(ruleset_freep) Ruleset *ruleset = parse(rules);
		if (dqdl_is_timeless(ruleset) != expected)
			fail_msg("%s is taken for %s", rule, expected ? "timely" : "timeless");
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(functions_take_earlier_values),
	        cmocka_unit_test(what_functions_can_not_take_is_said),
	        cmocka_unit_test(a_past_that_is_not_there_is_told_apart),
	        cmocka_unit_test(a_rule_is_held_against_the_past_of_its_metric),
	        cmocka_unit_test(column_values_look_back_on_their_extremes),
	        cmocka_unit_test(a_threshold_looks_back_on_the_share),
	        cmocka_unit_test(statements_have_a_past_of_their_own),
	        cmocka_unit_test(long_names_end_with_their_hash),
	        cmocka_unit_test(a_first_delivery_passes_and_says_why),
	        cmocka_unit_test(rules_on_other_rows_have_a_past_of_their_own),
	        cmocka_unit_test(a_ruleset_tells_what_it_wants),
	        cmocka_unit_test(what_lies_far_from_the_median_is_an_anomaly),
	        cmocka_unit_test(both_lengths_are_watched),
	        cmocka_unit_test(analyzers_measure_and_decide_nothing),
	        cmocka_unit_test(all_statistics_of_numbers_are_those_of_numbers),
	        cmocka_unit_test(all_statistics_of_texts_are_those_of_lengths),
	        cmocka_unit_test(rules_that_look_at_the_clock_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
