/* Which segments a prefix needs: each file lies in a segment of its own. */
#include "backend/backup/reach.h"

#include "backend/segment_watch.h"
#include "backend/version.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALL_ZONES 0x1eu

static uint64_t directory(struct test_vault *v, uint64_t parent, const char *name) {
	struct node node = {.mode = S_IFDIR | 0755};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(tree_create(m, parent, bytes_of_string(name), &node, bytes_of(NULL, 0), &node));
	assert_rc(meta_end(m, 0));
	return node.id;
}

/* The segment that was written to last. */
static uint32_t last_segment(struct test_vault *v) {
	uint32_t last = 0;
	for (uint32_t next = 0; (next = segment_next(store_segments(v->store), next)) != 0;)
		last = next;
	return last;
}

static uint32_t write_to(struct test_vault *v, uint64_t node, uint64_t blocks) {
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, blocks, 'x');
	gc_seal(c);
	content_close(c);
	gc_close_segments(v);
	return last_segment(v);
}

/* A file of two blocks; its segment. */
static uint32_t file(struct test_vault *v, uint64_t parent, const char *name) {
	return write_to(v, test_vault_create(v, parent, name), 2);
}

static void move(struct test_vault *v, uint64_t from, const char *name, uint64_t to, const char *new_name) {
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(tree_rename(m, from, bytes_of_string(name), to, bytes_of_string(new_name), 0, NULL));
	assert_rc(meta_end(m, 0));
	gc_commit(v);
}

/* Of the vault's segments those that are needed, as "1 3 4 ". */
static const char *needed(struct test_vault *v, Reach *reach) {
	static char text[256];
	size_t length = 0;
	assert_rc(reach_look(reach, v->store));
	text[0] = '\0';
	for (uint32_t next = 0; (next = segment_next(store_segments(v->store), next)) != 0;)
		if (reach_has(reach, next))
			length += (size_t)snprintf(text + length, sizeof text - length, "%u ", next);
	return text;
}

static void expect_of(struct test_vault *v, uint32_t zones, const char *prefix, const char *segments) {
	_cleanup_(reach_freep) Reach *reach = NULL;
	assert_rc(reach_check(prefix));
	assert_rc(reach_new(zones, prefix, &reach));
	assert_string_equal(needed(v, reach), segments);
	assert_string_equal(needed(v, reach), segments);
}

static void a_prefix_is_the_beginning_of_a_path_below_a_zone(void **state) {
	struct test_vault *v = *state;
	uint64_t reports = directory(v, NODE_LANDING, "reports"), deep = directory(v, reports, "deep");
	uint64_t reported = directory(v, NODE_LANDING, "reported");
	assert_int_equal(file(v, NODE_LANDING, "x"), 1);
	assert_int_equal(file(v, reports, "2023.csv"), 2);
	assert_int_equal(file(v, reports, "2024.csv"), 3);
	assert_int_equal(file(v, deep, "2024.csv"), 4);
	assert_int_equal(file(v, reported, "a"), 5);
	assert_int_equal(file(v, NODE_LANDING, "reports.zip"), 6);
	expect_of(v, ALL_ZONES, "reports/", "2 3 4 ");
	expect_of(v, ALL_ZONES, "reports", "2 3 4 6 ");
	expect_of(v, ALL_ZONES, "report", "2 3 4 5 6 ");
	expect_of(v, ALL_ZONES, "reports/2024", "3 ");
	expect_of(v, ALL_ZONES, "reports/2024.csv", "3 ");
	expect_of(v, ALL_ZONES, "reports/d", "4 ");
	expect_of(v, ALL_ZONES, "reports/deep/2024.csv", "4 ");
	expect_of(v, ALL_ZONES, "nothing/", "");
	expect_of(v, ALL_ZONES, "x/", "");
	expect_of(v, 1u << ZONE_TRUSTED, "reports/", "");
}

