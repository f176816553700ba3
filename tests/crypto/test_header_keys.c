/* States of keys in vault.json: disabled, waiting to be deleted, deleted; and changes by way of a copy. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"
#include "tests/crypto/header_fixture.h"

static int get(const Keyring *keyring, const char *name, uint32_t version) {
	uint8_t key[KEYRING_KEY_BYTES];
	fault_clear();
	return keyring_get(keyring, name, version, key, NULL);
}

static enum key_state listed_state(const VaultHeader *header, const char *name, uint32_t version) {
	struct key_info info;
	for (size_t i = 0; header_key(header, i, &info) == 0; i++)
		if (strcmp(info.name, name) == 0 && info.version == version)
			return info.state;
	return 0;
}

/* Boxes for the key `name` in all slots together. */
static size_t count_boxes(const VaultHeader *header, const char *name) {
	struct key_info info;
	size_t count = 0;
	for (size_t slot = 0; slot < header_slot_count(header); slot++)
		for (size_t i = 0; header_slot_key(header, slot, i, &info) == 0; i++)
			count += strcmp(info.name, name) == 0;
	return count;
}

static void states_go_with_the_header(void **state) {
	struct fixture *f = *state;
	uint8_t key[KEYRING_KEY_BYTES], again[KEYRING_KEY_BYTES];
	assert_int_equal(keyring_rotate(f->keyring, "project", NULL), 0);
	assert_int_equal(keyring_get(f->keyring, "project", 2, key, NULL), 0);
	assert_int_equal(keyring_set_state(f->keyring, "project", KEY_DISABLED), 0);
	assert_int_equal(keyring_set_state(f->keyring, "raw", KEY_PENDING_DELETION), 0);
	assert_int_equal(header_update(f->header, f->keyring), 0);
	for (int at = 0; at < FIXTURE_SLOTS; at++) {
		_cleanup_(keyring_freep) Keyring *keyring = fixture_open(f, at);
		bool is_full = at < FIXTURE_RECIPIENT;
		assert_int_equal(get(keyring, "project", 0), at == FIXTURE_RECIPIENT ? -ENOKEY : -EKEYREVOKED);
		assert_int_equal(get(keyring, "raw", 0), is_full ? -EKEYREVOKED : -ENOKEY);
		assert_int_equal(get(keyring, "trusted", 0), 0);
	}
	/* A version that was made before the key was disabled is in the slots all the same, and comes back with it. */
	_cleanup_(keyring_freep) Keyring *enabling = fixture_open(f, FIXTURE_KEYFILE);
	assert_int_equal(keyring_set_state(enabling, "project", KEY_ACTIVE), 0);
	assert_int_equal(header_update(f->header, enabling), 0);
	_cleanup_(keyring_freep) Keyring *kms = fixture_open(f, FIXTURE_KMS);
	uint32_t version = 0;
	assert_int_equal(keyring_get(kms, "project", 0, again, &version), 0);
	assert_int_equal(version, 2);
	assert_memory_equal(again, key, sizeof key);
	assert_int_equal(listed_state(f->header, "project", 1), KEY_RETIRED);
}

static void a_new_slot_gets_disabled_keys_too(void **state) {
	struct fixture *f = *state;
	const struct slot_secret secret = {.type = SLOT_PASSPHRASE, .value = bytes_of_string("second")};
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	assert_int_equal(keyring_set_state(f->keyring, "project", KEY_DISABLED), 0);
	assert_int_equal(header_update(f->header, f->keyring), 0);
	assert_int_equal(header_add_slot_passphrase(f->header, f->keyring, secret.value, "", &fixture_cheap, NULL), 0);
	assert_int_equal(header_unlock(f->header, &secret, &keyring), 0);
	assert_int_equal(get(keyring, "project", 0), -EKEYREVOKED);
	assert_int_equal(keyring_set_state(keyring, "project", KEY_ACTIVE), 0);
	assert_int_equal(get(keyring, "project", 0), 0);
}

