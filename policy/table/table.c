#include "policy/table/table.h"

#include "crypto/base/fault.h"
#include "policy/table/peek.h"
#include "policy/table/table_format.h"
#include "policy/table/unsupported.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

struct TableReader {
	struct peek file;
	enum table_type type;
	const struct table_format *format;
	void *own; /* the format's reader */
	struct table_shape shape;
};

static int out_of_memory(void) {
	return fault(ENOMEM, "out of memory while reading a table");
}

static bool is_named_jsonl(const char *name) {
	const char *dot = name ? strrchr(name, '.') : NULL;
	return dot && (strcasecmp(dot, ".jsonl") == 0 || strcasecmp(dot, ".ndjson") == 0);
}

static int refuse(const char *format) {
	return fault(ENOTSUP,
	        "the file is %s, a format that is not supported yet; supported are CSV (delimited text) and JSON Lines",
	        format);
}

/* What the bytes are says most; the name counts only when neither they nor the policy say what the type is. */
static int settle_type(TableReader *reader, const struct table_options *options) {
	struct bytes head = peek_head(&reader->file);
	const char *unsupported = unsupported_by_bytes(head);
	reader->type = options->type;
	if (!unsupported && reader->type == TABLE_DETECT) {
		if (jsonl_looks_like(head, reader->file.whole) || is_named_jsonl(options->name))
			reader->type = TABLE_JSONL;
		else
			unsupported = unsupported_by_name(options->name);
	}
	if (reader->type == TABLE_DETECT)
		reader->type = TABLE_CSV;
	reader->format = reader->type == TABLE_CSV ? &table_csv : &table_jsonl;
	return unsupported ? refuse(unsupported) : 0;
}

int table_open(table_read_function *read, void *ctx, const struct table_options *options, TableReader **ret_reader) {
	static const struct table_options defaults = {0};
	_cleanup_(table_closep) TableReader *reader = calloc(1, sizeof *reader);
	if (!reader)
		return out_of_memory();
	if (!options)
		options = &defaults;
	int rc = peek_fill(&reader->file, (struct table_source){.read = read, .ctx = ctx});
	if (rc < 0)
		return rc;
	if (reader->file.size == 0)
		return fault(ENODATA, "the file has no bytes");
	if ((rc = settle_type(reader, options)) < 0)
		return rc;
	struct table_source source = peek_source(&reader->file);
	if ((rc = reader->format->open(&source, options, &reader->own, &reader->shape)) < 0)
		return rc;
	*ret_reader = steal_pointer(&reader);
	return 0;
}

void table_close(TableReader *reader) {
	if (!reader)
		return;
	if (reader->own)
		reader->format->close(reader->own);
	peek_release(&reader->file);
	free(reader);
}

const char *table_dialect_text(const TableReader *reader) {
	return reader->shape.dialect;
}

enum table_type table_type_of(const TableReader *reader) {
	return reader->type;
}

const struct csv_dialect *table_csv_dialect(const TableReader *reader) {
	return reader->type == TABLE_CSV ? csv_dialect_of(reader->own) : NULL;
}

const char *table_advice(const TableReader *reader) {
	return reader->shape.advice;
}

const char *table_warning(const TableReader *reader, size_t i) {
	const char *warning = i == 0 && reader->format->warning ? reader->format->warning(reader->own) : "";
	return warning[0] ? warning : NULL;
}

size_t table_columns(const TableReader *reader) {
	return reader->shape.columns;
}

const struct table_cell *table_header(const TableReader *reader) {
	return reader->shape.header;
}

int table_next(TableReader *reader, const struct table_cell **ret_cells) {
	return reader->format->next(reader->own, ret_cells);
}

uint64_t table_line(const TableReader *reader) {
	return reader->format->line(reader->own);
}

struct table_place table_place(const TableReader *reader) {
	return reader->format->place(reader->own);
}
