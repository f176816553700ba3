#include "backend/charge.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))
#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)

/* At that time so many bytes of Raw are current. */
static void level(struct fixture *f, int64_t time_s, double bytes) {
	struct charge_levels levels = {.time_s = time_s};
	levels.bytes[ZONE_RAW][CHARGE_CURRENT] = bytes;
	levels.bytes[ZONE_NONE][CHARGE_VERSIONS] = 3 * bytes;
	assert_int_equal(OP(f, charge_accrue(f->m, &levels)), 0);
}

static double used(struct fixture *f, unsigned month, unsigned zone, enum charge_kind kind) {
	struct charges charges;
	assert_int_equal(OP(f, charge_read(f->m, month, &charges)), 0);
	return charges.quantity[zone][kind];
}

static void expect(struct fixture *f, unsigned month, double hours, double byte_hours) {
	double got = used(f, month, ZONE_RAW, CHARGE_CURRENT);
	assert_true(got > byte_hours - 1e-6 && got < byte_hours + 1e-6);
	got = used(f, month, ZONE_NONE, CHARGE_HOURS);
	assert_true(got > hours - 1e-9 && got < hours + 1e-9);
}

static void months_are_those_of_utc(void **state) {
	(void)state;
	assert_int_equal(charge_month(0), 197001);
	assert_int_equal(charge_month(1796083199), 202611); /* 2026-11-30T23:59:59Z */
	assert_int_equal(charge_month(1796083200), 202612);
	assert_int_equal(charge_month_begins(202612), 1796083200);
	assert_int_equal(charge_month_next(202611), 202612);
	assert_int_equal(charge_month_next(202612), 202701);
	/* 28, 29 and 31 days */
	assert_int_equal(charge_month_begins(202703) - charge_month_begins(202702), 28 * DAY);
	assert_int_equal(charge_month_begins(202803) - charge_month_begins(202802), 29 * DAY);
	assert_int_equal(charge_month_begins(202701) - charge_month_begins(202612), 31 * DAY);
}

static void the_first_sample_only_begins(void **state) {
	struct fixture *f = *state;
	struct charge_levels last;
	assert_int_equal(OP(f, charge_last(f->m, &last)), -ENOENT);
	level(f, charge_month_begins(202611), 100);
	expect(f, 202611, 0, 0);
	assert_int_equal(OP(f, charge_last(f->m, &last)), 0);
	assert_int_equal(last.time_s, charge_month_begins(202611));
	assert_true(last.bytes[ZONE_RAW][CHARGE_CURRENT] == 100);
}

static void what_lay_there_counts_until_the_next_sample(void **state) {
	struct fixture *f = *state;
	const int64_t start = charge_month_begins(202611);
	level(f, start, 100);
	level(f, start + HOUR, 1000);
	level(f, start + HOUR + 60, 0);
	level(f, start + 5 * HOUR, 7);
	expect(f, 202611, 5, 100 * 1 + 1000.0 / 60);
	double versions = used(f, 202611, ZONE_NONE, CHARGE_VERSIONS);
	assert_true(versions > 349.99 && versions < 350.01);
}

/* By hand: 10 bytes from Nov 29 00:00, unmounted, mounted again on Jan 2 12:00:
 * 48 h in November, 31 × 24 = 744 h in December, 36 h in January. */
static void a_downtime_is_split_at_the_ends_of_months(void **state) {
	struct fixture *f = *state;
	level(f, charge_month_begins(202612) - 2 * DAY, 10);
	fixture_commit(f);
	fixture_reopen(f);
	level(f, charge_month_begins(202701) + 36 * HOUR, 999);
	expect(f, 202611, 48, 480);
	expect(f, 202612, 744, 7440);
	expect(f, 202701, 36, 360);
}

static void a_clock_set_back_adds_nothing_until_it_has_caught_up(void **state) {
	struct fixture *f = *state;
	const int64_t start = charge_month_begins(202611);
	level(f, start, 100);
	level(f, start + 10 * HOUR, 100);
	level(f, start + 8 * HOUR, 100);
	level(f, start + 9 * HOUR, 100);
	expect(f, 202611, 10, 1000);
	level(f, start + 11 * HOUR, 100);
	expect(f, 202611, 11, 1100);
}

static void a_clock_that_was_far_ahead_does_not_stop_the_count(void **state) {
	struct fixture *f = *state;
	const int64_t start = charge_month_begins(202611);
	level(f, start, 100);
	level(f, charge_month_begins(203611), 100); /* ten years: nobody's downtime */
	expect(f, 203611, 0, 0);
	expect(f, 202612, 0, 0);
	level(f, start + HOUR, 100);
	level(f, start + 2 * HOUR, 100);
	expect(f, 202611, 1, 100);
}

static void counts_are_added_to_the_month_of_their_time(void **state) {
	struct fixture *f = *state;
	const int64_t end = charge_month_begins(202612);
	assert_int_equal(OP(f, charge_add(f->m, end - 1, ZONE_LANDING, CHARGE_PUTS, 3)), 0);
	assert_int_equal(OP(f, charge_add(f->m, end - 1, ZONE_LANDING, CHARGE_PUTS, 4)), 0);
	assert_int_equal(OP(f, charge_add(f->m, end, ZONE_LANDING, CHARGE_PUTS, 5)), 0);
	assert_true(used(f, 202611, ZONE_LANDING, CHARGE_PUTS) == 7);
	assert_true(used(f, 202612, ZONE_LANDING, CHARGE_PUTS) == 5);
	assert_int_equal(OP(f, charge_add(f->m, end, ZONE_STAGING, CHARGE_PUTS, 5)), -EINVAL);
	assert_int_equal(OP(f, charge_add(f->m, end, ZONE_RAW, CHARGE_PUTS, -1)), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	        T(months_are_those_of_utc),
	        T(the_first_sample_only_begins),
	        T(what_lay_there_counts_until_the_next_sample),
	        T(a_downtime_is_split_at_the_ends_of_months),
	        T(a_clock_set_back_adds_nothing_until_it_has_caught_up),
	        T(a_clock_that_was_far_ahead_does_not_stop_the_count),
	        T(counts_are_added_to_the_month_of_their_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
