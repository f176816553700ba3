/*
 * Changes of the metadata's files behind our back: each must be found at opening, at reading or by metadb_verify, and
 * none may ever give other rows than those that were stored.
 */
#include "backend/metadb.h"
#include "backend/pack.h"
#include "backend/walchain.h"
#include "tests/backend/scratch.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t key[32] = {7};
static const uint8_t vault_id[16] = {3};

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

static void run_sql(MetaDb *db, const char *sql) {
	assert_rc(metadb_fault(db, sqlite3_exec(metadb_handle(db), sql, NULL, NULL, NULL), "%s", sql));
}

static MetaDb *open_db(VaultIo *io) {
	MetaDb *db = NULL;
	assert_rc(metadb_open(io, key, vault_id, 0, &db));
	return db;
}

/*
 * A vault with everything in it: packs 1 to 3, rows that are only in the database, rows that are only in the log
 * (synced, left by an abandoned mount). Row n is (n, a text that is known).
 */
#define ROWS 60

static void insert_rows(MetaDb *db, int from, int to) {
	char sql[256];
	for (int n = from; n <= to; n++) {
		(void)snprintf(
		        sql, sizeof sql, "INSERT INTO t VALUES(%d, 'CANARY-%d-' || hex(zeroblob(150)))", n, n * 7919);
		run_sql(db, sql);
	}
}

static void fill_vault(VaultIo *io) {
	assert_rc(metadb_create(io, key, vault_id));
	MetaDb *db = open_db(io);
	run_sql(db, "CREATE TABLE t(n INTEGER PRIMARY KEY, body TEXT NOT NULL)");
	insert_rows(db, 1, 20);
	assert_rc(metadb_checkpoint(db));
	insert_rows(db, 21, 40);
	assert_rc(metadb_close(db));
	db = open_db(io);
	insert_rows(db, 41, ROWS);
	assert_rc(metadb_sync(db));
	metadb_abandon(db);
}

static int setup(void **state) {
	int rc = scratch_setup(state);
	struct scratch *scratch = *state;
	if (rc == 0)
		fill_vault(scratch->io);
	return rc;
}

static int count_finding(void *user, const char *file, int64_t place, const char *words) {
	size_t *findings = user;
	assert_non_null(file);
	assert_true(words[0] != '\0');
	(void)place;
	++*findings;
	return 0;
}

/* Reads all rows; -1 if SQLite gave an error, else how many; a wrong row fails the test. */
static int read_rows(MetaDb *db) {
	sqlite3_stmt *statement = NULL;
	if (sqlite3_prepare_v2(metadb_handle(db), "SELECT n, body FROM t ORDER BY n", -1, &statement, NULL) !=
	        SQLITE_OK)
		return -1;
	int rows = 0;
	int code = 0;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		char expected[32];
		int n = sqlite3_column_int(statement, 0);
		const char *body = (const char *)sqlite3_column_text(statement, 1);
		(void)snprintf(expected, sizeof expected, "CANARY-%d-", n * 7919);
		assert_true(body && strncmp(body, expected, strlen(expected)) == 0);
		assert_int_equal(strlen(body), strlen(expected) + 300);
		rows++;
	}
	(void)sqlite3_finalize(statement);
	return code == SQLITE_DONE ? rows : -1;
}

enum verdict { UNNOTICED, FOUND_OPENING, FOUND_READING, FOUND_BY_FSCK };

/* How the vault in `io` is judged. If it opens and reads without error, the rows must be all there and right. */
static enum verdict judge(VaultIo *io, int expected_rows) {
	MetaDb *db = NULL;
	int rc = metadb_open(io, key, vault_id, METADB_READ_ONLY, &db);
	if (rc < 0) {
		if (rc != -EBADMSG && rc != -ENOENT)
			print_message("opening gave %d: %s\n", rc, fault_message());
		assert_true(strlen(fault_message()) > 0);
		return FOUND_OPENING;
	}
	int rows = read_rows(db);
	size_t findings = 0;
	assert_rc(metadb_verify(db, count_finding, &findings));
	metadb_abandon(db);
	if (rows < 0)
		return FOUND_READING;
	if (findings)
		return FOUND_BY_FSCK;
	assert_int_equal(rows, expected_rows);
	return UNNOTICED;
}

static const char *const files[] = {"meta.db", "meta.db-wal", "meta/1", "meta/2", "meta/3"};
#define FILES (sizeof files / sizeof files[0])

static void the_untouched_vault_is_clean(void **state) {
	struct scratch *scratch = *state;
	assert_int_equal(judge(scratch->io, ROWS), UNNOTICED);
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
	if (judge(io, ROWS) == UNNOTICED)
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
	assert_int_equal(judge(scratch->io, ROWS), UNNOTICED);
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
	assert_int_equal(metadb_open(scratch->io, key, vault_id, 0, &db), -EBADMSG);
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
			size_t left = n == 0 ? size - 1 : n == 1 ? 1 : 512 + next_random() % (size - 512);
			scratch_write(scratch->vault, files[i], data, left);
			bool emptied_log = strcmp(files[i], WAL_NAME) == 0 && left < WAL_SECTOR_BYTES * 2;
			enum verdict verdict = judge(scratch->io, emptied_log ? 40 : ROWS);
			if (verdict == UNNOTICED && !emptied_log)
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
		if (judge(scratch->io, ROWS) == UNNOTICED)
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
	assert_int_not_equal(judge(scratch->io, ROWS), UNNOTICED);
}

