/*
 * rows: some rows of a table at once, so that who looks at them goes from row to row without asking a reader each time.
 *
 *     cells  | row 0: columns | row 1 | row 2 | …        lines  | 2 | 3 | 4 | …
 *
 * Readers hand them out (table_next_rows), and a batch keeps a copy of them.
 */
#pragma once

#include "policy/table/cell.h"

#include <stdint.h>

/* From the start of any cell that lies in a text so many bytes can be read, whatever its size is. */
#define ROWS_SLACK 64

struct table_rows {
	size_t count, columns;
	const struct table_cell *cells; /* `columns` for each row; those of columns that nobody wants hold anything */
	const uint64_t *lines;          /* on which each row begins */
	const char *text; /* the cells lie in these bytes, behind which ROWS_SLACK may be read; NULL: anywhere */
	size_t size;
};

/* The cells of a row. */
static inline const struct table_cell *rows_at(const struct table_rows *rows, size_t i) {
	return rows->cells + i * rows->columns;
}
