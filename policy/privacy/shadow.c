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

/* Of which personal data is made. */
static bool is_plain(long code) {
	return code >= 0 && code < 0x80 && (isalnum((int)code) || strchr("@.-_:", (int)code)) && code != 0;
}

/* Whether an escape of a plain character is there, too. */
static bool blank_escapes(char *at, char *end) {
	bool is_unclear = false;
	while ((at = memchr(at, '\\', (size_t)(end - at))) && at + 1 < end) {
		long code = code_of(at, end);
		size_t size = code >= 0 ? UNICODE_BYTES : at[1] && strchr("nrtbf\"\\/", at[1]) ? 2 : 1;
		is_unclear |= is_plain(code);
		if (size > 1)
			memset(at, ' ', size);
		at += size;
	}
	return is_unclear;
}

static void blank_cells(struct shadow *shadow) {
	const struct table_rows *rows = &shadow->rows;
	for (size_t i = 0; i < rows->count * rows->columns; i++) {
		struct table_cell cell = shadow->cells[i];
		bool is_of_json = cell.data && cell.size > 0 && memchr(cell.data, '\\', cell.size) &&
		                  memchr(cell.data, '"', cell.size);
		if (!is_of_json)
			continue;
		char *at = shadow->text + (cell.data - shadow->text);
		if (blank_escapes(at, at + cell.size) && shadow->unclear_line == 0)
			shadow->unclear_line = rows->lines[i / rows->columns];
	}
}

/* ---- placeholders ---- */

static void blank_placeholders(struct shadow *shadow, shadow_is_placeholder *is_placeholder, const void *context) {
	char *at = shadow->text, *end = shadow->text + shadow->rows.size;
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
	if (!has_escapes && !has_brackets)
		return 0;
	int rc = make_rooms(shadow, rows);
	if (rc < 0)
		return rc;
	copy(shadow, rows);
	if (has_escapes)
		blank_cells(shadow);
	if (has_brackets)
		blank_placeholders(shadow, is_placeholder, context);
	*ret_rows = &shadow->rows;
	return 0;
}
