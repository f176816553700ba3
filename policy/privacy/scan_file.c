#include "policy/privacy/scan_file.h"

#include "crypto/base/fault.h"
#include "policy/privacy/scan_rows.h"
#include "policy/table/encoding.h"
#include "policy/table/plain.h"
#include "policy/table/unsupported.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define BLOCK_BYTES (2 * SCAN_LINE_MAX)

#define SAMPLE_ROWS 1000u
#define NAME_BYTES 32 /* of "column 12" */

bool scan_is_named_table(const char *name) {
	static const char *const suffixes[] = {".csv", ".tsv", ".jsonl", ".ndjson"};
	static const char *const packed[] = {"", ".gz", ".gzip", ".zst", ".zstd"};
	size_t size = name ? strlen(name) : 0;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		for (size_t k = 0; k < sizeof packed / sizeof *packed; k++) {
			size_t tail = strlen(suffixes[i]) + strlen(packed[k]);
			if (size > tail && strncasecmp(name + size - tail, suffixes[i], strlen(suffixes[i])) == 0 &&
			        strcasecmp(name + size - strlen(packed[k]), packed[k]) == 0)
				return true;
		}
	return false;
}

static int out_of_memory(void) {
	return fault(ENOMEM, "no memory to look for personal data");
}

/* ---- tables ---- */

struct scanned_table {
	Scanner *scanner;
	scan_found *found;
	void *context;
	struct scan_about *about;
	struct table_cell *names; /* as they are told */
	char (*numbers)[NAME_BYTES];
};

static void scanned_table_release(struct scanned_table *t) {
	free(t->names);
	free(t->numbers);
}

/* The findings of a name come one after the other, so that the first calls the column otherwise for all that follow. */
static int take_name(void *context, const struct scan_finding *finding) {
	struct scanned_table *t = context;
	char *number = t->numbers[finding->column];
	(void)snprintf(number, NAME_BYTES, "column %zu", finding->column + 1);
	t->names[finding->column] = (struct table_cell){.data = number, .size = strlen(number)};
	return t->found(t->context, finding);
}

static int look_at_header(struct scanned_table *t, const TableReader *reader) {
	size_t columns = table_columns(reader);
	t->names = calloc(columns + 1, sizeof *t->names);
	t->numbers = calloc(columns + 1, sizeof *t->numbers);
	if (!t->names || !t->numbers)
		return out_of_memory();
	memcpy(t->names, table_header(reader), columns * sizeof *t->names);
	t->about->is_table = true;
	t->about->names = t->names;
	t->about->columns = columns;
	int rc = scanner_columns(t->scanner, table_header(reader), columns);
	return rc < 0 ? rc : scan_names(t->scanner, table_header(reader), columns, table_line(reader), take_name, t);
}

static int look(void *context, const struct table_rows *rows) {
	struct scanned_table *t = context;
	t->about->rows += rows->count;
	return scanner_rows(t->scanner, rows, t->found, t->context);
}

static int scan_table(Scanner *scanner, const struct scan_file *file, const struct table_source *source,
        scan_found *found, void *context, struct scan_about *about) {
	_cleanup_(table_closep) TableReader *reader = NULL;
	_cleanup_(scanned_table_release) struct scanned_table t = {
	        .scanner = scanner, .found = found, .context = context, .about = about};
	_cleanup_(scan_rows_release) struct scan_rows scan = {
	        .scanner = scanner, .sample = SAMPLE_ROWS, .look = look, .context = &t};
	struct table_options options = file->table;
	struct table_rows rows;
	options.name = file->name;
	int rc = table_open(source->read, source->ctx, &options, &reader);
	if (rc == -ENODATA)
		return 0; /* nothing is in it */
	if (rc == 0)
		rc = look_at_header(&t, reader);
	while (rc == 0 && (rc = table_next_rows(reader, &rows)) > 0)
		rc = scan_rows_add(&scan, &rows);
	if (rc == 0)
		rc = scan_rows_end(&scan);
	about->names = NULL;
	if (!reader)
		return rc;
	(void)snprintf(about->left_out, sizeof about->left_out, "%s", table_left_out(reader));
	(void)snprintf(about->aside, sizeof about->aside, "%s", table_aside(reader, file->name));
	return rc;
}

/* ---- text ---- */

struct lines {
	char *bytes;
	size_t end;
	uint64_t line;
	struct table_cell *cells;
	uint64_t *numbers;
	size_t room;
};

static void lines_release(struct lines *lines) {
	free(lines->bytes);
	free(lines->cells);
	free(lines->numbers);
}

static int add_line(struct lines *lines, size_t count, const char *from, size_t size) {
	if (count == lines->room) {
		size_t room = lines->room ? lines->room * 2 : 1024;
		struct table_cell *cells = reallocarray(lines->cells, room, sizeof *cells);
		lines->cells = cells ? cells : lines->cells;
		uint64_t *numbers = reallocarray(lines->numbers, room, sizeof *numbers);
		lines->numbers = numbers ? numbers : lines->numbers;
		if (!cells || !numbers)
			return out_of_memory();
		lines->room = room;
	}
	lines->cells[count] = (struct table_cell){.data = from, .size = size};
	lines->numbers[count] = lines->line;
	return 0;
}

