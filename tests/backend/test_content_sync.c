/* Small fsyncs of a vault: which go to their log, and that a crash brings back each that was acknowledged, as it was.
 */
#include "backend/fsck.h"
#include "backend/synclog.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/test_vault.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (3600u * 1000)

static int setup(void **state) {
	int rc = test_vault_setup(state);
	struct test_vault *v = *state;
	v->options.commit_ms = HOUR_MS;
	test_vault_reopen(v);
	return rc;
}

static uint64_t last_commit(struct test_vault *v) {
	struct meta_committed last = {0};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, meta_last_commit(m, &last)));
	return last.commit;
}

static void write_text(Content *c, uint64_t offset, const char *text) {
	assert_rc(content_write(c, offset, bytes_of_string(text)));
}

/* A file with a synced draft: what comes next is small. */
static Content *synced_draft(struct test_vault *v, const char *name, const char *text, uint64_t *ret_node) {
	Content *c = NULL;
	*ret_node = test_vault_create(v, NODE_LANDING, name);
	assert_rc(content_open(v->store, *ret_node, 0, &c));
	write_text(c, 0, text);
	assert_rc(content_sync(c));
	return c;
}

static void sync_by_log(struct test_vault *v, Content *c) {
	uint64_t before = last_commit(v);
	assert_rc(content_sync(c));
	assert_int_equal(last_commit(v), before);
	assert_int_equal(meta_pending(store_meta(v->store)), 0);
}

static void sync_by_commit(struct test_vault *v, Content *c) {
	uint64_t before = last_commit(v);
	assert_rc(content_sync(c));
	assert_int_equal(last_commit(v), before + 1);
}

/* A file "012abc6789" whose letters only the log has. */
static Content *logged_change(struct test_vault *v, uint64_t *ret_node) {
	Content *c = synced_draft(v, "a", "0123456789", ret_node);
	write_text(c, 3, "abc");
	sync_by_log(v, c);
	return c;
}

/* A file whose version is "0123456789", and which became "xy23456789", the y by the log alone. */
static Content *logged_beyond_a_version(struct test_vault *v, uint64_t *ret_node) {
	Content *c = synced_draft(v, "a", "0123456789", ret_node);
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	write_text(c, 0, "x");
	assert_rc(content_sync(c));
	write_text(c, 1, "y");
	sync_by_log(v, c);
	return c;
}

static void assert_text(struct test_vault *v, uint64_t node, const char *text) {
	uint8_t got[512] = {0};
	size_t n = 0;
	Content *c = NULL;
	assert_rc(content_open(v->store, node, 0, &c));
	assert_rc(content_read(c, 0, got, sizeof got - 1, &n));
	assert_string_equal((const char *)got, text);
	assert_int_equal(n, strlen(text));
	content_close(c);
}

static void crash(struct test_vault *v, Content *c) {
	content_abandon(c);
	test_vault_crash(v);
}

static void commit_something(struct test_vault *v, const char *name) {
	(void)test_vault_create(v, NODE_LANDING, name);
	assert_rc(store_commit_wait(v->store));
}

/* ---- what a crash brings back ---- */

static void a_small_fsync_needs_no_commit_and_survives_a_crash(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = logged_change(v, &node);
	write_text(c, 10, "more");
	sync_by_log(v, c);
	write_text(c, 0, "NEVER SYNCED");
	crash(v, c);
	assert_text(v, node, "012abc6789more");
	struct store_info info;
	store_info(v->store, &info);
	assert_int_equal(info.recovered_versions, 1);
	test_vault_reopen(v);
	assert_text(v, node, "012abc6789more");
}

static void its_times_come_back_with_it(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	struct node about;
	Content *c = synced_draft(v, "a", "0123456789", &node);
	write_text(c, 3, "abc");
	content_set_times(c, INT64_C(1000000000000000000), INT64_C(8000000000000000000));
	sync_by_log(v, c);
	crash(v, c);
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_get(m, node, &about)));
	assert_int_equal(about.mtime, INT64_C(1000000000000000000));
	assert_int_equal(about.ctime, INT64_C(8000000000000000000));
}

