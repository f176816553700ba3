/*
 * shadow: rows as they are looked at: what would hide personal data, or be taken for its context, is blank, and nothing
 * is moved, so that places in the one are places in the other.
 *
 *     as they are    {"m": "call\n604-555-0142"}      [IBAN] 12345678
 *     looked at      {"m": "call  604-555-0142"}             12345678     in what was treated already
 *
 * Escapes are those of JSON, in cells (or lines) with a quote in them, whatever they are written in: JSON stands in
 * texts and in tables, too. An escape in the midst of a word (\u00e9 for é, \/ for /) can't be undone in its place:
 * such cells are there once more, undone, for who wants to know whether blanks hide anything in them.
 */
#pragma once

#include "policy/table/rows.h"

#include <stdbool.h>

/* All zero: none yet. */
struct shadow {
	struct table_rows rows; /* point into what follows */
	char *text;
	struct table_cell *cells;
	size_t text_room, cell_room;
	/* Cells with such escapes, as they are looked at and undone; both have the rows' shape, and their other cells
	 * are none. */
	struct table_rows blanked, undone;
	bool has_undone;
	char *undone_text;
	struct table_cell *undone_cells; /* those of both, one behind the other */
	size_t undone_room, undone_cell_room;
};

/* Is a word between brackets one that treating writes? */
typedef bool shadow_is_placeholder(const void *context, const char *word, size_t size);

/*
 * *ret_rows is the rows themselves where there is nothing to blank, or shadow->rows until the next call. The rows lie
 * in a text. `is_placeholder` NULL: brackets are left as they are. -ENOMEM.
 */
int shadow_of(struct shadow *shadow, const struct table_rows *rows, shadow_is_placeholder *is_placeholder,
        const void *context, const struct table_rows **ret_rows);
void shadow_release(struct shadow *shadow);
