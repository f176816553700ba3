#include "policy/table/csv_dialect.h"

#include <stdio.h>

static const char delimiters[] = {',', ';', '\t', '|'};

/* What splitting the sample with one delimiter gives. */
struct split {
	uint64_t records;
	uint64_t like_first; /* records with as many fields as the first */
	uint64_t fields;     /* of the first record */
};

static void split_end_record(struct split *split, uint64_t fields, bool broken) {
	if (split->records++ == 0)
		split->fields = fields;
	if (fields == split->fields && !broken)
		split->like_first++;
}

static bool is_newline(uint8_t c) {
	return c == '\n' || c == '\r';
}

/* What stands between two delimiters. */
enum place { AT_START, PLAIN, QUOTED, CLOSED };

struct marks {
	uint8_t delimiter, quote, escape; /* 0: none */
};

/* Where the byte behind `place` stands; *i moves over what an escape takes the meaning from. */
static enum place step_inside(struct bytes sample, const struct marks *marks, enum place place, size_t *i) {
	uint8_t c = sample.data[*i];
	if (place == QUOTED && marks->escape && c == marks->escape) {
		++*i;
		return QUOTED;
	}
	if (marks->quote && c == marks->quote) {
		if (place == QUOTED)
			return CLOSED;
		return place == PLAIN ? PLAIN : QUOTED; /* behind a closed one it is a doubled one */
	}
	return place == AT_START ? PLAIN : place;
}

/* Counts records and fields; a last record that the sample cuts off does not count. One with text behind a closing
 * quote is like no other. */
static struct split split_sample(struct bytes sample, bool whole, const struct marks *marks) {
	struct split split = {0};
	uint64_t fields = 1;
	enum place place = AT_START;
	bool broken = false;
	size_t record = 0;
	for (size_t i = 0; i < sample.size; i++) {
		uint8_t c = sample.data[i];
		bool ends = place != QUOTED && (c == marks->delimiter || is_newline(c));
		if (!ends) {
			broken |= place == CLOSED && c != marks->quote;
			place = step_inside(sample, marks, place, &i);
			continue;
		}
		place = AT_START;
		if (c == marks->delimiter) {
			fields++;
			continue;
		}
		if (i > record)
			split_end_record(&split, fields, broken);
		fields = 1;
		broken = false;
		record = i + 1;
	}
	if (record < sample.size && (whole || split.records == 0))
		split_end_record(&split, fields, broken || place == QUOTED);
	return split;
}

/* Is `a` a better reading than `b`? Shares compared as fractions, without division. */
static bool better(const struct split *a, const struct split *b) {
	uint64_t left = a->like_first * b->records;
	uint64_t right = b->like_first * a->records;
	return left != right ? left > right : a->fields > b->fields;
}

/* Tries all delimiters with and without escapes, or those that are given. The reading found is in `marks`; without any
 * its delimiter is 0. */
static struct split detect_marks(
        struct bytes sample, bool whole, struct marks *marks, bool any_delimiter, bool any_escape) {
	const uint8_t escapes[] = {any_escape ? 0 : marks->escape, '\\'};
	bool may_escape =
	        any_escape && marks->quote && memmem(sample.data, sample.size, (uint8_t[]){'\\', marks->quote}, 2);
	struct marks tried = *marks, best_marks = {.quote = marks->quote, .escape = escapes[0]};
	struct split best = {0};
	for (size_t e = 0; e < (may_escape ? 2 : 1); e++) {
		tried.escape = escapes[e];
		for (size_t i = 0; i < (any_delimiter ? sizeof delimiters : 1); i++) {
			if (any_delimiter)
				tried.delimiter = (uint8_t)delimiters[i];
			struct split split = split_sample(sample, whole, &tried);
			bool counts = split.fields > 1 || !any_delimiter;
			if (counts && (best.records == 0 || better(&split, &best))) {
				best = split;
				best_marks = tried;
			}
		}
	}
	*marks = best_marks;
	return best;
}

char csv_doubt_delimiter(struct bytes sample, bool whole, const struct csv_dialect *dialect, size_t *ret_fields) {
	struct marks marks = {.delimiter = (uint8_t)dialect->delimiter,
	        .quote = (uint8_t)dialect->quote,
	        .escape = (uint8_t)dialect->escape};
	struct split given = split_sample(sample, whole, &marks);
	*ret_fields = 0;
	if (given.fields > 1)
		return 0;
	struct split split = detect_marks(sample, whole, &marks, true, false);
	if (!marks.delimiter || split.like_first * 10 < split.records * 9)
		return 0;
	*ret_fields = (size_t)split.fields;
	return (char)marks.delimiter;
}

static bool at_field_end(struct bytes sample, size_t i) {
	if (i >= sample.size || is_newline(sample.data[i]))
		return true;
	return memchr(delimiters, sample.data[i], sizeof delimiters) != NULL;
}

