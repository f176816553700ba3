#include "backend/sample.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))
#define DAY INT64_C(86400)
#define T0 (INT64_C(20000) * DAY) /* a midnight */

static void add(struct fixture *f, const char *labels, int64_t time_s, double value) {
	assert_int_equal(OP(f, sample_add(f->m, "StoredBytes", labels, time_s, value)), 0);
}

struct points {
	struct sample_point at[512];
	size_t count;
};

static int take(void *arg, const struct sample_point *point) {
	struct points *points = arg;
	points->at[points->count++] = *point;
	return points->count == sizeof points->at / sizeof points->at[0];
}

static struct points read_points(
        struct fixture *f, const char *labels, int64_t from_s, int64_t to_s, unsigned period_s) {
	struct points points = {.count = 0};
	assert_int_equal(OP(f, sample_read(f->m, "StoredBytes", labels, from_s, to_s, period_s, take, &points)), 0);
	return points;
}

static void expect_point(
        const struct sample_point *p, int64_t time_s, double count, double sum, double least, double most) {
	assert_int_equal(p->time_s, time_s);
	assert_true(p->count == count);
	assert_true(p->sum == sum);
	assert_true(p->least == least);
	assert_true(p->most == most);
}

static unsigned prune(struct fixture *f, int64_t now_s, unsigned limit) {
	unsigned removed = 77;
	assert_int_equal(OP(f, sample_prune(f->m, now_s, limit, &removed)), 0);
	return removed;
}

/* ---- */

static void each_period_is_summed_exactly(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 180; i++) /* three hours, one value a minute: 0, 1, 2, … */
		add(f, "", T0 + i * 60 + 7, i);
	struct points minutes = read_points(f, "", T0, T0 + 300, 60);
	assert_int_equal(minutes.count, 5);
	expect_point(&minutes.at[4], T0 + 240, 1, 4, 4, 4);
	struct points fives = read_points(f, "", T0 + 300, T0 + 900, 300);
	assert_int_equal(fives.count, 2);
	expect_point(&fives.at[0], T0 + 300, 5, 5 + 6 + 7 + 8 + 9, 5, 9);
	struct points hours = read_points(f, "", 0, INT64_MAX, 3600);
	assert_int_equal(hours.count, 3);
	expect_point(&hours.at[1], T0 + 3600, 60, (60 + 119) * 30, 60, 119);
	struct points days = read_points(f, "", 0, INT64_MAX, 86400);
	assert_int_equal(days.count, 1);
	expect_point(&days.at[0], T0, 180, 179 * 90, 0, 179);
	struct points twos = read_points(f, "", T0, T0 + 240, 120); /* of no row: of minutes */
	assert_int_equal(twos.count, 2);
	expect_point(&twos.at[1], T0 + 120, 2, 5, 2, 3);
}

static void many_values_in_one_minute_are_one_row(void **state) {
	struct fixture *f = *state;
	add(f, "", T0, 3);
	add(f, "", T0 + 59, -5);
	add(f, "", T0 + 30, 1);
	struct points points = read_points(f, "", T0, T0 + 60, 60);
	assert_int_equal(points.count, 1);
	expect_point(&points.at[0], T0, 3, -1, -5, 3);
}

static void periods_that_begin_before_or_at_the_end_are_left_out(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 10; i++)
		add(f, "", T0 + i * 60, i);
	struct points points = read_points(f, "", T0 + 1, T0 + 300, 60);
	assert_int_equal(points.count, 4);
	assert_int_equal(points.at[0].time_s, T0 + 60);
	assert_int_equal(points.at[3].time_s, T0 + 240);
	assert_int_equal(read_points(f, "", T0 + 1, T0 + 301, 300).count, 1); /* whole, though it ends behind */
	assert_int_equal(read_points(f, "", T0 + 300, T0 + 300, 60).count, 0);
}

static void a_gap_has_no_points(void **state) {
	struct fixture *f = *state;
	add(f, "", T0, 1);
	add(f, "zone=Raw", T0 + 600, 9); /* another series in between */
	add(f, "", T0 + 40 * DAY, 2);
	struct points points = read_points(f, "", 0, INT64_MAX, 60);
	assert_int_equal(points.count, 2);
	expect_point(&points.at[0], T0, 1, 1, 1, 1);
	expect_point(&points.at[1], T0 + 40 * DAY, 1, 2, 2, 2);
	assert_int_equal(read_points(f, "zone=Trusted", 0, INT64_MAX, 60).count, 0);
}

