#include "backend/audit.h"

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
#include <jansson.h>

#include "backend/audit_pack.h"
#include "crypto/base/fault.h"
#include "crypto/merkle.h"
#include "tests/backend/audit_fixture.h"

static char *line_of(struct fixture *f, uint64_t seq) {
	static char line[AUDIT_LINE_MAX + 1];
	size_t length = 0;
	assert_int_equal(OP(f, audit_render(f->m, seq, line, sizeof line, &length)), 0);
	assert_int_equal(length, strlen(line));
	return line;
}

/* These bytes are the format: a change here forks every log there is. */
static void the_bytes_of_a_leaf_are_pinned(void **state) {
	struct fixture *f = *state;
	f->now = INT64_C(1795519265123456789) - 1000;
	struct audit_event e = event_of("rename", "Landing/a/b.csv");
	e.path2 = "Landing/\"q\"\\\x01\xc3\xa9";
	e.outcome = "denied";
	e.err = EACCES;
	e.node = 7;
	e.version = 8;
	e.bytes = 9;
	e.detail = "why\n";
	record(f, &e);
	assert_string_equal(line_of(f, 0),
	        "{\"seq\":0,\"time\":\"2026-11-24T11:21:05.123456789Z\",\"event\":\"rename\",\"outcome\":\"denied\","
	        "\"errno\":13,\"uid\":1000,\"gid\":100,\"pid\":42,\"exe\":\"cp\",\"path\":\"Landing/a/b.csv\","
	        "\"path2\":\"Landing/\\\"q\\\"\\\\\\u0001\xc3\xa9\",\"node\":7,\"version\":8,\"bytes\":9,"
	        "\"detail\":\"why\\u000a\"}");
	struct audit_event least = {.event = "mount"};
	record(f, &least);
	assert_string_equal(line_of(f, 1), "{\"seq\":1,\"time\":\"2026-11-24T11:21:05.123457789Z\",\"event\":\"mount\","
	                                   "\"outcome\":\"ok\",\"uid\":0,\"gid\":0}");
	fixture_commit(f);
	uint64_t size;
	uint8_t root[32];
	assert_int_equal(OP(f, audit_root(f->m, &size, root)), 0);
	assert_int_equal(size, 2);
}

static void every_path_comes_back_as_it_was(void **state) {
	struct fixture *f = *state;
	static const char *const paths[] = {"", "x", "/", "/x", "x/", "a/b/c", "a//b", "caf\xe9/x", "a/\xff\\\n",
	        "tab\there", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf", "\xf0\x9f\x92\xbe/\xe2\x82\xac"};
	static const char *const want[] = {"\"path\":\"\"", "\"path\":\"x\"", "\"path\":\"/\"", "\"path\":\"/x\"",
	        "\"path\":\"x/\"", "\"path\":\"a/b/c\"", "\"path\":\"a//b\"", "\"path_escaped\":\"caf\\\\xe9/x\"",
	        "\"path_escaped\":\"a/\\\\xff\\\\\\\\\\\\x0a\"", "\"path\":\"tab\\u0009here\"",
	        "\"path_escaped\":\"\\\\xed\\\\xa0\\\\x80\"", "\"path_escaped\":\"\\\\xf4\\\\x90\\\\x80\\\\x80\"",
	        "\"path_escaped\":\"\\\\xc0\\\\xaf\"", "\"path\":\"\xf0\x9f\x92\xbe/\xe2\x82\xac\""};
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		struct audit_event e = event_of("open", paths[i]);
		record(f, &e);
		const char *line = line_of(f, i);
		assert_non_null(strstr(line, want[i]));
		json_error_t error;
		json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &error);
		assert_non_null(json);
		json_decref(json);
	}
}

static void the_longest_record_fits_an_entry_of_a_bundle(void **state) {
	struct fixture *f = *state;
	static char path[10000], detail[5000];
	memset(path, '\x01', sizeof path - 1);
	memset(detail, '\x02', sizeof detail - 1);
	struct audit_event e = event_of("abcdefghijklmnopqrstuvwxyz-abcde", path);
	memset(e.actor.exe, '\x03', sizeof e.actor.exe);
	e.path2 = path;
	e.detail = detail;
	e.err = INT32_MAX;
	e.actor.pid = -1;
	e.node = e.version = e.bytes = INT64_MAX;
	record(f, &e);
	const char *line = line_of(f, 0);
	assert_true(strlen(line) <= AUDIT_LINE_MAX && strlen(line) > 6 * 2 * AUDIT_PATH_MAX);
	assert_true(AUDIT_LINE_MAX <= 65535);
	assert_non_null(strstr(line, "\"path_bytes\":9999"));
	assert_non_null(strstr(line, "\"detail_bytes\":4999"));
}

