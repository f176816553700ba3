#include "policy/table/peek.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Gives the bytes 0, 1, 2 … modulo 251, in pieces of 1000, and ends as it is told. */
struct counter {
	size_t at, end;
	int answer_at_end;
};

static int count_on(void *ctx, void *buf, size_t size) {
	struct counter *counter = ctx;
	size_t left = counter->end - counter->at;
	size_t count = left < size ? left : size;
	count = count < 1000 ? count : 1000;
	for (size_t i = 0; i < count; i++)
		((uint8_t *)buf)[i] = (uint8_t)(counter->at++ % 251);
	return count ? (int)count : counter->answer_at_end;
}

static void assert_read_whole(size_t size) {
	struct counter counter = {.end = size};
	struct peek peek = {0};
	uint8_t buffer[777];
	size_t at = 0;
	int got;
	assert_int_equal(peek_fill(&peek, (struct table_source){.read = count_on, .ctx = &counter}), 0);
	assert_int_equal(peek_head(&peek).size, size < PEEK_BYTES ? size : PEEK_BYTES);
	assert_int_equal(peek.whole, size < PEEK_BYTES);
	struct table_source all = peek_source(&peek);
	while ((got = source_take(&all, buffer, sizeof buffer)) > 0)
		for (int i = 0; i < got; i++)
			assert_int_equal(buffer[i], at++ % 251);
	assert_int_equal(got, 0);
	assert_int_equal(at, size);
	peek_release(&peek);
}

static void what_was_looked_at_is_read_again(void **state) {
	(void)state;
	static const size_t sizes[] = {0, 1, 1000, PEEK_BYTES - 1, PEEK_BYTES, PEEK_BYTES + 1, 3 * PEEK_BYTES};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		assert_read_whole(sizes[i]);
}

static void an_error_of_the_source_is_told(void **state) {
	(void)state;
	struct counter counter = {.end = 5000, .answer_at_end = -EIO};
	struct peek peek = {0};
	assert_int_equal(peek_fill(&peek, (struct table_source){.read = count_on, .ctx = &counter}), -EIO);
	peek_release(&peek);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_looked_at_is_read_again),
	        cmocka_unit_test(an_error_of_the_source_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
