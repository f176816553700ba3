/* The vault as a whole: opening, group commit, failures of the disk, crashes, clean ends. */
#include "backend/audit.h"
#include "backend/content_internal.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/recorder.h"
#include "tests/backend/test_vault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static Content *open_file(struct test_vault *v, uint64_t node) {
	Content *c = NULL;
	assert_rc(content_open(v->store, node, 0, &c));
	return c;
}

/* A sealed file with this text. */
static uint64_t make_file(struct test_vault *v, const char *name, const char *text) {
	uint64_t node = test_vault_create(v, NODE_LANDING, name);
	Content *c = open_file(v, node);
	assert_rc(content_write(c, 0, bytes_of_string(text)));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	content_close(c);
	return node;
}

static void assert_text(struct test_vault *v, uint64_t node, const char *text) {
	uint8_t got[256] = {0};
	size_t n;
	Content *c = open_file(v, node);
	assert_rc(content_read(c, 0, got, sizeof got, &n));
	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, n);
	content_close(c);
}

/* Small commits in a row fill the log's file ahead; what a crash finds behind the last one is no part of it. */
static void a_log_that_was_filled_ahead_ends_where_it_ended(void **state) {
	struct test_vault *v = *state;
	char name[16], log[128];
	struct stat about = {0};
	uint64_t nodes[40];
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof name, "f%d", i);
		nodes[i] = make_file(v, name, name);
		assert_rc(store_commit_wait(v->store));
	}
	(void)snprintf(log, sizeof log, "%s/meta.db-wal", v->vault);
	assert_rc(stat(log, &about));
	assert_true(about.st_size > (off_t)1 << 20);
	test_vault_crash(v);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof name, "f%d", i);
		assert_text(v, nodes[i], name);
	}
	test_vault_reopen(v);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof name, "f%d", i);
		assert_text(v, nodes[i], name);
	}
}

static int lookup(struct test_vault *v, const char *name, uint64_t *ret_node) {
	struct node node = {0};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	int rc = meta_end(m, tree_lookup(m, NODE_LANDING, bytes_of_string(name), &node));
	*ret_node = node.id;
	return rc;
}

static int count_entry(void *arg, const struct audit_entry *entry) {
	(void)entry;
	++*(size_t *)arg;
	return 0;
}

static size_t records(struct test_vault *v, const char *event) {
	size_t n = 0;
	struct audit_filter filter = {.event = event};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_query(m, &filter, count_entry, &n)));
	return n;
}

static bool exists(struct test_vault *v, const char *name) {
	char path[256];
	(void)snprintf(path, sizeof path, "%s/%s", v->vault, name);
	return access(path, F_OK) == 0;
}

/* ---- opening ---- */

static void a_directory_that_is_not_empty_is_refused_and_left_alone(void **state) {
	struct test_vault *v = *state;
	char path[128];
	(void)snprintf(path, sizeof path, "%s/full", v->path);
	assert_int_equal(mkdir(path, 0700), 0);
	scratch_write(path, "precious", "x", 1);
	assert_int_equal(test_vault_init(path), -ENOTEMPTY);
	size_t size;
	uint8_t *data = scratch_read(path, "precious", &size);
	assert_int_equal(size, 1);
	free(data);
}

static void a_failed_init_leaves_nothing(void **state) {
	struct test_vault *v = *state;
	char path[128], recovery[STORE_RECOVERY_TEXT_BYTES];
	struct store_init_options options = {.argon_memory = 1, .argon_passes = 1};
	(void)snprintf(path, sizeof path, "%s/new", v->path);
	assert_int_equal(store_init(path, bytes_of_string("x"), &options, recovery), -EINVAL);
	assert_int_not_equal(access(path, F_OK), 0);
	options = (struct store_init_options){.argon_memory = 8192, .argon_passes = 1};
	assert_int_equal(store_init(path, bytes_of("", 0), &options, recovery), -EINVAL);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void wrong_secrets_and_wrong_places_are_told_apart(void **state) {
	struct test_vault *v = *state;
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string("wrong")};
	Store *store = NULL;
	assert_int_equal(test_vault_open(v->vault, NULL, &store), -EBUSY);
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_int_equal(store_open(v->vault, &secret, NULL, &store), -EKEYREJECTED);
	assert_int_equal(test_vault_open(v->path, NULL, &store), -ENOENT);
	assert_null(store);
}

