/* What Spark's CAST takes, as its documentation and that of AWS Glue have it. */
#include "policy/dqdl/cast.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool fits(const char *type, const char *text) {
	struct cast cast;
	assert_int_equal(cast_parse(type, &cast), 0);
	return cast_fits(&cast, (struct table_cell){.data = text, .size = strlen(text)});
}

static void assert_each(const char *type, bool expected, const char *const *texts) {
	for (; *texts; texts++)
		if (fits(type, *texts) != expected)
			fail_msg("%s: \"%s\"", type, *texts);
}
#define TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void whole_numbers_have_a_size(void **state) {
	(void)state;
	assert_each("Integer", true, TEXTS("0", "-1", "+7", " 12 ", "2147483647", "-2147483648", "12.9", "3."));
	assert_each("integer", false,
	        TEXTS("", "-", "2147483648", "-2147483649", "1e3", "0x10", "12a", "1 2", ".5",
	                "99999999999999999999999999"));
	assert_each("LONG", true, TEXTS("9223372036854775807", "-9223372036854775808"));
	assert_each("Long", false, TEXTS("9223372036854775808", "-9223372036854775809"));
}

static void real_numbers_have_an_exponent(void **state) {
	(void)state;
	assert_each("Double", true, TEXTS("1", "-1.5e10", ".5", "NaN", "-Infinity", "1.5f", "2D"));
	assert_each("Float", false, TEXTS("", "f", "one", "1..2", "e5", "Infinityx", "-f"));
}

static void decimals_have_room_before_the_point(void **state) {
	(void)state;
	assert_each("DECIMAL(4,2)", true, TEXTS("7.5", "99.99", "-99.994", "0.001", "00099.1", "1e1", "9990e-2"));
	assert_each("decimal( 4 , 2 )", false, TEXTS("100", "99.995", "1e2", "x", "-100.0"));
	assert_each("DECIMAL(2,2)", true, TEXTS("0.99", "0.994", "0"));
	assert_each("DECIMAL(2,2)", false, TEXTS("0.995", "1"));
	assert_each("DECIMAL(38,0)", true, TEXTS("99999999999999999999999999999999999999"));
	assert_each("DECIMAL(38,0)", false, TEXTS("99999999999999999999999999999999999999.5"));
	assert_true(fits("DECIMAL", "1234567890"));
	assert_true(fits("DECIMAL(3)", "999"));
	assert_false(fits("DECIMAL(3)", "1000"));
}

static void truth_has_many_names(void **state) {
	(void)state;
	assert_each("Boolean", true, TEXTS("true", "F", "yes", "N", "1", " 0 ", "TRUE"));
	assert_each("Boolean", false, TEXTS("2", "on", "tru", ""));
}

static void dates_and_times_exist(void **state) {
	(void)state;
	assert_each("Date", true,
	        TEXTS("2023", "2023-1", "2023-12", "2023-02-28", "2023-2-8", "2024-02-29 any", "2023-01-01T10:00:00Z"));
	assert_each("Date", false,
	        TEXTS("23-01-01", "2023-13", "2023-02-29", "01-01-2023", "2023/01/01", "2023-01-", "20230101"));
	assert_each("Timestamp", true,
	        TEXTS("2023-01-01", "2023-01-01 10:00", "2023-01-01T10:00:00.123Z", "2023-01-01 10:00:00+02:00",
	                "2023-01-01 23:59:59 UTC"));
	assert_each("Timestamp", false,
	        TEXTS("2023-01-01 25:00", "2023-01-01 10:60", "2023-01-01 ten", "2023-01-01 10:00:00+99:00", "10:00"));
}

static void a_date_may_have_a_format(void **state) {
	(void)state;
	struct cast cast = {.type = CAST_DATE};
	static const struct {
		const char *format, *text;
		bool expected;
	} cases[] = {{"dd/MM/yyyy", "28/02/2023", true}, {"dd/MM/yyyy", "29/02/2023", false},
	        {"dd/MM/yyyy", "2023-02-28", false}, {"dd-MM", "29-02", true}, {"dd-MM", "32-01", false},
	        {"yyyy-MM", "2023-12", true}, {"yyyy-MM", "2023-13", false}, {"yyyy-MM", "2023-1", false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cast.format = cases[i].format;
		struct table_cell cell = {.data = cases[i].text, .size = strlen(cases[i].text)};
		if (cast_fits(&cast, cell) != cases[i].expected)
			fail_msg("%s: %s", cases[i].format, cases[i].text);
	}
}

static void other_names_are_no_types(void **state) {
	(void)state;
	struct cast cast;
	static const char *const names[] = {
	        "", "String", "DECIMAL(", "DECIMAL(0,0)", "DECIMAL(39,1)", "DECIMAL(4,5)", "DECIMAL(4,2)x", "DECIMALx"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (cast_parse(names[i], &cast) != -EINVAL)
			fail_msg("\"%s\"", names[i]);
		assert_non_null(strstr(fault_message(), "no "));
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(whole_numbers_have_a_size),
	        cmocka_unit_test(real_numbers_have_an_exponent),
	        cmocka_unit_test(decimals_have_room_before_the_point),
	        cmocka_unit_test(truth_has_many_names),
	        cmocka_unit_test(dates_and_times_exist),
	        cmocka_unit_test(a_date_may_have_a_format),
	        cmocka_unit_test(other_names_are_no_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
