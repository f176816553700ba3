/*
 * csv: reading records; see csv.h.
 *
 * The window holds [start, end); the record that is being read begins at start. There are two ways of reading it:
 * take_indexed() takes records from an index of some 300 (csv_index.h), as long as no quote stands among them;
 * next_record() reads any, field by field: it looks at 16 bytes at a time for the delimiter and the newline (SSE2,
 * which every x86-64 has; a plain loop elsewhere). Where a record is not as expected, the fast way leaves it to the
 * other, that knows what to say. A record that is not complete is read again from its start when as many bytes more
 * have come.
 */
#include "policy/table/csv_reader.h"

#include "crypto/base/fault.h"
#include "policy/table/csv_dialect.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Finds the first of two bytes in [p, end), or end. */
static inline const char *find_either(const char *p, const char *end, char a, char b) {
#ifdef __SSE2__
	const __m128i first = _mm_set1_epi8(a);
	const __m128i second = _mm_set1_epi8(b);
	while (p < end) {
		__m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(chunk, first), _mm_cmpeq_epi8(chunk, second));
		unsigned int mask = (unsigned int)_mm_movemask_epi8(hit);
		if (end - p < 16) /* what lies behind is the window's slack, whatever it holds */
			mask &= (1u << (end - p)) - 1;
		if (mask != 0)
			return p + __builtin_ctz(mask);
		p += 16;
	}
	return end;
#else
	while (p < end && *p != a && *p != b)
		p++;
	return p;
#endif
}

static int grow_cells(CsvReader *reader) {
	if (reader->cell_count >= reader->options.max_columns)
		return fault(
		        EMSGSIZE, "line %" PRIu64 ": more than %zu fields", reader->line, reader->options.max_columns);
	size_t capacity = reader->cell_capacity ? reader->cell_capacity * 2 : 16;
	struct table_cell *cells = reallocarray(reader->cells, capacity, sizeof *cells);
	if (!cells)
		return csv_out_of_memory();
	reader->cells = cells;
	size_t *doubled = reallocarray(reader->doubled, capacity, sizeof *doubled);
	if (!doubled)
		return csv_out_of_memory();
	reader->doubled = doubled;
	reader->cell_capacity = capacity;
	return 0;
}

static inline int add_cell(CsvReader *reader, const char *data, size_t size) {
	if (reader->cell_count == reader->cell_capacity || reader->cell_count >= reader->options.max_columns) {
		int rc = grow_cells(reader);
		if (rc < 0)
			return rc;
	}
	reader->cells[reader->cell_count++] = (struct table_cell){.data = data, .size = size};
	return 0;
}

enum { SCAN_MORE = 0, SCAN_FIELD = 1, SCAN_RECORD = 2 };

/* After a closing quote at *p there must be a delimiter, a newline or the end. Moves *p behind it. */
static int scan_after_quote(CsvReader *reader, const char **p, const char *end) {
	char newline = reader->dialect.newline == CSV_NEWLINE_CR ? '\r' : '\n';
	const char *at = *p;
	if (at < end && *at == '\r' && newline == '\n' && (at + 1 == end || at[1] == '\n')) {
		if (at + 1 == end && !reader->window.at_end)
			return SCAN_MORE;
		at++;
	}
	if (at == end) {
		*p = at;
		return reader->window.at_end ? SCAN_RECORD : SCAN_MORE;
	}
	*p = at + 1;
	if (*at == newline)
		return SCAN_RECORD;
	if (*at == reader->dialect.delimiter && *at)
		return SCAN_FIELD;
	return fault(EBADMSG,
	        "line %" PRIu64 ": text after the closing quote of field %zu; a quote inside quotes is written twice",
	        reader->line, reader->cell_count);
}

/* The quote that closes the field which begins at `from`; NULL if it is not there yet. */
static const char *find_closing(const CsvReader *reader, const char *from, const char *end, bool *ret_marked) {
	char quote = reader->dialect.quote, escape = reader->dialect.escape;
	bool at_end = reader->window.at_end;
	for (const char *at = from;;) {
		if (escape)
			at = find_either(at, end, quote, escape);
		else
			at = at < end ? memchr(at, quote, (size_t)(end - at)) : end;
		if (!at || at >= end)
			return NULL;
		bool is_last = at + 1 == end;
		if (is_last && !at_end)
			return NULL;
		if (*at == quote && (is_last || at[1] != quote))
			return at;
		*ret_marked = true;
		at += is_last ? 1 : 2;
	}
}

