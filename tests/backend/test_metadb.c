#include "backend/metadb.h"
#include "tests/backend/meta_key.h"
#include "tests/backend/recorder.h"
#include "tests/backend/scratch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static const uint8_t vault_id[16] = {9, 8, 7};

static void must(MetaDb *db, const char *sql) {
	assert_rc(metadb_fault(db, sqlite3_exec(metadb_handle(db), sql, NULL, NULL, NULL), "%s", sql));
}

static int64_t number(MetaDb *db, const char *sql) {
	sqlite3_stmt *statement = NULL;
	if (sqlite3_prepare_v2(metadb_handle(db), sql, -1, &statement, NULL) != SQLITE_OK ||
	        sqlite3_step(statement) != SQLITE_ROW)
		fail_msg("%s: %s", sql, sqlite3_errmsg(metadb_handle(db)));
	int64_t value = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return value;
}

static MetaDb *open_db(VaultIo *io) {
	MetaDb *db = NULL;
	assert_rc(metadb_open(io, meta_key_one(), vault_id, 0, &db));
	return db;
}

static MetaDb *create_db(VaultIo *io) {
	assert_rc(metadb_create(io, meta_key_one(), vault_id));
	MetaDb *db = open_db(io);
	must(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
	return db;
}

static void rows_survive_a_clean_close(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	must(db, "INSERT INTO t(b) VALUES('one'), ('two')");
	assert_rc(metadb_sync(db));
	assert_rc(metadb_close(db));
	uint64_t size = 1;
	assert_rc(vault_io_stat_size(scratch->io, "meta.db-wal", &size));
	assert_int_equal(size, 0);
	db = open_db(scratch->io);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 2);
	assert_rc(metadb_close(db));
}

static void rows_survive_without_a_close(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	for (int mount = 1; mount <= 5; mount++) {
		must(db, "INSERT INTO t(b) VALUES(randomblob(9000))");
		assert_rc(metadb_sync(db));
		metadb_abandon(db);
		db = open_db(scratch->io);
		assert_int_equal(number(db, "SELECT count(*) FROM t"), mount);
	}
	assert_rc(metadb_close(db));
}

static void a_second_creation_is_refused(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	assert_rc(metadb_close(db));
	assert_int_equal(metadb_create(scratch->io, meta_key_one(), vault_id), -EEXIST);
	db = open_db(scratch->io);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 0);
	assert_rc(metadb_close(db));
}

static void an_empty_vault_holds_no_metadata(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = NULL;
	assert_int_equal(metadb_open(scratch->io, meta_key_one(), vault_id, 0, &db), -ENOENT);
	assert_non_null(strstr(fault_message(), "holds no metadata"));
	assert_null(db);
}

