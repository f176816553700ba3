#include "policy/cron.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int64_t utc(const char *text) {
	struct tm tm = {0};
	assert_non_null(strptime(text, "%Y-%m-%dT%H:%M", &tm));
	return timegm(&tm);
}

/* The next times, as that place's clocks show them. */
static void due(const char *text, const char *name, const char *after, const char *const expected[]) {
	_cleanup_(time_zone_freep) TimeZone *zone = NULL;
	struct cron cron;
	assert_int_equal(cron_parse(text, &cron), 0);
	assert_int_equal(time_zone_open(name, &zone), 0);
	int64_t at = utc(after);
	for (size_t i = 0; expected[i]; i++) {
		char shown[TIME_ZONE_TEXT_BYTES];
		assert_int_equal(cron_next(&cron, zone, at, &at), 0);
		assert_string_equal(time_zone_text(zone, at, shown), expected[i]);
	}
}
#define DUE(text, name, after, ...) due(text, name, after, (const char *const[]){__VA_ARGS__, NULL})

/* Sunday 23:59 over each change of the clock, by a place whose law stays and by Vancouver's, whatever the database says
 * of it: always a week apart by the clock. */
static void the_founding_example_keeps_its_hour_over_both_changes(void **state) {
	(void)state;
	DUE("59 23 * * 0", "America/Los_Angeles", "2026-03-01T12:00", "2026-03-01T23:59:00-08:00",
	        "2026-03-08T23:59:00-07:00", "2026-03-15T23:59:00-07:00");
	DUE("59 23 * * 0", "America/Los_Angeles", "2026-10-25T12:00", "2026-10-25T23:59:00-07:00",
	        "2026-11-01T23:59:00-08:00", "2026-11-08T23:59:00-08:00");
	DUE("59 23 * * 0", "America/Los_Angeles", "2027-03-13T12:00", "2027-03-14T23:59:00-07:00",
	        "2027-03-21T23:59:00-07:00");
	DUE("59 23 * * 0", "America/Los_Angeles", "2027-11-06T12:00", "2027-11-07T23:59:00-08:00",
	        "2027-11-14T23:59:00-08:00");
	_cleanup_(time_zone_freep) TimeZone *zone = NULL;
	struct cron cron;
	int64_t at = utc("2026-01-01T00:00"), former = 0;
	assert_int_equal(time_zone_open("America/Vancouver", &zone), 0);
	assert_int_equal(cron_parse("59 23 * * 0", &cron), 0);
	for (int week = 0; week < 104; week++, former = at) {
		assert_int_equal(cron_next(&cron, zone, at, &at), 0);
		int64_t local = at + time_zone_offset(zone, at);
		assert_int_equal(local % 86400, 23 * 3600 + 59 * 60);
		assert_int_equal((local / 86400 + 4) % 7, 0);
		if (former)
			assert_int_equal(local - (former + time_zone_offset(zone, former)), 7 * 86400);
	}
}

static void what_is_skipped_is_due_once_behind_the_gap(void **state) {
	(void)state;
	DUE("30 2 * * *", "America/Los_Angeles", "2026-03-07T12:00", "2026-03-08T03:00:00-07:00",
	        "2026-03-09T02:30:00-07:00");
	DUE("0,15,30,45 2 8 3 *", "America/Los_Angeles", "2026-03-07T12:00", "2026-03-08T03:00:00-07:00",
	        "2027-03-08T02:00:00-08:00");
	DUE("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00", "2026-10-04T02:30:00+11:00",
	        "2026-10-05T02:15:00+11:00");
}

static void what_comes_twice_is_due_the_first_time(void **state) {
	(void)state;
	DUE("30 1 * * *", "America/Los_Angeles", "2026-10-31T12:00", "2026-11-01T01:30:00-07:00",
	        "2026-11-02T01:30:00-08:00");
	DUE("45 1 * * *", "Australia/Lord_Howe", "2026-04-03T16:00", "2026-04-05T01:45:00+11:00",
	        "2026-04-06T01:45:00+10:30");
}

static void a_star_goes_by_the_clock_face(void **state) {
	(void)state;
	DUE("0 * * * *", "America/Los_Angeles", "2026-11-01T07:30", "2026-11-01T01:00:00-07:00",
	        "2026-11-01T01:00:00-08:00", "2026-11-01T02:00:00-08:00");
	DUE("*/30 1-3 * * *", "America/Los_Angeles", "2026-03-08T09:10", "2026-03-08T01:30:00-08:00",
	        "2026-03-08T03:00:00-07:00", "2026-03-08T03:30:00-07:00", "2026-03-09T01:00:00-07:00");
	DUE("* * * * *", "UTC", "2026-12-31T23:58", "2026-12-31T23:59:00Z", "2027-01-01T00:00:00Z");
}

