/* table_csv: the CSV reader as a table's format. */
#include "policy/table/table_format.h"

#include <stdio.h>

/* A delimiter that can't be right. */
static void advise(const CsvReader *reader, char *ret_advice, size_t size) {
	size_t fields;
	char better = csv_better_delimiter(reader, &fields), given = csv_dialect_of(reader)->delimiter;
	const char better_text[] = {better, 0}, given_text[] = {given, 0};
	ret_advice[0] = '\0';
	if (better)
		(void)snprintf(ret_advice, size,
		        "with the delimiter '%s' that was given, the first line is one field, with '%s' it is "
		        "%zu: perhaps format: {delimiter: \"%s\"} is meant",
		        given == '\t' ? "\\t" : given_text, better == '\t' ? "\\t" : better_text, fields,
		        better == '\t' ? "\\t" : better_text);
}

static int open_csv(const struct table_source *source, const struct table_options *options, void **ret_reader,
        struct table_shape *ret_shape) {
	CsvReader *reader;
	int rc = csv_open(source->read, source->ctx, &options->csv, &reader);
	if (rc < 0)
		return rc;
	ret_shape->header = csv_header_of(reader);
	ret_shape->columns = csv_columns(reader);
	csv_dialect_text(csv_dialect_of(reader), ret_shape->dialect, sizeof ret_shape->dialect);
	advise(reader, ret_shape->advice, sizeof ret_shape->advice);
	*ret_reader = reader;
	return 0;
}

static void close_csv(void *reader) {
	csv_close(reader);
}

static int next(void *reader, const struct table_cell **ret_cells) {
	return csv_next(reader, ret_cells);
}

static int rows(void *reader, struct table_rows *ret_rows) {
	return csv_rows(reader, ret_rows);
}

static uint64_t line(const void *reader) {
	return csv_line(reader);
}

static struct table_place place(const void *reader) {
	struct table_place place;
	place.offset = csv_record(reader, &place.size);
	return place;
}

static void want(void *reader, const bool *columns) {
	csv_want(reader, columns);
}

const struct table_format table_csv = {
        .open = open_csv, .close = close_csv, .next = next, .rows = rows, .line = line, .place = place, .want = want};
