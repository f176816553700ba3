/* The metadata's key in an open vault: what an old one opens, sealing anew, full disks, writers at the same time. */
#include "backend/audit.h"
#include "backend/metaseal.h"
#include "backend/pack.h"
#include "backend/record.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "backend/wallayout.h"
#include "crypto/secret.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/key_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct actor someone = {.uid = 1234, .gid = 5, .pid = 77, .exe = "test"};

/* ---- looking ---- */

/* ---- rotation ---- */

static struct meta_keys *meta_keys_of(struct test_vault *v, const Keyring *keyring) {
	struct meta_keys *keys = NULL;
	struct store_info info;
	store_info(v->store, &info);
	assert_rc(meta_keys_new(keyring, info.vault_id, &keys));
	return keys;
}

struct seeking {
	const char *text;
	size_t opened;
	bool found;
};

static void seek_in(struct seeking *seeking, const uint8_t *plain, size_t size) {
	seeking->opened++;
	seeking->found |= memmem(plain, size, seeking->text, strlen(seeking->text)) != NULL;
}

static void seek_database(struct test_vault *v, const struct meta_keys *keys, struct seeking *seeking) {
	size_t size = 0;
	uint8_t plain[META_PAGE_BYTES], *file = scratch_read(v->vault, "meta.db", &size);
	for (uint32_t page = 1; (size_t)page * META_PAGE_BYTES <= size; page++)
		if (meta_page_open(keys, page, file + (size_t)(page - 1) * META_PAGE_BYTES, plain, NULL) == 0)
			seek_in(seeking, plain, sizeof plain);
	free(file);
}

/* By the header that `all` opens: what stands in place of the chain is known, and each frame is tried by itself. */
static void seek_log(
        struct test_vault *v, const struct meta_keys *all, const struct meta_keys *keys, struct seeking *seeking) {
	struct wal_header header;
	size_t size = 0;
	uint8_t plain[WAL_FRAME_PLAIN_BYTES], *file = scratch_read(v->vault, WAL_NAME, &size);
	assert_true(size > WAL_HEADER_BYTES + WAL_RECORD_BYTES);
	assert_rc(wal_header_open(all, file, &header));
	const uint8_t *previous = header.tag;
	for (uint32_t number = 1; wal_record_offset(number + 1) <= size; number++) {
		const uint8_t *record = file + wal_record_offset(number);
		for (uint32_t i = 0; i < keys->count; i++) {
			header.version = keys->versions[i].version;
			if (wal_frame_open(keys, &header, number, previous, record, plain) == 0)
				seek_in(seeking, plain, sizeof plain);
		}
		previous = meta_record_tag(record);
	}
	free(file);
}

/* Pages in packs, wherever they stand: the tag tells nothing of where, so each page number is tried. */
static void seek_packs(struct test_vault *v, const struct meta_keys *keys, struct seeking *seeking) {
	for (uint64_t number = 1; number <= metadb_last_pack(v->store->db); number++) {
		char name[METADB_PACK_NAME_BYTES], path[160];
		uint8_t plain[META_PAGE_BYTES];
		size_t size = 0;
		metadb_pack_name(number, name);
		(void)snprintf(path, sizeof path, "%s/%s", v->vault, name);
		if (access(path, F_OK) != 0)
			continue;
		uint8_t *file = scratch_read(v->vault, name, &size);
		for (size_t end = size; end >= META_PAGE_BYTES + PACK_HEAD_BYTES; end -= META_PAGE_BYTES)
			for (uint32_t page = 1; page <= 200; page++)
				if (meta_page_open(keys, page, file + end - META_PAGE_BYTES, plain, NULL) == 0)
					seek_in(seeking, plain, sizeof plain);
		free(file);
	}
}

static struct seeking seek(
        struct test_vault *v, const struct meta_keys *all, const struct meta_keys *keys, const char *text) {
	struct seeking seeking = {.text = text};
	seek_database(v, keys, &seeking);
	seek_log(v, all, keys, &seeking);
	seek_packs(v, keys, &seeking);
	return seeking;
}