static void of_a_path_its_beginning_and_length_will_do(void **state) {
	struct fixture *f = *state;
	struct audit_event e = event_of("rename", "Landing/beg");
	e.path2 = "Landing/whole";
	e.path_bytes = 9000;
	record(f, &e);
	assert_non_null(
	        strstr(line_of(f, 0), "\"path\":\"Landing/beg\",\"path_bytes\":9000,\"path2\":\"Landing/whole\""));
	assert_null(strstr(line_of(f, 0), "path2_bytes"));
	e.path_bytes = 0;
	e.path2_bytes = 9001;
	record(f, &e);
	assert_null(strstr(line_of(f, 1), "path_bytes"));
	assert_non_null(strstr(line_of(f, 1), "\"path2_bytes\":9001"));
}

static void malformed_events_are_refused(void **state) {
	struct fixture *f = *state;
	static const char *const bad[] = {NULL, "", "Open", "a b", "-a", "abcdefghijklmnopqrstuvwxyz-abcdef"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct audit_event e = event_of(bad[i], NULL);
		assert_int_equal(OP(f, audit_record(f->m, &e, NULL)), -EINVAL);
	}
	struct audit_event e = event_of("open", NULL);
	e.outcome = "fine";
	assert_int_equal(OP(f, audit_record(f->m, &e, NULL)), -EINVAL);
}

static void a_record_vanishes_with_its_operation_and_a_denial_stays_alone(void **state) {
	struct fixture *f = *state;
	struct audit_event e = event_of("create", "Landing/new-directory/a");
	struct node attrs = {.mode = S_IFREG}, node;
	meta_begin(f->m);
	assert_int_equal(tree_create(f->m, NODE_LANDING, text("a"), &attrs, text(""), &node), 0);
	assert_int_equal(audit_record(f->m, &e, NULL), 0);
	assert_int_equal(meta_end(f->m, -ECANCELED), -ECANCELED);
	meta_begin(f->m);
	assert_int_equal(audit_size(f->m), 0);
	meta_end(f->m, 0);

	struct audit_event denied = event_of("create", "Landing/new-directory/a");
	denied.outcome = "denied";
	meta_begin(f->m);
	assert_int_equal(tree_create(f->m, NODE_LANDING, text("a"), &attrs, text(""), &node), 0);
	assert_int_equal(audit_record(f->m, &e, NULL), 0);
	assert_int_equal(meta_end_denied(f->m, -EACCES, &denied), -EACCES);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("a"), &node)), -ENOENT);
	assert_non_null(strstr(line_of(f, 0), "\"outcome\":\"denied\""));
	assert_int_equal(meta_pending(f->m), 1);
	fixture_commit(f);
	fixture_reopen(f);
	assert_non_null(strstr(line_of(f, 0), "Landing/new-directory/a"));
	assert_int_equal(OP(f, audit_verify(f->m, 0, NULL)), 0);
}

static void records_can_not_be_changed_or_removed_by_raw_sql(void **state) {
	struct fixture *f = *state;
	struct audit_event e = event_of("open", "Landing/a");
	record(f, &e);
	fixture_commit(f);
	static const char *const forbidden[] = {"UPDATE audit_pack SET first = first + 1", "DELETE FROM audit_pack",
	        "UPDATE string SET text = x'41'", "DELETE FROM string", "UPDATE audit_tile SET hashes = zeroblob(32)",
	        "DELETE FROM audit_tile", "UPDATE audit_tile SET hashes = zeroblob(64)",
	        "INSERT OR REPLACE INTO audit_pack SELECT * FROM audit_pack"};
	assert_int_equal(raw_sql(f, "PRAGMA recursive_triggers = ON"), SQLITE_OK);
	for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
		assert_int_not_equal(raw_sql(f, forbidden[i]), SQLITE_OK);
}