static void the_recovery_key_opens_too(void **state) {
	struct test_vault *v = *state;
	char path[128], recovery[STORE_RECOVERY_TEXT_BYTES];
	struct store_init_options options = {.argon_memory = 8192, .argon_passes = 1};
	(void)snprintf(path, sizeof path, "%s/second", v->path);
	assert_rc(store_init(path, bytes_of_string("x"), &options, recovery));
	struct store_secret secret = {.kind = STORE_RECOVERY_KEY, .bytes = bytes_of_string(recovery)};
	Store *store = NULL;
	assert_rc(store_open(path, &secret, &v->options, &store));
	assert_rc(store_close(store));
}

static void a_clean_end_leaves_no_log_and_no_reserve(void **state) {
	struct test_vault *v = *state;
	struct store_info info;
	uint64_t node = make_file(v, "a", "hello");
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_false(exists(v, "reserve"));
	char path[256];
	struct stat status = {0};
	(void)snprintf(path, sizeof path, "%s/meta.db-wal", v->vault);
	assert_true(stat(path, &status) != 0 || status.st_size == 0);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	store_info(v->store, &info);
	assert_false(info.recovered);
	assert_int_equal(info.mount, 2);
	assert_text(v, node, "hello");
	assert_int_equal(records(v, "init"), 1);
	assert_int_equal(records(v, "mount"), 2);
	assert_int_equal(records(v, "unmount"), 1);
	assert_int_equal(records(v, "recover"), 0);
}

static void read_only_changes_no_byte(void **state) {
	struct test_vault *v = *state;
	uint64_t node = make_file(v, "a", "hello");
	assert_rc(store_commit_wait(v->store));
	make_file(v, "b", "not committed");
	store_abandon(v->store);
	v->store = NULL;
	char before[512], after[512];
	for (int round = 0; round < 2; round++) {
		char command[256];
		(void)snprintf(
		        command, sizeof command, "find %s -type f | sort | xargs sha256sum | sha256sum", v->vault);
		FILE *pipe = popen(command, "r");
		assert_non_null(pipe);
		assert_non_null(fgets(round ? after : before, 512, pipe));
		pclose(pipe);
		if (round)
			break;
		struct store_options options = {.read_only = true};
		assert_rc(test_vault_open(v->vault, &options, &v->store));
		assert_text(v, node, "hello");
		Content *c = open_file(v, node);
		assert_int_equal(content_write(c, 0, bytes_of("x", 1)), -EROFS);
		content_close(c);
		assert_int_equal(store_space_check(v->store, 0), -EROFS);
		assert_rc(store_close(v->store));
		v->store = NULL;
	}
	assert_string_equal(before, after);
}

/* ---- crashes ---- */

static void what_was_waited_for_survives_and_the_rest_vanishes_whole(void **state) {
	struct test_vault *v = *state;
	uint64_t a = make_file(v, "a", "kept"), b;
	assert_rc(store_commit_wait(v->store));
	make_file(v, "b", "lost");
	test_vault_crash(v);
	assert_text(v, a, "kept");
	assert_int_equal(lookup(v, "b", &b), -ENOENT);
	struct store_info info;
	store_info(v->store, &info);
	assert_true(info.recovered);
	assert_true(records(v, "recover") > 0);
}

static void without_waiting_all_is_durable_after_an_interval(void **state) {
	struct test_vault *v = *state;
	v->options.commit_ms = 20;
	test_vault_reopen(v);
	uint64_t a = make_file(v, "a", "kept");
	Meta *m = store_meta(v->store);
	for (int i = 0; meta_pending(m) > 0; i++) {
		assert_in_range(i, 0, 3000);
		usleep(10000);
	}
	/* The count goes down before the sync ends; whoever waits now waits for that. */
	assert_rc(store_commit_wait(v->store));
	test_vault_crash(v);
	assert_text(v, a, "kept");
}

static void record_many(Meta *m, int count) {
	for (int i = 0; i < count; i++) {
		meta_begin(m);
		assert_rc(meta_end(m, audit_record(m, &(struct audit_event){.event = "open"}, NULL)));
	}
}

