/*
 * jsonl: a streaming reader of JSON Lines: one object a line.
 *
 *     {"id": 1, "name": "Ann", "tags": ["a"]}         id    name    tags
 *     {"name": "B\u00f6", "id": null}           ──▶   1     Ann     ["a"]
 *                                                     NULL  Bö      NULL
 *
 * Columns are the keys of the lines in the first 64 KiB (of the first line, if it is longer), in the order in which
 * they first appear. A key that appears later only is no column: its values are left out, and a warning names the first
 * such line and key. To refuse the file would refuse what many programs write, who leave out keys without values; to
 * take the key in would change the table's shape under rules that were asked before.
 *
 * A string is its text, a number and a boolean as written, a nested value its JSON text; null and a missing key are
 * NULL. A key twice in one object is an error: which one counts is nobody's to guess. Blank lines are skipped; UTF-8
 * with or without byte order mark, LF or CRLF. Memory is constant but for one line, which is bounded.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "policy/table/cell.h"
#include "policy/table/source.h"

#include <stdint.h>

#define JSONL_MAX_LINE_BYTES (16u << 20)
#define JSONL_MAX_COLUMNS 16384u
#define JSONL_SAMPLE_BYTES (64u << 10)

/* All zero means: default limits. */
struct jsonl_options {
	size_t max_line_bytes; /* 0: JSONL_MAX_LINE_BYTES; a longer line is an error */
	size_t max_columns;    /* 0: JSONL_MAX_COLUMNS; more keys are an error */
	size_t sample_bytes;   /* 0: JSONL_SAMPLE_BYTES */
	bool hides_keys;       /* in warnings and errors: they may be personal data */
};

typedef struct JsonlReader JsonlReader;

/* Reads the first 64 KiB and finds the columns. `options` may be NULL. Errors as table_open(). */
int jsonl_open(const struct table_source *source, const struct jsonl_options *options, JsonlReader **ret_reader);

/* Frees the reader; NULL is allowed. */
void jsonl_close(JsonlReader *reader);
DEFINE_CLEANUP(JsonlReader, jsonl_close);

/* Do these first bytes of a file look like JSON Lines? Their first line is, or begins as, an object; `whole` says that
 * the file ends with them. */
bool jsonl_looks_like(struct bytes head, bool whole);

/* The keys, in the order of columns; valid until jsonl_close(). */
const struct table_cell *jsonl_header_of(const JsonlReader *reader);
size_t jsonl_columns(const JsonlReader *reader);

/* How the file is written ("JSON Lines, CRLF, BOM"), as far as the first 64 KiB tell. */
void jsonl_dialect_text(const JsonlReader *reader, char *ret_text, size_t size);

/* Reads the next row. Returns 1 with jsonl_columns() cells that are valid until the next call, 0 at the end, or an
 * error as table_open(), at which the reader stays. */
int jsonl_next(JsonlReader *reader, const struct table_cell **ret_cells);

/* The last row's line, counted from 1; of the first object before the first. */
uint64_t jsonl_line(const JsonlReader *reader);

/* Where the last row stands: its bytes with the newline, counted from the first one read. */
uint64_t jsonl_record(const JsonlReader *reader, size_t *ret_size);

/* Keys of rows so far that are no columns, as a sentence; "" if there were none. */
const char *jsonl_warning(const JsonlReader *reader);
