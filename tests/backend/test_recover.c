/* A vault made anew from its backup: what comes back, what stands in its way, and what an interruption leaves. */
#include "tests/backend/recover_fixture.h"

#include "backend/backup/backup.h"
#include "backend/backup/layout.h"
#include "backend/backup/recall.h"
#include "backend/store_internal.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what comes back ---- */

static void all_is_there_and_sound_with_full(void **state) {
	struct recover_world *w = *state;
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 2);
	assert_int_equal(w->sum.missing, 0);
	assert_true(w->sum.segments >= 2);
	assert_int_equal(w->sum.segments_fetched, w->sum.segments);
	assert_int_equal(w->sum.bytes_fetched, w->sum.bytes);
	assert_false(recover_has(w, "origin"));
	recover_expect_sound(w);
	struct test_vault again = recover_open(w);
	assert_null(store_recall(again.store));
	recover_expect_file(&again, "a", 'y');
	recover_expect_file(&again, "b", 'b');
	recover_expect_record(w, &again, "recover", "generation 2");
	assert_rc(store_close(again.store));
}

static void segments_come_when_they_are_first_read(void **state) {
	struct recover_world *w = *state;
	struct recall_status status;
	assert_rc(recover_now(w));
	assert_true(recover_has(w, "origin"));
	assert_int_equal(w->sum.segments_fetched, 0);
	struct test_vault again = recover_open(w);
	recall_status(store_recall(again.store), &status);
	assert_int_equal(status.missing_segments, status.segments);
	size_t before = shelf_gets(w->shelf);
	recover_expect_file(&again, "b", 'b');
	assert_true(shelf_gets(w->shelf) > before);
	recall_status(store_recall(again.store), &status);
	assert_int_equal(status.missing_segments, status.segments - 1);
	before = shelf_gets(w->shelf);
	recover_expect_file(&again, "b", 'b');
	assert_int_equal(shelf_gets(w->shelf), before);
	assert_rc(store_close(again.store));

	/* Mounted again before all is there; then the rest. */
	again = recover_open(w);
	recover_expect_file(&again, "a", 'y');
	uint64_t bytes = 0;
	int rc;
	while ((rc = recall_next(store_recall(again.store), &bytes)) == 1)
		;
	assert_rc(rc);
	assert_false(recover_has(w, "origin"));
	recall_status(store_recall(again.store), &status);
	assert_int_equal(status.missing_segments, 0);
	assert_rc(store_close(again.store));
	recover_expect_sound(w);
}

static void the_rest_is_fetched_by_a_second_call(void **state) {
	struct recover_world *w = *state;
	assert_rc(recover_now(w));
	struct test_vault again = recover_open(w);
	recover_write(&again, "new", 'n');
	assert_rc(store_close(again.store));
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_false(recover_has(w, "origin"));
	recover_expect_sound(w);
	again = recover_open(w);
	recover_expect_file(&again, "new", 'n');
	recover_expect_file(&again, "a", 'y');
	assert_rc(store_close(again.store));
	assert_rc(recover_now(w));
	assert_true(w->sum.was_whole);
	w->options.full = false;
	assert_int_equal(recover_now(w), -ENOTEMPTY);
}

static void another_vaults_directory_is_not_all_of_this_one(void **state) {
	struct recover_world *w = *state;
	struct test_vault other = {.options = w->v->options};
	test_vault_make(&other);
	(void)snprintf(w->target, sizeof w->target, "%s", other.vault);
	w->options.full = true;
	assert_int_equal(recover_now(w), -ENOTEMPTY);
	scratch_remove(other.path);
}

static void an_earlier_generation_can_be_chosen(void **state) {
	struct recover_world *w = *state;
	struct recover_generations found = {0};
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	uint8_t first;
	assert_rc(recover_list(&w->place, &secret, &w->options, recover_take_generation, &found));
	assert_int_equal(found.count, 2);
	assert_int_equal(found.list[0].number, 2);
	assert_true(found.list[0].time_ns > found.list[1].time_ns);
	w->options.at_ns = found.list[1].time_ns - 1;
	assert_int_equal(recover_now(w), -ENOENT);
	assert_non_null(strstr(fault_message(), "oldest"));
	assert_int_not_equal(access(w->target, F_OK), 0);
	w->options.at_ns = found.list[0].time_ns - 1;
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 1);
	recover_expect_sound(w);
	assert_null(strstr(w->notices, "future"));
	struct test_vault again = recover_open(w);
	recover_expect_file(&again, "a", 'x');
	assert_int_equal(recover_read(&again, "b", &first), -ENOENT);
	assert_rc(store_close(again.store));
}

