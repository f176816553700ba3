#include "tests/backend/meta_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/audit_pack.h"

static int64_t tick(void *arg) {
	struct fixture *f = arg;
	f->now += 1000;
	return f->now;
}

struct meta_clock fixture_clock(struct fixture *f) {
	return (struct meta_clock){tick, f};
}

int fixture_setup(void **state) {
	struct fixture *f = calloc(1, sizeof *f);
	f->now = INT64_C(1700000000000000000);
	assert_int_equal(sqlite3_open(":memory:", &f->db), SQLITE_OK);
	struct meta_clock clock = fixture_clock(f);
	struct meta_init init = {.vault_id = bytes_of("0123456789abcdef", 16), .uid = 1000, .gid = 1000};
	assert_int_equal(meta_create_handle(f->db, &init, &clock), 0);
	assert_int_equal(meta_open_handle(f->db, &clock, &f->m), 0);
	*state = f;
	return 0;
}

int fixture_teardown(void **state) {
	struct fixture *f = *state;
	meta_close(f->m);
	assert_int_equal(sqlite3_close(f->db), SQLITE_OK);
	free(f);
	return 0;
}

void fixture_reopen(struct fixture *f) {
	meta_close(f->m);
	f->m = NULL;
	struct meta_clock clock = fixture_clock(f);
	assert_int_equal(meta_open_handle(f->db, &clock, &f->m), 0);
}

void fixture_commit(struct fixture *f) {
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, NULL), 0);
}

struct bytes text(const char *text) {
	return bytes_of_string(text);
}

struct node make(struct fixture *f, uint64_t parent, const char *name, uint32_t mode) {
	struct node attrs = {.mode = mode, .uid = 1000, .gid = 1000}, node;
	meta_begin(f->m);
	struct bytes target = S_ISLNK(mode) ? text("target") : bytes_of(NULL, 0);
	assert_int_equal(meta_end(f->m, tree_create(f->m, parent, text(name), &attrs, target, &node)), 0);
	return node;
}

struct block_ref ref_of(uint32_t mark) {
	struct block_ref ref = {.segment = 1 + mark % 7, .batch = 128, .position = mark, .plain = 4096};
	memset(ref.tag, (int)(mark & 0xff), sizeof ref.tag);
	return ref;
}

struct version seal_version(struct fixture *f, uint64_t node, enum zone zone, uint64_t size, uint32_t mark) {
	struct version draft, sealed = {0};
	struct block_ref ref = ref_of(mark);
	struct node now;
	meta_begin(f->m);
	int rc = tree_get(f->m, node, &now);
	if (rc == 0)
		rc = version_draft(f->m, node, now.version, zone, &draft);
	if (rc == 0)
		rc = version_map_put(f->m, draft.id, 0, &ref, 1);
	if (rc == 0)
		rc = version_set_size(f->m, draft.id, size);
	if (rc == 0)
		rc = version_seal(f->m, draft.id, ORIGIN_WRITE, 0, NULL, &sealed);
	assert_int_equal(meta_end(f->m, rc), 0);
	return sealed;
}

uint64_t make_verdict(struct fixture *f, enum verdict_outcome outcome, const uint8_t output[static 32]) {
	struct verdict_row row = {.path = text("Landing/a.csv"),
	        .outcome = (uint8_t)outcome,
	        .fresh = true,
	        .body = text("{}"),
	        .signature = text("signature"),
	        .key_name = text("audit"),
	        .time_ns = f->now};
	memcpy(row.output_sha256, output, 32);
	uint64_t id = 0;
	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, verdict_put(f->m, &row, &id)), 0);
	return id;
}

int raw_sql(struct fixture *f, const char *sql) {
	return sqlite3_exec(f->db, sql, NULL, NULL, NULL);
}

static void bind_path(sqlite3_stmt *stmt, int at, const struct audit_stored_path *path) {
	if (!path->set)
		return;
	sqlite3_bind_int64(stmt, at, (int64_t)path->dir);
	sqlite3_bind_blob(stmt, at + 1, path->name.size ? path->name.data : (const void *)"", (int)path->name.size,
	        SQLITE_STATIC);
	if (path->cut)
		sqlite3_bind_int64(stmt, at + 2, (int64_t)path->cut);
}

