/* How far words are apart, and which one was perhaps meant. */
#include "crypto/base/spelling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void slips_are_counted(void **state) {
	(void)state;
	assert_int_equal(spelling_distance("", ""), 0);
	assert_int_equal(spelling_distance("abc", ""), 3);
	assert_int_equal(spelling_distance("kitten", "sitting"), 3);
	assert_int_equal(spelling_distance("IsCompleet", "IsComplete"), 2);
	char longer[70];
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	assert_true(spelling_distance(longer, "a") == SIZE_MAX);
	assert_true(spelling_distance("a", longer) == SIZE_MAX);
}

static void the_nearest_is_named_if_it_is_near(void **state) {
	(void)state;
	static const char *const words[] = {"RowCount", "IsComplete", "IsUnique"};
	assert_string_equal(spelling_nearest("isComplete", words, 3), "IsComplete");
	assert_string_equal(spelling_nearest("RowCuont", words, 3), "RowCount");
	assert_null(spelling_nearest("nothing", words, 3));
	assert_null(spelling_nearest("RowCount", words, 0));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(slips_are_counted),
	        cmocka_unit_test(the_nearest_is_named_if_it_is_near),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
