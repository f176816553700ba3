/* Versions of the metadata's key: what is sealed under which, sealing anew, and what an old key opens of all that. */
#include "backend/anchor.h"
#include "backend/metaseal.h"
#include "backend/pack.h"
#include "backend/wallayout.h"
#include "crypto/aead.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/meta_key.h"
#include "tests/backend/metadb_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define MOST_PACKS 64

static MetaDb *open_with(VaultIo *io, const Keyring *keyring) {
	MetaDb *db = NULL;
	assert_rc(metadb_open(io, keyring, metadb_test_id, 0, &db));
	return db;
}

static struct meta_keys *keys_of(uint32_t from, uint32_t to) {
	struct meta_keys *keys = NULL;
	Keyring *keyring = meta_key_versions(from, to);
	assert_rc(meta_keys_new(keyring, metadb_test_id, &keys));
	keyring_free(keyring);
	return keys;
}

static void take(MetaDb *db, uint32_t from, uint32_t to) {
	Keyring *keyring = meta_key_versions(from, to);
	assert_rc(metadb_take_keys(db, keyring));
	keyring_free(keyring);
}

/* ---- looking at what is on the disk ---- */

/* Pages of the file that open with these keys, and whether one of them has the words. */
static size_t pages_open(VaultIo *io, const struct meta_keys *keys, const char *words, bool *ret_found) {
	size_t size = 0, opened = 0;
	uint8_t plain[META_PAGE_BYTES];
	uint8_t *file = NULL;
	*ret_found = false;
	assert_rc(vault_io_read_all(io, METADB_NAME, (size_t)1 << 30, &file, &size));
	for (uint32_t page = 1; (size_t)page * META_PAGE_BYTES <= size; page++) {
		const uint8_t *sealed = file + (size_t)(page - 1) * META_PAGE_BYTES;
		if (meta_page_open(keys, page, sealed, plain, NULL) < 0)
			continue;
		opened++;
		*ret_found |= memmem(plain, sizeof plain, words, strlen(words)) != NULL;
	}
	free(file);
	return opened;
}

static bool log_opens(VaultIo *io, const struct meta_keys *keys) {
	uint8_t plain[WAL_SECTOR_BYTES], *file = NULL;
	size_t size = 0;
	assert_rc(vault_io_read_all(io, WAL_NAME, (size_t)1 << 30, &file, &size));
	assert_true(size > WAL_HEADER_BYTES);
	bool opens = meta_record_open(keys, META_WAL, 0, "wal header", bytes_of(NULL, 0),
	                     bytes_of(file, WAL_SECTOR_BYTES), plain, NULL) == 0;
	free(file);
	return opens;
}

/* Of the packs from `from` on: how many heads open. */
static size_t packs_open_from(VaultIo *io, const struct meta_keys *keys, uint64_t from, uint64_t to) {
	size_t opened = 0;
	for (uint64_t number = from; number <= to; number++) {
		char name[METADB_PACK_NAME_BYTES];
		uint8_t *file = NULL;
		size_t size = 0;
		struct pack_head head;
		metadb_pack_name(number, name);
		if (vault_io_read_all(io, name, (size_t)1 << 30, &file, &size) < 0)
			continue;
		opened += pack_head_open(keys, number, file, &head) == 0;
		free(file);
	}
	return opened;
}

static void reseal_all(MetaDb *db, uint32_t version) {
	uint32_t next = 0;
	metadb_reseal(db, version, 1);
	for (int i = 0; i < 50 && metadb_resealing(db, &next) == METADB_RESEAL_GOES_ON; i++) {
		metadb_test_sql(db, "PRAGMA user_version=7; PRAGMA user_version=8");
		assert_rc(metadb_checkpoint(db));
	}
	assert_int_equal(metadb_resealing(db, &next), METADB_RESEAL_DONE);
	metadb_reseal(db, 0, 1);
}

static void expect_sound(MetaDb *db) {
	size_t findings = 0;
	assert_rc(metadb_verify(db, metadb_test_count, &findings));
	assert_int_equal(findings, 0);
}

/* ---- seals ---- */

