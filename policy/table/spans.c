#include "policy/table/spans.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "policy/table/json_scan.h"

#include <errno.h>
#include <stdlib.h>

void spans_release(struct spans *spans) {
	free(spans->list);
	free(spans->by_name);
	*spans = (struct spans){0};
}

static int add(struct spans *spans, const struct span *span) {
	struct span *list = array_room(spans->list, &spans->room, spans->count + 1, sizeof *list);
	if (!list)
		return fault(ENOMEM, "no memory to find cells");
	spans->list = list;
	spans->list[spans->count++] = *span;
	return 0;
}

static int is_none(void) {
	return fault(EBADMSG, "it can't be told where the cells of a row are written");
}

/* ---- CSV ---- */

static size_t without_newline(struct bytes raw) {
	size_t size = raw.size;
	if (size > 0 && raw.data[size - 1] == '\n')
		size--;
	if (size > 0 && raw.data[size - 1] == '\r')
		size--;
	return size;
}

/* The quote that closes the field which begins at `at`; SIZE_MAX: there is none. */
static size_t find_closing(const struct csv_dialect *dialect, const char *raw, size_t at, size_t size) {
	while (at < size) {
		bool has_next = at + 1 < size;
		if (raw[at] == dialect->quote && !(has_next && raw[at + 1] == dialect->quote))
			return at;
		bool is_pair = raw[at] == dialect->quote || (dialect->escape && raw[at] == dialect->escape);
		at += is_pair ? 2 : 1;
	}
	return SIZE_MAX;
}

int spans_of_csv(struct spans *spans, const struct csv_dialect *dialect, struct bytes raw, size_t columns) {
	const char *text = (const char *)raw.data;
	size_t size = without_newline(raw), at = 0;
	int rc = 0;
	spans->count = 0;
	for (size_t column = 0; rc == 0 && column < columns; column++) {
		struct span span = {.column = column, .whole_from = at};
		bool is_last = column + 1 == columns;
		if (dialect->quote && at < size && text[at] == dialect->quote) {
			span.kind = SPAN_QUOTED;
			span.from = at + 1;
			span.to = find_closing(dialect, text, span.from, size);
			at = span.to + 1;
		} else {
			const char *end = dialect->delimiter ? memchr(text + at, dialect->delimiter, size - at) : NULL;
			span.from = at;
			span.to = at = end ? (size_t)(end - text) : size;
		}
		bool is_ended =
		        span.to != SIZE_MAX && (is_last ? at == size : at < size && text[at] == dialect->delimiter);
		if (!is_ended)
			return is_none();
		span.whole_to = at++;
		rc = add(spans, &span);
	}
	return rc;
}

/* ---- JSON ---- */

static int compare_names(const struct table_cell *one, const struct table_cell *other) {
	size_t size = one->size < other->size ? one->size : other->size;
	int order = size > 0 ? memcmp(one->data, other->data, size) : 0;
	return order != 0 ? order : (one->size > other->size) - (one->size < other->size);
}

static int compare_columns(const void *one, const void *other, void *names) {
	const struct table_cell *cells = names;
	return compare_names(&cells[*(const size_t *)one], &cells[*(const size_t *)other]);
}

static int sort_names(struct spans *spans, const struct table_cell *names, size_t columns) {
	spans->by_name = calloc(columns + 1, sizeof *spans->by_name);
	if (!spans->by_name)
		return fault(ENOMEM, "no memory to find cells");
	for (size_t i = 0; i < columns; i++)
		spans->by_name[i] = i;
	qsort_r(spans->by_name, columns, sizeof *spans->by_name, compare_columns, (void *)(uintptr_t)names);
	return 0;
}