static void records_get_their_leaves_long_before_the_commit(void **state) {
	struct test_vault *v = *state;
	v->options.commit_ms = 20000; /* it looks each two seconds */
	test_vault_reopen(v);
	Meta *m = store_meta(v->store);
	uint64_t durable = store_durable_seq(v->store);
	record_many(m, 5000);
	for (int i = 0; audit_unhashed(m) > 200; i++) {
		assert_in_range(i, 0, 3000);
		usleep(10000);
	}
	assert_int_equal(store_durable_seq(v->store), durable);
}

static void records_get_their_leaves_in_idle_moments(void **state) {
	struct test_vault *v = *state;
	v->options.commit_ms = 600000;
	test_vault_reopen(v);
	Meta *m = store_meta(v->store);
	record_many(m, 700);
	size_t unhashed = audit_unhashed(m);
	assert_in_range(unhashed, 700, 710);
	meta_begin(m);
	assert_false(store_idle(v->store)); /* it does not wait for the running operation */
	assert_int_equal(audit_unhashed(m), unhashed);
	assert_rc(meta_end(m, 0));
	for (int i = 0; i < 100; i++)
		assert_true(store_idle(v->store));
	assert_int_equal(audit_unhashed(m), unhashed - 200);
	assert_rc(store_commit_wait(v->store)); /* and the others with the commit */
	assert_int_equal(audit_unhashed(m), 0);
	assert_false(store_idle(v->store));
	meta_begin(m);
	assert_rc(meta_end(m, audit_verify(m, 0, NULL)));
}

static void what_was_acknowledged_and_can_not_be_kept_fails_the_store(void **state) {
	struct test_vault *v = *state;
	assert_rc(store_commit_wait(v->store));
	make_file(v, "a", "not acknowledged");
	store_give_up(v->store);
	assert_int_equal(store_commit_wait(v->store), -EIO);
	assert_int_equal(store_space_check(v->store, 0), -EROFS);
	assert_int_equal(store_close(v->store), -EIO);
	v->store = NULL;
}

static int note_arrival(Meta *m, const struct version *version, void *arg) {
	(void)m;
	*(struct version *)arg = *version;
	return 0;
}

static void a_synced_draft_becomes_a_version_and_another_is_dropped(void **state) {
	struct test_vault *v = *state;
	struct version arrived = {0};
	uint64_t a = make_file(v, "a", "old a"), b = make_file(v, "b", "old b");
	uint64_t gone = test_vault_create(v, NODE_LANDING, "gone");
	Content *ca = open_file(v, a), *cb = open_file(v, b), *cgone = open_file(v, gone);
	assert_rc(content_truncate(ca, 0));
	assert_rc(content_write(ca, 0, bytes_of_string("new a, synced")));
	assert_rc(content_write(cb, 0, bytes_of_string("new b")));
	assert_rc(content_write(cgone, 0, bytes_of_string("unlinked")));
	assert_rc(content_flush(cb));
	assert_rc(content_sync(cgone));
	Meta *m = store_meta(v->store);
	struct node node;
	meta_begin(m);
	assert_rc(meta_end(m, tree_unlink(m, NODE_LANDING, bytes_of_string("gone"), &node)));
	assert_rc(content_sync(ca));
	assert_rc(content_write(ca, 0, bytes_of_string("NEVER SYNCED ")));
	content_abandon(ca);
	content_abandon(cb);
	content_abandon(cgone);
	v->options.arrived = note_arrival;
	v->options.arrived_arg = &arrived;
	test_vault_crash(v);
	assert_text(v, a, "new a, synced");
	assert_text(v, b, "old b");
	assert_int_equal(arrived.node, a);
	assert_int_equal(arrived.origin, ORIGIN_RECOVERED);
	assert_int_equal(arrived.number, 2);
	m = store_meta(v->store);
	meta_begin(m);
	/* The history of names keeps the node; it got no version. */
	assert_rc(meta_end(m, tree_get(m, gone, &node)));
	assert_int_equal(node.version, 0);
	struct store_info info;
	store_info(v->store, &info);
	assert_int_equal(info.recovered_versions, 1);
	assert_int_equal(info.dropped_drafts, 2);
	assert_int_equal(records(v, "recover"), 4);
}

