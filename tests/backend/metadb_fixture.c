#include "tests/backend/metadb_fixture.h"
#include "tests/backend/meta_key.h"

#include <stdio.h>
#include <stdlib.h>

const uint8_t metadb_test_id[16] = {3};

void metadb_test_sql(MetaDb *db, const char *sql) {
	assert_rc(metadb_fault(db, sqlite3_exec(metadb_handle(db), sql, NULL, NULL, NULL), "%s", sql));
}

MetaDb *metadb_test_open(VaultIo *io) {
	MetaDb *db = NULL;
	assert_rc(metadb_open(io, meta_key_one(), metadb_test_id, 0, &db));
	return db;
}

void metadb_test_insert(MetaDb *db, int from, int to) {
	char sql[256];
	for (int n = from; n <= to; n++) {
		(void)snprintf(
		        sql, sizeof sql, "INSERT INTO t VALUES(%d, 'CANARY-%d-' || hex(zeroblob(150)))", n, n * 7919);
		metadb_test_sql(db, sql);
	}
}

static void fill_vault(VaultIo *io) {
	assert_rc(metadb_create(io, meta_key_one(), metadb_test_id));
	MetaDb *db = metadb_test_open(io);
	metadb_test_sql(db, "CREATE TABLE t(n INTEGER PRIMARY KEY, body TEXT NOT NULL)");
	metadb_test_insert(db, 1, 20);
	assert_rc(metadb_checkpoint(db));
	metadb_test_insert(db, 21, METADB_TEST_PACKED_ROWS);
	assert_rc(metadb_close(db));
	db = metadb_test_open(io);
	metadb_test_insert(db, METADB_TEST_PACKED_ROWS + 1, METADB_TEST_ROWS);
	assert_rc(metadb_sync(db));
	metadb_abandon(db);
}

int metadb_test_setup(void **state) {
	int rc = scratch_setup(state);
	struct scratch *scratch = *state;
	if (rc == 0)
		fill_vault(scratch->io);
	return rc;
}

int metadb_test_count(void *user, const char *file, int64_t place, const char *words) {
	size_t *findings = user;
	assert_non_null(file);
	assert_true(words[0] != '\0');
	(void)place;
	++*findings;
	return 0;
}

int metadb_test_rows(MetaDb *db) {
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

enum verdict metadb_test_judge(VaultIo *io, int expected_rows) {
	MetaDb *db = NULL;
	int rc = metadb_open(io, meta_key_one(), metadb_test_id, METADB_READ_ONLY, &db);
	if (rc < 0) {
		if (rc != -EBADMSG && rc != -ENOENT)
			print_message("opening gave %d: %s\n", rc, fault_message());
		assert_true(strlen(fault_message()) > 0);
		return FOUND_OPENING;
	}
	int rows = metadb_test_rows(db);
	size_t findings = 0;
	assert_rc(metadb_verify(db, metadb_test_count, &findings));
	metadb_abandon(db);
	if (rows < 0)
		return FOUND_READING;
	assert_int_equal(rows, expected_rows);
	return findings ? FOUND_BY_FSCK : UNNOTICED;
}
