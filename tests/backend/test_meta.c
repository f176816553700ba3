#include "backend/meta.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/audit.h"
#include "backend/xattr.h"
#include "crypto/base/fault.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

static int open_again(struct fixture *f) {
	meta_close(f->m);
	f->m = NULL;
	return meta_open_handle(f->db, NULL, &f->m);
}

static void a_database_holds_one_vault_and_knows_its_id(void **state) {
	struct fixture *f = *state;
	uint8_t id[META_VAULT_ID_MAX];
	assert_int_equal(meta_vault_id(f->m, id), 16);
	assert_memory_equal(id, "0123456789abcdef", 16);
	struct meta_init init = {.vault_id = bytes_of("x", 1)};
	assert_int_equal(meta_create_handle(f->db, &init, NULL), -EEXIST);
	init.vault_id.size = 0;
	assert_int_equal(meta_create_handle(f->db, &init, NULL), -EINVAL);
}

static void an_unknown_schema_is_refused_with_words(void **state) {
	struct fixture *f = *state;
	assert_int_equal(raw_sql(f, "UPDATE kv SET value = x'0900000000000000' WHERE key = 'meta.schema'"), SQLITE_OK);
	assert_int_equal(open_again(f), -EPROTONOSUPPORT);
	assert_non_null(strstr(fault_message(), "schema version 9"));
	assert_int_equal(raw_sql(f, "DELETE FROM kv WHERE key = 'meta.schema'"), SQLITE_OK);
	assert_int_equal(open_again(f), -EUCLEAN);
}

static void an_empty_database_is_no_vault(void **state) {
	struct fixture *f = *state;
	sqlite3 *db;
	Meta *m = NULL;
	(void)f;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(meta_open_handle(db, NULL, &m), -EUCLEAN);
	assert_null(m);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void missing_counters_are_told(void **state) {
	struct fixture *f = *state;
	assert_int_equal(raw_sql(f, "DELETE FROM kv WHERE key = 'meta.state'"), SQLITE_OK);
	assert_int_equal(open_again(f), -EUCLEAN);
}

static void commit_times_never_run_backwards(void **state) {
	struct fixture *f = *state;
	struct meta_committed one, two;
	make(f, NODE_LANDING, "a", S_IFREG | 0644);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, &one), 0);
	f->now -= INT64_C(3600000000000);
	make(f, NODE_LANDING, "b", S_IFREG | 0644);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, &two), 0);
	assert_int_equal(two.commit, one.commit + 1);
	assert_int_equal(two.time_ns, one.time_ns + 1);
	fixture_reopen(f);
	f->now -= INT64_C(3600000000000);
	make(f, NODE_LANDING, "c", S_IFREG | 0644);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, &two), 0);
	assert_int_equal(two.time_ns, one.time_ns + 2);
	uint64_t commit = 0;
	assert_int_equal(OP(f, meta_commit_at(f->m, one.time_ns, &commit)), 0);
	assert_int_equal(commit, one.commit);
	assert_int_equal(OP(f, meta_commit_at(f->m, 1, &commit)), -ENOENT);
	assert_int_not_equal(
	        raw_sql(f, "INSERT INTO commit_log (id, time_ns, audit_size) VALUES (5, 1, 0)"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "UPDATE commit_log SET time_ns = time_ns + 1"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "DELETE FROM commit_log"), SQLITE_OK);
}

static void nothing_to_commit_makes_no_commit(void **state) {
	struct fixture *f = *state;
	struct meta_committed done;
	uint64_t before = meta_commit_id(f->m);
	struct node node;
	assert_int_equal(OP(f, tree_resolve(f->m, text("Raw"), &node)), 0);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, &done), 0);
	assert_false(done.changed);
	/* Nor does what was undone. */
	struct node attrs = {.mode = S_IFREG};
	meta_begin(f->m);
	assert_int_equal(tree_create(f->m, NODE_LANDING, text("a"), &attrs, text(""), &node), 0);
	meta_end(f->m, -ECANCELED);
	assert_int_equal(meta_pending(f->m), 0);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, &done), 0);
	assert_false(done.changed);
	assert_int_equal(meta_commit_id(f->m), before);
	assert_true(sqlite3_get_autocommit(f->db));
}

