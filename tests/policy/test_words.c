/* Words of context, one by one and all at once. */
#include "policy/privacy/words.h"

#include "policy/privacy/triggers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool have(const char *list, const char *text) {
	return words_have_any(list, text, strlen(text));
}

static void words_end_at_what_is_no_letter_and_at_humps(void **state) {
	(void)state;
	static const char *const with[] = {
	        "sin", "SIN:", "my sin", "sin_number", "mySinNumber", "a-sin-b", "x sin", "(Sin)", "1 sin"};
	static const char *const without[] = {"", "cousin", "sing", "SINner", "s in", "sin's", "sin1", "siné"};
	for (size_t i = 0; i < sizeof with / sizeof *with; i++)
		if (!have("tax sin nas", with[i]))
			fail_msg("'%s'", with[i]);
	for (size_t i = 0; i < sizeof without / sizeof *without; i++)
		if (have("tax sin nas", without[i]))
			fail_msg("'%s'", without[i]);
	assert_false(have(NULL, "sin"));
	assert_false(have("", "sin"));
	assert_true(have("driver's santé", "la santé"));
	assert_true(have("driver's santé", "Driver's"));
}

static void phrases_are_words_in_a_row(void **state) {
	(void)state;
	assert_true(have("x full_name", "Full Name"));
	assert_true(have("full_name", "the fullName of it"));
	assert_false(have("full_name", "full"));
	assert_false(have("full_name", "name full"));
	assert_false(have("full_name", "full big name"));
	assert_true(have("=owner", "Owner"));
	assert_true(have("=owner", "(owner)"));
	assert_false(have("=owner", "owner id"));
	assert_true(words_have_phrase("staff number", "my staff-number is", 18));
	assert_false(words_have_phrase("staff number", "staff or number", 15));
	assert_true(words_are_there("-a-", 3));
	assert_false(words_are_there("- -", 3));
}

static void cuts_know_where_words_go_on(void **state) {
	(void)state;
	static const char text[] = "cousin myPhone a b";
	assert_true(words_go_on(text, 3));
	assert_false(words_go_on(text, 0));
	assert_false(words_go_on(text, 6));
	assert_false(words_go_on(text, 7));
	assert_false(words_go_on(text, 9)); /* Phone is a word of its own */
	assert_true(words_go_on(text, 10));
}

/* What has a word of a list has its bit, and no other has. */
static void triggers_say_which_lists_have_a_word(void **state) {
	(void)state;
	static const char *const lists[] = {"sin social insurance", "tax SIN", "driver's =owner", "full_name e-mail"};
	static const struct {
		const char *text;
		uint64_t bits;
	} cases[] = {{"my sin: 1", 3}, {"Social", 1}, {"taxSin", 3}, {"driver's", 4}, {"driver", 0}, {"owner_id", 4},
	        {"full of it", 8}, {"an e mail", 8}, {"", 0}, {"cousin", 0}, {"tax owner insurance", 7}};
	struct triggers triggers = {0};
	for (unsigned i = 0; i < sizeof lists / sizeof *lists; i++)
		assert_int_equal(triggers_add(&triggers, lists[i], i), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (triggers_in(&triggers, cases[i].text, strlen(cases[i].text)) != cases[i].bits)
			fail_msg("'%s'", cases[i].text);
	triggers_release(&triggers);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(words_end_at_what_is_no_letter_and_at_humps),
	        cmocka_unit_test(phrases_are_words_in_a_row),
	        cmocka_unit_test(cuts_know_where_words_go_on),
	        cmocka_unit_test(triggers_say_which_lists_have_a_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
