/* Keys of a folder's own: content there takes two keys, and whoever lacks one of them has nothing. */
#include "backend/content_internal.h"
#include "backend/fsck.h"
#include "backend/record.h"
#include "backend/segment_format.h"
#include "backend/segment_watch.h"
#include "backend/store_internal.h"
#include "backend/store_keys_internal.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"
#include "tests/backend/chance.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/key_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct header_kdf cheap = {.memory = HEADER_KDF_MEMORY_MIN, .passes = 1};
static const struct actor someone = {.uid = 1234, .exe = "test"};

static int take_own(void *arg, const struct segment_row *row) {
	if (row->own[0])
		*(struct segment_row *)arg = *row;
	return 0;
}

/* Some segment under a key of its own, as the database has it. */
static struct segment_row own_segment(struct test_vault *v) {
	struct segment_row row = {0};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, segment_row_list(m, take_own, &row)));
	return row;
}

/* ---- making them ---- */

static void a_key_is_made_once_and_keeps_what_it_is_called(void **state) {
	struct test_vault *v = *state;
	const char *words[] = {"animals", "birds", "animals"};
	bool is_new[3];
	size_t wrong = 0;
	char animals[OWN_KEY_BYTES], birds[OWN_KEY_BYTES], again[OWN_KEY_BYTES];
	assert_rc(store_key_own(v->store, words, 3, &someone, is_new, &wrong));
	assert_true(is_new[0] && is_new[1] && !is_new[2]);
	assert_int_equal(test_vault_records(v, "key-create", NULL), 2);
	key_fixture_own(v, "animals", animals);
	key_fixture_own(v, "birds", birds);
	assert_string_not_equal(animals, birds);
	assert_int_equal(strncmp(animals, "own-", 4), 0);
	assert_null(strstr(animals, "animals"));
	assert_int_equal(test_vault_records(v, "key-create", NULL), 2);
	const struct store_key key = key_fixture_of(v, animals);
	assert_string_equal(key.alias, "alias/animals");
	assert_true(key.is_own && !key.is_vital && key.is_here && key.created_ns > 0);
	/* With another alias it is the same to policies. */
	assert_rc(store_key_alias(v->store, animals, "zoo", &someone));
	assert_string_equal(key_fixture_own(v, "animals", again), animals);
	assert_string_equal(key_fixture_own(v, "zoo", again), animals);
	test_vault_reopen(v);
	assert_string_equal(key_fixture_own(v, "animals", again), animals);
}

/* Or who deletes the project's key deletes another one. */
static void what_a_policy_calls_a_key_finds_that_and_no_other(void **state) {
	struct test_vault *v = *state;
	char animals[OWN_KEY_BYTES], birds[OWN_KEY_BYTES], found[KEYRING_NAME_MAX + 1];
	key_fixture_own(v, "animals", animals);
	key_fixture_own(v, "birds", birds);
	assert_rc(store_key_alias(v->store, animals, "zoo", &someone));
	static const char *const words[] = {"animals", "alias/animals", "zoo", "alias/zoo"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		assert_rc(store_key_find(v->store, words[i], found));
		assert_string_equal(found, animals);
	}
	static const char *const taken[] = {"animals", "alias/animals", "zoo", "birds", "meta", "metadata", "trusted"};
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		assert_int_equal(store_key_alias(v->store, "raw", taken[i], &someone), -EEXIST);
	assert_int_equal(store_key_alias(v->store, birds, "animals", &someone), -EEXIST);
	assert_non_null(strstr(fault_message(), animals));
	assert_int_equal(store_key_alias(v->store, "raw", animals, &someone), -EEXIST);
	assert_int_equal(store_key_alias(v->store, "raw", "own-111111111111", &someone), -EINVAL);
	assert_int_equal(test_vault_records(v, "key-alias", NULL), 1);
	/* What is its own it may be called again, and what only looks like an id a little is free. */
	assert_rc(store_key_alias(v->store, animals, animals, &someone));
	assert_rc(store_key_alias(v->store, animals, "animals", &someone));
	assert_rc(store_key_alias(v->store, "raw", "own-11111111111", &someone));
	assert_rc(store_key_alias(v->store, "raw", "zoo", &someone));
	assert_rc(store_key_find(v->store, "zoo", found));
	assert_string_equal(found, "raw");
}