static void a_page_opens_whatever_its_hint_says(void **state) {
	(void)state;
	uint8_t plain[META_PAGE_BYTES] = "a page", sealed[META_PAGE_BYTES], got[META_PAGE_BYTES];
	struct meta_keys *all = keys_of(1, 5), *third = keys_of(3, 3), *others = keys_of(4, 5);
	uint32_t version = 0;
	meta_page_seal(third, 9, plain, sealed);
	assert_int_equal(meta_page_hint(sealed), 3);
	assert_int_equal(meta_page_open(all, 9, sealed, got, &version), 0);
	assert_int_equal(version, 3);
	assert_memory_equal(got, plain, META_USABLE_BYTES);
	assert_int_equal(meta_page_open(others, 9, sealed, got, NULL), -EBADMSG);
	assert_int_equal(meta_page_open(all, 8, sealed, got, NULL), -EBADMSG);
	/* As earlier programs did it: the last byte is as random as the others. */
	for (unsigned hint = 0; hint < 256; hint++) {
		uint8_t ad[16 + 1 + 4 + 4] = {0}, tag[META_TAG_BYTES];
		uint8_t *nonce = sealed + META_PAGE_NONCE_AT;
		memcpy(ad, metadb_test_id, 16);
		ad[16] = 4;
		memcpy(ad + 17, "page", 4);
		le32_put(ad + 21, 9);
		aead_nonce_random(nonce);
		nonce[META_NONCE_BYTES - 1] = (uint8_t)hint;
		assert_rc(aead_page_seal(all->versions[4].page, nonce, bytes_of(ad, sizeof ad),
		        bytes_of(plain, META_USABLE_BYTES), sealed, tag));
		memcpy(sealed + META_PAGE_TAG_AT, tag, sizeof tag);
		assert_int_equal(meta_page_open(all, 9, sealed, got, &version), 0);
		assert_int_equal(version, 1);
	}
	meta_keys_free(all);
	meta_keys_free(third);
	meta_keys_free(others);
}

static void a_record_is_of_the_version_that_is_asked_for(void **state) {
	(void)state;
	uint8_t record[META_RECORD_OVERHEAD + 4], got[4];
	struct meta_keys *all = keys_of(1, 3);
	uint32_t version = 0;
	meta_record_seal(all, META_WAL, 2, "x", bytes_of(NULL, 0), bytes_of("abcd", 4), record);
	const struct bytes bytes = bytes_of(record, sizeof record), none = bytes_of(NULL, 0);
	assert_int_equal(meta_record_open(all, META_WAL, 0, "x", none, bytes, got, &version), 0);
	assert_int_equal(version, 2);
	assert_int_equal(meta_record_open(all, META_WAL, 2, "x", none, bytes, got, NULL), 0);
	assert_int_equal(meta_record_open(all, META_WAL, 3, "x", none, bytes, got, NULL), -EBADMSG);
	assert_int_equal(meta_record_open(all, META_WAL, 9, "x", none, bytes, got, NULL), -EBADMSG);
	assert_int_equal(meta_record_open(all, META_PACK, 2, "x", none, bytes, got, NULL), -EBADMSG);
	record[META_NONCE_BYTES - 1] ^= 1; /* the hint is authenticated, as the nonce is */
	assert_int_equal(meta_record_open(all, META_WAL, 0, "x", none, bytes, got, NULL), -EBADMSG);
	meta_keys_free(all);
}

static void a_keyring_may_lack_versions(void **state) {
	(void)state;
	Keyring *keyring = meta_key_versions(3, 4), *empty = NULL;
	struct key_info first = {.name = "meta", .version = 1, .kind = KEY_SECRET, .state = KEY_RETIRED};
	const uint8_t key[KEYRING_KEY_BYTES] = {1};
	struct meta_keys *keys = NULL;
	assert_rc(keyring_add(keyring, &first, key));
	assert_rc(meta_keys_new(keyring, metadb_test_id, &keys));
	assert_int_equal(keys->count, 3);
	assert_int_equal(keys->versions[0].version, 4);
	assert_int_equal(keys->versions[1].version, 3);
	assert_int_equal(keys->versions[2].version, 1);
	meta_keys_free(keys);
	assert_rc(keyring_new(&empty));
	assert_int_equal(meta_keys_new(empty, metadb_test_id, &keys), -ENOKEY);
	keyring_free(empty);
	keyring_free(keyring);
}

/* ---- rotation ---- */

