/*
 * words: how values look to a person: names made safe for a terminal, sizes, dates, durations, aligned tables.
 *
 * A file's name is chosen by whoever made the file; written raw to a terminal it could move the cursor or forge a line
 * of output. Everything that a person reads goes through words_safe(); JSON is escaped by its own rules.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Long enough for any of the texts below that have a bound. */
#define WORDS_BYTES 64

/* A copy of `text` that is one line of printable UTF-8: control characters, invalid bytes and backslashes become \n,
 * \t,
 * \\ or \xNN. The caller frees it. NULL when memory is out. */
char *words_safe(const char *text);

/* The same, but a backslash stays: for a line that was put together from safe words already. */
char *words_line(const char *text);

/* Prints text of several lines that was put together from safe words, each line by words_line(). */
void words_print_lines(const char *text);

/* `text` as one word of a shell's command line, for commands that a person copies: as it is where no quotes are needed,
 * else in '…', or in $'…' when it holds what a terminal should not get. The caller frees it. NULL when memory is out.
 */
char *words_shell(const char *text);

/* Whether `text` is valid UTF-8 (shortest forms only, no surrogates). */
bool words_is_utf8(const char *text);

/* "812 B", "1.4 KiB", "23 MiB": powers of 1024, two significant digits from 1 KiB on. Returns `buffer`. */
const char *words_size(uint64_t bytes, char buffer[static WORDS_BYTES]);

/* What makes a noun plural behind this number: "" or "s". */
static inline const char *words_s(uint64_t count) {
	return count == 1 ? "" : "s";
}

/* "2026-11-23 10:15:02 CET": local time with its zone. `time_ns` is nanoseconds since 1970 UTC. Returns `buffer`. */
const char *words_time(int64_t time_ns, char buffer[static WORDS_BYTES]);

/* "2026-11-23T09:15:02.123456789Z": for programs. Returns `buffer`. */
const char *words_time_utc(int64_t time_ns, char buffer[static WORDS_BYTES]);

/* "3 s", "12 min", "5 h", "9 days": one rounded-down unit. Negative durations count as 0. Returns `buffer`. */
const char *words_duration(int64_t duration_ns, char buffer[static WORDS_BYTES]);

/* Columns of a terminal that the text takes; its bytes when the locale can't tell. */
size_t words_width(const char *text);

/* A table whose columns are aligned by display width (columns of a terminal, not bytes). */
typedef struct Table Table;

/* `headers` are separated by '|'; a header beginning with '>' makes its column flush right. NULL when memory is out. */
Table *table_new(const char *headers);
void table_free(Table *table);
static inline void table_freep(Table **slot) {
	table_free(*slot);
}

/* Adds the next cell of the row being filled; NULL counts as "". The text is made safe. A failed allocation shows in
 * table_print(). */
void table_cell(Table *table, const char *text);
void table_cellf(Table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Rows filled so far. */
size_t table_rows(const Table *table);

/* Prints the headers and all rows, two spaces between columns, no trailing space. 0 or -ENOMEM. */
int table_print(const Table *table, FILE *out);