/* *p stands behind an opening quote. */
static int scan_quoted(CsvReader *reader, const char **p, const char *end) {
	const char *from = *p;
	bool marked = false;
	const char *at = find_closing(reader, from, end, &marked);
	if (!at && reader->window.at_end)
		return fault(EBADMSG, "line %" PRIu64 ": the quote that opens field %zu is never closed", reader->line,
		        reader->cell_count + 1);
	if (!at)
		return SCAN_MORE;
	int rc = add_cell(reader, from, (size_t)(at - from));
	if (rc < 0)
		return rc;
	if (marked)
		reader->doubled[reader->doubled_count++] = reader->cell_count - 1;
	*p = at + 1;
	return scan_after_quote(reader, p, end);
}

/* Where other programs see a newline, and this dialect has none. */
static int check_stray(const CsvReader *reader, const char *from, size_t size, char newline) {
	const char *stray = memchr(from, newline == '\n' ? '\r' : '\n', size);
	if (!stray)
		return 0;
	return fault(EBADMSG,
	        "line %" PRIu64 ": %s in field %zu, outside quotes, in a file whose lines end with %s; some programs "
	        "would end the row there",
	        reader->line, newline == '\n' ? "a carriage return" : "a line feed", reader->cell_count + 1,
	        newline == '\n' ? "line feeds" : "carriage returns");
}

static inline int scan_plain(CsvReader *reader, const char **p, const char *end, char delimiter, char newline) {
	const char *at = find_either(*p, end, delimiter, newline);
	if (at == end && !reader->window.at_end)
		return SCAN_MORE;
	size_t size = (size_t)(at - *p);
	bool ends = at == end || *at == newline;
	if (ends && newline == '\n' && size > 0 && at[-1] == '\r')
		size--;
	int rc = check_stray(reader, *p, size, newline);
	if (rc == 0)
		rc = add_cell(reader, *p, size);
	if (rc < 0)
		return rc;
	*p = at == end ? at : at + 1;
	return ends ? SCAN_RECORD : SCAN_FIELD;
}

/* Splits the record at start. SCAN_RECORD: complete, *ret_next behind it; SCAN_MORE: more bytes are needed. */
static int scan_record(CsvReader *reader, size_t *ret_next) {
	const char *p = reader->window.bytes + reader->window.start;
	const char *end = reader->window.bytes + reader->window.end;
	char newline = reader->dialect.newline == CSV_NEWLINE_CR ? '\r' : '\n';
	/* Without a delimiter look for the newline twice. */
	char delimiter = reader->dialect.delimiter ? reader->dialect.delimiter : newline;
	char quote = reader->dialect.quote;
	reader->cell_count = 0;
	reader->doubled_count = 0;
	int rc;
	do {
		if (p < end && *p == quote && quote) {
			p++;
			rc = scan_quoted(reader, &p, end);
		} else {
			rc = scan_plain(reader, &p, end, delimiter, newline);
		}
	} while (rc == SCAN_FIELD);
	*ret_next = (size_t)(p - reader->window.bytes);
	return rc;
}

int csv_fill(CsvReader *reader) {
	int rc = window_fill(&reader->window, reader->line, csv_newline_of(reader));
	if (rc != -EMSGSIZE)
		return rc;
	return fault(EMSGSIZE, "line %" PRIu64 ": the record is longer than %zu bytes (is a quote not closed?)",
	        reader->line, reader->window.most);
}

/* Makes one quote of doubled ones and of one behind an escape, in the buffer. */
static void undo_marks(CsvReader *reader) {
	char quote = reader->dialect.quote, escape = reader->dialect.escape;
	for (size_t i = 0; i < reader->doubled_count; i++) {
		struct table_cell *cell = &reader->cells[reader->doubled[i]];
		char *to = reader->window.bytes + (cell->data - reader->window.bytes);
		size_t kept = 0;
		for (size_t j = 0; j < cell->size; j++) {
			bool has_next = j + 1 < cell->size;
			bool escapes =
			        has_next && escape && to[j] == escape && (to[j + 1] == quote || to[j + 1] == escape);
			bool doubles = has_next && to[j] == quote && to[j + 1] == quote;
			j += escapes || doubles;
			to[kept++] = to[j];
		}
		cell->size = kept;
	}
}

