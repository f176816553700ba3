/*
 * jsonl: see jsonl.h.
 *
 * The objects of one file mostly have their keys in one order, so the next key is first compared with the next column;
 * only a key out of turn is looked up (by a keyed hash: the keys are the file's, and it may be hostile).
 */
#include "policy/table/jsonl.h"

#include "crypto/base/fault.h"
#include "policy/table/json_scan.h"
#include "policy/table/utf8.h"
#include "policy/table/window.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* Letters of a key that messages show. */
#define KEY_SHOWN 60

struct JsonlReader {
	struct window window;
	struct jsonl_options options;
	int error; /* the error that stopped the reader, 0 if none */
	bool bom, crlf;

	struct table_cell *header; /* each name an allocation */
	struct table_cell *cells;
	uint64_t *seen; /* the row in which a column had a value last */
	size_t columns, column_room;
	uint32_t *slots; /* of the hash table: a column + 1, 0 if free; at most half are taken */
	size_t slot_count;
	unsigned char key[crypto_shorthash_KEYBYTES];

	uint64_t line; /* of the record at the window's start */
	uint64_t rows; /* 1 for the first row, so that `seen` begins as 0 */
	uint64_t record_line;
	size_t record_start, record_size;

	char *base;        /* of the text that is being taken apart */
	char warning[240]; /* of the first key that is no column */
};

static int out_of_memory(void) {
	return fault(ENOMEM, "out of memory while reading a table");
}

/* ---- columns ---- */

static uint32_t *find_slot(const JsonlReader *reader, struct table_cell name) {
	uint64_t hash;
	static_assert(sizeof hash == crypto_shorthash_BYTES, "one word");
	(void)crypto_shorthash((unsigned char *)&hash, (const unsigned char *)name.data, name.size, reader->key);
	size_t mask = reader->slot_count - 1, i = (size_t)hash & mask;
	while (reader->slots[i]) {
		struct table_cell taken = reader->header[reader->slots[i] - 1];
		if (cell_equals(taken, name.data, name.size))
			break;
		i = (i + 1) & mask;
	}
	return &reader->slots[i];
}

/* The column of a name; `columns` if it is none. */
static size_t find_column(const JsonlReader *reader, size_t expected, struct table_cell name) {
	if (expected < reader->columns && cell_equals(reader->header[expected], name.data, name.size))
		return expected;
	uint32_t slot = reader->slot_count ? *find_slot(reader, name) : 0;
	return slot ? slot - 1 : reader->columns;
}

static int grow_columns(JsonlReader *reader) {
	size_t room = reader->column_room ? reader->column_room * 2 : 16;
	struct table_cell *header = reallocarray(reader->header, room, sizeof *header);
	if (!header)
		return out_of_memory();
	reader->header = header;
	struct table_cell *cells = reallocarray(reader->cells, room, sizeof *cells);
	if (!cells)
		return out_of_memory();
	reader->cells = cells;
	uint64_t *seen = reallocarray(reader->seen, room, sizeof *seen);
	if (!seen)
		return out_of_memory();
	reader->seen = seen;
	uint32_t *slots = calloc(room * 2, sizeof *slots);
	if (!slots)
		return out_of_memory();
	free(reader->slots);
	reader->slots = slots;
	reader->slot_count = room * 2;
	reader->column_room = room;
	for (size_t i = 0; i < reader->columns; i++)
		*find_slot(reader, header[i]) = (uint32_t)i + 1;
	return 0;
}

static int add_column(JsonlReader *reader, struct table_cell name) {
	if (reader->columns >= reader->options.max_columns)
		return fault(EMSGSIZE, "line %" PRIu64 ": more than %zu different keys", reader->line,
		        reader->options.max_columns);
	int rc = reader->columns == reader->column_room ? grow_columns(reader) : 0;
	if (rc < 0)
		return rc;
	char *copy = malloc(name.size + 1);
	if (!copy)
		return out_of_memory();
	memcpy(copy, name.data, name.size);
	struct table_cell kept = {.data = copy, .size = name.size};
	*find_slot(reader, kept) = (uint32_t)reader->columns + 1;
	reader->seen[reader->columns] = 0;
	reader->header[reader->columns++] = kept;
	return 0;
}