static void times_reach_the_row_with_the_next_commit(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	struct node about;
	Content *c = synced_draft(v, "a", "0123456789", &node);
	write_text(c, 3, "abc");
	content_set_times(c, INT64_C(1000000000000000000), INT64_C(8000000000000000000));
	sync_by_log(v, c);
	commit_something(v, "b");
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_get(m, node, &about)));
	assert_int_equal(about.mtime, INT64_C(1000000000000000000));
	content_set_times(c, INT64_C(1100000000000000000), 1);
	assert_rc(content_settle_times(c));
	meta_begin(m);
	assert_rc(meta_end(m, tree_get(m, node, &about)));
	assert_int_equal(about.mtime, INT64_C(1100000000000000000));
	assert_int_equal(about.ctime, INT64_C(8000000000000000000)); /* runs forward only */
	content_close(c);
}

static void a_file_that_only_grew_is_as_long_after_a_crash(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = synced_draft(v, "a", "0123456789", &node);
	assert_rc(content_truncate(c, 100000));
	sync_by_log(v, c);
	write_text(c, 70000, "far");
	sync_by_log(v, c);
	crash(v, c);
	assert_rc(content_open(v->store, node, 0, &c));
	uint8_t got[4] = {0};
	size_t n;
	assert_int_equal(content_size(c), 100000);
	assert_rc(content_read(c, 70000, got, 3, &n));
	assert_memory_equal(got, "far", 3);
	content_close(c);
}

static void a_commit_in_between_has_what_was_logged(void **state) {
	struct test_vault *v = *state;
	uint64_t a, b;
	Content *ca = synced_draft(v, "a", "aaaaaaaaaa", &a), *cb = synced_draft(v, "b", "bbbbbbbbbb", &b);
	write_text(ca, 0, "1");
	sync_by_log(v, ca);
	write_text(cb, 0, "2");
	sync_by_log(v, cb);
	commit_something(v, "c");
	write_text(ca, 1, "3");
	sync_by_log(v, ca);
	content_abandon(cb);
	crash(v, ca);
	assert_text(v, a, "13aaaaaaaa");
	assert_text(v, b, "2bbbbbbbbb");
}

static void commits_alone_bring_it_all_back_as_well(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	char log[128];
	Content *c = logged_change(v, &node);
	commit_something(v, "b");
	content_abandon(c);
	store_abandon(v->store);
	(void)snprintf(log, sizeof log, "%s/%s", v->vault, SYNCLOG_NAME);
	assert_int_equal(remove(log), 0);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_text(v, node, "012abc6789");
}

static void a_sealed_file_crashes_as_it_was_synced_or_as_it_was_sealed(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = logged_change(v, &node);
	write_text(c, 0, "later");
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	crash(v, c);
	assert_text(v, node, "012abc6789");
	assert_rc(content_open(v->store, node, 0, &c));
	write_text(c, 0, "x");
	assert_rc(content_sync(c));
	write_text(c, 1, "y");
	sync_by_log(v, c);
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	assert_rc(store_commit_wait(v->store));
	crash(v, c);
	assert_text(v, node, "xy2abc6789");
}

static void a_dropped_draft_stays_dropped(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = logged_beyond_a_version(v, &node);
	assert_rc(content_drop(c));
	assert_rc(store_commit_wait(v->store));
	crash(v, c);
	assert_text(v, node, "0123456789");
}

