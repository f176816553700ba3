/* Records as packs: their bytes, and the log that is made of them, beside rows of earlier vaults. */
#include "backend/audit_pack.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/audit_private.h"
#include "crypto/base/fault.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

/* ---- bytes ---- */

static struct audit_stored full_record(void) {
	return (struct audit_stored){.seq = 7,
	        .time_ns = 0x0102030405060708,
	        .event = 1,
	        .exe = 2,
	        .outcome = 1,
	        .err = 13,
	        .uid = 1000,
	        .gid = 100,
	        .pid = 42,
	        .path = {.set = true, .dir = 3, .name = text("a.csv"), .cut = 5000},
	        .path2 = {.set = true, .name = text("b"), .cut = 0},
	        .node = 300,
	        .version = 4,
	        .bytes = 5,
	        .has_detail = true,
	        .detail = text("why"),
	        .detail_cut = 3000};
}

/* These bytes are the format. */
static void the_bytes_of_a_pack_are_pinned(void **state) {
	(void)state;
	static const uint8_t full[] = {0x7d, 0x1f, 8, 7, 6, 5, 4, 3, 2, 1, 1, 2, 0xe8, 7, 100, 13, 42, 3, 5, 'a', '.',
	        'c', 's', 'v', 0x88, 0x27, 0, 1, 'b', 0xac, 2, 4, 5, 3, 'w', 'h', 'y', 0xb8, 0x17};
	static const uint8_t least[] = {0, 0, 0x80, 1, 9, 8, 0, 0};
	uint8_t bytes[AUDIT_RECORD_BYTES_MAX];
	struct audit_stored record = full_record();
	assert_int_equal(audit_pack_put(&record, NULL, bytes), sizeof full);
	assert_memory_equal(bytes, full, sizeof full);
	struct audit_stored next = {.seq = 8, .time_ns = record.time_ns + 128, .event = 9, .exe = 8};
	assert_int_equal(audit_pack_put(&next, &record.time_ns, bytes), sizeof least);
	assert_memory_equal(bytes, least, sizeof least);
}

static void assert_same_record(const struct audit_stored *a, const struct audit_stored *b) {
	uint8_t one[AUDIT_RECORD_BYTES_MAX], other[AUDIT_RECORD_BYTES_MAX];
	size_t size = audit_pack_put(a, NULL, one);
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(audit_pack_put(b, NULL, other), size);
	assert_memory_equal(one, other, size);
}

static void what_was_written_is_read(void **state) {
	(void)state;
	static char name[AUDIT_PATH_MAX], detail[AUDIT_DETAIL_MAX];
	static uint8_t pack[2 * AUDIT_RECORD_BYTES_MAX];
	static struct audit_stored read[AUDIT_TILE_HASHES];
	struct audit_stored most = full_record();
	most.time_ns = INT64_MIN;
	most.event = most.exe = most.path.dir = most.path2.dir = most.path.cut = most.path2.cut = UINT64_MAX;
	most.node = most.version = most.bytes = most.detail_cut = UINT64_MAX;
	most.uid = most.gid = UINT32_MAX;
	most.err = INT32_MAX;
	most.pid = -1;
	most.path.name = most.path2.name = bytes_of(name, sizeof name);
	most.detail = bytes_of(detail, sizeof detail);
	struct audit_stored late = {.seq = 8, .time_ns = -1, .has_detail = true, .path = {.set = true}};
	size_t size = audit_pack_put(&most, NULL, pack);
	assert_in_range(size, AUDIT_RECORD_BYTES_MAX - 40, AUDIT_RECORD_BYTES_MAX);
	size += audit_pack_put(&late, &most.time_ns, pack + size);
	assert_int_equal(audit_pack_read(7, 2, bytes_of(pack, size), read), 0);
	assert_same_record(&read[0], &most);
	assert_same_record(&read[1], &late);
	assert_true(read[1].path.set && !read[1].path2.set && read[1].has_detail && read[1].detail.size == 0);
}

