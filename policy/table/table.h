/*
 * table: rows of cells, whatever the file is written in.
 *
 *     bytes ──▶ unpacked (gzip, zstd) ──▶ decoded (UTF-16, windows-1252) ──▶ CSV or JSON Lines ──▶ header, row, …
 *
 * What they are tell the options, the bytes or the name.
 *
 * One pass, in memory that does not grow with the file. What can't be read is an error with words that name the line;
 * nothing is guessed. Errors:
 *
 *     -ENODATA   there is not one row
 *     -ENOTSUP   a format that is known, but not read here (Parquet, xlsx, …); the words name it
 *     -EBADMSG   what does not fit the format
 *     -EILSEQ    bytes that are not text
 *     -EMSGSIZE  something is over its limit
 *     -EINVAL    options that make no sense
 *
 * and -ENOMEM, or what the read function returned.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/table/cell.h"
#include "policy/table/csv.h"
#include "policy/table/jsonl.h"
#include "policy/table/rows.h"
#include "policy/table/source.h"
#include "policy/table/unpack.h"

#include <stdint.h>

enum table_type { TABLE_DETECT, TABLE_CSV, TABLE_JSONL };

/* All zero means: detect everything, default limits. */
struct table_options {
	enum table_type type;
	const char *name; /* of the file, for its suffix; NULL: not known */
	struct csv_options csv;
	struct jsonl_options jsonl;
	struct unpack_limits unpack;
};

typedef struct TableReader TableReader;

/* Looks at the first bytes, settles how the file is written and reads the header. `read` is called with `ctx` until it
 * returns 0; texts in `options` are not needed after the call. */
int table_open(table_read_function *read, void *ctx, const struct table_options *options, TableReader **ret_reader);
void table_close(TableReader *reader);
DEFINE_CLEANUP(TableReader, table_close);

/* How the file is written, in words for the verdict ("gzip, windows-1252, delimiter ';', quote '\"', CRLF, header").
 * The encoding may show as late as in the last row. */
const char *table_dialect_text(TableReader *reader);

/* CSV or JSON Lines. */
enum table_type table_type_of(const TableReader *reader);

/* The dialect of a CSV; NULL for any other type. */
const struct csv_dialect *table_csv_dialect(const TableReader *reader);

/* What speaks against the dialect that was given, as a sentence, "" if nothing does: a delimiter that makes one column
 * of what another would make many of. */
const char *table_advice(const TableReader *reader);

/* What there is to say of the rows so far, each a sentence; NULL past the last. Rows that were read after it was asked
 * may add some. Valid until the next call. */
const char *table_warning(TableReader *reader, size_t i);

/* What of the rows so far stands in no cell (keys of JSON Lines that are no columns), as a sentence; "": nothing. */
const char *table_left_out(const TableReader *reader);

/* What of a packed file so far stands in no text (unpacker_aside()); "": nothing. `name` is the file's. */
const char *table_aside(const TableReader *reader, const char *name);

/* Number of cells in every row, and the columns' names; they are valid until table_close(). */
size_t table_columns(const TableReader *reader);
const struct table_cell *table_header(const TableReader *reader);

/* Says which columns' cells are looked at, one flag a column; all, if it is not said. What the others hold is nothing
 * to look at; every row's shape is checked all the same. */
void table_want(TableReader *reader, const bool *columns);

/* Reads the next row. Returns 1 with table_columns() cells that are valid until the next call, 0 at the end, or an
 * error, at which the reader stays. */
int table_next(TableReader *reader, const struct table_cell **ret_cells);

/* The same for some rows at once: as many as are easily had, one at least when it returns 1. The two may be called in
 * turn. */
int table_next_rows(TableReader *reader, struct table_rows *ret_rows);

/* Line, counted from 1, on which the last row began; of the header before the first. */
uint64_t table_line(const TableReader *reader);

/* Where a row's own bytes are, its newline included: what to copy to have the row as it was written. They are counted
 * in the text that is read, which is the input itself if table_is_plain(). */
struct table_place {
	uint64_t offset;
	size_t size;
};

/* Of the last row. */
struct table_place table_place(const TableReader *reader);

/* Is the text that is read the input's own bytes, so neither packed nor in another encoding? To be asked at the end. */
bool table_is_plain(const TableReader *reader);