/* On a database with rows in all its files (metadb_fixture.h). */
static void what_comes_after_is_closed_to_the_old_version(void **state) {
	struct scratch *scratch = *state;
	struct meta_keys *old = keys_of(1, 1), *new = keys_of(2, 2);
	bool found = false;
	MetaDb *db = metadb_test_open(scratch->io);
	const uint64_t before = metadb_last_pack(db);
	assert_false(metadb_is_behind(db));
	take(db, 1, 2);
	assert_true(metadb_is_behind(db)); /* the log that it has goes on */
	metadb_test_sql(db, "INSERT INTO t VALUES(900, 'CANARY-log')");
	assert_rc(metadb_sync(db));
	assert_true(log_opens(scratch->io, old));
	assert_rc(metadb_checkpoint(db));
	assert_false(metadb_is_behind(db));
	metadb_test_sql(db, "INSERT INTO t VALUES(901, 'CANARY-after')");
	assert_rc(metadb_sync(db));
	assert_true(log_opens(scratch->io, new));
	assert_false(log_opens(scratch->io, old));
	assert_rc(metadb_checkpoint(db));
	metadb_test_sql(db, "INSERT INTO t VALUES(902, 'CANARY-after')");
	assert_rc(metadb_sync(db));
	const uint64_t last = metadb_last_pack(db);
	metadb_abandon(db);
	assert_int_equal(last, before + 2);
	assert_int_equal(packs_open_from(scratch->io, old, before + 1, last), 0);
	assert_int_equal(packs_open_from(scratch->io, new, before + 1, last), 2);
	assert_int_equal(packs_open_from(scratch->io, old, 1, before), before);
	(void)pages_open(scratch->io, old, "CANARY-after", &found);
	assert_false(found);
	assert_true(pages_open(scratch->io, new, "CANARY-after", &found) > 0 && found);
	/* Who has the old one alone is told so, for reading, too; and repairing leaves all as it is. */
	for (unsigned flags = 0; flags <= METADB_READ_ONLY; flags++) {
		assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, flags, &db), -ENOKEY);
		assert_non_null(strstr(fault_message(), "version 2 of the key alias/metadata"));
	}
	assert_int_equal(metadb_rebuild(scratch->io, meta_key_one(), metadb_test_id), -ENOKEY);
	Keyring *both = meta_key_versions(1, 2);
	db = open_with(scratch->io, both);
	expect_sound(db);
	metadb_test_sql(db, "DELETE FROM t WHERE n >= 900");
	assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS);
	assert_rc(metadb_close(db));
	keyring_free(both);
	meta_keys_free(old);
	meta_keys_free(new);
}

static void a_log_that_was_left_behind_is_taken_on_after_a_crash(void **state) {
	struct scratch *scratch = *state;
	Keyring *both = meta_key_versions(1, 2);
	MetaDb *db = open_with(scratch->io, both); /* the fixture left a log under version 1 */
	assert_true(metadb_is_behind(db));
	assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS);
	expect_sound(db);
	assert_rc(metadb_checkpoint(db));
	assert_false(metadb_is_behind(db));
	assert_rc(metadb_close(db));
	keyring_free(both);
}

/* Watermarks for the log that is there, under a version: 0 when it opens then. */
static int with_watermarks(struct scratch *scratch, const Keyring *keyring, uint32_t version) {
	struct meta_keys *keys = NULL;
	struct wal_header header;
	struct wal_watermark nothing = {0};
	size_t size = 0;
	MetaDb *db = NULL;
	assert_rc(meta_keys_new(keyring, metadb_test_id, &keys));
	uint8_t *file = scratch_read(scratch->vault, WAL_NAME, &size);
	assert_rc(wal_header_open(keys, file, &header));
	assert_int_equal(header.version, 2);
	header.version = version;
	memcpy(nothing.tag, header.tag, sizeof nothing.tag);
	for (unsigned slot = 0; slot < 2; slot++)
		wal_slot_seal(keys, &header, slot, &nothing, file + (size_t)(slot + 1) * WAL_SECTOR_BYTES);
	scratch_write(scratch->vault, WAL_NAME, file, size);
	free(file);
	meta_keys_free(keys);
	int rc = metadb_open(scratch->io, keyring, metadb_test_id, METADB_READ_ONLY, &db);
	metadb_abandon(db);
	return rc;
}

