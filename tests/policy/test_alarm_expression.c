#include "policy/alarm/expression.h"

#include "crypto/base/fault.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"m1", "m2"};
/* m1: 1 2 - 4   m2: 10 0 30 - */
static const struct alarm_point m1[] = {{true, 1, 0}, {true, 2, 60}, {false, 0, 120}, {true, 4, 180}};
static const struct alarm_point m2[] = {{true, 10, 0}, {true, 0, 60}, {true, 30, 120}, {false, 0, 180}};
static const struct alarm_point *const series[] = {m1, m2};

static void compute(const char *text, char out[static 128]) {
	AlarmExpression *expression = NULL;
	struct alarm_point points[4];
	unsigned column = 0;
	if (alarm_expression_parse(text, names, 2, &column, &expression) < 0)
		fail_msg("%s: %s", text, fault_message());
	assert_int_equal(alarm_expression_compute(expression, series, 4, 60, points), 0);
	out[0] = '\0';
	for (size_t i = 0; i < 4; i++) {
		size_t used = strlen(out);
		if (points[i].is_there)
			snprintf(out + used, 128 - used, "%s%.4g", i ? " " : "", points[i].value);
		else
			snprintf(out + used, 128 - used, "%s-", i ? " " : "");
		assert_int_equal(points[i].time_s, m1[i].time_s);
	}
	alarm_expression_free(expression);
}

static void expressions_are_computed_point_by_point(void **unused) {
	(void)unused;
	static const struct {
		const char *text, *wanted;
	} rows[] = {{"m1", "1 2 - 4"}, {"m1 + m2", "11 2 - -"}, {"m1/m2*100", "10 - - -"}, {"-m1 - -1", "0 -1 - -3"},
	        {"2 + 3 * 4 - 1", "13 13 13 13"}, {"(2 + 3) * 4", "20 20 20 20"}, {"10 - 3 - 2", "5 5 5 5"},
	        {"SUM(m1)", "7 7 7 7"}, {"SUM(m1, m2)", "11 2 30 4"}, {"AVG(m1, m2)", "5.5 1 30 4"},
	        {"MIN(m2)", "0 0 0 0"}, {"MAX(m1, m2, 5)", "10 5 30 5"}, {"FILL(m1, 0)", "1 2 0 4"},
	        {"FILL(m1, REPEAT)", "1 2 2 4"}, {"FILL(m2, m1)", "10 0 30 4"}, {"IF(m2 > 0, m1 / m2, 0)", "0.1 0 - -"},
	        {"IF(m1 >= 2, 1)", "- 1 - 1"}, {"RATE(m1)", "- 0.01667 - 0.01667"}, {"DIFF(m2)", "- -10 30 -"},
	        {"ABS(0 - m1)", "1 2 - 4"}, {"m1 == 2 OR m1 == 4", "0 1 - 1"}, {"m1 > 1 AND m2 < 1", "0 1 - -"},
	        {"m1 != 1", "0 1 - 1"}, {"m1 <= 2", "1 1 - 0"}, {"1.5e2", "150 150 150 150"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char out[128];
		compute(rows[i].text, out);
		if (strcmp(out, rows[i].wanted) != 0)
			fail_msg("%s: %s, not %s", rows[i].text, out, rows[i].wanted);
	}
}

static void mistakes_are_told_with_their_column(void **unused) {
	(void)unused;
	static const struct {
		const char *text;
		unsigned column;
	} rows[] = {{"", 1}, {"m1 +", 5}, {"m3", 1}, {"m1 m2", 4}, {"(m1", 4}, {"SUM m1", 5}, {"SUM()", 5},
	        {"SUME(m1)", 1}, {"FILL(m1)", 9}, {"RATE(m1, m2)", 10}, {"1..2", 1}, {"m1 * * m2", 6}, {"m1 $ 2", 4},
	        {"REPEAT", 1}, {"1e999", 1}, {"IF(m1)", 7}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		AlarmExpression *expression = NULL;
		unsigned column = 0;
		assert_int_equal(alarm_expression_parse(rows[i].text, names, 2, &column, &expression), -EINVAL);
		if (column != rows[i].column)
			fail_msg("%s: column %u: %s", rows[i].text, column, fault_message());
	}
}

static void depth_and_length_are_bounded(void **unused) {
	(void)unused;
	char text[3000];
	AlarmExpression *expression = NULL;
	memset(text, '(', 1000);
	text[1000] = '\0';
	assert_int_equal(alarm_expression_parse(text, names, 2, NULL, &expression), -EINVAL);
	assert_non_null(strstr(fault_message(), "column 33: more than 32 brackets"));
	memset(text, '-', 900);
	strcpy(text + 900, "m1");
	assert_int_equal(alarm_expression_parse(text, names, 2, NULL, &expression), 0);
	alarm_expression_free(expression);
	text[0] = '\0';
	for (int i = 0; i < 400; i++)
		strcat(text, i ? "+m1" : "m1");
	expression = NULL;
	assert_int_equal(alarm_expression_parse(text, names, 2, NULL, &expression), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(expressions_are_computed_point_by_point),
	        cmocka_unit_test(mistakes_are_told_with_their_column),
	        cmocka_unit_test(depth_and_length_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