static void times_never_run_backwards(void **state) {
	struct fixture *f = *state;
	struct audit_event e = event_of("open", "Landing/a");
	int64_t first, second, third;
	record(f, &e);
	f->now -= INT64_C(1000000000000);
	record(f, &e);
	fixture_commit(f);
	fixture_reopen(f);
	f->now -= INT64_C(1000000000000);
	record(f, &e);
	assert_int_equal(OP(f, audit_time(f->m, 0, &first)), 0);
	assert_int_equal(OP(f, audit_time(f->m, 1, &second)), 0);
	assert_int_equal(OP(f, audit_time(f->m, 2, &third)), 0);
	assert_true(first <= second && second <= third);
}

/* ---- the tree ---- */

static void root_over_lines(struct fixture *f, uint64_t size, uint8_t root[32]) {
	struct merkle_frontier frontier = {0};
	for (uint64_t seq = 0; seq < size; seq++) {
		merkle_hash leaf;
		const char *line = line_of(f, seq);
		merkle_leaf(bytes_of_string(line), leaf);
		assert_int_equal(merkle_frontier_append(&frontier, leaf, NULL, NULL), 0);
	}
	merkle_frontier_root(&frontier, root);
}

static void the_tree_is_rfc_6962_over_the_lines_across_commits_and_reopening(void **state) {
	struct fixture *f = *state;
	static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 700, 1300};
	uint64_t made = 0, size;
	uint8_t roots[8][32], root[32];
	for (size_t i = 0; i < 8; i++) {
		for (; made < sizes[i]; made++) {
			char path[40];
			snprintf(path, sizeof path, "Landing/d%" PRIu64 "/f%" PRIu64, made % 9, made);
			struct audit_event e = event_of(made % 3 ? "open" : "write", path);
			record(f, &e);
		}
		fixture_commit(f);
		if (i % 2)
			fixture_reopen(f);
		assert_int_equal(OP(f, audit_root(f->m, &size, roots[i])), 0);
		assert_int_equal(size, sizes[i]);
	}
	for (size_t i = 0; i < 8; i++) {
		root_over_lines(f, sizes[i], root);
		assert_memory_equal(root, roots[i], 32);
		assert_int_equal(OP(f, audit_root_at(f->m, sizes[i], root)), 0);
		assert_memory_equal(root, roots[i], 32);
	}
	struct merkle_proof proof;
	uint8_t leaf[32];
	assert_int_equal(OP(f, merkle_inclusion_prove(600, 1300, audit_fetch, f->m, &proof)), 0);
	merkle_leaf(bytes_of_string(line_of(f, 600)), leaf);
	assert_int_equal(merkle_inclusion_verify(600, 1300, leaf, &proof, roots[7]), 0);
	assert_int_equal(OP(f, merkle_consistency_prove(257, 1300, audit_fetch, f->m, &proof)), 0);
	assert_int_equal(merkle_consistency_verify(257, roots[4], 1300, roots[7], &proof), 0);
	uint8_t tile[AUDIT_TILE_HASHES * AUDIT_HASH_BYTES];
	size_t count;
	assert_int_equal(OP(f, audit_tile(f->m, 0, 5, tile, &count)), 0);
	assert_int_equal(count, 1300 - 5 * 256);
	assert_int_equal(OP(f, audit_tile(f->m, 1, 0, tile, &count)), 0);
	assert_int_equal(count, 5);
	assert_int_equal(OP(f, audit_tile(f->m, 0, 6, tile, &count)), -ENOENT);
	uint64_t checked;
	assert_int_equal(OP(f, audit_verify(f->m, 0, &checked)), 0);
	assert_int_equal(checked, 1300);
}

static void fill(struct fixture *f, uint64_t count) {
	struct audit_event e = event_of("open", "Landing/a");
	for (uint64_t i = 0; i < count; i++)
		record(f, &e);
	fixture_commit(f);
}

