/* What is UTF-8 by RFC 3629, at the edges of each length and in the middle of a 16-byte stride. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "policy/table/utf8.h"

static void assert_prefix(const char *text, size_t size, size_t expected) {
	char padded[64];
	for (size_t before = 0; before < 20; before++) {
		memset(padded, 'a', sizeof padded);
		memcpy(padded + before, text, size);
		assert_int_equal(utf8_valid_prefix(padded, before + size), before + expected);
	}
}

static void the_first_and_last_of_each_length_are_valid(void **state) {
	(void)state;
	static const char *const valid[] = {"\x01", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
	        "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
	for (size_t i = 0; i < sizeof valid / sizeof *valid; i++) {
		assert_prefix(valid[i], strlen(valid[i]), strlen(valid[i]));
		assert_int_equal(utf8_length(valid[i], strlen(valid[i])), 1);
	}
}

static void what_rfc_3629_forbids_ends_the_prefix(void **state) {
	(void)state;
	static const char *const invalid[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
	        "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc2", "\xe2\x82",
	        "\xf0\x9f\x98", "\xc2\x41"};
	for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
		assert_prefix(invalid[i], strlen(invalid[i]), 0);
	assert_prefix("a\0b", 3, 1);
}

static void code_points_are_counted(void **state) {
	(void)state;
	assert_int_equal(utf8_length("", 0), 0);
	assert_int_equal(utf8_length("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 13), 8);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_first_and_last_of_each_length_are_valid),
	        cmocka_unit_test(what_rfc_3629_forbids_ends_the_prefix),
	        cmocka_unit_test(code_points_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
