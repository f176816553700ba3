#include "policy/privacy/shadow.h"

#include "crypto/base/fault.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PLACEHOLDER_MOST = 64, UNICODE_BYTES = 6 };

void shadow_release(struct shadow *shadow) {
	free(shadow->text);
	free(shadow->cells);
	free(shadow->undone_text);
	free(shadow->undone_cells);
	*shadow = (struct shadow){0};
}

static int make_rooms(struct shadow *shadow, const struct table_rows *rows) {
	size_t cells = rows->count * rows->columns;
	if (shadow->text_room < rows->size + ROWS_SLACK || !shadow->text) {
		free(shadow->text);
		shadow->text_room = rows->size + ROWS_SLACK;
		shadow->text = calloc(1, shadow->text_room);
	}
	if (shadow->cell_room < cells || !shadow->cells) {
		free(shadow->cells);
		shadow->cell_room = cells;
		shadow->cells = calloc(cells + 1, sizeof *shadow->cells);
	}
	bool is_there = shadow->text && shadow->cells;
	return is_there ? 0 : fault(ENOMEM, "no memory to look for personal data");
}

/* As moved by numbers: cells that nobody wants hold anything. */
static void copy(struct shadow *shadow, const struct table_rows *rows) {
	memcpy(shadow->text, rows->text, rows->size);
	for (size_t i = 0; i < rows->count * rows->columns; i++) {
		uintptr_t at = (uintptr_t)rows->cells[i].data - (uintptr_t)rows->text;
		shadow->cells[i].data = rows->cells[i].data ? shadow->text + at : NULL;
		shadow->cells[i].size = rows->cells[i].size;
	}
	shadow->rows = *rows;
	shadow->rows.text = shadow->text;
	shadow->rows.cells = shadow->cells;
}

/* ---- escapes ---- */

/* The code of \uXXXX; -1: it is none. */
static long code_of(const char *at, const char *end) {
	long code = 0;
	if (end - at < UNICODE_BYTES || at[1] != 'u')
		return -1;
	for (size_t i = 2; i < UNICODE_BYTES; i++) {
		if (!isxdigit((unsigned char)at[i]))
			return -1;
		int c = tolower((unsigned char)at[i]);
		code = code * 16 + (isdigit(c) ? c - '0' : c - 'a' + 10);
	}
	return code;
}

/* Bytes of the escape at `at`, which has a byte behind it; 1: it is none. *ret_code is what it stands for. */
static size_t escape_at(const char *at, const char *end, long *ret_code) {
	static const char short_ones[] = "nrtbf\"\\/", meant[] = "     \"\\/";
	const char *found = at[1] ? strchr(short_ones, at[1]) : NULL;
	*ret_code = code_of(at, end);
	if (*ret_code >= 0)
		return UNICODE_BYTES;
	*ret_code = found ? meant[found - short_ones] : -1;
	return found ? 2 : 1;
}

/* Whether one of them may stand in the midst of a word. */
static bool blank_escapes(char *at, char *end) {
	bool is_within = false;
	while ((at = memchr(at, '\\', (size_t)(end - at))) && at + 1 < end) {
		long code;
		size_t size = escape_at(at, end, &code);
		bool is_coded = size == UNICODE_BYTES && code >= ' ' && code != '"';
		is_within |= is_coded || (size == 2 && (code == '/' || code == '\\'));
		if (size > 1)
			memset(at, ' ', size);
		at += size;
	}
	return is_within;
}

static size_t put_code(char *to, long code) {
	bool is_half = code >= 0xd800 && code < 0xe000; /* of a character beyond the first 65,536: no letter */
	if (code < 0x80)
		to[0] = (char)(code < ' ' ? ' ' : code);
	if (code < 0x80 || is_half) {
		to[0] = is_half ? '?' : to[0];
		return 1;
	}
	size_t size = code < 0x800 ? 2 : 3;
	if (size == 3)
		to[0] = (char)(0xe0 | code >> 12);
	to[size - 2] = (char)(size == 3 ? 0x80 | (code >> 6 & 0x3f) : 0xc0 | code >> 6);
	to[size - 1] = (char)(0x80 | (code & 0x3f));
	return size;
}

/* In its place. */
static size_t undo(char *text, size_t size) {
	const char *at = text, *end = text + size;
	char *to = text;
	while (at < end) {
		long code = -1;
		size_t taken = *at == '\\' && at + 1 < end ? escape_at(at, end, &code) : 1;
		if (taken == 1)
			*to++ = *at;
		else
			to += put_code(to, code);
		at += taken;
	}
	return (size_t)(to - text);
}

