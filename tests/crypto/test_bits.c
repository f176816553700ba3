/* A set of numbers that grows. */
#include "crypto/base/bits.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void what_was_added_is_there_and_nothing_else(void **state) {
	(void)state;
	static const uint64_t numbers[] = {0, 63, 64, 1000, 1, 1000000, 65};
	struct bits bits = {0};
	assert_false(bits_has(&bits, 0));
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		assert_int_equal(bits_add(&bits, numbers[i]), 0);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		assert_int_equal(bits_add(&bits, numbers[i]), 1);
	size_t found = 0;
	for (uint64_t n = 0; n < 2000000; n++)
		found += bits_has(&bits, n);
	assert_int_equal(found, sizeof numbers / sizeof numbers[0]);
	bits_clear(&bits);
	assert_false(bits_has(&bits, 1000));
	assert_int_equal(bits_add(&bits, 1000), 0);
	bits_clear(&bits);
}

static void a_copy_is_its_own(void **state) {
	(void)state;
	struct bits bits = {0}, copy = {0};
	assert_int_equal(bits_copy(&copy, &bits), 0);
	assert_int_equal(bits_add(&bits, 77), 0);
	assert_false(bits_has(&copy, 77));
	assert_int_equal(bits_copy(&copy, &bits), 0);
	assert_int_equal(bits_add(&bits, 78), 0);
	assert_true(bits_has(&copy, 77) && !bits_has(&copy, 78));
	bits_clear(&bits);
	assert_true(bits_has(&copy, 77));
	assert_int_equal(bits_copy(&copy, &bits), 0);
	assert_false(bits_has(&copy, 77));
}

static void a_number_beyond_all_memory_is_refused_and_the_rest_stays(void **state) {
	(void)state;
	struct bits bits = {0};
	assert_int_equal(bits_add(&bits, 5), 0);
	assert_int_equal(bits_add(&bits, UINT64_MAX), -ENOMEM);
	assert_int_equal(bits_add(&bits, BITS_MOST), -ENOMEM);
	assert_false(bits_has(&bits, UINT64_MAX));
	assert_true(bits_has(&bits, 5));
	bits_clear(&bits);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_added_is_there_and_nothing_else),
	        cmocka_unit_test(a_copy_is_its_own),
	        cmocka_unit_test(a_number_beyond_all_memory_is_refused_and_the_rest_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
