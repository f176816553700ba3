#include "policy/glob.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct match_case {
	const char *pattern, *path;
	bool matches;
};

static void expect(const struct match_case *cases, size_t count) {
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(glob_check(cases[i].pattern), 0);
		if (glob_match(cases[i].pattern, cases[i].path) != cases[i].matches)
			fail_msg("'%s' and '%s' should %s", cases[i].pattern, cases[i].path,
			        cases[i].matches ? "match" : "not match");
	}
}

#define EXPECT(cases) expect(cases, sizeof(cases) / sizeof *(cases))

static void a_star_stays_within_its_folder(void **state) {
	(void)state;
	static const struct match_case cases[] = {
	        {"animals/lost-and-found*.csv", "animals/lost-and-found.csv", true},
	        {"animals/lost-and-found*.csv", "animals/lost-and-found-2026.csv", true},
	        {"animals/lost-and-found*.csv", "animals/lost-and-found/x.csv", false},
	        {"animals/lost-and-found*.csv", "lost-and-found.csv", false},
	        {"animals/lost-and-found*.csv", "x/animals/lost-and-found.csv", false},
	        {"*.csv", "a.csv", true},
	        {"*.csv", ".csv", true},
	        {"*.csv", "a/b.csv", false},
	        {"*.csv", "a.CSV", false},
	        {"*a*b*", "xxaxxbxx", true},
	        {"*a*b*", "xxbxxaxx", false},
	        {"*/*", "a/b", true},
	        {"*/*", "a", false},
	        {"a", "a/b", false},
	        {"a/b", "a", false},
	};
	EXPECT(cases);
}

static void a_question_mark_and_a_set_take_one_byte(void **state) {
	(void)state;
	static const struct match_case cases[] = {
	        {"a?c", "abc", true},
	        {"a?c", "ac", false},
	        {"a?c", "a/c", false},
	        {"[a-c]x", "bx", true},
	        {"[a-c]x", "dx", false},
	        {"[!a-c]x", "dx", true},
	        {"[!a-c]x", "ax", false},
	        {"[]]x", "]x", true},
	        {"[a-]x", "-x", true},
	        {"20[0-9][0-9].csv", "2026.csv", true},
	        {"[!0-9]*", "a/b", false},
	        {"\xc3\xa9*", "\xc3\xa9t\xc3\xa9.csv", true},
	        {"??", "\xc3\xa9", true},
	        {"\xff*", "\xff\xfe", true},
	};
	EXPECT(cases);
}

static void a_backslash_takes_the_meaning_away(void **state) {
	(void)state;
	static const struct match_case cases[] = {
	        {"50\\*.csv", "50*.csv", true},
	        {"50\\*.csv", "50x.csv", false},
	        {"\\[a]", "[a]", true},
	        {"a\\\\b", "a\\b", true},
	        {"\\?", "x", false},
	};
	EXPECT(cases);
}

static void two_stars_cross_folders(void **state) {
	(void)state;
	static const struct match_case cases[] = {
	        {"**/x.csv", "x.csv", true},
	        {"**/x.csv", "a/b/c/x.csv", true},
	        {"**/x.csv", "a/b/c/y.csv", false},
	        {"a/**/x.csv", "a/x.csv", true},
	        {"a/**/x.csv", "a/b/c/x.csv", true},
	        {"a/**/x.csv", "b/a/x.csv", false},
	        {"a/**", "a/b", true},
	        {"a/**", "a/b/c", true},
	        {"a/**", "a", false},
	        {"**", "anything/at/all", true},
	        {"**/a/**/b", "x/a/y/b", true},
	        {"**/a/**/b", "a/a/a/b/b", true},
	        {"**/a/**/b", "b/a", false},
	        {"**/*.csv", "a/.b/c.csv", true},
	};
	EXPECT(cases);
}

/* The plainest matcher there is; exponential, so for short strings only. */
static bool plain_match(const char *p, const char *t) {
	if (*p == '\0')
		return *t == '\0';
	if (p[0] == '*' && p[1] == '*') {
		const char *rest = p[2] == '/' ? p + 3 : p + 2;
		if (*rest == '\0')
			return *t != '\0';
		for (;;) {
			if (plain_match(rest, t))
				return true;
			t = strchr(t, '/');
			if (!t)
				return false;
			t++;
		}
	}
	if (*p == '*')
		return plain_match(p + 1, t) || (*t != '\0' && *t != '/' && plain_match(p, t + 1));
	if (*p == '?')
		return *t != '\0' && *t != '/' && plain_match(p + 1, t + 1);
	return *p == *t && plain_match(p + 1, t + 1);
}

static void random_patterns_match_as_the_plain_matcher_says(void **state) {
	(void)state;
	unsigned seed = 20261123;
	size_t compared = 0, matched = 0;
	print_message("seed %u\n", seed);
	srandom(seed);
	for (size_t round = 0; round < 200000; round++) {
		static const char pattern_letters[] = "aab*?//**", path_letters[] = "aab/";
		char pattern[12] = "", path[12] = "";
		size_t pattern_length = 1 + (size_t)random() % 8, path_length = 1 + (size_t)random() % 9;
		for (size_t i = 0; i < pattern_length; i++)
			pattern[i] = pattern_letters[(size_t)random() % (sizeof pattern_letters - 1)];
		for (size_t i = 0; i < path_length; i++)
			path[i] = path_letters[(size_t)random() % (sizeof path_letters - 1)];
		if (glob_check(pattern) < 0 || path[0] == '/' || path[path_length - 1] == '/' || strstr(path, "//"))
			continue;
		bool expected = plain_match(pattern, path);
		if (glob_match(pattern, path) != expected)
			fail_msg("'%s' on '%s' should be %d", pattern, path, expected);
		compared++;
		matched += expected;
	}
	assert_true(compared > 10000 && matched > 1000);
}

