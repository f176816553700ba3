#include "fs/state_directory.h"

#include "tests/fs/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void expect(uid_t uid, const char *wanted) {
	char path[64];
	assert_int_equal(state_directory(uid, path, sizeof path), 0);
	assert_string_equal(path, wanted);
}

static void it_is_where_the_system_says(void **state) {
	(void)state;
	assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
	assert_int_equal(setenv("XDG_STATE_HOME", "/x/state", 1), 0);
	assert_int_equal(setenv("HOME", "/home/ann", 1), 0);
	expect(0, "/var/lib/assayfs");
	expect(1000, "/x/state/assayfs");
	assert_int_equal(setenv("XDG_STATE_HOME", "relative", 1), 0);
	expect(1000, "/home/ann/.local/state/assayfs");
	assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b", 1), 0);
	expect(0, "/var/lib/a");
	expect(1000, "/var/lib/a");
}

static void without_any_it_says_what_to_do(void **state) {
	(void)state;
	char path[64];
	assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
	assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
	assert_int_equal(unsetenv("HOME"), 0);
	assert_int_equal(state_directory(1000, path, sizeof path), -ENOENT);
	assert_int_equal(setenv("HOME", "/home/ann", 1), 0);
	assert_int_equal(state_directory(1000, path, 10), -ENAMETOOLONG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_is_where_the_system_says),
	        cmocka_unit_test(without_any_it_says_what_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