static void a_pack_that_is_cut_or_counted_otherwise_is_refused(void **state) {
	(void)state;
	static struct audit_stored read[AUDIT_TILE_HASHES];
	uint8_t pack[2 * AUDIT_RECORD_BYTES_MAX];
	struct audit_stored record = full_record();
	size_t size = audit_pack_put(&record, NULL, pack);
	size += audit_pack_put(&record, &record.time_ns, pack + size);
	assert_int_equal(audit_pack_read(7, 2, bytes_of(pack, size), read), 0);
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(audit_pack_read(7, 2, bytes_of(cut ? pack : NULL, cut), read), -EUCLEAN);
	pack[size] = 0;
	assert_int_equal(audit_pack_read(7, 2, bytes_of(pack, size + 1), read), -EUCLEAN);
	assert_non_null(strstr(fault_message(), "record 8 "));
	static const uint64_t counts[] = {0, 1, 3, 257, UINT64_MAX};
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
		assert_int_equal(audit_pack_read(7, counts[i], bytes_of(pack, size), read), -EUCLEAN);
	assert_int_equal(audit_pack_read(255, 2, bytes_of(pack, size), read), -EUCLEAN);
	assert_int_equal(audit_pack_read(UINT64_MAX, 1, bytes_of(pack, size), read), -EUCLEAN);
}

static void a_record_in_any_other_form_is_refused(void **state) {
	(void)state;
	static struct audit_stored read[AUDIT_TILE_HASHES];
#define TIME 0, 0, 0, 0, 0, 0, 0, 0
	static const struct {
		uint8_t bytes[32];
		size_t size;
		bool good;
	} cases[] = {
	        {{0, 0, TIME, 1, 1, 0, 0}, 14, true},
	        {{3, 0, TIME, 1, 1, 0, 0}, 14, false},       /* no such outcome */
	        {{0, 0x20, TIME, 1, 1, 0, 0}, 14, false},    /* no such flag */
	        {{0, 0, TIME, 0x81, 0, 1, 0, 0}, 15, false}, /* 1 in two bytes */
	        {{0, 8, TIME, 0x81, 0, 1, 0, 0, 6, 'a', 'b', 'c', 'd', 'e', 'f'}, 22,
	                false}, /* the same, with more behind it */
	        {{0, 8, TIME, 0x81, 1, 1, 0, 0, 6, 'a', 'b', 'c', 'd', 'e', 'f'}, 22, true}, /* 129 */
	        {{0, 0, TIME, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x1f, 0}, 18, false},            /* uid above 32 bits */
	        {{0, 1, TIME, 1, 1, 0, 0, 0}, 15, false},                                    /* node 0 named */
	        {{0, 1, TIME, 1, 1, 0, 0, 1}, 15, true},                                     /* node 1 */
	        {{4, 0, TIME, 1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, 19, false},         /* a negative errno */
	        {{0x20, 0, TIME, 1, 1, 0, 0, 1}, 15, false},                                 /* a cut without a path */
	        {{0, 0x10, TIME, 1, 1, 0, 0, 1}, 15, false},             /* a cut without a detail */
	        {{0x10, 0, TIME, 1, 1, 0, 0, 0, 0x81, 0x20}, 17, false}, /* a name of 4,097 bytes */
	        {{0, 1, TIME, 1, 1, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2}, 24, false},
	        {{0, 1, TIME, 1, 1, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}, 24, true},
	};
#undef TIME
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int rc = audit_pack_read(0, 1, bytes_of(cases[i].bytes, cases[i].size), read);
		if (rc != (cases[i].good ? 0 : -EUCLEAN))
			fail_msg("case %zu: %d", i, rc);
	}
	uint8_t late[2 * AUDIT_RECORD_BYTES_MAX];
	struct audit_stored last = {.time_ns = INT64_MAX}, first = {.time_ns = -1};
	size_t size = audit_pack_put(&last, NULL, late);
	size += audit_pack_put(&last, &first.time_ns, late + size); /* 2^63 later than the last moment there is */
	assert_int_equal(audit_pack_read(0, 2, bytes_of(late, size), read), -EUCLEAN);
}

/* ---- the log ---- */

static int record_open(struct fixture *f, const char *path, const char *detail) {
	struct audit_event event = {.event = "open", .path = path, .detail = detail, .actor = {.uid = 7, .exe = "cp"}};
	return audit_record(f->m, &event, NULL);
}