static void a_clock_that_is_set_back_joins_the_rows_that_are_there(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 10; i++)
		add(f, "", T0 + i * 60, 1);
	for (int i = 5; i < 12; i++)
		add(f, "", T0 + i * 60, 3);
	struct points points = read_points(f, "", T0, T0 + 3600, 60);
	assert_int_equal(points.count, 12);
	expect_point(&points.at[5], T0 + 300, 2, 4, 1, 3);
	points = read_points(f, "", T0, T0 + 3600, 3600);
	expect_point(&points.at[0], T0, 17, 31, 1, 3);
}

static void a_bad_name_label_time_or_value_is_refused(void **state) {
	struct fixture *f = *state;
	static const struct {
		const char *name, *labels;
		int64_t time_s;
		double value;
	} bad[] = {{"", "", T0, 1}, {"a b", "", T0, 1}, {"A", "x", T0, 1}, {"A", "=x", T0, 1}, {"A", "a=1,", T0, 1},
	        {"A", "b=1,a=1", T0, 1}, {"A", "a=1,a=2", T0, 1}, {"A", "a=1,,b=1", T0, 1}, {"A", "a=\n", T0, 1},
	        {"A", "ab=1,a=1", T0, 1}, {"A", "", -1, 1}, {"A", "", T0, NAN}, {"A", "", T0, INFINITY},
	        {"A", "", T0, 1e300}, {"A1234567890123456789012345678901234567890123456789012345678901234", "", T0, 1}};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(
		        OP(f, sample_add(f->m, bad[i].name, bad[i].labels, bad[i].time_s, bad[i].value)), -EINVAL);
	assert_int_equal(OP(f, sample_add(f->m, "A", "a=1,ab=x=y z", T0, -1)), 0);
	struct points none = {.count = 0};
	static const unsigned periods[] = {0, 1, 59, 90};
	for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++)
		assert_int_equal(OP(f, sample_read(f->m, "A", "", 0, 1, periods[i], take, &none)), -EINVAL);
}

static void rows_end_when_their_time_is_over(void **state) {
	struct fixture *f = *state;
	add(f, "", T0, 1);
	add(f, "", T0 + DAY, 2);
	assert_int_equal(prune(f, T0 + 2 * DAY, 100), 0);
	assert_int_equal(prune(f, T0 + 2 * DAY + 59, 100), 0); /* the minute ends a minute later */
	assert_int_equal(prune(f, T0 + 2 * DAY + 60, 100), 1);
	assert_int_equal(read_points(f, "", T0, T0 + 60, 60).count, 0);
	assert_int_equal(read_points(f, "", T0, T0 + 300, 300).count, 1);
	assert_int_equal(prune(f, T0 + 63 * DAY + 300, 100), 2); /* the other minute and five minutes */
	assert_int_equal(read_points(f, "", T0, T0 + 300, 300).count, 0);
	assert_int_equal(read_points(f, "", T0, T0 + 3600, 3600).count, 1);
	assert_int_equal(prune(f, T0 + 455 * DAY + 3600, 100), 2);
	struct points left = read_points(f, "", 0, INT64_MAX, 3600);
	assert_int_equal(left.count, 1);
	assert_int_equal(left.at[0].time_s, T0 + DAY);
}

static int count_series(void *arg, const char *name, const char *labels) {
	(void)name;
	(void)labels;
	++*(int *)arg;
	return 0;
}

static int series_left(struct fixture *f) {
	int count = 0;
	assert_int_equal(OP(f, sample_list(f->m, count_series, &count)), 0);
	return count;
}

static void pruning_removes_so_many_at_most_and_a_series_only_without_rows(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 10; i++)
		add(f, "zone=Raw", T0 + i * 60, 1); /* 10 + 2 + 1 rows */
	add(f, "", T0 + 500 * DAY, 1);
	assert_int_equal(prune(f, T0 + 500 * DAY, 4), 4);
	assert_int_equal(prune(f, T0 + 500 * DAY, 9), 9);
	assert_int_equal(series_left(f), 2);
	assert_int_equal(prune(f, T0 + 500 * DAY, 9), 1); /* the series */
	assert_int_equal(series_left(f), 1);
	assert_int_equal(prune(f, T0 + 500 * DAY, 9), 0);
	assert_int_equal(read_points(f, "", 0, INT64_MAX, 60).count, 1);
}