static void what_a_crash_left_in_segments_is_cut(void **state) {
	struct test_vault *v = *state;
	uint64_t a = make_file(v, "a", "kept");
	assert_rc(store_commit_wait(v->store));
	uint8_t *data = calloc(1, 1 << 20);
	Content *c = open_file(v, test_vault_create(v, NODE_LANDING, "b"));
	for (uint64_t i = 0; i < 3; i++)
		assert_rc(content_write(c, i << 20, bytes_of(data, 1 << 20)));
	free(data);
	content_abandon(c);
	test_vault_crash(v);
	char command[256];
	uint64_t size = 0;
	(void)snprintf(command, sizeof command, "du -sb %s/segments | cut -f1", v->vault);
	FILE *pipe = popen(command, "r");
	assert_int_equal(fscanf(pipe, "%lu", &size), 1);
	pclose(pipe);
	assert_true(size < 100000);
	assert_text(v, a, "kept");
}

/* ---- a failing disk ---- */

struct disk {
	atomic_bool fail_sync, slow;
	atomic_size_t wal_syncs;
	int fail_with;
	atomic_bool full;
	size_t free; /* 0: what there is */
};

static int judge(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	struct disk *disk = arg;
	(void)offset;
	(void)size;
	if (call == FAULTY_FREE && disk->free)
		*ret_written = disk->free;
	if (call == FAULTY_SYNC && strcmp(name, "meta.db-wal") == 0) {
		disk->wal_syncs++;
		if (disk->slow)
			usleep(2000);
		if (disk->fail_sync)
			return -EIO;
	}
	if (call == FAULTY_WRITE && disk->full && strncmp(name, "segments/", 9) == 0)
		return -ENOSPC;
	return 0;
}

/* The vault opened again, on a disk that does what `disk` says. */
static VaultIo *on_disk(struct test_vault *v, struct disk *disk) {
	VaultIo *io = NULL;
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(faulty_io_open(v->vault, judge, disk, &io));
	v->options.io = io;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	return io;
}

static void off_disk(struct test_vault *v, VaultIo *io) {
	store_abandon(v->store);
	vault_io_close(io);
	v->options.io = NULL;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

static void after_a_failed_sync_the_vault_only_reads(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {0};
	VaultIo *io = on_disk(v, &disk);
	uint64_t a = make_file(v, "a", "safe");
	assert_rc(store_commit_wait(v->store));
	uint64_t durable = store_durable_seq(v->store);
	disk.fail_sync = true;
	uint64_t b = make_file(v, "b", "who knows");
	assert_int_equal(store_commit_wait(v->store), -EIO);
	disk.fail_sync = false;
	assert_int_equal(store_commit_wait(v->store), -EIO);
	assert_int_equal(store_space_check(v->store, 0), -EROFS);
	assert_int_equal(store_durable_seq(v->store), durable);
	assert_text(v, a, "safe");
	assert_text(v, b, "who knows");
	Content *c = open_file(v, a);
	assert_int_equal(content_write(c, 0, bytes_of("x", 1)), -EROFS);
	content_close(c);
	struct store_info info;
	store_info(v->store, &info);
	assert_true(info.failed);
	assert_int_equal(store_close(v->store), -EIO);
	v->store = NULL;
	off_disk(v, io);
	assert_text(v, a, "safe");
}

/* What was promised within some milliseconds counts until it is written: as much as it is. */
static void a_burst_of_small_files_is_no_full_disk(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {.free = (size_t)64 << 20};
	VaultIo *io = on_disk(v, &disk);
	for (int i = 0; i < 400; i++)
		assert_rc(store_space_check(v->store, 1024));
	int granted = 0;
	while (granted < 100 && store_space_check(v->store, 4 << 20) == 0)
		granted++;
	assert_in_range(granted, 1, 60); /* 15 while the test is not kept waiting */
	off_disk(v, io);
}

static void a_full_disk_is_told_and_passes(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {0};
	VaultIo *io = on_disk(v, &disk);
	uint8_t *data = calloc(1, 1 << 20), got[4];
	uint64_t a = make_file(v, "a", "safe");
	Content *c = open_file(v, test_vault_create(v, NODE_LANDING, "b"));
	assert_rc(content_write(c, 0, bytes_of("some", 4)));
	disk.full = true;
	assert_int_equal(content_write(c, 0, bytes_of(data, 1 << 20)), -ENOSPC);
	assert_int_equal(content_sync(c), -ENOSPC);
	assert_int_equal(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL), -ENOSPC);
	size_t n;
	assert_rc(content_read(c, 0, got, 4, &n));
	assert_memory_equal(got, "some", 4);
	assert_int_equal(content_size(c), 4);
	assert_rc(store_commit_wait(v->store));
	disk.full = false;
	assert_rc(content_write(c, 4, bytes_of(data, 1 << 20)));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	content_close(c);
	assert_rc(store_commit_wait(v->store));
	off_disk(v, io);
	assert_text(v, a, "safe");
	free(data);
}

