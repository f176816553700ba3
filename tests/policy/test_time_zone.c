#include "policy/time_zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HOUR 3600

static void offsets_follow_the_clock(void **state) {
	(void)state;
	_cleanup_(time_zone_freep) TimeZone *zone = NULL;
	assert_int_equal(time_zone_open("America/Los_Angeles", &zone), 0);
	assert_int_equal(time_zone_offset(zone, INT64_C(1772964000) - 1), -8 * HOUR); /* 2026-03-08T10:00:00Z */
	assert_int_equal(time_zone_offset(zone, INT64_C(1772964000)), -7 * HOUR);
	assert_int_equal(time_zone_first(zone, INT64_C(1772964000) - 8 * HOUR + 1800), INT64_C(1772964000));
	char text[TIME_ZONE_TEXT_BYTES];
	assert_string_equal(time_zone_text(zone, INT64_C(1772964000), text), "2026-03-08T03:00:00-07:00");
}

/* The rule at the end of the file counts for years that it does not list. */
static void years_to_come_are_known(void **state) {
	(void)state;
	_cleanup_(time_zone_freep) TimeZone *zone = NULL;
	assert_int_equal(time_zone_open("America/Los_Angeles", &zone), 0);
	assert_int_equal(time_zone_offset(zone, INT64_C(2540000000)), -7 * HOUR); /* June 2050 */
	assert_int_equal(time_zone_offset(zone, INT64_C(2524608000)), -8 * HOUR); /* January 2050 */
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(offsets_follow_the_clock),
	        cmocka_unit_test(years_to_come_are_known),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
