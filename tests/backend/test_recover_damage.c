/* A vault made anew from its backup: what is damaged, lacking or planted there.
 *
 * tests: backend/backup/recover
 */
#include "tests/backend/recover_fixture.h"

#include "backend/backup/layout.h"
#include "backend/backup/recall.h"
#include "backend/store_internal.h"
#include "crypto/digest.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- damage ---- */

typedef void damage_fn(Shelf *shelf, const char *name, const char *another);

static void flip(Shelf *shelf, const char *name, const char *another) {
	(void)another;
	shelf_flip(shelf, name, 90);
}

static void cut(Shelf *shelf, const char *name, const char *another) {
	(void)another;
	shelf_cut(shelf, name, 80);
}

static void erase(Shelf *shelf, const char *name, const char *another) {
	(void)another;
	shelf_erase(shelf, name);
}

static void swap(Shelf *shelf, const char *name, const char *another) {
	shelf_swap(shelf, name, another);
}

static damage_fn *const damages[] = {flip, cut, erase, swap};

/* The newest object below the prefix; and the other side of a swap: an object of the same kind, or of another. */
static void names_of(struct recover_world *w, const char *prefix, char *ret_name, char *ret_another) {
	size_t count = shelf_count(w->shelf, prefix);
	(void)shelf_name(w->shelf, prefix, count - 1, ret_name);
	(void)shelf_name(w->shelf, count > 1 ? prefix : "meta/", 0, ret_another);
}

static void damage_of_metadata_is_named_and_no_vault_is_made(void **state) {
	struct recover_world *w = *state;
	char name[OBJECT_NAME_MAX + 1], another[OBJECT_NAME_MAX + 1];
	shelf_forget_versions(w->shelf);
	shelf_erase(w->shelf, "super/0000000000000001"); /* else the older generation is taken */
	for (size_t p = 0; p < 3; p++) {
		static const char *const prefixes[] = {"header/", "meta/", "super/"};
		for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
			Shelf *shelf = w->shelf;
			w->shelf = shelf_new();
			w->options.open_arg = w->shelf;
			shelf_forget_versions(w->shelf);
			shelf_ship(w->shelf, w->v->store, 2);
			names_of(w, prefixes[p], name, another);
			damages[i](w->shelf, name, another);
			int rc = recover_now(w);
			if (rc != -EBADMSG && rc != -ENOENT)
				fail_msg("%s, damage %zu: %d: %s", name, i, rc, fault_message());
			if (damages[i] != erase && !strstr(fault_message(), name) && !strstr(fault_message(), another))
				fail_msg("%s is not named in: %s", name, fault_message());
			assert_false(recover_has(w, "vault.json"));
			if (access(w->target, F_OK) == 0)
				scratch_remove(w->target);
			shelf_free(w->shelf);
			w->shelf = shelf;
			w->options.open_arg = shelf;
		}
	}
}

/* A vault.json that opens for nobody here, with a newer generation's number. */
static void put_foreign_header(struct recover_world *w, uint64_t generation, const char *passphrase) {
	static uint8_t json[1 << 16];
	uint8_t hash[DIGEST_BYTES];
	char directory[80], path[100], name[LAYOUT_NAME_BYTES], recovery[STORE_RECOVERY_TEXT_BYTES];
	const struct store_init_options options = {.argon_memory = 8192, .argon_passes = 1};
	(void)snprintf(directory, sizeof directory, "%s/other", w->v->path);
	assert_rc(store_init(directory, bytes_of_string(passphrase), &options, recovery));
	(void)snprintf(path, sizeof path, "%s/vault.json", directory);
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	size_t size = fread(json, 1, sizeof json, file);
	(void)fclose(file);
	blake2b(bytes_of(json, size), hash);
	layout_header_name(generation, hash, name);
	shelf_put(w->shelf, name, json, size);
	scratch_remove(directory);
}

static void headers_that_somebody_put_there_are_got_around(void **state) {
	struct recover_world *w = *state;
	for (unsigned i = 0; i < 5; i++)
		put_foreign_header(w, 9999999999u - i, "not this one");
	/* Opens, and no superblock does. */
	put_foreign_header(w, 9999999990u, TEST_PASSPHRASE);
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 2);
	assert_non_null(strstr(w->notices, "going on with header/"));
	scratch_remove(w->target);
	assert_int_equal(recover_as(w, "incorrect horse"), -EKEYREJECTED);
	assert_non_null(strstr(fault_message(), "7 headers"));
	assert_non_null(strstr(fault_message(), "none opened by this secret"));
}