static void what_was_not_committed_is_gone_after_a_crash(void **state) {
	struct fixture *f = *state;
	struct node node;
	make(f, NODE_LANDING, "kept", S_IFREG | 0644);
	assert_int_equal(meta_pending(f->m), 1);
	fixture_commit(f);
	assert_int_equal(meta_pending(f->m), 0);
	struct node lost = make(f, NODE_LANDING, "lost", S_IFREG | 0644);
	fixture_reopen(f);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("kept"), &node)), 0);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("lost"), &node)), -ENOENT);
	assert_int_equal(make(f, NODE_LANDING, "next", S_IFREG | 0644).id, lost.id);
}

/* As a full disk or a failing one would be: the COMMIT itself fails. */
static int refuse(void *arg) {
	return *(bool *)arg;
}

static void a_failed_commit_ends_all_writing_but_not_reading(void **state) {
	struct fixture *f = *state;
	bool failing = true;
	struct node attrs = {.mode = S_IFREG}, node;
	make(f, NODE_LANDING, "kept", S_IFREG | 0644);
	fixture_commit(f);
	make(f, NODE_LANDING, "lost", S_IFREG | 0644);
	sqlite3_commit_hook(f->db, refuse, &failing);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, NULL), -EIO);
	failing = false;
	assert_true(meta_failed(f->m));
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("lost"), &node)), -ENOENT);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("kept"), &node)), 0);
	assert_int_equal(OP(f, tree_create(f->m, NODE_LANDING, text("new"), &attrs, text(""), &node)), -EROFS);
	uint64_t size;
	uint8_t root[AUDIT_HASH_BYTES];
	assert_int_equal(OP(f, audit_root(f->m, &size, root)), -EROFS);
}

/* Some errors (a page that can't be read, no memory) make SQLite roll back all that others were told is kept. */
static void what_the_database_rolled_back_is_not_committed(void **state) {
	struct fixture *f = *state;
	struct node attrs = {.mode = S_IFREG}, node;
	size_t size;
	fixture_commit(f);
	assert_int_equal(OP(f, tree_create(f->m, NODE_LANDING, text("lost"), &attrs, text(""), &node)), 0);
	assert_int_equal(raw_sql(f, "ROLLBACK; DROP TABLE xattr"), SQLITE_OK);
	assert_true(OP(f, xattr_get(f->m, NODE_LANDING, text("user.a"), NULL, 0, &size)) < 0);
	meta_begin(f->m);
	assert_true(meta_commit(f->m, 0, NULL) < 0);
	assert_true(meta_failed(f->m));
	assert_int_equal(OP(f, tree_get(f->m, node.id, &node)), -ESTALE); /* nor is it remembered */
}

static void an_error_of_the_database_undoes_the_operation_even_if_ignored(void **state) {
	struct fixture *f = *state;
	struct node node;
	uint64_t id;
	struct delivery_row row = {.node = 1};
	fixture_commit(f);
	assert_int_equal(raw_sql(f, "CREATE TRIGGER t BEFORE INSERT ON delivery BEGIN SELECT RAISE(ABORT, 'x'); END"),
	        SQLITE_OK);
	struct node attrs = {.mode = S_IFREG};
	meta_begin(f->m);
	assert_int_equal(tree_create(f->m, NODE_LANDING, text("a"), &attrs, text(""), &node), 0);
	assert_true(delivery_put(f->m, &row, &id) < 0);
	assert_int_equal(meta_end(f->m, 0), -EPERM);
	assert_int_equal(OP(f, tree_lookup(f->m, NODE_LANDING, text("a"), &node)), -ENOENT);
	assert_false(meta_failed(f->m));
}

