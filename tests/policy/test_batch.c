/* Copies of rows. */
#include "policy/table/batch.h"

#include "crypto/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { COLUMNS = 3, MANY = 400 };

/* Rows of which the first cell is a number, the second a text, the third empty, or NULL where they are loose. */
struct lot {
	char text[MANY * 64];
	struct table_cell cells[MANY * COLUMNS];
	uint64_t lines[MANY];
	struct table_rows rows;
};

static void make_lot(struct lot *lot, size_t first, size_t count, bool is_loose) {
	char *at = lot->text;
	for (size_t i = 0; i < count; i++) {
		struct table_cell *cells = lot->cells + i * COLUMNS;
		int size = snprintf(at, 64, "%zu,text %zu,", first + i, first + i);
		char *comma = memchr(at, ',', (size_t)size);
		cells[0] = (struct table_cell){.data = at, .size = (size_t)(comma - at)};
		cells[1] = (struct table_cell){.data = comma + 1, .size = (size_t)(at + size - comma) - 2};
		cells[2] = (struct table_cell){.data = is_loose ? NULL : at + size};
		lot->lines[i] = first + i + 2;
		at += size;
	}
	lot->rows = (struct table_rows){.count = count,
	        .columns = COLUMNS,
	        .cells = lot->cells,
	        .lines = lot->lines,
	        .text = is_loose ? NULL : lot->text,
	        .size = is_loose ? 0 : (size_t)(at - lot->text)};
}

static void assert_holds(const struct table_rows *rows, size_t first, bool is_loose) {
	for (size_t i = 0; i < rows->count; i++) {
		const struct table_cell *cells = rows_at(rows, i);
		char number[24], text[40];
		(void)snprintf(number, sizeof number, "%zu", first + i);
		(void)snprintf(text, sizeof text, "text %zu", first + i);
		assert_true(cell_equals(cells[0], number, strlen(number)));
		assert_true(cell_equals(cells[1], text, strlen(text)));
		assert_true(is_loose ? !cells[2].data : cell_equals(cells[2], "", 0));
		assert_true(
		        !is_loose || (cells[0].data[cells[0].size] == '\n' && cells[1].data[cells[1].size] == '\n'));
		assert_int_equal(rows->lines[i], first + i + 2);
		char behind[ROWS_SLACK];
		memcpy(behind, cells[1].data, sizeof behind);
	}
}

static void rows_are_held_until_it_is_full_and_then_again(void **state) {
	(void)state;
	static struct lot lots, *lot = &lots;
	_cleanup_(batch_release) struct batch batch = {0};
	for (int round = 0; round < 4; round++) {
		size_t first = (size_t)round * 1000000, next = first;
		batch_clear(&batch);
		for (make_lot(lot, next, MANY, round % 2); batch_fits(&batch, &lot->rows);
		        make_lot(lot, next, MANY, round % 2)) {
			assert_int_equal(batch_add(&batch, &lot->rows), 0);
			memset(lot->text, '!', sizeof lot->text); /* the reader goes on */
			next += MANY;
		}
		assert_int_equal(batch.rows.count, next - first);
		assert_true(batch.rows.count > 5 * MANY);
		assert_true(batch.rows.size <= BATCH_BYTES && batch.rows.count * COLUMNS <= BATCH_CELLS);
		assert_holds(&batch.rows, first, round % 2);
	}
}

static void one_row_of_any_size_fits_into_an_empty_one(void **state) {
	(void)state;
	enum { HUGE_BYTES = 3 << 20, WIDE = 100000 };
	_cleanup_(freep) char *text = malloc(HUGE_BYTES);
	_cleanup_(freep) struct table_cell *cells = calloc(WIDE, sizeof *cells);
	_cleanup_(batch_release) struct batch batch = {0};
	uint64_t line = 7;
	assert_true(text && cells);
	memset(text, 'x', HUGE_BYTES);
	for (size_t i = 0; i < WIDE; i++)
		cells[i] = (struct table_cell){.data = text + i, .size = 1};
	cells[WIDE - 1].size = HUGE_BYTES - WIDE + 1;
	struct table_rows rows = {
	        .count = 1, .columns = WIDE, .cells = cells, .lines = &line, .text = text, .size = HUGE_BYTES};
	for (int round = 0; round < 2; round++) {
		batch_clear(&batch);
		assert_true(batch_fits(&batch, &rows));
		assert_int_equal(batch_add(&batch, &rows), 0);
		assert_false(batch_fits(&batch, &rows));
		assert_memory_equal(rows_at(&batch.rows, 0)[WIDE - 1].data, text + WIDE - 1, HUGE_BYTES - WIDE + 1);
		assert_int_equal(batch.rows.lines[0], 7);
	}
}

/* Cells of columns that nobody wants hold anything. */
static void cells_that_nobody_wants_do_no_harm(void **state) {
	(void)state;
	_cleanup_(batch_release) struct batch batch = {0};
	char text[40] = "1,two,3\n";
	const struct table_cell cells[COLUMNS] = {{text, 1}, {(const char *)(uintptr_t)0x1234567, 99}, {text + 6, 1}};
	const uint64_t line = 2;
	struct table_rows rows = {
	        .count = 1, .columns = COLUMNS, .cells = cells, .lines = &line, .text = text, .size = 8};
	assert_int_equal(batch_add(&batch, &rows), 0);
	assert_true(cell_equals(rows_at(&batch.rows, 0)[0], "1", 1));
	assert_true(cell_equals(rows_at(&batch.rows, 0)[2], "3", 1));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_are_held_until_it_is_full_and_then_again),
	        cmocka_unit_test(cells_that_nobody_wants_do_no_harm),
	        cmocka_unit_test(one_row_of_any_size_fits_into_an_empty_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
