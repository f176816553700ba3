/*
 * bench_metadb [DIRECTORY]: rows a second in the sealed database and in stock SQLite, one after the other in one run,
 * with the same settings: transactions of 1,000 rows (about 350 bytes in a table and an index), a sync after each, a
 * checkpoint when the log passes 16 MiB; then point lookups after a fresh opening.
 *
 * The figures stand in metadb.h.
 */
#include "backend/metadb.h"
#include "crypto/base/fault.h"
#include "tests/backend/meta_key.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TRANSACTIONS 200
#define ROWS 1000
#define LOG_BYTES (UINT64_C(16) << 20)

static double now(void) {
	struct timespec time;
	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void must(int rc, const char *what) {
	if (rc == 0)
		return;
	(void)fprintf(stderr, "%s: %d %s\n", what, rc, fault_message());
	exit(1);
}

static void fill(sqlite3 *connection, int transaction) {
	sqlite3_stmt *insert = NULL;
	must(sqlite3_prepare_v2(connection, "INSERT INTO t VALUES(?, ?, randomblob(300))", -1, &insert, NULL),
	        "prepare");
	must(sqlite3_exec(connection, "BEGIN", NULL, NULL, NULL), "begin");
	for (int i = 0; i < ROWS; i++) {
		char name[32];
		int n = transaction * ROWS + i;
		(void)snprintf(name, sizeof name, "file-%08x", (unsigned)n * 2654435761U);
		(void)sqlite3_bind_int(insert, 1, n);
		(void)sqlite3_bind_text(insert, 2, name, -1, SQLITE_TRANSIENT);
		(void)sqlite3_step(insert);
		(void)sqlite3_reset(insert);
	}
	must(sqlite3_finalize(insert), "insert");
	must(sqlite3_exec(connection, "COMMIT", NULL, NULL, NULL), "commit");
}

static double look_up(sqlite3 *connection) {
	sqlite3_stmt *select = NULL;
	must(sqlite3_prepare_v2(connection, "SELECT body FROM t WHERE n = ?", -1, &select, NULL), "prepare");
	double start = now();
	for (unsigned i = 0; i < 20000; i++) {
		(void)sqlite3_bind_int(select, 1, (int)(i * 2654435761U % (TRANSACTIONS * ROWS)));
		(void)sqlite3_step(select);
		(void)sqlite3_reset(select);
	}
	(void)sqlite3_finalize(select);
	return 20000 / (now() - start);
}

static const char schema[] = "CREATE TABLE t(n INTEGER PRIMARY KEY, name TEXT, body BLOB); CREATE INDEX i ON t(name)";

static double ours(const char *directory, double *ret_lookups) {
	const uint8_t vault_id[16] = {1};
	VaultIo *io = NULL;
	MetaDb *db = NULL;
	must(vault_io_create(directory, &io), "create");
	must(metadb_create(io, meta_key_one(), vault_id), "create");
	must(metadb_open(io, meta_key_one(), vault_id, 0, &db), "open");
	must(sqlite3_exec(metadb_handle(db), schema, NULL, NULL, NULL), "schema");
	double start = now();
	for (int i = 0; i < TRANSACTIONS; i++) {
		fill(metadb_handle(db), i);
		must(metadb_sync(db), "sync");
		if (metadb_wal_bytes(db) > LOG_BYTES)
			must(metadb_checkpoint(db), "checkpoint");
	}
	double rate = TRANSACTIONS * ROWS / (now() - start);
	must(metadb_close(db), "close");
	must(metadb_open(io, meta_key_one(), vault_id, 0, &db), "open");
	*ret_lookups = look_up(metadb_handle(db));
	must(metadb_close(db), "close");
	vault_io_close(io);
	return rate;
}

static double stock(const char *path, double *ret_lookups) {
	/* FULL syncs the log at each commit, as metadb_sync does; 4,030 pages of log are 16 MiB. */
	static const char settings[] =
	        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	        "PRAGMA temp_store=MEMORY; PRAGMA cache_spill=OFF; PRAGMA cache_size=-32768;"
	        "PRAGMA wal_autocheckpoint=4030";
	sqlite3 *connection = NULL;
	must(sqlite3_open(path, &connection), "open");
	must(sqlite3_exec(connection, settings, NULL, NULL, NULL), "settings");
	must(sqlite3_exec(connection, schema, NULL, NULL, NULL), "schema");
	double start = now();
	for (int i = 0; i < TRANSACTIONS; i++)
		fill(connection, i);
	double rate = TRANSACTIONS * ROWS / (now() - start);
	(void)sqlite3_close(connection);
	must(sqlite3_open(path, &connection), "open");
	must(sqlite3_exec(connection, settings, NULL, NULL, NULL), "settings");
	*ret_lookups = look_up(connection);
	(void)sqlite3_close(connection);
	return rate;
}

int main(int argc, char **argv) {
	char vault[512];
	char file[512];
	const char *directory = argc > 1 ? argv[1] : ".";
	(void)snprintf(vault, sizeof vault, "%s/bench-vault", directory);
	(void)snprintf(file, sizeof file, "%s/bench-stock.db", directory);
	double stock_lookups = 0;
	double our_lookups = 0;
	double stock_rows = stock(file, &stock_lookups);
	double our_rows = ours(vault, &our_lookups);
	(void)printf("rows/s: stock %.0f, sealed %.0f, ratio %.2f\n", stock_rows, our_rows, our_rows / stock_rows);
	(void)printf("lookups/s: stock %.0f, sealed %.0f, ratio %.2f\n", stock_lookups, our_lookups,
	        our_lookups / stock_lookups);
	(void)printf("remove %s and %s\n", vault, file);
	return 0;
}
