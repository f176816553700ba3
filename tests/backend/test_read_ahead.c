#include "backend/read_ahead.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* A vault of one file, whose reads are counted. */
struct disk {
	uint64_t size, fails_at, holds_at; /* reads that begin there fail, or wait until they are let go; 0: none */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t next; /* where the next read in order begins */
	bool is_closed, is_waiting, is_let_go, out_of_order;
};

static void disk_close(void *vault) {
	(void)vault;
}

static int disk_open(void *vault, const char *name, unsigned flags, void **ret_file) {
	if (strcmp(name, "file") != 0)
		return fault(ENOENT, "no such file");
	assert_int_equal(flags, VAULT_FILE_READ);
	*ret_file = vault;
	return 0;
}

static void disk_file_close(void *file) {
	struct disk *disk = file;
	pthread_mutex_lock(&disk->lock);
	disk->is_closed = true;
	pthread_cond_broadcast(&disk->changed);
	pthread_mutex_unlock(&disk->lock);
}

static int disk_read_at(void *file, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	struct disk *disk = file;
	uint64_t left = offset < disk->size ? disk->size - offset : 0;
	size_t got = left < size ? (size_t)left : size;
	pthread_mutex_lock(&disk->lock);
	disk->out_of_order |= offset != disk->next;
	if (disk->holds_at && offset >= disk->holds_at) {
		disk->is_waiting = true;
		pthread_cond_broadcast(&disk->changed);
		while (!disk->is_let_go)
			pthread_cond_wait(&disk->changed, &disk->lock);
	}
	bool fails = disk->fails_at && offset >= disk->fails_at;
	if (!fails)
		disk->next = offset + got;
	pthread_mutex_unlock(&disk->lock);
	if (fails)
		return fault(EIO, "the disk fails");
	memset(ret_data, 7, got);
	*ret_read = got;
	return 0;
}

static const struct vault_io_ops disk_ops = {
        .close = disk_close, .open = disk_open, .file_close = disk_file_close, .read_at = disk_read_at};

static VaultIo *disk_new(struct disk *disk) {
	VaultIo *io = NULL;
	pthread_mutex_init(&disk->lock, NULL);
	pthread_cond_init(&disk->changed, NULL);
	assert_int_equal(vault_io_wrap(&disk_ops, disk, "a disk", &io), 0);
	return io;
}

static void wait_for(struct disk *disk, const bool *what) {
	pthread_mutex_lock(&disk->lock);
	while (!*what)
		pthread_cond_wait(&disk->changed, &disk->lock);
	pthread_mutex_unlock(&disk->lock);
}

/* Reads ahead until it ends by itself; returns how far. */
static uint64_t how_far(struct disk *disk, uint64_t most) {
	VaultIo *io = disk_new(disk);
	ReadAhead *ahead = NULL;
	assert_int_equal(read_ahead_start(io, "file", most, &ahead), 0);
	wait_for(disk, &disk->is_closed);
	read_ahead_stop(ahead);
	vault_io_close(io);
	assert_false(disk->out_of_order);
	return disk->next;
}

static void a_file_is_read_in_order_to_its_end(void **state) {
	(void)state;
	struct disk disk = {.size = 3000001};
	assert_int_equal(how_far(&disk, UINT64_MAX), 3000001);
	struct disk empty = {0};
	assert_int_equal(how_far(&empty, UINT64_MAX), 0);
}

static void no_more_is_read_than_is_wanted(void **state) {
	(void)state;
	struct disk disk = {.size = 3000001};
	assert_int_equal(how_far(&disk, 1000003), 1000003);
	struct disk none = {.size = 3000001};
	assert_int_equal(how_far(&none, 0), 0);
}

static void a_failing_disk_ends_it(void **state) {
	(void)state;
	struct disk disk = {.size = 3000001, .fails_at = 1000000};
	uint64_t far = how_far(&disk, UINT64_MAX);
	assert_in_range(far, 1000000, 2000000);
}

static void a_file_that_is_not_there_is_no_matter(void **state) {
	(void)state;
	struct disk disk = {.size = 3000001};
	VaultIo *io = disk_new(&disk);
	ReadAhead *ahead = NULL;
	assert_int_equal(read_ahead_start(io, "other", UINT64_MAX, &ahead), 0);
	read_ahead_stop(ahead);
	vault_io_close(io);
	assert_int_equal(disk.next, 0);
	read_ahead_stop(NULL);
}

struct stopper {
	ReadAhead *ahead;
	pthread_t thread;
};

static void *stop(void *arg) {
	read_ahead_stop(((struct stopper *)arg)->ahead);
	return NULL;
}

/* The stop is asked for while a piece is being read: that one is the last. */
static void it_stops_in_the_middle(void **state) {
	(void)state;
	struct disk disk = {.size = UINT64_C(1) << 50, .holds_at = 1000000};
	VaultIo *io = disk_new(&disk);
	struct stopper stopper = {0};
	assert_int_equal(read_ahead_start(io, "file", UINT64_MAX, &stopper.ahead), 0);
	wait_for(&disk, &disk.is_waiting);
	assert_int_equal(pthread_create(&stopper.thread, NULL, stop, &stopper), 0);
	pthread_mutex_lock(&disk.lock);
	disk.is_let_go = true;
	pthread_cond_broadcast(&disk.changed);
	pthread_mutex_unlock(&disk.lock);
	assert_int_equal(pthread_join(stopper.thread, NULL), 0); /* it would go on for a petabyte */
	assert_true(disk.is_closed && disk.next < disk.size);
	vault_io_close(io);
}

static void a_share_of_the_memory_is_offered(void **state) {
	(void)state;
	uint64_t most = read_ahead_most();
	assert_in_range(most, UINT64_C(1) << 20, UINT64_C(1) << 44);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_file_is_read_in_order_to_its_end),
	        cmocka_unit_test(no_more_is_read_than_is_wanted),
	        cmocka_unit_test(a_failing_disk_ends_it),
	        cmocka_unit_test(a_file_that_is_not_there_is_no_matter),
	        cmocka_unit_test(it_stops_in_the_middle),
	        cmocka_unit_test(a_share_of_the_memory_is_offered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
