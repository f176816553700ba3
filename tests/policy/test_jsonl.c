#include "policy/table/jsonl.h"

#include "crypto/base/fault.h"
#include "policy/table/json_scan.h"
#include "policy/table/window.h"

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

static int open_text(struct pieces *source, const struct jsonl_options *options, JsonlReader **ret_reader) {
	struct table_source below = {.read = pieces_take, .ctx = source};
	return jsonl_open(&below, options, ret_reader);
}

/* Reads it all into "a|b|c\n…" with the keys first, NULL as "~". */
static int read_all(struct pieces source, const struct jsonl_options *options, char **ret_text) {
	_cleanup_(jsonl_closep) JsonlReader *reader = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t size;
	int rc = open_text(&source, options, &reader);
	if (rc < 0)
		return rc;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	const struct table_cell *cells = jsonl_header_of(reader);
	do {
		for (size_t i = 0; i < jsonl_columns(reader); i++)
			fprintf(out, "%s%.*s", i ? "|" : "", cells[i].data ? (int)cells[i].size : 1,
			        cells[i].data ? cells[i].data : "~");
		fputc('\n', out);
		rc = jsonl_next(reader, &cells);
	} while (rc == 1);
	fclose(out);
	*ret_text = steal_pointer(&text);
	return rc;
}

static void assert_reads(const char *text, const char *expected) {
	for (size_t step = 0; step < 4; step++) {
		_cleanup_(freep) char *got = NULL;
		int rc = read_all((struct pieces){.data = text, .size = strlen(text), .step = step}, NULL, &got);
		if (rc != 0)
			fail_msg("%s: %s", text, fault_message());
		assert_string_equal(got, expected);
	}
}

static void assert_fails_with(const char *text, const struct jsonl_options *options, int errnum, const char *words) {
	for (size_t step = 0; step < 3; step++) {
		_cleanup_(freep) char *got = NULL;
		int rc = read_all((struct pieces){.data = text, .size = strlen(text), .step = step}, options, &got);
		if (rc == 0)
			fail_msg("%s is read as %s", text, got);
		assert_int_equal(rc, -errnum);
		if (!strstr(fault_message(), words))
			fail_msg("\"%s\" does not say \"%s\"", fault_message(), words);
	}
}

static void assert_fails(const char *text, int errnum, const char *words) {
	assert_fails_with(text, NULL, errnum, words);
}

static void keys_are_columns_in_the_order_they_appear(void **state) {
	(void)state;
	assert_reads("{\"b\":1,\"a\":2}\n{\"c\":3,\"a\":4}\n", "b|a|c\n1|2|~\n~|4|3\n");
	assert_reads("{\"\":1}\n", "\n1\n");
	assert_reads("{}\n{\"a\":1}\n", "a\n~\n1\n");
}

static void every_kind_of_value_has_its_text(void **state) {
	(void)state;
	assert_reads("{\"s\":\"x\",\"n\":-1.50e+3,\"t\":true,\"f\":false,\"z\":null,\"e\":\"\"}",
	        "s|n|t|f|z|e\nx|-1.50e+3|true|false|~|\n");
	assert_reads("{\"a\": [1, {\"b\" : \"]\"} ], \"o\": {\"k\":[ ]}, \"l\": 1}",
	        "a|o|l\n[1, {\"b\" : \"]\"} ]|{\"k\":[ ]}|1\n");
}

static void escapes_are_undone(void **state) {
	(void)state;
	assert_reads("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t|\"}", "a\n\"\\/\b\f\n\r\t|\n");
	assert_reads("{\"a\":\"B\\u00f6\\u20ac\\ud83d\\ude00.\"}", "a\nB\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80.\n");
	assert_reads("{\"\\u0061\":1}\n{\"a\":2}\n", "a\n1\n2\n");
}

static void blank_lines_bom_and_crlf_are_understood(void **state) {
	(void)state;
	assert_reads("\xef\xbb\xbf\r\n{\"a\":1}\r\n\n  \t\n{\"a\":2}\r\n\r\n", "a\n1\n2\n");
	struct pieces source = {.data = "\xef\xbb\xbf{\"a\":1}\r\n", .size = 12};
	_cleanup_(jsonl_closep) JsonlReader *reader = NULL;
	char words[64];
	assert_int_equal(open_text(&source, NULL, &reader), 0);
	jsonl_dialect_text(reader, words, sizeof words);
	assert_string_equal(words, "JSON Lines, CRLF, BOM");
}