/* ---- one object ---- */

static int complain(const JsonlReader *reader, const char *line, const struct json_scan *scan, const char *wrong) {
	size_t at = (size_t)(scan->at - line) + 1;
	if (!wrong)
		return fault(EMSGSIZE, "line %" PRIu64 ", byte %zu: values are nested more than %d deep", reader->line,
		        at, JSON_SCAN_DEPTH);
	return fault(EBADMSG, "line %" PRIu64 ", byte %zu: %s", reader->line, at, wrong);
}

/* A text between quotes as what it means; its escapes are undone where it stands. */
static struct table_cell text_of(const JsonlReader *reader, const struct json_value *value) {
	struct table_cell text = value->text;
	if (value->escaped)
		text.size = json_unescape(reader->base + (text.data - reader->base), text.size);
	return text;
}

/* A key as messages show it. */
static const char *word_of(const JsonlReader *reader, struct table_cell key, char (*ret_word)[KEY_SHOWN + 16]) {
	if (reader->options.hides_keys)
		return "a key";
	(void)snprintf(*ret_word, sizeof *ret_word, "the key \"%.*s\"", (int)utf8_cut(key.data, key.size, KEY_SHOWN),
	        key.data);
	return *ret_word;
}

static void note_other(JsonlReader *reader, struct table_cell key) {
	char word[KEY_SHOWN + 16];
	if (!reader->warning[0])
		(void)snprintf(reader->warning, sizeof reader->warning,
		        "line %" PRIu64 ": %s is in none of the first lines, so it is no column; it is left out, and "
		        "so are others later",
		        reader->line, word_of(reader, key, &word));
}

static int take_member(
        JsonlReader *reader, struct table_cell key, const struct json_value *value, bool is_sample, size_t *expected) {
	size_t column = find_column(reader, *expected, key);
	if (column == reader->columns && !is_sample) {
		note_other(reader, key);
		return 0;
	}
	int rc = column == reader->columns ? add_column(reader, key) : 0;
	if (rc < 0)
		return rc;
	if (reader->seen[column] == reader->rows)
		return fault(EBADMSG, "line %" PRIu64 ": %s stands twice in the object", reader->line,
		        word_of(reader, key, &(char[KEY_SHOWN + 16]){0}));
	reader->seen[column] = reader->rows;
	*expected = column + 1;
	if (value->kind == JSON_KIND_STRING && !is_sample)
		reader->cells[column] = text_of(reader, value);
	else if (value->kind != JSON_KIND_NULL && !is_sample)
		reader->cells[column] = value->text;
	return 0;
}

/* Takes the line's object into cells; of the sample only its keys. */
static int take_object(JsonlReader *reader, const char *line, size_t size, bool is_sample) {
	struct json_scan scan = {.at = line, .end = line + size};
	struct json_value key, value;
	size_t expected = 0;
	reader->rows++;
	if (!json_scan_take(&scan, '{'))
		return complain(reader, line, &scan, "this is no JSON object");
	bool is_empty = json_scan_take(&scan, '}');
	while (!is_empty) {
		if (!json_scan_key(&scan, &key))
			return complain(reader, line, &scan, scan.wrong);
		if (!json_scan_take(&scan, ':'))
			return complain(reader, line, &scan, "a colon is missing behind the key");
		if (!json_scan_value(&scan, JSON_SCAN_DEPTH, &value))
			return complain(reader, line, &scan, scan.wrong);
		int rc = take_member(reader, text_of(reader, &key), &value, is_sample, &expected);
		if (rc < 0)
			return rc;
		if (!json_scan_take(&scan, ','))
			break;
	}
	if (!is_empty && !json_scan_take(&scan, '}'))
		return complain(reader, line, &scan, "a comma or } is missing (one object stands on one line)");
	return json_scan_ends(&scan) ? 0 : complain(reader, line, &scan, "text behind the object");
}

/* ---- lines ---- */