/* As an earlier program allowed it. */
static void a_word_that_was_moved_to_another_key_is_still_the_policys(void **state) {
	struct test_vault *v = *state;
	char animals[OWN_KEY_BYTES], again[OWN_KEY_BYTES], found[KEYRING_NAME_MAX + 1];
	Meta *m = store_meta(v->store);
	key_fixture_own(v, "animals", animals);
	assert_rc(store_key_alias(v->store, animals, "zoo", &someone));
	struct key_row row;
	meta_begin(m);
	assert_rc(key_row_get(m, "raw", &row));
	(void)snprintf(row.alias, sizeof row.alias, "alias/animals");
	assert_rc(meta_end(m, key_row_put(m, "raw", &row)));
	assert_rc(store_key_find(v->store, "animals", found));
	assert_string_equal(found, animals);
	assert_string_equal(key_fixture_own(v, "animals", again), animals);
	assert_int_equal(test_vault_records(v, "key-create", NULL), 1);
}

static void no_key_of_another_kind_is_a_folders_own(void **state) {
	struct test_vault *v = *state;
	static const char *const wrong_words[] = {
	        "raw", "metadata", "meta", "header", "Raw", "a/b", "", "mine", "own-111111111111"};
	assert_rc(store_key_alias(v->store, "raw", "mine", &someone));
	for (size_t i = 0; i < sizeof wrong_words / sizeof *wrong_words; i++) {
		bool is_new = true;
		size_t wrong = 7;
		assert_int_equal(store_key_own(v->store, &wrong_words[i], 1, &someone, &is_new, &wrong), -EINVAL);
		assert_int_equal(wrong, 0);
	}
	char name[OWN_KEY_BYTES], id[HEADER_ID_TEXT_BYTES];
	key_fixture_own(v, "animals", name);
	const char *keys[] = {"raw"};
	struct store_slot_request request = {.type = SLOT_PASSPHRASE,
	        .label = "",
	        .secret = bytes_of_string("analyst"),
	        .kdf = &cheap,
	        .zones = 1u << ZONE_LANDING,
	        .keys = keys,
	        .key_count = 1};
	assert_int_equal(store_slot_add(v->store, &request, NULL, id, NULL), -EINVAL);
}

/* ---- what takes both keys ---- */