/* What the log does not tell goes by the database, so that replaying never undoes it. */
static void what_is_no_small_change_is_committed(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = synced_draft(v, "a", "0123456789abcdef", &node);
	write_text(c, 12, "XYZ");
	sync_by_log(v, c);
	assert_rc(content_truncate(c, 13));
	sync_by_commit(v, c);
	write_text(c, 12, "Xtail");
	sync_by_log(v, c);
	assert_rc(content_punch(c, 2, 3));
	sync_by_commit(v, c);
	uint8_t *large = calloc(1, 3 * SEGMENT_BLOCK_BYTES);
	assert_rc(content_write(c, 0, bytes_of(large, 3 * SEGMENT_BLOCK_BYTES)));
	sync_by_commit(v, c);
	uint64_t done;
	write_text(c, 0, "back");
	assert_rc(content_clone_range(c, 0, c, 2 * SEGMENT_BLOCK_BYTES, SEGMENT_BLOCK_BYTES, &done));
	sync_by_commit(v, c);
	write_text(c, 0, "last");
	sync_by_log(v, c);
	crash(v, c);
	assert_rc(content_open(v->store, node, 0, &c));
	size_t n;
	assert_rc(content_read(c, 0, large, 3 * SEGMENT_BLOCK_BYTES, &n));
	assert_int_equal(n, 3 * SEGMENT_BLOCK_BYTES);
	assert_memory_equal(large, "last", 5);
	assert_memory_equal(large + 2 * SEGMENT_BLOCK_BYTES, "back", 5);
	content_close(c);
	free(large);
}

static void a_hole_made_over_what_was_logged_stays_a_hole(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = synced_draft(v, "a", "0", &node);
	assert_rc(content_truncate(c, 4 * SEGMENT_BLOCK_BYTES));
	write_text(c, SEGMENT_BLOCK_BYTES, "gone soon");
	sync_by_log(v, c);
	assert_rc(content_punch(c, SEGMENT_BLOCK_BYTES, SEGMENT_BLOCK_BYTES));
	assert_rc(content_sync(c));
	crash(v, c);
	assert_rc(content_open(v->store, node, 0, &c));
	uint8_t got[9];
	size_t n;
	assert_rc(content_read(c, SEGMENT_BLOCK_BYTES, got, sizeof got, &n));
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0\0", 9);
	content_close(c);
}

static void who_changed_names_before_gets_a_commit(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = synced_draft(v, "a", "0123456789", &node);
	write_text(c, 3, "abc");
	(void)test_vault_create(v, NODE_LANDING, "b");
	sync_by_commit(v, c);
	write_text(c, 0, "x");
	sync_by_log(v, c);
	content_close(c);
}

static void a_file_without_a_name_goes_with_what_was_logged_of_it(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	struct node about;
	Content *c = synced_draft(v, "a", "0123456789", &node);
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_unlink(m, NODE_LANDING, bytes_of_string("a"), &about)));
	assert_rc(store_commit_wait(v->store));
	write_text(c, 3, "abc");
	sync_by_log(v, c);
	crash(v, c);
	assert_text(v, node, ""); /* its past name keeps the node */
}

static int fail_log(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	(void)offset, (void)size, (void)ret_written;
	return atomic_load((atomic_bool *)arg) && call == FAULTY_SYNC && strcmp(name, SYNCLOG_NAME) == 0 ? -EIO : 0;
}

static void a_log_that_fails_is_done_without(void **state) {
	struct test_vault *v = *state;
	atomic_bool fails = false;
	uint64_t node;
	VaultIo *io = NULL;
	assert_rc(store_close(v->store));
	assert_rc(faulty_io_open(v->vault, fail_log, &fails, &io));
	v->options.io = io;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	Content *c = logged_change(v, &node);
	atomic_store(&fails, true);
	write_text(c, 0, "x");
	sync_by_commit(v, c);
	atomic_store(&fails, false);
	write_text(c, 1, "y");
	sync_by_commit(v, c);
	content_abandon(c);
	store_abandon(v->store);
	vault_io_close(io);
	v->options.io = NULL;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_text(v, node, "xy2abc6789");
}

/* ---- going back ---- */