/* The line at the window's start, without its newline. 1, 0 at the end, negative errno. */
static int find_line(JsonlReader *reader, size_t *ret_size, size_t *ret_next) {
	struct window *window = &reader->window;
	for (;;) {
		const char *from = window->bytes + window->start;
		size_t have = window->end - window->start;
		const char *newline = have ? memchr(from, '\n', have) : NULL;
		size_t size = newline ? (size_t)(newline - from) : have;
		if (newline || window->at_end) {
			*ret_size = size;
			*ret_next = window->start + size + (newline ? 1 : 0);
			return have > 0;
		}
		int rc = window_fill(window, reader->line, '\n');
		if (rc == -EMSGSIZE)
			return fault(EMSGSIZE, "line %" PRIu64 ": the line is longer than %zu bytes", reader->line,
			        window->most);
		if (rc < 0)
			return rc;
	}
}

static bool is_blank(const char *line, size_t size) {
	struct json_scan scan = {.at = line, .end = line + size};
	return json_scan_ends(&scan);
}

/* 1 with the row in cells, 0 at the end, negative errno. */
static int next_row(JsonlReader *reader) {
	struct window *window = &reader->window;
	size_t size, next;
	int rc;
	while ((rc = find_line(reader, &size, &next)) > 0) {
		char *line = window->bytes + window->start;
		if (size > window->most)
			return fault(EMSGSIZE, "line %" PRIu64 ": the line is longer than %zu bytes", reader->line,
			        window->most);
		rc = window_check_text(window, window->start, next, reader->line, '\n');
		if (rc < 0)
			return rc;
		bool blank = is_blank(line, size);
		if (!blank) {
			for (size_t i = 0; i < reader->columns; i++)
				reader->cells[i] = (struct table_cell){0};
			reader->base = line;
			rc = take_object(reader, line, size, false);
			if (rc < 0)
				return rc;
		}
		reader->record_line = reader->line++;
		reader->record_start = window->start;
		reader->record_size = next - window->start;
		window->start = next;
		if (!blank)
			return 1;
	}
	return rc;
}

int jsonl_next(JsonlReader *reader, const struct table_cell **ret_cells) {
	if (reader->error)
		return fault(-reader->error, "line %" PRIu64 ": reading stopped here before", reader->line);
	int rc = next_row(reader);
	if (rc < 0)
		reader->error = rc;
	if (rc > 0)
		*ret_cells = reader->cells;
	return rc;
}

/* ---- the columns, from the first lines ---- */

/* The keys of the lines in a text that may be changed. A line that can't be read ends this; next_row() will come to it
 * and complain. */
static int collect_keys(JsonlReader *reader, char *text, size_t size, bool whole) {
	uint64_t first = reader->line;
	int rc = 0;
	reader->base = text;
	for (size_t at = 0; at < size && rc == 0;) {
		const char *newline = memchr(text + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - (text + at)) : size - at;
		if (!newline && !whole)
			break;
		if (utf8_valid_prefix(text + at, length) < length)
			break;
		if (!is_blank(text + at, length))
			rc = take_object(reader, text + at, length, true);
		at += length + 1;
		reader->line++;
	}
	reader->line = first;
	return rc == -ENOMEM || (rc == -EMSGSIZE && reader->columns == reader->options.max_columns) ? rc : 0;
}

/* Skips what is blank before the first object. 1, 0: there is none. */
static int find_first_line(JsonlReader *reader, size_t *ret_next) {
	size_t size;
	int rc;
	while ((rc = find_line(reader, &size, ret_next)) > 0) {
		if (!is_blank(reader->window.bytes + reader->window.start, size))
			return 1;
		reader->window.start = *ret_next;
		reader->line++;
	}
	return rc;
}

