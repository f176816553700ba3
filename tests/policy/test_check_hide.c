#include "policy/check_hide.h"

#include "policy/privacy/privacy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool is_unknown;

static void expect(const struct privacy *privacy, const char *found_in, const char *metric, bool is_hidden) {
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	assert_int_equal(check_result_error(&result, "x"), 0);
	result->has_privacy = !is_unknown;
	if (found_in)
		assert_non_null(check_result_add_finding(result, "PHONE_NUMBER", found_in));
	struct check_rule *rule = check_result_add_rule(result, "a rule", OUTCOME_FAILED);
	assert_int_equal(check_rule_set_reason(rule, "it is 6045550142"), 0);
	assert_int_equal(check_rule_add_metric(rule, "Dataset.*.RowCount", 1), 0);
	assert_int_equal(check_rule_add_metric(rule, metric, 6045550142), 0);
	struct check_rule *analyzer = check_result_add_analyzer(result, "an analyzer", OUTCOME_PASSED);
	assert_int_equal(check_rule_add_metric(analyzer, metric, 6045550142), 0);
	assert_int_equal(check_hide_numbers(privacy, result), 0);
	rule = &result->rules[0];
	assert_int_equal(rule->metric_count, is_hidden ? 1 : 2);
	assert_string_equal(rule->metrics[0].name, "Dataset.*.RowCount");
	assert_int_equal(result->analyzers[0].metric_count, is_hidden ? 0 : 1);
	assert_null(result->analyzers[0].reason);
	if (is_hidden)
		assert_null(strstr(rule->reason, "604"));
	else
		assert_string_equal(rule->reason, "it is 6045550142");
}

static void numbers_of_columns_with_findings_are_not_told(void **state) {
	(void)state;
	static const struct privacy_column columns[] = {{.name = "born.on"}};
	static const struct privacy detects = {0}, treats = {.columns = columns, .column_count = 1};
	expect(&detects, "phone", "Column.phone.Minimum", true);
	expect(&detects, "phone", "Column.phone.Maximum", true);
	expect(&detects, "phone", "Column.phone.Mean", true);
	expect(&detects, "phone", "Column.phone.Sum", true);
	expect(&detects, "phone", "Column.PHONE.Sum", true); /* as the rule spells it */
	expect(&detects, "born", "Column.born.DataFreshness.MaximumHours", true);
	expect(&detects, "phone", "Column.phone.StandardDeviation", true);
	expect(&detects, "phone", "Column.phone,k.AggregateMatch", true);
	expect(&detects, "phone", "Dataset.*.CustomSQL", true);
	expect(&treats, NULL, "Column.born.on.Minimum", true);
	expect(&treats, NULL, "Dataset.*.CustomSQL", true);
}

/* An error of the rules ends a check before anybody knows what was found. */
static void where_nothing_is_known_none_is_told(void **state) {
	(void)state;
	static const struct privacy detects = {0};
	is_unknown = true;
	expect(&detects, NULL, "Column.phone.Minimum", true);
	expect(&detects, NULL, "Dataset.*.CustomSQL", true);
	expect(&detects, NULL, "Column.phone.MinimumLength", false);
	is_unknown = false;
}

static void reasons_that_count_rows_stay(void **state) {
	(void)state;
	static const struct privacy detects = {0};
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	assert_int_equal(check_result_error(&result, "x"), 0);
	struct check_rule *rule = check_result_add_rule(result, "a rule", OUTCOME_FAILED);
	rule->has_failing_rows = true;
	assert_int_equal(check_rule_set_reason(rule, "1 of 2 rows do not conform"), 0);
	assert_int_equal(check_rule_add_metric(rule, "Column.phone.Minimum", 6045550142), 0);
	assert_int_equal(check_hide_numbers(&detects, result), 0);
	assert_int_equal(rule->metric_count, 0);
	assert_string_equal(rule->reason, "1 of 2 rows do not conform");
}

static void others_are(void **state) {
	(void)state;
	static const struct privacy detects = {0};
	expect(&detects, "phone", "Column.phones.Minimum", false);
	expect(&detects, "phone", "Column.phone.MinimumLength", false);
	expect(&detects, "phone", "Column.phone.Completeness", false);
	expect(&detects, "phone", "Dataset.*.CustomSQL.Compliance", false);
	expect(&detects, NULL, "Column.phone.Minimum", false);
	expect(&detects, NULL, "Dataset.*.CustomSQL", false);
	expect(&detects, "phone", "Column.", false);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers_of_columns_with_findings_are_not_told),
	        cmocka_unit_test(where_nothing_is_known_none_is_told),
	        cmocka_unit_test(reasons_that_count_rows_stay),
	        cmocka_unit_test(others_are),
	};
	return cmocka_run_group_tests_name("check_hide", tests, NULL, NULL);
}