static void reverting_goes_back_to_what_the_log_acknowledged(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = logged_change(v, &node);
	write_text(c, 10, "grown");
	sync_by_log(v, c);
	write_text(c, 0, "not synced, and longer than that");
	assert_rc(content_revert(c));
	assert_int_equal(content_size(c), 15);
	content_close(c);
	assert_rc(store_close(v->store)); /* seals what was synced */
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_text(v, node, "012abc6789grown");
}

/* ---- much of it ---- */

static void a_log_that_fills_up_goes_on_after_a_commit(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	const size_t length = 4096;
	Content *c = synced_draft(v, "a", "0", &node);
	uint64_t first = last_commit(v);
	uint8_t block[4096];
	for (unsigned i = 0; i < 2200; i++) {
		memset(block, (int)(i % 251), sizeof block);
		assert_rc(content_write(c, (uint64_t)(i % 300) * length, bytes_of(block, length)));
		assert_rc(content_sync(c));
	}
	assert_in_range(last_commit(v) - first, 2, 40);
	crash(v, c);
	assert_rc(content_open(v->store, node, 0, &c));
	for (unsigned i = 1900; i < 2200; i++) {
		size_t n;
		assert_rc(content_read(c, (uint64_t)(i % 300) * length, block, sizeof block, &n));
		assert_int_equal(block[0], i % 251);
		assert_int_equal(block[4095], i % 251);
	}
	content_close(c);
}

#define WRITERS 4
#define SYNCS 150

struct writer {
	struct test_vault *v;
	Content *c;
	uint64_t node;
	atomic_uint *left;
};

static void *write_and_sync(void *arg) {
	struct writer *writer = arg;
	for (uint32_t i = 1; i <= SYNCS; i++) {
		uint8_t number[4];
		le32_put(number, i);
		if (content_write(writer->c, 4 * (uint64_t)(i % 9), bytes_of(number, 4)) < 0 ||
		        content_sync(writer->c) < 0)
			break;
	}
	atomic_fetch_sub(writer->left, 1);
	return NULL;
}

static void writers_and_commits_do_not_disturb_each_other(void **state) {
	struct test_vault *v = *state;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	atomic_uint left = WRITERS;
	for (int i = 0; i < WRITERS; i++) {
		char name[8];
		(void)snprintf(name, sizeof name, "w%d", i);
		writers[i] = (struct writer){.v = v, .left = &left};
		writers[i].c = synced_draft(v, name, "", &writers[i].node);
	}
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_and_sync, &writers[i]), 0);
	for (int i = 0; atomic_load(&left) > 0; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "c%d", i);
		commit_something(v, name);
	}
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		content_abandon(writers[i].c);
	}
	test_vault_crash(v);
	for (int i = 0; i < WRITERS; i++) {
		Content *c = NULL;
		uint8_t got[36];
		size_t n;
		assert_rc(content_open(v->store, writers[i].node, 0, &c));
		assert_rc(content_read(c, 0, got, sizeof got, &n));
		for (uint32_t last = SYNCS - 8; last <= SYNCS; last++)
			assert_int_equal(le32_get(got + 4 * (last % 9)), last);
		content_close(c);
	}
}

/* ---- the file ---- */

static bool has_log(struct test_vault *v) {
	char log[128];
	struct stat about;
	(void)snprintf(log, sizeof log, "%s/%s", v->vault, SYNCLOG_NAME);
	return stat(log, &about) == 0;
}

static void a_clean_end_leaves_no_log(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = logged_change(v, &node);
	assert_true(has_log(v));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	content_close(c);
	test_vault_reopen(v);
	assert_false(has_log(v));
	assert_text(v, node, "012abc6789");
}

struct findings {
	unsigned of_log, others, repaired;
};

static int find(void *arg, const struct fsck_finding *finding) {
	struct findings *f = arg;
	if (strcmp(finding->file, SYNCLOG_NAME) == 0)
		f->of_log++;
	else
		f->others++;
	f->repaired += finding->repaired != NULL;
	return 0;
}