static void what_is_no_object_is_named_with_its_line(void **state) {
	(void)state;
	assert_fails("{\"a\":1}\n[1]\n", EBADMSG, "line 2, byte 1: this is no JSON object");
	assert_fails("{\"a\":1}\n\n{\"a\":1\n}\n", EBADMSG, "line 3, byte 7: a comma or } is missing");
	assert_fails("{\"a\":1} {\"a\":2}\n", EBADMSG, "line 1, byte 9: text behind the object");
	assert_fails("{\"a\":1,}\n", EBADMSG, "line 1, byte 8: a key in quotes is missing");
	assert_fails("{\"a\" 1}\n", EBADMSG, "line 1, byte 6: a colon is missing");
	assert_fails("{a:1}\n", EBADMSG, "line 1, byte 2: a key in quotes is missing");
	assert_fails("{\"a\":\"x\n\"}\n", EBADMSG, "line 1, byte 8: the string is not closed");
	assert_fails("{\"a\":\"\t\"}\n", EBADMSG, "line 1, byte 7: a control character");
	assert_fails("{\"a\":[1,2}\n", EBADMSG, "line 1, byte 10: a comma or ] is missing");
	assert_fails("{\"a\":1,\"a\":2}\n", EBADMSG, "line 1: the key \"a\" stands twice");
	assert_fails("{\"a\":null,\"a\":null}\n", EBADMSG, "line 1: the key \"a\" stands twice");
}

static void what_is_no_value_is_named(void **state) {
	(void)state;
	static const char *const values[] = {"", "01", "+1", ".5", "1.", "1e", "1e+", "-", "tru", "True", "NaN", "nul",
	        "'x'", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\\u0000\"",
	        "[1 2]", "{\"a\"}"};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		char text[64];
		(void)snprintf(text, sizeof text, "{\"k\":1}\n{\"k\":%s}\n", values[i]);
		assert_fails(text, EBADMSG, "line 2, byte");
	}
}

static void what_is_not_text_is_named(void **state) {
	(void)state;
	assert_fails("{\"a\":1}\n{\"a\":\"\xe9\"}\n", EILSEQ, "line 2: byte 0xe9 is not UTF-8");
	assert_fails("{\"a\":\"\xed\xa0\x80\"}\n", EILSEQ, "line 1: byte 0xed");
}

static void nothing_is_an_empty_file(void **state) {
	(void)state;
	assert_fails("", ENODATA, "empty");
	assert_fails("\n \n\xef", EILSEQ, "line 3");
	assert_fails("\xef\xbb\xbf\n", ENODATA, "empty");
	assert_fails("{}\n{}\n", EBADMSG, "no columns");
}

static void limits_end_a_hostile_file(void **state) {
	(void)state;
	struct jsonl_options options = {.max_line_bytes = 20, .max_columns = 2};
	assert_fails_with(
	        "{\"a\":\"0123456789012345\"}\n", &options, EMSGSIZE, "line 1: the line is longer than 20 bytes");
	assert_fails_with("{\"a\":1}\n{\"b\":1,\"c\":1}\n", &options, EMSGSIZE, "line 2: more than 2 different keys");
	char deep[400] = "{\"a\":";
	memset(deep + 5, '[', 65);
	memset(deep + 70, ']', 65);
	memcpy(deep + 135, "}\n", 3);
	assert_fails(deep, EMSGSIZE, "line 1, byte 70: values are nested more than 64 deep");
	deep[69] = ' ';
	deep[70] = ' ';
	_cleanup_(freep) char *got = NULL;
	assert_int_equal(read_all((struct pieces){.data = deep, .size = strlen(deep)}, NULL, &got), 0);
}

