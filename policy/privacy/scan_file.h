/*
 * scan_file: personal data in a whole file, from a source of bytes, in one pass.
 *
 *     a table (CSV, JSON Lines, packed or not)   names of columns, and cells, of which these are context
 *     anything else                              lines of text, packed or not, in UTF-8 or windows-1252
 */
#pragma once

#include "policy/privacy/scanner.h"
#include "policy/table/table.h"

enum scan_form { SCAN_DETECT, SCAN_TABLE, SCAN_TEXT };

struct scan_file {
	enum scan_form form; /* DETECT: by the name's suffix */
	const char *name;    /* of the file; NULL: not known, so that it is text */
	struct table_options table;
};

/* Of a text: what stands across the end of so many bytes of a line is not found. */
#define SCAN_LINE_MAX (1u << 20)

/* What it was: valid in `found` already. */
struct scan_about {
	bool is_table;
	const struct table_cell *names; /* of a table's columns; one in which something was found: "column 2" */
	size_t columns;
	uint64_t rows; /* or lines, so far */
	/* Of a text: the bytes in which findings' cells lie, and where the first of them stands in it. */
	const char *text;
	size_t text_size;
	uint64_t text_offset;
	char left_out[240]; /* of a table, at the end: what of it stood in no cell; "": nothing */
	char aside[64];     /* at the end: what of a packed file stood in no text; "": nothing */
	uint64_t cut_line;  /* one that was looked at in pieces, as it is longer than SCAN_LINE_MAX; 0: none was */
	bool is_plain; /* at the end: the text is the file's own bytes, not packed, in no other encoding than UTF-8 */
};

/* Does the name say that it is a table? */
bool scan_is_named_table(const char *name);

/*
 * Reads to the end and calls `found` for each finding, which may look at *ret_about. Its value, the source's errors,
 * the table's (-EBADMSG, -EILSEQ … with words that name the line), scanner_rows', the
 * unpacker's. -EILSEQ: no text (a NUL or another control byte, a format that is known to be another).
 */
int scan_file(Scanner *scanner, const struct scan_file *file, struct table_source source, scan_found *found,
        void *context, struct scan_about *ret_about);
