/*
 * table_format: what a format does, for table.c: one of these a format.
 */
#pragma once

#include "policy/table/table.h"

#define TABLE_DIALECT_BYTES 160
#define TABLE_ADVICE_BYTES 240

/* What is known once a reader is open. The header is the reader's. */
struct table_shape {
	const struct table_cell *header;
	size_t columns;
	char dialect[TABLE_DIALECT_BYTES];
	char advice[TABLE_ADVICE_BYTES];
};

struct table_format {
	int (*open)(const struct table_source *source, const struct table_options *options, void **ret_reader,
	        struct table_shape *ret_shape);
	void (*close)(void *reader);
	int (*next)(void *reader, const struct table_cell **ret_cells);
	int (*rows)(void *reader, struct table_rows *ret_rows); /* NULL: one by one */
	uint64_t (*line)(const void *reader);
	struct table_place (*place)(const void *reader);
	void (*want)(void *reader, const bool *columns); /* NULL: all are made anyway */
	const char *(*left_out)(const void *reader); /* "", or what of rows so far is in no cell; NULL: nothing ever */
};

/* table_csv.c, table_jsonl.c */
extern const struct table_format table_csv, table_jsonl;
