#include "fs/virtual/times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static void a_whole_second_counts_to_its_end(void **state) {
	(void)state;
	int64_t time = 0;
	assert_true(virtual_parse_time("2026-11-22T10:00:00Z", &time));
	assert_int_equal(time, 1795341600 * SECOND + SECOND - 1);
	assert_true(virtual_parse_time("@1795341600", &time));
	assert_int_equal(time, 1795341600 * SECOND + SECOND - 1);
}

static void fractions_are_exact(void **state) {
	(void)state;
	int64_t time = 0;
	assert_true(virtual_parse_time("1970-01-01T00:00:01.25Z", &time));
	assert_int_equal(time, SECOND + SECOND / 4);
	assert_true(virtual_parse_time("1970-01-01T00:00:00.000000001Z", &time));
	assert_int_equal(time, 1);
}

static void a_day_is_its_first_instant(void **state) {
	(void)state;
	int64_t time = 0;
	assert_true(virtual_parse_time("2026-11-22", &time));
	assert_int_equal(time, 1795305600 * SECOND);
	char name[16];
	virtual_day_name(time, name);
	assert_string_equal(name, "2026-11-22");
	virtual_day_name(time - 1, name);
	assert_string_equal(name, "2026-11-21");
}

static void what_is_no_time_is_refused(void **state) {
	(void)state;
	static const char *const bad[] = {"", "@", "@-1", "@99999999999", "yesterday", "2026-02-30", "2026-13-01",
	        "2026-11-22T24:00:00Z", "2026-11-22T10:00:00", "2026-11-22T10:00:00.Z", "2026-11-22T10:00:00+01:00",
	        "2026-11-22 10:00:00Z", "1969-12-31", "2026-11-22T10:00:00ZZ", "@1x", "02026-1-1"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int64_t time;
		if (virtual_parse_time(bad[i], &time))
			fail_msg("'%s' was taken for a time", bad[i]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_whole_second_counts_to_its_end),
	        cmocka_unit_test(fractions_are_exact),
	        cmocka_unit_test(a_day_is_its_first_instant),
	        cmocka_unit_test(what_is_no_time_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
