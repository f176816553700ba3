#include "policy/dqdl/calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void days_are_counted_from_1970(void **state) {
	(void)state;
	static const struct {
		int32_t year;
		unsigned month, day;
		int32_t days;
	} cases[] = {
	        {1970, 1, 1, 0}, {1969, 12, 31, -1}, {2000, 2, 29, 11016}, {2000, 3, 1, 11017}, {2026, 11, 27, 20784}};
	int32_t days;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_true(date_days(cases[i].year, cases[i].month, cases[i].day, &days));
		assert_int_equal(days, cases[i].days);
	}
	assert_false(date_days(1900, 2, 29, &days));
	assert_false(date_days(2026, 4, 31, &days));
	assert_false(date_days(2026, 13, 1, &days));
	assert_false(date_days(2026, 0, 1, &days));
	assert_false(date_days(2026, 1, 0, &days));
	assert_false(date_days(10000, 1, 1, &days));
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(days_are_counted_from_1970)};
	return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
