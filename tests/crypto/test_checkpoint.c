#include "crypto/checkpoint.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"

static const uint8_t seed[SIGN_SEED_BYTES] = {7};

static struct note_key key_named(const char *name) {
	struct note_key key;
	uint8_t public_key[SIGN_PUBLIC_BYTES];
	sign_public(seed, public_key);
	assert_int_equal(note_key_make(name, public_key, &key), 0);
	return key;
}

static void a_checkpoint_is_opened_as_it_was_signed(void **state) {
	(void)state;
	static const uint64_t sizes[] = {0, 1, 70000, MERKLE_SIZE_MAX};
	struct note_key key = key_named("assayfs/ab");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct checkpoint made = {.size = sizes[i], .root = {(uint8_t)i, 2, 3}}, back;
		uint8_t signature[SIGN_SIGNATURE_BYTES];
		char note[CHECKPOINT_NOTE_BYTES];
		checkpoint_sign(&key, seed, &made, signature);
		assert_int_equal(checkpoint_verify(&key, &made, signature), 0);
		checkpoint_note(&key, &made, signature, note);
		assert_int_equal(checkpoint_open(bytes_of_string(note), &key, &back), 0);
		assert_int_equal(back.size, made.size);
		assert_memory_equal(back.root, made.root, sizeof back.root);
		made.size ^= 1;
		assert_int_equal(checkpoint_verify(&key, &made, signature), -EBADMSG);
	}
}

