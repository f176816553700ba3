#include "policy/table/table.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/pieces.h"

/* Reads a table into "a|b\n1|2\n" with the header first, NULL cells as "~". */
static int read_all(const char *data, size_t size, size_t step, const struct table_options *options, char **ret_text) {
	struct pieces source = {.data = data, .size = size, .step = step};
	_cleanup_(table_closep) TableReader *reader = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t length;
	int rc = table_open(pieces_take, &source, options, &reader);
	if (rc < 0)
		return rc;
	FILE *out = open_memstream(&text, &length);
	assert_non_null(out);
	const struct table_cell *cells = table_header(reader);
	do {
		for (size_t i = 0; i < table_columns(reader); i++)
			fprintf(out, "%s%.*s", i ? "|" : "", cells[i].data ? (int)cells[i].size : 1,
			        cells[i].data ? cells[i].data : "~");
		fputc('\n', out);
		rc = table_next(reader, &cells);
	} while (rc == 1);
	fclose(out);
	*ret_text = steal_pointer(&text);
	return rc;
}

static void assert_reads(const char *data, size_t size, const struct table_options *options, const char *expected) {
	for (size_t step = 0; step < 4; step++) {
		_cleanup_(freep) char *got = NULL;
		if (read_all(data, size, step, options, &got) < 0)
			fail_msg("%s", fault_message());
		assert_string_equal(got, expected);
	}
}

static void assert_fails(
        const char *data, size_t size, const struct table_options *options, int errnum, const char *words) {
	_cleanup_(freep) char *got = NULL;
	assert_int_equal(read_all(data, size, 0, options, &got), -errnum);
	if (!strstr(fault_message(), words))
		fail_msg("\"%s\" does not say \"%s\"", fault_message(), words);
}

static void a_csv_is_read_with_lines_and_places(void **state) {
	(void)state;
	static const char text[] = "a,b\n1,2\n\n3,4\n";
	struct pieces source = {.data = text, .size = sizeof text - 1};
	_cleanup_(table_closep) TableReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(table_open(pieces_take, &source, NULL, &reader), 0);
	assert_int_equal(table_type_of(reader), TABLE_CSV);
	assert_int_equal(table_csv_dialect(reader)->delimiter, ',');
	assert_string_equal(table_dialect_text(reader), "delimiter ',', quote '\"', LF, header");
	assert_string_equal(table_advice(reader), "");
	assert_int_equal(table_next(reader, &cells), 1);
	assert_int_equal(table_next(reader, &cells), 1);
	assert_int_equal(table_line(reader), 4);
	struct table_place place = table_place(reader);
	assert_int_equal(place.offset, 9);
	assert_int_equal(place.size, 4);
	assert_int_equal(table_next(reader, &cells), 0);
	assert_reads(text, sizeof text - 1, NULL, "a|b\n1|2\n3|4\n");
}

static void what_is_not_read_is_named(void **state) {
	(void)state;
	struct table_options parquet = {.name = "a.PARQUET"}, csv = {.name = "a.parquet", .type = TABLE_CSV};
	assert_fails("PAR1xxxx", 8, NULL, ENOTSUP, "the file is Parquet");
	assert_fails("a,b\n", 4, &parquet, ENOTSUP, "the file is Parquet");
	assert_reads("a,b\n", 4, &csv, "a|b\n");
	assert_fails("PK\x03\x04....xl/workbook.xml", 23, NULL, ENOTSUP, "the file is xlsx");
	assert_fails("ORC\x11\x00\x00", 6, NULL, ENOTSUP, "the file is ORC");
	assert_fails("", 0, NULL, ENODATA, "the file has no bytes");
}

static void a_column_may_be_called_like_a_format(void **state) {
	(void)state;
	assert_reads("ORCID,b\n1,2\n", 12, NULL, "ORCID|b\n1|2\n");
}

static const char lines[] = "{\"a\":1,\"b\":\"x\"}\n{\"b\":null}\n";

static void json_lines_are_told_by_their_bytes_or_their_name(void **state) {
	(void)state;
	struct table_options named = {.name = "a.NDJSON"}, csv = {.type = TABLE_CSV}, json = {.name = "a.json"};
	assert_reads(lines, sizeof lines - 1, NULL, "a|b\n1|x\n~|~\n");
	assert_reads(lines, sizeof lines - 1, &json, "a|b\n1|x\n~|~\n");
	assert_reads("{x},b\n1,2\n", 10, NULL, "{x}|b\n1|2\n");
	assert_fails("a,b\n", 4, &named, EBADMSG, "line 1, byte 1: this is no JSON object");
	assert_fails("{\n\"a\":1}\n", 10, &json, ENOTSUP, "the file is JSON");
	assert_fails(lines, sizeof lines - 1, &csv, EBADMSG, "line 1: text after the closing quote");
}

static void keys_that_come_late_are_told_at_the_end(void **state) {
	(void)state;
	static const char text[] = "{\"a\":1}\n{\"b\":1}\n{\"c\":1}\n";
	struct pieces source = {.data = text, .size = sizeof text - 1};
	struct table_options options = {.jsonl.sample_bytes = 5};
	_cleanup_(table_closep) TableReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(table_open(pieces_take, &source, &options, &reader), 0);
	assert_null(table_warning(reader, 0));
	while (table_next(reader, &cells) == 1)
		;
	assert_non_null(strstr(table_warning(reader, 0), "line 2: the key \"b\" is in none of the first lines"));
	assert_null(table_warning(reader, 1));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_csv_is_read_with_lines_and_places),
	        cmocka_unit_test(what_is_not_read_is_named),
	        cmocka_unit_test(json_lines_are_told_by_their_bytes_or_their_name),
	        cmocka_unit_test(keys_that_come_late_are_told_at_the_end),
	        cmocka_unit_test(a_column_may_be_called_like_a_format),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
