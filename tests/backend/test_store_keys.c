/* Keys of an open vault: what there is, aliases, rotation, power loss and full disks, sealing anew. */
#include "backend/audit.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "crypto/secret.h"
#include "tests/backend/chance.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/key_fixture.h"
#include "tests/backend/recorder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct actor someone = {.uid = 1234, .gid = 5, .pid = 77, .exe = "test"};

/* ---- looking ---- */

struct looking {
	const char *name;
	struct store_key key;
	size_t count;
	char order[512];
};

static int look(void *arg, const struct store_key *key) {
	struct looking *looking = arg;
	looking->count++;
	strcat(strcat(looking->order, key->name), " ");
	if (looking->name && strcmp(key->name, looking->name) == 0)
		looking->key = *key;
	return 0;
}

/* Of the versions that segments are sealed under. */
static int take_version(void *arg, const struct segment_row *row) {
	uint32_t *highest = arg;
	*highest = row->key_version > *highest ? row->key_version : *highest;
	return 0;
}

static uint32_t highest_version(struct test_vault *v) {
	uint32_t highest = 0;
	Meta *m = store_meta(v->store);
	gc_commit(v);
	meta_begin(m);
	assert_rc(meta_end(m, segment_row_list(m, take_version, &highest)));
	return highest;
}

static void a_new_vault_has_its_keys(void **state) {
	struct test_vault *v = *state;
	struct looking looking = {0};
	char name[KEYRING_NAME_MAX + 1];
	assert_rc(store_key_list(v->store, look, &looking));
	assert_string_equal(looking.order, "audit header landing meta raw trusted verdict ");
	struct store_key key = key_fixture_of(v, "landing");
	assert_string_equal(key.alias, "alias/landing");
	assert_int_equal(key.version, 1);
	assert_int_equal(key.state, KEY_ACTIVE);
	assert_true(key.is_here && !key.is_vital && key.created_ns > 0);
	assert_true(key.rotated_ns == 0 && key.deletion_ns == 0 && key.every_days == 0);
	assert_true(key_fixture_of(v, "meta").is_vital);
	assert_rc(store_key_find(v->store, "alias/metadata", name));
	assert_string_equal(name, "meta");
	assert_rc(store_key_find(v->store, "raw", name));
	assert_string_equal(name, "raw");
	assert_int_equal(store_key_find(v->store, "alias/nobody", name), -ENOENT);
	assert_non_null(strstr(fault_message(), "alias/landing"));
}

static void segments_are_counted_by_key(void **state) {
	struct test_vault *v = *state;
	gc_file(v, NODE_LANDING, "a", 1);
	gc_commit(v);
	struct store_key key = key_fixture_of(v, "landing");
	assert_int_equal(key.segments, 1);
	assert_true(key.bytes > GC_FILE_BLOCKS * SEGMENT_BLOCK_BYTES && key.seals > 0);
	assert_int_equal(key.old_segments, 0);
	assert_int_equal(key_fixture_of(v, "raw").segments, 0);
}

/* ---- aliases ---- */

static void an_alias_is_kept_and_taken_by_nobody_else(void **state) {
	struct test_vault *v = *state;
	char name[KEYRING_NAME_MAX + 1];
	assert_rc(store_key_alias(v->store, "raw", "alias/evidence", &someone));
	assert_int_equal(store_key_alias(v->store, "landing", "evidence", &someone), -EEXIST);
	assert_int_equal(store_key_alias(v->store, "landing", "metadata", &someone), -EEXIST);
	assert_int_equal(store_key_alias(v->store, "landing", "trusted", &someone), -EEXIST);
	assert_int_equal(store_key_alias(v->store, "landing", "alias/Not This", &someone), -EINVAL);
	assert_int_equal(store_key_alias(v->store, "landing", "alias/", &someone), -EINVAL);
	assert_int_equal(store_key_alias(v->store, "nobody", "alias/x", &someone), -ENOKEY);
	test_vault_reopen(v);
	assert_rc(store_key_find(v->store, "evidence", name));
	assert_string_equal(name, "raw");
	assert_rc(store_key_find(v->store, "alias/raw", name));
	assert_string_equal(name, "raw");
	assert_string_equal(key_fixture_of(v, "raw").alias, "alias/evidence");
	struct key_told told = key_fixture_told(v->store, "key-alias");
	assert_int_equal(told.count, 1);
	assert_int_equal(told.uid, someone.uid);
	assert_non_null(strstr(told.detail, "alias/evidence"));
}