static void its_body_is_that_of_the_specification(void **state) {
	(void)state;
	struct checkpoint checkpoint = {.size = 15};
	char body[CHECKPOINT_BODY_BYTES];
	checkpoint_body("example.com/log", &checkpoint, body);
	assert_string_equal(body, "example.com/log\n15\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
}

/* A note of this text, signed. */
static int open_signed(const struct note_key *key, const char *text) {
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	char line[NOTE_LINE_BYTES], note[1024];
	struct checkpoint checkpoint;
	sign_make(seed, bytes_of_string(text), signature);
	note_line(key, signature, line);
	snprintf(note, sizeof note, "%s\n%s", text, line);
	return checkpoint_open(bytes_of_string(note), key, &checkpoint);
}

#define ROOT "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

static void what_is_signed_and_no_checkpoint_is_refused(void **state) {
	(void)state;
	struct note_key key = key_named("log");
	assert_int_equal(open_signed(&key, "log\n12\n" ROOT), 0);
	assert_int_equal(open_signed(&key, "log\n12\n" ROOT "an extension\n"), 0);
	static const char *const bad[] = {"log\n", "log\n12\n", "log\n012\n" ROOT, "log\n-1\n" ROOT, "log\n\n" ROOT,
	        "log\n1 \n" ROOT, "log\n4611686018427387905\n" ROOT, "log\n18446744073709551617\n" ROOT,
	        "log\n12\nAAAA\n",
	        "log\n12\n"
	        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n",
	        "other\n12\n" ROOT};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (open_signed(&key, bad[i]) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	assert_non_null(strstr(fault_message(), "the log other"));
}

static void a_line_of_a_list_is_read_as_it_was_written(void **state) {
	(void)state;
	struct note_key key = key_named("log"), other = key_named("other");
	struct checkpoint made = {.size = 70000, .root = {1, 2}}, back;
	uint8_t signature[SIGN_SIGNATURE_BYTES], got[SIGN_SIGNATURE_BYTES];
	char line[CHECKPOINT_LINE_BYTES + 32];
	checkpoint_sign(&key, seed, &made, signature);
	checkpoint_line(&key, &made, signature, line);
	assert_true(checkpoint_line_parse(line, &key, &back, got));
	assert_int_equal(back.size, made.size);
	assert_memory_equal(back.root, made.root, sizeof back.root);
	assert_memory_equal(got, signature, sizeof got);
	assert_false(checkpoint_line_parse(line, &other, &back, got));
	strcat(line, " 2026-11-28T00:00:00Z\n");
	assert_true(checkpoint_line_parse(line, &key, &back, got));
	for (size_t i = 0; i < strlen(line) - 22; i++) {
		char cut = line[i];
		line[i] = '\0';
		assert_false(checkpoint_line_parse(line, &key, &back, got));
		line[i] = cut;
	}
	assert_false(checkpoint_line_parse("-1 a b", &key, &back, got));
	assert_false(checkpoint_line_parse("  ", &key, &back, got));
}

static void a_bundle_has_just_its_entries(void **state) {
	(void)state;
	static const uint8_t data[] = {0, 1, 'a', 0, 0, 0, 2, 'b', 'c'};
	struct bytes entries[TILE_WIDTH];
	assert_int_equal(tile_entries(bytes_of(data, sizeof data), 3, entries), 0);
	assert_int_equal(entries[1].size, 0);
	assert_memory_equal(entries[2].data, "bc", 2);
	assert_int_equal(tile_entries(bytes_of(data, sizeof data), 2, entries), -EBADMSG);
	assert_int_equal(tile_entries(bytes_of(data, sizeof data), 4, entries), -EBADMSG);
	for (size_t size = 0; size < sizeof data; size++)
		assert_int_equal(tile_entries(bytes_of(data, size), 3, entries), -EBADMSG);
	assert_int_equal(tile_entries(bytes_of(NULL, 0), 0, entries), 0);
}

/* Those of the specification, and edges. */
static void paths_of_tiles_go_both_ways(void **state) {
	(void)state;
	static const struct {
		const char *path;
		struct tile tile;
	} rows[] = {{"tile/0/x001/x234/067", {.index = 1234067, .width = 256}}, {"tile/0/000", {.width = 256}},
	        {"tile/0/273.p/112", {.index = 273, .width = 112}},
	        {"tile/entries/x001/000.p/1", {.is_entries = true, .index = 1000, .width = 1}},
	        {"tile/7/999", {.level = 7, .index = 999, .width = 256}},
	        {"tile/0/x018/x014/x398/x509/x481/984", {.index = UINT64_C(18014398509481984), .width = 256}}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char path[TILE_PATH_BYTES];
		struct tile back;
		tile_path(&rows[i].tile, path);
		assert_string_equal(path, rows[i].path);
		assert_true(tile_path_parse(path, &back));
		assert_int_equal(back.is_entries, rows[i].tile.is_entries);
		assert_int_equal(back.level, rows[i].tile.level);
		assert_int_equal(back.index, rows[i].tile.index);
		assert_int_equal(back.width, rows[i].tile.width);
	}
}

static void no_other_spelling_is_a_tile(void **state) {
	(void)state;
	static const char *const bad[] = {"", "tile", "tile/", "tile/0", "tile/0/", "tile/0/1", "tile/0/0001",
	        "tile/0/x000/001", "tile/0/x001", "tile/0/x001/", "tile/00/001", "tile/8/001", "tile/63/000",
	        "tile/0/001.p/0", "tile/0/001.p/256", "tile/0/001.p/01", "tile/0/001.p/", "tile/0/001.p", "tile/0/001/",
	        "tile/entrie/001", "tile/entries1/001", "tile/-1/001", "tile/0/001 ", "/tile/0/001",
	        "tile/0/x999/x999/x999/x999/x999/x999/x999/999"};
	struct tile tile;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (tile_path_parse(bad[i], &tile))
			fail_msg("taken: %s", bad[i]);
}

static void tiles_are_as_wide_as_the_tree_has_grown(void **state) {
	(void)state;
	assert_int_equal(tile_width(0, 0, 0), 0);
	assert_int_equal(tile_width(256, 0, 0), 256);
	assert_int_equal(tile_width(256, 0, 1), 0);
	assert_int_equal(tile_width(256, 1, 0), 1);
	assert_int_equal(tile_width(70000, 0, 273), 112);
	assert_int_equal(tile_width(70000, 1, 1), 17);
	assert_int_equal(tile_width(70000, 2, 0), 1);
	assert_int_equal(tile_width(70000, 3, 0), 0);
	assert_int_equal(tile_width(UINT64_MAX, 0, UINT64_MAX), 0);
	assert_int_equal(tile_width(70000, 64, 0), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_checkpoint_is_opened_as_it_was_signed),
	        cmocka_unit_test(its_body_is_that_of_the_specification),
	        cmocka_unit_test(what_is_signed_and_no_checkpoint_is_refused),
	        cmocka_unit_test(a_line_of_a_list_is_read_as_it_was_written),
	        cmocka_unit_test(a_bundle_has_just_its_entries),
	        cmocka_unit_test(paths_of_tiles_go_both_ways),
	        cmocka_unit_test(no_other_spelling_is_a_tile),
	        cmocka_unit_test(tiles_are_as_wide_as_the_tree_has_grown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