/* From the bytes on the disk and the description of the format alone. */
static void a_segment_opens_by_both_keys_and_by_neither_alone(void **state) {
	struct test_vault *v = *state;
	char name[OWN_KEY_BYTES], file[SEGMENT_NAME_BYTES];
	_cleanup_(secret_key_wipe) struct secret_key zone, own, key;
	key_fixture_own(v, "animals", name);
	key_fixture_file(v, NODE_LANDING, "a", name, 1);
	gc_close_segments(v);
	const struct segment_row row = own_segment(v);
	assert_string_equal(row.own, name);
	assert_int_equal(row.own_version, 1);
	segment_file_name(row.id, file);
	size_t size = 0;
	uint8_t *bytes = scratch_read(v->vault, file, &size);
	struct segment_header header;
	assert_rc(segment_header_parse(bytes_of(bytes, size), &header));
	assert_int_equal(header.format, SEGMENT_FORMAT_OWN);
	assert_string_equal(header.own_name, name);
	assert_int_equal(header.own_version, 1);
	assert_rc(keyring_get(store_keyring(v->store), "landing", 1, zone.bytes, NULL));
	assert_rc(keyring_get(store_keyring(v->store), name, 1, own.bytes, NULL));
	segment_derive_key(zone.bytes, header.id, key.bytes);
	assert_int_equal(segment_header_open(bytes, key.bytes), -EBADMSG);
	segment_derive_key(own.bytes, header.id, key.bytes);
	assert_int_equal(segment_header_open(bytes, key.bytes), -EBADMSG);
	segment_derive_parent(zone.bytes, own.bytes, key.bytes);
	segment_derive_key(key.bytes, header.id, key.bytes);
	assert_rc(segment_header_open(bytes, key.bytes));
	own.bytes[0] ^= 1; /* and by each bit of it */
	segment_derive_parent(zone.bytes, own.bytes, key.bytes);
	segment_derive_key(key.bytes, header.id, key.bytes);
	assert_int_equal(segment_header_open(bytes, key.bytes), -EBADMSG);
	own.bytes[0] ^= 1;
	segment_derive_parent(zone.bytes, own.bytes, key.bytes);
	segment_derive_key(key.bytes, header.id, key.bytes);
	/* Nor is another key named without being noticed. */
	static const char *const names[] = {"", "own-\0x", "OWN", "own-0123456789abcdefg"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		memset(bytes + 88, 0, 20);
		memcpy(bytes + 88, names[i], i == 1 ? 6 : strnlen(names[i], 20));
		int rc = segment_header_parse(bytes_of(bytes, size), &header);
		assert_int_equal(rc < 0 ? rc : segment_header_open(bytes, key.bytes), -EBADMSG);
	}
	free(bytes);
}

static void exactly_its_content_can_not_be_read(void **state) {
	struct test_vault *v = *state;
	char animals[OWN_KEY_BYTES], birds[OWN_KEY_BYTES];
	key_fixture_own(v, "animals", animals);
	key_fixture_own(v, "birds", birds);
	uint64_t landing = key_fixture_file(v, NODE_LANDING, "a", animals, 1),
	         raw = key_fixture_file(v, NODE_RAW, "b", animals, 2);
	uint64_t other = key_fixture_file(v, NODE_RAW, "c", birds, 3),
	         plain = key_fixture_file(v, NODE_RAW, "d", "", 4);
	gc_close_segments(v);
	gc_expect_file(v, landing, 1);
	gc_expect_file(v, raw, 2); /* the ciphers are in memory now */
	assert_rc(store_key_disable(v->store, animals, &someone));
	for (int turn = 0; turn < 2; turn++) {
		assert_int_equal(gc_try_file(v, landing), -EKEYREVOKED);
		assert_int_equal(gc_try_file(v, raw), -EKEYREVOKED);
		gc_expect_file(v, other, 3);
		gc_expect_file(v, plain, 4);
		test_vault_reopen(v);
	}
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "e"));
	content_choose_key(c, animals);
	assert_int_equal(content_write(c, 0, bytes_of_string("new")), -EKEYREVOKED);
	assert_non_null(strstr(fault_message(), "alias/animals"));
	content_close(c);
	assert_rc(store_key_enable(v->store, animals, &someone));
	gc_expect_file(v, landing, 1);
	gc_expect_file(v, raw, 2);
	/* And its zone's, which takes what lies under keys of its own with it. */
	assert_rc(store_key_disable(v->store, "raw", &someone));
	assert_int_equal(gc_try_file(v, raw), -EKEYREVOKED);
	assert_int_equal(gc_try_file(v, other), -EKEYREVOKED);
	gc_expect_file(v, landing, 1);
}

