#include "policy/table/table.h"

#include "crypto/base/fault.h"
#include "policy/table/encoding.h"
#include "policy/table/plain.h"
#include "policy/table/table_format.h"
#include "policy/table/unsupported.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct TableReader {
	struct plain plain; /* as it is stored, unpacked */
	Decoder *decoder;
	struct peek decoded; /* of UTF-16 only */
	enum table_type type;
	const struct table_format *format;
	void *own; /* the format's reader */
	struct table_shape shape;
	uint64_t line;                          /* of table_next_rows() where the format reads one by one */
	char dialect[TABLE_DIALECT_BYTES + 64]; /* with what the layers say */
	char warning[128];
};

/* ---- what the file is ---- */

/* The name without the suffix that says how it is packed. */
static void plain_name(const char *name, char *ret_name, size_t size) {
	static const char *const suffixes[] = {".gz", ".gzip", ".zst", ".zstd"};
	size_t length = name ? strlen(name) : 0;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		size_t tail = strlen(suffixes[i]);
		if (length > tail && strcasecmp(name + length - tail, suffixes[i]) == 0) {
			length -= tail;
			break;
		}
	}
	/* Only its end matters. */
	size_t from = length >= size ? length - size + 1 : 0;
	(void)snprintf(ret_name, size, "%.*s", (int)(length - from), name ? name + from : "");
}

static bool is_named_jsonl(const char *name) {
	const char *dot = strrchr(name, '.');
	return dot && (strcasecmp(dot, ".jsonl") == 0 || strcasecmp(dot, ".ndjson") == 0);
}

static int refuse(const TableReader *reader, const char *format) {
	return fault(ENOTSUP,
	        "the file is %s%s%s, a format that is not supported yet; supported are CSV (delimited text) and JSON "
	        "Lines, alone or in gzip or zstd",
	        format, reader->plain.packing ? " in " : "", packing_word(reader->plain.packing));
}

/* What the bytes are says most; the name counts only when neither they nor the policy say what the type is. */
static int settle_type(TableReader *reader, const struct table_options *options, const struct peek *text) {
	const char *unsupported = unsupported_by_bytes(peek_head(text));
	char name[64];
	plain_name(options->name, name, sizeof name);
	reader->type = options->type;
	if (!unsupported && reader->type == TABLE_DETECT) {
		if (jsonl_looks_like(peek_head(text), text->whole) || is_named_jsonl(name))
			reader->type = TABLE_JSONL;
		else
			unsupported = unsupported_by_name(name);
	}
	if (reader->type == TABLE_DETECT)
		reader->type = TABLE_CSV;
	reader->format = reader->type == TABLE_CSV ? &table_csv : &table_jsonl;
	return unsupported ? refuse(reader, unsupported) : 0;
}

/* ---- the layers, from the file up ---- */

/* UTF-16 is decoded before its first characters can be looked at. */
static int decode_utf16(TableReader *reader, struct peek **text) {
	enum encoding encoding = encoding_of(peek_head(*text));
	if (encoding == ENCODING_ASCII)
		return 0;
	struct table_source source = peek_source(*text);
	int rc = decoder_new(encoding, &source, &reader->decoder);
	*text = &reader->decoded;
	if (rc >= 0)
		rc = peek_fill(&reader->decoded, decoder_source(reader->decoder));
	return rc == -EILSEQ ? fault_while(rc, "near line 1") : rc;
}

/* JSON Lines are UTF-8 by their definition; a CSV is whatever a program made of it. */
static int decode_bytes(TableReader *reader, struct table_source *source) {
	if (reader->decoder || reader->type != TABLE_CSV)
		return 0;
	int rc = decoder_new(ENCODING_ASCII, source, &reader->decoder);
	if (rc >= 0)
		*source = decoder_source(reader->decoder);
	return rc;
}

