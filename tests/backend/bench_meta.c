/*
 * What the metadata costs: bench_meta [FILES [RECORDS]]. An ordinary SQLite database in WAL mode on
 * tmpfs, so it is the processor's work alone: the sealed database adds its pages' encryption at COMMIT.
 *
 * Measured with 100,000 files and 1,000,000 records on two EPYC cores that builds of others kept busy (load 2), gcc 12
 * -O2, SQLite 3.40. By callgrind a fifth of the instructions are malloc and its mutexes, a quarter SQLite's own
 * interpreter; journals of single statements (guards that abort) are 3 in a hundred:
 *
 *     new file: name, node, draft, map page, sealed version     32 us, 369 bytes of database
 *       of it create 10, draft 3, map page 5, size 2, seal 8.5, savepoint 1
 *     the same with two audit records                           42 us, 572 bytes
 *     look-up 3.3, attributes 1.5, path 2.3, map page 1.9 us; rename 27, unlink 15 us
 *     list of a directory                                       0.5 us a name, with attributes; of the past 2.7
 *     audit record with its leaf, tree and index                3.9 us, 98 bytes
 *     one record of a user among 1,000,000                      0.3 ms; 2,000 of a directory 2.5 ms
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "backend/audit.h"
#include "backend/meta.h"
#include "backend/tree.h"
#include "backend/version.h"

#define CHECK(call)                                                                  \
	do {                                                                         \
		int rc_ = (call);                                                    \
		if (rc_ < 0) {                                                       \
			fprintf(stderr, "%s: %d %s\n", #call, rc_, fault_message()); \
			exit(1);                                                     \
		}                                                                    \
	} while (0)

#include "crypto/base/fault.h"

static Meta *m;
static sqlite3 *db;

static double seconds(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const char *what, double since, uint64_t count) {
	printf("%-52s %8.2f us\n", what, (seconds() - since) * 1e6 / (double)count);
	fflush(stdout);
}

static void commit(void) {
	meta_begin(m);
	CHECK(meta_commit(m, 0, NULL));
}

static uint64_t database_bytes(void) {
	sqlite3_stmt *stmt;
	sqlite3_prepare_v2(
	        db, "SELECT (SELECT * FROM pragma_page_count) * (SELECT * FROM pragma_page_size)", -1, &stmt, NULL);
	sqlite3_step(stmt);
	uint64_t bytes = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return bytes;
}

static struct bytes name_of(uint64_t i, char name[static 32]) {
	/* Not in order, as names in a directory are not. */
	return bytes_of(name, (size_t)snprintf(name, 32, "%08" PRIx64 ".csv", (i * UINT64_C(0x9e3779b1)) & 0xffffffff));
}

static struct audit_event event_of(const char *event, const char *path) {
	return (struct audit_event){
	        .event = event, .path = path, .actor = {.uid = 1000, .gid = 1000, .pid = 4242, .exe = "cp"}};
}

/* A new file of one block as the mount makes it, in one operation here: name, node, draft, map, version. */
static uint64_t make_file(uint64_t dir, uint64_t i, bool recorded) {
	char name[32], path[64];
	struct bytes bytes = name_of(i, name);
	struct node attrs = {.mode = S_IFREG | 0644, .uid = 1000, .gid = 1000}, node;
	struct version version;
	struct block_ref ref = {.segment = 1, .batch = 128, .position = (uint32_t)i, .plain = 4096};
	meta_begin(m);
	CHECK(tree_create(m, dir, bytes, &attrs, bytes_of(NULL, 0), &node));
	CHECK(version_draft(m, node.id, 0, ZONE_LANDING, &version));
	CHECK(version_map_put(m, version.id, 0, &ref, 1));
	CHECK(version_set_size(m, version.id, 4096));
	CHECK(version_seal(m, version.id, ORIGIN_WRITE, 0, NULL, &version));
	if (recorded) {
		snprintf(path, sizeof path, "Landing/dir/%s", name);
		struct audit_event event = event_of("create", path);
		event.node = node.id;
		CHECK(audit_record(m, &event, NULL));
		event.event = "close";
		CHECK(audit_record(m, &event, NULL));
	}
	CHECK(meta_end(m, 0));
	if (i % 4000 == 3999)
		commit();
	return node.id;
}

static uint64_t bench_create(uint64_t files, bool recorded) {
	struct node attrs = {.mode = S_IFDIR | 0755}, dir;
	meta_begin(m);
	CHECK(meta_end(m, tree_create(m, NODE_LANDING, bytes_of_string(recorded ? "recorded" : "dir"), &attrs,
	                          bytes_of(NULL, 0), &dir)));
	commit();
	uint64_t before = database_bytes();
	double start = seconds();
	for (uint64_t i = 0; i < files; i++)
		make_file(dir.id, i, recorded);
	commit();
	report(recorded ? "new file, two audit records, commits" : "new file, commits every 4,000", start, files);
	printf("%-52s %8.0f bytes\n", "  database for each", (double)(database_bytes() - before) / (double)files);
	return dir.id;
}

static int nothing(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	(void)arg, (void)name, (void)cookie, (void)node;
	return 0;
}