static void nobody_writes_into_a_log_with_the_old_version(void **state) {
	struct scratch *scratch = *state;
	Keyring *both = meta_key_versions(1, 2);
	MetaDb *db = open_with(scratch->io, both);
	assert_rc(metadb_checkpoint(db));
	metadb_test_sql(db, "INSERT INTO t VALUES(900, 'CANARY-after')");
	assert_rc(metadb_sync(db));
	metadb_abandon(db);
	assert_int_equal(with_watermarks(scratch, both, 1), -EBADMSG);
	assert_non_null(strstr(fault_message(), "watermark"));
	assert_int_equal(with_watermarks(scratch, both, 2), 0);
	keyring_free(both);
}

/* ---- sealing anew ---- */

static void no_file_needs_the_old_version_any_more(void **state) {
	struct scratch *scratch = *state;
	struct meta_keys *old = keys_of(1, 1);
	uint64_t bytes = 0, left = 0;
	bool found = false;
	MetaDb *db = metadb_test_open(scratch->io);
	/* 8 MiB: three pieces. */
	metadb_test_sql(db, "CREATE TABLE big(n INTEGER PRIMARY KEY, b); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL "
	                    "SELECT n + 1 FROM c WHERE n < 128) INSERT INTO big SELECT n, randomblob(65536) FROM c");
	assert_rc(metadb_checkpoint(db));
	take(db, 1, 2);
	assert_rc(metadb_sealed_bytes(db, &bytes, &left));
	assert_true(bytes > 8 << 20 && left == bytes);
	uint32_t next = 0;
	assert_int_equal(metadb_resealing(db, &next), METADB_RESEAL_NONE);
	metadb_reseal(db, 2, 1);
	metadb_test_sql(db, "PRAGMA user_version=7");
	assert_rc(metadb_checkpoint(db));
	assert_int_equal(metadb_resealing(db, &next), METADB_RESEAL_GOES_ON);
	assert_int_equal(next, 1 + METADB_RESEAL_PAGES);
	assert_rc(metadb_sealed_bytes(db, &bytes, &left));
	assert_true(left < bytes && left > bytes / 2);
	expect_sound(db);
	/* Killed, and the rest by another mount. */
	metadb_abandon(db);
	Keyring *both = meta_key_versions(1, 2), *second = meta_key_versions(2, 2);
	db = open_with(scratch->io, both);
	metadb_reseal(db, 2, next);
	for (int i = 0; i < 9 && metadb_resealing(db, &next) == METADB_RESEAL_GOES_ON; i++) {
		metadb_test_sql(db, "PRAGMA user_version=7; PRAGMA user_version=8");
		assert_rc(metadb_checkpoint(db));
	}
	assert_int_equal(metadb_resealing(db, &next), METADB_RESEAL_DONE);
	assert_rc(metadb_sealed_bytes(db, &bytes, &left));
	assert_int_equal(left, 0);
	const uint64_t last = metadb_last_pack(db);
	assert_int_equal(metadb_base_pack(db), last);
	expect_sound(db);
	metadb_abandon(db);
	assert_int_equal(pages_open(scratch->io, old, "CANARY", &found), 0);
	assert_int_equal(packs_open_from(scratch->io, old, 1, last), 0);
	db = open_with(scratch->io, second);
	expect_sound(db);
	assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS);
	assert_rc(metadb_close(db));
	/* And from the packs alone. */
	assert_rc(vault_io_unlink(scratch->io, METADB_NAME));
	assert_rc(metadb_rebuild(scratch->io, second, metadb_test_id));
	db = open_with(scratch->io, second);
	assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS);
	assert_rc(metadb_close(db));
	keyring_free(both);
	keyring_free(second);
	meta_keys_free(old);
}

static void a_damaged_page_is_sealed_anew_from_the_packs(void **state) {
	struct scratch *scratch = *state;
	size_t size = 0;
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	uint8_t *file = scratch_read(scratch->vault, METADB_NAME, &size);
	assert_true(size > 3 * META_PAGE_BYTES);
	file[2 * META_PAGE_BYTES + 100] ^= 1;
	scratch_write(scratch->vault, METADB_NAME, file, size);
	free(file);
	Keyring *both = meta_key_versions(1, 2), *second = meta_key_versions(2, 2);
	db = open_with(scratch->io, both);
	reseal_all(db, 2);
	assert_rc(metadb_close(db));
	db = open_with(scratch->io, second);
	expect_sound(db);
	assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS);
	assert_rc(metadb_close(db));
	keyring_free(both);
	keyring_free(second);
}

