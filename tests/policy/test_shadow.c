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

/* Both the text and the cell that lies in it; `undone` are the cells with escapes within words, a line each; NULL:
 * none. */
static void expect(const char *text, bool is_treated, const char *expected, const char *undone) {
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
	assert_int_equal(shadow.has_undone, undone != NULL);
	if (undone) {
		assert_int_equal(shadow.undone.size, strlen(undone));
		assert_memory_equal(shadow.undone.text, undone, shadow.undone.size);
		assert_int_equal(shadow.undone.count, rows->count);
	}
	for (size_t i = 0; i < rows->count && undone; i++)
		assert_int_equal(shadow.blanked.cells[i].data != NULL, shadow.undone.cells[i].data != NULL);
	/* nothing is written into what others look at, too */
	assert_memory_equal(rows->text, text, rows->size);
	shadow_release(&shadow);
}

static void escapes_of_json_are_blank(void **state) {
	(void)state;
	expect("{\"m\":\"a\\n604\\t5\\\"x\"}", false, "{\"m\":\"a  604  5  x\"}", NULL);
	expect("{\"m\":\"\\u0022\\u000a1\"}", false, "{\"m\":\"            1\"}", NULL);
	/* not of JSON: a path of Windows, and what is no escape */
	expect("C:\\new\\tab", false, "C:\\new\\tab", NULL);
	expect("\"\\q\\u12\"", false, "\"\\q\\u12\"", NULL);
	expect("\"a\\", false, "\"a\\", NULL);
}

static void escapes_within_words_are_undone_beside(void **state) {
	(void)state;
	expect("plain\n\"bob\\u0040example.com\"", false, "plain\n\"bob      example.com\"", "\"bob@example.com\"\n");
	expect("\"\\u0034\"\n\"c\\u00f4t\\u00e9 \\u20ac\"", false, "\"      \"\n\"c      t             \"",
	        "\"4\"\n\"côté €\"\n");
	expect("\"12\\/05\\/1980\"", false, "\"12  05  1980\"", "\"12/05/1980\"\n");
	expect("\"4111\\u00201111\"", false, "\"4111      1111\"", "\"4111 1111\"\n");
	/* half of a character, and a string in a string */
	expect("\"\\ud83d\\ude00\"", false, "\"            \"", "\"?\?\"\n");
	expect("\"{\\\"m\\\":\\\"a\\\\u0040b\\\"}\"", false, "\"{  m  :  a  u0040b  }\"", "\"{\"m\":\"a@b\"}\"\n");
	expect("\"a\\\\", false, "\"a  ", "\"a\\\n");
	expect("bob\\u0040example.com", false, "bob\\u0040example.com", NULL);
}

static void words_that_treating_writes_are_blank(void **state) {
	(void)state;
	expect("[EMAIL] 12 [OTHER] [EMAIL", true, "        12 [OTHER] [EMAIL", NULL);
	expect("[[EMAIL]]", true, "[       ]", NULL);
	expect("[EMAIL]", false, "[EMAIL]", NULL);
	expect("[EMAIL] \"\\u00e9\"", true, "        \"      \"", "        \"é\"\n");
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
	        cmocka_unit_test(escapes_within_words_are_undone_beside),
	        cmocka_unit_test(words_that_treating_writes_are_blank),
	        cmocka_unit_test(what_has_nothing_to_blank_is_not_copied),
	        cmocka_unit_test(rooms_grow),
	};
	return cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
}
