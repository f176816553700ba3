/* What the store promises of the audit log: durable before the answer with audit_strict, refused when it can't be, and
 * how large the window is. */
#include "backend/store_internal.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/test_vault.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct disk {
	atomic_bool fail_sync, fail_write, is_full;
	atomic_size_t syncs;
};

static int judge(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	struct disk *disk = arg;
	bool is_log = strcmp(name, "meta.db-wal") == 0;
	(void)offset;
	(void)size;
	if (call == FAULTY_FREE && disk->is_full)
		*ret_written = 1;
	if (call == FAULTY_SYNC && is_log) {
		disk->syncs++;
		usleep(2000);
		if (disk->fail_sync)
			return -EIO;
	}
	return call == FAULTY_WRITE && is_log && disk->fail_write ? -EIO : 0;
}

/* The vault opened again on a disk that does what `disk` says; commits come when somebody waits for one. */
static VaultIo *open_on(struct test_vault *v, struct disk *disk, bool is_strict) {
	VaultIo *io = NULL;
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(faulty_io_open(v->vault, judge, disk, &io));
	v->options.io = io;
	v->options.audit_strict = is_strict;
	v->options.commit_ms = 600000;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	return io;
}

/* As after kill -9, and from now on on a disk without faults. */
static void reopen(struct test_vault *v, VaultIo *io) {
	store_abandon(v->store);
	vault_io_close(io);
	v->options = (struct store_options){0};
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* An access as the mount grants it. */
static int access_file(Store *store, const char *path) {
	Meta *m = store_meta(store);
	const struct audit_event event = {.event = "open", .path = path};
	int rc = store_audit_check(store);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = meta_end(m, audit_record(m, &event, NULL));
	return rc < 0 ? store_audit_refuse(store, rc) : store_audit_wait(store);
}

static int count_one(void *arg, const struct audit_entry *entry) {
	(void)entry;
	(*(size_t *)arg)++;
	return 0;
}

static size_t count_of(Store *store, const char *path) {
	Meta *m = store_meta(store);
	size_t count = 0;
	meta_begin(m);
	const struct audit_filter filter = {.event = "open", .path_prefix = path};
	assert_rc(meta_end(m, audit_query(m, &filter, count_one, &count)));
	return count;
}

static void a_strict_record_is_durable_before_the_answer(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {0};
	VaultIo *io = open_on(v, &disk, true);
	size_t before = disk.syncs;
	for (int i = 0; i < 5; i++) {
		assert_rc(access_file(v->store, "Landing/strict"));
		assert_int_equal(store_durable_seq(v->store), audit_recorded(store_meta(v->store)));
	}
	assert_int_equal(disk.syncs, before + 5);
	reopen(v, io);
	assert_int_equal(count_of(v->store, "Landing/strict"), 5);
}

static void a_batched_record_waits_for_its_commit(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {0};
	VaultIo *io = open_on(v, &disk, false);
	size_t before = disk.syncs;
	assert_rc(access_file(v->store, "Landing/batched"));
	assert_int_equal(disk.syncs, before);
	reopen(v, io);
	assert_int_equal(count_of(v->store, "Landing/batched"), 0);
}

#define THREADS 8
#define EACH 20

static void *access_often(void *store) {
	for (int i = 0; i < EACH; i++)
		assert_rc(access_file(store, "Landing/shared"));
	return NULL;
}

static void those_who_wait_share_a_commit(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {0};
	pthread_t threads[THREADS];
	VaultIo *io = open_on(v, &disk, true);
	size_t before = disk.syncs;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, access_often, v->store), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(disk.syncs - before >= EACH);
	assert_true(disk.syncs - before < THREADS * EACH / 2);
	reopen(v, io);
	assert_int_equal(count_of(v->store, "Landing/shared"), THREADS * EACH);
}

static void assert_refused(Store *store, int expected, const char *words) {
	struct store_audit_window before, after;
	store_audit_window(store, &before);
	assert_int_equal(access_file(store, "Landing/refused"), expected);
	assert_non_null(strstr(fault_message(), "audit log"));
	assert_non_null(strstr(fault_message(), words));
	store_audit_window(store, &after);
	assert_int_equal(after.refused, before.refused + 1);
}