static void a_page_that_nothing_has_is_told_and_keeps_its_packs(void **state) {
	struct scratch *scratch = *state;
	uint32_t next = 0;
	size_t size = 0;
	Keyring *both = meta_key_versions(1, 2);
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	db = open_with(scratch->io, both);
	const uint64_t last = metadb_last_pack(db);
	uint8_t *file = scratch_read(scratch->vault, METADB_NAME, &size);
	uint8_t tag[META_TAG_BYTES], *page = file + 2 * META_PAGE_BYTES;
	memcpy(tag, page + META_PAGE_TAG_AT, sizeof tag);
	free(file);
	VaultFile *database = NULL;
	assert_rc(vault_file_open(scratch->io, METADB_NAME, VAULT_FILE_WRITE, &database));
	assert_rc(vault_file_write_at(database, 2 * META_PAGE_BYTES + 100, bytes_of("\xff\xff\xff\xff\xff\xff", 6)));
	vault_file_close(database);
	for (uint64_t pack = 1; pack <= last; pack++) {
		char name[METADB_PACK_NAME_BYTES];
		metadb_pack_name(pack, name);
		file = scratch_read(scratch->vault, name, &size);
		for (size_t at = 0; at + META_PAGE_BYTES <= size; at++)
			if (memcmp(file + at + META_PAGE_TAG_AT, tag, sizeof tag) == 0)
				file[at + 50] ^= 1;
		scratch_write(scratch->vault, name, file, size);
		free(file);
	}
	metadb_reseal(db, 2, 1);
	metadb_test_sql(db, "PRAGMA user_version=7");
	assert_rc(metadb_checkpoint(db));
	assert_int_equal(metadb_resealing(db, &next), METADB_RESEAL_STUCK);
	char first[METADB_PACK_NAME_BYTES];
	uint64_t there = 0;
	metadb_pack_name(1, first);
	assert_rc(vault_io_stat_size(scratch->io, first, &there));
	metadb_abandon(db);
	keyring_free(both);
}

struct full {
	bool is_full;
	uint64_t from; /* writes to the database behind this meet it */
};

static int say_full(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	const struct full *full = arg;
	(void)size;
	(void)ret_written;
	return full->is_full && call == FAULTY_WRITE &&
	                       ((strcmp(name, METADB_NAME) == 0 && offset >= full->from) ||
	                               strstr(name, ".tmp") != NULL)
	               ? -ENOSPC
	               : 0;
}

static void a_full_disk_delays_it(void **state) {
	struct scratch *scratch = *state;
	struct full full = {0};
	VaultIo *io = NULL;
	uint32_t next = 0;
	uint64_t bytes = 0, left = 0;
	Keyring *both = meta_key_versions(1, 2), *second = meta_key_versions(2, 2);
	assert_rc(faulty_io_open(scratch->vault, say_full, &full, &io));
	MetaDb *db = open_with(io, both);
	assert_rc(metadb_checkpoint(db));
	metadb_reseal(db, 2, 1);
	full = (struct full){.is_full = true, .from = 3 * META_PAGE_BYTES};
	for (int i = 0; i < 3; i++) {
		metadb_test_sql(db, "PRAGMA user_version=7; PRAGMA user_version=8");
		assert_int_equal(metadb_checkpoint(db), -ENOSPC);
		assert_int_equal(metadb_resealing(db, &next), METADB_RESEAL_GOES_ON);
		assert_int_equal(next, 1);
		assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS);
	}
	/* What it has done so far outlives a kill. */
	metadb_abandon(db);
	full.is_full = false;
	db = open_with(io, both);
	expect_sound(db);
	assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS);
	reseal_all(db, 2);
	assert_rc(metadb_sealed_bytes(db, &bytes, &left));
	assert_int_equal(left, 0);
	assert_rc(metadb_close(db));
	vault_io_close(io);
	db = open_with(scratch->io, second);
	expect_sound(db);
	assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS);
	assert_rc(metadb_close(db));
	keyring_free(both);
	keyring_free(second);
}

struct short_disk {
	size_t free;      /* as it is told; 0: what there is */
	uint64_t written; /* to packs */
	bool is_measured;
};

