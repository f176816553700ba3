#include "fs/words.h"

#include "crypto/base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#define NS_PER_SECOND INT64_C(1000000000)

/* ---- text ---- */

/* Length of the UTF-8 sequence at `text` (its end is a NUL), 0 when it is not one. */
static size_t utf8_length(const unsigned char *text) {
	unsigned char first = text[0];
	if (first < 0x80)
		return 1;
	size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	bool is_overlong = (first == 0xe0 && text[1] < 0xa0) || (first == 0xf0 && text[1] < 0x90);
	bool is_surrogate = first == 0xed && text[1] > 0x9f;
	bool is_beyond = first == 0xf4 && text[1] > 0x8f;
	return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

bool words_is_utf8(const char *text) {
	const unsigned char *at = (const unsigned char *)text;
	while (*at) {
		size_t length = utf8_length(at);
		if (length == 0)
			return false;
		at += length;
	}
	return true;
}

/* C1 controls (U+0080–009F) move some terminals; so do the bidirectional overrides what a reader believes to see. */
static bool is_treacherous(const unsigned char *at, size_t length) {
	if (length == 1)
		return at[0] < 0x20 || at[0] == 0x7f;
	if (length == 2)
		return at[0] == 0xc2 && at[1] < 0xa0;
	if (length == 3 && at[0] == 0xe2)
		return (at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) ||
		       (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);
	return false;
}

static char *escape_byte(char *to, unsigned char byte) {
	static const char digits[] = "0123456789abcdef";
	*to++ = '\\';
	if (byte == '\n' || byte == '\t' || byte == '\\') {
		*to++ = byte == '\n' ? 'n' : byte == '\t' ? 't' : '\\';
		return to;
	}
	*to++ = 'x';
	*to++ = digits[byte >> 4];
	*to++ = digits[byte & 15];
	return to;
}

/* Every character that can't be shown, and of ASCII every one in `special`, as an escape. */
static char *escape(const char *text, const char *special) {
	char *safe = malloc(4 * strlen(text) + 1);
	if (!safe)
		return NULL;
	char *to = safe;
	for (const unsigned char *at = (const unsigned char *)text; *at;) {
		size_t length = utf8_length(at);
		bool is_plain = length && !is_treacherous(at, length) && !strchr(special, *at);
		length = length ? length : 1;
		for (size_t i = 0; i < length; i++)
			if (is_plain)
				*to++ = (char)at[i];
			else
				to = escape_byte(to, at[i]);
		at += length;
	}
	*to = '\0';
	return safe;
}

char *words_safe(const char *text) {
	return escape(text, "\\");
}

char *words_line(const char *text) {
	return escape(text, "");
}

void words_print_lines(const char *text) {
	while (*text) {
		size_t length = strcspn(text, "\n");
		_cleanup_(freep) char *line = strndup(text, length);
		_cleanup_(freep) char *safe = line ? words_line(line) : NULL;
		puts(safe ? safe : "?");
		text += length + (text[length] == '\n');
	}
}

/* No shell gives these, or the bytes of a letter beyond ASCII, a meaning of its own within a word. */
static bool needs_quotes(const char *text) {
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@%+=:,-";
	if (!*text)
		return true;
	for (; *text; text++)
		if ((unsigned char)*text < 0x80 && !strchr(plain, *text))
			return true;
	return false;
}

char *words_shell(const char *text) {
	_cleanup_(freep) char *line = words_line(text);
	char *quoted = NULL, *to;
	if (!line)
		return NULL;
	if (strcmp(line, text) != 0) { /* it can't be shown as it is */
		_cleanup_(freep) char *escaped = escape(text, "\\'");
		return escaped && asprintf(&quoted, "$'%s'", escaped) >= 0 ? quoted : NULL;
	}
	if (!needs_quotes(text))
		return strdup(text);
	if (!(quoted = malloc(4 * strlen(text) + 3)))
		return NULL;
	to = quoted;
	*to++ = '\'';
	for (; *text; text++)
		to = *text == '\'' ? stpcpy(to, "'\\''") : stpncpy(to, text, 1);
	*to++ = '\'';
	*to = '\0';
	return quoted;
}

/* ---- numbers and times ---- */

const char *words_size(uint64_t bytes, char buffer[static WORDS_BYTES]) {
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;
	double value = (double)bytes;
	while (value >= 1023.5 && unit + 1 < sizeof units / sizeof units[0]) {
		value /= 1024;
		unit++;
	}
	snprintf(buffer, WORDS_BYTES, unit && value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buffer;
}

static time_t seconds_of(int64_t time_ns, long *ret_ns) {
	int64_t seconds = time_ns / NS_PER_SECOND;
	int64_t rest = time_ns % NS_PER_SECOND;
	if (rest < 0) {
		rest += NS_PER_SECOND;
		seconds--;
	}
	*ret_ns = (long)rest;
	return (time_t)seconds;
}

const char *words_time(int64_t time_ns, char buffer[static WORDS_BYTES]) {
	long rest;
	time_t seconds = seconds_of(time_ns, &rest);
	struct tm local;
	if (!localtime_r(&seconds, &local) || strftime(buffer, WORDS_BYTES, "%Y-%m-%d %H:%M:%S %Z", &local) == 0)
		snprintf(buffer, WORDS_BYTES, "?");
	return buffer;
}

const char *words_time_utc(int64_t time_ns, char buffer[static WORDS_BYTES]) {
	long rest;
	time_t seconds = seconds_of(time_ns, &rest);
	struct tm utc;
	size_t length = gmtime_r(&seconds, &utc) ? strftime(buffer, WORDS_BYTES, "%Y-%m-%dT%H:%M:%S", &utc) : 0;
	snprintf(buffer + length, WORDS_BYTES - length, ".%09ldZ", rest);
	return buffer;
}

const char *words_duration(int64_t duration_ns, char buffer[static WORDS_BYTES]) {
	int64_t seconds = duration_ns > 0 ? duration_ns / NS_PER_SECOND : 0;
	if (seconds < 120)
		snprintf(buffer, WORDS_BYTES, "%lld s", (long long)seconds);
	else if (seconds < 2 * 3600)
		snprintf(buffer, WORDS_BYTES, "%lld min", (long long)(seconds / 60));
	else if (seconds < 48 * 3600)
		snprintf(buffer, WORDS_BYTES, "%lld h", (long long)(seconds / 3600));
	else
		snprintf(buffer, WORDS_BYTES, "%lld days", (long long)(seconds / 86400));
	return buffer;
}

/* ---- tables ---- */

#define COLUMNS_MAX 12

struct Table {
	size_t columns;
	bool flush_right[COLUMNS_MAX];
	char **cells; /* the headers' row first */
	size_t count, room;
	bool failed;
};

static void add_cell(Table *table, const char *text) {
	if (table->count == table->room) {
		size_t room = table->room ? 2 * table->room : 64;
		char **cells = reallocarray(table->cells, room, sizeof *cells);
		if (!cells) {
			table->failed = true;
			return;
		}
		table->cells = cells;
		table->room = room;
	}
	char *safe = words_safe(text ? text : "");
	if (!safe)
		table->failed = true;
	else
		table->cells[table->count++] = safe;
}

Table *table_new(const char *headers) {
	Table *table = calloc(1, sizeof *table);
	_cleanup_(freep) char *copy = strdup(headers);
	if (!table || !copy) {
		free(table);
		return NULL;
	}
	char *rest = copy, *header;
	while (table->columns < COLUMNS_MAX && (header = strsep(&rest, "|"))) {
		bool is_right = *header == '>';
		table->flush_right[table->columns++] = is_right;
		add_cell(table, header + is_right);
	}
	return table;
}

void table_free(Table *table) {
	if (!table)
		return;
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

void table_cell(Table *table, const char *text) {
	if (!table->failed)
		add_cell(table, text);
}

void table_cellf(Table *table, const char *format, ...) {
	_cleanup_(freep) char *text = NULL;
	va_list list;
	va_start(list, format);
	int length = vasprintf(&text, format, list);
	va_end(list);
	if (length < 0) {
		text = NULL;
		table->failed = true;
		return;
	}
	table_cell(table, text);
}

size_t table_rows(const Table *table) {
	return table->count ? table->count / table->columns - 1 : 0;
}

size_t words_width(const char *text) {
	size_t width = 0;
	mbstate_t state = {0};
	const char *at = text;
	while (*at) {
		wchar_t character;
		size_t length = mbrtowc(&character, at, strlen(at), &state);
		if (length == (size_t)-1 || length == (size_t)-2)
			return strlen(text);
		int columns = wcwidth(character);
		width += columns > 0 ? (size_t)columns : 0;
		at += length;
	}
	return width;
}

/* Whether nothing but empty cells stands behind this one in its row. */
static bool is_last_of_row(const Table *table, size_t cell) {
	size_t end = cell - cell % table->columns + table->columns;
	for (size_t i = cell + 1; i < end && i < table->count; i++)
		if (*table->cells[i])
			return false;
	return true;
}

static void print_cell(const Table *table, size_t cell, size_t widest, FILE *out) {
	const char *text = table->cells[cell];
	size_t column = cell % table->columns;
	bool is_last = is_last_of_row(table, cell);
	if (!*text && is_last && column > 0)
		return; /* the row has ended before it */
	int pad = (int)(widest - words_width(text));
	if (table->flush_right[column])
		fprintf(out, "%*s%s", pad, "", text);
	else
		fprintf(out, "%s%*s", text, is_last ? 0 : pad, "");
	fputs(is_last ? "\n" : "  ", out);
}

int table_print(const Table *table, FILE *out) {
	if (table->failed)
		return -ENOMEM;
	size_t widest[COLUMNS_MAX] = {0};
	for (size_t i = 0; i < table->count; i++) {
		size_t width = words_width(table->cells[i]);
		if (width > widest[i % table->columns])
			widest[i % table->columns] = width;
	}
	for (size_t i = 0; i < table->count; i++)
		print_cell(table, i, widest[i % table->columns], out);
	return 0;
}