static void what_lies_ahead_is_not_pruned_by_a_clock_set_back(void **state) {
	struct fixture *f = *state;
	add(f, "", T0, 1);
	assert_int_equal(prune(f, 0, 100), 0);
	assert_int_equal(read_points(f, "", 0, INT64_MAX, 60).count, 1);
}

static void a_series_too_many_is_refused_and_the_rest_goes_on(void **state) {
	struct fixture *f = *state;
	char labels[32];
	meta_begin(f->m);
	for (int i = 0; i < SAMPLE_SERIES_MAX; i++) {
		(void)snprintf(labels, sizeof labels, "dataset=%d", i);
		assert_int_equal(sample_add(f->m, "Verdicts", labels, T0, 1), 0);
	}
	assert_int_equal(sample_add(f->m, "Verdicts", "dataset=x", T0, 1), -EDQUOT);
	assert_int_equal(sample_add(f->m, "Verdicts", "dataset=7", T0, 1), 0);
	assert_int_equal(meta_end(f->m, 0), 0);
	assert_int_equal(series_left(f), SAMPLE_SERIES_MAX);
}

static void a_vault_of_an_older_schema_is_raised_by_the_first_sample(void **state) {
	struct fixture *f = *state;
	fixture_commit(f);
	assert_int_equal(raw_sql(f, "DROP TABLE series; DROP TABLE sample; DROP TABLE charge; DROP TABLE alarm;"
	                            "DROP TABLE alarm_action; DROP TABLE alarm_event; DROP TRIGGER run_counted;"
	                            "DROP TABLE run; DROP TABLE run_job; DROP TABLE stale;"
	                            "UPDATE kv SET value = x'0400000000000000' WHERE key = 'meta.schema'"),
	        0);
	fixture_reopen(f);
	assert_int_equal(read_points(f, "", 0, INT64_MAX, 60).count, 0);
	assert_int_equal(series_left(f), 0);
	assert_int_equal(prune(f, T0, 100), 0);
	add(f, "", T0, 1);
	fixture_commit(f);
	fixture_reopen(f);
	assert_int_equal(read_points(f, "", 0, INT64_MAX, 60).count, 1);
}

/* A hand-made model over random times, also backwards. */
static void random_samples_are_what_a_model_says(void **state) {
	struct fixture *f = *state;
	uint64_t seed = 42;
	struct sample_point model[48] = {{0}}; /* hours */
	meta_begin(f->m);
	for (int i = 0; i < 3000; i++) {
		uint64_t at = random_below(&seed, 48 * 3600);
		double value = (double)random_below(&seed, 1000) - 500;
		struct sample_point *p = &model[at / 3600];
		p->least = p->count <= 0 || value < p->least ? value : p->least;
		p->most = p->count <= 0 || value > p->most ? value : p->most;
		p->count++;
		p->sum += value;
		assert_int_equal(sample_add(f->m, "StoredBytes", "", T0 + (int64_t)at, value), 0);
	}
	assert_int_equal(meta_end(f->m, 0), 0);
	struct points hours = read_points(f, "", T0, T0 + 2 * DAY, 3600);
	assert_int_equal(hours.count, 48);
	for (size_t i = 0; i < 48; i++)
		expect_point(&hours.at[i], T0 + (int64_t)i * 3600, model[i].count, model[i].sum, model[i].least,
		        model[i].most);
}

int main(void) {
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	        T(each_period_is_summed_exactly),
	        T(many_values_in_one_minute_are_one_row),
	        T(periods_that_begin_before_or_at_the_end_are_left_out),
	        T(a_gap_has_no_points),
	        T(a_clock_that_is_set_back_joins_the_rows_that_are_there),
	        T(a_bad_name_label_time_or_value_is_refused),
	        T(rows_end_when_their_time_is_over),
	        T(pruning_removes_so_many_at_most_and_a_series_only_without_rows),
	        T(what_lies_ahead_is_not_pruned_by_a_clock_set_back),
	        T(a_series_too_many_is_refused_and_the_rest_goes_on),
	        T(a_vault_of_an_older_schema_is_raised_by_the_first_sample),
	        T(random_samples_are_what_a_model_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
