#include "crypto/base/utc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

static void times_are_told_in_utc_whatever_the_zone(void **state) {
	(void)state;
	static const struct {
		int64_t ns;
		const char *stamp, *words;
	} rows[] = {{0, "1970-01-01T00:00:00Z", "1970-01-01 00:00:00 UTC"},
	        {INT64_C(1795519265) * S + S - 1, "2026-11-24T11:21:05Z", "2026-11-24 11:21:05 UTC"},
	        {-1, "1969-12-31T23:59:59Z", "1969-12-31 23:59:59 UTC"},
	        {-S, "1969-12-31T23:59:59Z", "1969-12-31 23:59:59 UTC"},
	        {INT64_MAX, "2262-04-11T23:47:16Z", "2262-04-11 23:47:16 UTC"},
	        {INT64_MIN, "1677-09-21T00:12:43Z", "1677-09-21 00:12:43 UTC"}};
	assert_int_equal(setenv("TZ", "America/Vancouver", 1), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[UTC_TEXT_BYTES];
		assert_string_equal(utc_stamp(rows[i].ns, text), rows[i].stamp);
		assert_string_equal(utc_words(rows[i].ns, text), rows[i].words);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(times_are_told_in_utc_whatever_the_zone)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