static void the_settings_are_those_of_the_manual(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	assert_int_equal(number(db, "PRAGMA page_size"), 4096);
	assert_int_equal(number(db, "PRAGMA foreign_keys"), 1);
	assert_int_equal(number(db, "PRAGMA trusted_schema"), 0);
	assert_int_equal(number(db, "PRAGMA synchronous"), 1);
	assert_int_equal(number(db, "PRAGMA cache_spill"), 0);
	assert_int_equal(number(db, "PRAGMA temp_store"), 1);
	assert_int_equal(number(db, "PRAGMA wal_autocheckpoint"), 0);
	assert_int_equal(number(db, "PRAGMA journal_mode='wal'") | 1, 1);
	int reserved = -1;
	assert_int_equal(
	        sqlite3_file_control(metadb_handle(db), "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved), SQLITE_OK);
	assert_int_equal(reserved, 40);
	assert_rc(metadb_close(db));
}

static int count_entry(void *user, const char *name, bool is_directory) {
	(void)name;
	(void)is_directory;
	++*(int *)user;
	return 0;
}

/* A transaction that puts 4,000 rows, some 4 MB. */
static void begin_filled(MetaDb *db, const char *value) {
	char sql[200];
	snprintf(sql, sizeof sql,
	        "BEGIN; WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<4000)"
	        " INSERT INTO t(b) SELECT %s FROM n",
	        value);
	must(db, sql);
}

/* More pages in one savepoint than memory keeps of a sub-journal, then again and again a few. */
static void a_savepoint_brings_back_what_was_before_it(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	begin_filled(db, "zeroblob(1000)");
	must(db, "SAVEPOINT s; UPDATE t SET b=randomblob(1000); ROLLBACK TO s; RELEASE s");
	assert_int_equal(number(db, "SELECT count(*) FROM t WHERE b = zeroblob(1000)"), 4000);
	for (int i = 0; i < 50; i++) {
		must(db, "SAVEPOINT s; UPDATE t SET b=1 WHERE a % 40 = 0");
		must(db, i % 2 ? "ROLLBACK TO s; RELEASE s" : "UPDATE t SET b=zeroblob(1000) WHERE b=1; RELEASE s");
	}
	must(db, "COMMIT");
	assert_int_equal(number(db, "SELECT count(*) FROM t WHERE b = zeroblob(1000)"), 4000);
	assert_rc(metadb_close(db));
}

/* Sorting, savepoints, big statements and sub-journals: all of it in memory, and no other file. */
static void no_other_file_is_ever_made(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	begin_filled(db, "randomblob(1000)");
	must(db, "SAVEPOINT s; UPDATE t SET b=randomblob(1000); ROLLBACK TO s; RELEASE s");
	must(db, "CREATE TEMP TABLE x AS SELECT b FROM t ORDER BY b; CREATE INDEX i ON t(b)");
	must(db, "COMMIT");
	must(db, "VACUUM");
	int entries = 0;
	assert_rc(vault_io_list(scratch->io, "", count_entry, &entries));
	assert_int_equal(entries, 3); /* meta, meta.db, meta.db-wal */
	assert_int_not_equal(sqlite3_exec(metadb_handle(db), "ATTACH 'other.db' AS o", NULL, NULL, NULL), SQLITE_OK);
	assert_int_not_equal(sqlite3_exec(metadb_handle(db), "ATTACH 'meta.db' AS o", NULL, NULL, NULL), SQLITE_OK);
	assert_rc(metadb_close(db));
	db = open_db(scratch->io);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 4000);
	assert_rc(metadb_close(db));
}

static void a_statement_that_fails_is_told_in_words(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	int code = sqlite3_exec(metadb_handle(db), "INSERT INTO nowhere VALUES(1)", NULL, NULL, NULL);
	assert_int_equal(metadb_fault(db, code, "adding %d", 7), -EIO);
	assert_string_equal(fault_message(), "adding 7: no such table: nowhere");
	must(db, "INSERT INTO t VALUES(1, 1)");
	code = sqlite3_exec(metadb_handle(db), "INSERT INTO t VALUES(1, 1)", NULL, NULL, NULL);
	assert_int_equal(metadb_fault(db, code, "adding"), -EINVAL);
	assert_rc(metadb_fault(db, SQLITE_DONE, "nothing"));
	assert_rc(metadb_failed(db));
	assert_rc(metadb_close(db));
}

static void a_checkpoint_waits_for_nobody_and_says_so(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	must(db, "INSERT INTO t(b) VALUES(1), (2)");
	sqlite3_stmt *statement = NULL;
	assert_int_equal(sqlite3_prepare_v2(metadb_handle(db), "SELECT * FROM t", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_int_equal(metadb_checkpoint(db), -EBUSY);
	assert_rc(metadb_failed(db));
	(void)sqlite3_reset(statement);
	assert_rc(metadb_checkpoint(db));
	/* A statement left behind does not keep the database from closing. */
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_rc(metadb_close(db));
}

static void an_open_transaction_is_rolled_back_by_the_close(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	must(db, "INSERT INTO t(b) VALUES(1); BEGIN; INSERT INTO t(b) VALUES(2)");
	assert_rc(metadb_close(db));
	db = open_db(scratch->io);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);
	assert_rc(metadb_close(db));
}

static void each_checkpoint_that_changes_something_writes_one_pack(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	uint8_t root[32];
	uint8_t next_root[32];
	uint64_t before = metadb_last_pack(db);
	metadb_last_root(db, root);
	must(db, "INSERT INTO t(b) VALUES(1)");
	assert_true(metadb_wal_bytes(db) > 0);
	assert_rc(metadb_checkpoint(db));
	assert_int_equal(metadb_wal_bytes(db), 0);
	assert_int_equal(metadb_last_pack(db), before + 1);
	metadb_last_root(db, next_root);
	assert_memory_not_equal(root, next_root, 32);
	assert_rc(metadb_checkpoint(db));
	assert_int_equal(metadb_last_pack(db), before + 1);
	assert_rc(metadb_close(db));
}

static void a_shrinking_database_stays_verifiable(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	for (int round = 0; round < 3; round++) {
		must(db, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<200) INSERT INTO t(b) "
		         "SELECT "
		         "randomblob(3000) FROM n");
		assert_rc(metadb_checkpoint(db));
		must(db, "DELETE FROM t; VACUUM");
		assert_rc(metadb_checkpoint(db));
	}
	assert_rc(metadb_close(db));
	db = open_db(scratch->io);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 0);
	assert_rc(metadb_close(db));
}