static void what_was_begun_of_one_time_is_not_gone_on_with_for_another(void **state) {
	struct recover_world *w = *state;
	struct recover_generations found = {0};
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	assert_rc(recover_list(&w->place, &secret, &w->options, recover_take_generation, &found));
	w->options.at_ns = found.list[1].time_ns;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 1);
	w->options.at_ns = found.list[0].time_ns;
	assert_int_equal(recover_now(w), -EEXIST);
	assert_non_null(strstr(fault_message(), "generation 1"));
	w->options.at_ns = found.list[1].time_ns;
	assert_rc(recover_now(w));
	w->options.at_ns = 0;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 1);
	assert_non_null(strstr(w->notices, "generation 1"));
}

static void a_time_in_the_future_is_the_newest_generation(void **state) {
	struct recover_world *w = *state;
	w->options.at_ns = INT64_MAX / 2;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 2);
	assert_non_null(strstr(w->notices, "in the future"));
}

static void the_recovered_vault_ships_on_to_the_same_place(void **state) {
	struct recover_world *w = *state;
	struct backup_target rule = {.url = SHELF_URL};
	const struct actor actor = {0};
	const struct backup_options options = {.rpo_ms = 20, .open = shelf_open, .open_arg = w->shelf};
	Backup *backup = NULL;
	char name[OBJECT_NAME_MAX + 1];
	/* A pack of a generation that was not completed: the next one of that number is another. */
	uint64_t newest = strtoull(
	        shelf_name(w->shelf, "meta/", shelf_count(w->shelf, "meta/") - 1, name) + strlen("meta/"), NULL, 16);
	layout_part_name(newest + 1, 0, name);
	shelf_put(w->shelf, name, "torn", 4);
	assert_rc(recover_now(w));
	struct test_vault again = recover_open(w);
	recover_expect_file(&again, "a", 'y');
	assert_rc(backup_open(again.store, &options, &backup));
	assert_rc(backup_add(backup, &rule, false, &actor));
	recover_write(&again, "c", 'c');
	assert_rc(backup_sync(backup, NULL, 20000));
	backup_close(backup, 0);
	assert_rc(store_close(again.store));
	scratch_remove(w->target);
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_true(w->sum.generation > 2);
	assert_int_equal(w->sum.missing, 0);
	recover_expect_sound(w);
	again = recover_open(w);
	recover_expect_file(&again, "a", 'y');
	recover_expect_file(&again, "c", 'c');
	assert_rc(store_close(again.store));
}

static void remove_superblocks(struct recover_world *w) {
	char name[OBJECT_NAME_MAX + 1];
	for (size_t i = 0; i < shelf_count(w->shelf, "super/"); i++)
		shelf_remove(w->shelf, shelf_name(w->shelf, "super/", i, name));
}

/* What is shipped after somebody removed all superblocks is newer than they are, for recovery too. */
static void removed_superblocks_do_not_hide_what_is_shipped_later(void **state) {
	struct recover_world *w = *state;
	struct backup_target rule = {.url = SHELF_URL, .lock_days = 1};
	const struct actor actor = {0};
	const struct backup_options options = {.rpo_ms = 20, .open = shelf_open, .open_arg = w->shelf};
	Backup *backup = NULL;
	assert_rc(recover_now(w));
	remove_superblocks(w);
	shelf_put(w->shelf, "super/ffffffffffffff00", "x", 1);
	remove_superblocks(w);
	struct test_vault again = recover_open(w);
	assert_rc(backup_open(again.store, &options, &backup));
	assert_rc(backup_add(backup, &rule, false, &actor));
	recover_write(&again, "c", 'c');
	assert_rc(backup_sync(backup, NULL, 20000));
	backup_close(backup, 0);
	assert_rc(store_close(again.store));
	scratch_remove(w->target);
	assert_rc(recover_now(w));
	assert_true(w->sum.generation > 2);
	again = recover_open(w);
	recover_expect_file(&again, "c", 'c');
	assert_rc(store_close(again.store));
}

