/*
 * csv_reader: what csv.c (reading records) and csv_open.c (beginning and ending) share. Not for others.
 */
#pragma once

#include "policy/table/csv.h"
#include "policy/table/csv_index.h"
#include "policy/table/window.h"

struct CsvReader {
	struct window window;
	struct csv_options options;
	struct csv_dialect dialect;
	char better; /* than the delimiter that was given; 0: none */
	size_t better_fields;

	int error; /* the error that stopped the reader, 0 if none */

	struct csv_index index;
	size_t index_at;     /* in the window, where the text begins that is indexed */
	size_t index_next;   /* the next of its records */
	size_t index_expect; /* in the window, where that record begins: elsewhere the index says nothing */
	unsigned index_wait; /* records to be read without trying to index, as quotes stand close by */
	unsigned index_failures;
	size_t *wanted; /* columns whose cells are looked at */
	size_t wanted_count;

	uint64_t line;        /* on which the record at `start` begins */
	uint64_t record_line; /* on which the last record returned began */
	size_t record_start;
	size_t record_size;

	struct table_cell *cells;
	size_t *doubled; /* indexes of cells with doubled or escaped quotes to undo */
	size_t cell_capacity;
	size_t cell_count;
	size_t doubled_count;
	size_t columns; /* 0 until the first record is read */

	struct table_cell *many; /* of csv_rows(), for `many_most` rows; NULL until it is called */
	uint64_t *many_lines;
	size_t many_most;

	char *names; /* the header's bytes */
	struct table_cell *header;
	bool first_is_row; /* without a header the first record, read by csv_open(), is still to be returned */
};

/* "out of memory" in words. */
int csv_out_of_memory(void);

/* What ends a record. */
static inline char csv_newline_of(const CsvReader *reader) {
	return reader->dialect.newline == CSV_NEWLINE_CR ? '\r' : '\n';
}

/* Has more of the text in the window. -EMSGSIZE with words for a record over the limit, or the source's errors. */
int csv_fill(CsvReader *reader);

/* Reads the next record that is no blank line into the cells, the slow way. 1, 0 at the end, or csv_next's errors. */
int csv_next_row(CsvReader *reader);
