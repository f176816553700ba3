/* Which generations are kept, and what removal must not do: on a place in memory whose clock is the test's. */
#include "tests/backend/backup_fixture.h"
#include "tests/backend/memory_place.h"

#include "backend/backup/retain.h"
#include "backend/backup/targets.h"
#include "tests/backend/gc_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE_S 100
#define HOUR_S 3600
#define DAY_S 86400

struct world {
	struct test_vault *v;
	struct memory_place place;
	struct ship ship;
	Retain *retain;
};

static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	assert_int_equal(gc_fixture_setup((void **)&w->v), 0);
	w->place.now_s = 1000000;
	assert_rc(memory_place_open(&w->place, &w->ship.objects));
	assert_rc(ship_init(&w->ship, w->v->store, &(struct backup_target){0}));
	assert_rc(retain_new(GRACE_S, &w->retain));
	assert_rc(ship_begin(&w->ship));
	*state = w;
	return 0;
}

static int teardown(void **state) {
	struct world *w = *state;
	objects_close(w->ship.objects);
	ship_clear(&w->ship);
	retain_free(w->retain);
	memory_place_clear(&w->place);
	assert_int_equal(test_vault_teardown((void **)&w->v), 0);
	free(w);
	return 0;
}

static void generation(struct world *w) {
	gc_commit(w->v);
	assert_rc(ship_round(&w->ship));
}

static struct retain_result pass(struct world *w, int64_t later_s) {
	struct retain_result result = {0};
	w->place.now_s += later_s;
	assert_rc(retain_pass(w->retain, &w->ship, w->place.now_s, w->place.now_s, &result));
	return result;
}

static size_t supers(struct world *w) {
	return memory_place_count(&w->place, "super/");
}

/* Superblocks of times that the test makes up: the retention opens and believes them. */
static void put_super(struct world *w, uint64_t number, int64_t time_s) {
	struct layout_super super = w->ship.last;
	char name[LAYOUT_NAME_BYTES];
	uint8_t *bytes = NULL;
	size_t size = 0;
	super.number = number;
	super.time_ns = time_s * INT64_C(1000000000);
	super.leaving_count = 0;
	assert_rc(layout_super_seal(store_keyring(w->ship.store), 0, w->ship.vault_id, &super, &bytes, &size));
	layout_super_name(number, name);
	assert_rc(objects_put(w->ship.objects, name, bytes_of(bytes, size)));
	free(bytes);
}

static void the_newest_stay_and_others_go_after_two_passes(void **state) {
	struct world *w = *state;
	for (int i = 0; i < BACKUP_KEEP_LAST + 5; i++)
		generation(w);
	assert_int_equal(supers(w), BACKUP_KEEP_LAST + 5);
	assert_int_equal(pass(w, 1).removed, 0);
	assert_int_equal(pass(w, GRACE_S - 1).removed, 0);
	struct retain_result result = pass(w, 1);
	/* The hour may have turned while the test made them. */
	assert_true(result.removed >= 4 && result.removed <= 5);
	assert_int_equal(supers(w), result.generations);
	assert_int_equal(pass(w, GRACE_S).candidates, 0);
}

static void the_last_of_each_hour_and_day_stay(void **state) {
	struct world *w = *state;
	generation(w);
	/* One each ten minutes for 40 days, up to the time of the newest. */
	int64_t newest = w->ship.last.time_ns / INT64_C(1000000000) / DAY_S * DAY_S + 12 * HOUR_S;
	uint64_t number = w->ship.last.number;
	const uint64_t count = 40 * 144;
	for (uint64_t i = 1; i <= count; i++)
		put_super(w, number + i, newest - (int64_t)(count - i) * 600);
	(void)pass(w, 1);
	(void)pass(w, GRACE_S);
	struct retain_result result = pass(w, GRACE_S);
	/* The first one's time is that of now: it may be newer than the made-up ones, and then it stays as well. */
	size_t expected = BACKUP_KEEP_LAST + 24 + 30;
	assert_in_range(supers(w), expected - 4, expected + 4);
	assert_int_equal(result.generations, supers(w));
}

