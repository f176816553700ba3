#include "policy/privacy/shadow.h"

#include "crypto/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A table of one column: a cell is a line. */
enum { CELLS_MOST = 4, TEXT_MOST = 256 };

struct lines {
	char text[TEXT_MOST + ROWS_SLACK];
	struct table_cell cells[CELLS_MOST];
	uint64_t numbers[CELLS_MOST];
	struct table_rows rows;
};

static const struct table_rows *lines_of(struct lines *lines, const char *text) {
	size_t size = strlen(text), count = 0;
	*lines = (struct lines){0};
	memcpy(lines->text, text, size);
	for (size_t at = 0; at < size; count++) {
		size_t length = strcspn(text + at, "\n");
		lines->cells[count] = (struct table_cell){.data = lines->text + at, .size = length};
		lines->numbers[count] = 10 + count;
		at += length + 1;
	}
	lines->rows = (struct table_rows){.count = count,
	        .columns = 1,
	        .cells = lines->cells,
	        .lines = lines->numbers,
	        .text = lines->text,
	        .size = size};
	return &lines->rows;
}

static bool is_email(const void *context, const char *word, size_t size) {
	(void)context;
	return size == 5 && memcmp(word, "EMAIL", 5) == 0;
}

/* Both the text and the cell that lies in it. */
static void expect(const char *text, bool is_treated, const char *expected, uint64_t unclear_line) {
	struct shadow shadow = {0};
	struct lines lines;
	const struct table_rows *rows = lines_of(&lines, text), *seen = NULL;
	assert_int_equal(shadow_of(&shadow, rows, is_treated ? is_email : NULL, NULL, &seen), 0);
	assert_int_equal(seen->size, strlen(expected));
	assert_memory_equal(seen->text, expected, seen->size);
	for (size_t i = 0; i < rows->count; i++) {
		assert_int_equal(seen->cells[i].size, rows->cells[i].size);
		assert_ptr_equal(seen->cells[i].data, seen->text + (rows->cells[i].data - rows->text));
		assert_int_equal(seen->lines[i], rows->lines[i]);
	}
	assert_int_equal(shadow.unclear_line, unclear_line);
	/* nothing is written into what others look at, too */
	assert_memory_equal(rows->text, text, rows->size);
	shadow_release(&shadow);
}

static void escapes_of_json_are_blank(void **state) {
	(void)state;
	expect("{\"m\":\"a\\n604\\t5\\\"x\\\\y\\/\"}", false, "{\"m\":\"a  604  5  x  y  \"}", 0);
	expect("{\"m\":\"\\u00e9\\u000a1\"}", false, "{\"m\":\"            1\"}", 0);
	/* not of JSON: a path of Windows, and what is no escape */
	expect("C:\\new\\tab", false, "C:\\new\\tab", 0);
	expect("\"\\q\\u12\"", false, "\"\\q\\u12\"", 0);
	expect("\"a\\", false, "\"a\\", 0);
	expect("\"a\\\\", false, "\"a  ", 0);
}

static void an_escape_of_a_plain_character_is_told_with_its_line(void **state) {
	(void)state;
	expect("plain\n\"bob\\u0040example.com\"", false, "plain\n\"bob      example.com\"", 11);
	expect("\"\\u0034\"\n\"\\u0041\"", false, "\"      \"\n\"      \"", 10);
	/* by its backslash it is none */
	expect("\"\\\\u0040\"", false, "\"  u0040\"", 0);
	expect("bob\\u0040example.com", false, "bob\\u0040example.com", 0);
}

static void words_that_treating_writes_are_blank(void **state) {
	(void)state;
	expect("[EMAIL] 12 [OTHER] [EMAIL", true, "        12 [OTHER] [EMAIL", 0);
	expect("[[EMAIL]]", true, "[       ]", 0);
	expect("[EMAIL]", false, "[EMAIL]", 0);
}

static void what_has_nothing_to_blank_is_not_copied(void **state) {
	(void)state;
	struct shadow shadow = {0};
	struct lines lines;
	const struct table_rows *rows = lines_of(&lines, "a\nb"), *seen = NULL;
	assert_int_equal(shadow_of(&shadow, rows, is_email, NULL, &seen), 0);
	assert_ptr_equal(seen, rows);
	assert_null(shadow.text);
	lines.rows.count = 0;
	lines.rows.size = 0;
	assert_int_equal(shadow_of(&shadow, rows, is_email, NULL, &seen), 0);
	assert_ptr_equal(seen, rows);
	shadow_release(&shadow);
}

static void rooms_grow(void **state) {
	(void)state;
	struct shadow shadow = {0};
	struct lines lines;
	const struct table_rows *seen = NULL;
	assert_int_equal(shadow_of(&shadow, lines_of(&lines, "\"\\n\""), NULL, NULL, &seen), 0);
	assert_memory_equal(seen->text, "\"  \"", 4);
	assert_int_equal(shadow_of(&shadow, lines_of(&lines, "a\nb\n\"\\n1234567890\""), NULL, NULL, &seen), 0);
	assert_memory_equal(seen->text, "a\nb\n\"  1234567890\"", seen->size);
	shadow_release(&shadow);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(escapes_of_json_are_blank),
	        cmocka_unit_test(an_escape_of_a_plain_character_is_told_with_its_line),
	        cmocka_unit_test(words_that_treating_writes_are_blank),
	        cmocka_unit_test(what_has_nothing_to_blank_is_not_copied),
	        cmocka_unit_test(rooms_grow),
	};
	return cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
}
