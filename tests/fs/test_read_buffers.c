#include "fs/read_buffers.h"

#include <pthread.h>
#include <stdbool.h>

#include "tests/fs/unit.h"

struct reader {
	ReadBuffers *buffers;
	pthread_barrier_t *barrier;
	uint8_t *data;
};

static void *read_once(void *arg) {
	struct reader *reader = arg;
	reader->data = read_buffers_take(reader->buffers);
	memset(reader->data, 0x5a, READ_BUFFER_BYTES);
	read_buffers_done(reader->buffers);
	pthread_barrier_wait(reader->barrier); /* it has read */
	pthread_barrier_wait(reader->barrier); /* it was looked at */
	return NULL;
}

static bool is_zero(const uint8_t *data) {
	return data[0] == 0 && memcmp(data, data + 1, READ_BUFFER_BYTES - 1) == 0;
}

static void each_thread_has_its_own_and_all_are_wiped(void **state) {
	(void)state;
	ReadBuffers *buffers = NULL;
	pthread_barrier_t barrier;
	pthread_t thread;
	assert_int_equal(read_buffers_new(&buffers), 0);
	pthread_barrier_init(&barrier, NULL, 2);
	struct reader reader = {.buffers = buffers, .barrier = &barrier};
	uint8_t *mine = read_buffers_take(buffers);
	memset(mine, 0x5a, READ_BUFFER_BYTES);
	read_buffers_done(buffers);
	assert_int_equal(pthread_create(&thread, NULL, read_once, &reader), 0);
	pthread_barrier_wait(&barrier);
	assert_ptr_not_equal(reader.data, mine);
	assert_false(is_zero(reader.data) || is_zero(mine));
	read_buffers_wipe(buffers);
	assert_true(is_zero(reader.data) && is_zero(mine));
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	assert_ptr_equal(read_buffers_take(buffers), mine);
	memset(mine, 0x5a, READ_BUFFER_BYTES);
	read_buffers_wipe(buffers);
	assert_false(is_zero(mine)); /* it is in use */
	read_buffers_done(buffers);
	assert_true(is_zero(mine));
	read_buffers_wipe(buffers); /* that of the thread is gone */
	read_buffers_free(buffers);
	pthread_barrier_destroy(&barrier);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_thread_has_its_own_and_all_are_wiped)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
