/*
 * metadb_fixture: a metadata database with something in every file of it, for the tests that damage those.
 */
#pragma once

#include "backend/metadb.h"
#include "tests/backend/scratch.h"

extern const uint8_t metadb_test_id[16];

/*
 * cmocka set-up; *state is a struct scratch, tear down with scratch_teardown. The vault has packs 1 to 3, rows that are
 * only in the database (up to 40), rows that are only in the log (synced, left by an abandoned mount). Row n is (n, a
 * text that is known).
 */
#define METADB_TEST_ROWS 60
#define METADB_TEST_PACKED_ROWS 40
int metadb_test_setup(void **state);

MetaDb *metadb_test_open(VaultIo *io);
void metadb_test_sql(MetaDb *db, const char *sql);
void metadb_test_insert(MetaDb *db, int from, int to);

/* A metadb_finding_fn that counts in a size_t. */
int metadb_test_count(void *user, const char *file, int64_t place, const char *words);

/* Reads all rows; -1 if SQLite gave an error, else how many; a wrong row fails the test. */
int metadb_test_rows(MetaDb *db);

enum verdict { UNNOTICED, FOUND_OPENING, FOUND_READING, FOUND_BY_FSCK };

/* How the vault in `io` is judged, for reading only. If it opens and reads without error, the rows must be right. */
enum verdict metadb_test_judge(VaultIo *io, int expected_rows);