static void many_keys_out_of_turn_are_found(void **state) {
	(void)state;
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	for (int row = 0; row < 2; row++) {
		for (int i = 0; i < 1000; i++)
			fprintf(out, "%s\"k%d\":%d", i ? "," : "{", row ? 999 - i : i, row ? 999 - i : i);
		fputs("}\n", out);
	}
	fclose(out);
	struct pieces source = {.data = text, .size = size};
	_cleanup_(jsonl_closep) JsonlReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(open_text(&source, NULL, &reader), 0);
	assert_int_equal(jsonl_columns(reader), 1000);
	for (int row = 0; row < 2; row++) {
		assert_int_equal(jsonl_next(reader, &cells), 1);
		for (int i = 0; i < 1000; i++)
			assert_int_equal(atoi(cells[i].data), i);
	}
}

static void a_line_longer_than_the_sample_has_all_its_keys(void **state) {
	(void)state;
	struct jsonl_options options = {.sample_bytes = 4};
	_cleanup_(freep) char *got = NULL;
	struct pieces source = {.data = "{\"abc\":1,\"d\":2}\n{\"e\":3,\"d\":4}\n", .size = 30, .step = 1};
	assert_int_equal(read_all(source, &options, &got), 0);
	assert_string_equal(got, "abc|d\n1|2\n~|4\n");
}

static void a_row_knows_its_line_and_its_bytes(void **state) {
	(void)state;
	static const char text[] = "\n{\"a\":\"\\u0041\"}\n\n{\"a\":2}";
	struct pieces source = {.data = text, .size = sizeof text - 1};
	_cleanup_(jsonl_closep) JsonlReader *reader = NULL;
	const struct table_cell *cells;
	size_t size;
	assert_int_equal(open_text(&source, NULL, &reader), 0);
	assert_int_equal(jsonl_line(reader), 2);
	assert_int_equal(jsonl_next(reader, &cells), 1);
	assert_int_equal(jsonl_line(reader), 2);
	assert_int_equal(jsonl_record(reader, &size), 1);
	assert_int_equal(size, 15);
	assert_int_equal(jsonl_next(reader, &cells), 1);
	assert_int_equal(jsonl_line(reader), 4);
	assert_int_equal(jsonl_record(reader, &size), 17);
	assert_int_equal(size, 7);
	assert_int_equal(jsonl_next(reader, &cells), 0);
}

static void an_error_stays(void **state) {
	(void)state;
	struct pieces source = {.data = "{\"a\":1}\nx\n{\"a\":2}\n", .size = 18};
	_cleanup_(jsonl_closep) JsonlReader *reader = NULL;
	const struct table_cell *cells;
	assert_int_equal(open_text(&source, NULL, &reader), 0);
	assert_int_equal(jsonl_next(reader, &cells), 1);
	assert_int_equal(jsonl_next(reader, &cells), -EBADMSG);
	assert_int_equal(jsonl_next(reader, &cells), -EBADMSG);
}

static void a_scan_says_where_it_stopped(void **state) {
	(void)state;
	static const char text[80] = " [1, \"x\\n\"] ,";
	struct json_scan scan = {.at = text, .end = text + strlen(text)};
	struct json_value value;
	assert_true(json_scan_value(&scan, 1, &value));
	assert_int_equal(value.kind, JSON_KIND_NESTED);
	assert_true(cell_equals(value.text, "[1, \"x\\n\"]", 10));
	assert_false(json_scan_ends(&scan));
	assert_true(json_scan_take(&scan, ','));
	assert_true(json_scan_ends(&scan));
	scan.at = text;
	assert_false(json_scan_value(&scan, 0, &value));
	assert_null(scan.wrong);
	assert_ptr_equal(scan.at, text + 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_are_columns_in_the_order_they_appear),
	        cmocka_unit_test(every_kind_of_value_has_its_text),
	        cmocka_unit_test(escapes_are_undone),
	        cmocka_unit_test(blank_lines_bom_and_crlf_are_understood),
	        cmocka_unit_test(what_is_no_object_is_named_with_its_line),
	        cmocka_unit_test(what_is_no_value_is_named),
	        cmocka_unit_test(what_is_not_text_is_named),
	        cmocka_unit_test(nothing_is_an_empty_file),
	        cmocka_unit_test(limits_end_a_hostile_file),
	        cmocka_unit_test(many_keys_out_of_turn_are_found),
	        cmocka_unit_test(a_line_longer_than_the_sample_has_all_its_keys),
	        cmocka_unit_test(a_row_knows_its_line_and_its_bytes),
	        cmocka_unit_test(an_error_stays),
	        cmocka_unit_test(a_scan_says_where_it_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