/* ---- rotation ---- */

static void what_comes_after_a_rotation_is_sealed_under_the_new_version(void **state) {
	struct test_vault *v = *state;
	uint32_t version = 0;
	uint64_t before = gc_file(v, NODE_LANDING, "before", 1);
	assert_int_equal(highest_version(v), 1);
	assert_rc(store_key_rotate(v->store, "landing", &someone, &version));
	assert_int_equal(version, 2);
	uint64_t after = gc_file(v, NODE_LANDING, "after", 2);
	assert_int_equal(highest_version(v), 2);
	struct store_key key = key_fixture_of(v, "landing");
	assert_int_equal(key.version, 2);
	assert_int_equal(key.segments, 2);
	assert_int_equal(key.old_segments, 1);
	assert_true(key.rotated_ns > key.created_ns);
	gc_expect_file(v, before, 1);
	gc_expect_file(v, after, 2);
	struct key_told told = key_fixture_told(v->store, "key-rotate");
	assert_int_equal(told.count, 1);
	assert_string_equal(told.detail, "alias/landing version 2");
	test_vault_reopen(v);
	gc_expect_file(v, before, 1);
	gc_expect_file(v, after, 2);
	assert_int_equal(key_fixture_of(v, "landing").version, 2);
	assert_int_equal(key_fixture_told(v->store, "key-found").count, 0);
}

static void all_but_one_key_rotate(void **state) {
	static const char *const names[] = {"landing", "raw", "trusted", "verdict", "header", "audit", "meta"};
	struct test_vault *v = *state;
	uint32_t version = 0;
	for (int turn = 2; turn <= 4; turn++)
		for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
			assert_rc(store_key_rotate(v->store, names[i], NULL, &version));
			assert_int_equal(version, turn);
		}
	assert_int_equal(store_key_rotate(v->store, "nobody", NULL, &version), -ENOKEY);
	test_vault_reopen(v);
	assert_int_equal(key_fixture_of(v, "header").version, 4);
	assert_rc(store_key_rotate(v->store, "raw", NULL, &version));
	assert_int_equal(version, 5);
}

/* The log of small fsyncs has a key of its own, of Landing's. */
static void small_fsyncs_go_on_under_the_new_version(void **state) {
	struct test_vault *v = *state;
	uint64_t node = test_vault_create(v, NODE_LANDING, "log");
	uint8_t got[8] = {0};
	size_t size = 0;
	Content *c = gc_open_content(v, node);
	assert_rc(content_write(c, 0, bytes_of_string("a")));
	assert_rc(content_sync(c));
	assert_rc(content_write(c, 1, bytes_of_string("b")));
	assert_rc(content_sync(c));
	assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
	assert_rc(content_sync(c));
	assert_rc(content_write(c, 2, bytes_of_string("c")));
	assert_rc(content_sync(c));
	size_t log_size = 0;
	uint8_t *log = scratch_read(v->vault, SYNCLOG_NAME, &log_size);
	assert_true(log_size > SYNCLOG_START);
	assert_int_equal(le32_get(log + 12), 2); /* the key's version, in the header (docs/format.md) */
	free(log);
	content_abandon(c);
	test_vault_crash(v);
	c = gc_open_content(v, node);
	assert_rc(content_read(c, 0, got, sizeof got, &size));
	assert_int_equal(size, 3);
	assert_memory_equal(got, "abc", 3);
	content_close(c);
}

static int say_full(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	(void)offset;
	(void)size;
	(void)ret_written;
	return *(bool *)arg && call == FAULTY_WRITE && strncmp(name, STORE_HEADER_NAME, strlen(STORE_HEADER_NAME)) == 0
	               ? -ENOSPC
	               : 0;
}