static struct findings check(struct test_vault *v, const struct fsck_options *repair) {
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct findings f = {0};
	struct fsck_summary sum;
	if (repair)
		assert_rc(fsck_repair(v->vault, &secret, repair, find, &f, &sum));
	else
		assert_rc(fsck_run(v->vault, &secret, find, &f, &sum));
	return f;
}

static void end_as_a_crash(struct test_vault *v, Content *c) {
	content_abandon(c);
	store_abandon(v->store);
	v->store = NULL;
}

static void change_byte(struct test_vault *v, const char *name, size_t at) {
	size_t size;
	uint8_t *bytes = scratch_read(v->vault, name, &size);
	bytes[at] ^= 1;
	scratch_write(v->vault, name, bytes, size);
	free(bytes);
}

static void damage_of_what_was_acknowledged_is_told_and_given_up_only_by_decision(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = logged_change(v, &node);
	end_as_a_crash(v, c);
	assert_int_equal(check(v, NULL).of_log + check(v, NULL).others, 0);
	change_byte(v, SYNCLOG_NAME, SYNCLOG_START + 80);
	assert_int_equal(check(v, NULL).of_log, 1);
	assert_int_equal(test_vault_open(v->vault, &v->options, &v->store), -EBADMSG);
	struct findings f = check(v, &(struct fsck_options){0});
	assert_int_equal(f.of_log, 1);
	assert_int_equal(f.repaired, 0);
	assert_int_equal(test_vault_open(v->vault, &v->options, &v->store), -EBADMSG);
	f = check(v, &(struct fsck_options){.accept_loss = true});
	assert_int_equal(f.repaired, 1);
	assert_int_equal(f.others, 0);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_text(v, node, "0123456789");
}

static void repair_of_something_else_leaves_the_log_to_the_next_mount(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = logged_change(v, &node);
	end_as_a_crash(v, c);
	change_byte(v, "meta/anchor-2", 100);
	struct findings f = check(v, &(struct fsck_options){0});
	assert_int_equal(f.of_log, 0);
	assert_int_equal(f.repaired, 1);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_text(v, node, "012abc6789");
}

static void a_read_only_mount_shows_the_last_commit(void **state) {
	struct test_vault *v = *state;
	uint64_t node;
	Content *c = logged_beyond_a_version(v, &node);
	end_as_a_crash(v, c);
	struct store_options options = {.read_only = true};
	assert_rc(test_vault_open(v->vault, &options, &v->store));
	assert_text(v, node, "0123456789");
	assert_rc(store_close(v->store));
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_text(v, node, "xy23456789");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(a_small_fsync_needs_no_commit_and_survives_a_crash),
	        TEST(its_times_come_back_with_it),
	        TEST(times_reach_the_row_with_the_next_commit),
	        TEST(a_file_that_only_grew_is_as_long_after_a_crash),
	        TEST(a_commit_in_between_has_what_was_logged),
	        TEST(commits_alone_bring_it_all_back_as_well),
	        TEST(a_sealed_file_crashes_as_it_was_synced_or_as_it_was_sealed),
	        TEST(a_dropped_draft_stays_dropped),
	        TEST(what_is_no_small_change_is_committed),
	        TEST(a_hole_made_over_what_was_logged_stays_a_hole),
	        TEST(who_changed_names_before_gets_a_commit),
	        TEST(a_file_without_a_name_goes_with_what_was_logged_of_it),
	        TEST(a_log_that_fails_is_done_without),
	        TEST(reverting_goes_back_to_what_the_log_acknowledged),
	        TEST(a_log_that_fills_up_goes_on_after_a_commit),
	        TEST(writers_and_commits_do_not_disturb_each_other),
	        TEST(a_clean_end_leaves_no_log),
	        TEST(damage_of_what_was_acknowledged_is_told_and_given_up_only_by_decision),
	        TEST(repair_of_something_else_leaves_the_log_to_the_next_mount),
	        TEST(a_read_only_mount_shows_the_last_commit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
