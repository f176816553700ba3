#include "policy/dqdl/pattern.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/pattern_fixed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct table_cell cell_of(const char *text) {
	return (struct table_cell){.data = text, .size = strlen(text)};
}

static const char *const texts[] = {"", "2024-01-08", "2024-01-0", "2024-01-088", "2024-01-0x", "2024/01/08",
        "2024-01-08\n", "2024-01-08\r\n", "2024-01-08\xe2\x80\xa8", "2024-01-0\xc3\xa9", "AB123456", "Ab123456", "a.b",
        "axb", "a", "aa", "\n", "a\n", "12", "-", "a-b", "x y", "1234567890123456789012345678901", "\xc3\xa9", "A1",
        "z9"};

/* With whatever stands behind it. */
static void assert_tries_as_it_finds(Pattern *pattern, const char *text, size_t size) {
	char room[100];
	memset(room, '7', sizeof room);
	memcpy(room, text, size);
	struct table_cell cell = {.data = room, .size = size};
	enum fixed_answer answer = pattern_try(pattern, cell);
	bool found = pattern_find(pattern, cell) == PATTERN_FOUND;
	if (answer != FIXED_UNKNOWN && (answer == FIXED_YES) != found)
		fail_msg("'%.*s' is tried as %d", (int)size, room, answer);
}

/* What matches, and the same with each byte that there is at each place. */
static void try_all_bytes(Pattern *pattern) {
	static const char *const good[] = {"2024-01-08", "AB123456", "a.b", "a", "aa", "z", "Q7", "42", "-", "x y",
	        "1234567890123456789012345678901", "a-b", "ABCDEFGH", "123456789012345", "1234567890123456",
	        "AZ09az-_"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		size_t size = strlen(good[i]);
		for (size_t at = 0; at < size; at++) {
			for (int byte = 1; byte < 0x80; byte++) {
				char text[40];
				memcpy(text, good[i], size + 1);
				text[at] = (char)byte;
				assert_tries_as_it_finds(pattern, text, size);
			}
		}
	}
}

/* The same answer as the engine alone gives, which the group around it makes sure of. */
static void fixed_expressions_are_answered_as_by_the_engine(void **state) {
	(void)state;
	static const char *const inner[] = {"\\d{4}-\\d{2}-\\d{2}", "[A-Z]{2}\\d{6}", "a\\.b", "a", "a{2}", "[a-z]",
	        "[A-Za-z][0-9]", "\\d\\d", "-", "x y", "\\d{31}", "[ab]-[ab]", "[A-H]{8}", "\\d{15}", "\\d{16}",
	        "[A-Z]{2}\\d{2}[a-z]{2}-_"};
	for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
		char fixed_text[100], engine_text[100];
		struct fixed_pattern fixed;
		_cleanup_(pattern_freep) Pattern *quick = NULL;
		_cleanup_(pattern_freep) Pattern *engine = NULL;
		(void)snprintf(fixed_text, sizeof fixed_text, "^%s$", inner[i]);
		(void)snprintf(engine_text, sizeof engine_text, "^(?:%s)$", inner[i]);
		fixed_pattern_parse(fixed_text, &fixed);
		assert_true(fixed.size > 0);
		fixed_pattern_parse(engine_text, &fixed);
		assert_int_equal(fixed.size, 0);
		assert_int_equal(pattern_new(fixed_text, 0, &quick), 0);
		assert_int_equal(pattern_new(engine_text, 0, &engine), 0);
		for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
			assert_tries_as_it_finds(quick, texts[k], strlen(texts[k]));
		try_all_bytes(quick);
		for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
			if (pattern_find(quick, cell_of(texts[k])) != pattern_find(engine, cell_of(texts[k])))
				fail_msg("%s on '%s'", fixed_text, texts[k]);
	}
}

static void what_is_more_than_that_is_left_to_the_engine(void **state) {
	(void)state;
	static const char *const others[] = {"^a*$", "^a?$", "^a+$", "^a{2,3}$", "^a{2}?$", "^a{2}{3}$", "^a|b$", "^.$",
	        "^(a)$", "^[^a]$", "^[a-]$", "^[\\d]$", "^[]$", "^[z-a]$", "^\\w$", "^\\D$", "^a", "a$", "^$", "", "^",
	        "^\\", "^a\\$", "^\xc3\xa9$", "^[a", "^a{33}$", "^a{0}$", "^a{$", "^abcdefghi$", "^\\d{20}\\d{20}$",
	        "^a$b$", "^[a&&b]$"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct fixed_pattern fixed;
		fixed_pattern_parse(others[i], &fixed);
		if (fixed.size)
			fail_msg("'%s' is taken for a fixed one", others[i]);
	}
}

static void an_answer_that_is_remembered_is_the_same(void **state) {
	(void)state;
	_cleanup_(pattern_freep) Pattern *pattern = NULL;
	assert_int_equal(pattern_new("^(?:x|\\d+)$", 0, &pattern), 0);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 3000; i++) {
			char text[24];
			(void)snprintf(text, sizeof text, i % 3 ? "%u" : "%u!", i * 7919);
			assert_int_equal(pattern_find(pattern, cell_of(text)), i % 3 ? PATTERN_FOUND : PATTERN_NONE);
		}
		assert_int_equal(pattern_find(pattern, cell_of("")), PATTERN_NONE);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(fixed_expressions_are_answered_as_by_the_engine),
	        cmocka_unit_test(what_is_more_than_that_is_left_to_the_engine),
	        cmocka_unit_test(an_answer_that_is_remembered_is_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
