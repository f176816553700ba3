#include "fs/command/subject.h"

#include "tests/fs/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Puts bytes on standard input. */
static void type(const char *text, size_t size) {
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], text, size), (ssize_t)size);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void expect_lines(const char *text, const char *const *expected, size_t count) {
	struct subject_lines lines = {0};
	type(text, strlen(text));
	assert_int_equal(subject_read(&lines), 0);
	assert_int_equal(lines.count, count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(lines.lines[i], expected[i]);
	subject_release(&lines);
	assert_null(lines.text);
}

static void a_line_is_read_without_its_end(void **state) {
	(void)state;
	static const char *const expected[] = {"bob@example.com"};
	expect_lines("bob@example.com\n", expected, 1);
	expect_lines("bob@example.com", expected, 1);
	expect_lines("\xef\xbb\xbf"
	             "bob@example.com",
	        expected, 1); /* as some editors write it */
}

static void each_line_is_read_and_blank_ones_are_left_out(void **state) {
	(void)state;
	static const char *const expected[] = {"bob@example.com", "604-555-0199", "Bob Lee"};
	expect_lines("\nbob@example.com\n \t\r\n604-555-0199\nBob Lee", expected, 3);
}

static void more_lines_than_are_looked_for_are_refused(void **state) {
	(void)state;
	char text[4 * (SUBJECT_LINES_MAX + 2)] = "";
	struct subject_lines lines = {0};
	for (size_t i = 0; i < SUBJECT_LINES_MAX; i++)
		strcat(text, "bob\n");
	type(text, strlen(text));
	assert_int_equal(subject_read(&lines), 0);
	assert_int_equal(lines.count, SUBJECT_LINES_MAX);
	subject_release(&lines);
	strcat(text, "bob\n");
	type(text, strlen(text));
	assert_int_equal(subject_read(&lines), -EINVAL);
	assert_null(lines.text);
}

static void what_is_no_text_is_refused(void **state) {
	(void)state;
	static char long_line[SUBJECT_LINE_MAX + 10];
	memset(long_line, 'a', sizeof long_line);
	static const struct {
		const char *text;
		size_t size;
	} cases[] = {{"", 0}, {"\n", 1}, {" \n\n", 3}, {"a\0b\n", 4}, {"bob\nb\0b", 7}, {long_line, sizeof long_line}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct subject_lines lines = {0};
		type(cases[i].text, cases[i].size);
		assert_int_equal(subject_read(&lines), -EINVAL);
		assert_null(lines.text);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_line_is_read_without_its_end),
	        cmocka_unit_test(each_line_is_read_and_blank_ones_are_left_out),
	        cmocka_unit_test(more_lines_than_are_looked_for_are_refused),
	        cmocka_unit_test(what_is_no_text_is_refused),
	};
	return cmocka_run_group_tests_name("subject", tests, NULL, NULL);
}
