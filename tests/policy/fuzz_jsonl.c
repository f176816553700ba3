/*
 * Any bytes as JSON Lines, in small steps, and each line held against jansson: what one reads the other reads, as the
 * same values. Where they may differ: numbers too large for jansson, NUL bytes, that it passes over between values, and
 * our own limits.
 */
#include "policy/table/jsonl.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/policy/pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The cell as JSON reads it. */
static json_t *value_of(struct table_cell cell, const json_t *like) {
	if (!cell.data)
		return json_null();
	if (json_is_string(like))
		return json_stringn(cell.data, cell.size);
	return json_loadb(cell.data, cell.size, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
}

static void compare(const JsonlReader *reader, const struct table_cell *cells, json_t *object) {
	for (size_t i = 0; i < jsonl_columns(reader); i++) {
		struct table_cell name = jsonl_header_of(reader)[i];
		json_t *expected = json_object_getn(object, name.data, name.size);
		json_t *got = value_of(cells[i], expected);
		if (expected ? !json_equal(expected, got) : cells[i].data != NULL)
			abort();
		json_decref(got);
	}
}

/* One line that the reader has read as `cells` (NULL: that it refused with `error`). */
static void hold_against(
        const char *line, size_t size, const JsonlReader *reader, const struct table_cell *cells, int error) {
	json_error_t why;
	json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
	enum json_error_code code = object ? json_error_unknown : json_error_code(&why);
	if (cells && !object && code == json_error_duplicate_key) /* in a nested object, which is only text here */
		object = json_loadb(line, size, JSON_DECODE_INT_AS_REAL, &why);
	else if (cells && !object && code != json_error_numeric_overflow)
		abort();
	if (!cells && json_is_object(object) && error != -EMSGSIZE && !memchr(line, 0, size))
		abort();
	if (cells && object)
		compare(reader, cells, object);
	json_decref(object);
}

static void read_lines(const uint8_t *data, size_t size, size_t step) {
	struct pieces source = {.data = data, .size = size, .step = step};
	struct table_source below = {.read = pieces_take, .ctx = &source};
	struct jsonl_options options = {.max_line_bytes = 3000, .max_columns = 50, .sample_bytes = 1000};
	_cleanup_(jsonl_closep) JsonlReader *reader = NULL;
	const struct table_cell *cells;
	if (jsonl_open(&below, &options, &reader) < 0)
		return;
	volatile size_t sum = 0;
	while (jsonl_next(reader, &cells) == 1) {
		size_t length;
		uint64_t at = jsonl_record(reader, &length);
		for (size_t i = 0; i < jsonl_columns(reader); i++)
			for (size_t j = 0; j < cells[i].size; j++)
				sum += (size_t)cells[i].data[j];
		if (at + length > size)
			abort();
	}
	(void)sum;
	(void)jsonl_looks_like(bytes_of(data, 0), true);
}

/* The first line alone. A key-less object has no columns and is left out. */
static void compare_line(const uint8_t *data, size_t size) {
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size = newline ? (size_t)(newline - data) : size;
	struct pieces source = {.data = data, .size = size, .step = size + 1};
	struct table_source below = {.read = pieces_take, .ctx = &source};
	_cleanup_(jsonl_closep) JsonlReader *reader = NULL;
	const struct table_cell *cells = NULL;
	if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		return;
	int rc = jsonl_open(&below, NULL, &reader);
	if (rc == 0)
		rc = jsonl_next(reader, &cells);
	json_t *object = json_loadb((const char *)data, size, 0, NULL);
	bool is_empty = json_is_object(object) && json_object_size(object) == 0;
	json_decref(object);
	if (!is_empty)
		hold_against((const char *)data, size, reader, rc == 1 ? cells : NULL, rc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size < 1)
		return 0;
	read_lines(data + 1, size - 1, (size_t)data[0] + 1);
	compare_line(data + 1, size - 1);
	return 0;
}
