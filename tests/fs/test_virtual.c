/* Numbers and paths of the tree .assayfs. */
#include "fs/virtual.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_path_keeps_its_number_while_it_is_remembered(void **state) {
	(void)state;
	_cleanup_(virtual_tree_freep) VirtualTree *tree = NULL;
	uint64_t one, again, other;
	char path[VIRTUAL_PATH_MAX];
	assert_int_equal(virtual_tree_new(&tree), 0);
	assert_int_equal(virtual_ino(tree, "versions/Landing/a", &one), 0);
	assert_int_equal(virtual_ino(tree, "versions/Landing/b", &other), 0);
	assert_int_equal(virtual_ino(tree, "versions/Landing/a", &again), 0);
	assert_true(one == again && one != other && virtual_is(one));
	assert_int_equal(virtual_path(tree, one, path), 0);
	assert_string_equal(path, "versions/Landing/a");

	virtual_forget(tree, one, 1);
	assert_int_equal(virtual_path(tree, one, path), 0); /* it was looked up twice */
	virtual_forget(tree, one, 1);
	assert_int_equal(virtual_path(tree, one, path), -ESTALE);
	assert_int_equal(virtual_path(tree, other, path), 0);
	virtual_forget(tree, one, 1); /* a number that is gone */
	assert_int_equal(virtual_ino(tree, "versions/Landing/a", &again), 0);
	assert_int_not_equal(again, one);
}

static void many_paths_are_told_apart_and_forgotten(void **state) {
	(void)state;
	_cleanup_(virtual_tree_freep) VirtualTree *tree = NULL;
	enum { COUNT = 20000 };
	static uint64_t numbers[COUNT];
	char path[VIRTUAL_PATH_MAX], wanted[64];
	assert_int_equal(virtual_tree_new(&tree), 0);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(wanted, sizeof wanted, "at/%u/Landing", i);
		assert_int_equal(virtual_ino(tree, wanted, &numbers[i]), 0);
	}
	for (unsigned i = 0; i < COUNT; i += 2)
		virtual_forget(tree, numbers[i], 1);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(wanted, sizeof wanted, "at/%u/Landing", i);
		assert_int_equal(virtual_path(tree, numbers[i], path), i % 2 ? 0 : -ESTALE);
		if (i % 2)
			assert_string_equal(path, wanted);
	}
}

/* As the kernel does when it is told to: what a stranger looks up by the thousand does not stay. */
static void looking_up_ever_new_paths_keeps_the_table_bounded(void **state) {
	(void)state;
	_cleanup_(virtual_tree_freep) VirtualTree *tree = NULL;
	uint64_t at, in_use, number, parent;
	char path[300], name[TREE_NAME_MAX + 1];
	assert_int_equal(virtual_tree_new(&tree), 0);
	assert_int_equal(virtual_ino(tree, "at", &at), 0);
	assert_int_equal(virtual_ino(tree, "at/used", &in_use), 0);
	for (unsigned i = 0; i < 10 * VIRTUAL_NODES_MAX; i++) {
		snprintf(path, sizeof path, "at/%u", i);
		assert_int_equal(virtual_ino(tree, path, &number), 0);
		for (int turn = 0; turn < 2; turn++) {
			if (!virtual_surplus(tree, &parent, name) || strcmp(name, "used") == 0)
				continue;
			assert_int_equal(parent, at);
			snprintf(path, sizeof path, "at/%.200s", name);
			assert_int_equal(virtual_ino(tree, path, &number), 0);
			virtual_forget(tree, number, 2);
		}
		assert_true(virtual_count(tree) <= VIRTUAL_NODES_MAX + 2);
	}
	char kept[VIRTUAL_PATH_MAX];
	assert_int_equal(virtual_path(tree, in_use, kept), 0);
	assert_int_equal(virtual_path(tree, at, kept), 0);
}

static void numbers_of_nodes_are_not_virtual(void **state) {
	(void)state;
	assert_false(virtual_is(1));
	assert_false(virtual_is((UINT64_C(1) << 62) - 1));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_path_keeps_its_number_while_it_is_remembered),
	        cmocka_unit_test(many_paths_are_told_apart_and_forgotten),
	        cmocka_unit_test(looking_up_ever_new_paths_keeps_the_table_bounded),
	        cmocka_unit_test(numbers_of_nodes_are_not_virtual),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
