#include "policy/row_list.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "policy/leb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DIALECT_BYTES = 4, FLAG_NAMES = 1, FLAG_BOM = 2 };

struct RowList {
	struct csv_dialect dialect;
	uint8_t *packed;
	size_t used, room;
	size_t first; /* byte of the first row */
	uint64_t header, count, broken, size;
	uint64_t end, line; /* the last row's */
};

static int no_memory(void) {
	return fault(ENOMEM, "no memory for the rows that are withheld");
}

/* ---- making ---- */

static int make_room(RowList *list, size_t more) {
	uint8_t *packed = array_room(list->packed, &list->room, list->used + more, 1);
	if (!packed)
		return no_memory();
	list->packed = packed;
	return 0;
}

static void put_dialect(const struct csv_dialect *dialect, uint8_t *at) {
	at[0] = (uint8_t)dialect->delimiter;
	at[1] = (uint8_t)dialect->quote;
	at[2] = (uint8_t)dialect->newline;
	at[3] = (uint8_t)((dialect->header ? FLAG_NAMES : 0) | (dialect->bom ? FLAG_BOM : 0));
}

static const struct csv_dialect by_commas = {.delimiter = ',', .quote = '"'};

int row_list_new(uint64_t header, const struct csv_dialect *dialect, RowList **ret_list) {
	_cleanup_(row_list_freep) RowList *list = calloc(1, sizeof *list);
	if (!list)
		return no_memory();
	int rc = make_room(list, LEB_BYTES_MAX + DIALECT_BYTES);
	if (rc < 0)
		return rc;
	list->dialect = dialect ? *dialect : by_commas;
	list->header = list->end = header;
	list->used = leb_put(list->packed, header);
	put_dialect(&list->dialect, list->packed + list->used);
	list->used += DIALECT_BYTES;
	list->first = list->used;
	*ret_list = steal_pointer(&list);
	return 0;
}

void row_list_free(RowList *list) {
	if (!list)
		return;
	free(list->packed);
	free(list);
}

int row_list_add(RowList *list, uint64_t offset, uint64_t length, uint64_t line, const size_t *rules, size_t count) {
	if (list->count >= ROW_LIST_ROWS_MAX)
		return fault(E2BIG, "more than %u rows did not pass", ROW_LIST_ROWS_MAX);
	if (offset < list->end || length == 0 || offset + length < offset || line <= list->line)
		return fault(EINVAL, "a row does not come behind the one before");
	int rc = make_room(list, (4 + count) * LEB_BYTES_MAX);
	if (rc < 0)
		return rc;
	uint8_t *packed = list->packed;
	size_t used = list->used;
	used += leb_put(packed + used, offset - list->end);
	used += leb_put(packed + used, length);
	used += leb_put(packed + used, line - list->line);
	used += leb_put(packed + used, count);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && rules[i] <= rules[i - 1])
			return fault(EINVAL, "the rules that a row breaks do not ascend");
		used += leb_put(packed + used, i > 0 ? rules[i] - rules[i - 1] - 1 : rules[i]);
	}
	if (used > ROW_LIST_BYTES_MAX)
		return fault(E2BIG,
		        "the list of the rows that did not pass, and of the rules that they break, would "
		        "be larger than %u MiB",
		        ROW_LIST_BYTES_MAX >> 20);
	list->used = used;
	list->end = offset + length;
	list->line = line;
	list->size += length;
	list->count++;
	list->broken += count > 0;
	return 0;
}

uint64_t row_list_header(const RowList *list) {
	return list->header;
}

const struct csv_dialect *row_list_dialect(const RowList *list) {
	return &list->dialect;
}

uint64_t row_list_count(const RowList *list) {
	return list->count;
}

uint64_t row_list_broken(const RowList *list) {
	return list->broken;
}

uint64_t row_list_size(const RowList *list) {
	return list->size;
}

struct bytes row_list_packed(const RowList *list) {
	return bytes_of(list->packed, list->used);
}

/* ---- what a worker says ---- */

/* What is shown with it is made of these bytes, so they are such as a table can have. */
static bool read_dialect(RowList *list, struct bytes packed, size_t *at) {
	if (packed.size - *at < DIALECT_BYTES)
		return false;
	const uint8_t *bytes = packed.data + *at;
	bool is_delimiter = bytes[0] == 0 || bytes[0] == '\t' || (bytes[0] >= ' ' && bytes[0] < 0x7f);
	bool is_quote = bytes[1] == '"' || bytes[1] == '\'';
	if (!is_delimiter || !is_quote || bytes[0] == bytes[1] || bytes[2] > CSV_NEWLINE_CR ||
	        bytes[3] > (FLAG_NAMES | FLAG_BOM))
		return false;
	list->dialect = (struct csv_dialect){.delimiter = (char)bytes[0],
	        .quote = (char)bytes[1],
	        .newline = (enum csv_newline)bytes[2],
	        .header = bytes[3] & FLAG_NAMES,
	        .bom = bytes[3] & FLAG_BOM};
	*at += DIALECT_BYTES;
	return list->header >= (list->dialect.bom ? 3u : 0u);
}