static void record_many(struct fixture *f, uint64_t count, const char *detail) {
	for (uint64_t i = 0; i < count; i++) {
		char path[64];
		snprintf(path, sizeof path, "Landing/%" PRIu64 "/f%" PRIu64, i % 7, i);
		assert_int_equal(OP(f, record_open(f, path, detail)), 0);
	}
}

#define PACKED "SELECT coalesce(sum(count), 0) FROM audit_pack"

static void each_line_has_its_number(struct fixture *f, uint64_t count) {
	static char line[AUDIT_LINE_MAX + 1];
	for (uint64_t seq = 0; seq < count; seq++) {
		char begin[40];
		snprintf(begin, sizeof begin, "{\"seq\":%" PRIu64 ",", seq);
		assert_int_equal(OP(f, audit_render(f->m, seq, line, sizeof line, NULL)), 0);
		assert_int_equal(strncmp(line, begin, strlen(begin)), 0);
	}
	assert_int_equal(OP(f, audit_render(f->m, count, line, sizeof line, NULL)), -ENOENT);
}

static void records_become_packs_of_a_tile_when_the_commit_comes(void **state) {
	struct fixture *f = *state;
	record_many(f, 600, NULL);
	assert_int_equal(sql_value_of(f, PACKED), 0);
	each_line_has_its_number(f, 600);
	fixture_commit(f);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM audit_pack"), 3);
	record_many(f, 1, NULL);
	fixture_commit(f);
	record_many(f, 300, NULL);
	fixture_commit(f);
	assert_int_equal(sql_value_of(f, "SELECT group_concat(first || '+' || count) = "
	                                 "'0+256,256+256,512+88,600+1,601+167,768+133' FROM (SELECT * FROM audit_pack "
	                                 "ORDER BY first)"),
	        1);
	fixture_reopen(f);
	each_line_has_its_number(f, 901);
	assert_int_equal(OP(f, audit_verify(f->m, 0, NULL)), 0);
	assert_int_equal(OP(f, audit_verify(f->m, 599, NULL)), 0);
}

static void a_lone_record_counts_as_an_operation_and_is_committed(void **state) {
	struct fixture *f = *state;
	struct meta_committed done;
	record_many(f, 1, NULL);
	assert_int_equal(meta_pending(f->m), 1);
	assert_int_equal(meta_pending_writes(f->m), 1); /* its texts */
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, &done), 0);
	assert_true(done.changed && done.audit_size == 1);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, &done), 0);
	assert_false(done.changed);
	record_many(f, 1, NULL);
	assert_int_equal(meta_pending(f->m), 1);
	assert_int_equal(meta_pending_writes(f->m), 0);
	fixture_commit(f);
	fixture_reopen(f);
	each_line_has_its_number(f, 2);
}

static void each_record_has_its_leaf_whoever_makes_it(void **state) {
	struct fixture *f = *state;
	uint64_t random = 11, kept = 0;
	for (int i = 0; i < 4000; i++) {
		char path[32];
		size_t now = (size_t)random_below(&random, 5), unhashed = audit_unhashed(f->m);
		snprintf(path, sizeof path, "d%d/f%d", (int)random_below(&random, 40), i);
		meta_begin(f->m);
		assert_int_equal(record_open(f, path, NULL), 0);
		assert_int_equal(audit_hash(f->m, now), 0);
		assert_int_equal(audit_unhashed(f->m), now < unhashed + 1 ? unhashed + 1 - now : 0);
		int rc = random_below(&random, 4) ? 0 : -ECANCELED;
		assert_int_equal(meta_end(f->m, rc), rc);
		kept += rc == 0;
		if (random_below(&random, 300) == 0) {
			fixture_commit(f);
			assert_int_equal(audit_unhashed(f->m), 0);
		}
	}
	assert_in_range(kept, 2500, 3500);
	fixture_commit(f);
	uint64_t checked = 0;
	assert_int_equal(OP(f, audit_verify(f->m, 0, &checked)), 0);
	assert_int_equal(checked, kept);
	fixture_reopen(f);
	assert_int_equal(OP(f, audit_verify(f->m, 0, NULL)), 0);
}