/* A pair of states of one vault, both cleanly closed: `older` is a copy of what stood before. */
static void make_older_copy(struct scratch *scratch, char older[static 128]) {
	MetaDb *db = open_db(scratch->io);
	assert_rc(metadb_close(db));
	(void)snprintf(older, 128, "%s/older", scratch->path);
	scratch_copy(scratch->vault, older);
	db = open_db(scratch->io);
	run_sql(db, "UPDATE t SET body='CANARY-' || (n * 7919) || '-' || hex(zeroblob(149)) || '11'");
	assert_rc(metadb_close(db));
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
	MetaDb *db = open_db(scratch->io);
	sqlite3_stmt *statement = NULL;
	assert_int_equal(sqlite3_prepare_v2(metadb_handle(db), "SELECT sum(length(body)) FROM t", -1, &statement, NULL),
	        SQLITE_OK);
	int code = sqlite3_step(statement);
	assert_int_equal(metadb_fault(db, code, "reading"), -EBADMSG);
	assert_non_null(strstr(fault_message(), "an older page was put back"));
	(void)sqlite3_finalize(statement);
	metadb_abandon(db);
}

static void an_older_database_file_put_back_is_noticed(void **state) {
	struct scratch *scratch = *state;
	char older[128];
	make_older_copy(scratch, older);
	size_t size = 0;
	uint8_t *data = scratch_read(older, "meta.db", &size);
	scratch_write(scratch->vault, "meta.db", data, size);
	free(data);
	assert_int_not_equal(judge(scratch->io, ROWS), UNNOTICED);
}

static void an_older_log_put_back_is_noticed(void **state) {
	struct scratch *scratch = *state;
	size_t size = 0;
	uint8_t *log = scratch_read(scratch->vault, WAL_NAME, &size);
	MetaDb *db = open_db(scratch->io);
	insert_rows(db, ROWS + 1, ROWS + 5);
	assert_rc(metadb_close(db));
	/* This is the very generation that the last pack covers, but shorter than what it covers. */
	scratch_write(scratch->vault, WAL_NAME, log, size);
	assert_int_equal(metadb_open(scratch->io, key, vault_id, 0, &db), -EBADMSG);
	assert_non_null(strstr(fault_message(), "older copy of the log"));
	scratch_write(scratch->vault, WAL_NAME, "", 0);
	db = open_db(scratch->io);
	insert_rows(db, ROWS + 6, ROWS + 7);
	assert_rc(metadb_close(db));
	/* And here it is one of a generation long past. */
	scratch_write(scratch->vault, WAL_NAME, log, size);
	free(log);
	assert_int_equal(metadb_open(scratch->io, key, vault_id, 0, &db), -EBADMSG);
	assert_non_null(strstr(fault_message(), "an old log was put back, or packs are missing"));
}

static void frames_of_an_older_copy_of_the_log_are_noticed(void **state) {
	struct scratch *scratch = *state;
	size_t old_size = 0;
	uint8_t *old = scratch_read(scratch->vault, WAL_NAME, &old_size);
	MetaDb *db = open_db(scratch->io);
	insert_rows(db, ROWS + 1, ROWS + 3);
	assert_rc(metadb_sync(db));
	metadb_abandon(db);
	/* Header and watermarks of before, frames of now, cut where the old one ended: consistent in itself, a
	 * roll-back inside one generation. It is not noticed here (metadb.h says so); the newer watermark is what finds
	 * it. */
	size_t size = 0;
	uint8_t *now = scratch_read(scratch->vault, WAL_NAME, &size);
	scratch_write(scratch->vault, WAL_NAME, now, old_size);
	assert_int_equal(metadb_open(scratch->io, key, vault_id, 0, &db), -EBADMSG);
	assert_non_null(strstr(fault_message(), "is missing, but"));
	free(now);
	free(old);
}

static void a_removed_pack_is_noticed(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = NULL;
	for (size_t i = 2; i < FILES; i++) {
		size_t size = 0;
		uint8_t *data = scratch_read(scratch->vault, files[i], &size);
		assert_rc(vault_io_unlink(scratch->io, files[i]));
		assert_int_equal(metadb_open(scratch->io, key, vault_id, 0, &db), -EBADMSG);
		scratch_write(scratch->vault, files[i], data, size);
		free(data);
	}
	assert_int_equal(judge(scratch->io, ROWS), UNNOTICED);
}