static void nothing_goes_when_a_listing_or_a_superblock_can_not_be_read(void **state) {
	struct world *w = *state;
	struct retain_result result;
	for (int i = 0; i < BACKUP_KEEP_LAST + 5; i++)
		generation(w);
	(void)pass(w, 1);
	size_t before = memory_place_count(&w->place, "");
	w->place.now_s += GRACE_S;
	w->place.list_fails_after = 5;
	assert_int_equal(retain_pass(w->retain, &w->ship, w->place.now_s, w->place.now_s, &result), -EIO);
	assert_int_equal(memory_place_count(&w->place, ""), before);
	w->place.list_fails_after = 0;
	/* One that nobody has opened yet and that is damaged. */
	assert_rc(objects_put(w->ship.objects, "super/0000000000000001", bytes_of_string("damaged")));
	Retain *fresh = NULL;
	assert_rc(retain_new(GRACE_S, &fresh));
	for (int i = 0; i < 3; i++) {
		w->place.now_s += GRACE_S;
		assert_int_equal(retain_pass(fresh, &w->ship, w->place.now_s, w->place.now_s, &result), -EBADMSG);
	}
	retain_free(fresh);
	assert_int_equal(memory_place_count(&w->place, ""), before);
}

static void what_is_not_ours_stays(void **state) {
	struct world *w = *state;
	for (int i = 0; i < BACKUP_KEEP_LAST + 5; i++)
		generation(w);
	assert_rc(objects_put(w->ship.objects, "notes/readme.txt", bytes_of_string("mine")));
	assert_rc(objects_put(w->ship.objects, "super/notes", bytes_of_string("mine")));
	for (int i = 0; i < 4; i++)
		(void)pass(w, GRACE_S);
	assert_int_equal(memory_place_count(&w->place, "notes/"), 1);
	assert_int_equal(memory_place_count(&w->place, "super/notes"), 1);
}

static void locks_are_waited_for_renewed_and_reported(void **state) {
	struct world *w = *state;
	w->ship.lock_days = 10;
	w->place.now_s = (int64_t)time(NULL);
	for (int i = 0; i < BACKUP_KEEP_LAST + 5; i++)
		generation(w);
	w->place.refused = 0;
	(void)pass(w, 1);
	/* Not even tried while the lock holds. */
	struct retain_result result = pass(w, GRACE_S);
	assert_int_equal(result.removed + result.refused, 0);
	assert_int_equal(w->place.refused, 0);
	/* Half of the days later what is needed is locked for ten more. */
	result = pass(w, 6 * DAY_S);
	assert_true(result.renewed > 0);
	assert_int_equal(pass(w, 1).renewed, 0);
	size_t before = supers(w);
	result = pass(w, 5 * DAY_S);
	assert_true(result.removed >= 4);
	assert_int_equal(result.refused, 0);
	assert_true(supers(w) < before);
	/* Somebody has locked one for longer: told, and a day later tried again. */
	for (int i = 0; i < BACKUP_KEEP_LAST; i++)
		generation(w);
	memory_place_lock_all(&w->place, w->place.now_s + 20 * DAY_S);
	(void)pass(w, 1);
	result = pass(w, 11 * DAY_S);
	assert_true(result.refused > 0);
	assert_non_null(strstr(result.refusal, "lock"));
	unsigned refused = w->place.refused;
	(void)pass(w, HOUR_S);
	assert_int_equal(w->place.refused, refused);
	(void)pass(w, DAY_S);
	assert_true(w->place.refused > refused);
}

