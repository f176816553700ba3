/* Times in buckets, from one thread and from many. */
#include "crypto/base/histogram.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_time_stands_in_the_first_bucket_that_holds_it(void **state) {
	(void)state;
	struct histogram histogram = {0};
	struct histogram_view view;
	histogram_add(&histogram, 50000);
	histogram_add(&histogram, 50001);
	histogram_add(&histogram, 0);
	histogram_add(&histogram, -7);
	histogram_add(&histogram, INT64_C(10000000001));
	histogram_read(&histogram, &view);
	assert_int_equal(view.up_to[0], 3);
	assert_int_equal(view.up_to[1], 4);
	assert_int_equal(view.up_to[HISTOGRAM_BOUNDS - 1], 4);
	assert_int_equal(view.count, 5);
	assert_true(view.sum_ns == UINT64_C(10000100002));
}

static void bounds_rise_and_are_spelled_as_what_they_are(void **state) {
	(void)state;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		assert_true(i == 0 || histogram_bound_ns(i) > histogram_bound_ns(i - 1));
		double off = strtod(histogram_bound_text(i), NULL) * 1e9 - (double)histogram_bound_ns(i);
		assert_true(off < 0.5 && off > -0.5);
	}
	assert_int_equal(histogram_bound_ns(0), 50000);
	assert_true(histogram_bound_ns(HISTOGRAM_BOUNDS - 1) == UINT64_C(10000000000));
}

enum { THREADS = 4, TIMES = 20000 };

static void *add_many(void *arg) {
	for (int i = 0; i < TIMES; i++)
		histogram_add(arg, i % 2 ? 1000 : 3000000);
	return NULL;
}

static void nothing_is_lost_between_threads_and_a_view_is_never_torn(void **state) {
	(void)state;
	struct histogram histogram = {0};
	struct histogram_view view = {0};
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &histogram), 0);
	for (uint64_t before = 0; view.count < (uint64_t)THREADS * TIMES; before = view.count) {
		histogram_read(&histogram, &view);
		assert_true(view.count >= before && view.count >= view.up_to[HISTOGRAM_BOUNDS - 1]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	histogram_read(&histogram, &view);
	assert_int_equal(view.count, THREADS * TIMES);
	assert_int_equal(view.up_to[0], THREADS * TIMES / 2);
	assert_true(view.sum_ns == (uint64_t)THREADS * TIMES / 2 * 3001000);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_time_stands_in_the_first_bucket_that_holds_it),
	        cmocka_unit_test(bounds_rise_and_are_spelled_as_what_they_are),
	        cmocka_unit_test(nothing_is_lost_between_threads_and_a_view_is_never_torn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
