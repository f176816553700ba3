#include "policy/table/tail.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct counting {
	uint64_t at, end;
};

/* Byte i is i modulo 251. */
static int read_counting(void *ctx, void *buffer, size_t size) {
	struct counting *source = ctx;
	size_t got = 0;
	for (; got < size && source->at < source->end; got++)
		((uint8_t *)buffer)[got] = (uint8_t)(source->at++ % 251);
	return (int)got;
}

static int fail_reading(void *ctx, void *buffer, size_t size) {
	(void)ctx;
	(void)buffer;
	(void)size;
	return -EIO;
}

static void bytes_are_kept_until_they_are_passed(void **state) {
	(void)state;
	struct counting source = {.end = 1000000};
	struct tail tail = {.from = {.read = read_counting, .ctx = &source}};
	uint8_t buffer[5000];
	uint64_t read = 0, taken = 0;
	struct bytes bytes;
	int got;
	while ((got = tail_read(&tail, buffer, 1 + read % sizeof buffer)) > 0) {
		read += (uint64_t)got;
		for (; taken + 777 < read; taken += 777) {
			assert_int_equal(tail_take(&tail, taken + 7, 770, &bytes), 0);
			for (size_t i = 0; i < bytes.size; i++)
				assert_int_equal(bytes.data[i], (taken + 7 + i) % 251);
		}
	}
	assert_int_equal(read, source.end);
	assert_int_equal(tail_take(&tail, taken, 1, &bytes), 0);
	assert_int_equal(tail_take(&tail, 0, 1, &bytes), -EBADMSG);          /* passed */
	assert_int_equal(tail_take(&tail, source.end, 1, &bytes), -EBADMSG); /* never read */
	assert_int_equal(tail_take(&tail, source.end + 9, 0, &bytes), -EBADMSG);
	assert_true(tail.room < 100000);
	tail_release(&tail);
	struct tail broken = {.from = {.read = fail_reading}};
	assert_int_equal(tail_read(&broken, buffer, 10), -EIO);
	tail_release(&broken);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_are_kept_until_they_are_passed)};
	return cmocka_run_group_tests_name("tail", tests, NULL, NULL);
}
