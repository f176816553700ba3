#include "fs/used_names.h"

#include "tests/fs/unit.h"

static struct bytes text(const char *words) {
	return bytes_of_string(words);
}

static bool is(struct used_names *names, int32_t thread, uint64_t node, const char *expected) {
	struct tree_name name;
	return used_names_find(names, thread, node, &name) && name.size == strlen(expected) &&
	       memcmp(name.name, expected, name.size) == 0;
}

static void a_thread_is_told_by_which_name_it_came_last(void **state) {
	(void)state;
	struct used_names names = USED_NAMES_INIT;
	struct tree_name name;
	used_names_note(&names, 7, 10, 4, text("a"));
	used_names_note(&names, 8, 10, 4, text("b"));
	used_names_note(&names, 7, 11, 4, text("c"));
	assert_true(is(&names, 7, 10, "a") && is(&names, 8, 10, "b") && is(&names, 7, 11, "c"));
	used_names_note(&names, 7, 10, 5, text("d"));
	assert_true(is(&names, 7, 10, "d"));
	assert_true(used_names_find(&names, 7, 10, &name) && name.parent == 5);
	assert_false(used_names_find(&names, 9, 10, &name));
	used_names_drop(&names, 7, 10);
	assert_false(used_names_find(&names, 7, 10, &name));
	assert_true(is(&names, 8, 10, "b"));
	assert_false(used_names_find(&names, 0, 0, &name)); /* a free place is nobody's */
}

static void more_than_the_ring_holds_is_forgotten_not_mistaken(void **state) {
	(void)state;
	struct used_names names = USED_NAMES_INIT;
	struct tree_name name;
	for (uint64_t node = 1; node <= USED_NAMES + 1; node++)
		used_names_note(&names, 7, node, 4, text("x"));
	assert_false(used_names_find(&names, 7, 1, &name));
	assert_true(used_names_find(&names, 7, 2, &name));
	char long_name[TREE_NAME_MAX + 2];
	memset(long_name, 'n', sizeof long_name);
	used_names_note(&names, 7, 9000, 4, bytes_of(long_name, sizeof long_name));
	assert_false(used_names_find(&names, 7, 9000, &name));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_thread_is_told_by_which_name_it_came_last),
	        cmocka_unit_test(more_than_the_ring_holds_is_forgotten_not_mistaken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
