#include "policy/table/csv_index.h"

#include "crypto/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct world {
	struct csv_index index;
	char *text;
};

static void index_text(struct world *world, const char *text, size_t size) {
	memset(world->text, ',', CSV_INDEX_BYTES + 200); /* what lies behind must not count */
	memcpy(world->text, text, size);
	csv_index_fill(&world->index, world->text, size, ',', '\n', '"');
}

static int set_up(void **state) {
	struct world *world = calloc(1, sizeof *world);
	world->text = malloc(CSV_INDEX_BYTES + 200);
	*state = world;
	return csv_index_init(&world->index);
}

static int tear_down(void **state) {
	struct world *world = *state;
	csv_index_release(&world->index);
	free(world->text);
	free(world);
	return 0;
}

static void fields_and_records_are_found(void **state) {
	struct world *world = *state;
	index_text(world, "1,Ann\n22,Bob\n3,C", 16);
	static const uint32_t fields[] = {1, 5, 8, 12, 14}, records[] = {2, 4};
	assert_int_equal(world->index.field_count, 5);
	assert_memory_equal(world->index.fields, fields, sizeof fields);
	assert_int_equal(world->index.record_count, 2);
	assert_memory_equal(world->index.records, records, sizeof records);
	assert_int_equal(world->index.size, 13);
	assert_true(world->index.is_ascii);
}

static void a_quote_ends_it(void **state) {
	struct world *world = *state;
	index_text(world, "1,2\n3,\"4\"\n5,6\n", 14);
	assert_int_equal(world->index.record_count, 1);
	assert_int_equal(world->index.size, 4);
	index_text(world, "\"", 1);
	assert_int_equal(world->index.record_count, 0);
	index_text(world, "", 0);
	assert_int_equal(world->index.record_count, 0);
}

/* Each place in each of the blocks, against a loop. */
static void every_place_of_a_byte_is_seen(void **state) {
	struct world *world = *state;
	static const char odd[] = {(char)0x80, (char)0xff, 0};
	for (size_t size = 1; size < 200; size++) {
		char text[200];
		memset(text, 'x', sizeof text);
		text[size - 1] = '\n';
		for (size_t at = 0; at + 1 < size; at++) {
			text[at] = ',';
			index_text(world, text, size);
			assert_int_equal(world->index.field_count, 2);
			assert_int_equal(world->index.fields[0], at);
			assert_int_equal(world->index.fields[1], size - 1);
			assert_int_equal(world->index.records[0], 2);
			text[at] = odd[at % 3];
			index_text(world, text, size);
			assert_false(world->index.is_ascii);
			text[at] = 'x';
		}
		index_text(world, text, size);
		assert_true(world->index.is_ascii);
		assert_int_equal(world->index.size, size);
	}
}

static void what_stands_behind_the_last_newline_is_not_looked_at_yet(void **state) {
	struct world *world = *state;
	index_text(world, "a\n\xff", 3);
	assert_true(world->index.is_ascii);
	char text[130];
	memset(text, 'x', sizeof text);
	text[63] = '\n';
	text[64] = (char)0xff;
	index_text(world, text, sizeof text);
	assert_true(world->index.is_ascii);
	text[129] = '\n';
	index_text(world, text, sizeof text);
	assert_false(world->index.is_ascii);
}

static void nothing_but_marks_fits(void **state) {
	struct world *world = *state;
	_cleanup_(freep) char *text = malloc(CSV_INDEX_BYTES);
	memset(text, '\n', CSV_INDEX_BYTES);
	index_text(world, text, CSV_INDEX_BYTES);
	assert_int_equal(world->index.record_count, CSV_INDEX_BYTES);
	assert_int_equal(world->index.records[CSV_INDEX_BYTES - 1], CSV_INDEX_BYTES);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(fields_and_records_are_found, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_quote_ends_it, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(every_place_of_a_byte_is_seen, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                what_stands_behind_the_last_newline_is_not_looked_at_yet, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(nothing_but_marks_fits, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