static void what_is_in_memory_can_not_be_read_either(void **state) {
	struct test_vault *v = *state;
	char name[OWN_KEY_BYTES];
	uint8_t got[32];
	size_t n = 0;
	key_fixture_own(v, "animals", name);
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "a"));
	content_choose_key(c, name);
	assert_rc(content_write(c, 0, bytes_of_string("half a block")));
	assert_rc(store_key_disable(v->store, name, NULL));
	assert_int_equal(content_read(c, 0, got, sizeof got, &n), -EKEYREVOKED);
	assert_int_equal(content_write(c, 12, bytes_of_string("more")), -EKEYREVOKED);
	assert_rc(store_commit_wait(v->store));
	assert_rc(store_key_enable(v->store, name, NULL));
	assert_rc(content_read(c, 0, got, sizeof got, &n));
	assert_int_equal(n, 12);
	assert_memory_equal(got, "half a block", 12);
	gc_seal(c);
	content_close(c);
}

/* ---- which key ---- */

static int choose(void *arg, Meta *m, const struct node *node, char ret_own[static OWN_KEY_BYTES]) {
	char path[256];
	int rc = tree_path(m, node->id, path, sizeof path, NULL);
	(void)snprintf(ret_own, OWN_KEY_BYTES, "%s", rc == 0 && strstr(path, "animal") ? (const char *)arg : "");
	return rc;
}

static void what_goes_on_keeps_its_key_and_what_begins_asks(void **state) {
	struct test_vault *v = *state;
	char name[OWN_KEY_BYTES], own[OWN_KEY_BYTES];
	bool has_blocks;
	key_fixture_own(v, "animals", name);
	Meta *m = store_meta(v->store);
	uint64_t plain = gc_file(v, NODE_LANDING, "animal-before", 1);
	store_set_key_chooser(v->store, choose, name);
	uint64_t under = gc_file(v, NODE_LANDING, "animal", 2), outside = gc_file(v, NODE_LANDING, "stone", 3);
	const uint64_t nodes[] = {plain, under, outside};
	static const bool is_under[] = {false, true, false};
	for (size_t i = 0; i < 3; i++) { /* a part of it is written over */
		Content *c = gc_open_content(v, nodes[i]);
		gc_put_blocks(c, 0, 1, (uint8_t)(i + 1));
		gc_seal(c);
		const uint64_t version = content_version(c);
		meta_begin(m);
		assert_rc(meta_end(m, content_own_of(store_segments(v->store), m, version, own, &has_blocks)));
		assert_true(has_blocks);
		assert_string_equal(own, is_under[i] ? name : "");
		content_close(c);
		gc_expect_file(v, nodes[i], (uint8_t)(i + 1));
	}
	Content *c = gc_open_content(v, plain); /* all of it */
	assert_rc(content_truncate(c, 0));
	gc_put_blocks(c, 0, GC_FILE_BLOCKS, 4);
	gc_seal(c);
	content_close(c);
	assert_rc(store_key_disable(v->store, name, NULL));
	assert_int_equal(gc_try_file(v, plain), -EKEYREVOKED);
	gc_expect_file(v, outside, 3);
	store_set_key_chooser(v->store, NULL, NULL);
}

/* What is cloned into another folder is copied; within one, and where there is none, it is shared. */
static void blocks_are_shared_only_under_the_same_key(void **state) {
	struct test_vault *v = *state;
	char name[OWN_KEY_BYTES];
	key_fixture_own(v, "animals", name);
	uint64_t source = key_fixture_file(v, NODE_LANDING, "a", name, 1),
	         plain = key_fixture_file(v, NODE_LANDING, "b", "", 2);
	static const bool to_own[] = {true, false, true, false}, from_own[] = {true, true, false, false};
	uint64_t nodes[4];
	for (size_t i = 0; i < 4; i++) {
		char file[8];
		(void)snprintf(file, sizeof file, "c%zu", i);
		nodes[i] = test_vault_create(v, NODE_LANDING, file);
		Content *from = gc_open_content(v, from_own[i] ? source : plain), *to = gc_open_content(v, nodes[i]);
		uint64_t before = segment_appended(v->store->segments), done = 0;
		content_choose_key(to, to_own[i] ? name : "");
		assert_rc(content_clone_range(from, 0, to, 0, (uint64_t)GC_FILE_BLOCKS * SEGMENT_BLOCK_BYTES, &done));
		assert_int_equal(done, GC_FILE_BLOCKS * SEGMENT_BLOCK_BYTES);
		gc_seal(to);
		const bool is_shared = segment_appended(v->store->segments) == before;
		assert_int_equal(is_shared, to_own[i] == from_own[i]);
		content_close(from);
		content_close(to);
	}
	assert_rc(store_key_disable(v->store, name, NULL));
	for (size_t i = 0; i < 4; i++) {
		if (to_own[i])
			assert_int_equal(gc_try_file(v, nodes[i]), -EKEYREVOKED);
		else
			gc_expect_file(v, nodes[i], from_own[i] ? 1 : 2);
	}
}

