/* Digits and letters of any piece of a text. */
#include "policy/privacy/features.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void any_piece_is_counted(void **state) {
	(void)state;
	enum { SIZE = 300 };
	char text[SIZE + 64] = "";
	struct features features = {0};
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 4 == 2 ? ' ' : (char)(i * 89 + i / 7 * 31);
	for (size_t size = 0; size <= SIZE; size += 50) {
		assert_int_equal(features_look(&features, text, size), 0);
		for (size_t start = 0; start <= size; start++) {
			unsigned digits = 0, letters = 0, uppers = 0, others = 0, numerals = 0, runs = 0;
			for (size_t end = start; end <= size; end++) {
				assert_int_equal(features_count(features.digits, start, end), digits);
				assert_int_equal(features_count(features.letters, start, end), letters);
				assert_int_equal(features_count(features.uppers, start, end), uppers);
				assert_int_equal(features_count(features.others, start, end), others);
				assert_int_equal(features_count(features.numerals, start, end), numerals);
				assert_int_equal(
				        features_any(features.digits, start, end), end - start > 64 || digits > 0);
				assert_int_equal(
				        features_two(features.digits, start, end), end - start > 64 || runs > 1);
				unsigned char c = (unsigned char)text[end];
				bool is_digit = c >= '0' && c <= '9',
				     goes_on = end > start && isdigit((unsigned char)text[end - 1]);
				digits += is_digit;
				runs += is_digit && !goes_on;
				letters += c < 0x80 && isalpha(c);
				uppers += c < 0x80 && isupper(c);
				others += c >= 0x80;
				numerals += (c >= ' ' && c <= '9') || c == ';';
			}
		}
	}
	assert_int_equal(features_look(&features, text, SIZE), 0);
	for (size_t i = 2; i < SIZE; i++) {
		unsigned char c = (unsigned char)text[i], before = (unsigned char)text[i - 2];
		bool is_joint = before >= 0x80 || isalpha(before) || before == '.' || before == ',';
		bool is_pair = (c >= 0x80 || isupper(c)) && text[i - 1] == ' ' && is_joint;
		assert_int_equal(features_count(features.pairs, i, i + 1), is_pair);
	}
	features_release(&features);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(any_piece_is_counted)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