/* Record 300 says that another user did it, in a pack that is well formed. */
static void change_record_300(struct fixture *f) {
	static struct audit_stored records[AUDIT_TILE_HASHES];
	static uint8_t changed[AUDIT_TILE_HASHES * 64 + AUDIT_RECORD_BYTES_MAX];
	sqlite3_stmt *stmt = NULL;
	sqlite3_prepare_v2(f->db, "SELECT count, records FROM audit_pack WHERE first = 256", -1, &stmt, NULL);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	uint64_t count = (uint64_t)sqlite3_column_int64(stmt, 0);
	struct bytes pack = bytes_of(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1));
	assert_int_equal(audit_pack_read(256, count, pack, records), 0);
	records[300 - 256].uid = 0;
	size_t size = 0;
	for (uint64_t i = 0; i < count; i++)
		size += audit_pack_put(&records[i], i ? &records[i - 1].time_ns : NULL, changed + size);
	sqlite3_finalize(stmt);
	sqlite3_prepare_v2(f->db, "UPDATE audit_pack SET records = ? WHERE first = 256", -1, &stmt, NULL);
	sqlite3_bind_blob(stmt, 1, changed, (int)size, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
	sqlite3_finalize(stmt);
}

#define OTHER_PACK "(SELECT records FROM audit_pack WHERE first = 0)"

static void what_was_changed_past_the_guards_is_found_and_named(void **state) {
	struct fixture *f = *state;
	static const struct {
		const char *sql, *named;
	} changes[] = {
	        {"SELECT 1", "record 300 "}, /* change_record_300 */
	        {"DELETE FROM audit_pack WHERE first = 256", "record 256 "},
	        {"DELETE FROM audit_pack WHERE first = 512", "record 512 "},
	        {"UPDATE audit_pack SET records = " OTHER_PACK " WHERE first = 256", "record 256 "},
	        {"UPDATE audit_pack SET records = substr(records, 1, length(records) - 1) WHERE first = 256",
	                "record 511 "},
	        {"UPDATE audit_pack SET count = 255 WHERE first = 256", "record 510 "},
	        {"UPDATE audit_pack SET first = 520 WHERE first = 512", "record 512 "},
	        {"UPDATE string SET text = x'6f70656f' WHERE text = x'6f70656e'", "record 0 "},
	        {"DELETE FROM string WHERE text = x'6f70656e'", "record 0 "},
	        {"UPDATE audit_tile SET hashes = zeroblob(8192) WHERE level = 0 AND idx = 0", "record 0 "},
	        {"UPDATE audit_tile SET hashes = zeroblob(length(hashes)) WHERE level = 1", "tile 1/0"},
	};
	fill(f, 600);
	assert_int_equal(raw_sql(f, "DROP TRIGGER audit_pack_update; DROP TRIGGER audit_pack_delete;"
	                            "DROP TRIGGER string_update; DROP TRIGGER string_delete;"
	                            "DROP TRIGGER audit_tile_update"),
	        SQLITE_OK);
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		assert_int_equal(raw_sql(f, "BEGIN"), SQLITE_OK);
		assert_int_equal(raw_sql(f, changes[i].sql), SQLITE_OK);
		if (i == 0)
			change_record_300(f);
		int rc = OP(f, audit_verify(f->m, 0, NULL));
		assert_true(rc == -EBADMSG || rc == -EUCLEAN);
		assert_non_null(strstr(fault_message(), changes[i].named));
		assert_int_equal(raw_sql(f, "ROLLBACK"), SQLITE_OK);
	}
	assert_int_equal(OP(f, audit_verify(f->m, 0, NULL)), 0);
	assert_int_equal(OP(f, audit_verify(f->m, 590, NULL)), 0);
	/* The last records cut off: the counters know. */
	assert_int_equal(raw_sql(f, "DELETE FROM audit_pack WHERE first = 512"), SQLITE_OK);
	meta_close(f->m);
	f->m = NULL;
	assert_int_equal(meta_open_handle(f->db, NULL, &f->m), -EUCLEAN);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(the_bytes_of_a_leaf_are_pinned),
	        TEST(every_path_comes_back_as_it_was),
	        TEST(the_longest_record_fits_an_entry_of_a_bundle),
	        TEST(of_a_path_its_beginning_and_length_will_do),
	        TEST(malformed_events_are_refused),
	        TEST(a_record_vanishes_with_its_operation_and_a_denial_stays_alone),
	        TEST(records_can_not_be_changed_or_removed_by_raw_sql),
	        TEST(times_never_run_backwards),
	        TEST(the_tree_is_rfc_6962_over_the_lines_across_commits_and_reopening),
	        TEST(what_was_changed_past_the_guards_is_found_and_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
