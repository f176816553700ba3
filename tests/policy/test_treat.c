#include "policy/privacy/treat.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct treat_key key = {.version = 7};
static const struct edit_dialect text = {.form = EDIT_TEXT}, json = {.form = EDIT_JSON},
                                 csv = {.form = EDIT_CSV, .quote = '"'},
                                 escaped = {.form = EDIT_CSV, .quote = '"', .escape = '\\'};

static int treat_as(const struct edit_dialect *dialect, struct privacy_treatment treatment, unsigned flags,
        const char *raw, char ret[static 200]) {
	struct treated treated = {0};
	const struct edit edit = {.length = strlen(raw), .flags = flags};
	int rc = treat(&treatment, "NAME", dialect, &key, &edit, bytes_of_string(raw), &treated);
	assert_true(treated.size < 200);
	if (treated.size > 0)
		memcpy(ret, treated.text, treated.size);
	ret[treated.size] = '\0';
	treated_release(&treated);
	return rc;
}

static void expect(const struct edit_dialect *dialect, struct privacy_treatment treatment, unsigned flags,
        const char *raw, const char *expected) {
	char said[200];
	assert_int_equal(treat_as(dialect, treatment, flags, raw, said), 0);
	assert_string_equal(said, expected);
}

#define MASK(first, last)                                                          \
	(struct privacy_treatment) {                                               \
		.action = PRIVACY_MASK, .keep_first = (first), .keep_last = (last) \
	}
#define ACTION(which)                \
	(struct privacy_treatment) { \
		.action = (which)    \
	}

static void what_is_masked_shows_its_ends_and_never_all(void **state) {
	(void)state;
	expect(&text, MASK(0, 0), 0, "abc", "***");
	expect(&text, MASK(1, 2), 0, "abcdé", "a**dé");
	expect(&text, MASK(1, 2), 0, "abc", "***");
	expect(&text, MASK(2, 2), 0, "abc", "***");
	expect(&csv, MASK(0, 1), 0, "ab\"\"", "**\"\"");
	expect(&csv, MASK(3, 0), EDIT_BARE, "a\"bcd", "a\"b**");
	expect(&escaped, MASK(0, 1), 0, "ab\\\"", "**\\\"");
	expect(&json, MASK(0, 1), 0, "ab\\u0041", "**A");
	expect(&json, MASK(0, 1), 0, "ab\\\\", "**\\\\");
	expect(&json, MASK(0, 1), EDIT_BARE, "123", "\"**3\"");
}

static void what_is_redacted_says_what_it_was(void **state) {
	(void)state;
	expect(&text, ACTION(PRIVACY_REDACT), 0, "abc", "[NAME]");
	expect(&json, ACTION(PRIVACY_REDACT), EDIT_BARE, "{\"a\":[1]}", "\"[NAME]\"");
	expect(&csv, ACTION(PRIVACY_DROP_COLUMN), EDIT_WHOLE, "abc", "");
	expect(&csv, ACTION(PRIVACY_REPORT), 0, "abc", "");
}

static void a_hash_is_of_the_text_not_of_how_it_is_written(void **state) {
	(void)state;
	char one[200], other[200];
	assert_int_equal(treat_as(&csv, ACTION(PRIVACY_HASH), 0, "a\"\"b", one), 0);
	assert_int_equal(treat_as(&json, ACTION(PRIVACY_HASH), 0, "a\\\"b", other), 0);
	assert_string_equal(one, other);
	assert_memory_equal(one, "h7_", 3);
	assert_int_equal(strlen(one), 35);
	assert_int_equal(treat_as(&text, ACTION(PRIVACY_HASH), 0, "a\"c", other), 0);
	assert_string_not_equal(one, other);
}

static void what_is_generalised_is_told_less_exactly(void **state) {
	(void)state;
	static const char *const cases[][2] = {{"1980-05-12", "1980"}, {"12/05/1980", "1980"},
	        {"1980-05-12T10:00:00Z", "1980"}, {"1980", "1980"}, {"V6B 1A1", "V6B"}, {"v6b1a1", "v6b"},
	        {"V6B", "V6B"}, {"203.0.113.77", "203.0.113.0/24"}, {"203.0.113.77/32", "203.0.113.0/24"},
	        {"203.0.113.0/24", "203.0.113.0/24"}, {"10.0.0.0/8", "10.0.0.0/8"},
	        {"2001:db8:1:2::5", "2001:db8:1::/48"}, {"fe80::1%eth0", "fe80::/48"},
	        {"49.28273,-123.1207", "49.28,-123.12"}, {"49.9999; 8.1234", "49.99; 8.12"}, {"12345", "[NAME]"},
	        {"536-22-1234", "[NAME]"}, {"4111-1111-1111-1111", "[NAME]"}, {"1980-13-32", "[NAME]"},
	        {"0999", "[NAME]"}, {"1980-05/12", "[NAME]"}, {"5.12.1980", "1980"}, {"604-555-0199.0 1.0", "[NAME]"},
	        {"12345678.1 4.5", "[NAME]"}, {"-49.2,181.5", "[NAME]"}, {"12345678", "[NAME]"}, {"anything", "[NAME]"},
	        {"1.2.3.4.5", "[NAME]"}, {"1980-05-12 in Rome", "[NAME]"}, {"12 May 1980", "1980"},
	        {"May 12th, 1980", "1980"}, {"1er févr. 1975", "1975"}, {"12-MAY-1980", "1980"},
	        {"12-MAY-80", "[NAME]"}, {"05/12/80", "[NAME]"}, {"31 June 1980", "[NAME]"}, {"12 May", "[NAME]"},
	        {"1980-02-30", "[NAME]"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		expect(&text, ACTION(PRIVACY_GENERALISE), 0, cases[i][0], cases[i][1]);
		struct table_cell general = {.data = cases[i][1], .size = strlen(cases[i][1])};
		assert_int_equal(treat_is_general(general), strcmp(cases[i][1], "[NAME]") != 0);
	}
}

/* A worker says where a string is; what is none ends it. */
static void what_is_no_part_of_a_string_is_refused(void **state) {
	(void)state;
	static const char *const wrong[] = {"a\"b", "\\", "\\u00", "a\nb", "\\ud83d", "x\",\"y"};
	char said[200];
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(treat_as(&json, ACTION(PRIVACY_HASH), 0, wrong[i], said), -EBADMSG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_masked_shows_its_ends_and_never_all),
	        cmocka_unit_test(what_is_redacted_says_what_it_was),
	        cmocka_unit_test(a_hash_is_of_the_text_not_of_how_it_is_written),
	        cmocka_unit_test(what_is_generalised_is_told_less_exactly),
	        cmocka_unit_test(what_is_no_part_of_a_string_is_refused),
	};
	return cmocka_run_group_tests_name("treat", tests, NULL, NULL);
}
