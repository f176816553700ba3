#include "policy/table/csv_dialect.h"

#include <stdio.h>

static const char delimiters[] = {',', ';', '\t', '|'};

/* What splitting the sample with one delimiter gives. */
struct split {
	uint64_t records;
	uint64_t like_first; /* records with as many fields as the first */
	uint64_t fields;     /* of the first record */
};

static void split_end_record(struct split *split, uint64_t fields) {
	if (split->records++ == 0)
		split->fields = fields;
	if (fields == split->fields)
		split->like_first++;
}

static bool is_newline(uint8_t c) {
	return c == '\n' || c == '\r';
}

/* Counts records and fields; a last record that the sample cuts off does not count. */
static struct split split_sample(struct bytes sample, bool whole, uint8_t delimiter, uint8_t quote) {
	struct split split = {0};
	uint64_t fields = 1;
	bool quoted = false;
	size_t start = 0;
	size_t record = 0;
	for (size_t i = 0; i < sample.size; i++) {
		uint8_t c = sample.data[i];
		if (quoted) {
			quoted = c != quote;
		} else if (c == quote && (i == start || (i > start && sample.data[i - 1] == quote))) {
			quoted = true;
		} else if (c == delimiter) {
			fields++;
			start = i + 1;
		} else if (is_newline(c)) {
			if (i > record)
				split_end_record(&split, fields);
			fields = 1;
			start = record = i + 1;
		}
	}
	if (record < sample.size && (whole || split.records == 0))
		split_end_record(&split, fields);
	return split;
}

/* Is `a` a better reading than `b`? Shares compared as fractions, without division. */
static bool better(const struct split *a, const struct split *b) {
	uint64_t left = a->like_first * b->records;
	uint64_t right = b->like_first * a->records;
	return left != right ? left > right : a->fields > b->fields;
}

static char detect_delimiter(struct bytes sample, bool whole, uint8_t quote) {
	struct split best = {0};
	char found = 0;
	for (size_t i = 0; i < sizeof delimiters; i++) {
		struct split split = split_sample(sample, whole, (uint8_t)delimiters[i], quote);
		if (split.fields > 1 && (!found || better(&split, &best))) {
			best = split;
			found = delimiters[i];
		}
	}
	return found;
}

char csv_doubt_delimiter(struct bytes sample, bool whole, const struct csv_dialect *dialect, size_t *ret_fields) {
	uint8_t quote = (uint8_t)dialect->quote;
	struct split given = split_sample(sample, whole, (uint8_t)dialect->delimiter, quote);
	char other = given.fields > 1 ? 0 : detect_delimiter(sample, whole, quote);
	*ret_fields = 0;
	if (!other)
		return 0;
	struct split split = split_sample(sample, whole, (uint8_t)other, quote);
	if (split.like_first * 10 < split.records * 9)
		return 0;
	*ret_fields = (size_t)split.fields;
	return other;
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

static enum csv_newline detect_newline(struct bytes sample, uint8_t quote) {
	bool quoted = false;
	for (size_t i = 0; i < sample.size; i++) {
		uint8_t c = sample.data[i];
		if (c == quote && (quoted || i == 0 || at_field_end(sample, i - 1)))
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
	dialect.delimiter =
	        options->delimiter ? options->delimiter : detect_delimiter(sample, whole, (uint8_t)dialect.quote);
	dialect.newline = detect_newline(sample, (uint8_t)dialect.quote);
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
	char delimiter[8];
	char quote[8];
	byte_text(dialect->delimiter, delimiter);
	byte_text(dialect->quote, quote);
	(void)snprintf(ret_text, size, "delimiter %s, quote %s, %s, %s%s", delimiter, quote, newlines[dialect->newline],
	        dialect->header ? "header" : "no header", dialect->bom ? ", BOM" : "");
}