/* A megabyte is some 480 of these. */
static void what_is_held_in_memory_has_a_bound_and_undoing_stays_right(void **state) {
	struct fixture *f = *state;
	char detail[AUDIT_DETAIL_MAX + 1];
	memset(detail, 'x', sizeof detail - 1);
	detail[sizeof detail - 1] = '\0';
	uint64_t count = AUDIT_KEPT_MAX / AUDIT_DETAIL_MAX - 5;
	record_many(f, count, detail);
	/* The operation that goes too far is undone: nothing was written. */
	meta_begin(f->m);
	for (int i = 0; i < 50; i++)
		assert_int_equal(record_open(f, "Landing/new-folder/x", detail), 0);
	assert_int_equal(meta_end(f->m, -ECANCELED), -ECANCELED);
	assert_int_equal(sql_value_of(f, PACKED), 0);
	/* One that is kept: all is written, its own records too. */
	meta_begin(f->m);
	for (int i = 0; i < 50; i++)
		assert_int_equal(record_open(f, "Landing/new-folder/x", detail), 0);
	assert_int_equal(meta_end(f->m, 0), 0);
	assert_int_equal(sql_value_of(f, PACKED), count + 50);
	each_line_has_its_number(f, count + 50);
	meta_begin(f->m);
	assert_int_equal(record_open(f, "Landing/another/x", detail), 0);
	assert_int_equal(meta_end(f->m, -ECANCELED), -ECANCELED);
	record_many(f, 3, detail);
	each_line_has_its_number(f, count + 53);
	assert_int_equal(sql_value_of(f, PACKED), count + 50);
	fixture_commit(f);
	fixture_reopen(f);
	each_line_has_its_number(f, count + 53);
	assert_int_equal(OP(f, audit_verify(f->m, 0, NULL)), 0);
	/* Without a commit they are gone. */
	record_many(f, count + 50, detail);
	fixture_reopen(f);
	each_line_has_its_number(f, count + 53);
}

static void any_flipped_bit_of_a_pack_is_found(void **state) {
	struct fixture *f = *state;
	record_many(f, 20, "read 0, written 1024");
	fixture_commit(f);
	assert_int_equal(raw_sql(f, "DROP TRIGGER audit_pack_update"), SQLITE_OK);
	uint64_t size = sql_value_of(f, "SELECT length(records) FROM audit_pack");
	sqlite3_blob *blob = NULL;
	for (uint64_t bit = 0; bit < 8 * size; bit++) {
		uint8_t byte;
		assert_int_equal(sqlite3_blob_open(f->db, "main", "audit_pack", "records", 0, 1, &blob), SQLITE_OK);
		assert_int_equal(sqlite3_blob_read(blob, &byte, 1, (int)(bit / 8)), SQLITE_OK);
		uint8_t flipped = byte ^ (uint8_t)(1U << bit % 8);
		assert_int_equal(sqlite3_blob_write(blob, &flipped, 1, (int)(bit / 8)), SQLITE_OK);
		int rc = OP(f, audit_verify(f->m, 0, NULL));
		assert_int_equal(sqlite3_blob_write(blob, &byte, 1, (int)(bit / 8)), SQLITE_OK);
		sqlite3_blob_close(blob);
		if (rc != -EBADMSG && rc != -EUCLEAN)
			fail_msg("bit %" PRIu64 ": %d", bit, rc);
		assert_non_null(strstr(fault_message(), "record "));
	}
	assert_int_equal(OP(f, audit_verify(f->m, 0, NULL)), 0);
}

/* ---- rows of version 1 ---- */

#define SCHEMA "SELECT hex(substr(value, 1, 1)) FROM kv WHERE key = 'meta.schema'"