static void one_that_opens_for_nobody_hides_none_that_were_removed(void **state) {
	struct recover_world *w = *state;
	char name[OBJECT_NAME_MAX + 1];
	for (size_t i = 0; i < shelf_count(w->shelf, "super/"); i++)
		shelf_remove(w->shelf, shelf_name(w->shelf, "super/", i, name));
	shelf_put(w->shelf, "super/ffffffffffffffff", "x", 1);
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 2);
}

static void what_was_written_over_ever_so_often_is_found(void **state) {
	struct recover_world *w = *state;
	static const char *const folders[] = {"super/", "header/", "meta/", "segments/"};
	char name[OBJECT_NAME_MAX + 1];
	for (size_t folder = 0; folder < 4; folder++)
		for (size_t i = 0; i < shelf_count(w->shelf, folders[folder]); i++)
			for (unsigned n = 0; n < 100; n++)
				shelf_put(w->shelf, shelf_name(w->shelf, folders[folder], i, name), "gone", 4);
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 2);
	assert_int_equal(w->sum.missing, 0);
	assert_int_equal(w->sum.damaged, 0);
	recover_expect_sound(w);
}

/* Newer than those of the vault, between them, and over them. */
static void put_garbage(struct recover_world *w, unsigned many) {
	char name[OBJECT_NAME_MAX + 1];
	for (unsigned i = 0; i < many; i++) {
		(void)snprintf(name, sizeof name, "super/00000000ff%06x", i);
		shelf_put(w->shelf, name, "garbage", 7);
	}
	for (unsigned i = 0; i < 200; i++)
		shelf_put(w->shelf, "super/0000000000000002", "garbage", 7);
}

static int list_generations(struct recover_world *w, struct recover_generations *found) {
	const struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	found->count = 0;
	return recover_list(&w->place, &secret, &w->options, recover_take_generation, found);
}

static void a_thousand_superblocks_that_open_for_nobody_are_read_many_at_once(void **state) {
	struct recover_world *w = *state;
	struct recover_generations found;
	put_garbage(w, 1000);
	/* One that was removed, and covered before. */
	shelf_remove(w->shelf, "super/0000000000000002");
	shelf_erase(w->shelf, "super/0000000000000001");
	size_t batches = shelf_batches(w->shelf), gets = shelf_gets(w->shelf);
	assert_rc(list_generations(w, &found));
	assert_int_equal(found.count, 1);
	assert_int_equal(found.list[0].number, 2);
	assert_non_null(strstr(w->notices, "super/00000000ff0003e7"));
	/* What is there now, and its only version. */
	assert_in_range(shelf_gets(w->shelf) - gets, 2000, 2400);
	assert_in_range(shelf_batches(w->shelf) - batches, 2000 / 64, 80);
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 2);
}

static int fail_one(void *arg, enum object_what what, const char *name) {
	return name && what == OBJECT_GET && strcmp(name, arg) == 0 ? fault(EIO, "the link broke") : 0;
}

/* An error is none that may be read as "garbage": what it hides may be the newest generation. */
static void a_superblock_that_could_not_be_read_is_not_passed_over(void **state) {
	struct recover_world *w = *state;
	struct recover_generations found;
	char names[2][OBJECT_NAME_MAX + 1] = {"super/0000000000000002", "super/00000000ff000020"};
	put_garbage(w, 100);
	for (size_t i = 0; i < 2; i++) {
		shelf_on_request(w->shelf, fail_one, names[i]);
		assert_int_equal(list_generations(w, &found), -EIO);
		assert_int_equal(found.count, 0);
	}
	assert_int_equal(recover_now(w), -EIO);
	shelf_on_request(w->shelf, NULL, NULL);
	assert_rc(list_generations(w, &found));
	assert_int_equal(found.count, 2);
}

/* Sizes of a listing are the server's word. */
static void a_superblock_longer_than_any_is_passed_over(void **state) {
	struct recover_world *w = *state;
	struct recover_generations found;
	_cleanup_(freep) uint8_t *much = calloc(1, LAYOUT_SUPER_BYTES_MAX + 1);
	shelf_put(w->shelf, "super/00000000ff000000", much, LAYOUT_SUPER_BYTES_MAX + 1);
	shelf_put(w->shelf, "super/00000000ff000001", much, LAYOUT_SUPER_BYTES_MAX);
	shelf_put(w->shelf, "super/00000000ff000002", "", 0);
	shelf_put(w->shelf, "super/0000000000000001", much, LAYOUT_SUPER_BYTES_MAX + 1);
	assert_rc(list_generations(w, &found));
	assert_int_equal(found.count, 2);
	assert_non_null(strstr(w->notices, "super/00000000ff000002"));
}