static int open_layers(TableReader *reader, const struct table_source *file, const struct table_options *options) {
	int rc = plain_open(&reader->plain, *file, &options->unpack);
	if (rc < 0)
		return rc;
	struct peek *text = plain_peek(&reader->plain);
	if (text->size == 0)
		return fault(ENODATA, "the file has no bytes%s%s", reader->plain.packing ? " in its " : "",
		        packing_word(reader->plain.packing));
	if ((rc = decode_utf16(reader, &text)) < 0 || (rc = settle_type(reader, options, text)) < 0)
		return rc;
	struct table_source source = peek_source(text);
	if ((rc = decode_bytes(reader, &source)) < 0)
		return rc;
	return reader->format->open(&source, options, &reader->own, &reader->shape);
}

int table_open(table_read_function *read, void *ctx, const struct table_options *options, TableReader **ret_reader) {
	static const struct table_options defaults = {0};
	_cleanup_(table_closep) TableReader *reader = calloc(1, sizeof *reader);
	if (!reader)
		return fault(ENOMEM, "out of memory while reading a table");
	const struct table_source file = {.read = read, .ctx = ctx};
	int rc = open_layers(reader, &file, options ? options : &defaults);
	if (rc < 0)
		return rc;
	*ret_reader = steal_pointer(&reader);
	return 0;
}

void table_close(TableReader *reader) {
	if (!reader)
		return;
	if (reader->own)
		reader->format->close(reader->own);
	peek_release(&reader->decoded);
	decoder_free(reader->decoder);
	plain_release(&reader->plain);
	free(reader);
}

/* The encoding, if it is none that is read as it is; NULL. */
static const char *foreign_encoding(const TableReader *reader) {
	enum encoding encoding = reader->decoder ? decoder_encoding(reader->decoder) : ENCODING_ASCII;
	return encoding == ENCODING_ASCII || encoding == ENCODING_UTF8 ? NULL : encoding_word(encoding);
}

const char *table_dialect_text(TableReader *reader) {
	const char *encoding = foreign_encoding(reader);
	(void)snprintf(reader->dialect, sizeof reader->dialect, "%s%s%s%s%s", packing_word(reader->plain.packing),
	        reader->plain.packing ? ", " : "", encoding ? encoding : "", encoding ? ", " : "",
	        reader->shape.dialect);
	return reader->dialect;
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

const char *table_left_out(const TableReader *reader) {
	return reader->format->left_out ? reader->format->left_out(reader->own) : "";
}

const char *table_aside(const TableReader *reader, const char *name) {
	return plain_aside(&reader->plain, name);
}

const char *table_warning(TableReader *reader, size_t i) {
	const char *encoding = foreign_encoding(reader);
	if (encoding && i-- == 0) {
		(void)snprintf(reader->warning, sizeof reader->warning,
		        "the file is written in %s; it was read as if it had been converted to UTF-8", encoding);
		return reader->warning;
	}
	const char *left_out = i == 0 ? table_left_out(reader) : "";
	return left_out[0] ? left_out : NULL;
}

size_t table_columns(const TableReader *reader) {
	return reader->shape.columns;
}

const struct table_cell *table_header(const TableReader *reader) {
	return reader->shape.header;
}

void table_want(TableReader *reader, const bool *columns) {
	if (reader->format->want)
		reader->format->want(reader->own, columns);
}

int table_next(TableReader *reader, const struct table_cell **ret_cells) {
	return reader->format->next(reader->own, ret_cells);
}

int table_next_rows(TableReader *reader, struct table_rows *ret_rows) {
	if (reader->format->rows)
		return reader->format->rows(reader->own, ret_rows);
	*ret_rows = (struct table_rows){.count = 1, .columns = reader->shape.columns, .lines = &reader->line};
	int rc = table_next(reader, &ret_rows->cells);
	reader->line = table_line(reader);
	return rc;
}

uint64_t table_line(const TableReader *reader) {
	return reader->format->line(reader->own);
}

struct table_place table_place(const TableReader *reader) {
	return reader->format->place(reader->own);
}

bool table_is_plain(const TableReader *reader) {
	return reader->plain.packing == PACKING_NONE && !foreign_encoding(reader);
}