static void a_full_disk_leaves_all_as_it_was(void **state) {
	struct test_vault *v = *state;
	bool is_full = false;
	VaultIo *io = NULL;
	size_t size = 0, size_after = 0;
	uint32_t version = 0;
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(faulty_io_open(v->vault, say_full, &is_full, &io));
	v->options.io = io;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	uint8_t *before = scratch_read(v->vault, STORE_HEADER_NAME, &size);
	is_full = true;
	assert_int_equal(store_key_rotate(v->store, "landing", NULL, &version), -ENOSPC);
	assert_int_equal(store_key_disable(v->store, "landing", NULL), -ENOSPC);
	uint8_t *after = scratch_read(v->vault, STORE_HEADER_NAME, &size_after);
	assert_int_equal(size, size_after);
	assert_memory_equal(before, after, size);
	assert_int_equal(key_fixture_of(v, "landing").version, 1);
	assert_int_equal(key_fixture_of(v, "landing").state, KEY_ACTIVE);
	assert_int_equal(
	        key_fixture_told(v->store, "key-rotate").count + key_fixture_told(v->store, "key-disable").count, 0);
	uint64_t node = gc_file(v, NODE_LANDING, "a", 1);
	assert_int_equal(highest_version(v), 1);
	is_full = false;
	assert_rc(store_key_rotate(v->store, "landing", NULL, &version));
	assert_int_equal(version, 2);
	gc_expect_file(v, node, 1);
	free(before);
	free(after);
	assert_rc(store_close(v->store));
	v->store = NULL;
	v->options.io = NULL;
	vault_io_close(io);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

#define THREADS 4
#define TURNS 5

struct rotating {
	Store *store;
	_Atomic uint64_t versions; /* a bit for each that was given */
};

static void *rotate_often(void *arg) {
	struct rotating *r = arg;
	for (int i = 0; i < TURNS; i++) {
		uint32_t version = 0;
		if (store_key_rotate(r->store, "raw", NULL, &version) == 0)
			atomic_fetch_or(&r->versions, UINT64_C(1) << version);
	}
	return NULL;
}

static void two_at_once_are_one_after_the_other(void **state) {
	struct test_vault *v = *state;
	struct rotating r = {.store = v->store};
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, rotate_often, &r), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(r.versions, ((UINT64_C(1) << (THREADS * TURNS)) - 1) << 2);
	assert_int_equal(key_fixture_of(v, "raw").version, 1 + THREADS * TURNS);
	assert_int_equal(key_fixture_told(v->store, "key-rotate").count, THREADS * TURNS);
	test_vault_reopen(v);
	assert_int_equal(key_fixture_of(v, "raw").version, 1 + THREADS * TURNS);
}

static void keys_rotate_by_themselves_when_it_is_time(void **state) {
	struct test_vault *v = *state;
	const int64_t day = INT64_C(86400000000000);
	assert_rc(store_key_every(v->store, "raw", 90, &someone));
	assert_rc(store_key_every(v->store, "meta", 90, &someone));
	assert_rc(store_key_every(v->store, "audit", 90, &someone));
	const int64_t made = key_fixture_of(v, "raw").created_ns;
	assert_rc(store_key_tick(v->store, made + 90 * day - 1, true));
	assert_int_equal(key_fixture_of(v, "raw").version, 1);
	assert_rc(store_key_tick(v->store, made + 90 * day, true));
	assert_int_equal(key_fixture_of(v, "raw").version, 2);
	assert_int_equal(key_fixture_of(v, "meta").version, 2);
	assert_int_equal(key_fixture_of(v, "audit").version, 2);
	assert_int_equal(key_fixture_of(v, "raw").every_days, 90);
	assert_rc(store_key_tick(v->store, made + 90 * day, true));
	assert_int_equal(key_fixture_of(v, "raw").version, 2);
	assert_rc(store_key_every(v->store, "raw", 0, &someone));
	assert_rc(store_key_tick(v->store, made + 900 * day, true));
	assert_int_equal(key_fixture_of(v, "raw").version, 2);
}