static int say_short(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	struct short_disk *disk = arg;
	(void)offset;
	if (call == FAULTY_FREE && disk->free)
		*ret_written = disk->free;
	if (call == FAULTY_WRITE && strncmp(name, PACK_DIRECTORY "/", strlen(PACK_DIRECTORY "/")) == 0 &&
	        strstr(name, ".tmp"))
		disk->written += size;
	return 0;
}

static void step(MetaDb *db) {
	metadb_test_sql(db, "PRAGMA user_version=7; PRAGMA user_version=8");
	assert_rc(metadb_checkpoint(db));
}

/* What it says that it takes is what it takes, from each page on; with less nothing is done, and no base is begun. */
static void a_piece_is_done_only_with_room_for_all_that_follows(void **state) {
	struct scratch *scratch = *state;
	struct short_disk disk = {0};
	VaultIo *io = NULL;
	Reserve *reserve = NULL;
	uint32_t next = 0;
	Keyring *second = meta_key_versions(2, 2);
	assert_rc(faulty_io_open(scratch->vault, say_short, &disk, &io));
	MetaDb *db = metadb_test_open(io);
	assert_rc(reserve_open(io, 1 << 20, &reserve));
	metadb_set_reserve(db, reserve);
	metadb_test_sql(db, "CREATE TABLE big(n INTEGER PRIMARY KEY, b); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL "
	                    "SELECT n + 1 FROM c WHERE n < 128) INSERT INTO big SELECT n, randomblob(65536) FROM c");
	assert_rc(metadb_checkpoint(db));
	step(db); /* the base that is due is not of this */
	const uint64_t all = metadb_reseal_bytes(db, 1);
	uint64_t bytes = 0, left = 0;
	assert_rc(metadb_sealed_bytes(db, &bytes, &left));
	assert_true(all > 2 * bytes && all < 2 * bytes + bytes / 4);
	take(db, 1, 2);
	metadb_reseal(db, 2, 1);
	disk.written = 0;
	for (uint32_t before = 1; metadb_resealing(db, &next) == METADB_RESEAL_GOES_ON; before = next) {
		assert_int_equal(next, before);
		const uint64_t rest = metadb_reseal_bytes(db, next), base = metadb_base_pack(db);
		const uint64_t written = disk.written;
		assert_true(written + rest <= all);
		disk.free = rest - 1;
		/* The last is the base alone, which takes no more than its file. */
		if (next > bytes / META_PAGE_BYTES)
			disk.free = bytes;
		step(db);
		assert_int_equal(metadb_resealing(db, &next), METADB_RESEAL_GOES_ON);
		assert_int_equal(next, before);
		assert_int_equal(metadb_base_pack(db), base);
		assert_true(disk.written - written < (uint64_t)64 << 10);
		disk.written = written;
		disk.free = rest;
		step(db);
		(void)metadb_resealing(db, &next);
	}
	assert_int_equal(metadb_resealing(db, &next), METADB_RESEAL_DONE);
	assert_true(disk.written > bytes / 10 * 19 && disk.written <= all);
	assert_rc(metadb_close(db));
	assert_rc(reserve_close(reserve));
	vault_io_close(io);
	db = open_with(scratch->io, second);
	expect_sound(db);
	assert_rc(metadb_close(db));
	keyring_free(second);
}

int main(void) {
#define ON_VAULT(test) cmocka_unit_test_setup_teardown(test, metadb_test_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_page_opens_whatever_its_hint_says),
	        cmocka_unit_test(a_record_is_of_the_version_that_is_asked_for),
	        cmocka_unit_test(a_keyring_may_lack_versions),
	        ON_VAULT(what_comes_after_is_closed_to_the_old_version),
	        ON_VAULT(a_log_that_was_left_behind_is_taken_on_after_a_crash),
	        ON_VAULT(nobody_writes_into_a_log_with_the_old_version),
	        ON_VAULT(no_file_needs_the_old_version_any_more),
	        ON_VAULT(a_damaged_page_is_sealed_anew_from_the_packs),
	        ON_VAULT(a_page_that_nothing_has_is_told_and_keeps_its_packs),
	        ON_VAULT(a_full_disk_delays_it),
	        ON_VAULT(a_piece_is_done_only_with_room_for_all_that_follows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
