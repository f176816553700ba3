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

static void a_line_is_read_without_its_end(void **state) {
	(void)state;
	static const char *const texts[] = {"bob@example.com\nand more\n", "bob@example.com"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *value = NULL;
		type(texts[i], strlen(texts[i]));
		assert_int_equal(subject_read(&value), 0);
		assert_string_equal(value, "bob@example.com");
		subject_wipep(&value);
		assert_null(value);
	}
}

static void what_is_no_line_of_text_is_refused(void **state) {
	(void)state;
	static char long_line[SUBJECT_LINE_MAX + 10];
	memset(long_line, 'a', sizeof long_line);
	static const struct {
		const char *text;
		size_t size;
	} cases[] = {{"", 0}, {"\n", 1}, {"a\0b\n", 4}, {long_line, sizeof long_line}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *value = NULL;
		type(cases[i].text, cases[i].size);
		assert_int_equal(subject_read(&value), -EINVAL);
		assert_null(value);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_line_is_read_without_its_end),
	        cmocka_unit_test(what_is_no_line_of_text_is_refused),
	};
	return cmocka_run_group_tests_name("subject", tests, NULL, NULL);
}