static void the_last_pack_removed_from_a_resting_vault_is_noticed(void **state) {
	struct scratch *scratch = *state;
	char older[128];
	make_older_copy(scratch, older);
	MetaDb *db = open_db(scratch->io);
	char last[32];
	(void)snprintf(last, sizeof last, "meta/%llu", (unsigned long long)metadb_last_pack(db));
	metadb_abandon(db);
	assert_rc(vault_io_unlink(scratch->io, last));
	assert_int_not_equal(judge(scratch->io, ROWS), UNNOTICED);
}

static void swapped_packs_are_noticed(void **state) {
	struct scratch *scratch = *state;
	assert_rc(vault_io_rename(scratch->io, "meta/2", "meta/9"));
	assert_rc(vault_io_rename(scratch->io, "meta/3", "meta/2"));
	assert_rc(vault_io_rename(scratch->io, "meta/9", "meta/3"));
	assert_int_equal(judge(scratch->io, ROWS), FOUND_OPENING);
}

static void a_pack_of_another_history_is_noticed(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = open_db(scratch->io);
	assert_rc(metadb_close(db));
	char fork[128];
	(void)snprintf(fork, sizeof fork, "%s/fork", scratch->path);
	scratch_copy(scratch->vault, fork);
	VaultIo *forked = NULL;
	assert_rc(vault_io_open(fork, &forked));
	VaultIo *const sides[] = {scratch->io, forked};
	for (size_t i = 0; i < 2; i++)
		for (int n = 0; n < 2; n++) {
			db = open_db(sides[i]);
			insert_rows(db, 100 + n, 100 + n);
			assert_rc(metadb_close(db));
		}
	vault_io_close(forked);
	size_t size = 0;
	uint8_t *pack = scratch_read(fork, "meta/5", &size);
	scratch_write(scratch->vault, "meta/5", pack, size);
	free(pack);
	assert_int_equal(judge(scratch->io, ROWS), FOUND_OPENING);
}

static void a_foreign_file_among_the_packs_is_told(void **state) {
	struct scratch *scratch = *state;
	scratch_write(scratch->vault, "meta/notes.txt", "x", 1);
	assert_int_equal(judge(scratch->io, ROWS), FOUND_BY_FSCK);
}

static void another_key_or_vault_id_opens_nothing(void **state) {
	struct scratch *scratch = *state;
	const uint8_t other_key[32] = {8};
	const uint8_t other_id[16] = {4};
	MetaDb *db = NULL;
	assert_int_equal(metadb_open(scratch->io, other_key, vault_id, 0, &db), -EBADMSG);
	assert_int_equal(metadb_open(scratch->io, key, other_id, 0, &db), -EBADMSG);
	assert_null(db);
}

/* A damaged page is repaired from the packs, on a base or an increment, and the whole file is rebuilt from them. */
static void a_damaged_page_is_repaired_from_the_packs(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = open_db(scratch->io);
	assert_rc(metadb_close(db));
	VaultFile *file = NULL;
	uint64_t size = 0;
	assert_rc(vault_file_open(scratch->io, "meta.db", VAULT_FILE_WRITE, &file));
	assert_rc(vault_file_size(file, &size));
	for (uint64_t offset = 17; offset < size; offset += 4096)
		put_byte(file, offset, 0x5a);
	vault_file_close(file);
	assert_int_not_equal(judge(scratch->io, ROWS), UNNOTICED);
	assert_rc(metadb_rebuild(scratch->io, key, vault_id, false));
	assert_int_equal(judge(scratch->io, ROWS), UNNOTICED);
	assert_rc(vault_file_open(scratch->io, "meta.db", VAULT_FILE_WRITE, &file));
	put_byte(file, 3 * 4096 + 5, 0x77);
	put_byte(file, 3 * 4096 + 6, 0x77);
	vault_file_close(file);
	assert_int_not_equal(judge(scratch->io, ROWS), UNNOTICED);
	db = open_db(scratch->io);
	assert_rc(metadb_repair_page(db, 4));
	assert_int_equal(metadb_repair_page(db, 4000), -ENOENT);
	metadb_abandon(db);
	assert_int_equal(judge(scratch->io, ROWS), UNNOTICED);
}

static void a_lost_database_file_is_rebuilt_with_its_log(void **state) {
	struct scratch *scratch = *state;
	assert_rc(vault_io_unlink(scratch->io, "meta.db"));
	MetaDb *db = NULL;
	assert_int_equal(metadb_open(scratch->io, key, vault_id, 0, &db), -EBADMSG);
	assert_rc(metadb_rebuild(scratch->io, key, vault_id, false));
	assert_int_equal(judge(scratch->io, ROWS), UNNOTICED);
	assert_rc(metadb_rebuild(scratch->io, key, vault_id, true));
	assert_int_equal(judge(scratch->io, 40), UNNOTICED);
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
#define ON_VAULT(test) cmocka_unit_test_setup_teardown(test, setup, scratch_teardown)
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
	        ON_VAULT(a_damaged_page_is_repaired_from_the_packs),
	        ON_VAULT(a_lost_database_file_is_rebuilt_with_its_log),
	        ON_VAULT(no_row_no_name_and_no_schema_stands_in_any_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