/* What a crash between vault.json and the record leaves. */
static void a_change_without_a_record_is_found(void **state) {
	struct test_vault *v = *state;
	_cleanup_(freep) char *json = NULL;
	size_t size = 0;
	char path[128];
	assert_rc(keyring_rotate(store_keyring(v->store), "raw", NULL));
	assert_rc(header_update(v->store->keys.header, store_keyring(v->store)));
	assert_rc(header_serialize(v->store->keys.header, &json, &size));
	assert_rc(store_close(v->store));
	v->store = NULL;
	(void)snprintf(path, sizeof path, "%s/" STORE_HEADER_NAME, v->vault);
	scratch_write(v->vault, STORE_HEADER_NAME, json, size);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	struct key_told told = key_fixture_told(v->store, "key-found");
	assert_int_equal(told.count, 1);
	assert_non_null(strstr(told.detail, "alias/raw version 2"));
	assert_int_equal(key_fixture_of(v, "raw").version, 2);
	assert_true(key_fixture_of(v, "raw").rotated_ns > 0);
	test_vault_reopen(v);
	assert_int_equal(key_fixture_told(v->store, "key-found").count, 1);
}

/* ---- power loss ---- */

struct crash {
	uint64_t nodes[8];
	uint64_t done; /* rotations, and a file under each version */
	size_t shown;
};

/* All that was acknowledged is there, and what is there can be read. */
static int judge(void *user, const char *directory, uint64_t acknowledged) {
	struct crash *crash = user;
	struct test_vault v = {.options = {.reserve_bytes = 1 << 20, .gc_by_hand = true, .commit_ms = 3600 * 1000}};
	if (test_vault_open(directory, &v.options, &v.store) < 0) {
		print_error("%s\n", fault_message());
		return -EIO;
	}
	const uint32_t version = key_fixture_of(&v, "landing").version;
	const size_t recorded =
	        key_fixture_told(v.store, "key-rotate").count + key_fixture_told(v.store, "key-found").count;
	const uint32_t of_meta = key_fixture_of(&v, "meta").version;
	int rc = version > acknowledged && of_meta > acknowledged && recorded + 2 >= version + of_meta ? 0 : -EIO;
	if (rc < 0)
		print_error("version %u, %zu records after %lu rotations\n", version, recorded,
		        (unsigned long)acknowledged);
	for (uint64_t i = 0; i < acknowledged && rc == 0; i++)
		gc_expect_file(&v, crash->nodes[i], (uint8_t)(i + 1));
	if (rc == 0)
		gc_file(&v, NODE_LANDING, "more", 99);
	crash->shown++;
	int closed = store_close(v.store);
	return rc < 0 ? rc : closed;
}