static void what_is_recovered_goes_on_beside_the_vault_whose_backup_it_is(void **state) {
	struct recover_world *w = *state;
	w->options.state_directory = w->state;
	w->v->options.state_directory = w->state;
	test_vault_reopen(w->v);
	recover_write(w->v, "c", 'c');
	assert_rc(store_close(w->v->store));
	w->v->store = NULL;
	assert_rc(recover_now(w));
	struct test_vault again = recover_open(w);
	recover_expect_record(w, &again, "accept-restore", "records");
	assert_rc(store_close(again.store));
	for (int i = 0; i < 2; i++) {
		again.options.state_directory = w->state;
		assert_rc(test_vault_open(w->target, &again.options, &again.store));
		assert_rc(store_close(again.store));
		test_vault_reopen(w->v);
		assert_rc(store_close(w->v->store));
		w->v->store = NULL;
	}
}

/* ---- what stands in its way ---- */

static void a_wrong_passphrase_makes_nothing(void **state) {
	struct recover_world *w = *state;
	assert_int_equal(recover_as(w, "incorrect horse"), -EKEYREJECTED);
	assert_int_not_equal(access(w->target, F_OK), 0);
}

static void an_empty_place_says_so(void **state) {
	struct recover_world *w = *state;
	Shelf *empty = shelf_new();
	w->options.open_arg = empty;
	assert_int_equal(recover_now(w), -ENOENT);
	assert_non_null(strstr(fault_message(), SHELF_URL));
	assert_int_not_equal(access(w->target, F_OK), 0);
	shelf_free(empty);
}

static void a_directory_with_something_in_it_is_left_alone(void **state) {
	struct recover_world *w = *state;
	assert_int_equal(mkdir(w->target, 0700), 0);
	scratch_write(w->target, "mine", "mine", 4);
	assert_int_equal(recover_now(w), -ENOTEMPTY);
	assert_false(recover_has(w, "origin"));
	assert_true(recover_has(w, "mine"));
}

static void one_begun_from_elsewhere_is_left_alone(void **state) {
	struct recover_world *w = *state;
	assert_rc(recover_now(w));
	w->place.url = "s3://another/place";
	assert_int_equal(recover_now(w), -EEXIST);
	assert_non_null(strstr(fault_message(), SHELF_URL));
	w->place.url = SHELF_URL;
	w->options.at_ns = 1;
	assert_int_equal(recover_now(w), -ENOENT);
}

static void a_place_with_another_vaults_objects_is_no_backup(void **state) {
	struct recover_world *w = *state;
	struct test_vault other = {.options = w->v->options};
	char name[OBJECT_NAME_MAX + 1];
	test_vault_make(&other);
	assert_rc(test_vault_open(other.vault, &other.options, &other.store));
	Shelf *mixed = shelf_new();
	shelf_ship(mixed, other.store, 1);
	/* Its header opens with the same passphrase; its superblock is not of that vault. */
	(void)shelf_name(mixed, "super/", 0, name);
	shelf_ship(w->shelf, other.store, 3);
	w->options.full = true;
	shelf_erase(w->shelf, "super/0000000000000001");
	shelf_erase(w->shelf, "super/0000000000000002");
	shelf_flip(w->shelf, "super/0000000000000003", 100);
	assert_int_equal(recover_now(w), -EBADMSG);
	assert_non_null(strstr(fault_message(), "super/0000000000000003"));
	shelf_free(mixed);
	store_abandon(other.store);
	scratch_remove(other.path);
}

/* ---- interruptions ---- */

struct countdown {
	_Atomic unsigned left, asked;
};

static int fail_at(void *arg, enum object_what what, const char *name) {
	struct countdown *countdown = arg;
	(void)what;
	(void)name;
	countdown->asked++;
	return countdown->left > 0 && countdown->asked == countdown->left ? -ETIMEDOUT : 0;
}

static void whatever_request_fails_a_second_call_goes_on(void **state) {
	struct recover_world *w = *state;
	struct countdown countdown = {0};
	shelf_on_request(w->shelf, fail_at, &countdown);
	w->options.full = true;
	assert_rc(recover_now(w));
	unsigned all = countdown.asked;
	scratch_remove(w->target);
	for (unsigned at = 1; at <= all; at++) {
		countdown = (struct countdown){.left = at};
		int rc = recover_now(w);
		if (rc != 0 && rc != -ETIMEDOUT)
			fail_msg("request %u of %u: %d: %s", at, all, rc, fault_message());
		countdown = (struct countdown){0};
		if (rc < 0)
			assert_rc(recover_now(w));
		assert_false(recover_has(w, "origin"));
		if (at % 5 == 0)
			recover_expect_sound(w);
		scratch_remove(w->target);
	}
}