static void flip_segment(struct world *w, off_t at) {
	char name[SEGMENT_NAME_BYTES], path[400];
	uint8_t byte;
	assert_rc(segment_name(store_segments(w->v->store), 1, name));
	(void)snprintf(path, sizeof path, "%s/%s", w->v->vault, name);
	int fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void small_extents_of_a_closed_segment_become_one(void **state) {
	struct world *w = *state;
	uint64_t node = test_vault_create(w->v, NODE_LANDING, "a");
	for (uint64_t i = 0; i < 10; i++) {
		Content *c = gc_open_content(w->v, node);
		gc_put_blocks(c, i, 1, (uint8_t)i);
		gc_seal(c);
		content_close(c);
		generation(w);
	}
	assert_true(memory_place_count(&w->place, "segments/") >= 10);
	/* While it is written to it stays as it is. */
	assert_int_equal(pass(w, 1).merged, 0);
	gc_close_segments(w->v);
	assert_rc(ship_round(&w->ship));
	/* Nor when what is here is damaged: what is there may be all that is left. */
	flip_segment(w, 40000);
	assert_int_equal(pass(w, 1).merged, 0);
	flip_segment(w, 40000);
	assert_int_equal(pass(w, 1).merged, 1);
	size_t before = memory_place_count(&w->place, "segments/");
	assert_int_equal(pass(w, 1).merged, 0);
	(void)pass(w, GRACE_S);
	assert_true(before >= 11);
	assert_int_equal(memory_place_count(&w->place, "segments/"), 1);
	generation(w);
	assert_int_equal(w->ship.inventory.segment_count, 1);
	assert_int_equal(w->ship.inventory.segments[0].covered, w->ship.checkpoint.segments[0].bytes);
}

/* ---- locks outlive what goes wrong ---- */

static size_t unlocked(const struct world *w) {
	size_t count = 0;
	for (size_t i = 0; i < w->place.count; i++)
		count += w->place.objects[i].locked_until_s <= w->place.now_s &&
		         strcmp(w->place.objects[i].name, "super/fffffffffffffff0") != 0;
	return count;
}

static int pass_rc(struct world *w, int64_t later_s, struct retain_result *ret) {
	w->place.now_s += later_s;
	return retain_pass(w->retain, &w->ship, w->place.now_s, w->place.now_s, ret);
}

static void begin_locked(struct world *w) {
	w->ship.lock_days = 10;
	w->place.now_s = (int64_t)time(NULL);
	for (int i = 0; i < BACKUP_KEEP_LAST + 5; i++)
		generation(w);
}

static void a_superblock_that_does_not_open_keeps_no_lock_from_being_renewed(void **state) {
	struct world *w = *state;
	struct retain_result result;
	begin_locked(w);
	assert_rc(objects_put(w->ship.objects, "super/fffffffffffffff0", bytes_of_string("garbage")));
	size_t before = w->place.count;
	for (int day = 1; day <= 22; day++) {
		assert_int_equal(pass_rc(w, DAY_S, &result), -EBADMSG);
		assert_non_null(strstr(fault_message(), "super/fffffffffffffff0"));
		assert_int_equal(unlocked(w), 0);
	}
	/* Nothing went; once it is gone, what is not needed goes. */
	assert_int_equal(w->place.count, before);
	assert_rc(objects_remove(w->ship.objects, "super/fffffffffffffff0"));
	(void)pass(w, 1);
	assert_true(pass(w, 11 * DAY_S).removed > 0);
}

static void removals_that_are_denied_are_refusals_and_no_failure(void **state) {
	struct world *w = *state;
	struct retain_result result;
	uint64_t refused = 0;
	begin_locked(w);
	w->place.denies = true;
	(void)pass(w, 1);
	for (int day = 1; day <= 22; day++) {
		assert_rc(pass_rc(w, DAY_S, &result));
		refused += result.refused;
		assert_false(result.more);
		/* Those of what is not needed end. */
		assert_true(unlocked(w) <= result.candidates);
	}
	assert_true(refused > 0 && w->place.refused == 0);
	(void)pass_rc(w, HOUR_S, &result);
	assert_int_equal(result.refused, 0);
	w->place.denies = false;
	assert_true(pass(w, DAY_S).removed > 0);
}

static void one_lock_that_can_not_be_renewed_keeps_no_other(void **state) {
	struct world *w = *state;
	struct retain_result result;
	begin_locked(w);
	(void)pass(w, 1);
	w->place.no_lock = w->place.objects[0].name;
	assert_int_equal(pass_rc(w, 6 * DAY_S, &result), -EACCES);
	assert_true(result.renewed > 5);
	/* It is tried again an hour later, and until then it is said all the same. */
	assert_int_equal(pass_rc(w, 1, &result), -EACCES);
	assert_int_equal(result.renewed, 0);
	w->place.no_lock = NULL;
	assert_int_equal(pass_rc(w, 1, &result), -EACCES);
	assert_rc(pass_rc(w, HOUR_S, &result));
	assert_int_equal(result.renewed, 1);
}

static void what_was_put_before_the_locks_is_locked_at_once(void **state) {
	struct world *w = *state;
	struct retain_result result;
	w->place.now_s = (int64_t)time(NULL);
	for (int i = 0; i < 3; i++)
		generation(w);
	(void)pass(w, 1);
	w->ship.lock_days = 30;
	w->ship.locked_since_s = w->place.now_s;
	Retain *fresh = NULL;
	assert_rc(retain_new(GRACE_S, &fresh));
	assert_rc(retain_pass(fresh, &w->ship, w->place.now_s, w->place.now_s, &result));
	assert_int_equal(result.renewed, w->place.count);
	assert_int_equal(unlocked(w), 0);
	assert_rc(retain_pass(fresh, &w->ship, w->place.now_s, w->place.now_s, &result));
	assert_int_equal(result.renewed, 0);
	retain_free(fresh);
}

/* A vault that is mounted each few days: what is to go must not be locked anew each time. */
static void mounts_do_not_renew_locks_of_what_is_not_needed(void **state) {
	struct world *w = *state;
	struct retain_result result = {0};
	begin_locked(w);
	size_t before = supers(w);
	for (int i = 0; i < 10; i++) {
		retain_free(w->retain);
		assert_rc(retain_new(GRACE_S, &w->retain));
		w->place.now_s += 2 * DAY_S;
		(void)pass(w, 1);
		result = pass(w, GRACE_S);
		assert_true(unlocked(w) <= result.candidates);
	}
	assert_true(supers(w) < before);
}

/* Each generation has a pack of its own. */
static void ten_thousand_generations_are_looked_through_at_once(void **state) {
	struct world *w = *state;
	generation(w);
	uint64_t first = w->ship.last.number, pack = w->ship.last.pack;
	for (uint64_t i = 1; i <= 10000; i++) {
		struct layout_super super = {.number = first + i, .base = 1, .pack = pack + i};
		assert_rc(retain_note(w->retain, &super));
	}
	/* None of them is there: they are forgotten, and nothing else happens. */
	int64_t began = (int64_t)time(NULL);
	assert_int_equal(pass(w, 1).removed, 0);
	assert_true((int64_t)time(NULL) - began < 10);
}

/* ---- what others put ---- */

static void plant(struct world *w, const struct segment_row *row, uint32_t from, uint32_t to) {
	char name[LAYOUT_NAME_BYTES];
	uint8_t *garbage = calloc(1, to - from);
	layout_extent_name(row->id, from, to, name);
	assert_rc(objects_put(w->ship.objects, name, bytes_of(garbage, to - from)));
	free(garbage);
}

/* Whether the object has what the local segment has. */
static bool is_genuine(struct world *w, const struct segment_row *row, uint32_t from, uint32_t to) {
	char name[LAYOUT_NAME_BYTES], file[SEGMENT_NAME_BYTES], path[400];
	size_t size = to - from, got = 0;
	uint8_t *there = malloc(size), *local = malloc(size);
	layout_extent_name(row->id, from, to, name);
	assert_rc(segment_name(store_segments(w->v->store), row->number, file));
	(void)snprintf(path, sizeof path, "%s/%s", w->v->vault, file);
	int fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, local, size, from), size);
	close(fd);
	bool same = objects_get(w->ship.objects, name, 0, there, size, &got) == 0 && got == size &&
	            memcmp(there, local, size) == 0;
	free(there);
	free(local);
	return same;
}

