/*
 * Changes of the metadata's files behind our back: each must be found at opening, at reading or by metadb_verify, and
 * none may ever give other rows than those that were stored.
 */
#include "backend/pack.h"
#include "backend/walchain.h"
#include "tests/backend/meta_key.h"
#include "tests/backend/metadb_fixture.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t random_state;

static uint64_t next_random(void) {
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return random_state >> 33;
}

static void seed_random(void) {
	const char *asked = getenv("ASSAYFS_SEED");
	random_state = asked ? strtoull(asked, NULL, 10) : 4711;
	print_message("seed %llu\n", (unsigned long long)random_state);
}

static const char *const files[] = {
        "meta.db", "meta.db-wal", "meta/1", "meta/2", "meta/3", "meta/anchor-1", "meta/anchor-2"};
#define FILES (sizeof files / sizeof files[0])

static void the_untouched_vault_is_clean(void **state) {
	struct scratch *scratch = *state;
	assert_int_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), UNNOTICED);
	uint64_t size = 0;
	for (size_t i = 0; i < FILES; i++)
		assert_rc(vault_io_stat_size(scratch->io, files[i], &size));
}

static void put_byte(VaultFile *file, uint64_t offset, uint8_t value) {
	assert_rc(vault_file_write_at(file, offset, bytes_of(&value, 1)));
}

static void flip_and_judge(VaultIo *io, const char *name, VaultFile *file, uint64_t offset, uint8_t bits) {
	uint8_t value = 0;
	assert_rc(vault_file_read_exactly(file, offset, &value, 1));
	put_byte(file, offset, value ^ bits);
	if (metadb_test_judge(io, METADB_TEST_ROWS) == UNNOTICED)
		fail_msg("%s: byte %llu changed by %02x was not noticed", name, (unsigned long long)offset, bits);
	put_byte(file, offset, value);
}

/* The bytes where things begin and end, and a sample of all others. */
static void flips_in_each_file_are_noticed(void **state) {
	struct scratch *scratch = *state;
	seed_random();
	const char *asked = getenv("ASSAYFS_FLIPS");
	size_t flips = asked ? strtoul(asked, NULL, 10) : 150;
	for (size_t i = 0; i < FILES; i++) {
		VaultFile *file = NULL;
		uint64_t size = 0;
		assert_rc(vault_file_open(scratch->io, files[i], VAULT_FILE_WRITE, &file));
		assert_rc(vault_file_size(file, &size));
		for (size_t n = 0; n < flips; n++)
			flip_and_judge(scratch->io, files[i], file, next_random() % size,
			        (uint8_t)(1U << (next_random() % 8)));
		for (uint64_t block = 0; block < size; block += 4096) {
			flip_and_judge(scratch->io, files[i], file, block, 0x80);
			flip_and_judge(scratch->io, files[i], file, block + 4095 < size ? block + 4095 : size - 1, 1);
		}
		vault_file_close(file);
	}
	assert_int_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), UNNOTICED);
}

static void every_byte_of_the_log_header_is_accounted_for(void **state) {
	struct scratch *scratch = *state;
	VaultFile *file = NULL;
	assert_rc(vault_file_open(scratch->io, WAL_NAME, VAULT_FILE_WRITE, &file));
	for (uint64_t offset = 0; offset < WAL_HEADER_BYTES; offset += 3)
		flip_and_judge(scratch->io, WAL_NAME, file, offset, 4);
	vault_file_close(file);
}

