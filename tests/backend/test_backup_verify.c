/* Reading a backup back: damage is named and healed. */
#include "tests/backend/backup_fixture.h"

#include "backend/backup/inventory.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/shelf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct told {
	unsigned count, healed;
	char object[LAYOUT_NAME_BYTES], words[800];
};

static int tell(void *arg, const char *object, const char *words, bool healed) {
	struct told *told = arg;
	told->count++;
	told->healed += healed;
	(void)snprintf(told->object, sizeof told->object, "%s", object);
	(void)snprintf(told->words, sizeof told->words, "%s", words);
	return 0;
}

static struct told verify(struct backup_world *w, bool heal, struct backup_verify_summary *ret) {
	struct told told = {0};
	struct backup_verify_summary summary = {0};
	assert_rc(backup_verify(w->backup, w->url, 100, heal, tell, NULL, &told, &summary));
	assert_int_equal(summary.findings, told.count);
	assert_int_equal(summary.healed, told.healed);
	if (ret)
		*ret = summary;
	return told;
}

static void flip(struct backup_world *w, const char *object, off_t at) {
	char path[400];
	uint8_t byte;
	(void)snprintf(path, sizeof path, "%s/%s", w->place, object);
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void resize(struct backup_world *w, const char *object, off_t size) {
	char path[400];
	(void)snprintf(path, sizeof path, "%s/%s", w->place, object);
	assert_int_equal(size < 0 ? unlink(path) : truncate(path, size), 0);
}

struct listed {
	enum layout_kind kind;
	size_t index; /* of that kind */
	char name[LAYOUT_NAME_BYTES];
	uint64_t size;
};

static int match(void *arg, const struct object_info *object) {
	struct listed *listed = arg;
	struct layout_name name;
	layout_parse(object->name, &name);
	if (name.kind != listed->kind || listed->index-- > 0)
		return 0;
	(void)snprintf(listed->name, sizeof listed->name, "%s", object->name);
	listed->size = object->size;
	return 1;
}

static struct listed find(struct backup_world *w, enum layout_kind kind, size_t index) {
	const struct objects_place place = {.url = w->url};
	_cleanup_(objects_closep) Objects *objects = NULL;
	struct listed listed = {.kind = kind, .index = index};
	assert_rc(objects_open(&place, &objects));
	assert_int_equal(objects_list(objects, "", match, &listed), 1);
	return listed;
}

/* A segment of two extents at least, one generation, and nothing that goes on. */
static int setup(void **state) {
	struct backup_target rule = {0};
	if (backup_world_setup(state) != 0)
		return -1;
	struct backup_world *w = *state;
	backup_world_file(w, "a", 20 << 20, 1);
	backup_world_file(w, "b", 1000, 2);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	return 0;
}

static void a_sound_backup_has_no_findings(void **state) {
	struct backup_world *w = *state;
	struct backup_verify_summary summary;
	assert_int_equal(verify(w, true, &summary).count, 0);
	assert_true(summary.bytes > 20 << 20);
	assert_true(summary.segments >= 1);
	assert_int_equal(summary.segments_left_out, 0);
	assert_true(summary.objects > 4);
}

static void expect_found(struct backup_world *w, const char *object, const char *words) {
	struct told told = verify(w, false, NULL);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.healed, 0);
	assert_string_equal(told.object, object);
	if (words && !strstr(told.words, words))
		fail_msg("'%s' is not in '%s'", words, told.words);
	told = verify(w, true, NULL);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.healed, 1);
	assert_int_equal(verify(w, true, NULL).count, 0);
	backup_world_check(w);
}

static void a_flipped_bit_of_a_segment_is_named_and_healed(void **state) {
	struct backup_world *w = *state;
	struct listed second = find(w, LAYOUT_EXTENT, 1), first = find(w, LAYOUT_EXTENT, 0);
	assert_true(first.size == LAYOUT_EXTENT_BYTES);
	static const off_t places[] = {0, 64, 130, 200, 5000, 8 << 20, (16 << 20) - 1};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		flip(w, first.name, places[i]);
		expect_found(w, first.name, "position ");
	}
	flip(w, second.name, 70000);
	expect_found(w, second.name, "position ");
}