static void what_comes_and_what_is_renamed_is_found_by_the_next_look(void **state) {
	struct test_vault *v = *state;
	_cleanup_(reach_freep) Reach *reach = NULL;
	assert_rc(reach_new(ALL_ZONES, "a/b", &reach));
	assert_string_equal(needed(v, reach), "");
	uint64_t a = directory(v, NODE_LANDING, "a"), other = directory(v, NODE_LANDING, "other");
	uint64_t b = directory(v, a, "b"), inner = directory(v, other, "inner");
	uint64_t one = test_vault_create(v, b, "one");
	assert_string_equal(needed(v, reach), "");
	assert_int_equal(write_to(v, one, 2), 1);
	assert_string_equal(needed(v, reach), "1 ");
	assert_int_equal(write_to(v, one, 3), 2); /* a second version */
	assert_string_equal(needed(v, reach), "1 2 ");
	assert_int_equal(file(v, inner, "two"), 3);
	assert_string_equal(needed(v, reach), "1 2 ");
	move(v, NODE_LANDING, "other", b, "other");
	assert_string_equal(needed(v, reach), "1 2 3 ");
	/* What was below it stays in, and what comes there then does not. */
	move(v, NODE_LANDING, "a", NODE_LANDING, "c");
	assert_int_equal(file(v, directory(v, directory(v, NODE_LANDING, "a"), "bc"), "three"), 4);
	assert_string_equal(needed(v, reach), "1 2 3 4 ");
	expect_of(v, ALL_ZONES, "a/b", "1 2 3 4 ");
}

static void versions_of_what_was_removed_are_needed(void **state) {
	struct test_vault *v = *state;
	uint64_t a = directory(v, NODE_LANDING, "a");
	Meta *m = store_meta(v->store);
	struct node node;
	assert_int_equal(file(v, a, "gone"), 1);
	meta_begin(m);
	assert_rc(tree_unlink(m, a, bytes_of_string("gone"), &node));
	assert_rc(tree_rmdir(m, NODE_LANDING, bytes_of_string("a"), &node));
	assert_rc(meta_end(m, 0));
	gc_commit(v);
	expect_of(v, ALL_ZONES, "a/", "1 ");
	expect_of(v, ALL_ZONES, "a/gone", "1 ");
}

static void a_clone_needs_what_it_shares_and_a_draft_what_it_has(void **state) {
	struct test_vault *v = *state;
	uint64_t done = 0, a = directory(v, NODE_LANDING, "a");
	_cleanup_(reach_freep) Reach *reach = NULL;
	uint64_t original = test_vault_create(v, NODE_LANDING, "original");
	assert_rc(reach_new(ALL_ZONES, "a/", &reach));
	assert_int_equal(write_to(v, original, 4), 1);
	assert_string_equal(needed(v, reach), "");
	Content *from = gc_open_content(v, original);
	Content *to = gc_open_content(v, test_vault_create(v, a, "clone"));
	assert_rc(content_clone_range(from, 0, to, 0, UINT64_C(4) * SEGMENT_BLOCK_BYTES, &done));
	assert_rc(content_sync(to));
	gc_commit(v);
	assert_string_equal(needed(v, reach), "1 ");
	gc_put_blocks(to, 4, 1, 'y');
	assert_rc(content_sync(to));
	gc_close_segments(v);
	assert_string_equal(needed(v, reach), "1 2 ");
	gc_seal(to);
	content_close(from);
	content_close(to);
	gc_commit(v);
	assert_string_equal(needed(v, reach), "1 2 ");
}

/* 256 blocks of which 8 stay alive, so that the collector moves them. */
static void where_blocks_were_moved_to_is_needed_and_where_they_were_is_not(void **state) {
	struct test_vault *v = *state;
	_cleanup_(reach_freep) Reach *reach = NULL;
	uint64_t node = test_vault_create(v, directory(v, NODE_LANDING, "a"), "b");
	Meta *m = store_meta(v->store);
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, 256, 'x');
	gc_close_segments(v);
	gc_put_blocks(c, 8, 248, 'y');
	gc_seal(c);
	content_close(c);
	gc_close_segments(v);
	assert_rc(reach_new(ALL_ZONES, "a", &reach));
	assert_string_equal(needed(v, reach), "1 2 ");
	uint64_t moves = version_map_moves(m);
	for (int i = 0; i < 4; i++)
		gc_walk_and_wait(v);
	assert_true(version_map_moves(m) > moves);
	assert_string_equal(needed(v, reach), "2 3 ");
	assert_false(reach_has(reach, 1));
}

