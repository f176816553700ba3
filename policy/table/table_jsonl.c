/* table_jsonl: the JSON Lines reader as a table's format. */
#include "policy/table/table_format.h"

static int open_jsonl(const struct table_source *source, const struct table_options *options, void **ret_reader,
        struct table_shape *ret_shape) {
	JsonlReader *reader;
	int rc = jsonl_open(source, &options->jsonl, &reader);
	if (rc < 0)
		return rc;
	ret_shape->header = jsonl_header_of(reader);
	ret_shape->columns = jsonl_columns(reader);
	jsonl_dialect_text(reader, ret_shape->dialect, sizeof ret_shape->dialect);
	*ret_reader = reader;
	return 0;
}

static void close_jsonl(void *reader) {
	jsonl_close(reader);
}

static int next(void *reader, const struct table_cell **ret_cells) {
	return jsonl_next(reader, ret_cells);
}

static uint64_t line(const void *reader) {
	return jsonl_line(reader);
}

static struct table_place place(const void *reader) {
	struct table_place place;
	place.offset = jsonl_record(reader, &place.size);
	return place;
}

static const char *left_out(const void *reader) {
	return jsonl_warning(reader);
}

const struct table_format table_jsonl = {
        .open = open_jsonl, .close = close_jsonl, .next = next, .line = line, .place = place, .left_out = left_out};