static void grow(struct world *w, uint64_t count) {
	uint64_t node = test_vault_create(w->v, NODE_LANDING, "a");
	for (uint64_t i = 0; i < count; i++) {
		Content *c = gc_open_content(w->v, node);
		gc_put_blocks(c, i, 1, (uint8_t)i);
		gc_seal(c);
		content_close(c);
		generation(w);
	}
	gc_close_segments(w->v);
	generation(w);
}

static void a_planted_whole_extent_makes_no_other_redundant(void **state) {
	struct world *w = *state;
	grow(w, 3);
	const struct segment_row row = w->ship.checkpoint.segments[0];
	size_t before = memory_place_count(&w->place, "segments/");
	plant(w, &row, 0, (uint32_t)row.bytes);
	/* While what is here is damaged, all that is there stays. */
	flip_segment(w, 40000);
	for (int i = 0; i < 3; i++)
		(void)pass(w, GRACE_S);
	assert_int_equal(memory_place_count(&w->place, "segments/"), before + 1);
	flip_segment(w, 40000);
	/* Read back, it is put anew; only then the others go. */
	assert_int_equal(pass(w, 1).merged, 1);
	assert_true(is_genuine(w, &row, 0, (uint32_t)row.bytes));
	for (int i = 0; i < 3; i++)
		(void)pass(w, GRACE_S);
	assert_int_equal(memory_place_count(&w->place, "segments/"), 1);
	assert_true(is_genuine(w, &row, 0, (uint32_t)row.bytes));
}

