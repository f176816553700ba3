/* Hints miss nothing: whatever an expression finds in a cell, a hint ends where the match does. */
#include "policy/privacy/hints.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/chance.h"

enum { CELLS = 40, LONGEST = 30 };

/* Cells of pieces that expressions are made of, with nothing between them. */
static void make_cells(char *text, struct table_cell cells[static CELLS]) {
	static const char *const pieces[] = {"a", "b", "A", "B", "1", "2", " ", "_", "-", "é", "É", "\xe2\x84\xaa", "k",
	        "\n", "\r", "\v", "\xc2\xa0", "]", "ſ", "s", "ab", "12"};
	for (size_t i = 0; i < CELLS; i++) {
		cells[i] = (struct table_cell){.data = text};
		for (unsigned left = draw(8); left > 0; left--) {
			const char *piece = pieces[draw(sizeof pieces / sizeof *pieces)];
			memcpy(text, piece, strlen(piece));
			text += strlen(piece);
		}
		cells[i].size = (size_t)(text - cells[i].data);
	}
	*text = '\0';
}

static bool has_end(const struct hints *hints, size_t end) {
	for (size_t i = 0; i < hints->count; i++)
		if (hints->list[i].end == end)
			return true;
	return false;
}

/* The number of texts' matches, all of which were hinted at; -1: there is no wider expression. */
static int count_hinted(const char *regex) {
	_cleanup_(pattern_freep) Pattern *pattern = NULL;
	_cleanup_(hints_freep) HintFinder *finder = NULL;
	_cleanup_(hints_release) struct hints hints = {0};
	struct hint_expression expression = {.flags = HINT_WIDE | HINT_CHARACTERS};
	if (pattern_new(regex, 0, &pattern) < 0 || pattern_may_be_empty(pattern))
		return -1;
	assert_int_equal(hints_widen(regex, &expression.text), 0);
	_cleanup_(freep) char *wide = expression.text;
	if (!wide)
		return -1;
	if (hints_new(&expression, 1, &finder) < 0)
		fail_msg("'%s', '%s': %s", regex, wide, fault_message());
	int matches = 0;
	for (unsigned round = 0; round < 10; round++) {
		char text[CELLS * LONGEST + 1];
		struct table_cell cells[CELLS];
		make_cells(text, cells);
		assert_int_equal(hints_find(finder, text, strlen(text), &hints), 0);
		for (size_t i = 0; i < CELLS; i++) {
			size_t start, end;
			if (pattern_find_from(pattern, cells[i], 0, &start, &end) != PATTERN_FOUND)
				continue;
			matches++;
			if (!has_end(&hints, (size_t)(cells[i].data - text) + end))
				fail_msg("'%s', '%s': nothing hints at the end of '%.*s' in '%.*s'", regex, wide,
				        (int)(end - start), cells[i].data + start, (int)cells[i].size, cells[i].data);
		}
	}
	return matches;
}

static void what_is_known_to_be_wide_enough_misses_nothing(void **state) {
	(void)state;
	static const char *const expressions[] = {"\\bab", "ab\\b", "^a", "a$", "\\Aa", "a\\z", "^a.$", "(?<=a)b",
	        "(?<!a)b", "a(?=b)", "a(?!b)", "(a|b)\\1", "(?i)k", "(?i)s", "(?i)[a-s]b", "[^a]b", "\\Bb", "(?s)a.b",
	        "(?m)^b$", "\\p{Lu}", "\\P{L}a", "\\x{e9}", "\\xe9", "a\\sb", "\\Sb", "\\W1", "[]a]b", "[^]a]b",
	        "[[:alpha:]]+1", "a{2}", "a{1,}b", "a{1,2}+b", "(?>a+)b", "(?:a|é)+?1", "(?<n>a)b", "(?P<n>a)b",
	        "(?i:a)b", "(?-i:a)b", "\\d+(?<=2)", "a.", ".b", "\\Wé", "[é-í]", "[\\W]a", "[\\b]|b1", "a\\ b"};
	for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
		if (count_hinted(expressions[i]) < 0)
			fail_msg("'%s' is not widened", expressions[i]);
}

static void what_is_not_read_alike_is_not_widened(void **state) {
	(void)state;
	static const char *const expressions[] = {"(?x)a b", "\\Qa\\E", "(*UCP)\\w", "a(?#b)b", "[\\p{L}]",
	        "(?(?=a)a|b)", "(?|a|b)", "(a)(?1)", "a\\K1", "\\Rb", "\\Xb", "a(?i)b|c", "(?i)é", "(?i)\\x{e9}",
	        "a{,2}b", "a{b", "(?=(a))\\1", "\\012", "(a)\\10", "\\h1", "[[:<:]]a", "(?&n)(?<n>a)", "(?J)a"};
	for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
		if (count_hinted(expressions[i]) >= 0)
			fail_msg("'%s' is widened", expressions[i]);
}

/* Whatever pieces an expression has. */
static void made_up_expressions_miss_nothing(void **state) {
	(void)state;
	static const char *const pieces[] = {"a", "b", "1", "é", ".", "\\b", "\\B", "^", "$", "\\d", "\\w", "\\s",
	        "\\S", "[ab]", "[^a]", "(?:", "(", ")", "|", "?", "*", "+", "{2}", "{1,2}", "+", "(?=", "(?!",
	        "(?<=", "(?<!", "(?>", "\\1", "\\p{Lu}", "(?i)", "k", "s", "[[:upper:]]", "\\x{e9}", "-", "\\-", "\\n",
	        "(?s:"};
	unsigned widened = 0, matches = 0;
	for (unsigned round = 0; round < 1500; round++) {
		char regex[200] = "";
		unsigned open = 0;
		for (unsigned left = 1 + draw(7); left > 0; left--) {
			const char *piece = pieces[draw(sizeof pieces / sizeof *pieces)];
			if (*piece == ')' && open == 0)
				continue;
			open += *piece == '(' && strcmp(piece, "(?i)") != 0;
			open -= *piece == ')';
			strcat(regex, piece);
		}
		for (; open > 0; open--)
			strcat(regex, ")");
		int count = count_hinted(regex);
		widened += count >= 0;
		matches += count > 0 ? (unsigned)count : 0;
	}
	print_message("%u widened, %u matches\n", widened, matches);
	assert_true(widened > 300 && matches > 5000);
}

/* Of one lot, of two, of many. */
static void hints_are_put_in_order(void **state) {
	(void)state;
	for (unsigned lots = 1; lots < 5; lots++) {
		_cleanup_(hints_release) struct hints hints = {0};
		size_t sum = 0;
		for (unsigned lot = 0; lot < lots; lot++)
			for (size_t end = draw(9); end < 3000; end += draw(9)) {
				assert_int_equal(hints_add(&hints, lot, end), 0);
				sum += end * (lot + 1);
			}
		assert_int_equal(hints_sort(&hints), 0);
		for (size_t i = 0; i < hints.count; i++) {
			assert_true(i == 0 || hints.list[i].end >= hints.list[i - 1].end);
			sum -= hints.list[i].end * (hints.list[i].id + 1);
		}
		assert_int_equal(sum, 0);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_known_to_be_wide_enough_misses_nothing),
	        cmocka_unit_test(what_is_not_read_alike_is_not_widened),
	        cmocka_unit_test(hints_are_put_in_order),
	        cmocka_unit_test(made_up_expressions_miss_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