/* What stock SQLite does with the same flip: it drops everything behind it and says nothing. */
static void stock_sqlite_drops_commits_behind_a_flip_and_ours_does_not(void **state) {
	struct scratch *scratch = *state;
	char path[128];
	char wal[128];
	(void)snprintf(path, sizeof path, "%s/stock.db", scratch->path);
	(void)snprintf(wal, sizeof wal, "%s/stock.db-wal", scratch->path);
	sqlite3 *stock = NULL;
	assert_int_equal(sqlite3_open(path, &stock), SQLITE_OK);
	assert_int_equal(
	        sqlite3_exec(stock, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(a)", 0, 0, 0),
	        SQLITE_OK);
	for (int i = 0; i < 20; i++)
		assert_int_equal(sqlite3_exec(stock, "INSERT INTO t VALUES(1)", 0, 0, 0), SQLITE_OK);
	size_t size = 0;
	size_t db_size = 0;
	uint8_t *log = scratch_read(scratch->path, "stock.db-wal", &size);
	uint8_t *main_file = scratch_read(scratch->path, "stock.db", &db_size);
	(void)sqlite3_close(stock);
	log[size / 2] ^= 1;
	scratch_write(scratch->path, "stock.db-wal", log, size);
	scratch_write(scratch->path, "stock.db", main_file, db_size);
	free(log);
	free(main_file);
	sqlite3_stmt *statement = NULL;
	assert_int_equal(sqlite3_open(path, &stock), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(stock, "SELECT count(*) FROM t", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_true(sqlite3_column_int(statement, 0) < 20);
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(stock);

	VaultFile *file = NULL;
	uint64_t ours = 0;
	assert_rc(vault_file_open(scratch->io, WAL_NAME, VAULT_FILE_WRITE, &file));
	assert_rc(vault_file_size(file, &ours));
	uint8_t value = 0;
	assert_rc(vault_file_read_exactly(file, ours / 2, &value, 1));
	put_byte(file, ours / 2, value ^ 1);
	vault_file_close(file);
	MetaDb *db = NULL;
	assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, 0, &db), -EBADMSG);
	assert_non_null(strstr(fault_message(), "meta.db-wal: frame"));
	assert_non_null(strstr(fault_message(), "were durable"));
}

static void truncation_of_each_file_is_noticed(void **state) {
	struct scratch *scratch = *state;
	seed_random();
	for (size_t i = 0; i < FILES; i++) {
		size_t size = 0;
		uint8_t *data = scratch_read(scratch->vault, files[i], &size);
		for (int n = 0; n < 30; n++) {
			size_t left = n == 0 ? size - 1 : n == 1 ? 1 : next_random() % size;
			scratch_write(scratch->vault, files[i], data, left);
			if (metadb_test_judge(scratch->io, METADB_TEST_ROWS) == UNNOTICED)
				fail_msg("%s cut to %zu of %zu was not noticed", files[i], left, size);
		}
		scratch_write(scratch->vault, files[i], data, size);
		free(data);
	}
}

static void bytes_added_to_a_file_are_noticed(void **state) {
	struct scratch *scratch = *state;
	for (size_t i = 0; i < FILES; i++) {
		if (strcmp(files[i], WAL_NAME) == 0)
			continue; /* there they are a crash's tail */
		size_t size = 0;
		uint8_t *data = scratch_read(scratch->vault, files[i], &size);
		uint8_t *longer = calloc(1, size + 4096);
		assert_non_null(longer);
		memcpy(longer, data, size);
		scratch_write(scratch->vault, files[i], longer, size + 4096);
		if (metadb_test_judge(scratch->io, METADB_TEST_ROWS) == UNNOTICED)
			fail_msg("%s made longer was not noticed", files[i]);
		scratch_write(scratch->vault, files[i], data, size);
		free(longer);
		free(data);
	}
}

static void swapped_pages_are_noticed(void **state) {
	struct scratch *scratch = *state;
	size_t size = 0;
	uint8_t *data = scratch_read(scratch->vault, "meta.db", &size);
	assert_true(size >= 4 * 4096);
	uint8_t page[4096];
	memcpy(page, data + 4096, 4096);
	memcpy(data + 4096, data + 2 * 4096, 4096);
	memcpy(data + 2 * 4096, page, 4096);
	scratch_write(scratch->vault, "meta.db", data, size);
	free(data);
	assert_int_not_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), UNNOTICED);
}

/* A pair of states of one vault, both cleanly closed: `older` is a copy of what stood before. */
static void make_older_copy(struct scratch *scratch, char older[static 128]) {
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	(void)snprintf(older, 128, "%s/older", scratch->path);
	scratch_copy(scratch->vault, older);
	db = metadb_test_open(scratch->io);
	metadb_test_sql(db, "UPDATE t SET body='CANARY-' || (n * 7919) || '-' || hex(zeroblob(149)) || '11'");
	assert_rc(metadb_close(db));
}

static void keep_words(void *arg, const char *words) {
	(void)snprintf(arg, 512, "%s", words);
}