static void an_older_vault_goes_on_as_it_is_until_something_is_recorded(void **state) {
	struct fixture *f = *state;
	uint8_t root[32], later[32];
	uint64_t size;
	record_many(f, 700, "words");
	fixture_commit(f);
	assert_int_equal(OP(f, audit_root(f->m, &size, root)), 0);
	make_version_1(f);
	assert_int_equal(OP(f, audit_verify(f->m, 0, NULL)), 0);
	each_line_has_its_number(f, 700);
	fixture_commit(f);
	meta_begin(f->m);
	assert_int_equal(record_open(f, "Landing/x", NULL), 0);
	assert_int_equal(meta_end(f->m, -ECANCELED), -ECANCELED);
	assert_int_equal(sql_value_of(f, SCHEMA), 1);
	record_many(f, 400, "more");
	fixture_commit(f);
	assert_int_equal(sql_value_of(f, SCHEMA), 2);
	assert_int_equal(sql_value_of(f, "SELECT max(seq) FROM audit"), 699);
	assert_int_equal(sql_value_of(f, "SELECT min(first) FROM audit_pack"), 700);
	fixture_reopen(f);
	each_line_has_its_number(f, 1100);
	assert_int_equal(OP(f, audit_verify(f->m, 0, NULL)), 0);
	assert_int_equal(OP(f, audit_root_at(f->m, 700, later)), 0);
	assert_memory_equal(root, later, sizeof root);
	assert_int_not_equal(raw_sql(f, "UPDATE audit SET uid = 0"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "DELETE FROM audit"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "DELETE FROM audit_pack"), SQLITE_OK);
}

/* More than is held is written before the commit, and the schema raised with it. */
static void an_older_vault_is_raised_where_the_records_are_written(void **state) {
	struct fixture *f = *state;
	static char detail[AUDIT_DETAIL_MAX + 1];
	memset(detail, 'y', sizeof detail - 1);
	record_many(f, 300, NULL);
	fixture_commit(f);
	make_version_1(f);
	record_many(f, AUDIT_KEPT_MAX / AUDIT_DETAIL_MAX + 10, detail);
	assert_int_equal(sql_value_of(f, SCHEMA), 2);
	fixture_reopen(f); /* not committed */
	assert_int_equal(sql_value_of(f, SCHEMA), 1);
	each_line_has_its_number(f, 300);
}

static void rows_of_version_1_are_pruned_too(void **state) {
	struct fixture *f = *state;
	uint64_t checked = 0;
	record_many(f, 600, NULL);
	fixture_commit(f);
	make_version_1(f);
	record_many(f, 300, NULL);
	fixture_commit(f);
	for (uint64_t end = 512; end <= 768; end += 256) {
		assert_int_equal(OP(f, audit_prune(f->m, end)), 0);
		fixture_commit(f);
		fixture_reopen(f);
		assert_int_equal(OP(f, audit_verify(f->m, 0, &checked)), 0);
		assert_int_equal(checked, 900 - end);
		assert_int_equal(sql_value_of(f, "SELECT count(*) FROM audit"), end == 512 ? 600 - 512 : 0);
		assert_int_equal(sql_value_of(f, PACKED), end == 512 ? 300 : 900 - 768);
	}
	assert_int_not_equal(raw_sql(f, "DELETE FROM audit_pack"), SQLITE_OK);
}

static int refuse(void *arg) {
	(void)arg;
	return 1;
}

static int count_record(void *arg, const struct audit_entry *entry) {
	(void)entry;
	++*(uint64_t *)arg;
	return 0;
}

/* The commit that was to raise the vault fails: what it wrote is gone, and what was there is told as before. */
static void what_a_failed_commit_took_back_is_not_told(void **state) {
	struct fixture *f = *state;
	const struct audit_filter all = {0};
	char line[AUDIT_LINE_MAX + 1];
	uint64_t told = 0;
	record_many(f, 300, NULL);
	fixture_commit(f);
	make_version_1(f);
	record_many(f, 5, NULL);
	sqlite3_commit_hook(f->db, refuse, NULL);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, NULL), -EIO);
	sqlite3_commit_hook(f->db, NULL, NULL);
	assert_int_equal(OP(f, audit_query(f->m, &all, count_record, &told)), 0);
	assert_int_equal(told, 300);
	assert_int_equal(OP(f, audit_render(f->m, 299, line, sizeof line, NULL)), 0);
	assert_int_equal(OP(f, audit_render(f->m, 300, line, sizeof line, NULL)), -ENOENT);
}

