#include "backend/metadb.h"
#include "tests/backend/scratch.h"

#include <cmocka.h>

static const uint8_t key[32] = {1, 2, 3};
static const uint8_t vault_id[16] = {9, 8, 7};

static void must(MetaDb *db, const char *sql) {
	if (sqlite3_exec(metadb_handle(db), sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(metadb_handle(db)));
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

static void a_created_database_opens_and_keeps_rows(void **state) {
	struct scratch *scratch = *state;
	MetaDb *db = NULL;
	assert_rc(metadb_create(scratch->io, key, vault_id));
	assert_rc(metadb_open(scratch->io, key, vault_id, 0, &db));
	must(db, "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)");
	must(db, "INSERT INTO t(b) VALUES('one'), ('two')");
	assert_rc(metadb_sync(db));
	assert_rc(metadb_close(db));
	assert_rc(metadb_open(scratch->io, key, vault_id, 0, &db));
	assert_int_equal(number(db, "SELECT count(*) FROM t"), 2);
	assert_rc(metadb_close(db));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_created_database_opens_and_keeps_rows, scratch_setup, scratch_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
