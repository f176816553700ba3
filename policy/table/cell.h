/*
 * cell: one value of a table, as text.
 *
 * Readers (CSV now, other formats later) hand out rows as arrays of cells; rules, detectors and writers take them. The
 * bytes belong to who handed them out and are valid until its next row. `data` NULL means that the format itself says
 * "no value" (JSON's null); a CSV cell is never that, only empty: what an empty cell means is the rules' null policy.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct table_cell {
	const char *data;
	size_t size;
};

/* Whether the cell holds exactly that text; one that is NULL equals none, not even an empty one. */
static inline bool cell_equals(struct table_cell cell, const char *text, size_t size) {
	return cell.data && cell.size == size && (size == 0 || memcmp(cell.data, text, size) == 0);
}
