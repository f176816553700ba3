#include "policy/table/encoding.h"

#include "crypto/base/fault.h"
#include "policy/table/table.h"
#include "policy/table/utf8.h"

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

/* Decodes all, `step` bytes in and out at a time; 0 or the error. */
static int decode(const char *data, size_t size, size_t step, char *ret_text, enum encoding *ret_encoding) {
	struct pieces source = {.data = data, .size = size, .step = step};
	struct table_source below = {.read = pieces_take, .ctx = &source};
	_cleanup_(decoder_freep) Decoder *decoder = NULL;
	assert_int_equal(decoder_new(encoding_of(bytes_of(data, size)), &below, &decoder), 0);
	struct table_source text = decoder_source(decoder);
	size_t made = 0;
	int got;
	while ((got = source_take(&text, ret_text + made, step ? step : 100)) > 0)
		made += (size_t)got;
	ret_text[made] = '\0';
	if (ret_encoding)
		*ret_encoding = decoder_encoding(decoder);
	return got;
}

static void assert_decodes(const char *data, size_t size, enum encoding encoding, const char *expected) {
	for (size_t step = 0; step < 6; step++) {
		char text[1000];
		enum encoding found;
		if (decode(data, size, step, text, &found) < 0)
			fail_msg("%s", fault_message());
		assert_string_equal(text, expected);
		assert_string_equal(encoding_word(found), encoding_word(encoding));
	}
}

#define TEXT(literal) literal, sizeof literal - 1