static void a_pattern_made_to_take_for_ever_does_not(void **state) {
	(void)state;
	char pattern[GLOB_PATTERN_MAX + 1], path[4097];
	for (size_t i = 0; i < 1000; i += 2)
		memcpy(pattern + i, "*a", 2);
	strcpy(pattern + 1000, "b");
	memset(path, 'a', 4096);
	path[4096] = '\0';
	assert_int_equal(glob_check(pattern), 0);
	for (size_t i = 0; i < 10; i++)
		assert_false(glob_match(pattern, path)); /* 4 million steps each; backtracking would outlive us */
	strcpy(pattern, "");
	for (size_t i = 0; i < 100; i++)
		strcat(pattern, "**/a*/");
	strcat(pattern, "b");
	for (size_t i = 1; i < 4096; i += 2)
		path[i] = '/';
	path[4095] = '\0';
	assert_false(glob_match(pattern, path));
}

static void what_is_no_pattern_is_refused_with_its_place(void **state) {
	(void)state;
	static const struct {
		const char *pattern, *words;
	} cases[] = {
	        {"", "empty"},
	        {"/a", "empty component at byte 1"},
	        {"a/", "empty component at byte 3"},
	        {"a//b", "empty component at byte 3"},
	        {"a/../b", "'..' at byte 3"},
	        {"./a", "'.' at byte 1"},
	        {"a/b**", "'**' at byte 4"},
	        {"***", "'**' at byte 1"},
	        {"a[bc", "set at byte 2"},
	        {"a[]", "set at byte 2"},
	        {"[b/c]", "set at byte 1"},
	        {"[z-a]", "runs backwards (z-a)"},
	        {"[\xc3\xa9]", "outside ASCII"},
	        {"a\\", "backslash at byte 2"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(glob_check(cases[i].pattern), -EINVAL);
		if (!strstr(fault_message(), cases[i].words))
			fail_msg("'%s' gave '%s'", cases[i].pattern, fault_message());
	}
	char pattern[GLOB_PATTERN_MAX + 2];
	memset(pattern, 'a', sizeof pattern - 1);
	pattern[sizeof pattern - 1] = '\0';
	assert_int_equal(glob_check(pattern), -EINVAL);
	pattern[GLOB_PATTERN_MAX] = '\0';
	assert_int_equal(glob_check(pattern), 0);
}

static void the_pattern_that_came_closest_is_the_one_a_person_would_name(void **state) {
	(void)state;
	static const char *const patterns[] = {
	        "animals/lost-and-found*.csv", "licences/dogs-*.csv", "**/*.parquet", "budget.csv"};
	static const struct {
		const char *path;
		size_t closest;
	} cases[] = {
	        {"lost-and-found.csv", 0},
	        {"animals/Lost-and-Found.csv", 0},
	        {"animals/lost-and-found.tsv", 0},
	        {"licenses/dogs-2026.csv", 1},
	        {"a/b/c.parquett", 2},
	        {"budget.CSV", 3},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t closest = 0;
		for (size_t j = 1; j < 4; j++)
			if (glob_closeness(patterns[j], cases[i].path) >
			        glob_closeness(patterns[closest], cases[i].path))
				closest = j;
		if (closest != cases[i].closest)
			fail_msg("%s is closest to %s", cases[i].path, patterns[closest]);
		assert_in_range(glob_closeness(patterns[closest], cases[i].path), 500, 999);
	}
	assert_int_equal(glob_closeness("*.csv", "a.csv"), 1000);
	assert_int_equal(glob_closeness("abc", "xyzxyzxyz"), 0);
	assert_true(glob_closeness("a.csv", "a.CSV") > glob_closeness("a.csv", "a.xyz"));
}

static void a_folder_that_a_pattern_reaches_into_is_known(void **state) {
	(void)state;
	static const struct match_case cases[] = {
	        {"animals/*.csv", "animals", true},
	        {"animals/*.csv", "other", false},
	        {"animals/*.csv", "animals/a.csv", false}, /* itself, not below */
	        {"animals/*.csv", "animals/deeper", false},
	        {"a*/b/c", "abc", true},
	        {"a*/b/c", "abc/b", true},
	        {"a*/b/c", "abc/x", false},
	        {"**/*.csv", "anything/at/all", true},
	        {"animals/**", "animals/deep/er", true},
	        {"animals/**", "plants", false},
	        {"x", "x", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (glob_reaches_below(cases[i].pattern, cases[i].path) != cases[i].matches)
			fail_msg("'%s' and what lies below '%s'", cases[i].pattern, cases[i].path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_star_stays_within_its_folder),
	        cmocka_unit_test(a_folder_that_a_pattern_reaches_into_is_known),
	        cmocka_unit_test(a_question_mark_and_a_set_take_one_byte),
	        cmocka_unit_test(a_backslash_takes_the_meaning_away),
	        cmocka_unit_test(two_stars_cross_folders),
	        cmocka_unit_test(random_patterns_match_as_the_plain_matcher_says),
	        cmocka_unit_test(a_pattern_made_to_take_for_ever_does_not),
	        cmocka_unit_test(what_is_no_pattern_is_refused_with_its_place),
	        cmocka_unit_test(the_pattern_that_came_closest_is_the_one_a_person_would_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
