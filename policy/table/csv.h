/*
 * csv: a streaming reader of delimited text, with detection of its dialect.
 *
 *     bytes ──read()──▶ buffer ──▶ record ──▶ cells (slices of the buffer, doubled quotes undone in place)
 *                        └─ the first 64 KiB also tell the dialect
 *
 * Memory is constant but for one record, which is bounded. What is read: UTF-8 with or without BOM; delimiter , ; tab
 * or |; quote " or ' (or none) with doubled quotes inside, or quotes and backslashes behind a backslash; LF, CRLF (also
 * mixed with LF) or CR; newlines inside quotes. A quote that does not open a field is an ordinary character. Blank
 * lines are skipped, except in a table of one column, where a blank line is an empty cell. Everything else is an error
 * that names the line: a row with more or fewer fields than the first one, text after a closing quote, an unclosed
 * quote, outside quotes a carriage return that ends no line (where lines end with LF or CRLF) or a line feed (where
 * they end with CR), bytes that are not UTF-8, NUL bytes. Nothing is guessed or repaired after the first record.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/table/cell.h"
#include "policy/table/rows.h"
#include "policy/table/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum csv_newline { CSV_NEWLINE_LF, CSV_NEWLINE_CRLF, CSV_NEWLINE_CR };

/* How a file is written; detected or given, and recorded in verdicts. */
struct csv_dialect {
	char delimiter; /* ',', ';', '\t', '|' or another given byte; 0 if the table has one column and needs none */
	char quote;     /* '"' or '\''; 0: none */
	char escape; /* inside quotes, before a quote or itself; before anything else it is a byte like others; 0: none
	              */
	enum csv_newline newline;
	bool header; /* the first record holds the columns' names */
	bool bom;
};

enum csv_header { CSV_HEADER_DETECT, CSV_HEADER_YES, CSV_HEADER_NO };

#define CSV_NONE ((char)0x7f)

/* All zero means: detect everything, default limits. */
struct csv_options {
	char delimiter; /* 0: detect. A given one must be ASCII and neither a quote nor a newline. */
	char quote;     /* 0: detect; CSV_NONE: the file knows no quotes */
	char escape;    /* 0: detect; CSV_NONE: only doubled quotes; or an ASCII byte */
	enum csv_header header;
	size_t max_record_bytes; /* 0: CSV_MAX_RECORD_BYTES; a longer record is an error */
	size_t max_columns;      /* 0: CSV_MAX_COLUMNS */
};

#define CSV_MAX_RECORD_BYTES (16u << 20)
#define CSV_MAX_COLUMNS 16384u
#define CSV_SAMPLE_BYTES (64u << 10)

typedef struct CsvReader CsvReader;

/*
 * Reads the first 64 KiB, settles the dialect and reads the header. `read` is called with `ctx` until it returns 0.
 * Errors: -ENODATA if there is not one record (an empty file, or one of blank lines), -EINVAL for options that make no
 * sense, -EBADMSG, -EILSEQ or -EMSGSIZE as csv_next(), or what `read` returned.
 */
int csv_open(table_read_function *read, void *ctx, const struct csv_options *options, CsvReader **ret_reader);

/* Frees the reader; NULL is allowed. */
void csv_close(CsvReader *reader);
DEFINE_CLEANUP(CsvReader, csv_close);

/* The dialect in use; belongs to the reader. */
const struct csv_dialect *csv_dialect_of(const CsvReader *reader);

/* Writes the dialect as words ("delimiter ';', quote '\"', CRLF, header, BOM"), cut to `size` with its NUL. */
void csv_dialect_text(const struct csv_dialect *dialect, char *ret_text, size_t size);

/* When the delimiter was given, makes one field of the first record, and another would make more of it and nearly all
 * others: that other one, and how many. 0: nothing speaks against the one in use. */
char csv_better_delimiter(const CsvReader *reader, size_t *ret_fields);

/* Number of fields of every record. */
size_t csv_columns(const CsvReader *reader);

/* The columns' names: the header's cells or, without a header, col0, col1, … Valid until csv_close(). */
const struct table_cell *csv_header_of(const CsvReader *reader);

/* Says which columns' cells are looked at, one flag a column; all, if it is not said. The cells of others hold nothing
 * of use. */
void csv_want(CsvReader *reader, const bool *columns);

/*
 * Reads the next row. Returns 1 with csv_columns() cells that are valid until the next call, 0 at the end, or: -EBADMSG
 * for a record that does not fit the dialect, -EILSEQ for bytes that are not text, -EMSGSIZE for a record over the
 * limits (the words name the line in all three), -ENOMEM, or what the read function returned. After an error the
 * reader stays at it: the same error is returned again.
 */
int csv_next(CsvReader *reader, const struct table_cell **ret_cells);

/* The same for some rows at once, one at least when it returns 1; the two may be called in turn. */
int csv_rows(CsvReader *reader, struct table_rows *ret_rows);

/* Line, counted from 1, on which the last record returned began; of the header before the first. */
uint64_t csv_line(const CsvReader *reader);

/* Where the last record stands: its bytes with its newline, counted from the first one read; the byte order mark
 * counts. */
uint64_t csv_record(const CsvReader *reader, size_t *ret_size);
