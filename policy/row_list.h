/*
 * row_list: rows of a file that are not published with it, each with the rules that it breaks.
 *
 *     file     header │ row │ row │ row │ row │ row │
 *     list                    └────┘       └─────────┘    offset, length, line, rules of each
 *
 * The worker makes it; the daemon, which knows nothing of the file's format, publishes all bytes but these. So what
 * comes from a worker is hostile: row_list_parse takes nothing but rows in ascending order that don't overlap, behind
 * the header and inside the file, that name rules there are.
 *
 * Packed (what crosses, and how it is kept: some 8 bytes a row), all numbers LEB128 in the fewest bytes:
 *
 *     header bytes | delimiter, quote, newline, flags: one byte each | a row: bytes since the last row's end (or the
 * header's) | length | lines since the last one's | how many rules | the first one's index | how many are left out
 * before the next …
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "policy/table/csv.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is more is not split any more. */
#define ROW_LIST_ROWS_MAX 1000000u
#define ROW_LIST_BYTES_MAX (16u << 20)

typedef struct RowList RowList;

/* A list without rows; they begin behind `header` bytes (with the byte order mark; 0: none). `dialect` says how the
 * file is written, for who shows the rows; NULL: by commas. -ENOMEM. */
int row_list_new(uint64_t header, const struct csv_dialect *dialect, RowList **ret_list);
void row_list_free(RowList *list);
DEFINE_CLEANUP(RowList, row_list_free);

/*
 * Adds a row of at least one byte, behind all others; `rules` are indices, ascending. None: it is left out and breaks
 * none. -E2BIG with words past the limits above, -EINVAL for a row that does not come behind the last, -ENOMEM.
 */
int row_list_add(RowList *list, uint64_t offset, uint64_t length, uint64_t line, const size_t *rules, size_t count);

/* Bytes before the first row, as row_list_new was told. */
uint64_t row_list_header(const RowList *list);
/* How the file is written; belongs to the list. */
const struct csv_dialect *row_list_dialect(const RowList *list);
/* How many rows; and how many of them break a rule. */
uint64_t row_list_count(const RowList *list);
uint64_t row_list_broken(const RowList *list);
/* Of the file: what all rows have together. */
uint64_t row_list_size(const RowList *list);

/* The packed form, the list's. */
struct bytes row_list_packed(const RowList *list);

/* And back: -EBADMSG with words for what no list of a file of `size` bytes and `rule_count` rules is. */
int row_list_parse(struct bytes packed, uint64_t size, size_t rule_count, RowList **ret_list);

/* ---- reading, front to back; many may read one list ---- */

struct listed_row {
	uint64_t offset, length, line;
	size_t rule_count;
	size_t first_byte; /* of its rules, in the packed form */
};

/* All zero: before the first. */
struct row_cursor {
	size_t next;
	uint64_t end, line;
};

/* False: there are no more. */
bool row_list_next(const RowList *list, struct row_cursor *cursor, struct listed_row *ret_row);

/* Reading all but the rows of a list. All zero but the list: before the first byte. */
struct row_rest {
	const RowList *without; /* NULL: all is left */
	struct row_cursor cursor;
	struct listed_row row; /* the next that is left out; length 0: not looked for yet */
	bool is_behind_rows;
};

/* Takes out of `got` bytes, those of the file from `offset` on, what lies in rows of the list, and says how many stay:
 * the first of `buffer`. To be called for the file's bytes from front to back. */
size_t row_rest_squeeze(struct row_rest *rest, uint64_t offset, uint8_t *buffer, size_t got);

/* Calls `each` with the index of every rule that the row breaks; a negative answer ends it. */
typedef int row_rule_fn(void *arg, size_t rule);
int row_list_rules(const RowList *list, const struct listed_row *row, row_rule_fn *each, void *arg);