static void a_deleted_key_is_in_no_slot(void **state) {
	struct fixture *f = *state;
	assert_int_equal(keyring_rotate(f->keyring, "project", NULL), 0);
	assert_int_equal(header_update(f->header, f->keyring), 0);
	assert_int_equal(count_boxes(f->header, "project"), 2 * 4);
	assert_int_equal(header_delete_key(f->header, f->keyring, "project"), 0);
	assert_int_equal(count_boxes(f->header, "project"), 0);
	assert_int_equal(count_boxes(f->header, "trusted"), FIXTURE_SLOTS);
	assert_int_equal(listed_state(f->header, "project", 1), KEY_DELETED);
	assert_int_equal(listed_state(f->header, "project", 2), KEY_DELETED);
	assert_int_equal(get(f->keyring, "project", 0), 0);
	assert_int_equal(keyring_forget(f->keyring, "project"), 0);
	for (int at = 0; at < FIXTURE_SLOTS; at++) {
		_cleanup_(keyring_freep) Keyring *keyring = fixture_open(f, at);
		for (uint32_t version = 0; version <= 2; version++)
			assert_int_equal(get(keyring, "project", version), -EKEYEXPIRED);
		assert_int_equal(get(keyring, "trusted", 0), 0);
		/* Who unlocks later goes on from there. */
		assert_int_equal(at < FIXTURE_RECIPIENT ? header_update(f->header, keyring) : 0, 0);
	}
	assert_int_equal(header_update(f->header, f->keyring), 0);
	assert_int_equal(count_boxes(f->header, "project"), 0);
}

static void a_deleted_name_is_not_used_again(void **state) {
	struct fixture *f = *state;
	_cleanup_(keyring_freep) Keyring *late = NULL, *naive = NULL;
	static const char *const wanted[] = {"meta", "project"};
	const struct slot_wants wants = {.names = wanted, .count = 2};
	assert_int_equal(keyring_copy(f->keyring, &late), 0);
	assert_int_equal(header_delete_key(f->header, f->keyring, "project"), 0);
	assert_int_equal(keyring_forget(f->keyring, "project"), 0);
	/* A keyring that has not heard of it, and one with another key of this name. */
	assert_int_equal(header_update(f->header, late), -EEXIST);
	assert_int_equal(keyring_rotate(late, "project", NULL), 0);
	assert_int_equal(header_update(f->header, late), -EEXIST);
	assert_non_null(strstr(fault_message(), "alias/project was deleted"));
	assert_int_equal(keyring_create(f->keyring, "project", KEY_SECRET), -EEXIST);
	assert_int_equal(
	        header_add_slot_keyfile(f->header, f->keyring, bytes_of(f->file, 32), "", &wants), -EKEYEXPIRED);
	assert_int_equal(count_boxes(f->header, "project"), 0);
	/* And a limited slot does not become a full one because all that it lacked is gone. */
	static const char *const most[] = {"audit", "landing", "meta", "raw", "trusted", "verdict"};
	const struct slot_wants without = {.names = most, .count = 6};
	assert_int_equal(header_add_slot_keyfile(f->header, f->keyring, bytes_of(f->kek, 32), "", &without), 0);
	assert_int_equal(keyring_create(f->keyring, "next", KEY_SECRET), 0);
	assert_int_equal(header_update(f->header, f->keyring), 0);
	assert_int_equal(count_boxes(f->header, "next"), 3);
}

static void what_is_not_to_be_deleted_is_not(void **state) {
	struct fixture *f = *state;
	static const char *const vital[] = {"audit", "header", "meta", "verdict"};
	uint64_t before = header_generation(f->header);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(header_delete_key(f->header, f->keyring, vital[i]), -EPERM);
	assert_int_equal(header_delete_key(f->header, f->keyring, "nobody"), -ENOKEY);
	assert_int_equal(keyring_forget(f->keyring, "project"), 0);
	assert_int_equal(header_update(f->header, f->keyring), -EINVAL);
	assert_non_null(strstr(fault_message(), "forgotten before it was deleted"));
	assert_int_equal(header_generation(f->header), before);
	assert_int_equal(count_boxes(f->header, "project"), 4);
	/* By a keyring that knows it the second time is nothing. */
	_cleanup_(keyring_freep) Keyring *keyring = fixture_open(f, FIXTURE_PASSPHRASE);
	assert_int_equal(header_delete_key(f->header, keyring, "project"), 0);
	assert_int_equal(header_delete_key(f->header, keyring, "project"), 0);
	assert_int_equal(header_generation(f->header), before + 1);
}

static void states_that_cannot_be_are_refused(void **state) {
	struct fixture *f = *state;
	static const struct {
		const char *from, *to, *words;
	} cases[] = {
	        {"\"name\":\"project\",\"state\":\"active\"", "\"name\":\"project\",\"state\":\"deleted\"",
	                "says is deleted"},
	        {"\"name\":\"project\",\"state\":\"active\"", "\"name\":\"project\",\"state\":\"gone\"", "not known"},
	        {"\"name\":\"raw\",\"state\":\"retired\"", "\"name\":\"raw\",\"state\":\"disabled\"",
	                "version 1 is disabled"},
	        {"\"name\":\"raw\",\"state\":\"retired\"", "\"name\":\"raw\",\"state\":\"pending-deletion\"",
	                "version 2 active"},
	};
	assert_int_equal(keyring_rotate(f->keyring, "raw", NULL), 0);
	assert_int_equal(header_update(f->header, f->keyring), 0);
	fixture_serialize(f);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		_cleanup_(header_freep) VaultHeader *header = NULL;
		_cleanup_(freep) char *text = fixture_replaced(f->json, cases[i].from, cases[i].to);
		int rc = header_parse(bytes_of_string(text), &header);
		if (rc != -EINVAL || !strstr(fault_message(), cases[i].words))
			fail_msg("%s: %d, %s", cases[i].to, rc, fault_message());
	}
}