static void what_a_failed_commit_was_to_prune_is_there(void **state) {
	struct fixture *f = *state;
	const struct audit_filter all = {0};
	uint64_t told = 0;
	record_many(f, 600, NULL);
	fixture_commit(f);
	assert_int_equal(OP(f, audit_prune(f->m, 256)), 0);
	fixture_commit(f);
	assert_int_equal(OP(f, audit_prune(f->m, 512)), 0);
	assert_int_equal(OP(f, audit_query(f->m, &all, count_record, &told)), 0);
	assert_int_equal(told, 600 - 512);
	sqlite3_commit_hook(f->db, refuse, NULL);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, NULL), -EIO);
	sqlite3_commit_hook(f->db, NULL, NULL);
	told = 0;
	assert_int_equal(OP(f, audit_query(f->m, &all, count_record, &told)), 0);
	assert_int_equal(told, 600 - 256);
}

static void rows_of_version_1_are_held_against_the_tree(void **state) {
	struct fixture *f = *state;
	record_many(f, 300, NULL);
	fixture_commit(f);
	make_version_1(f);
	record_many(f, 300, NULL);
	fixture_commit(f);
	static const struct {
		const char *sql, *named;
	} changes[] = {
	        {"UPDATE audit SET uid = 0 WHERE seq = 299", "record 299 "},
	        {"DELETE FROM audit WHERE seq = 299", "record 299 "},
	        {"UPDATE audit SET outcome = 2 WHERE seq = 5", "record 5 "},
	        {"UPDATE audit SET time_ns = time_ns - 1000000000 WHERE seq = 298", "record 298 "},
	        {"UPDATE audit SET dir = 999 WHERE seq = 3", "record 3 "},
	};
	assert_int_equal(raw_sql(f, "DROP TRIGGER audit_update; DROP TRIGGER audit_delete"), SQLITE_OK);
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		assert_int_equal(raw_sql(f, "BEGIN"), SQLITE_OK);
		assert_int_equal(raw_sql(f, changes[i].sql), SQLITE_OK);
		int rc = OP(f, audit_verify(f->m, 0, NULL));
		assert_true(rc == -EBADMSG || rc == -EUCLEAN);
		assert_non_null(strstr(fault_message(), changes[i].named));
		assert_int_equal(raw_sql(f, "ROLLBACK"), SQLITE_OK);
	}
	assert_int_equal(raw_sql(f, "DELETE FROM audit WHERE seq = 299"), SQLITE_OK);
	meta_close(f->m);
	f->m = NULL;
	assert_int_equal(meta_open_handle(f->db, NULL, &f->m), -EUCLEAN);
}

static void a_vault_that_is_read_only_records_nothing(void **state) {
	struct fixture *f = *state;
	assert_int_equal(raw_sql(f, "PRAGMA query_only = ON"), SQLITE_OK);
	fixture_reopen(f);
	assert_int_equal(OP(f, record_open(f, "Landing/a", NULL)), -EROFS);
	assert_int_equal(meta_pending(f->m), 0);
	assert_int_equal(raw_sql(f, "PRAGMA query_only = OFF"), SQLITE_OK);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_bytes_of_a_pack_are_pinned),
	        cmocka_unit_test(what_was_written_is_read),
	        cmocka_unit_test(a_pack_that_is_cut_or_counted_otherwise_is_refused),
	        cmocka_unit_test(a_record_in_any_other_form_is_refused),
	        TEST(records_become_packs_of_a_tile_when_the_commit_comes),
	        TEST(a_lone_record_counts_as_an_operation_and_is_committed),
	        TEST(each_record_has_its_leaf_whoever_makes_it),
	        TEST(what_is_held_in_memory_has_a_bound_and_undoing_stays_right),
	        TEST(any_flipped_bit_of_a_pack_is_found),
	        TEST(an_older_vault_goes_on_as_it_is_until_something_is_recorded),
	        TEST(an_older_vault_is_raised_where_the_records_are_written),
	        TEST(rows_of_version_1_are_pruned_too),
	        TEST(what_a_failed_commit_took_back_is_not_told),
	        TEST(what_a_failed_commit_was_to_prune_is_there),
	        TEST(rows_of_version_1_are_held_against_the_tree),
	        TEST(a_vault_that_is_read_only_records_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