static void insert_row(sqlite3_stmt *stmt, const struct audit_stored *r) {
	const int64_t numbers[] = {(int64_t)r->seq, r->time_ns, (int64_t)r->event, r->outcome, r->err, r->uid, r->gid,
	        r->pid, (int64_t)r->exe};
	sqlite3_clear_bindings(stmt);
	for (int i = 0; i < 9; i++)
		sqlite3_bind_int64(stmt, i + 1, numbers[i]);
	bind_path(stmt, 10, &r->path);
	bind_path(stmt, 13, &r->path2);
	sqlite3_bind_int64(stmt, 16, (int64_t)r->node);
	sqlite3_bind_int64(stmt, 17, (int64_t)r->version);
	sqlite3_bind_int64(stmt, 18, (int64_t)r->bytes);
	if (r->has_detail)
		sqlite3_bind_blob(stmt, 19, r->detail.size ? r->detail.data : (const void *)"", (int)r->detail.size,
		        SQLITE_STATIC);
	if (r->detail_cut)
		sqlite3_bind_int64(stmt, 20, (int64_t)r->detail_cut);
	assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
	sqlite3_reset(stmt);
}

void unpack_audit(struct fixture *f, const char *table) {
	static struct audit_stored records[AUDIT_TILE_HASHES];
	sqlite3_stmt *packs = NULL, *rows = NULL;
	char sql[200];
	snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	        table);
	assert_int_equal(sqlite3_prepare_v2(f->db, sql, -1, &rows, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(f->db, "SELECT first, count, records FROM audit_pack ORDER BY first", -1,
	                         &packs, NULL),
	        SQLITE_OK);
	while (sqlite3_step(packs) == SQLITE_ROW) {
		uint64_t first = (uint64_t)sqlite3_column_int64(packs, 0),
		         count = (uint64_t)sqlite3_column_int64(packs, 1);
		struct bytes pack = bytes_of(sqlite3_column_blob(packs, 2), (size_t)sqlite3_column_bytes(packs, 2));
		assert_int_equal(audit_pack_read(first, count, pack, records), 0);
		for (uint64_t i = 0; i < count; i++)
			insert_row(rows, &records[i]);
	}
	sqlite3_finalize(packs);
	sqlite3_finalize(rows);
}

/* A row of the index for each node. */
#define NODES_OF_FULL_TILES                                                            \
	"INSERT INTO audit_value SELECT DISTINCT 8, node, seq / 256 FROM audit WHERE " \
	"node <> 0 AND seq / 256 < (SELECT count(*) / 256 FROM audit)"

uint64_t sql_value_of(struct fixture *f, const char *sql) {
	sqlite3_stmt *stmt = NULL;
	assert_int_equal(sqlite3_prepare_v2(f->db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	uint64_t value = (uint64_t)sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

void make_version_2(struct fixture *f) {
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM map_base"), 0);
	assert_int_equal(raw_sql(f, "DROP TABLE audit_head; DROP TRIGGER map_lent; DROP TABLE map_base"), SQLITE_OK);
	assert_int_equal(raw_sql(f, "UPDATE kv SET value = x'0200000000000000' WHERE key = 'meta.schema'"), SQLITE_OK);
	fixture_reopen(f);
}

void make_version_1(struct fixture *f) {
	make_version_2(f);
	unpack_audit(f, "audit");
	assert_int_equal(raw_sql(f, "DROP TABLE audit_pack"), SQLITE_OK);
	assert_int_equal(raw_sql(f, "UPDATE kv SET value = x'0100000000000000' WHERE key = 'meta.schema'"), SQLITE_OK);
	assert_int_equal(raw_sql(f, "DELETE FROM audit_value WHERE kind = 9"), SQLITE_OK);
	assert_int_equal(raw_sql(f, NODES_OF_FULL_TILES), SQLITE_OK);
	fixture_reopen(f);
}

uint64_t random_next(uint64_t *state) {
	/* splitmix64 */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(uint64_t *state, uint64_t bound) {
	return random_next(state) % bound;
}

#define SAME(field) assert_true(one->field == other->field)

void assert_same_node(const struct node *one, const struct node *other) {
	SAME(id);
	SAME(ino);
	SAME(zone);
	SAME(mode);
	SAME(uid);
	SAME(gid);
	SAME(nlink);
	SAME(rdev);
	SAME(size);
	SAME(atime);
	SAME(mtime);
	SAME(ctime);
	SAME(btime);
	SAME(version);
	SAME(parent);
	SAME(xattrs);
}

void assert_same_version(const struct version *one, const struct version *other) {
	SAME(id);
	SAME(node);
	SAME(number);
	SAME(size);
	SAME(zone);
	SAME(state);
	SAME(origin);
	SAME(fsynced);
	SAME(has_sha256);
	SAME(mtime);
	SAME(mode);
	SAME(uid);
	SAME(gid);
	SAME(born);
	SAME(sealed);
	SAME(sealed_time);
	SAME(base);
	SAME(verdict);
	assert_memory_equal(one->hash, other->hash, sizeof one->hash);
	assert_memory_equal(one->sha256, other->sha256, sizeof one->sha256);
}
