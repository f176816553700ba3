/*
 * spans: where the cells of a row stand in its bytes as they are written.
 *
 *     raw      Ann;"604 ""home""";     \n          {"name": "Ann", "tags": ["a"], "id": 7}
 *     whole    └─┘ └───────────┘ ┘                 └───────────┘  └───────────┘  └─────┘    with quotes; of JSON with
 * the key text     └─┘  └─────────┘  ┘                          └─┘           └───┘        ┘
 *
 * A cell's own bytes (what a reader hands out) differ from its text here where quotes are doubled or something is
 * escaped; spans_place() tells where a part of it is written.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "policy/table/csv.h"

enum span_kind {
	SPAN_PLAIN,  /* a CSV cell without quotes, or a line of text */
	SPAN_QUOTED, /* a CSV cell in quotes */
	SPAN_STRING, /* a JSON string */
	SPAN_VALUE,  /* a JSON number, boolean or null */
	SPAN_NESTED  /* a JSON list or object */
};

#define SPAN_NO_COLUMN ((size_t)-1) /* a JSON key that is no column */

struct span {
	enum span_kind kind;
	size_t column;
	size_t from, to;             /* the text */
	size_t whole_from, whole_to; /* what goes with the cell, without a delimiter */
};

/* The spans of a row, in the order in which they are written; all zero: none yet. */
struct spans {
	struct span *list;
	size_t count, room;
	size_t *by_name; /* a table's columns, ascending by their names, once they were asked for out of their order */
};
void spans_release(struct spans *spans);

/* Both: `raw` is the row's record with its newline, behind which ROWS_SLACK bytes may be read. -EBADMSG: it is no row
 * of that kind; -ENOMEM. */
int spans_of_csv(struct spans *spans, const struct csv_dialect *dialect, struct bytes raw, size_t columns);
int spans_of_json(struct spans *spans, struct bytes raw, const struct table_cell *names, size_t columns);

/* How far one has come in a cell; all zero: at its start. */
struct span_walk {
	size_t written, bytes; /* of its text, and of the cell */
};

/*
 * Where bytes `from` to `to` (half-open) of a cell are written: *ret_from and *ret_to in `raw`. Parts of one cell are
 * asked for in their order, with one walk. `cell` is what the reader handed out for it: -EBADMSG where it is not what
 * is written up to there. A part that begins or ends within an escape takes all of it. `dialect` is a CSV's.
 */
int spans_place(const struct span *span, const struct csv_dialect *dialect, struct bytes raw, struct table_cell cell,
        size_t from, size_t to, struct span_walk *walk, size_t *ret_from, size_t *ret_to);