/* The database itself does not know of it. */
static void after_a_failed_sync_no_access_is_granted(void **state) {
	struct test_vault *v = *state;
	for (int is_strict = 0; is_strict < 2; is_strict++) {
		struct disk disk = {0};
		VaultIo *io = open_on(v, &disk, is_strict);
		disk.fail_sync = true;
		if (is_strict) {
			assert_refused(v->store, -EIO, "mount it again");
		} else {
			assert_rc(access_file(v->store, "Landing/window"));
			assert_int_equal(store_commit_wait(v->store), -EIO);
		}
		disk.fail_sync = false;
		assert_refused(v->store, -EIO, "mount it again");
		struct store_audit_window window;
		store_audit_window(v->store, &window);
		assert_int_equal(window.is_strict, is_strict);
		assert_true(window.records > 0 && window.oldest_ns > 0 && window.most_ns >= window.oldest_ns);
		reopen(v, io);
		assert_rc(access_file(v->store, "Landing/again"));
	}
}

static void after_a_failed_commit_no_access_is_granted(void **state) {
	struct test_vault *v = *state;
	for (int is_strict = 0; is_strict < 2; is_strict++) {
		struct disk disk = {0};
		VaultIo *io = open_on(v, &disk, is_strict);
		disk.fail_write = true;
		if (is_strict) {
			assert_refused(v->store, -EIO, "mount it again");
		} else {
			assert_rc(access_file(v->store, "Landing/window"));
			assert_int_equal(store_commit_wait(v->store), -EIO);
		}
		assert_true(meta_failed(store_meta(v->store)));
		disk.fail_write = false;
		assert_refused(v->store, -EIO, "mount it again");
		reopen(v, io);
		assert_int_equal(count_of(v->store, "Landing/refused"), 0);
	}
}

/* On a full disk records go on, until half of the reserve is used; with room again they go on again. */
static void a_full_disk_refuses_before_the_reserve_is_used_up(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {0};
	v->options.reserve_bytes = 4 << 20;
	VaultIo *io = open_on(v, &disk, false);
	Reserve *reserve = v->store->reserve;
	disk.is_full = true;
	assert_rc(access_file(v->store, "Landing/full"));
	while (reserve_held(reserve) * 2 >= 4 << 20) {
		assert_rc(access_file(v->store, "Landing/full"));
		assert_rc(reserve_give(reserve));
	}
	assert_refused(v->store, -ENOSPC, "is full");
	assert_rc(store_commit_wait(v->store));
	assert_refused(v->store, -ENOSPC, "is full");
	disk.is_full = false;
	assert_rc(access_file(v->store, "Landing/full"));
	size_t granted = count_of(v->store, "Landing/full");
	assert_rc(store_commit_wait(v->store));
	reopen(v, io);
	assert_int_equal(count_of(v->store, "Landing/full"), granted);
}

static void the_window_is_known(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {0};
	struct store_audit_window window;
	VaultIo *io = open_on(v, &disk, false);
	store_audit_window(v->store, &window);
	assert_int_equal(window.records, 0);
	assert_int_equal(window.oldest_ns, 0);
	int64_t most = window.most_ns;
	assert_rc(access_file(v->store, "Landing/a"));
	usleep(30000);
	assert_rc(access_file(v->store, "Landing/b"));
	store_audit_window(v->store, &window);
	assert_int_equal(window.records, 2);
	assert_true(window.oldest_ns >= 30000000 && window.most_ns >= window.oldest_ns);
	assert_rc(store_commit_wait(v->store));
	store_audit_window(v->store, &window);
	assert_int_equal(window.records, 0);
	assert_int_equal(window.oldest_ns, 0);
	assert_true(window.most_ns >= 30000000 && window.most_ns >= most);
	assert_int_equal(window.refused, 0);
	reopen(v, io);
}

static void a_vault_that_is_only_read_records_nothing(void **state) {
	struct test_vault *v = *state;
	assert_rc(store_close(v->store));
	v->store = NULL;
	v->options = (struct store_options){.read_only = true, .audit_strict = true};
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_rc(store_audit_check(v->store));
	assert_rc(store_audit_wait(v->store));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_vault_setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(a_strict_record_is_durable_before_the_answer),
	        TEST(a_batched_record_waits_for_its_commit),
	        TEST(those_who_wait_share_a_commit),
	        TEST(after_a_failed_sync_no_access_is_granted),
	        TEST(after_a_failed_commit_no_access_is_granted),
	        TEST(a_full_disk_refuses_before_the_reserve_is_used_up),
	        TEST(the_window_is_known),
	        TEST(a_vault_that_is_only_read_records_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