static void bench_read(uint64_t dir, uint64_t files) {
	char name[32], path[TREE_PATH_MAX];
	struct node node;
	struct block_ref refs[MAP_PAGE_REFS];
	size_t count;
	double start = seconds();
	for (uint64_t i = 0; i < files; i++) {
		meta_begin(m);
		CHECK(tree_lookup(m, dir, name_of(i * 7919 % files, name), &node));
		meta_end(m, 0);
	}
	report("look-up", start, files);
	start = seconds();
	for (uint64_t i = 0; i < files; i++) {
		meta_begin(m);
		CHECK(tree_get(m, dir + 1 + i * 7919 % files, &node));
		meta_end(m, 0);
	}
	report("attributes by id", start, files);
	start = seconds();
	for (uint64_t i = 0; i < files; i++) {
		meta_begin(m);
		CHECK(tree_path(m, dir + 1 + i * 7919 % files, path, sizeof path, NULL));
		meta_end(m, 0);
	}
	report("path of a node, three deep", start, files);
	start = seconds();
	for (uint64_t i = 0; i < files; i++) {
		meta_begin(m);
		CHECK(version_map_get(m, 1 + i * 7919 % files, 0, refs, &count));
		meta_end(m, 0);
	}
	report("map page", start, files);
	start = seconds();
	meta_begin(m);
	CHECK(tree_list(m, dir, 0, 0, nothing, NULL, NULL));
	meta_end(m, 0);
	report("list of a directory, a name with attributes", start, files);
	start = seconds();
	meta_begin(m);
	CHECK(tree_list_at(m, dir, meta_commit_id(m) - 1, 0, 0, nothing, NULL, NULL));
	meta_end(m, 0);
	report("list of a past directory, a name", start, files);
}

static void bench_change(uint64_t dir, uint64_t files) {
	char name[32];
	struct node node;
	double start = seconds();
	for (uint64_t i = 0; i < files; i++) {
		char new_name[32];
		snprintf(new_name, sizeof new_name, "r%" PRIu64, i);
		meta_begin(m);
		CHECK(meta_end(m, tree_rename(m, dir, name_of(i, name), dir, bytes_of_string(new_name), 0, NULL)));
	}
	commit();
	report("rename", start, files);
	start = seconds();
	for (uint64_t i = 0; i < files; i++) {
		char new_name[32];
		snprintf(new_name, sizeof new_name, "r%" PRIu64, i);
		meta_begin(m);
		CHECK(meta_end(m, tree_unlink(m, dir, bytes_of_string(new_name), &node)));
	}
	commit();
	report("unlink", start, files);
	start = seconds();
	meta_begin(m);
	CHECK(tree_list(m, dir, 0, 0, nothing, NULL, NULL));
	meta_end(m, 0);
	report("list of a directory whose names all ended", start, 1);
}

static int count_records(void *arg, const struct audit_entry *entry) {
	(void)entry;
	++*(uint64_t *)arg;
	return 0;
}

static void query(const char *what, const struct audit_filter *filter) {
	uint64_t count = 0;
	double start = seconds();
	meta_begin(m);
	CHECK(audit_query(m, filter, count_records, &count));
	meta_end(m, 0);
	printf("%-52s %8.1f ms, %" PRIu64 " records\n", what, (seconds() - start) * 1e3, count);
}

static void bench_audit(uint64_t records) {
	uint64_t before = database_bytes();
	static const char *const events[] = {"open", "read", "close", "create", "write"};
	double start = seconds();
	for (uint64_t i = 0; i < records; i++) {
		char path[64];
		snprintf(path, sizeof path, "Landing/project-%" PRIu64 "/file-%" PRIu64 ".csv", i / 1000 % 500,
		        i % 1000);
		struct audit_event event = event_of(events[i % 5], path);
		event.actor.uid = i == records / 2 ? 4242 : 1000 + (uint32_t)(i / 5000 % 20);
		event.actor.pid = (int32_t)(i / 200);
		event.node = 1000 + i / 5;
		event.outcome = i % 10000 ? "ok" : "denied";
		meta_begin(m);
		CHECK(meta_end(m, audit_record(m, &event, NULL)));
		if (i % 4000 == 3999)
			commit();
	}
	commit();
	report("audit record, commits every 4,000", start, records);
	printf("%-52s %8.0f bytes\n", "  database for each", (double)(database_bytes() - before) / (double)records);
	query("  one user's one record", &(struct audit_filter){.has_uid = true, .uid = 4242});
	query("  denials", &(struct audit_filter){.outcome = "denied"});
	query("  a directory", &(struct audit_filter){.path_prefix = "Landing/project-77/"});
	query("  a glob", &(struct audit_filter){.path_glob = "Landing/project-4?/file-77.csv"});
	query("  last 100", &(struct audit_filter){.newest_first = true, .limit = 100});
	query("  writes of a user, newest 1,000",
	        &(struct audit_filter){
	                .event = "write", .has_uid = true, .uid = 1003, .newest_first = true, .limit = 1000});
	start = seconds();
	meta_begin(m);
	CHECK(audit_verify(m, 0, NULL));
	meta_end(m, 0);
	report("  verify, a record", start, records);
}

int main(int argc, char **argv) {
	uint64_t files = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
	uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000000;
	struct meta_init init = {.vault_id = bytes_of("bench", 5)};
	char path[] = "/dev/shm/bench-meta-XXXXXX";
	int fd = mkstemp(path);
	if (fd < 0 || sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return 1;
	close(fd);
	sqlite3_exec(db,
	        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
	        "PRAGMA temp_store = MEMORY; PRAGMA cache_spill = OFF",
	        NULL, NULL, NULL);
	CHECK(meta_create_handle(db, &init, NULL));
	CHECK(meta_open_handle(db, NULL, &m));
	/* Both files stay open; nothing is left behind however this ends. */
	char wal[sizeof path + 4];
	snprintf(wal, sizeof wal, "%s-wal", path);
	unlink(path);
	unlink(wal);
	uint64_t dir = bench_create(files, false);
	bench_read(dir, files);
	bench_change(dir, files);
	bench_create(files, true);
	bench_audit(records);
	meta_close(m);
	sqlite3_close(db);
	return 0;
}