static void utf16_is_told_by_its_mark(void **state) {
	(void)state;
	assert_decodes(TEXT("\xff\xfe"
	                    "a\0\xe9\0\xac\x20\x3d\xd8\0\xde"),
	        ENCODING_UTF16LE,
	        "\xef\xbb\xbf"
	        "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_decodes(TEXT("\xfe\xff\0a\0\xe9\x20\xac\xd8\x3d\xde\0"), ENCODING_UTF16BE,
	        "\xef\xbb\xbf"
	        "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

static void utf16_is_told_by_its_zeros(void **state) {
	(void)state;
	assert_decodes(TEXT("a\0,\0b\0\n\0\x16\x04,\0"), ENCODING_UTF16LE, "a,b\n\xd0\x96,");
	assert_decodes(TEXT("\0a\0,\0b\0\n\x04\x16\0,"), ENCODING_UTF16BE, "a,b\n\xd0\x96,");
	assert_int_equal(encoding_of(bytes_of("a,b\n\0,1\n", 8)), ENCODING_ASCII);
	assert_int_equal(encoding_of(bytes_of("a", 1)), ENCODING_ASCII);
}

static void windows_1252_is_told_by_bytes_that_are_no_utf8(void **state) {
	(void)state;
	assert_decodes(TEXT("a,b\ncaf\xe9,\x80\x93x\x94\n"), ENCODING_WINDOWS_1252,
	        "a,b\ncaf\xc3\xa9,\xe2\x82\xac\xe2\x80\x9cx\xe2\x80\x9d\n");
	assert_decodes(TEXT("\xff"), ENCODING_WINDOWS_1252, "\xc3\xbf");
}

static void what_is_utf8_or_might_be_stays_as_it_is(void **state) {
	(void)state;
	assert_decodes(TEXT("a,b\n"), ENCODING_ASCII, "a,b\n");
	assert_decodes(TEXT("caf\xc3\xa9\n"), ENCODING_UTF8, "caf\xc3\xa9\n");
	/* damaged UTF-8 is not windows-1252: whoever reads it complains */
	assert_decodes(TEXT("caf\xc3\xa9 caf\xe9\n"), ENCODING_UTF8, "caf\xc3\xa9 caf\xe9\n");
	assert_decodes(TEXT("caf\xe9 \x81\n"), ENCODING_UTF8, "caf\xe9 \x81\n");
}

/* The same answer, wherever the first letter comes and however the bytes come. */
static void a_letter_that_comes_late_is_seen(void **state) {
	(void)state;
	size_t size = 200000;
	_cleanup_(freep) char *data = malloc(size), *text = malloc(2 * size);
	static const size_t places[] = {65535, 65536, 131071, 131072, 199998};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		memset(data, 'x', size);
		data[places[i]] = (char)0xe9;
		data[size - 1] = (char)0xe9;
		for (size_t step = 0; step < 40000; step += 13331) {
			enum encoding found;
			assert_int_equal(decode(data, size, step, text, &found), 0);
			assert_int_equal(found, ENCODING_WINDOWS_1252);
			assert_int_equal(strlen(text), size + 2);
			assert_memory_equal(text + places[i], "\xc3\xa9", 2);
		}
	}
}

static void a_byte_that_stands_for_nothing_is_named_later_on(void **state) {
	(void)state;
	size_t size = 100000;
	_cleanup_(freep) char *data = malloc(size), *text = malloc(2 * size);
	memset(data, 'x', size);
	data[0] = (char)0xe9;
	data[size - 1] = (char)0x81;
	assert_int_equal(decode(data, size, 0, text, NULL), -EILSEQ);
	assert_non_null(strstr(fault_message(), "a byte that stands for nothing, so this is not windows-1252"));
}

static void half_a_character_is_named(void **state) {
	(void)state;
	char text[100];
	assert_int_equal(decode(TEXT("\xff\xfe"
	                             "a\0b"),
	                         0, text, NULL),
	        -EILSEQ);
	assert_non_null(strstr(fault_message(), "half a character stands at the end"));
	assert_string_equal(text, "\xef\xbb\xbf"
	                          "a");
	assert_int_equal(decode(TEXT("\xff\xfe\x3d\xd8"
	                             "a\0"),
	                         0, text, NULL),
	        -EILSEQ);
	assert_int_equal(decode(TEXT("\xff\xfe\0\xde"), 0, text, NULL), -EILSEQ);
	assert_int_equal(decode(TEXT("\xff\xfe\x3d\xd8"), 0, text, NULL), -EILSEQ);
}

/* Reads a table; its dialect or error, and its last cell. */
static int read_table(
        const char *data, size_t size, const char *name, char ret_words[static 200], char ret_last[static 50]) {
	struct pieces source = {.data = data, .size = size, .step = 5};
	struct table_options options = {.name = name};
	_cleanup_(table_closep) TableReader *reader = NULL;
	const struct table_cell *cells;
	int rc = table_open(pieces_take, &source, &options, &reader);
	while (rc >= 0 && (rc = table_next(reader, &cells)) == 1) {
		struct table_cell last = cells[table_columns(reader) - 1];
		(void)snprintf(ret_last, 50, "%.*s", (int)last.size, last.data);
	}
	(void)snprintf(ret_words, 200, "%s", rc < 0 ? fault_message() : table_dialect_text(reader));
	if (rc >= 0 && strstr(ret_words, "delimiter") != ret_words) {
		assert_non_null(strstr(table_warning(reader, 0), "converted to UTF-8"));
		assert_false(table_is_plain(reader));
	}
	return rc;
}

static void tables_in_other_encodings_are_read_with_a_warning(void **state) {
	(void)state;
	char words[200], last[50];
	assert_int_equal(read_table(TEXT("a;b\n1;caf\xe9\n"), "a.csv", words, last), 0);
	assert_string_equal(words, "windows-1252, delimiter ';', quote '\"', LF, header");
	assert_string_equal(last, "caf\xc3\xa9");
	assert_int_equal(read_table(TEXT("\xff\xfe"
	                                 "a\0;\0b\0\n\0"
	                                 "1\0;\0\xe9\0\n\0"),
	                         "a.csv", words, last),
	        0);
	assert_string_equal(words, "UTF-16LE, delimiter ';', quote '\"', LF, header, BOM");
	assert_string_equal(last, "\xc3\xa9");
	assert_int_equal(read_table(TEXT("a;b\n1;caf\xc3\xa9\n"), "a.csv", words, last), 0);
	assert_string_equal(words, "delimiter ';', quote '\"', LF, header");
}

static void errors_name_the_line(void **state) {
	(void)state;
	char words[200], last[50];
	assert_int_equal(read_table(TEXT("a;b\n1;caf\xc3\xa9\n2;caf\xe9\n"), "a.csv", words, last), -EILSEQ);
	assert_non_null(strstr(words, "line 3: byte 0xe9 is not UTF-8"));
	assert_int_equal(read_table(TEXT("{\"a\":1}\n{\"a\":\"\xe9\"}\n"), "a.jsonl", words, last), -EILSEQ);
	assert_non_null(strstr(words, "line 2: byte 0xe9 is not UTF-8"));
	size_t size = 200000;
	_cleanup_(freep) char *data = malloc(size);
	for (size_t i = 0; i < size; i += 4)
		memcpy(data + i, "x;y\n", 4);
	data[4] = (char)0xe9;
	data[190004] = (char)0x81;
	assert_int_equal(read_table(data, size, "a.csv", words, last), -EILSEQ);
	assert_non_null(strstr(words, "line 47502: a byte that stands for nothing"));
}

static void a_code_point_is_written_as_it_is_read(void **state) {
	(void)state;
	static const uint32_t codes[] = {1, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		char text[4];
		size_t size = utf8_put(text, codes[i]);
		assert_int_equal(utf8_valid_prefix(text, size), size);
		assert_int_equal(utf8_length(text, size), 1);
		assert_int_equal(utf8_cut(text, size, size - 1), 0);
	}
	assert_int_equal(ascii_prefix("abc\xc3\xa9", 5), 3);
	assert_int_equal(ascii_prefix("0123456789012345678901234567890123456789\x80", 41), 40);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(utf16_is_told_by_its_mark),
	        cmocka_unit_test(utf16_is_told_by_its_zeros),
	        cmocka_unit_test(windows_1252_is_told_by_bytes_that_are_no_utf8),
	        cmocka_unit_test(what_is_utf8_or_might_be_stays_as_it_is),
	        cmocka_unit_test(a_letter_that_comes_late_is_seen),
	        cmocka_unit_test(a_byte_that_stands_for_nothing_is_named_later_on),
	        cmocka_unit_test(half_a_character_is_named),
	        cmocka_unit_test(tables_in_other_encodings_are_read_with_a_warning),
	        cmocka_unit_test(errors_name_the_line),
	        cmocka_unit_test(a_code_point_is_written_as_it_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