static void days_are_either_where_both_are_restricted(void **state) {
	(void)state;
	DUE("0 0 13 * 5", "UTC", "2026-11-01T00:00", "2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z",
	        "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z",
	        "2026-12-13T00:00:00Z");
	DUE("0 0 */2 * mon", "UTC", "2026-11-01T00:00", "2026-11-09T00:00:00Z", "2026-11-23T00:00:00Z");
	DUE("0 0 * * 7", "UTC", "2026-11-23T00:00", "2026-11-29T00:00:00Z");
	DUE("0 0 * * Fri-Sun", "UTC", "2026-11-23T00:00", "2026-11-27T00:00:00Z", "2026-11-28T00:00:00Z",
	        "2026-11-29T00:00:00Z", "2026-12-04T00:00:00Z");
}

static void years_end_and_leap(void **state) {
	(void)state;
	DUE("0 0 29 feb *", "UTC", "2026-11-01T00:00", "2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z");
	DUE("0 0 29 2 *", "UTC", "2097-01-01T00:00", "2104-02-29T00:00:00Z");
	DUE("@yearly", "Asia/Kathmandu", "2026-11-01T00:00", "2027-01-01T00:00:00+05:45");
	DUE("59 23 31 12 *", "America/Los_Angeles", "2026-12-31T00:00", "2026-12-31T23:59:00-08:00",
	        "2027-12-31T23:59:00-08:00");
}

static void a_mistake_is_told_with_its_field(void **state) {
	(void)state;
	static const char *const rows[][2] = {{"0 24 * * *", "hour (field 2 of five)"}, {"60 * * * *", "minute"},
	        {"* * * *", "4 fields"}, {"* * * * * *", "more than five"}, {"", "0 fields"}, {"0 0 0 * *", "day of"},
	        {"0 0 * 13 *", "month"}, {"0 0 * * 8", "week"}, {"5/10 * * * *", "minute"}, {"*/0 * * * *", "minute"},
	        {"9-3 * * * *", "minute"}, {"1,,2 * * * *", "minute"}, {"0 0 * janu *", "month"}, {"@reboot", "minute"},
	        {"0 0 30 2 *", "never runs"}, {"0 0 31 4,6,9,11 *", "never runs"}};
	struct cron cron;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(cron_parse(rows[i][0], &cron), -EINVAL);
		if (!strstr(fault_message(), rows[i][1]))
			fail_msg("%s: %s", rows[i][0], fault_message());
	}
	assert_int_equal(cron_parse("0 0 30 2 1", &cron), 0); /* each Monday of February */
}

static void times_that_passed_are_counted_and_the_last_is_known(void **state) {
	(void)state;
	_cleanup_(time_zone_freep) TimeZone *zone = NULL;
	struct cron cron;
	int64_t last;
	uint64_t count;
	assert_int_equal(time_zone_open("UTC", &zone), 0);
	assert_int_equal(cron_parse("0 3 * * *", &cron), 0);
	assert_int_equal(cron_last(&cron, zone, utc("2026-11-01T03:00"), utc("2026-11-04T12:00"), &last, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(last, utc("2026-11-04T03:00"));
	assert_int_equal(
	        cron_last(&cron, zone, utc("2026-11-01T03:00"), utc("2026-11-02T02:59"), &last, &count), -ENOENT);
	assert_int_equal(cron_parse("* * * * *", &cron), 0);
	assert_int_equal(cron_last(&cron, zone, utc("2020-11-01T03:00"), utc("2026-11-02T02:59"), &last, &count), 0);
	assert_int_equal(last, utc("2026-11-02T02:59"));
}

static void only_names_are_zones(void **state) {
	(void)state;
	static const char *const names[] = {"", "+01:00", "/etc/localtime", "../../etc/passwd",
	        "EST5EDT,M3.2.0,M11.1.0", "America/Nowhere", "America/", "America//Vancouver", "a b"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		TimeZone *zone = NULL;
		assert_int_equal(time_zone_open(names[i], &zone), -EINVAL);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_founding_example_keeps_its_hour_over_both_changes),
	        cmocka_unit_test(what_is_skipped_is_due_once_behind_the_gap),
	        cmocka_unit_test(what_comes_twice_is_due_the_first_time),
	        cmocka_unit_test(a_star_goes_by_the_clock_face),
	        cmocka_unit_test(days_are_either_where_both_are_restricted),
	        cmocka_unit_test(years_end_and_leap),
	        cmocka_unit_test(a_mistake_is_told_with_its_field),
	        cmocka_unit_test(times_that_passed_are_counted_and_the_last_is_known),
	        cmocka_unit_test(only_names_are_zones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