static void extents_that_are_gone_or_short_are_healed(void **state) {
	struct backup_world *w = *state;
	struct listed first = find(w, LAYOUT_EXTENT, 0), second = find(w, LAYOUT_EXTENT, 1);
	resize(w, second.name, 5);
	expect_found(w, second.name, "too short");
	resize(w, first.name, -1);
	expect_found(w, first.name, "missing");
	/* Both at once. */
	flip(w, first.name, 3000000);
	flip(w, second.name, 300000);
	assert_int_equal(verify(w, true, NULL).healed, 2);
	assert_int_equal(verify(w, true, NULL).count, 0);
}

static void packs_header_and_superblocks_are_held_to_account(void **state) {
	struct backup_world *w = *state;
	struct listed pack = find(w, LAYOUT_PART, 0), header = find(w, LAYOUT_HEADER, 0),
	              super = find(w, LAYOUT_SUPER, 0);
	const off_t places[] = {3, 530, (off_t)pack.size / 2};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		flip(w, pack.name, places[i]);
		expect_found(w, pack.name, NULL);
	}
	flip(w, pack.name, (off_t)pack.size - 1);
	expect_found(w, pack.name, "page");
	resize(w, pack.name, (off_t)pack.size - 40);
	expect_found(w, pack.name, NULL);
	resize(w, pack.name, -1);
	expect_found(w, pack.name, NULL);
	flip(w, header.name, 40);
	expect_found(w, header.name, "vault.json");
	resize(w, header.name, -1);
	expect_found(w, header.name, "gone");
	flip(w, super.name, 90);
	struct told told = verify(w, true, NULL);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.healed, 0);
	assert_string_equal(told.object, super.name);
}

static void what_is_damaged_here_too_is_not_put_there(void **state) {
	struct backup_world *w = *state;
	struct listed first = find(w, LAYOUT_EXTENT, 0);
	char path[300];
	flip(w, first.name, 9000);
	(void)snprintf(path, sizeof path, "vault/segments/%.2s/%.64s", first.name + 9, first.name + 9);
	char place[96];
	memcpy(place, w->place, sizeof place);
	(void)snprintf(w->place, sizeof w->place, "%s", w->v->path);
	flip(w, path, 1000000);
	memcpy(w->place, place, sizeof place);
	struct told told = verify(w, true, NULL);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.healed, 0);
	assert_int_equal(verify(w, true, NULL).count, 1);
}

static void a_sample_leaves_segments_out(void **state) {
	struct backup_world *w = *state;
	struct backup_verify_summary summary = {0};
	uint64_t taken = 0, left = 0;
	assert_int_equal(backup_verify(w->backup, w->url, 0, true, NULL, NULL, NULL, &summary), -EINVAL);
	assert_int_equal(backup_verify(w->backup, "file:///none", 1, true, NULL, NULL, NULL, &summary), -ENOENT);
	/* One at least is read. */
	for (int i = 0; i < 10; i++) {
		assert_rc(backup_verify(w->backup, w->url, 1, true, NULL, NULL, NULL, &summary));
		assert_true(summary.segments >= 1);
	}
	backup_world_file(w, "large", 80 << 20, 3);
	backup_world_sync(w);
	for (int i = 0; i < 3; i++) {
		assert_rc(backup_verify(w->backup, w->url, 1, true, NULL, NULL, NULL, &summary));
		taken += summary.segments;
		left += summary.segments_left_out;
	}
	assert_true(taken >= 3 && left > 0);
	assert_true(backup_world_status(w)->verified_ns > 0);
	assert_int_equal(backup_world_status(w)->verify_findings, 0);
}

/* The client has gone: at once, or after some of it. */
static int lose_interest(void *arg, uint64_t bytes, uint64_t of) {
	unsigned *left = arg;
	(void)bytes;
	(void)of;
	return (*left)-- == 0 ? -EPIPE : 0;
}

static void nobody_who_wants_to_know_ends_it(void **state) {
	struct backup_world *w = *state;
	struct backup_verify_summary summary = {.objects = 77};
	for (unsigned after = 0; after < 3; after++) {
		unsigned left = after;
		assert_int_equal(
		        backup_verify(w->backup, w->url, 100, true, NULL, lose_interest, &left, &summary), -EPIPE);
	}
	assert_int_equal(summary.objects, 77); /* nothing is said of a check that was not made */
	assert_int_equal(verify(w, true, NULL).count, 0);
}

/* ---- what others put ---- */

static void put(struct backup_world *w, const char *name, struct bytes data) {
	const struct objects_place place = {.url = w->url};
	_cleanup_(objects_closep) Objects *objects = NULL;
	assert_rc(objects_open(&place, &objects));
	assert_rc(objects_put(objects, name, data));
}