struct waiter {
	struct test_vault *v;
	char name[16];
};

static void *create_and_wait(void *arg) {
	struct waiter *w = arg;
	for (int i = 0; i < 20; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "%s-%d", w->name, i);
		test_vault_create(w->v, NODE_LANDING, name);
		assert_rc(store_commit_wait(w->v->store));
	}
	return NULL;
}

static void one_sync_serves_all_who_wait(void **state) {
	struct test_vault *v = *state;
	struct disk disk = {.slow = true};
	struct waiter waiters[8];
	pthread_t threads[8];
	VaultIo *io = on_disk(v, &disk);
	size_t before = disk.wal_syncs;
	for (int i = 0; i < 8; i++) {
		waiters[i].v = v;
		(void)snprintf(waiters[i].name, sizeof waiters[i].name, "t%d", i);
		assert_int_equal(pthread_create(&threads[i], NULL, create_and_wait, &waiters[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	/* 160 waits; each sync takes 2 ms, in which the others gather. */
	assert_in_range(disk.wal_syncs - before, 1, 100);
	off_disk(v, io);
	uint64_t node;
	for (int i = 0; i < 160; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "t%d-%d", i / 20, i % 20);
		assert_rc(lookup(v, name, &node));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_vault_setup, test_vault_teardown)

/* How often the database is opened for reading alone. */
static int count_readers(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	(void)offset;
	(void)ret_written;
	if (call == FAULTY_OPEN && strcmp(name, "meta.db") == 0 && (size & VAULT_FILE_WRITE) == 0)
		atomic_fetch_add((atomic_uint *)arg, 1);
	return 0;
}

static void the_metadata_is_read_ahead_where_that_is_wanted(void **state) {
	struct test_vault *v = *state;
	for (unsigned wanted = 0; wanted < 2; wanted++) {
		atomic_uint readers = 0;
		VaultIo *io = NULL;
		assert_rc(store_close(v->store));
		v->store = NULL;
		assert_rc(faulty_io_open(v->vault, count_readers, &readers, &io));
		v->options.io = io;
		v->options.read_ahead = wanted;
		assert_rc(test_vault_open(v->vault, &v->options, &v->store));
		off_disk(v, io);
		assert_int_equal(atomic_load(&readers), wanted);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(a_log_that_was_filled_ahead_ends_where_it_ended),
	        TEST(a_directory_that_is_not_empty_is_refused_and_left_alone),
	        TEST(a_failed_init_leaves_nothing),
	        TEST(wrong_secrets_and_wrong_places_are_told_apart),
	        TEST(the_recovery_key_opens_too),
	        TEST(the_metadata_is_read_ahead_where_that_is_wanted),
	        TEST(a_clean_end_leaves_no_log_and_no_reserve),
	        TEST(read_only_changes_no_byte),
	        TEST(what_was_waited_for_survives_and_the_rest_vanishes_whole),
	        TEST(without_waiting_all_is_durable_after_an_interval),
	        TEST(records_get_their_leaves_in_idle_moments),
	        TEST(records_get_their_leaves_long_before_the_commit),
	        TEST(a_synced_draft_becomes_a_version_and_another_is_dropped),
	        TEST(what_a_crash_left_in_segments_is_cut),
	        TEST(after_a_failed_sync_the_vault_only_reads),
	        TEST(what_was_acknowledged_and_can_not_be_kept_fails_the_store),
	        TEST(a_burst_of_small_files_is_no_full_disk),
	        TEST(a_full_disk_is_told_and_passes),
	        TEST(one_sync_serves_all_who_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