/* Whoever was removed has the old vault.json, a slot's secret, and so each key of that time. */
static void who_was_removed_opens_no_name_that_came_later(void **state) {
	struct test_vault *v = *state;
	Keyring *had = NULL;
	struct store_checkpoint checkpoint;
	(void)test_vault_create(v, NODE_LANDING, "EARLIER-name");
	assert_rc(store_checkpoint(v->store, &checkpoint));
	store_checkpoint_clear(&checkpoint);
	assert_rc(keyring_copy(store_keyring(v->store), &had));
	for (int turn = 0; turn < 2; turn++) {
		assert_rc(store_key_rotate(v->store, "meta", &someone, NULL));
		(void)test_vault_create(v, NODE_LANDING, turn ? "SECRET-second" : "SECRET-first");
		gc_commit(v);
		struct meta_keys *his = meta_keys_of(v, had), *all = meta_keys_of(v, store_keyring(v->store));
		assert_true(seek(v, all, all, "SECRET").found);
		struct seeking seeking = seek(v, all, his, "SECRET");
		assert_true(seeking.opened > 0 && !seeking.found);
		assert_true(seek(v, all, his, "EARLIER").found); /* what he had */
		meta_keys_free(his);
		meta_keys_free(all);
	}
	struct key_told told = key_fixture_told(v->store, "key-rotate");
	assert_int_equal(told.count, 2);
	assert_string_equal(told.detail, "alias/metadata version 3");
	keyring_free(had);
	test_vault_crash(v);
	assert_int_equal(key_fixture_of(v, "meta").version, 3);
	assert_int_equal(key_fixture_told(v->store, "key-found").count, 0);
}

static int count_finding(void *user, const char *file, int64_t place, const char *words) {
	print_error("%s at %ld: %s\n", file, (long)place, words);
	++*(size_t *)user;
	return 0;
}

static void wait_for_rewrap(struct test_vault *v) {
	for (int i = 0; i < 1000 && key_fixture_of(v, "meta").is_rewrapping; i++) {
		scratch_sleep_ms(20);
		gc_commit(v);
	}
	assert_false(key_fixture_of(v, "meta").is_rewrapping);
}

/* Whether the metadata of the vault, which is closed, are whole with the newest version alone. */
static void expect_newest_alone(struct test_vault *v) {
	Keyring *alone = NULL;
	VaultIo *io = NULL;
	MetaDb *db = NULL;
	struct store_info info;
	struct key_info key = {.name = "meta", .kind = KEY_SECRET, .state = KEY_ACTIVE};
	_cleanup_(secret_key_wipe) struct secret_key bytes;
	size_t findings = 0;
	store_info(v->store, &info);
	assert_rc(keyring_get(store_keyring(v->store), "meta", 0, bytes.bytes, &key.version));
	assert_true(key.version > 1);
	assert_rc(keyring_new(&alone));
	assert_rc(keyring_add(alone, &key, bytes.bytes));
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(vault_io_open(v->vault, &io));
	assert_rc(metadb_open(io, alone, info.vault_id, METADB_READ_ONLY, &db));
	assert_rc(metadb_verify(db, count_finding, &findings));
	assert_int_equal(findings, 0);
	metadb_abandon(db);
	vault_io_close(io);
	keyring_free(alone);
}