/* ' is the quote only where no field opens with " and every field that opens with ' closes with it. */
static char detect_quote(struct bytes sample) {
	size_t closed = 0;
	size_t open = 0;
	for (size_t i = 0; i < sample.size; i++) {
		if (i > 0 && !at_field_end(sample, i - 1))
			continue;
		if (sample.data[i] == '"')
			return '"';
		if (sample.data[i] != '\'')
			continue;
		const uint8_t *end = memchr(sample.data + i + 1, '\'', sample.size - i - 1);
		if (end && at_field_end(sample, (size_t)(end - sample.data) + 1))
			closed++;
		else
			open++;
	}
	return closed > 1 && open == 0 ? '\'' : '"';
}

static enum csv_newline detect_newline(struct bytes sample, uint8_t quote, uint8_t escape) {
	bool quoted = false;
	for (size_t i = 0; i < sample.size; i++) {
		uint8_t c = sample.data[i];
		if (quoted && escape && c == escape)
			i++;
		else if (quote && c == quote && (quoted || i == 0 || at_field_end(sample, i - 1)))
			quoted = !quoted;
		else if (!quoted && c == '\n')
			return CSV_NEWLINE_LF;
		else if (!quoted && c == '\r')
			return i + 1 < sample.size && sample.data[i + 1] == '\n' ? CSV_NEWLINE_CRLF : CSV_NEWLINE_CR;
	}
	return CSV_NEWLINE_LF;
}

struct csv_dialect csv_detect(struct bytes sample, bool whole, const struct csv_options *options) {
	struct csv_dialect dialect = {0};
	if (sample.size >= 3 && memcmp(sample.data, "\xef\xbb\xbf", 3) == 0) {
		dialect.bom = true;
		sample = bytes_of(sample.data + 3, sample.size - 3);
	}
	dialect.quote = options->quote ? options->quote : detect_quote(sample);
	if (dialect.quote == CSV_NONE)
		dialect.quote = 0;
	struct marks marks = {.delimiter = (uint8_t)options->delimiter,
	        .quote = (uint8_t)dialect.quote,
	        .escape = options->escape == CSV_NONE ? 0 : (uint8_t)options->escape};
	(void)detect_marks(sample, whole, &marks, !options->delimiter, !options->escape);
	dialect.delimiter = (char)marks.delimiter;
	dialect.escape = (char)marks.escape;
	dialect.newline = detect_newline(sample, marks.quote, marks.escape);
	return dialect;
}

enum looks { LOOKS_LIKE_NAME, LOOKS_LIKE_VALUE, LOOKS_LIKE_EITHER };

/* A value is what begins as a number and holds nothing but the marks of numbers, dates and times. An empty cell (the
 * name that some programs give to row numbers) and a year may be either. */
static enum looks looks_of(struct table_cell cell) {
	size_t sign = cell.size > 0 && strchr("+-.", cell.data[0]) != NULL;
	if (cell.size == 0)
		return LOOKS_LIKE_EITHER;
	if (sign >= cell.size || cell.data[sign] < '0' || cell.data[sign] > '9')
		return LOOKS_LIKE_NAME;
	for (size_t i = 0; i < cell.size; i++)
		if (!memchr("0123456789+-.,:/ TZeE%", cell.data[i], 22))
			return LOOKS_LIKE_NAME;
	bool year = cell.size == 4 && (memcmp(cell.data, "19", 2) == 0 || memcmp(cell.data, "20", 2) == 0);
	return year ? LOOKS_LIKE_EITHER : LOOKS_LIKE_VALUE;
}

bool csv_looks_like_header(const struct table_cell *cells, size_t count) {
	size_t names = 0;
	for (size_t i = 0; i < count; i++) {
		enum looks looks = looks_of(cells[i]);
		if (looks == LOOKS_LIKE_VALUE)
			return false;
		names += looks == LOOKS_LIKE_NAME;
		/* Quadratic, so only for tables of a width that has it cheap; a wider one with twice the same name is
		 * told by the rules that name it. */
		for (size_t j = 0; count <= 512 && j < i; j++)
			if (cell_equals(cells[i], cells[j].data, cells[j].size))
				return false;
	}
	return names > 0;
}

static void byte_text(char c, char ret_text[static 8]) {
	if (c == '\t')
		(void)snprintf(ret_text, 8, "tab");
	else if (c == 0)
		(void)snprintf(ret_text, 8, "none");
	else
		(void)snprintf(ret_text, 8, "'%c'", c);
}

void csv_dialect_text(const struct csv_dialect *dialect, char *ret_text, size_t size) {
	static const char *const newlines[] = {
	        [CSV_NEWLINE_LF] = "LF", [CSV_NEWLINE_CRLF] = "CRLF", [CSV_NEWLINE_CR] = "CR"};
	char delimiter[8], quote[8], escape[8];
	byte_text(dialect->delimiter, delimiter);
	byte_text(dialect->quote, quote);
	byte_text(dialect->escape, escape);
	(void)snprintf(ret_text, size, "delimiter %s, quote %s%s%s, %s, %s%s", delimiter, quote,
	        dialect->escape ? ", escape " : "", dialect->escape ? escape : "", newlines[dialect->newline],
	        dialect->header ? "header" : "no header", dialect->bom ? ", BOM" : "");
}
