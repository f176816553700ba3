#include "policy/table/batch.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

/* Bytes of all cells with a newline behind each, so that no two make one word, where they don't lie in one text. */
static size_t loose_size(const struct table_rows *rows) {
	size_t size = 0;
	for (size_t i = 0; i < rows->count * rows->columns; i++)
		size += rows->cells[i].data ? rows->cells[i].size + 1 : 0;
	return size;
}

static size_t text_size(const struct table_rows *rows) {
	return rows->text ? rows->size : loose_size(rows);
}

bool batch_fits(const struct batch *batch, const struct table_rows *rows) {
	const struct table_rows *held = &batch->rows;
	return held->count == 0 || (held->size + text_size(rows) <= batch->text_room &&
	                                   (held->count + rows->count) * rows->columns <= batch->cell_room &&
	                                   held->count + rows->count <= batch->line_room);
}

/* Of an empty batch: what is there need not be kept. */
static int make_room(void **memory, size_t *room, size_t wanted, size_t least, size_t each, size_t slack) {
	wanted = wanted > least ? wanted : least;
	if (*memory && wanted <= *room)
		return 0;
	free(*memory);
	*room = 0;
	*memory = calloc(wanted + slack, each);
	if (!*memory)
		return fault(ENOMEM, "no memory for rows of a table");
	*room = wanted;
	return 0;
}

static int make_rooms(struct batch *batch, const struct table_rows *rows) {
	void *text = batch->text, *cells = batch->cells, *lines = batch->lines;
	int rc = make_room(&text, &batch->text_room, text_size(rows), BATCH_BYTES, 1, ROWS_SLACK);
	if (rc == 0)
		rc = make_room(
		        &cells, &batch->cell_room, rows->count * rows->columns, BATCH_CELLS, sizeof *batch->cells, 0);
	if (rc == 0)
		rc = make_room(&lines, &batch->line_room, rows->count, BATCH_CELLS, sizeof *batch->lines, 0);
	batch->text = text;
	batch->cells = cells;
	batch->lines = lines;
	return rc;
}

/* Cells that nobody wants hold anything, also no pointers at all: they are moved as numbers are. */
static void move_cells(struct table_cell *to, const struct table_rows *rows, const char *text) {
	uintptr_t by = (uintptr_t)text - (uintptr_t)rows->text;
	for (size_t i = 0; i < rows->count * rows->columns; i++) {
		to[i].data = rows->cells[i].data ? (const char *)((uintptr_t)rows->cells[i].data + by) : NULL;
		to[i].size = rows->cells[i].size;
	}
}

static void copy_cells(struct table_cell *to, const struct table_rows *rows, char *text) {
	for (size_t i = 0; i < rows->count * rows->columns; i++) {
		to[i] = rows->cells[i];
		if (!to[i].data)
			continue;
		to[i].data = text;
		if (to[i].size > 0)
			memcpy(text, rows->cells[i].data, to[i].size);
		text[to[i].size] = '\n';
		text += to[i].size + 1;
	}
}

int batch_add(struct batch *batch, const struct table_rows *rows) {
	struct table_rows *held = &batch->rows;
	int rc = held->count == 0 ? make_rooms(batch, rows) : 0;
	if (rc < 0)
		return rc;
	struct table_cell *cells = batch->cells + held->count * rows->columns;
	char *text = batch->text + held->size;
	if (rows->text) {
		memcpy(text, rows->text, rows->size);
		move_cells(cells, rows, text);
	} else {
		copy_cells(cells, rows, text);
	}
	memcpy(batch->lines + held->count, rows->lines, rows->count * sizeof *rows->lines);
	*held = (struct table_rows){.count = held->count + rows->count,
	        .columns = rows->columns,
	        .cells = batch->cells,
	        .lines = batch->lines,
	        .text = batch->text,
	        .size = held->size + text_size(rows)};
	return 0;
}

void batch_clear(struct batch *batch) {
	batch->rows.count = batch->rows.size = 0;
}

void batch_release(struct batch *batch) {
	free(batch->text);
	free(batch->cells);
	free(batch->lines);
	*batch = (struct batch){0};
}