static void an_older_page_put_back_is_noticed_and_called_so(void **state) {
	struct scratch *scratch = *state;
	char older[128];
	make_older_copy(scratch, older);
	size_t old_size = 0;
	size_t size = 0;
	uint8_t *old = scratch_read(older, "meta.db", &old_size);
	uint8_t *data = scratch_read(scratch->vault, "meta.db", &size);
	assert_int_equal(size, old_size);
	memcpy(data + 2 * 4096, old + 2 * 4096, 4096);
	scratch_write(scratch->vault, "meta.db", data, size);
	free(old);
	free(data);
	MetaDb *db = metadb_test_open(scratch->io);
	char said[512] = "";
	metadb_set_notice(db, keep_words, said);
	assert_int_equal(metadb_test_rows(db), METADB_TEST_ROWS); /* as they are now: the pack has the page */
	assert_non_null(strstr(said, "an older page was put back"));
	metadb_abandon(db);
	assert_int_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), FOUND_BY_FSCK);
}

static void an_older_database_file_put_back_is_noticed(void **state) {
	struct scratch *scratch = *state;
	char older[128];
	make_older_copy(scratch, older);
	size_t size = 0;
	uint8_t *data = scratch_read(older, "meta.db", &size);
	scratch_write(scratch->vault, "meta.db", data, size);
	free(data);
	assert_int_not_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), UNNOTICED);
}

static void an_older_log_put_back_is_noticed(void **state) {
	struct scratch *scratch = *state;
	size_t size = 0;
	uint8_t *log = scratch_read(scratch->vault, WAL_NAME, &size);
	MetaDb *db = metadb_test_open(scratch->io);
	metadb_test_insert(db, METADB_TEST_ROWS + 1, METADB_TEST_ROWS + 5);
	assert_rc(metadb_close(db));
	/* This is the very generation that the last pack covers, but shorter than what it covers. */
	scratch_write(scratch->vault, WAL_NAME, log, size);
	assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, 0, &db), -EBADMSG);
	assert_non_null(strstr(fault_message(), "older copy of the log"));
	scratch_write(scratch->vault, WAL_NAME, "", 0);
	db = metadb_test_open(scratch->io);
	metadb_test_insert(db, METADB_TEST_ROWS + 6, METADB_TEST_ROWS + 7);
	assert_rc(metadb_close(db));
	/* And here it is one of a generation long past. */
	scratch_write(scratch->vault, WAL_NAME, log, size);
	free(log);
	assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, 0, &db), -EBADMSG);
	assert_non_null(strstr(fault_message(), "an old log was put back, or packs are missing"));
}

static void frames_of_an_older_copy_of_the_log_are_noticed(void **state) {
	struct scratch *scratch = *state;
	size_t old_size = 0;
	uint8_t *old = scratch_read(scratch->vault, WAL_NAME, &old_size);
	MetaDb *db = metadb_test_open(scratch->io);
	metadb_test_insert(db, METADB_TEST_ROWS + 1, METADB_TEST_ROWS + 3);
	assert_rc(metadb_sync(db));
	metadb_abandon(db);
	/* Header and watermarks of before, frames of now, cut where the old one ended: consistent in itself, a
	 * roll-back inside one generation. It is not noticed here (metadb.h says so); the newer watermark is what finds
	 * it. */
	size_t size = 0;
	uint8_t *now = scratch_read(scratch->vault, WAL_NAME, &size);
	scratch_write(scratch->vault, WAL_NAME, now, old_size);
	assert_int_equal(metadb_open(scratch->io, meta_key_one(), metadb_test_id, 0, &db), -EBADMSG);
	assert_non_null(strstr(fault_message(), "is missing, but"));
	free(now);
	free(old);
}

static void a_removed_pack_is_noticed(void **state) {
	struct scratch *scratch = *state;
	for (size_t i = 2; i < FILES; i++) {
		size_t size = 0;
		uint8_t *data = scratch_read(scratch->vault, files[i], &size);
		assert_rc(vault_io_unlink(scratch->io, files[i]));
		assert_int_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), FOUND_BY_FSCK);
		scratch_write(scratch->vault, files[i], data, size);
		free(data);
	}
	assert_int_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), UNNOTICED);
}

static void the_last_pack_removed_from_a_resting_vault_is_noticed(void **state) {
	struct scratch *scratch = *state;
	char older[128];
	make_older_copy(scratch, older);
	MetaDb *db = metadb_test_open(scratch->io);
	char last[32];
	(void)snprintf(last, sizeof last, "meta/%llu", (unsigned long long)metadb_last_pack(db));
	metadb_abandon(db);
	assert_rc(vault_io_unlink(scratch->io, last));
	assert_int_not_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), UNNOTICED);
}