static void the_metadata_are_sealed_anew(void **state) {
	struct test_vault *v = *state;
	(void)test_vault_create(v, NODE_LANDING, "a");
	gc_commit(v);
	assert_rc(store_key_rotate(v->store, "meta", NULL, NULL));
	struct store_key key = key_fixture_of(v, "meta");
	assert_true(key.bytes > 0 && key.old_bytes > 0 && key.old_bytes <= key.bytes && !key.is_rewrapping);
	assert_rc(store_key_rewrap(v->store, "meta", &someone));
	assert_true(key_fixture_of(v, "meta").is_rewrapping);
	assert_int_equal(key_fixture_told(v->store, "key-rewrap").count, 1);
	test_vault_crash(v); /* it goes on by itself */
	wait_for_rewrap(v);
	assert_int_equal(key_fixture_of(v, "meta").old_bytes, 0);
	expect_newest_alone(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_false(key_fixture_of(v, "meta").is_rewrapping);
	assert_rc(store_key_rotate(v->store, "meta", NULL, NULL));
	assert_rc(store_key_rewrap(v->store, "meta", NULL));
	wait_for_rewrap(v);
	expect_newest_alone(v);
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

static int say_no_packs(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	(void)offset;
	(void)size;
	(void)ret_written;
	return *(bool *)arg && call == FAULTY_WRITE && strncmp(name, "meta/", strlen("meta/")) == 0 &&
	                       strstr(name, ".tmp")
	               ? -ENOSPC
	               : 0;
}

static void without_room_for_its_checkpoint_the_metadata_take_the_version_later(void **state) {
	struct test_vault *v = *state;
	bool is_full = false;
	VaultIo *io = NULL;
	uint32_t version = 0;
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(faulty_io_open(v->vault, say_no_packs, &is_full, &io));
	v->options.io = io;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	is_full = true;
	assert_int_equal(store_key_rotate(v->store, "meta", NULL, &version), -ENOSPC);
	assert_non_null(strstr(fault_message(), "still under the one before"));
	assert_int_equal(key_fixture_of(v, "meta").version, 2);
	assert_int_equal(key_fixture_told(v->store, "key-rotate").count, 1);
	assert_true(metadb_is_behind(v->store->db));
	(void)test_vault_create(v, NODE_LANDING, "a");
	gc_commit(v);
	assert_true(metadb_is_behind(v->store->db));
	is_full = false;
	(void)test_vault_create(v, NODE_LANDING, "b");
	gc_commit(v);
	assert_false(metadb_is_behind(v->store->db));
	assert_rc(store_close(v->store));
	v->store = NULL;
	v->options.io = NULL;
	vault_io_close(io);
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

struct short_disk {
	_Atomic size_t free; /* as it is told; 0: what there is */
	_Atomic size_t notices;
};

static int say_short(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	const struct short_disk *disk = arg;
	(void)name;
	(void)offset;
	(void)size;
	if (call == FAULTY_FREE && disk->free)
		*ret_written = disk->free;
	return 0;
}

static void count_notice(void *arg, const char *words) {
	struct short_disk *disk = arg;
	if (strstr(words, "room"))
		disk->notices++;
}

static VaultIo *reopen_short(struct test_vault *v, struct short_disk *disk) {
	VaultIo *io = NULL;
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(faulty_io_open(v->vault, say_short, disk, &io));
	v->options.io = io;
	v->options.commit_ms = 20;
	v->options.notice = count_notice;
	v->options.notice_arg = disk;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	return io;
}

static void close_short(struct test_vault *v, VaultIo *io) {
	expect_newest_alone(v);
	v->options.io = NULL;
	v->options.notice = NULL;
	vault_io_close(io);
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

static void without_room_nothing_is_begun(void **state) {
	struct test_vault *v = *state;
	struct short_disk disk = {0};
	VaultIo *io = reopen_short(v, &disk);
	assert_rc(store_key_rotate(v->store, "meta", NULL, NULL));
	assert_rc(store_key_rewrap_check(v->store, "meta"));
	disk.free = metadb_reseal_bytes(v->store->db, 1);
	assert_int_equal(store_key_rewrap_check(v->store, "meta"), -ENOSPC);
	assert_rc(store_key_rewrap_check(v->store, "landing"));
	assert_int_equal(store_key_rewrap(v->store, "meta", NULL), -ENOSPC);
	assert_non_null(strstr(fault_message(), " MiB of room"));
	assert_false(key_fixture_of(v, "meta").is_rewrapping);
	assert_int_equal(key_fixture_told(v->store, "key-rewrap").count, 0);
	disk.free = 0;
	assert_rc(store_key_rewrap(v->store, "meta", NULL));
	wait_for_rewrap(v);
	assert_int_equal(disk.notices, 0);
	close_short(v, io);
}

/* Others have taken the room after it was begun. */
static void without_room_it_rests_and_goes_on(void **state) {
	struct test_vault *v = *state;
	struct short_disk disk = {0};
	VaultIo *io = reopen_short(v, &disk);
	for (int i = 0; i < 300; i++) {
		char name[200];
		(void)snprintf(name, sizeof name, "%0150d", i);
		(void)test_vault_create(v, NODE_LANDING, name);
	}
	gc_commit(v);
	assert_rc(store_key_rotate(v->store, "meta", NULL, NULL));
	const uint64_t reserve = reserve_held(v->store->reserve), old = key_fixture_of(v, "meta").old_bytes;
	assert_true(old > 0);
	disk.free = (size_t)1 << 20;
	meta_begin(v->store->meta);
	assert_rc(meta_end(v->store->meta, store_reseal_begin(v->store, 2)));
	gc_commit(v);
	const uint64_t pack = metadb_last_pack(v->store->db);
	/* Also with checkpoints that come for other reasons. */
	for (int i = 0; i < 3; i++) {
		struct store_checkpoint checkpoint;
		(void)test_vault_create(v, NODE_LANDING, (const char *[]){"b", "c", "d"}[i]);
		assert_rc(store_checkpoint(v->store, &checkpoint));
		store_checkpoint_clear(&checkpoint);
	}
	assert_int_equal(metadb_last_pack(v->store->db), pack + 3);
	const uint64_t log = metadb_wal_bytes(v->store->db);
	scratch_sleep_ms(500);
	/* A head of the audit log may come, but no commit for each interval. */
	assert_true(metadb_wal_bytes(v->store->db) < log + ((uint64_t)48 << 10));
	assert_int_equal(metadb_last_pack(v->store->db), pack + 3);
	struct store_key key = key_fixture_of(v, "meta");
	assert_true(key.is_rewrapping && key.old_bytes > 0 && key.waits_for_bytes > disk.free);
	assert_int_equal(reserve_held(v->store->reserve), reserve);
	assert_int_equal(disk.notices, 1);
	/* Over a crash. */
	test_vault_crash(v);
	gc_commit(v);
	scratch_sleep_ms(100);
	key = key_fixture_of(v, "meta");
	assert_true(key.is_rewrapping && key.waits_for_bytes > disk.free);
	disk.free = 0;
	for (int i = 0; i < 1000 && key_fixture_of(v, "meta").is_rewrapping; i++)
		scratch_sleep_ms(10); /* nobody else commits */
	key = key_fixture_of(v, "meta");
	assert_true(!key.is_rewrapping && key.old_bytes == 0 && key.waits_for_bytes == 0);
	close_short(v, io);
}

struct writing {
	struct test_vault *v;
	_Atomic bool stop;
	_Atomic uint64_t made;
};

static void *create_often(void *arg) {
	struct writing *w = arg;
	while (!atomic_load(&w->stop)) {
		char name[32];
		(void)snprintf(name, sizeof name, "busy-%lu", (unsigned long)atomic_fetch_add(&w->made, 1));
		(void)test_vault_create(w->v, NODE_LANDING, name);
		if (atomic_load(&w->made) % 10 == 0 && store_commit_wait(w->v->store) < 0)
			break;
	}
	return NULL;
}

static void writers_go_on_while_it_rotates(void **state) {
	struct test_vault *v = *state;
	struct writing w = {.v = v};
	pthread_t thread;
	uint32_t version = 0;
	v->options.commit_ms = 5;
	test_vault_reopen(v);
	assert_int_equal(pthread_create(&thread, NULL, create_often, &w), 0);
	for (uint32_t turn = 2; turn <= 6; turn++) {
		scratch_sleep_ms(30);
		assert_rc(store_key_rotate(v->store, "meta", NULL, &version));
		assert_int_equal(version, turn);
		if (turn % 2 == 0)
			assert_rc(store_key_rewrap(v->store, "meta", NULL));
	}
	wait_for_rewrap(v);
	assert_true(w.made > 50);
	w.stop = true;
	pthread_join(thread, NULL);
	test_vault_crash(v);
	assert_int_equal(key_fixture_of(v, "meta").version, 6);
	expect_newest_alone(v);
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(who_was_removed_opens_no_name_that_came_later),
	        TEST(the_metadata_are_sealed_anew),
	        TEST(without_room_for_its_checkpoint_the_metadata_take_the_version_later),
	        TEST(without_room_nothing_is_begun),
	        TEST(without_room_it_rests_and_goes_on),
	        TEST(writers_go_on_while_it_rotates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
