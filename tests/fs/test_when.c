#include "tests/fs/unit.h"

#include "crypto/base/fault.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include <time.h>

#define NS INT64_C(1000000000)
/* 2026-11-23 10:15:02 in Vancouver (UTC-8), 18:15:02 UTC */
#define NOW (INT64_C(1795457702) * NS + 5)

static int use_vancouver(void **state) {
	(void)state;
	/* The rule itself: what America/Vancouver means from 2026 on differs from one release of tzdata to the next. */
	setenv("TZ", "PST8PDT,M3.2.0,M11.1.0", 1);
	tzset();
	return 0;
}

static void assert_span(const char *text, int64_t first, int64_t last) {
	struct when when;
	int rc = when_parse(text, NOW, &when);
	if (rc || when.first != first || when.last != last)
		print_error("%s: rc %d (%s), %lld to %lld\n", text, rc, fault_message(), (long long)when.first,
		        (long long)when.last);
	assert_int_equal(rc, 0);
	assert_int_equal(when.first, first);
	assert_int_equal(when.last, last);
}

static void now_is_the_instant_given(void **state) {
	(void)state;
	assert_span("now", NOW, NOW);
}

static void durations_count_back_from_now(void **state) {
	(void)state;
	assert_span("-1h", NOW - 3600 * NS, NOW - 3600 * NS);
	assert_span("1h", NOW - 3600 * NS, NOW - 3600 * NS);
	assert_span("90 min ago", NOW - 5400 * NS, NOW - 5400 * NS);
	assert_span("3d", NOW - 3 * 86400 * NS, NOW - 3 * 86400 * NS);
	assert_span("2 weeks", NOW - 14 * 86400 * NS, NOW - 14 * 86400 * NS);
	assert_span("0s", NOW, NOW);
}

static void a_day_is_local_and_whole(void **state) {
	(void)state;
	int64_t midnight = INT64_C(1795420800) * NS; /* 2026-11-23 00:00 PST */
	assert_span("today", midnight, midnight + 86400 * NS - 1);
	assert_span("2026-11-23", midnight, midnight + 86400 * NS - 1);
	assert_span("yesterday", midnight - 86400 * NS, midnight - 1);
}

static void the_day_the_clocks_change_has_25_hours(void **state) {
	(void)state;
	struct when when;
	assert_int_equal(when_parse("2026-11-01", NOW, &when), 0);
	assert_int_equal((when.last + 1 - when.first) / NS, 25 * 3600);
}

static void months_and_years_are_spans(void **state) {
	(void)state;
	struct when when;
	assert_int_equal(when_parse("2024-02Z", NOW, &when), -EINVAL);
	assert_int_equal(when_parse("2024-02", NOW, &when), 0);
	assert_int_equal((when.last + 1 - when.first) / NS, 29 * 86400);
	assert_int_equal(when_parse("2025", NOW, &when), 0);
	assert_int_equal((when.last + 1 - when.first) / NS, 365 * 86400);
}

static void a_zone_is_obeyed(void **state) {
	(void)state;
	int64_t at = INT64_C(1795457702) * NS;
	assert_span("2026-11-23T18:15:02Z", at, at + NS - 1);
	assert_span("2026-11-23 10:15:02", at, at + NS - 1);
	assert_span("2026-11-23T19:15:02+01:00", at, at + NS - 1);
	assert_span("2026-11-23T14:45:02-0330", at, at + NS - 1);
	assert_span("2026-11-23T18:15:02.25Z", at + NS / 4, at + NS / 4 + NS / 100 - 1);
	assert_span("2026-11-23T18:15:02.000000001Z", at + 1, at + 1);
}

static void a_clock_time_is_todays(void **state) {
	(void)state;
	int64_t minute = INT64_C(1795457700) * NS;
	assert_span("10:15", minute, minute + 60 * NS - 1);
	assert_span("10:15:02", minute + 2 * NS, minute + 3 * NS - 1);
}

static void seconds_since_1970_are_taken(void **state) {
	(void)state;
	assert_span("@0", 0, NS - 1);
	assert_span("@1795457702.5", NOW - 5 + NS / 2, NOW - 5 + NS / 2 + NS / 10 - 1);
}

static void what_is_no_time_is_told_so_with_right_forms(void **state) {
	(void)state;
	static const char *const wrong[] = {"", " ", "foo", "2026-13-01", "2026-02-30", "2026-11-23T25:00", "10:61",
	        "2026-11-23T10:15:02Zx", "-", "1", "1 parsec", "1h later", "@", "@x", "@1.", "2026-1-2", "20261123",
	        "2026-11-23T10:15:02+99:00", "2026-11-23T10:15:02.", "1h ago ago", "--1h", "2026-11-23\n"};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct when when = {7, 7};
		if (when_parse(wrong[i], NOW, &when) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
		assert_non_null(strstr(fault_message(), "2026-11-22"));
		assert_int_equal(when.first, 7);
	}
}

static void what_64_bits_cannot_hold_is_refused(void **state) {
	(void)state;
	struct when when;
	assert_int_equal(when_parse("@9999999999", NOW, &when), -ERANGE);
	assert_int_equal(when_parse("999999999w", NOW, &when), -ERANGE);
	assert_int_not_equal(when_parse("9999-12-31", NOW, &when), 0);
	assert_int_not_equal(when_parse("1969-12-31", NOW, &when), 0);
	assert_int_equal(when_parse("2261", NOW, &when), 0);
}

static void times_are_shown_local_with_zone_and_read_back(void **state) {
	(void)state;
	char words[WORDS_BYTES];
	assert_string_equal(words_time(NOW, words), "2026-11-23 10:15:02 PST");
	assert_string_equal(words_time_utc(NOW, words), "2026-11-23T18:15:02.000000005Z");
	assert_span(words, NOW, NOW);
}

static void a_span_is_how_long_something_lasts(void **state) {
	(void)state;
	static const struct {
		const char *text;
		int64_t seconds; /* 0: refused */
	} rows[] = {{"90m", 5400}, {"1h", 3600}, {"2 days", 172800}, {"30 s", 30}, {"1w", 604800}, {"-1h", 0},
	        {"1h ago", 0}, {"1", 0}, {"h", 0}, {"yesterday", 0}, {"2026-11-22", 0}, {"", 0}, {"9999999999999h", 0}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t ns = 0;
		int rc = when_duration(rows[i].text, &ns);
		if (rc != (rows[i].seconds ? 0 : -EINVAL) || ns != rows[i].seconds * 1000000000)
			fail_msg("'%s': %d, %lld", rows[i].text, rc, (long long)ns);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_span_is_how_long_something_lasts),
	        cmocka_unit_test(now_is_the_instant_given),
	        cmocka_unit_test(durations_count_back_from_now),
	        cmocka_unit_test(a_day_is_local_and_whole),
	        cmocka_unit_test(the_day_the_clocks_change_has_25_hours),
	        cmocka_unit_test(months_and_years_are_spans),
	        cmocka_unit_test(a_zone_is_obeyed),
	        cmocka_unit_test(a_clock_time_is_todays),
	        cmocka_unit_test(seconds_since_1970_are_taken),
	        cmocka_unit_test(what_is_no_time_is_told_so_with_right_forms),
	        cmocka_unit_test(what_64_bits_cannot_hold_is_refused),
	        cmocka_unit_test(times_are_shown_local_with_zone_and_read_back),
	};
	return cmocka_run_group_tests(tests, use_vancouver, NULL);
}