static void small_values_are_kept_by_name(void **state) {
	struct fixture *f = *state;
	char value[8];
	size_t size = 0;
	assert_int_equal(OP(f, meta_kv_get(f->m, "store.x", value, sizeof value, &size)), -ENOENT);
	assert_int_equal(OP(f, meta_kv_put(f->m, "store.x", bytes_of("1234567890", 10))), 0);
	assert_int_equal(OP(f, meta_kv_get(f->m, "store.x", value, sizeof value, &size)), -ERANGE);
	assert_int_equal(size, 10);
	assert_int_equal(OP(f, meta_kv_put(f->m, "store.x", bytes_of(NULL, 0))), 0);
	assert_int_equal(OP(f, meta_kv_get(f->m, "store.x", value, sizeof value, &size)), 0);
	assert_int_equal(size, 0);
	char key[16];
	assert_int_equal(OP(f, meta_kv_put(f->m, "store.y", bytes_of("why", 3))), 0);
	assert_int_equal(OP(f, meta_kv_next(f->m, "store.", "store.", key, sizeof key, value, sizeof value, &size)), 0);
	assert_string_equal(key, "store.x");
	assert_int_equal(OP(f, meta_kv_next(f->m, "store.", key, key, sizeof key, value, sizeof value, &size)), 0);
	assert_string_equal(key, "store.y");
	assert_int_equal(size, 3);
	assert_int_equal(OP(f, meta_kv_next(f->m, "store.", "store.x", key, 4, value, sizeof value, &size)), -ERANGE);
	assert_int_equal(
	        OP(f, meta_kv_next(f->m, "store.", "store.y", key, sizeof key, value, sizeof value, &size)), -ENOENT);
	assert_int_equal(
	        OP(f, meta_kv_next(f->m, "meta.t", "meta.", key, sizeof key, value, sizeof value, &size)), -ENOENT);
	assert_int_equal(OP(f, meta_kv_remove(f->m, "store.x")), 0);
	assert_int_equal(OP(f, meta_kv_get(f->m, "store.x", value, sizeof value, &size)), -ENOENT);
}

static int is_idle(void *arg) {
	struct fixture *f = arg;
	return sqlite3_get_autocommit(f->db) ? 0 : -EBUSY;
}

static void a_checkpoint_finds_no_transaction_open(void **state) {
	struct fixture *f = *state;
	make(f, NODE_LANDING, "a", S_IFREG | 0644);
	meta_begin(f->m);
	assert_int_equal(meta_commit_then(f->m, 0, NULL, is_idle, f), 0);
}

struct thread {
	struct fixture *f;
	int number;
};

static void *make_files(void *arg) {
	struct thread *t = arg;
	for (int i = 0; i < 200; i++) {
		char name[16];
		snprintf(name, sizeof name, "%d-%d", t->number, i);
		struct node attrs = {.mode = S_IFREG}, node;
		meta_begin(t->f->m);
		int rc = tree_create(t->f->m, NODE_LANDING, text(name), &attrs, text(""), &node);
		meta_end(t->f->m, i % 2 ? rc : -ECANCELED);
		if (i % 50 == 0) {
			meta_begin(t->f->m);
			meta_commit(t->f->m, 0, NULL);
		}
	}
	return NULL;
}

static void operations_of_many_threads_do_not_mix(void **state) {
	struct fixture *f = *state;
	pthread_t threads[4];
	struct thread args[4];
	for (int i = 0; i < 4; i++) {
		args[i] = (struct thread){f, i};
		assert_int_equal(pthread_create(&threads[i], NULL, make_files, &args[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	struct tree_counts counts;
	assert_int_equal(OP(f, tree_statfs(f->m, &counts)), 0);
	assert_int_equal(counts.names, 3 + 400);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_database_holds_one_vault_and_knows_its_id),
	        TEST(an_unknown_schema_is_refused_with_words),
	        TEST(an_empty_database_is_no_vault),
	        TEST(missing_counters_are_told),
	        TEST(commit_times_never_run_backwards),
	        TEST(nothing_to_commit_makes_no_commit),
	        TEST(what_was_not_committed_is_gone_after_a_crash),
	        TEST(a_failed_commit_ends_all_writing_but_not_reading),
	        TEST(what_the_database_rolled_back_is_not_committed),
	        TEST(an_error_of_the_database_undoes_the_operation_even_if_ignored),
	        TEST(small_values_are_kept_by_name),
	        TEST(a_checkpoint_finds_no_transaction_open),
	        TEST(operations_of_many_threads_do_not_mix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