static void a_superblock_that_does_not_open_is_named_until_it_is_gone(void **state) {
	struct backup_world *w = *state;
	static const char *const strays[] = {"super/fffffffffffffff0", "super/0000000000000063"};
	for (size_t i = 0; i < 2; i++) {
		char command[300];
		put(w, strays[i], bytes_of_string("forged"));
		(void)snprintf(command, sizeof command, "rm '%s/%s'", w->place, strays[i]);
		for (int twice = 0; twice < 2; twice++) {
			struct told told = verify(w, true, NULL);
			assert_int_equal(told.count, 1);
			assert_int_equal(told.healed, 0);
			assert_string_equal(told.object, strays[i]);
			assert_non_null(strstr(told.words, command));
		}
		assert_int_equal(system(command), 0);
		assert_int_equal(verify(w, true, NULL).count, 0);
	}
}

static void a_superblock_comes_back_from_an_older_version(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	Shelf *shelf = shelf_new();
	char name[OBJECT_NAME_MAX + 1];
	w->options.open = shelf_open;
	w->options.open_arg = shelf;
	(void)snprintf(w->url, sizeof w->url, "%s", SHELF_URL);
	backup_world_reopen(w);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	shelf_name(shelf, "super/", 0, name);
	shelf_put(shelf, name, "forged", 6);
	shelf_put(shelf, name, "again", 5);
	struct told told = verify(w, false, NULL);
	assert_int_equal(told.count, 1);
	assert_non_null(strstr(told.words, "aws s3 rm '" SHELF_URL "/super/"));
	told = verify(w, true, NULL);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.healed, 1);
	assert_string_equal(told.object, name);
	assert_int_equal(verify(w, true, NULL).count, 0);
	backup_close(w->backup, 0);
	w->backup = NULL;
	shelf_free(shelf);
}

/* Of the segment of the first extent: garbage from here to there. */
static void plant(struct backup_world *w, uint32_t from, uint32_t to, char ret_name[static LAYOUT_NAME_BYTES]) {
	struct layout_name parsed;
	uint8_t *garbage = calloc(1, to - from);
	layout_parse(find(w, LAYOUT_EXTENT, 0).name, &parsed);
	layout_extent_name(parsed.id, from, to, ret_name);
	put(w, ret_name, bytes_of(garbage, to - from));
	free(garbage);
}

static bool is_there(struct backup_world *w, const char *name) {
	char path[400];
	(void)snprintf(path, sizeof path, "%s/%s", w->place, name);
	return access(path, F_OK) == 0;
}

/* Each is found, lies it over genuine extents or behind them, and nothing is left to find. */
static void planted_extents_are_found_and_healed(void **state) {
	struct backup_world *w = *state;
	gc_close_segments(w->v);
	backup_world_sync(w);
	const uint32_t most = LAYOUT_EXTENT_BYTES;
	struct layout_name last;
	layout_parse(find(w, LAYOUT_EXTENT, 1).name, &last);
	const struct {
		uint32_t from, to;
		bool is_removed;
	} planted[] = {{0, 5000, false}, {5000, most, false}, {most - 7, most, false}, {most - 7, most + 7, true},
	        {0, last.to, true}, {most, last.to - 1, false}, {most, last.to + 1, true},
	        {last.to, last.to + 100, true}, {2 * most, 3 * most, true}};
	for (size_t i = 0; i < sizeof planted / sizeof *planted; i++) {
		char name[LAYOUT_NAME_BYTES];
		plant(w, planted[i].from, planted[i].to, name);
		expect_found(w, name, NULL);
		assert_int_equal(is_there(w, name), !planted[i].is_removed);
	}
}

#define world_test(f) cmocka_unit_test_setup_teardown(f, setup, backup_world_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        world_test(a_sound_backup_has_no_findings),
	        world_test(a_flipped_bit_of_a_segment_is_named_and_healed),
	        world_test(extents_that_are_gone_or_short_are_healed),
	        world_test(packs_header_and_superblocks_are_held_to_account),
	        world_test(what_is_damaged_here_too_is_not_put_there),
	        world_test(a_superblock_that_does_not_open_is_named_until_it_is_gone),
	        cmocka_unit_test_setup_teardown(
	                a_superblock_comes_back_from_an_older_version, backup_world_setup, backup_world_teardown),
	        world_test(planted_extents_are_found_and_healed),
	        world_test(a_sample_leaves_segments_out),
	        world_test(nobody_who_wants_to_know_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
