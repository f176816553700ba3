/* Times of access that wait for their rows. */
#include "fs/access_times.h"

#include "tests/fs/inode_world.h"

#define HALF_A_DAY INT64_C(43200000000000)

static AccessTimes *times_of(struct world *world) {
	AccessTimes *times;
	assert_int_equal(access_times_new(store_meta(world->store), &times), 0);
	return times;
}

static struct node row_of(struct world *world, uint64_t id) {
	Meta *m = store_meta(world->store);
	struct node node;
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_get(m, id, &node)), 0);
	return node;
}

static uint64_t make_file(struct world *world, const char *name) {
	Meta *m = store_meta(world->store);
	struct node attributes = {.mode = S_IFREG | 0644}, node;
	meta_begin(m);
	int rc = tree_create(m, NODE_LANDING, bytes_of_string(name), &attributes, (struct bytes){0}, &node);
	assert_int_equal(meta_end(m, rc), 0);
	return node.id;
}

static void a_time_is_told_at_once_and_written_later(void **state) {
	struct world *world = *state;
	_cleanup_(access_times_freep) AccessTimes *times = times_of(world);
	uint64_t id = world->node.id;
	assert_int_equal(access_times_of(times, id), 0);
	assert_false(access_times_note(times, id, 1234567890));
	assert_int_equal(access_times_of(times, id), 1234567890);
	assert_int_equal(row_of(world, id).atime, world->node.atime);
	assert_int_equal(access_times_write(times), 0);
	assert_int_equal(row_of(world, id).atime, 1234567890);
	assert_int_equal(access_times_of(times, id), 0);
}

static void nothing_else_of_the_row_changes(void **state) {
	struct world *world = *state;
	_cleanup_(access_times_freep) AccessTimes *times = times_of(world);
	struct node before = row_of(world, world->node.id);
	assert_false(access_times_note(times, before.id, before.atime + 1));
	assert_int_equal(access_times_write(times), 0);
	struct node after = row_of(world, before.id);
	assert_int_equal(after.atime, before.atime + 1);
	after.atime = before.atime;
	assert_memory_equal(&after, &before, sizeof before);
}

static void the_last_of_several_counts(void **state) {
	struct world *world = *state;
	_cleanup_(access_times_freep) AccessTimes *times = times_of(world);
	assert_false(access_times_note(times, world->node.id, 1000));
	assert_false(access_times_note(times, world->node.id, 2000));
	assert_int_equal(access_times_of(times, world->node.id), 2000);
	assert_int_equal(access_times_write(times), 0);
	assert_int_equal(row_of(world, world->node.id).atime, 2000);
}

static void what_was_set_since_stays(void **state) {
	struct world *world = *state;
	_cleanup_(access_times_freep) AccessTimes *times = times_of(world);
	uint64_t other = make_file(world, "set");
	assert_false(access_times_note(times, world->node.id, 1000));
	assert_false(access_times_note(times, other, 3000));
	access_times_drop(times, world->node.id);
	assert_int_equal(access_times_of(times, world->node.id), 0);
	assert_int_equal(access_times_write(times), 0);
	assert_int_equal(row_of(world, world->node.id).atime, world->node.atime);
	assert_int_equal(row_of(world, other).atime, 3000);
}

static void files_without_a_name_need_none(void **state) {
	struct world *world = *state;
	_cleanup_(access_times_freep) AccessTimes *times = times_of(world);
	Meta *m = store_meta(world->store);
	uint64_t gone = make_file(world, "gone");
	struct node node;
	assert_false(access_times_note(times, gone, 1000));
	assert_false(access_times_note(times, gone + 1000, 1000)); /* there never was one */
	assert_false(access_times_note(times, world->node.id, 1000));
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_unlink(m, NODE_LANDING, bytes_of_string("gone"), &node)), 0);
	assert_int_equal(access_times_write(times), 0);
	assert_int_not_equal(row_of(world, gone).atime, 1000);
	assert_int_equal(row_of(world, world->node.id).atime, 1000);
	assert_int_equal(access_times_of(times, gone), 0);
}

static void all_are_due_when_there_is_no_room(void **state) {
	struct world *world = *state;
	_cleanup_(access_times_freep) AccessTimes *times = times_of(world);
	uint64_t id = world->node.id, other = id;
	assert_false(access_times_note(times, id, 1000));
	unsigned kept = 0;
	while (!access_times_note(times, other += ACCESS_TIMES_MAX, 1000)) /* all of them want the same place */
		assert_true(++kept < 100);
	assert_int_equal(access_times_of(times, other), 0);
	assert_int_equal(access_times_of(times, id), 1000);
	assert_int_equal(access_times_write(times), 0);
	assert_int_equal(row_of(world, id).atime, 1000);
	assert_false(access_times_note(times, other, 1000));
}

static void more_than_are_written_at_once_are_all_written(void **state) {
	struct world *world = *state;
	_cleanup_(access_times_freep) AccessTimes *times = times_of(world);
	enum { FILES = 1500 };
	uint64_t ids[FILES];
	for (unsigned i = 0; i < FILES; i++) {
		char name[32];
		snprintf(name, sizeof name, "many%u", i);
		ids[i] = make_file(world, name);
		assert_false(access_times_note(times, ids[i], 5000 + i));
	}
	assert_int_equal(access_times_write(times), 0);
	for (unsigned i = 0; i < FILES; i++)
		assert_int_equal(row_of(world, ids[i]).atime, 5000 + i);
}

static void none_waits_longer_than_half_a_day_while_others_come(void **state) {
	struct world *world = *state;
	_cleanup_(access_times_freep) AccessTimes *times = times_of(world);
	uint64_t id = world->node.id;
	assert_false(access_times_note(times, id, 1000));
	assert_false(access_times_note(times, id + 1, 1000 + HALF_A_DAY));
	assert_true(access_times_note(times, id + 2, 1001 + HALF_A_DAY));
	assert_int_equal(access_times_write(times), 0);
	assert_false(access_times_note(times, id, 1002 + HALF_A_DAY));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_time_is_told_at_once_and_written_later, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(nothing_else_of_the_row_changes, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(the_last_of_several_counts, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(what_was_set_since_stays, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(files_without_a_name_need_none, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(all_are_due_when_there_is_no_room, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(
	                more_than_are_written_at_once_are_all_written, world_set_up, world_tear_down),
	        cmocka_unit_test_setup_teardown(
	                none_waits_longer_than_half_a_day_while_others_come, world_set_up, world_tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