/* Alone, a state is public and signed: whoever enables a key in the file has altered it. */
static void an_altered_state_is_noticed(void **state) {
	struct fixture *f = *state;
	const struct slot_secret secret = fixture_secret(f, FIXTURE_KEYFILE);
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	assert_int_equal(keyring_set_state(f->keyring, "raw", KEY_DISABLED), 0);
	assert_int_equal(header_update(f->header, f->keyring), 0);
	fixture_serialize(f);
	_cleanup_(freep) char *text = fixture_replaced(
	        f->json, "\"name\":\"raw\",\"state\":\"disabled\"", "\"name\":\"raw\",\"state\":\"active\"");
	assert_int_equal(fixture_unlock(text, strlen(text), &secret, &keyring), -EBADMSG);
}

static bool is_data(const struct key_info *info, const void *data) {
	(void)data;
	return info->kind == KEY_SECRET && strcmp(info->name, "meta") != 0;
}

static void a_locked_vault_still_changes_its_slots(void **state) {
	struct fixture *f = *state;
	char id[HEADER_ID_TEXT_BYTES];
	fixture_id(f, FIXTURE_RECIPIENT, id);
	keyring_drop(f->keyring, is_data, NULL);
	assert_int_equal(header_remove_slot(f->header, f->keyring, id), 0);
	assert_int_equal(header_update(f->header, f->keyring), 0);
	assert_int_equal(count_boxes(f->header, "raw"), 3);
	assert_int_equal(header_add_slot_keyfile(f->header, f->keyring, bytes_of(f->kek, 32), "", NULL), -EACCES);
	assert_non_null(strstr(fault_message(), "assayfs unlock"));
	assert_int_equal(header_slot_count(f->header), FIXTURE_SLOTS - 1);
	/* Unlocking: the keys of a slot take the place of what is there. */
	_cleanup_(keyring_freep) Keyring *opened = fixture_open(f, FIXTURE_KEYFILE);
	keyring_take(f->keyring, opened);
	assert_int_equal(get(f->keyring, "raw", 0), 0);
	assert_int_equal(header_add_slot_keyfile(f->header, f->keyring, bytes_of(f->kek, 32), "", NULL), 0);
}

/* What a rotation does: the mount goes on with the old keys until the new vault.json is durable. */
static void a_rotation_is_made_on_a_copy(void **state) {
	struct fixture *f = *state;
	_cleanup_(keyring_freep) Keyring *next = NULL;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	uint32_t version = 0;
	uint8_t key[KEYRING_KEY_BYTES];
	assert_int_equal(keyring_copy(f->keyring, &next), 0);
	assert_int_equal(header_parse(bytes_of(f->json, f->size), &header), 0);
	assert_int_equal(keyring_rotate(next, "raw", NULL), 0);
	assert_int_equal(keyring_rotate(next, "header", NULL), 0);
	assert_int_equal(header_update(header, next), 0);
	assert_int_equal(keyring_get(f->keyring, "raw", 0, key, &version), 0);
	assert_int_equal(version, 1);
	assert_int_equal(header_verify(f->header, f->keyring), 0);
	assert_int_equal(header_verify(header, f->keyring), -EBADMSG);
	keyring_take(f->keyring, next);
	assert_int_equal(keyring_get(f->keyring, "raw", 0, key, &version), 0);
	assert_int_equal(version, 2);
	assert_int_equal(header_verify(header, f->keyring), 0);
	assert_memory_equal(header_signer(header), header_signer(f->header), 32);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_make, fixture_unmake)
	const struct CMUnitTest tests[] = {
	        TEST(states_go_with_the_header),
	        TEST(a_new_slot_gets_disabled_keys_too),
	        TEST(a_deleted_key_is_in_no_slot),
	        TEST(a_deleted_name_is_not_used_again),
	        TEST(what_is_not_to_be_deleted_is_not),
	        TEST(states_that_cannot_be_are_refused),
	        TEST(an_altered_state_is_noticed),
	        TEST(a_locked_vault_still_changes_its_slots),
	        TEST(a_rotation_is_made_on_a_copy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
