/* csv_open: settling the dialect, the header, and what is told of a reader. */
#include "policy/table/csv_reader.h"

#include "crypto/base/fault.h"
#include "policy/table/csv_dialect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int csv_out_of_memory(void) {
	return fault(ENOMEM, "out of memory while reading a table");
}

/* Copies the names out of the buffer, or makes them up. */
static int keep_header(CsvReader *reader) {
	size_t total = 0;
	for (size_t i = 0; i < reader->columns; i++)
		total += reader->dialect.header ? reader->cells[i].size : 24;
	reader->header = calloc(reader->columns, sizeof *reader->header);
	reader->names = malloc(total + 1);
	if (!reader->header || !reader->names)
		return csv_out_of_memory();
	char *to = reader->names;
	for (size_t i = 0; i < reader->columns; i++) {
		size_t size = reader->cells[i].size;
		if (reader->dialect.header)
			memcpy(to, reader->cells[i].data, size);
		else
			size = (size_t)snprintf(to, 24, "col%zu", i);
		reader->header[i] = (struct table_cell){.data = to, .size = size};
		to += size;
	}
	return 0;
}

static int read_sample(CsvReader *reader) {
	while (!reader->window.at_end && reader->window.end < CSV_SAMPLE_BYTES) {
		int rc = csv_fill(reader);
		if (rc < 0)
			return rc;
	}
	const unsigned char *bytes = (const unsigned char *)reader->window.bytes;
	if (reader->window.end >= 2 &&
	        ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff)))
		return fault(EILSEQ, "line 1: the file is UTF-16; convert it to UTF-8");
	reader->dialect =
	        csv_detect(bytes_of(reader->window.bytes, reader->window.end), reader->window.at_end, &reader->options);
	reader->window.start = reader->dialect.bom ? 3 : 0;
	if (reader->options.delimiter)
		reader->better = csv_doubt_delimiter(bytes_of(reader->window.bytes + reader->window.start,
		                                             reader->window.end - reader->window.start),
		        reader->window.at_end, &reader->dialect, &reader->better_fields);
	return 0;
}

static int read_header(CsvReader *reader) {
	int rc = csv_next_row(reader);
	if (rc == 0)
		return fault(ENODATA, "the file is empty: it holds no record");
	if (rc < 0)
		return rc;
	reader->columns = reader->cell_count;
	reader->dialect.header = reader->options.header == CSV_HEADER_DETECT
	                                 ? csv_looks_like_header(reader->cells, reader->columns)
	                                 : reader->options.header == CSV_HEADER_YES;
	reader->first_is_row = !reader->dialect.header;
	reader->wanted_count = reader->columns;
	reader->wanted = calloc(reader->columns, sizeof *reader->wanted);
	if (!reader->wanted)
		return csv_out_of_memory();
	for (size_t i = 0; i < reader->columns; i++)
		reader->wanted[i] = i;
	return keep_header(reader);
}

static int check_options(const struct csv_options *options) {
	unsigned char delimiter = (unsigned char)options->delimiter, escape = (unsigned char)options->escape;
	if (delimiter > 0x7e || (delimiter && (strchr("\"\r\n", delimiter) || delimiter == options->quote)))
		return fault(EINVAL, "delimiter: one ASCII character that is neither quote nor newline");
	if (options->quote && options->quote != '"' && options->quote != '\'' && options->quote != CSV_NONE)
		return fault(EINVAL, "quote: either \" or ' or none");
	if (escape > 0x7f || (escape && (strchr("\"'\r\n", escape) || escape == delimiter)))
		return fault(EINVAL, "escape: one ASCII character that is neither quote, delimiter nor newline");
	return 0;
}

int csv_open(table_read_function *read, void *ctx, const struct csv_options *options, CsvReader **ret_reader) {
	_cleanup_(csv_closep) CsvReader *reader = calloc(1, sizeof *reader);
	if (!reader)
		return csv_out_of_memory();
	reader->window.source = (struct table_source){.read = read, .ctx = ctx};
	reader->line = 1;
	if (options)
		reader->options = *options;
	reader->window.most =
	        reader->options.max_record_bytes ? reader->options.max_record_bytes : CSV_MAX_RECORD_BYTES;
	if (!reader->options.max_columns)
		reader->options.max_columns = CSV_MAX_COLUMNS;
	int rc = check_options(&reader->options);
	if (rc == 0)
		rc = csv_index_init(&reader->index);
	if (rc == 0)
		rc = read_sample(reader);
	if (rc == 0)
		rc = read_header(reader);
	if (rc < 0)
		return rc;
	*ret_reader = steal_pointer(&reader);
	return 0;
}

void csv_close(CsvReader *reader) {
	if (!reader)
		return;
	window_release(&reader->window);
	free(reader->cells);
	free(reader->doubled);
	free(reader->wanted);
	free(reader->many);
	free(reader->many_lines);
	csv_index_release(&reader->index);
	free(reader->names);
	free(reader->header);
	free(reader);
}

const struct csv_dialect *csv_dialect_of(const CsvReader *reader) {
	return &reader->dialect;
}

char csv_better_delimiter(const CsvReader *reader, size_t *ret_fields) {
	*ret_fields = reader->better_fields;
	return reader->better;
}

size_t csv_columns(const CsvReader *reader) {
	return reader->columns;
}

const struct table_cell *csv_header_of(const CsvReader *reader) {
	return reader->header;
}

uint64_t csv_line(const CsvReader *reader) {
	return reader->record_line;
}

uint64_t csv_record(const CsvReader *reader, size_t *ret_size) {
	*ret_size = reader->record_size;
	return reader->window.dropped + reader->record_start;
}
