/* Alarms are decided as CloudWatch documents: tables in alarm_tables.txt, which is the program's argument. */
#include "policy/alarm/evaluate.h"

#include "crypto/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *tables;

static enum alarm_state state_of(const char *word) {
	for (int i = 0; i < 3; i++)
		if (strcmp(word, alarm_state_word((enum alarm_state)i)) == 0)
			return (enum alarm_state)i;
	fail_msg("no state '%s'", word);
	return ALARM_STATE_OK;
}

static enum alarm_missing missing_of(const char *word) {
	for (int i = 0; i < 4; i++)
		if (strcmp(word, alarm_missing_word((enum alarm_missing)i)) == 0)
			return (enum alarm_missing)i;
	fail_msg("no treatment '%s'", word);
	return ALARM_MISSING;
}

static void run_line(const char *line) {
	struct alarm_rule rule = {.period_s = 60, .comparison = ALARM_ABOVE, .threshold = 10};
	struct alarm_point points[64] = {{0}};
	char missing[16], former[24];
	int end = 0;
	size_t count = 0;
	assert_int_equal(sscanf(line, "%u/%u %15s %23[A-Z_]:%n", &rule.datapoints, &rule.of, missing, former, &end), 4);
	rule.missing = missing_of(missing);
	assert_int_equal(alarm_rule_check(&rule), 0);
	enum alarm_state state = state_of(former);
	char group[40], wanted[24];
	for (int used = 0; sscanf(line + end, " %39[0X-]=%23[A-Z_]%n", group, wanted, &used) == 2; end += used) {
		for (const char *at = group; *at; at++, count++)
			points[count] = (struct alarm_point){
			        .is_there = *at != '-', .value = *at == 'X' ? 11 : 10, .time_s = 60 * (int64_t)count};
		size_t range = alarm_rule_range(&rule) < count ? alarm_rule_range(&rule) : count;
		struct alarm_decision decision;
		alarm_evaluate(&rule, points + count - range, range, state, &decision);
		if (decision.state != state_of(wanted))
			fail_msg("%sat %s: %s, %s", line, group, alarm_state_word(decision.state), decision.reason);
		state = decision.state;
	}
}

static void the_tables_are_decided_as_documented(void **unused) {
	(void)unused;
	char line[512];
	unsigned count = 0;
	FILE *file = fopen(tables, "r");
	assert_non_null(file);
	while (fgets(line, sizeof line, file)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		run_line(line);
		count++;
	}
	(void)fclose(file);
	assert_true(count >= 40);
}

static void each_comparison_has_its_border(void **unused) {
	(void)unused;
	static const bool breaches[4][3] = {{0, 0, 1}, {0, 1, 1}, {1, 0, 0}, {1, 1, 0}};
	for (int c = 0; c < 4; c++)
		for (int v = 0; v < 3; v++) {
			struct alarm_rule rule = {.comparison = (enum alarm_comparison)c, .threshold = 38};
			assert_int_equal(alarm_breaches(&rule, 37 + v), breaches[c][v]);
		}
}

static void the_reason_reads_like_that_of_cloudwatch(void **unused) {
	(void)unused;
	struct alarm_rule rule = {.of = 3, .datapoints = 2, .period_s = 300, .threshold = 38};
	const struct alarm_point points[] = {
	        {true, 40, 1795817400}, {false, 0, 1795817700}, {true, 37.5, 1795818000}, {true, 38.25, 1795818300}};
	struct alarm_decision decision;
	alarm_evaluate(&rule, points, 4, ALARM_STATE_OK, &decision);
	assert_string_equal(decision.reason, "Threshold Crossed: 2 out of the last 3 datapoints [38.25 (27/11/26 "
	                                     "22:25:00), 37.5 (27/11/26 22:20:00), "
	                                     "40.0 (27/11/26 22:10:00)] were greater than the threshold (38.0) "
	                                     "(minimum 2 datapoints for OK -> ALARM "
	                                     "transition).");
	alarm_evaluate(&rule, points + 1, 1, ALARM_STATE_OK, &decision);
	assert_string_equal(decision.reason, "Insufficient Data: 3 datapoints were unknown.");
	rule.missing = ALARM_BREACHING;
	alarm_evaluate(&rule, points + 1, 1, ALARM_STATE_OK, &decision);
	assert_string_equal(decision.reason,
	        "Threshold Crossed: no datapoints were received for 3 periods and 3 missing datapoints were treated as "
	        "[Breaching].");
}

static void what_is_no_number_is_missing(void **unused) {
	(void)unused;
	struct alarm_rule rule = {.of = 1, .datapoints = 1, .period_s = 60, .threshold = 1};
	const struct alarm_point points[] = {{true, strtod("nan", NULL), 0}, {true, strtod("inf", NULL), 60}};
	struct alarm_decision decision;
	alarm_evaluate(&rule, points, 2, ALARM_STATE_OK, &decision);
	assert_int_equal(decision.state, ALARM_STATE_INSUFFICIENT_DATA);
}

static void a_rule_is_at_most_a_day_of_minutes(void **unused) {
	(void)unused;
	static const struct {
		unsigned datapoints, of, period_s;
		bool fits;
	} rows[] = {{1, 1, 60, true}, {1, 1440, 60, true}, {1, 1441, 60, false}, {24, 24, 3600, true},
	        {1, 25, 3600, false}, {1, 1, 86400, true}, {1, 2, 86400, false}, {2, 1, 60, false}, {0, 1, 60, false},
	        {1, 0, 60, false}, {1, 1, 0, false}, {1, 1, 90, false}, {1, 4294967295u, 4294967280u, false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct alarm_rule rule = {
		        .datapoints = rows[i].datapoints, .of = rows[i].of, .period_s = rows[i].period_s};
		assert_int_equal(alarm_rule_check(&rule) == 0, rows[i].fits);
	}
}

int main(int argc, char **argv) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_tables_are_decided_as_documented),
	        cmocka_unit_test(each_comparison_has_its_border),
	        cmocka_unit_test(the_reason_reads_like_that_of_cloudwatch),
	        cmocka_unit_test(what_is_no_number_is_missing),
	        cmocka_unit_test(a_rule_is_at_most_a_day_of_minutes),
	};
	if (argc < 2)
		return 2;
	tables = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