static void swapped_packs_are_noticed(void **state) {
	struct scratch *scratch = *state;
	assert_rc(vault_io_rename(scratch->io, "meta/2", "meta/9"));
	assert_rc(vault_io_rename(scratch->io, "meta/3", "meta/2"));
	assert_rc(vault_io_rename(scratch->io, "meta/9", "meta/3"));
	assert_int_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), FOUND_BY_FSCK);
}

static void a_pack_of_another_history_is_noticed(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = metadb_test_open(scratch->io);
	assert_rc(metadb_close(db));
	char fork[128];
	(void)snprintf(fork, sizeof fork, "%s/fork", scratch->path);
	scratch_copy(scratch->vault, fork);
	VaultIo *forked = NULL;
	assert_rc(vault_io_open(fork, &forked));
	VaultIo *const sides[] = {scratch->io, forked};
	for (size_t i = 0; i < 2; i++)
		for (int n = 0; n < 2; n++) {
			db = metadb_test_open(sides[i]);
			metadb_test_insert(db, 100 + n, 100 + n);
			assert_rc(metadb_close(db));
		}
	vault_io_close(forked);
	size_t size = 0;
	uint8_t *pack = scratch_read(fork, "meta/5", &size);
	scratch_write(scratch->vault, "meta/5", pack, size);
	free(pack);
	assert_int_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS + 2), FOUND_BY_FSCK);
}

static void a_foreign_file_among_the_packs_is_told(void **state) {
	struct scratch *scratch = *state;
	scratch_write(scratch->vault, "meta/notes.txt", "x", 1);
	assert_int_equal(metadb_test_judge(scratch->io, METADB_TEST_ROWS), FOUND_BY_FSCK);
}

static void another_key_or_vault_id_opens_nothing(void **state) {
	struct scratch *scratch = *state;
	Keyring *other = meta_key_versions(2, 2);
	const uint8_t other_id[16] = {4};
	MetaDb *db = NULL;
	assert_int_equal(metadb_open(scratch->io, other, metadb_test_id, 0, &db), -EBADMSG);
	assert_int_equal(metadb_open(scratch->io, meta_key_one(), other_id, 0, &db), -EBADMSG);
	keyring_free(other);
	assert_null(db);
}

static bool contains(const uint8_t *data, size_t size, const char *words) {
	return memmem(data, size, words, strlen(words)) != NULL;
}

static void no_row_no_name_and_no_schema_stands_in_any_file(void **state) {
	struct scratch *scratch = *state;
	for (size_t i = 0; i < FILES; i++) {
		size_t size = 0;
		uint8_t *data = scratch_read(scratch->vault, files[i], &size);
		assert_false(contains(data, size, "CANARY"));
		assert_false(contains(data, size, "CREATE"));
		assert_false(contains(data, size, "SQLite"));
		assert_false(contains(data, size, "30303030"));
		/* SQLite's WAL magic, in either byte order. */
		assert_false(contains(data, size, "\x37\x7f\x06\x82") || contains(data, size, "\x37\x7f\x06\x83"));
		free(data);
	}
}

int main(void) {
#define ON_VAULT(test) cmocka_unit_test_setup_teardown(test, metadb_test_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
	        ON_VAULT(the_untouched_vault_is_clean),
	        ON_VAULT(flips_in_each_file_are_noticed),
	        ON_VAULT(every_byte_of_the_log_header_is_accounted_for),
	        ON_VAULT(stock_sqlite_drops_commits_behind_a_flip_and_ours_does_not),
	        ON_VAULT(truncation_of_each_file_is_noticed),
	        ON_VAULT(bytes_added_to_a_file_are_noticed),
	        ON_VAULT(swapped_pages_are_noticed),
	        ON_VAULT(an_older_page_put_back_is_noticed_and_called_so),
	        ON_VAULT(an_older_database_file_put_back_is_noticed),
	        ON_VAULT(an_older_log_put_back_is_noticed),
	        ON_VAULT(frames_of_an_older_copy_of_the_log_are_noticed),
	        ON_VAULT(a_removed_pack_is_noticed),
	        ON_VAULT(the_last_pack_removed_from_a_resting_vault_is_noticed),
	        ON_VAULT(swapped_packs_are_noticed),
	        ON_VAULT(a_pack_of_another_history_is_noticed),
	        ON_VAULT(a_foreign_file_among_the_packs_is_told),
	        ON_VAULT(another_key_or_vault_id_opens_nothing),
	        ON_VAULT(no_row_no_name_and_no_schema_stands_in_any_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