static int copy_tree(const char *from, const char *to) {
	char command[256];
	(void)snprintf(command, sizeof command, "cp -a %s %s", from, to);
	return system(command);
}

struct stages {
	struct recover_world *w;
	unsigned copies;
};

/* The directory as a kill would leave it before each request. */
static int copy_stage(void *arg, enum object_what what, const char *name) {
	struct stages *stages = arg;
	char to[128];
	(void)what;
	(void)name;
	if (stages->copies < 40 && access(stages->w->target, F_OK) == 0) {
		(void)snprintf(to, sizeof to, "%s.%u", stages->w->target, stages->copies);
		assert_int_equal(copy_tree(stages->w->target, to), 0);
		stages->copies++;
	}
	return 0;
}

static void what_a_kill_leaves_is_gone_on_with(void **state) {
	struct recover_world *w = *state;
	struct stages stages = {.w = w};
	shelf_on_request(w->shelf, copy_stage, &stages);
	assert_rc(recover_now(w));
	shelf_on_request(w->shelf, NULL, NULL);
	assert_true(stages.copies > 3);
	w->options.full = true;
	for (unsigned i = 0; i < stages.copies; i++) {
		char from[128];
		scratch_remove(w->target);
		(void)snprintf(from, sizeof from, "%s.%u", w->target, i);
		assert_int_equal(rename(from, w->target), 0);
		/* Torn files of that moment. */
		scratch_write(w->target, "vault.json.tmp", "{", 1);
		if (recover_has(w, "meta"))
			scratch_write(w->target, "meta/77.tmp", "x", 1);
		assert_rc(recover_now(w));
		(void)unlink("vault.json.tmp");
		struct test_vault again = recover_open(w);
		recover_expect_file(&again, "a", 'y');
		assert_rc(store_close(again.store));
	}
}

static void one_that_got_as_far_as_its_name_is_begun(void **state) {
	struct recover_world *w = *state;
	assert_int_equal(mkdir(w->target, 0700), 0);
	scratch_write(w->target, "origin.tmp", "{", 1);
	assert_rc(recover_now(w));
	assert_false(recover_has(w, "origin.tmp"));
}

/* Another recovery of the same path, which ends while this one still waits for the place. */
struct other_recovery {
	struct recover_world *w;
	bool is_done;
};

static int open_after_another(const struct objects_place *place, Objects **ret, void *arg) {
	struct other_recovery *other = arg;
	struct recover_world *w = other->w;
	if (!other->is_done) {
		other->is_done = true;
		assert_rc(recover_now(w));
		struct test_vault again = recover_open(w);
		recover_write(&again, "newer", 'n');
		assert_rc(store_close(again.store));
	}
	return shelf_open(place, ret, w->shelf);
}

static void of_two_recoveries_the_slower_one_breaks_nothing(void **state) {
	struct recover_world *w = *state;
	struct other_recovery other = {.w = w};
	struct recover_options slower = w->options;
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	struct recover_summary sum;
	slower.open = open_after_another;
	slower.open_arg = &other;
	assert_rc(recover_vault(&w->place, w->target, &secret, &slower, &sum));
	struct test_vault again = recover_open(w);
	recover_expect_file(&again, "newer", 'n');
	recover_expect_file(&again, "a", 'y');
	assert_int_equal(recover_now(w), -EBUSY);
	assert_rc(store_close(again.store));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(all_is_there_and_sound_with_full, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                segments_come_when_they_are_first_read, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(the_rest_is_fetched_by_a_second_call, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                another_vaults_directory_is_not_all_of_this_one, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(an_earlier_generation_can_be_chosen, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_was_begun_of_one_time_is_not_gone_on_with_for_another, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_time_in_the_future_is_the_newest_generation, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                the_recovered_vault_ships_on_to_the_same_place, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                removed_superblocks_do_not_hide_what_is_shipped_later, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_is_recovered_goes_on_beside_the_vault_whose_backup_it_is, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(a_wrong_passphrase_makes_nothing, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(an_empty_place_says_so, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_directory_with_something_in_it_is_left_alone, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                one_begun_from_elsewhere_is_left_alone, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_place_with_another_vaults_objects_is_no_backup, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                whatever_request_fails_a_second_call_goes_on, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(what_a_kill_leaves_is_gone_on_with, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                one_that_got_as_far_as_its_name_is_begun, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                of_two_recoveries_the_slower_one_breaks_nothing, recover_setup, recover_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
