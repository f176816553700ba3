#include "policy/table/spans.h"

#include "policy/table/rows.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* With room behind, as readers have it. */
static struct bytes raw_of(const char *text, char room[static 512]) {
	memset(room, 'z', 512);
	memcpy(room, text, strlen(text));
	return bytes_of(room, strlen(text));
}

static void expect_spans(const struct spans *spans, struct bytes raw, const char *expected) {
	char said[512] = "";
	size_t used = 0;
	for (size_t i = 0; i < spans->count; i++) {
		const struct span *span = &spans->list[i];
		used += (size_t)snprintf(said + used, sizeof said - used, "%d:%.*s<%.*s>", (int)span->column,
		        (int)(span->whole_to - span->whole_from), (const char *)raw.data + span->whole_from,
		        (int)(span->to - span->from), (const char *)raw.data + span->from);
	}
	assert_string_equal(said, expected);
}

static void cells_of_a_csv_are_found(void **state) {
	(void)state;
	static const struct {
		const char *raw, *expected;
		size_t columns;
		char escape;
	} cases[] = {{"a;b;c\n", "0:a<a>1:b<b>2:c<c>", 3, 0}, {";;\r\n", "0:<>1:<>2:<>", 3, 0},
	        {"\"a;b\";\"\";x", "0:\"a;b\"<a;b>1:\"\"<>2:x<x>", 3, 0},
	        {"\"a\"\"\";\"\n\"\n", "0:\"a\"\"\"<a\"\">1:\"\n\"<\n>", 2, 0},
	        {"a\"b;c\n", "0:a\"b<a\"b>1:c<c>", 2, 0}, {"\"a\\\";b\";c\n", "0:\"a\\\";b\"<a\\\";b>1:c<c>", 2, '\\'},
	        {"only\n", "0:only<only>", 1, 0}};
	struct spans spans = {0};
	char room[512];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct csv_dialect dialect = {.delimiter = ';', .quote = '"', .escape = cases[i].escape};
		struct bytes raw = raw_of(cases[i].raw, room);
		assert_int_equal(spans_of_csv(&spans, &dialect, raw, cases[i].columns), 0);
		expect_spans(&spans, raw, cases[i].expected);
	}
	static const char *const wrong[] = {"a;b\n", "a;b;c;d\n", "\"a;b;c\n", "\"a\"x;b;c\n", ""};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		const struct csv_dialect dialect = {.delimiter = ';', .quote = '"'};
		assert_int_equal(spans_of_csv(&spans, &dialect, raw_of(wrong[i], room), 3), -EBADMSG);
	}
	spans_release(&spans);
}

static void values_of_json_are_found(void **state) {
	(void)state;
	static const struct table_cell names[] = {{"a", 1}, {"b\"", 2}};
	struct spans spans = {0};
	char room[512];
	struct bytes raw = raw_of(" {\"b\\u0022\": [1, \"}\"], \"c\":null , \"a\" : \"x\\\"\"}\r\n", room);
	assert_int_equal(spans_of_json(&spans, raw, names, 2), 0);
	expect_spans(
	        &spans, raw, "1:\"b\\u0022\": [1, \"}\"]<[1, \"}\"]>-1:\"c\":null<null>0:\"a\" : \"x\\\"\"<x\\\">");
	assert_int_equal(spans.list[0].kind, SPAN_NESTED);
	assert_int_equal(spans.list[1].kind, SPAN_VALUE);
	assert_int_equal(spans.list[2].kind, SPAN_STRING);
	raw = raw_of("{}\n", room);
	assert_int_equal(spans_of_json(&spans, raw, names, 2), 0);
	assert_int_equal(spans.count, 0);
	static const char *const wrong[] = {"", "[]", "{\"a\"}", "{\"a\":}", "{\"a\":1", "{\"a\":1,}"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(spans_of_json(&spans, raw_of(wrong[i], room), names, 2), -EBADMSG);
	spans_release(&spans);
}

static void parts_of_a_cell_are_found_where_they_are_written(void **state) {
	(void)state;
	static const struct csv_dialect dialect = {.delimiter = ';', .quote = '"'};
	static const struct {
		enum span_kind kind;
		const char *written, *cell, *part, *expected;
	} cases[] = {{SPAN_PLAIN, "x bob y", "x bob y", "bob", "bob"},
	        {SPAN_QUOTED, "x \"\"bob\"\" y", "x \"bob\" y", "\"bob\"", "\"\"bob\"\""},
	        {SPAN_STRING, "\\u00e9 b\\u006fb\\n", "é bob\n", "bob", "b\\u006fb"},
	        {SPAN_STRING, "\\ud83d\\ude00bob", "😀bob", "bob", "bob"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t size = strlen(cases[i].written), from, to;
		const struct span span = {.kind = cases[i].kind, .to = size};
		struct table_cell cell = {.data = cases[i].cell, .size = strlen(cases[i].cell)};
		size_t at = (size_t)(strstr(cases[i].cell, cases[i].part) - cases[i].cell);
		struct bytes raw = bytes_of(cases[i].written, size);
		struct span_walk walk = {0};
		assert_int_equal(
		        spans_place(&span, &dialect, raw, cell, at, at + strlen(cases[i].part), &walk, &from, &to), 0);
		assert_int_equal(to - from, strlen(cases[i].expected));
		assert_memory_equal(cases[i].written + from, cases[i].expected, to - from);
		walk = (struct span_walk){0};
		cell.size = 0; /* which is another cell than what is written */
		assert_int_equal(spans_place(&span, &dialect, raw, cell, 0, 1, &walk, &from, &to), -EBADMSG);
	}
	const struct span span = {.kind = SPAN_PLAIN, .to = 3};
	size_t from, to;
	assert_int_equal(spans_place(&span, &dialect, bytes_of("abc", 3), (struct table_cell){"abd", 3}, 0, 3,
	                         &(struct span_walk){0}, &from, &to),
	        -EBADMSG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(cells_of_a_csv_are_found),
	        cmocka_unit_test(values_of_json_are_found),
	        cmocka_unit_test(parts_of_a_cell_are_found_where_they_are_written),
	};
	return cmocka_run_group_tests_name("spans", tests, NULL, NULL);
}