struct file_state {
	char name[64];
	uint8_t *data;
	size_t size;
};

static void read_only_changes_no_byte_even_of_a_crashed_vault(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	must(db, "INSERT INTO t(b) VALUES(1)");
	assert_rc(metadb_sync(db));
	metadb_abandon(db);
	VaultFile *wal = NULL;
	uint64_t end = 0;
	assert_rc(vault_file_open(scratch->io, "meta.db-wal", VAULT_FILE_WRITE, &wal));
	assert_rc(vault_file_size(wal, &end));
	assert_rc(vault_file_write_at(wal, end, bytes_of_string("the tail that a crash left")));
	vault_file_close(wal);
	struct file_state files[] = {{.name = "meta.db"}, {.name = "meta.db-wal"}, {.name = "meta/1"},
	        {.name = "meta/anchor-1"}, {.name = "meta/anchor-2"}};
	for (size_t i = 0; i < 5; i++)
		files[i].data = scratch_read(scratch->vault, files[i].name, &files[i].size);
	assert_rc(metadb_open(scratch->io, meta_key_one(), vault_id, METADB_READ_ONLY, &db));
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);
	assert_int_not_equal(
	        sqlite3_exec(metadb_handle(db), "INSERT INTO t(b) VALUES(2)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(metadb_checkpoint(db), -EROFS);
	assert_int_equal(metadb_repair(db, NULL, NULL), -EROFS);
	assert_rc(metadb_sync(db));
	assert_rc(metadb_close(db));
	for (size_t i = 0; i < 5; i++) {
		size_t size = 0;
		uint8_t *now = scratch_read(scratch->vault, files[i].name, &size);
		assert_int_equal(size, files[i].size);
		assert_memory_equal(now, files[i].data, size);
		free(now);
		free(files[i].data);
	}
	db = open_db(scratch->io);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);
	assert_rc(metadb_close(db));
}

struct syncer {
	MetaDb *db;
	atomic_bool stop;
	atomic_int failed;
	atomic_long syncs;
};

static void *sync_all_the_time(void *user) {
	struct syncer *syncer = user;
	while (!atomic_load(&syncer->stop)) {
		if (metadb_sync(syncer->db) != 0)
			atomic_fetch_add(&syncer->failed, 1);
		(void)metadb_wal_bytes(syncer->db);
		(void)metadb_failed(syncer->db);
		atomic_fetch_add(&syncer->syncs, 1);
	}
	return NULL;
}

static void syncs_run_beside_commits_and_checkpoints(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = create_db(scratch->io);
	struct syncer syncer = {.db = db};
	pthread_t threads[2];
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sync_all_the_time, &syncer), 0);
	for (int i = 1; i <= 300; i++) {
		must(db, "INSERT INTO t(b) VALUES(randomblob(2000))");
		if (i % 40 == 0)
			assert_rc(metadb_checkpoint(db));
	}
	/* Let them go round once more after the last commit. */
	long seen = atomic_load(&syncer.syncs);
	while (atomic_load(&syncer.syncs) < seen + 4)
		(void)usleep(100);
	atomic_store(&syncer.stop, true);
	for (size_t i = 0; i < 2; i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&syncer.failed), 0);
	metadb_abandon(db);
	db = open_db(scratch->io);
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 300);
	assert_rc(metadb_close(db));
}