/* ---- rotation, deletion ---- */

static void a_rotated_key_is_sealed_anew_with_rewrap(void **state) {
	struct test_vault *v = *state;
	char name[OWN_KEY_BYTES];
	uint32_t version = 0;
	key_fixture_own(v, "animals", name);
	uint64_t landing = key_fixture_file(v, NODE_LANDING, "a", name, 1),
	         raw = key_fixture_file(v, NODE_RAW, "b", name, 2);
	uint64_t plain = key_fixture_file(v, NODE_RAW, "c", "", 3);
	assert_rc(store_key_rotate(v->store, name, &someone, &version));
	assert_int_equal(version, 2);
	uint64_t after = key_fixture_file(v, NODE_RAW, "d", name, 4);
	gc_close_segments(v);
	struct store_key key = key_fixture_of(v, name);
	assert_int_equal(key.segments, 3);
	assert_int_equal(key.old_segments, 2);
	assert_true(key.seals > 0);
	assert_rc(store_key_rewrap(v->store, name, &someone));
	for (int i = 0; i < 5; i++)
		gc_walk_and_wait(v);
	key = key_fixture_of(v, name);
	assert_int_equal(key.old_segments, 0);
	assert_true(key.segments > 0);
	assert_int_equal(key_fixture_of(v, "raw").old_segments, 0);
	test_vault_reopen(v);
	gc_expect_file(v, landing, 1);
	gc_expect_file(v, raw, 2);
	gc_expect_file(v, plain, 3);
	gc_expect_file(v, after, 4);
	assert_int_equal(own_segment(v).own_version, 2);
	/* Its zone's rotation moves it, too, and it stays under the same. */
	assert_rc(store_key_rotate(v->store, "raw", &someone, NULL));
	assert_rc(store_key_rewrap(v->store, "raw", &someone));
	for (int i = 0; i < 5; i++)
		gc_walk_and_wait(v);
	assert_int_equal(key_fixture_of(v, "raw").old_segments, 0);
	assert_rc(store_key_disable(v->store, name, &someone));
	assert_int_equal(gc_try_file(v, raw), -EKEYREVOKED);
	gc_expect_file(v, plain, 3);
}

