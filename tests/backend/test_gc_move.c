/* Blocks that are moved out of segments that are nearly dead. */
#include "backend/fsck.h"
#include "backend/record.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 256u
#define LEFT 8u

/* A closed segment of BLOCKS blocks, of which only the first LEFT are alive, in a sealed version. */
static uint64_t nearly_dead(struct test_vault *v) {
	uint64_t node = test_vault_create(v, NODE_LANDING, "a");
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, BLOCKS, 'x');
	gc_close_segments(v);
	gc_put_blocks(c, LEFT, BLOCKS - LEFT, 'y');
	gc_seal(c);
	content_close(c);
	gc_close_segments(v);
	return node;
}

static void expect(struct test_vault *v, uint64_t node) {
	Content *c = gc_open_content(v, node);
	gc_expect_blocks(c, 0, LEFT, 'x');
	gc_expect_blocks(c, LEFT, BLOCKS - LEFT, 'y');
	content_close(c);
}

static void close_and_check(struct test_vault *v) {
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
}

static bool has_segment(struct test_vault *v, uint32_t number) {
	struct segment_row row;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	int rc = meta_end(m, segment_row_get(m, number, &row));
	return rc == 0;
}

static void collect(struct test_vault *v) {
	for (int i = 0; i < 4; i++)
		gc_walk_and_wait(v);
}

static void what_is_alive_in_a_nearly_dead_segment_is_moved(void **state) {
	struct test_vault *v = *state;
	uint64_t node = nearly_dead(v);
	assert_true(has_segment(v, 1));
	collect(v);
	assert_int_equal(gc_totals_of(v).moved, LEFT * SEGMENT_BLOCK_BYTES);
	assert_int_equal(gc_totals_of(v).removed, 1);
	assert_false(has_segment(v, 1));
	expect(v, node);
	close_and_check(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	expect(v, node);
}

/* Five versions with a map page each that refers to the same blocks. */
static void a_block_that_many_versions_show_is_moved_once(void **state) {
	struct test_vault *v = *state;
	uint64_t node = nearly_dead(v);
	for (uint8_t i = 0; i < 4; i++) {
		Content *c = gc_open_content(v, node);
		gc_put_blocks(c, BLOCKS + i, 1, 'z');
		gc_seal(c);
		content_close(c);
	}
	collect(v);
	assert_int_equal(gc_totals_of(v).moved, LEFT * SEGMENT_BLOCK_BYTES);
	assert_false(has_segment(v, 1));
	expect(v, node);
	for (uint64_t number = 1; number <= 5; number++) {
		struct version version;
		Content *c = NULL;
		Meta *m = store_meta(v->store);
		meta_begin(m);
		assert_rc(version_by_number(m, node, number, &version));
		assert_rc(version_verify_hash(m, version.id));
		meta_end(m, 0);
		assert_rc(content_open(v->store, node, version.id, &c));
		gc_expect_blocks(c, 0, LEFT, 'x');
		content_close(c);
	}
	close_and_check(v);
}

/* Its page is in memory, clean, when its blocks move; then it is changed and sealed. */
static void an_open_content_goes_on_with_the_moved_blocks(void **state) {
	struct test_vault *v = *state;
	uint64_t node = nearly_dead(v);
	Content *c = gc_open_content(v, node);
	gc_expect_blocks(c, 0, LEFT, 'x');
	collect(v);
	assert_false(has_segment(v, 1));
	gc_expect_blocks(c, 0, LEFT, 'x');
	gc_put_blocks(c, LEFT, 1, 'n');
	gc_seal(c);
	gc_expect_blocks(c, 0, LEFT, 'x');
	gc_expect_blocks(c, LEFT, 1, 'n');
	content_close(c);
	close_and_check(v);
}

/* References that are in memory alone, in a draft's page, move too. */
static void a_dirty_page_in_memory_follows(void **state) {
	struct test_vault *v = *state;
	uint64_t done = 0, node = nearly_dead(v);
	Content *a = gc_open_content(v, node);
	Content *b = gc_open_content(v, test_vault_create(v, NODE_LANDING, "b"));
	assert_rc(content_clone_range(a, 0, b, 0, LEFT * SEGMENT_BLOCK_BYTES, &done));
	content_close(a);
	collect(v);
	assert_false(has_segment(v, 1));
	gc_expect_blocks(b, 0, LEFT, 'x');
	gc_seal(b);
	content_close(b);
	expect(v, node);
	close_and_check(v);
}

static void half_a_segment_stays_where_it_is(void **state) {
	struct test_vault *v = *state;
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "a"));
	gc_put_blocks(c, 0, BLOCKS, 'x');
	gc_close_segments(v);
	gc_put_blocks(c, 0, BLOCKS / 2, 'y');
	gc_seal(c);
	content_close(c);
	gc_close_segments(v);
	collect(v);
	assert_int_equal(gc_totals_of(v).moved, 0);
	assert_true(has_segment(v, 1));
}

/* A flipped bit is not carried into a new segment under a good tag, and what can't be moved is not tried again. */
static void a_damaged_block_is_not_moved(void **state) {
	struct test_vault *v = *state;
	(void)nearly_dead(v);
	char name[SEGMENT_NAME_BYTES], path[256];
	uint8_t byte = 0;
	assert_rc(segment_name(store_segments(v->store), 1, name));
	(void)snprintf(path, sizeof path, "%s/%s", v->vault, name);
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, 5000, SEEK_SET), 0);
	assert_int_equal(fread(&byte, 1, 1, file), 1);
	byte ^= 1;
	assert_int_equal(fseek(file, 5000, SEEK_SET), 0);
	assert_int_equal(fwrite(&byte, 1, 1, file), 1);
	fclose(file);
	collect(v);
	assert_int_equal(gc_totals_of(v).moved, 0);
	assert_int_equal(gc_totals_of(v).failures, 0);
	assert_true(has_segment(v, 1));
}

int main(void) {
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	        TEST(what_is_alive_in_a_nearly_dead_segment_is_moved),
	        TEST(a_block_that_many_versions_show_is_moved_once),
	        TEST(an_open_content_goes_on_with_the_moved_blocks),
	        TEST(a_dirty_page_in_memory_follows),
	        TEST(half_a_segment_stays_where_it_is),
	        TEST(a_damaged_block_is_not_moved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
