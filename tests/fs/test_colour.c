/* Colours on a terminal, and nowhere else. */
#include "fs/command/colour.h"

#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *on_terminal(enum colour colour) {
	static char text[256];
	int ends[2];
	assert_int_equal(openpty(&ends[0], &ends[1], NULL, NULL, NULL), 0);
	FILE *out = fdopen(ends[1], "w");
	colour_print(out, colour, "!! %d files\n", 3);
	fflush(out);
	ssize_t got = read(ends[0], text, sizeof text - 1);
	text[got > 0 ? got : 0] = '\0';
	fclose(out);
	close(ends[0]);
	return text;
}

static int set_up(void **state) {
	(void)state;
	unsetenv("NO_COLOR");
	return setenv("TERM", "xterm", 1);
}

static void a_terminal_gets_colours_that_end_with_the_line(void **state) {
	(void)state;
	assert_string_equal(on_terminal(COLOUR_BAD), "\033[31;1m!! 3 files\033[0m\r\n");
	assert_string_equal(on_terminal(COLOUR_PLAIN), "!! 3 files\r\n");
}

static void a_pipe_gets_none(void **state) {
	(void)state;
	char *text = NULL;
	size_t size;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	FILE *out = fdopen(ends[1], "w");
	assert_false(colour_wanted(out));
	colour_print(out, COLOUR_BAD, "words\n");
	fclose(out);
	FILE *in = fdopen(ends[0], "r");
	assert_true(getline(&text, &size, in) > 0);
	assert_string_equal(text, "words\n");
	free(text);
	fclose(in);
}

static void whoever_wants_none_gets_none(void **state) {
	(void)state;
	setenv("NO_COLOR", "1", 1);
	assert_string_equal(on_terminal(COLOUR_BAD), "!! 3 files\r\n");
	setenv("NO_COLOR", "", 1); /* set to nothing: not set */
	assert_non_null(strchr(on_terminal(COLOUR_BAD), '\033'));
	setenv("TERM", "dumb", 1);
	assert_string_equal(on_terminal(COLOUR_BAD), "!! 3 files\r\n");
	unsetenv("TERM");
	assert_string_equal(on_terminal(COLOUR_BAD), "!! 3 files\r\n");
}

static void outcomes_have_colours_and_other_words_none(void **state) {
	(void)state;
	assert_int_equal(colour_of_outcome("passed"), COLOUR_GOOD);
	assert_int_equal(colour_of_outcome("error"), COLOUR_BAD);
	assert_int_equal(colour_of_outcome("pending"), COLOUR_WAITS);
	assert_int_equal(colour_of_outcome("none"), COLOUR_PLAIN);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(a_terminal_gets_colours_that_end_with_the_line, set_up),
	        cmocka_unit_test_setup(a_pipe_gets_none, set_up),
	        cmocka_unit_test_setup(whoever_wants_none_gets_none, set_up),
	        cmocka_unit_test_setup(outcomes_have_colours_and_other_words_none, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