/* A shipment that was cut left one that the next did not see; few as they are, nobody else would ever remove it. */
static void extents_that_overlap_become_one(void **state) {
	struct world *w = *state;
	grow(w, 2);
	const struct segment_row row = w->ship.checkpoint.segments[0];
	assert_int_equal(memory_place_count(&w->place, "segments/"), 2);
	assert_int_equal(pass(w, 1).merged, 0);
	assert_rc(ship_put_extent(&w->ship, &row, 0, 1000));
	assert_int_equal(pass(w, 1).merged, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pass(w, GRACE_S).merged, 0);
	assert_int_equal(memory_place_count(&w->place, "segments/"), 1);
	assert_true(is_genuine(w, &row, 0, (uint32_t)row.bytes));
}

/* The mount that put the whole one has ended: the next one reads it back before the others go. */
static void a_whole_extent_of_another_mount_is_read_back(void **state) {
	struct world *w = *state;
	grow(w, 8);
	const struct segment_row row = w->ship.checkpoint.segments[0];
	assert_int_equal(pass(w, 1).merged, 1);
	for (int i = 0; i < 2; i++) {
		retain_free(w->retain);
		assert_rc(retain_new(GRACE_S, &w->retain));
		if (i == 0)
			plant(w, &row, 0, (uint32_t)row.bytes);
		assert_int_equal(pass(w, 1).merged, i == 0);
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(pass(w, GRACE_S).merged, 0);
	assert_int_equal(memory_place_count(&w->place, "segments/"), 1);
	assert_true(is_genuine(w, &row, 0, (uint32_t)row.bytes));
}

/* Of a segment that grows: what somebody put for bytes that were not there yet is not taken for them. */
static void a_planted_extent_is_no_coverage(void **state) {
	struct world *w = *state;
	uint64_t node = test_vault_create(w->v, NODE_LANDING, "a");
	uint32_t before = 0;
	for (uint64_t i = 0; i < 4; i++) {
		Content *c = gc_open_content(w->v, node);
		gc_put_blocks(c, i, 1, (uint8_t)i);
		gc_seal(c);
		content_close(c);
		generation(w);
		const struct segment_row row = w->ship.checkpoint.segments[0];
		assert_int_equal(inventory_covered(&w->ship.inventory, row.id), row.bytes);
		if (before > 0)
			assert_true(is_genuine(w, &row, before, (uint32_t)row.bytes));
		before = (uint32_t)row.bytes;
		if (i > 0)
			continue;
		plant(w, &row, before, before + 1000);
		plant(w, &row, before, LAYOUT_EXTENT_BYTES + 1000);
		plant(w, &row, 0, before + 30000);
		assert_rc(ship_begin(&w->ship));
		assert_rc(ship_round(&w->ship));
	}
}

static void what_goes_beyond_a_closed_segment_is_removed(void **state) {
	struct world *w = *state;
	grow(w, 2);
	const struct segment_row row = w->ship.checkpoint.segments[0];
	size_t before = memory_place_count(&w->place, "segments/");
	plant(w, &row, 0, (uint32_t)row.bytes + 100);
	plant(w, &row, (uint32_t)row.bytes, (uint32_t)row.bytes + 5);
	(void)pass(w, 1);
	(void)pass(w, GRACE_S);
	assert_int_equal(memory_place_count(&w->place, "segments/"), before);
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        world_test(the_newest_stay_and_others_go_after_two_passes),
	        world_test(the_last_of_each_hour_and_day_stay),
	        world_test(nothing_goes_when_a_listing_or_a_superblock_can_not_be_read),
	        world_test(what_is_not_ours_stays),
	        world_test(small_extents_of_a_closed_segment_become_one),
	        world_test(locks_are_waited_for_renewed_and_reported),
	        world_test(a_superblock_that_does_not_open_keeps_no_lock_from_being_renewed),
	        world_test(removals_that_are_denied_are_refusals_and_no_failure),
	        world_test(one_lock_that_can_not_be_renewed_keeps_no_other),
	        world_test(what_was_put_before_the_locks_is_locked_at_once),
	        world_test(mounts_do_not_renew_locks_of_what_is_not_needed),
	        world_test(ten_thousand_generations_are_looked_through_at_once),
	        world_test(a_planted_whole_extent_makes_no_other_redundant),
	        world_test(extents_that_overlap_become_one),
	        world_test(a_whole_extent_of_another_mount_is_read_back),
	        world_test(a_planted_extent_is_no_coverage),
	        world_test(what_goes_beyond_a_closed_segment_is_removed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
