/*
 * batch: a copy of rows with their bytes, for who looks at them while their reader goes on.
 *
 *     text   | bytes of the first lot | bytes of the second | … | slack
 *     cells  point into it
 *
 * It takes lots of rows until it is full; then it is used and emptied.
 */
#pragma once

#include "policy/table/rows.h"

#include <stdbool.h>

/* A batch of so much is worth waking a thread for, and still in its caches. */
#define BATCH_BYTES (256u << 10)
#define BATCH_CELLS (32u << 10)

struct batch {
	struct table_rows rows; /* what it holds */
	char *text;
	struct table_cell *cells;
	uint64_t *lines;
	size_t text_room, cell_room, line_room;
};

/* Has it room for these rows? An empty one has, for any. */
bool batch_fits(const struct batch *batch, const struct table_rows *rows);

/* Copies rows that fit, all of as many columns. -ENOMEM. */
int batch_add(struct batch *batch, const struct table_rows *rows);

/* What it holds is gone, its memory stays. */
void batch_clear(struct batch *batch);
void batch_release(struct batch *batch);