static void a_power_loss_loses_no_key(void **state) {
	struct test_vault *v = *state;
	struct crash crash = {0};
	Recorder *recorder = NULL;
	VaultIo *io = NULL;
	size_t shown = 0;
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(recorder_open(v->vault, &recorder));
	assert_rc(recorder_io(recorder, &io));
	v->options = (struct store_options){
	        .reserve_bytes = 1 << 20, .gc_by_hand = true, .commit_ms = 3600 * 1000, .io = io};
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	for (uint64_t i = 0; i < 4; i++) {
		char name[8];
		(void)snprintf(name, sizeof name, "f%lu", (unsigned long)i);
		crash.nodes[i] = gc_file(v, NODE_LANDING, name, (uint8_t)(i + 1));
		assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
		assert_rc(store_key_rotate(v->store, "meta", NULL, NULL));
		if (i % 2)
			assert_rc(store_key_rewrap(v->store, "meta", NULL));
		recorder_mark(recorder, ++crash.done);
	}
	assert_rc(store_close(v->store));
	v->store = NULL;
	vault_io_close(io);
	v->options.io = NULL;
	int rc = recorder_each_crash_state(recorder, 200, chance_seed(), judge, &crash, &shown);
	recorder_close(recorder);
	assert_int_equal(rc, 0);
	assert_true(shown > 50 && shown == crash.shown);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* ---- sealing anew ---- */

static void walks(struct test_vault *v, int count) {
	for (int i = 0; i < count; i++)
		gc_walk_and_wait(v);
}

static void what_is_sealed_anew_leaves_nothing_of_the_old(void **state) {
	struct test_vault *v = *state;
	uint64_t nodes[3];
	for (int i = 0; i < 3; i++) {
		char name[8];
		(void)snprintf(name, sizeof name, "f%d", i);
		nodes[i] = gc_file(v, NODE_LANDING, name, (uint8_t)(i + 1));
		gc_close_segments(v);
	}
	assert_rc(store_key_rewrap(v->store, "landing", &someone)); /* nothing is old */
	assert_false(key_fixture_of(v, "landing").is_rewrapping);
	assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
	assert_int_equal(key_fixture_of(v, "landing").old_segments, 3);
	walks(v, 4);
	assert_int_equal(key_fixture_of(v, "landing").old_segments, 3); /* not by itself */
	assert_rc(store_key_rewrap(v->store, "landing", &someone));
	assert_true(key_fixture_of(v, "landing").is_rewrapping);
	walks(v, 5);
	struct store_key key = key_fixture_of(v, "landing");
	assert_int_equal(key.old_segments, 0);
	assert_int_equal(key.old_bytes, 0);
	assert_true(key.segments > 0 && !key.is_rewrapping);
	/* What a later rotation makes old was not asked for. */
	assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
	key = key_fixture_of(v, "landing");
	assert_true(key.old_segments > 0 && !key.is_rewrapping);
	for (int i = 0; i < 3; i++)
		gc_expect_file(v, nodes[i], (uint8_t)(i + 1));
	assert_int_equal(key_fixture_told(v->store, "key-rewrap").count, 2);
	assert_int_equal(store_key_rewrap(v->store, "audit", &someone), -ENOTSUP);
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

#define KILLS 10

static void sealing_anew_survives_being_killed(void **state) {
	struct test_vault *v = *state;
	uint64_t nodes[6];
	for (int i = 0; i < 6; i++) {
		char name[8];
		(void)snprintf(name, sizeof name, "f%d", i);
		nodes[i] = gc_file(v, NODE_LANDING, name, (uint8_t)(i + 1));
		gc_close_segments(v);
	}
	assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
	assert_rc(store_key_rewrap(v->store, "landing", NULL));
	for (int kill = 0; kill < KILLS; kill++) {
		struct gc_purging purging;
		for (int step = 0; step < 3 + 2 * kill; step++)
			(void)gc_step(store_gc(v->store), NULL);
		if (kill % 2)
			gc_commit(v);
		test_vault_crash(v);
		assert_rc(gc_purging(store_gc(v->store), &purging));
		assert_true((purging.wanted > 0) == (key_fixture_of(v, "landing").old_segments > 0));
		for (int i = 0; i < 6; i++)
			gc_expect_file(v, nodes[i], (uint8_t)(i + 1));
	}
	walks(v, 6);
	assert_int_equal(key_fixture_of(v, "landing").old_segments, 0);
	for (int i = 0; i < 6; i++)
		gc_expect_file(v, nodes[i], (uint8_t)(i + 1));
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* With the collector's own thread. */
static void after_a_crash_it_goes_on_by_itself(void **state) {
	static const struct timespec moment = {.tv_nsec = 50000000};
	struct test_vault *v = *state;
	uint64_t node = gc_file(v, NODE_LANDING, "a", 1);
	gc_close_segments(v);
	assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
	assert_rc(store_key_rewrap(v->store, "landing", NULL));
	v->options.gc_by_hand = false;
	v->options.commit_ms = 20;
	test_vault_crash(v);
	for (int i = 0; i < 1000 && key_fixture_of(v, "landing").old_segments > 0; i++)
		nanosleep(&moment, NULL);
	assert_int_equal(key_fixture_of(v, "landing").old_segments, 0);
	gc_expect_file(v, node, 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_new_vault_has_its_keys),
	        TEST(segments_are_counted_by_key),
	        TEST(an_alias_is_kept_and_taken_by_nobody_else),
	        TEST(what_comes_after_a_rotation_is_sealed_under_the_new_version),
	        TEST(all_but_one_key_rotate),
	        TEST(small_fsyncs_go_on_under_the_new_version),
	        TEST(a_full_disk_leaves_all_as_it_was),
	        TEST(two_at_once_are_one_after_the_other),
	        TEST(keys_rotate_by_themselves_when_it_is_time),
	        TEST(a_change_without_a_record_is_found),
	        TEST(a_power_loss_loses_no_key),
	        TEST(what_is_sealed_anew_leaves_nothing_of_the_old),
	        TEST(sealing_anew_survives_being_killed),
	        TEST(after_a_crash_it_goes_on_by_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