static void superblocks_that_are_all_removed_are_told_of(void **state) {
	struct recover_world *w = *state;
	shelf_forget_versions(w->shelf);
	shelf_erase(w->shelf, "super/0000000000000001");
	shelf_erase(w->shelf, "super/0000000000000002");
	assert_int_equal(recover_now(w), -ENOENT);
	assert_non_null(strstr(fault_message(), "its superblocks were removed"));
}

static void a_listing_tells_of_damage_to_the_newest_only(void **state) {
	struct recover_world *w = *state;
	struct recover_generations found = {0};
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	shelf_forget_versions(w->shelf);
	shelf_flip(w->shelf, "super/0000000000000001", 100);
	assert_rc(recover_list(&w->place, &secret, &w->options, recover_take_generation, &found));
	assert_int_equal(found.count, 1);
	assert_string_equal(w->notices, "");
	shelf_flip(w->shelf, "super/0000000000000001", 100);
	shelf_flip(w->shelf, "super/0000000000000002", 100);
	assert_rc(recover_list(&w->place, &secret, &w->options, recover_take_generation, &found));
	assert_non_null(strstr(w->notices, "super/0000000000000002"));
}

static void an_older_generation_stands_in_for_a_damaged_superblock(void **state) {
	struct recover_world *w = *state;
	shelf_forget_versions(w->shelf);
	shelf_flip(w->shelf, "super/0000000000000002", 100);
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 1);
	assert_non_null(strstr(w->notices, "super/0000000000000002"));
	recover_expect_sound(w);
}

/* With versions in the bucket all of it comes back, whatever was put on top. */
static void earlier_versions_stand_in_for_what_was_put_over_them(void **state) {
	struct recover_world *w = *state;
	char names[64][OBJECT_NAME_MAX + 1];
	size_t count = shelf_count(w->shelf, "");
	assert_true(count <= 64);
	for (size_t i = 0; i < count; i++)
		(void)shelf_name(w->shelf, "", i, names[i]);
	for (size_t i = 0; i < count; i++) {
		if (i % 3 == 0)
			shelf_remove(w->shelf, names[i]);
		else if (i % 3 == 1)
			shelf_put(w->shelf, names[i], "garbage", 7);
	}
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 2);
	assert_int_equal(w->sum.missing, 0);
	recover_expect_sound(w);
	struct test_vault again = recover_open(w);
	recover_expect_file(&again, "a", 'y');
	recover_expect_file(&again, "b", 'b');
	assert_rc(store_close(again.store));
}

/* Of the right length: only what verifies tells them apart. */
static void extents_of_the_right_length_are_told_apart_by_what_verifies(void **state) {
	struct recover_world *w = *state;
	char name[OBJECT_NAME_MAX + 1];
	size_t count = shelf_count(w->shelf, "segments/");
	uint8_t *zeros = calloc(1, 200000);
	assert_non_null(zeros);
	for (size_t i = 0; i < count; i++) {
		unsigned from, to;
		(void)shelf_name(w->shelf, "segments/", i, name);
		assert_int_equal(sscanf(strrchr(name, '/') + 1, "%8x-%8x", &from, &to), 2);
		if (i % 2 == 0)
			shelf_put(w->shelf, name, zeros, to - from);
	}
	free(zeros);
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.missing, 0);
	recover_expect_sound(w);
}

static void parts_beyond_a_pack_are_none_of_it(void **state) {
	struct recover_world *w = *state;
	char names[16][OBJECT_NAME_MAX + 1], name[OBJECT_NAME_MAX + 1];
	size_t count = shelf_count(w->shelf, "meta/");
	assert_true(count > 0 && count <= 16);
	for (size_t i = 0; i < count; i++)
		(void)shelf_name(w->shelf, "meta/", i, names[i]);
	for (size_t i = 0; i < count; i++)
		for (char part = '1'; part < '8'; part = (char)(part + 2)) {
			(void)snprintf(name, sizeof name, "%s", names[i]);
			name[strlen(name) - 1] = part;
			shelf_put(w->shelf, name, "x", part == '5' ? 0 : 1);
		}
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.generation, 2);
	recover_expect_sound(w);
}