/* Of the bytes that are there those up to the last newline, or all of them; *ret_used of them were looked at. */
static int scan_block(Scanner *scanner, struct lines *lines, bool at_end, scan_found *found, void *context,
        struct scan_about *about, size_t *ret_used) {
	size_t count = 0, at = 0;
	int rc = 0;
	while (at < lines->end && rc == 0) {
		const char *from = lines->bytes + at;
		const char *newline = memchr(from, '\n', lines->end - at);
		size_t left = lines->end - at, size = newline ? (size_t)(newline - from) : left;
		if (!newline && !at_end && left < SCAN_LINE_MAX)
			break;
		bool is_cut = size > SCAN_LINE_MAX || (!newline && !at_end);
		if (is_cut && about->cut_line == 0)
			about->cut_line = lines->line;
		size = is_cut ? utf8_cut(from, size, SCAN_LINE_MAX) : size;
		rc = add_line(lines, count++, from, size);
		at += size + (newline && !is_cut);
		lines->line += newline && !is_cut;
	}
	const struct table_rows rows = {.count = count,
	        .columns = 1,
	        .cells = lines->cells,
	        .lines = lines->numbers,
	        .text = lines->bytes,
	        .size = at};
	*ret_used = about->text_size = at;
	about->text = lines->bytes;
	return rc < 0 || count == 0 ? rc : scanner_rows(scanner, &rows, found, context);
}

static int fill(struct lines *lines, const struct table_source *source, bool *ret_at_end) {
	while (lines->end < BLOCK_BYTES && !*ret_at_end) {
		int got = source_take(source, lines->bytes + lines->end, BLOCK_BYTES - lines->end);
		if (got < 0)
			return got == -EILSEQ ? fault_while(got, "behind line %" PRIu64, lines->line) : got;
		*ret_at_end = got == 0;
		lines->end += (size_t)got;
	}
	return 0;
}

/* One that no text has: BEL, BS, TAB, LF, VT, FF, CR and ESC some have. */
static bool has_control_byte(const char *bytes, size_t size) {
	unsigned found = 0;
	for (size_t i = 0; i < size; i++) {
		unsigned c = (unsigned char)bytes[i];
		found |= (unsigned)(c < 7) | ((unsigned)(c > 13) & (unsigned)(c < 32) & (unsigned)(c != 27)) |
		         (unsigned)(c == 127);
	}
	return found != 0;
}

static int check_text(const struct lines *lines, size_t size) {
	size_t good = utf8_valid_prefix(lines->bytes, size);
	if (good == size && !has_control_byte(lines->bytes, size))
		return 0;
	if (good == size)
		return fault(EILSEQ, "behind line %" PRIu64 ": a control byte; this is no text", lines->line);
	return fault(EILSEQ, "behind line %" PRIu64 ": %s; this is no text", lines->line,
	        lines->bytes[good] ? "bytes that are neither UTF-8 nor windows-1252" : "a NUL byte");
}

/* Its text, unpacked; what is known to be something else is none, whatever its bytes are. */
static int open_text(struct plain *plain, const struct table_source *source) {
	int rc = plain_open(plain, *source, NULL);
	const char *other = rc == 0 ? unsupported_by_bytes(peek_head(plain_peek(plain))) : NULL;
	return other ? fault(EILSEQ, "it is %s; this is no text", other) : rc;
}

static int scan_text(Scanner *scanner, const struct scan_file *file, const struct table_source *source,
        scan_found *found, void *context, struct scan_about *about) {
	_cleanup_(lines_release) struct lines lines = {.bytes = calloc(1, BLOCK_BYTES + ROWS_SLACK), .line = 1};
	_cleanup_(plain_release) struct plain plain = {0};
	_cleanup_(decoder_freep) Decoder *decoder = NULL;
	bool at_end = false;
	if (!lines.bytes)
		return out_of_memory();
	int rc = open_text(&plain, source);
	struct table_source text = peek_source(plain_peek(&plain));
	if (rc == 0)
		rc = decoder_new(ENCODING_ASCII, &text, &decoder);
	if (rc == 0)
		rc = scanner_columns(scanner, NULL, 0);
	if (rc == 0)
		text = decoder_source(decoder);
	while (rc == 0 && !(at_end && lines.end == 0)) {
		size_t used = 0;
		rc = fill(&lines, &text, &at_end);
		size_t whole =
		        at_end ? lines.end : utf8_cut(lines.bytes, lines.end, lines.end - (lines.end > 4 ? 4 : 0));
		if (rc == 0)
			rc = check_text(&lines, whole);
		if (rc == 0)
			rc = scan_block(scanner, &lines, at_end, found, context, about, &used);
		memmove(lines.bytes, lines.bytes + used, lines.end - used);
		lines.end -= used;
		about->rows = lines.line - 1;
		about->text_offset += used;
		about->text_size = 0;
	}
	about->is_plain = decoder && decoder_encoding(decoder) <= ENCODING_UTF8 && plain.packing == PACKING_NONE;
	(void)snprintf(about->aside, sizeof about->aside, "%s", plain_aside(&plain, file->name));
	return rc;
}

int scan_file(Scanner *scanner, const struct scan_file *file, struct table_source source, scan_found *found,
        void *context, struct scan_about *ret_about) {
	*ret_about = (struct scan_about){0};
	bool is_table = file->form == SCAN_DETECT ? scan_is_named_table(file->name) : file->form == SCAN_TABLE;
	return is_table ? scan_table(scanner, file, &source, found, context, ret_about)
	                : scan_text(scanner, file, &source, found, context, ret_about);
}