static int make_undone_rooms(struct shadow *shadow, size_t cells) {
	size_t bytes = shadow->rows.size + cells + ROWS_SLACK;
	if (!shadow->undone_text || shadow->undone_room < bytes) {
		free(shadow->undone_text);
		shadow->undone_room = bytes;
		shadow->undone_text = calloc(1, bytes);
	}
	if (!shadow->undone_cells || shadow->undone_cell_room < cells) {
		free(shadow->undone_cells);
		shadow->undone_cell_room = cells;
		shadow->undone_cells = calloc(2 * cells, sizeof *shadow->undone_cells);
	}
	if (!shadow->undone_text || !shadow->undone_cells)
		return fault(ENOMEM, "no memory to look for personal data");
	memset(shadow->undone_cells, 0, 2 * cells * sizeof *shadow->undone_cells);
	shadow->blanked = shadow->undone = shadow->rows;
	shadow->blanked.cells = shadow->undone_cells;
	shadow->undone.cells = shadow->undone_cells + cells;
	shadow->undone.text = shadow->undone_text;
	shadow->undone.size = 0;
	shadow->has_undone = true;
	return 0;
}

/* JSON may stand in a string of JSON, so that what is undone has escapes again. */
enum { UNDONE_TIMES = 4 };

static int add_undone(struct shadow *shadow, size_t i, struct table_cell cell) {
	size_t cells = shadow->rows.count * shadow->rows.columns, size = cell.size;
	int rc = shadow->has_undone ? 0 : make_undone_rooms(shadow, cells);
	if (rc < 0)
		return rc;
	char *to = shadow->undone_text + shadow->undone.size;
	memcpy(to, cell.data, cell.size);
	for (size_t times = 0; times < UNDONE_TIMES && memchr(to, '\\', size); times++)
		size = undo(to, size);
	to[size] = '\n';
	shadow->undone.size += size + 1;
	shadow->undone_cells[i] = shadow->cells[i];
	shadow->undone_cells[cells + i] = (struct table_cell){.data = to, .size = size};
	return 0;
}

static int blank_cells(struct shadow *shadow, const struct table_rows *original) {
	const struct table_rows *rows = &shadow->rows;
	int rc = 0;
	for (size_t i = 0; i < rows->count * rows->columns && rc == 0; i++) {
		struct table_cell cell = shadow->cells[i];
		bool is_of_json = cell.data && cell.size > 0 && memchr(cell.data, '\\', cell.size) &&
		                  memchr(cell.data, '"', cell.size);
		if (!is_of_json)
			continue;
		char *at = shadow->text + (cell.data - shadow->text);
		if (blank_escapes(at, at + cell.size))
			rc = add_undone(shadow, i, original->cells[i]);
	}
	return rc;
}

/* ---- placeholders ---- */

static void blank_placeholders(char *at, size_t size, shadow_is_placeholder *is_placeholder, const void *context) {
	char *end = at + size;
	while (at < end && (at = memchr(at, '[', (size_t)(end - at)))) {
		size_t most = (size_t)(end - at) < PLACEHOLDER_MOST ? (size_t)(end - at) : PLACEHOLDER_MOST;
		const char *close = memchr(at, ']', most);
		if (close && is_placeholder(context, at + 1, (size_t)(close - at) - 1))
			memset(at, ' ', (size_t)(close - at) + 1);
		at++;
	}
}

int shadow_of(struct shadow *shadow, const struct table_rows *rows, shadow_is_placeholder *is_placeholder,
        const void *context, const struct table_rows **ret_rows) {
	bool has_escapes = rows->size > 0 && memchr(rows->text, '\\', rows->size);
	bool has_brackets = rows->size > 0 && is_placeholder && memchr(rows->text, '[', rows->size);
	*ret_rows = rows;
	shadow->has_undone = false;
	if (!has_escapes && !has_brackets)
		return 0;
	int rc = make_rooms(shadow, rows);
	if (rc < 0)
		return rc;
	copy(shadow, rows);
	if (has_escapes)
		rc = blank_cells(shadow, rows);
	if (rc == 0 && has_brackets)
		blank_placeholders(shadow->text, shadow->rows.size, is_placeholder, context);
	if (rc == 0 && has_brackets && shadow->has_undone)
		blank_placeholders(shadow->undone_text, shadow->undone.size, is_placeholder, context);
	*ret_rows = &shadow->rows;
	return rc;
}
