#include "fs/staging.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct staged staged_file(uint64_t node, const char *name, bool governed, int32_t thread) {
	struct staged s = {.node = node, .parent = 4, .uid = 7, .thread = thread, .governed = governed};
	memcpy(s.name, name, strlen(name) + 1);
	return s;
}

static bool meets(Staging *staging, const char *name, uint32_t uid, int32_t thread, uint64_t *ret_node) {
	struct staged s = {0};
	bool met = staging_meet(staging, 4, bytes_of_string(name), uid, thread, 0, &s);
	*ret_node = s.node;
	return met;
}

static void a_governed_file_is_met_by_its_thread_until_it_opens_it(void **state) {
	Staging *staging = *state;
	struct staged s = staged_file(10, "a.csv", true, 99);
	uint64_t node;
	assert_int_equal(staging_add(staging, &s), 0);
	assert_false(meets(staging, "a.csv", 7, 98, &node)); /* another thread */
	assert_false(meets(staging, "a.csv", 8, 99, &node)); /* another user */
	assert_false(meets(staging, "b.csv", 7, 99, &node));
	assert_true(meets(staging, "a.csv", 7, 99, &node));
	assert_int_equal(node, 10);
	assert_true(meets(staging, "a.csv", 7, 99, &node)); /* the kernel asks twice */
	staging_opened(staging, 10);
	assert_false(meets(staging, "a.csv", 7, 99, &node)); /* never again */
	assert_true(staging_find(staging, 10, &s));          /* but it is still staged */
	staging_remove(staging, 10);
	assert_false(staging_find(staging, 10, &s));
}

static void a_temporary_file_is_met_by_its_user_alone(void **state) {
	Staging *staging = *state;
	struct staged s = staged_file(11, ".a.csv.x1", false, 0);
	uint64_t node;
	assert_int_equal(staging_add(staging, &s), 0);
	assert_true(meets(staging, ".a.csv.x1", 7, 1, &node));
	assert_true(meets(staging, ".a.csv.x1", 7, 2, &node));
	assert_false(meets(staging, ".a.csv.x1", 8, 1, &node));
	staging_rename(staging, 11, 4, bytes_of_string("b"));
	assert_false(meets(staging, ".a.csv.x1", 7, 1, &node));
	assert_true(meets(staging, "b", 7, 1, &node));
	assert_int_equal(staging_count(staging), 1);
	staging_remove(staging, 11);
	assert_int_equal(staging_count(staging), 0);
}

static void a_base_is_copied_by_one_only(void **state) {
	Staging *staging = *state;
	struct staged s = staged_file(12, "a.csv", true, 0);
	s.base_node = 5;
	s.base_version = 6;
	uint64_t base, version;
	assert_int_equal(staging_add(staging, &s), 0);
	assert_true(staging_take_base(staging, 12, &base, &version));
	assert_int_equal(base, 5);
	assert_int_equal(version, 6);
	assert_false(staging_take_base(staging, 12, &base, &version));
	staging_remove(staging, 12);
}

static void what_nobody_came_for_expires(void **state) {
	Staging *staging = *state;
	struct staged waiting = staged_file(13, "a.csv", true, 99), open = staged_file(14, "a.csv", true, 0), gone;
	waiting.made_ns = open.made_ns = 100;
	assert_int_equal(staging_add(staging, &waiting), 0);
	assert_int_equal(staging_add(staging, &open), 0);
	assert_false(staging_expire(staging, 100, &gone));
	assert_true(staging_expire(staging, 101, &gone));
	assert_int_equal(gone.node, 13);
	assert_false(staging_expire(staging, 1000, &gone)); /* an open one stays, however old */
	staging_remove(staging, 14);
}

static void what_a_policy_overtakes_is_met_no_more_and_given_once(void **state) {
	Staging *staging = *state;
	struct staged first = staged_file(15, "a.csv", false, 0), second = staged_file(16, "b.csv", false, 0), got;
	assert_int_equal(staging_add(staging, &second), 0);
	assert_int_equal(staging_add(staging, &first), 0);
	assert_true(staging_has_child(staging, first.parent));
	assert_false(staging_has_child(staging, first.parent + 1));
	assert_true(staging_next_temporary(staging, 0, &got));
	assert_int_equal(got.node, 15);
	assert_true(staging_next_temporary(staging, 15, &got));
	assert_int_equal(got.node, 16);
	assert_false(staging_next_temporary(staging, 16, &got));
	assert_true(staging_meet(staging, first.parent, bytes_of_string("a.csv"), first.uid, 1, 0, &got));
	staging_govern(staging, 15);
	assert_false(staging_meet(staging, first.parent, bytes_of_string("a.csv"), first.uid, 1, 0, &got));
	assert_true(staging_take_overtaken(staging, &got));
	assert_int_equal(got.node, 15);
	assert_true(got.governed);
	assert_false(staging_take_overtaken(staging, &got));
	staging_remove(staging, 15);
	staging_remove(staging, 16);
	assert_false(staging_has_child(staging, first.parent));
}

static int set_up(void **state) {
	Staging *staging;
	int rc = staging_new(&staging);
	*state = staging;
	return rc;
}

static int tear_down(void **state) {
	staging_free(*state);
	return 0;
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_governed_file_is_met_by_its_thread_until_it_opens_it, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_temporary_file_is_met_by_its_user_alone, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_base_is_copied_by_one_only, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_nobody_came_for_expires, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                what_a_policy_overtakes_is_met_no_more_and_given_once, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
