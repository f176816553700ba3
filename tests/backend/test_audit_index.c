#include "backend/audit_index.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/backend/meta_fixture.h"

#define TILES 20000
#define NOW 0 /* a deadline that is over */
#define NEVER INT64_MAX

/* An index in which user n is in every n-th tile, and the log has so many. */
static int set_up(void **state) {
	assert_int_equal(fixture_setup(state), 0);
	struct fixture *f = *state;
	static const char sql[] = "WITH RECURSIVE t(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM t WHERE n < 19999), "
	                          "u(k) AS (VALUES (1), (2), (3), (7), (5000)) "
	                          "INSERT INTO audit_value SELECT 3, k, n FROM t, u WHERE n % k = 0";
	assert_int_equal(raw_sql(f, sql), SQLITE_OK);
	f->m->audit->frontier.size = (uint64_t)TILES * AUDIT_TILE_HASHES;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *f = *state;
	f->m->audit->frontier.size = 0;
	return fixture_teardown(state);
}

static AuditIndex *index_of(size_t conditions, const int64_t *values, size_t alternatives) {
	AuditIndex *index = audit_index_new();
	assert_non_null(index);
	for (size_t c = 0; c < conditions; c++) {
		assert_int_equal(audit_index_begin(index), 0);
		for (size_t i = 0; i < alternatives; i++)
			assert_int_equal(audit_index_add(index, AUDIT_VALUE_UID, values[c * alternatives + i]), 0);
	}
	return index;
}

/* Loads the tiles of a window; returns in how many calls. */
static size_t load(struct fixture *f, AuditIndex *index, uint64_t first, uint64_t end, int64_t deadline_ns) {
	size_t calls = 0;
	int rc;
	do {
		meta_begin(f->m);
		rc = meta_end(f->m, audit_index_load(f->m, index, first, end, deadline_ns));
		assert_true(rc >= 0 && ++calls < 1000);
	} while (rc == 0);
	return calls;
}

static void all_conditions_must_hold_in_each_window(void **state) {
	struct fixture *f = *state;
	for (int late = 0; late < 2; late++) {
		AuditIndex *index = index_of(3, (const int64_t[]){1, 2, 7}, 1);
		for (uint64_t first = 100; first < TILES;) {
			uint64_t end = (first / AUDIT_INDEX_WINDOW + 1) * AUDIT_INDEX_WINDOW;
			end = end < TILES ? end : TILES;
			size_t calls = load(f, index, first, end, late ? NOW : NEVER);
			assert_true(
			        late ? calls > 10 : calls == 1); /* some 8,192, 4,096 and 1,170 rows, 256 at a time */
			for (uint64_t tile = first; tile < end; tile++)
				assert_int_equal(audit_index_names(index, tile), tile % 14 == 0);
			first = end;
		}
		audit_index_free(index);
	}
}

static void one_value_of_a_condition_is_enough(void **state) {
	AuditIndex *index = index_of(2, (const int64_t[]){3, 7, 2, 99}, 2);
	load(*state, index, 8192, 16384, NOW);
	for (uint64_t tile = 8192; tile < 16384; tile++)
		assert_int_equal(audit_index_names(index, tile), (tile % 3 == 0 || tile % 7 == 0) && tile % 2 == 0);
	audit_index_free(index);
}

static void a_condition_without_values_or_rows_rules_all_out(void **state) {
	AuditIndex *none = index_of(1, NULL, 0), *unknown = index_of(1, (const int64_t[]){12345}, 1);
	load(*state, none, 0, 8192, NEVER);
	load(*state, unknown, 0, 8192, NEVER);
	for (uint64_t tile = 0; tile < 8192; tile++)
		assert_false(audit_index_names(none, tile) || audit_index_names(unknown, tile));
	audit_index_free(none);
	audit_index_free(unknown);
}

static void what_is_not_in_the_index_yet_may_hold_anything(void **state) {
	struct fixture *f = *state;
	f->m->audit->frontier.size = (uint64_t)5001 * AUDIT_TILE_HASHES + 255;
	AuditIndex *index = index_of(2, (const int64_t[]){5000, 12345}, 1);
	load(f, index, 4000, 8192, NEVER);
	for (uint64_t tile = 4000; tile < 8192; tile++)
		assert_int_equal(audit_index_names(index, tile), tile >= 5001);
	audit_index_free(index);
}

/* 9 values that are in every tile, in one condition. */
static void a_condition_that_is_everywhere_is_let_go(void **state) {
	AuditIndex *index = index_of(1, (const int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, 9);
	assert_true(audit_index_is_used(index));
	load(*state, index, 0, 8192, NOW);
	assert_false(audit_index_is_used(index));
	for (uint64_t tile = 0; tile < 8192; tile++)
		assert_true(audit_index_names(index, tile));
	audit_index_free(index);
	AuditIndex *empty = audit_index_new();
	assert_false(audit_index_is_used(empty));
	audit_index_free(empty);
	audit_index_free(NULL);
}

static void there_is_room_for_so_many_conditions(void **state) {
	(void)state;
	AuditIndex *index = audit_index_new();
	int rc = 0;
	size_t count = 0;
	for (; rc == 0 && count < 100; count++)
		rc = audit_index_begin(index);
	assert_int_equal(rc, -ENOSPC);
	assert_true(count > 9); /* more than a filter has */
	audit_index_free(index);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(all_conditions_must_hold_in_each_window, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(one_value_of_a_condition_is_enough, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_condition_without_values_or_rows_rules_all_out, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_not_in_the_index_yet_may_hold_anything, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_condition_that_is_everywhere_is_let_go, set_up, tear_down),
	        cmocka_unit_test(there_is_room_for_so_many_conditions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