/* Beside each extent one that reaches farther, or overlaps all of them, and is garbage. */
static void extents_that_somebody_put_there_are_got_around(void **state) {
	struct recover_world *w = *state;
	char names[16][OBJECT_NAME_MAX + 1];
	size_t count = shelf_count(w->shelf, "segments/");
	uint8_t *garbage = calloc(1, 2 << 20);
	assert_non_null(garbage);
	assert_true(count > 0 && count <= 16);
	for (size_t i = 0; i < count; i++)
		(void)shelf_name(w->shelf, "segments/", i, names[i]);
	for (size_t i = 0; i < count; i++) {
		struct layout_name parsed;
		char name[LAYOUT_NAME_BYTES];
		layout_parse(names[i], &parsed);
		layout_extent_name(parsed.id, 0, 2 << 20, name);
		shelf_put(w->shelf, name, garbage, 2 << 20);
		/* Within the length, so that these come first. */
		layout_extent_name(parsed.id, parsed.from > 0 ? parsed.from - 1 : 0, parsed.to - 1, name);
		shelf_put(w->shelf, name, garbage, parsed.to - 1 - (parsed.from > 0 ? parsed.from - 1 : 0));
	}
	free(garbage);
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.missing, 0);
	assert_int_equal(w->sum.damaged, 0);
	recover_expect_sound(w);
	struct test_vault again = recover_open(w);
	recover_expect_file(&again, "a", 'y');
	recover_expect_file(&again, "b", 'b');
	assert_rc(store_close(again.store));
}

static void a_damaged_block_takes_nothing_else_with_it(void **state) {
	struct recover_world *w = *state;
	char name[OBJECT_NAME_MAX + 1];
	unsigned wrong = 0;
	uint8_t first;
	shelf_forget_versions(w->shelf);
	shelf_flip(w->shelf, shelf_name(w->shelf, "segments/", 1, name), 50000);
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_non_null(strstr(w->notices, name));
	assert_int_equal(w->sum.damaged, 1);
	assert_int_equal(w->sum.missing, 0);
	struct test_vault again = recover_open(w);
	wrong += recover_read(&again, "a", &first) == -EBADMSG;
	wrong += recover_read(&again, "b", &first) == -EBADMSG;
	assert_true(wrong <= 1); /* the block may be of the older version of a */
	assert_rc(store_close(again.store));
}

static void segments_that_are_not_all_there_are_counted_and_named(void **state) {
	struct recover_world *w = *state;
	char name[OBJECT_NAME_MAX + 1];
	uint8_t first;
	shelf_forget_versions(w->shelf);
	shelf_erase(w->shelf, shelf_name(w->shelf, "segments/", 1, name));
	w->options.full = true;
	assert_rc(recover_now(w));
	assert_int_equal(w->sum.missing, 1);
	assert_int_equal(w->sum.segments_fetched, w->sum.segments - 1);
	assert_true(recover_has(w, "origin"));
	struct test_vault again = recover_open(w);
	int a = recover_read(&again, "a", &first), b = recover_read(&again, "b", &first);
	assert_true(a == -EIO || b == -EIO || (a == 0 && b == 0));
	struct recall_status status;
	recall_status(store_recall(again.store), &status);
	assert_int_equal(status.missing_segments, 1);
	assert_rc(store_close(again.store));
	/* fsck asks nobody, and knows. */
	struct fsck_summary found;
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	w->notices[0] = '\0';
	assert_rc(fsck_run(w->target, &secret, recover_tell, w, &found));
	assert_true(found.findings > 0);
	assert_int_equal(found.elsewhere, 1);
	assert_non_null(strstr(w->notices, "the backup has not all of it"));
	if (a == -EIO || b == -EIO) {
		if (!strstr(w->notices, a == -EIO ? "Landing/a: version" : "Landing/b: version"))
			fail_msg("%s", w->notices);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                damage_of_metadata_is_named_and_no_vault_is_made, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                headers_that_somebody_put_there_are_got_around, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                one_that_opens_for_nobody_hides_none_that_were_removed, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_was_written_over_ever_so_often_is_found, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                superblocks_that_are_all_removed_are_told_of, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(a_thousand_superblocks_that_open_for_nobody_are_read_many_at_once,
	                recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_superblock_that_could_not_be_read_is_not_passed_over, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_superblock_longer_than_any_is_passed_over, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_listing_tells_of_damage_to_the_newest_only, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                an_older_generation_stands_in_for_a_damaged_superblock, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                earlier_versions_stand_in_for_what_was_put_over_them, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                extents_of_the_right_length_are_told_apart_by_what_verifies, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(parts_beyond_a_pack_are_none_of_it, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                extents_that_somebody_put_there_are_got_around, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_damaged_block_takes_nothing_else_with_it, recover_setup, recover_teardown),
	        cmocka_unit_test_setup_teardown(
	                segments_that_are_not_all_there_are_counted_and_named, recover_setup, recover_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
