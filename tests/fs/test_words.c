#include "tests/fs/unit.h"

#include "fs/words.h"

#include <locale.h>

static void assert_safe(const char *text, const char *expected) {
	char *safe = words_safe(text);
	assert_string_equal(safe, expected);
	free(safe);
}

static void names_cannot_move_the_cursor_or_add_lines(void **state) {
	(void)state;
	assert_safe("Landing/żółw 🐢.csv", "Landing/żółw 🐢.csv");
	assert_safe("a\033[2Jb", "a\\x1b[2Jb");
	assert_safe("a\nassayfs why: passed", "a\\nassayfs why: passed");
	assert_safe("tab\there\r\x7f", "tab\\there\\x0d\\x7f");
	assert_safe("a\\nb", "a\\\\nb");
}

static void bytes_that_are_not_utf8_are_shown_by_number(void **state) {
	(void)state;
	assert_safe("\xff\xfe", "\\xff\\xfe");
	assert_safe("\xc0\xaf", "\\xc0\\xaf");
	assert_safe("\xed\xa0\x80", "\\xed\\xa0\\x80");
	assert_safe("\xe2\x82", "\\xe2\\x82");
	assert_safe("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	assert_safe("\xc2\x9b"
	            "31m",
	        "\\xc2\\x9b31m");
	assert_safe("\xe2\x80\xae"
	            "fdp.exe",
	        "\\xe2\\x80\\xae"
	        "fdp.exe");
	assert_true(words_is_utf8("żółw"));
	assert_false(words_is_utf8("a\xc3"));
}

static void assert_shell(const char *text, const char *expected) {
	char *quoted = words_shell(text);
	assert_string_equal(quoted, expected);
	free(quoted);
}

static void a_path_is_quoted_for_a_shell_where_it_needs_it(void **state) {
	(void)state;
	assert_shell("/mnt/Landing/a-1_b.csv", "/mnt/Landing/a-1_b.csv");
	assert_shell("/mnt/żółw.csv", "/mnt/żółw.csv");
	assert_shell("/mnt/two words.csv", "'/mnt/two words.csv'");
	assert_shell("a;rm -rf $HOME`id`", "'a;rm -rf $HOME`id`'");
	assert_shell("it's", "'it'\\''s'");
	assert_shell("~/a", "'~/a'");
	assert_shell("back\\slash", "'back\\slash'");
	assert_shell("", "''");
	assert_shell("a\n'\\\xff", "$'a\\n\\x27\\\\\\xff'");
}

static void a_line_of_safe_words_keeps_its_backslashes(void **state) {
	(void)state;
	char *line = words_line("a\\x1b and \033[2J");
	assert_string_equal(line, "a\\x1b and \\x1b[2J");
	free(line);
}

static void sizes_have_two_digits_and_a_unit(void **state) {
	(void)state;
	char words[WORDS_BYTES];
	assert_string_equal(words_size(0, words), "0 B");
	assert_string_equal(words_size(1023, words), "1023 B");
	assert_string_equal(words_size(1024, words), "1.0 KiB");
	assert_string_equal(words_size(1536, words), "1.5 KiB");
	assert_string_equal(words_size(UINT64_C(1048575), words), "1.0 MiB");
	assert_string_equal(words_size(UINT64_C(24117248), words), "23 MiB");
	assert_string_equal(words_size(UINT64_MAX, words), "16 EiB");
}

static void durations_have_one_unit(void **state) {
	(void)state;
	char words[WORDS_BYTES];
	assert_string_equal(words_duration(-5, words), "0 s");
	assert_string_equal(words_duration(INT64_C(119000000000), words), "119 s");
	assert_string_equal(words_duration(INT64_C(3600) * 5 * 1000000000, words), "5 h");
	assert_string_equal(words_duration(INT64_C(86400) * 9 * 1000000000, words), "9 days");
}

static char *print_to_string(const Table *table) {
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(table_print(table, out), 0);
	fclose(out);
	return text;
}

static void columns_are_aligned_by_width_not_bytes(void **state) {
	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	Table *table = table_new("Name|>Size|Last");
	table_cell(table, "żółw");
	table_cellf(table, "%d", 7);
	table_cell(table, NULL);
	table_cell(table, "a");
	table_cell(table, "1234567");
	table_cell(table, "x\ny");
	assert_int_equal(table_rows(table), 2);
	char *text = print_to_string(table);
	assert_string_equal(text, "Name     Size  Last\n"
	                          "żółw        7\n"
	                          "a     1234567  x\\ny\n");
	free(text);
	table_free(table);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_cannot_move_the_cursor_or_add_lines),
	        cmocka_unit_test(bytes_that_are_not_utf8_are_shown_by_number),
	        cmocka_unit_test(a_path_is_quoted_for_a_shell_where_it_needs_it),
	        cmocka_unit_test(a_line_of_safe_words_keeps_its_backslashes),
	        cmocka_unit_test(sizes_have_two_digits_and_a_unit),
	        cmocka_unit_test(durations_have_one_unit),
	        cmocka_unit_test(columns_are_aligned_by_width_not_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