static bool read_rules(struct bytes packed, size_t *at, uint64_t count, size_t rule_count) {
	uint64_t below = 0, gap; /* all rules below are behind us */
	if (count > rule_count)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		if (!leb_get(packed, at, &gap) || gap >= rule_count - below)
			return false;
		below += gap + 1;
	}
	return true;
}

static bool read_row(RowList *list, struct bytes packed, size_t *at, uint64_t size, size_t rule_count) {
	uint64_t gap, length, lines, count;
	if (!leb_get(packed, at, &gap) || !leb_get(packed, at, &length) || !leb_get(packed, at, &lines) ||
	        !leb_get(packed, at, &count) || !read_rules(packed, at, count, rule_count))
		return false;
	/* a line has at least its end, so there are no more lines than bytes */
	if (length == 0 || lines == 0 || lines > size + 1 - list->line || gap > size - list->end ||
	        length > size - list->end - gap)
		return false;
	list->end += gap + length;
	list->line += lines;
	list->size += length;
	list->broken += count > 0;
	return ++list->count <= ROW_LIST_ROWS_MAX;
}

int row_list_parse(struct bytes packed, uint64_t size, size_t rule_count, RowList **ret_list) {
	static const char what[] = "the list of rows that did not pass";
	_cleanup_(row_list_freep) RowList *list = calloc(1, sizeof *list);
	size_t at = 0;
	if (!list)
		return no_memory();
	if (packed.size > ROW_LIST_BYTES_MAX || !leb_get(packed, &at, &list->header) || list->header > size ||
	        !read_dialect(list, packed, &at))
		return fault(EBADMSG, "%s is too long, or its first bytes are not such as a list has", what);
	list->first = at;
	list->end = list->header;
	while (at < packed.size)
		if (!read_row(list, packed, &at, size, rule_count))
			return fault(EBADMSG, "%s: row %" PRIu64 " is none of the file's, or not behind the one before",
			        what, list->count + 1);
	int rc = make_room(list, packed.size);
	if (rc < 0)
		return rc;
	memcpy(list->packed, packed.data, packed.size);
	list->used = packed.size;
	*ret_list = steal_pointer(&list);
	return 0;
}

/* ---- reading ---- */

/* The list's own bytes, which were made or looked at here. */
static uint64_t number_at(const RowList *list, size_t *at) {
	uint64_t number = 0;
	(void)leb_get(row_list_packed(list), at, &number);
	return number;
}

bool row_list_next(const RowList *list, struct row_cursor *cursor, struct listed_row *ret_row) {
	size_t at = cursor->next ? cursor->next : list->first;
	if (at >= list->used)
		return false;
	struct listed_row row = {.offset = (cursor->next ? cursor->end : list->header) + number_at(list, &at)};
	row.length = number_at(list, &at);
	row.line = cursor->line + number_at(list, &at);
	row.rule_count = (size_t)number_at(list, &at);
	row.first_byte = at;
	for (size_t i = 0; i < row.rule_count; i++)
		(void)number_at(list, &at);
	*cursor = (struct row_cursor){.next = at, .end = row.offset + row.length, .line = row.line};
	*ret_row = row;
	return true;
}

/* Read in large pieces and squeezed: reading from row to row would ask for many small ones. */
size_t row_rest_squeeze(struct row_rest *rest, uint64_t offset, uint8_t *buffer, size_t got) {
	uint64_t end = offset + got;
	size_t kept = 0;
	for (uint64_t at = offset; at < end && rest->without;) {
		if (rest->row.length == 0 && !rest->is_behind_rows)
			rest->is_behind_rows = !row_list_next(rest->without, &rest->cursor, &rest->row);
		uint64_t row = rest->is_behind_rows ? end : rest->row.offset < end ? rest->row.offset : end;
		if (row > at) {
			memmove(buffer + kept, buffer + (at - offset), (size_t)(row - at));
			kept += (size_t)(row - at);
			at = row;
			continue;
		}
		uint64_t row_end = rest->row.offset + rest->row.length;
		at = row_end < end ? row_end : end;
		if (at == row_end)
			rest->row.length = 0;
	}
	return rest->without ? kept : got;
}

int row_list_rules(const RowList *list, const struct listed_row *row, row_rule_fn *each, void *arg) {
	size_t at = row->first_byte, rule = 0;
	int rc = 0;
	for (size_t i = 0; i < row->rule_count && rc >= 0; i++) {
		rule += (size_t)number_at(list, &at) + (i > 0);
		rc = each(arg, rule);
	}
	return rc;
}