/*
 * A disk that fails at one point and stays so: from then on no write is taken, reading goes on, the words tell the
 * failure; after a remount on a disk that works all that was acknowledged is there.
 */
static bool run_on_failing_disk(Recorder *recorder, VaultIo *io, size_t countdown, int64_t *ret_acknowledged) {
	MetaDb *db = open_db(io);
	int64_t acknowledged = number(db, "SELECT count(*) FROM t");
	bool failed = false;
	recorder_fail_after(recorder, countdown, EIO);
	for (int i = 0; i < 6 && !failed; i++) {
		int code =
		        sqlite3_exec(metadb_handle(db), "INSERT INTO t(b) VALUES(randomblob(5000))", NULL, NULL, NULL);
		int rc = metadb_fault(db, code, "inserting");
		if (rc == 0)
			rc = i % 3 == 2 ? metadb_checkpoint(db) : metadb_sync(db);
		if (rc == 0) {
			acknowledged++;
			continue;
		}
		failed = true;
		assert_int_equal(rc, -EIO);
		assert_non_null(strstr(fault_message(), "ordered by the test"));
		assert_int_equal(metadb_failed(db), -EIO);
		recorder_fail_after(recorder, 0, 0);
		assert_int_not_equal(
		        sqlite3_exec(metadb_handle(db), "INSERT INTO t(b) VALUES(0)", NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(metadb_sync(db), -EIO);
		assert_int_equal(metadb_checkpoint(db), -EIO);
		assert_true(number(db, "SELECT count(*) FROM t") >= acknowledged);
	}
	recorder_fail_after(recorder, 0, 0);
	if (failed)
		metadb_abandon(db);
	else
		assert_rc(metadb_close(db));
	*ret_acknowledged = acknowledged;
	return failed;
}

static void any_call_may_fail_and_nothing_acknowledged_is_lost(void **state) {
	struct scratch *scratch = *state;
	Recorder *recorder = NULL;
	VaultIo *io = NULL;
	MetaDb *db = create_db(scratch->io);
	assert_rc(metadb_close(db));
	assert_rc(recorder_open(scratch->vault, &recorder));
	assert_rc(recorder_io(recorder, &io));
	size_t countdown = 1;
	int64_t acknowledged = 0;
	while (run_on_failing_disk(recorder, io, countdown, &acknowledged)) {
		db = open_db(io);
		int64_t rows = number(db, "SELECT count(*) FROM t");
		assert_true(rows >= acknowledged && rows <= acknowledged + 1);
		assert_rc(metadb_close(db));
		countdown++;
	}
	print_message("%zu calls failed in turn\n", countdown - 1);
	assert_true(countdown > 30);
	vault_io_close(io);
	recorder_close(recorder);
}

int main(void) {
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
	        IN_SCRATCH(rows_survive_a_clean_close),
	        IN_SCRATCH(rows_survive_without_a_close),
	        IN_SCRATCH(a_second_creation_is_refused),
	        IN_SCRATCH(an_empty_vault_holds_no_metadata),
	        IN_SCRATCH(the_settings_are_those_of_the_manual),
	        IN_SCRATCH(a_savepoint_brings_back_what_was_before_it),
	        IN_SCRATCH(no_other_file_is_ever_made),
	        IN_SCRATCH(a_statement_that_fails_is_told_in_words),
	        IN_SCRATCH(a_checkpoint_waits_for_nobody_and_says_so),
	        IN_SCRATCH(an_open_transaction_is_rolled_back_by_the_close),
	        IN_SCRATCH(each_checkpoint_that_changes_something_writes_one_pack),
	        IN_SCRATCH(a_shrinking_database_stays_verifiable),
	        IN_SCRATCH(read_only_changes_no_byte_even_of_a_crashed_vault),
	        IN_SCRATCH(syncs_run_beside_commits_and_checkpoints),
	        IN_SCRATCH(any_call_may_fail_and_nothing_acknowledged_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