/* Mostly the next one; a file that mixes them up must not be slow for it. */
static int column_of(struct spans *spans, struct table_cell key, const struct table_cell *names, size_t columns,
        size_t guess, size_t *ret_column) {
	*ret_column = guess;
	if (guess < columns && cell_equals(names[guess], key.data, key.size))
		return 0;
	int rc = spans->by_name ? 0 : sort_names(spans, names, columns);
	if (rc < 0)
		return rc;
	size_t low = 0, high = columns;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_names(&names[spans->by_name[middle]], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	bool is_there = low < columns && cell_equals(names[spans->by_name[low]], key.data, key.size);
	*ret_column = is_there ? spans->by_name[low] : SPAN_NO_COLUMN;
	return 0;
}

/* A key as it is meant; `copy` holds one that has escapes. */
static int key_of(const struct json_value *key, char **copy, struct table_cell *ret_key) {
	*ret_key = key->text;
	if (!key->escaped)
		return 0;
	free(*copy);
	*copy = malloc(key->text.size + 1);
	if (!*copy)
		return fault(ENOMEM, "no memory to find cells");
	memcpy(*copy, key->text.data, key->text.size);
	*ret_key = (struct table_cell){.data = *copy, .size = json_unescape(*copy, key->text.size)};
	return 0;
}

static enum span_kind kind_of(const struct json_value *value) {
	return value->kind == JSON_KIND_STRING   ? SPAN_STRING
	       : value->kind == JSON_KIND_NESTED ? SPAN_NESTED
	                                         : SPAN_VALUE;
}

int spans_of_json(struct spans *spans, struct bytes raw, const struct table_cell *names, size_t columns) {
	const char *text = (const char *)raw.data;
	struct json_scan scan = {.at = text, .end = text + without_newline(raw)};
	struct json_value key, value;
	struct table_cell name;
	_cleanup_(freep) char *copy = NULL;
	size_t guess = 0;
	int rc = 0;
	spans->count = 0;
	if (!json_scan_take(&scan, '{'))
		return is_none();
	if (json_scan_take(&scan, '}'))
		return 0;
	do {
		if (!json_scan_key(&scan, &key) || !json_scan_take(&scan, ':') ||
		        !json_scan_value(&scan, JSON_SCAN_DEPTH, &value))
			return is_none();
		if ((rc = key_of(&key, &copy, &name)) < 0)
			return rc;
		struct span span = {.kind = kind_of(&value),
		        .from = (size_t)(value.text.data - text),
		        .to = (size_t)(value.text.data - text) + value.text.size,
		        .whole_from = (size_t)(key.text.data - text) - 1,
		        .whole_to = (size_t)(scan.at - text)};
		rc = column_of(spans, name, names, columns, guess, &span.column);
		guess = span.column == SPAN_NO_COLUMN ? guess : span.column + 1;
		if (rc == 0)
			rc = add(spans, &span);
	} while (rc == 0 && json_scan_take(&scan, ','));
	return rc < 0 || json_scan_take(&scan, '}') ? rc : is_none();
}

/* ---- parts of a cell ---- */

/* How many bytes are written at `at`, and for how many of the cell. */
static size_t unit(const struct span *span, const struct csv_dialect *dialect, const char *at, const char *end,
        size_t *ret_bytes) {
	bool has_next = at + 1 < end;
	*ret_bytes = 1;
	if (span->kind == SPAN_STRING && *at == '\\') {
		size_t bytes, size = json_escape_size(at, end, &bytes);
		*ret_bytes = size > 0 ? bytes : 1;
		return size > 0 ? size : 1;
	}
	if (span->kind != SPAN_QUOTED || !has_next)
		return 1;
	bool is_doubled = at[0] == dialect->quote && at[1] == dialect->quote;
	bool is_escaped =
	        dialect->escape && at[0] == dialect->escape && (at[1] == dialect->quote || at[1] == dialect->escape);
	return is_doubled || is_escaped ? 2 : 1;
}

/* What is written as one byte, or as a quote with one before it, is the cell's byte; of JSON's escapes only their
 * length is known. */
static bool is_same(const struct span *span, const char *at, size_t size, struct table_cell cell, size_t i) {
	if (i >= cell.size)
		return false;
	return size == 1 || span->kind == SPAN_QUOTED ? at[size - 1] == cell.data[i] : true;
}

int spans_place(const struct span *span, const struct csv_dialect *dialect, struct bytes raw, struct table_cell cell,
        size_t from, size_t to, struct span_walk *walk, size_t *ret_from, size_t *ret_to) {
	const char *text = (const char *)raw.data, *at = text + span->from + walk->written, *end = text + span->to;
	size_t i = walk->bytes;
	bool has_from = false;
	while (at < end && i < to) {
		size_t bytes, size = unit(span, dialect, at, end, &bytes);
		if (!is_same(span, at, size, cell, i))
			return is_none();
		if (!has_from && i + bytes > from) {
			*ret_from = (size_t)(at - text);
			has_from = true;
		}
		at += size;
		i += bytes;
	}
	*ret_to = (size_t)(at - text);
	*walk = (struct span_walk){.written = (size_t)(at - text) - span->from, .bytes = i};
	return has_from && i >= to ? 0 : is_none();
}