static void a_deleted_key_takes_its_content_and_no_other(void **state) {
	struct test_vault *v = *state;
	char name[OWN_KEY_BYTES];
	int64_t at = 0;
	bool is_new;
	size_t wrong, size = 0;
	const char *word = "animals";
	key_fixture_own(v, word, name);
	uint64_t raw = key_fixture_file(v, NODE_RAW, "a", name, 1), plain = key_fixture_file(v, NODE_RAW, "b", "", 2);
	assert_rc(store_key_schedule_deletion(v->store, name, 7, &someone, &at));
	assert_rc(store_key_tick(v->store, at, true));
	assert_int_equal(gc_try_file(v, raw), -EKEYEXPIRED);
	gc_expect_file(v, plain, 2);
	assert_int_equal(store_key_own(v->store, &word, 1, &someone, &is_new, &wrong), -EKEYEXPIRED);
	/* By the vault's own secret, from the file that is there: the zone's key, and nothing of this one. */
	uint8_t *json = scratch_read(v->vault, STORE_HEADER_NAME, &size);
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	uint8_t key[KEYRING_KEY_BYTES];
	assert_rc(header_parse(bytes_of(json, size), &header));
	assert_rc(header_unlock(
	        header, &(struct slot_secret){SLOT_PASSPHRASE, bytes_of_string(TEST_PASSPHRASE), NULL}, &keyring));
	assert_rc(keyring_get_any(keyring, "raw", 1, key));
	assert_int_equal(keyring_get_any(keyring, name, 1, key), -EKEYEXPIRED);
	free(json);
	/* What it left is in nobody's way. */
	assert_rc(store_key_rotate(v->store, "raw", &someone, NULL));
	assert_rc(store_key_rewrap(v->store, "raw", &someone));
	for (int i = 0; i < 4; i++)
		gc_walk_and_wait(v);
	assert_int_equal(key_fixture_of(v, "raw").old_segments, 0);
	assert_int_equal(gc_totals_of(v).failures, 0);
	gc_expect_file(v, plain, 2);
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	assert_int_equal(gc_try_file(v, raw), -EKEYEXPIRED);
}

/* ---- slots ---- */

static void a_limited_slot_has_the_keys_that_it_names(void **state) {
	struct test_vault *v = *state;
	char animals[OWN_KEY_BYTES], birds[OWN_KEY_BYTES], id[HEADER_ID_TEXT_BYTES];
	key_fixture_own(v, "animals", animals);
	key_fixture_own(v, "birds", birds);
	uint64_t a = key_fixture_file(v, NODE_RAW, "a", animals, 1), b = key_fixture_file(v, NODE_RAW, "b", birds, 2);
	uint64_t plain = key_fixture_file(v, NODE_RAW, "c", "", 3);
	const char *keys[] = {animals};
	struct store_slot_request request = {.type = SLOT_PASSPHRASE,
	        .label = "",
	        .secret = bytes_of_string("analyst"),
	        .kdf = &cheap,
	        .zones = 1u << ZONE_RAW,
	        .keys = keys,
	        .key_count = 1};
	assert_rc(store_slot_add(v->store, &request, &someone, id, NULL));
	assert_rc(store_key_rotate(v->store, animals, &someone, NULL)); /* the slot gets the new version */
	assert_rc(store_close(v->store));
	v->store = NULL;
	struct store_secret secret = {.bytes = bytes_of_string("analyst")};
	struct store_options options = v->options;
	options.read_only = true;
	assert_rc(store_open(v->vault, &secret, &options, &v->store));
	gc_expect_file(v, a, 1);
	gc_expect_file(v, plain, 3);
	assert_int_equal(gc_try_file(v, b), -ENOKEY);
	Meta *m = store_meta(v->store);
	meta_begin(m);
	struct node node;
	assert_rc(tree_get(m, b, &node));
	int rc = content_key_check(v->store, m, node.version);
	assert_int_equal(meta_end(m, rc), -ENOKEY);
	assert_non_null(strstr(fault_message(), "alias/birds"));
	assert_rc(store_close(v->store));
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_key_is_made_once_and_keeps_what_it_is_called),
	        TEST(what_a_policy_calls_a_key_finds_that_and_no_other),
	        TEST(a_word_that_was_moved_to_another_key_is_still_the_policys),
	        TEST(no_key_of_another_kind_is_a_folders_own),
	        TEST(a_segment_opens_by_both_keys_and_by_neither_alone),
	        TEST(exactly_its_content_can_not_be_read),
	        TEST(what_is_in_memory_can_not_be_read_either),
	        TEST(what_goes_on_keeps_its_key_and_what_begins_asks),
	        TEST(blocks_are_shared_only_under_the_same_key),
	        TEST(a_rotated_key_is_sealed_anew_with_rewrap),
	        TEST(a_deleted_key_takes_its_content_and_no_other),
	        TEST(a_limited_slot_has_the_keys_that_it_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