static void many_files_and_a_large_one_are_all_looked_at(void **state) {
	struct test_vault *v = *state;
	_cleanup_(reach_freep) Reach *reach = NULL;
	uint64_t a = directory(v, NODE_LANDING, "a");
	char name[32];
	assert_rc(reach_new(ALL_ZONES, "a/", &reach));
	for (unsigned i = 0; i < 1010; i++) {
		(void)snprintf(name, sizeof name, "%u", i);
		(void)test_vault_create(v, a, name);
	}
	uint32_t last = file(v, a, "last");
	assert_string_equal(needed(v, reach), "1 ");
	assert_int_equal(last, 1);
	/* A block a GiB into it, behind many pages. */
	Content *c = gc_open_content(v, test_vault_create(v, a, "large"));
	for (uint64_t page = 0; page < 300; page++)
		gc_put_blocks(c, page * MAP_PAGE_REFS, 1, 'p');
	gc_close_segments(v);
	gc_put_blocks(c, UINT64_C(301) * MAP_PAGE_REFS, 1, 'q');
	gc_seal(c);
	content_close(c);
	gc_close_segments(v);
	assert_string_equal(needed(v, reach), "1 2 3 ");
}

/* Who renames directories that often makes the backup larger, and does not end it. */
static void a_name_that_was_borne_too_often_takes_all(void **state) {
	struct test_vault *v = *state;
	enum { TIMES = 101 };
	uint64_t parents[TIMES];
	char name[32];
	assert_int_equal(file(v, NODE_LANDING, "x"), 1);
	for (unsigned i = 0; i < TIMES; i++) {
		parents[i] = directory(v, NODE_LANDING, "a");
		gc_commit(v);
		(void)snprintf(name, sizeof name, "a%u", i);
		move(v, NODE_LANDING, "a", NODE_LANDING, name);
	}
	expect_of(v, ALL_ZONES, "a/b/", "");
	for (unsigned i = 0; i < TIMES; i++) {
		Meta *m = store_meta(v->store);
		for (unsigned j = 0; j < TIMES; j++)
			(void)directory(v, parents[j], "b");
		gc_commit(v);
		(void)snprintf(name, sizeof name, "b%u", i);
		meta_begin(m);
		for (unsigned j = 0; j < TIMES; j++)
			assert_rc(tree_rename(
			        m, parents[j], bytes_of_string("b"), parents[j], bytes_of_string(name), 0, NULL));
		assert_rc(meta_end(m, 0));
		gc_commit(v);
	}
	expect_of(v, ALL_ZONES, "a/b/", "1 ");
}

static void prefixes_that_no_path_has_are_refused(void **state) {
	(void)state;
	static const char *const bad[] = {
	        "/", "/a", "a//b", "./a", "a/./b", "../a", "a/..", "..", "Landing/a", "Raw/", "Trusted/x"};
	static const char *const good[] = {"", "a", "a/", "a/b", ".hidden", "a/.", "...", "Landingx/a", "Landing"};
	char name[300] = {0};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(reach_check(bad[i]), -EINVAL);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_rc(reach_check(good[i]));
	memset(name, 'a', 256);
	assert_int_equal(reach_check(name), -EINVAL);
	assert_true(reach_takes("a/b", "Landing/a/bc"));
	assert_true(reach_takes("", "Raw/x"));
	assert_false(reach_takes("a/b", "Landing/a/c"));
	assert_false(reach_takes("a", "Landing/b/a"));
	assert_false(reach_takes("Landing", "Landing"));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_prefix_is_the_beginning_of_a_path_below_a_zone, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(what_comes_and_what_is_renamed_is_found_by_the_next_look,
	                gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                versions_of_what_was_removed_are_needed, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_clone_needs_what_it_shares_and_a_draft_what_it_has, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(where_blocks_were_moved_to_is_needed_and_where_they_were_is_not,
	                gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                many_files_and_a_large_one_are_all_looked_at, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_name_that_was_borne_too_often_takes_all, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test(prefixes_that_no_path_has_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