static int read_sample(JsonlReader *reader) {
	struct window *window = &reader->window;
	size_t next;
	while (window->end < 3 && !window->at_end) {
		int rc = window_fill(window, reader->line, '\n');
		if (rc < 0)
			return rc;
	}
	reader->bom = window->end >= 3 && memcmp(window->bytes, "\xef\xbb\xbf", 3) == 0;
	window->start = reader->bom ? 3 : 0;
	int rc = find_first_line(reader, &next);
	while (rc > 0 && window->end - window->start < reader->options.sample_bytes && !window->at_end)
		if ((rc = window_fill(window, reader->line, '\n')) == 0)
			rc = 1;
	if (rc <= 0)
		return rc < 0 ? rc : fault(ENODATA, "the file is empty: it holds no object");
	size_t size = window->end - window->start;
	const char *newline = memchr(window->bytes + window->start, '\n', size);
	reader->crlf = newline && newline > window->bytes && newline[-1] == '\r';
	if (newline && size > reader->options.sample_bytes) {
		size_t first = (size_t)(newline - (window->bytes + window->start)) + 1;
		size = first > reader->options.sample_bytes ? first : reader->options.sample_bytes;
	}
	_cleanup_(freep) char *copy = malloc(size + WINDOW_SLACK);
	if (!copy)
		return out_of_memory();
	memcpy(copy, window->bytes + window->start, size);
	memset(copy + size, 0, WINDOW_SLACK);
	return collect_keys(reader, copy, size, window->at_end && size == window->end - window->start);
}

int jsonl_open(const struct table_source *source, const struct jsonl_options *options, JsonlReader **ret_reader) {
	_cleanup_(jsonl_closep) JsonlReader *reader = calloc(1, sizeof *reader);
	if (!reader)
		return out_of_memory();
	if (options)
		reader->options = *options;
	if (!reader->options.max_columns)
		reader->options.max_columns = JSONL_MAX_COLUMNS;
	if (!reader->options.sample_bytes)
		reader->options.sample_bytes = JSONL_SAMPLE_BYTES;
	reader->window.source = *source;
	reader->window.most = reader->options.max_line_bytes ? reader->options.max_line_bytes : JSONL_MAX_LINE_BYTES;
	reader->line = 1;
	randombytes_buf(reader->key, sizeof reader->key);
	int rc = read_sample(reader);
	if (rc < 0)
		return rc;
	reader->record_line = reader->line;
	if (reader->columns == 0) {
		const struct table_cell *cells;
		rc = jsonl_next(reader, &cells); /* says what is wrong with the first line, if anything is */
		return rc < 0 ? rc
		              : fault(EBADMSG,
		                        "line %" PRIu64 ": the first lines have no keys, so that there "
		                        "are no columns",
		                        reader->record_line);
	}
	*ret_reader = steal_pointer(&reader);
	return 0;
}

void jsonl_close(JsonlReader *reader) {
	if (!reader)
		return;
	for (size_t i = 0; i < reader->columns; i++) {
		union {
			const char *kept;
			char *owned;
		} name = {.kept = reader->header[i].data};
		free(name.owned);
	}
	free(reader->header);
	free(reader->cells);
	free(reader->seen);
	free(reader->slots);
	window_release(&reader->window);
	free(reader);
}

bool jsonl_looks_like(struct bytes head, bool whole) {
	const char *p = (const char *)head.data, *end = p + head.size;
	if (head.size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	struct json_scan start = {.at = p, .end = end};
	if (!json_scan_take(&start, '{'))
		return false;
	const char *newline = memchr(start.at, '\n', (size_t)(end - start.at));
	struct json_value value;
	if (!newline && !whole)
		return json_scan_key(&start, &value) && json_scan_take(&start, ':');
	struct json_scan line = {.at = start.at - 1, .end = newline ? newline : end};
	return json_scan_value(&line, JSON_SCAN_DEPTH, &value) && json_scan_ends(&line);
}

/* ---- what is told ---- */

const struct table_cell *jsonl_header_of(const JsonlReader *reader) {
	return reader->header;
}

size_t jsonl_columns(const JsonlReader *reader) {
	return reader->columns;
}

void jsonl_dialect_text(const JsonlReader *reader, char *ret_text, size_t size) {
	(void)snprintf(ret_text, size, "JSON Lines, %s%s", reader->crlf ? "CRLF" : "LF", reader->bom ? ", BOM" : "");
}

uint64_t jsonl_line(const JsonlReader *reader) {
	return reader->record_line;
}

uint64_t jsonl_record(const JsonlReader *reader, size_t *ret_size) {
	*ret_size = reader->record_size;
	return reader->window.dropped + reader->record_start;
}

const char *jsonl_warning(const JsonlReader *reader) {
	return reader->warning;
}
