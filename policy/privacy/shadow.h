/*
 * shadow: rows as they are looked at: what would hide personal data, or be taken for its context, is blank, and nothing
 * is moved, so that places in the one are places in the other.
 *
 *     as they are    {"m": "call\n604-555-0142"}      [IBAN] 12345678
 *     looked at      {"m": "call  604-555-0142"}             12345678     in what was treated already
 *
 * Escapes are those of JSON, in cells (or lines) with a quote in them, whatever they are written in: JSON stands in
 * texts and in tables, too. An escape of a plain character (\u0040 for @) can't be undone in its place: that there is
 * one is told. Who writes JSON escapes no such characters.
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
	uint64_t unclear_line; /* of the first cell with an escape of a plain character, of all rows so far; 0: none */
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