static bool is_blank(const CsvReader *reader) {
	return reader->cell_count == 1 && reader->cells[0].size == 0 &&
	       (reader->record_size == 0 || reader->window.bytes[reader->record_start] != reader->dialect.quote);
}

static int check_shape(CsvReader *reader) {
	if (reader->columns == 0 || reader->cell_count == reader->columns)
		return 0;
	char dialect[96];
	csv_dialect_text(&reader->dialect, dialect, sizeof dialect);
	return fault(EBADMSG, "line %" PRIu64 ": expected %zu fields as in the first line, found %zu (%s)",
	        reader->line, reader->columns, reader->cell_count, dialect);
}

/* Reads one record of any shape into cells. 1, 0 at the end, negative errno. */
static int next_record(CsvReader *reader) {
	size_t next;
	int rc;
	for (;;) {
		if (reader->window.start == reader->window.end && reader->window.at_end)
			return 0;
		rc = reader->window.start == reader->window.end ? SCAN_MORE : scan_record(reader, &next);
		if (rc != SCAN_MORE)
			break;
		rc = csv_fill(reader);
		if (rc < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	size_t size = next - reader->window.start;
	if (size > reader->window.most)
		return fault(EMSGSIZE, "line %" PRIu64 ": the record is longer than %zu bytes", reader->line,
		        reader->window.most);
	rc = window_check_text(&reader->window, reader->window.start, next, reader->line, csv_newline_of(reader));
	if (rc < 0)
		return rc;
	reader->record_start = reader->window.start;
	reader->record_size = size;
	reader->window.start = next;
	return 1;
}

int csv_next_row(CsvReader *reader) {
	for (;;) {
		int rc = next_record(reader);
		if (rc <= 0)
			return rc;
		bool blank = is_blank(reader) && reader->columns != 1;
		rc = blank ? 0 : check_shape(reader);
		if (rc < 0)
			return rc;
		reader->record_line = reader->line;
		/* Most records hold one newline, at their end. */
		reader->line += window_newlines(&reader->window, reader->record_start,
		        reader->record_start + reader->record_size, csv_newline_of(reader));
		if (!blank) {
			undo_marks(reader);
			return 1;
		}
	}
}

/* ---- the fast way, for records without quotes ---- */

#define INDEX_WAIT_MOST 64u

/* Indexes what stands at the window's start. Not where records have quotes: that is tried again less and less often. */
static bool renew_index(CsvReader *reader) {
	const struct window *window = &reader->window;
	struct csv_index *index = &reader->index;
	index->record_count = 0;
	if (reader->index_wait > 0) {
		reader->index_wait--;
		return false;
	}
	const char *text = window->bytes + window->start;
	csv_index_fill(index, text, window->end - window->start, reader->dialect.delimiter, csv_newline_of(reader),
	        reader->dialect.quote);
	if (index->record_count > 0 && !index->is_ascii && utf8_valid_prefix(text, index->size) < index->size)
		index->record_count = 0; /* the slow way names the line */
	reader->index_failures = index->record_count > 0 ? 0 : reader->index_failures + 1;
	reader->index_wait = reader->index_failures < 6 ? (1u << reader->index_failures) - 1 : INDEX_WAIT_MOST;
	reader->index_at = reader->index_expect = window->start;
	reader->index_next = 0;
	return index->record_count > 0;
}

/* Makes the cells that are wanted of the record at the window's start, whose fields' ends are given. */
static inline void cut_cells(const CsvReader *reader, const uint32_t *ends, struct table_cell *cells) {
	const char *text = reader->window.bytes + reader->index_at, *from = reader->window.bytes + reader->window.start;
	size_t last = reader->columns - 1;
	if (reader->wanted_count == reader->columns) {
		for (size_t i = 0; i <= last; i++) {
			const char *end = text + ends[i];
			cells[i].data = from;
			cells[i].size = (size_t)(end - from);
			from = end + 1;
		}
	} else {
		for (size_t i = 0; i < reader->wanted_count; i++) {
			size_t column = reader->wanted[i];
			const char *at = column ? text + ends[column - 1] + 1 : from;
			cells[column] = (struct table_cell){.data = at, .size = (size_t)(text + ends[column] - at)};
		}
	}
	struct table_cell *cell = &cells[last];
	if (reader->wanted[reader->wanted_count - 1] == last && cell->size > 0 && cell->data[cell->size - 1] == '\r' &&
	        csv_newline_of(reader) == '\n')
		cell->size--;
}

/* Is the window's start in the index? */
static bool has_indexed(CsvReader *reader) {
	bool has_one = reader->index_next < reader->index.record_count && reader->index_expect == reader->window.start;
	return has_one || renew_index(reader);
}

/* Takes the next record from the index, which has one, if it is a row as expected. */
static inline bool take_indexed(CsvReader *reader, struct table_cell *cells) {
	const struct csv_index *index = &reader->index;
	struct window *window = &reader->window;
	size_t first = reader->index_next ? index->records[reader->index_next - 1] : 0;
	size_t end = index->records[reader->index_next];
	size_t next = reader->index_at + index->fields[end - 1] + 1;
	size_t size = next - window->start;
	if (end - first != reader->columns || size > window->most)
		return false;
	if (reader->wanted_count > 0)
		cut_cells(reader, index->fields + first, cells);
	reader->record_line = reader->line++;
	reader->record_start = window->start;
	reader->record_size = size;
	reader->index_next++;
	window->start = reader->index_expect = next;
	return true;
}

static bool may_be_fast(const CsvReader *reader) {
	return !reader->error && !reader->first_is_row;
}

void csv_want(CsvReader *reader, const bool *columns) {
	size_t count = 0;
	for (size_t i = 0; i < reader->columns; i++)
		if (columns[i])
			reader->wanted[count++] = i;
	reader->wanted_count = count;
}

/* The next row, without trying the index. */
static int next_slow(CsvReader *reader, const struct table_cell **ret_cells) {
	if (reader->error)
		return fault(-reader->error, "line %" PRIu64 ": reading stopped here before", reader->line);
	if (reader->first_is_row) {
		reader->first_is_row = false;
		*ret_cells = reader->cells;
		return 1;
	}
	int rc = csv_next_row(reader);
	if (rc < 0)
		reader->error = rc;
	if (rc > 0)
		*ret_cells = reader->cells;
	return rc;
}

int csv_next(CsvReader *reader, const struct table_cell **ret_cells) {
	if (!may_be_fast(reader) || !has_indexed(reader) || !take_indexed(reader, reader->cells))
		return next_slow(reader, ret_cells);
	*ret_cells = reader->cells;
	return 1;
}

/* Room for many rows: as many as a piece of text that is indexed may well have, but no more cells than the caches hold.
 */
static int make_room(CsvReader *reader) {
	enum { ROWS = 512, CELLS = 4096 };
	size_t rows = CELLS / reader->columns;
	reader->many_most = rows > ROWS ? ROWS : rows > 0 ? rows : 1;
	reader->many = calloc(reader->many_most * reader->columns, sizeof *reader->many);
	reader->many_lines = calloc(reader->many_most, sizeof *reader->many_lines);
	return reader->many && reader->many_lines ? 0 : csv_out_of_memory();
}

/* All that the index has of rows as expected; none when it is not that easy. */
static size_t take_many(CsvReader *reader) {
	size_t count = 0;
	while (count < reader->many_most && reader->index_next < reader->index.record_count &&
	        take_indexed(reader, reader->many + count * reader->columns))
		reader->many_lines[count++] = reader->record_line;
	return count;
}

int csv_rows(CsvReader *reader, struct table_rows *ret_rows) {
	int rc = reader->many_lines ? 0 : make_room(reader);
	if (rc < 0)
		return rc;
	size_t start = reader->window.start, count = 0;
	if (may_be_fast(reader) && has_indexed(reader))
		count = take_many(reader);
	*ret_rows = (struct table_rows){.count = count,
	        .columns = reader->columns,
	        .cells = reader->many,
	        .lines = reader->many_lines,
	        .text = reader->window.bytes + start,
	        .size = reader->window.start - start};
	if (count > 0)
		return 1;
	ret_rows->count = 1;
	ret_rows->lines = &reader->record_line;
	rc = next_slow(reader, &ret_rows->cells);
	ret_rows->text = reader->window.bytes + reader->record_start;
	ret_rows->size = reader->record_size;
	return rc;
}
