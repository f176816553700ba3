#include "crypto/keyring.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"

static void a_new_vault_has_its_seven_keys(void **state) {
	(void)state;
	static const struct {
		const char *name;
		enum key_kind kind;
	} wanted[] = {{"audit", KEY_ED25519}, {"header", KEY_ED25519}, {"landing", KEY_SECRET}, {"meta", KEY_SECRET},
	        {"raw", KEY_SECRET}, {"trusted", KEY_SECRET}, {"verdict", KEY_ED25519}};
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	struct key_info info;
	uint8_t former[KEYRING_KEY_BYTES] = {0}, key[KEYRING_KEY_BYTES];
	assert_int_equal(keyring_new_vault(&keyring), 0);
	assert_int_equal(keyring_count(keyring), 7);
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(keyring_info(keyring, i, &info), 0);
		assert_string_equal(info.name, wanted[i].name);
		assert_int_equal(info.kind, wanted[i].kind);
		assert_int_equal(info.version, 1);
		assert_int_equal(info.state, KEY_ACTIVE);
		assert_int_equal(keyring_get(keyring, info.name, 0, key, NULL), 0);
		assert_memory_not_equal(key, former, sizeof key);
		memcpy(former, key, sizeof key);
	}
	assert_int_equal(keyring_info(keyring, 7, &info), -ENOENT);
}

static void rotation_keeps_the_old_version_for_opening(void **state) {
	(void)state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	uint8_t first[KEYRING_KEY_BYTES], second[KEYRING_KEY_BYTES], key[KEYRING_KEY_BYTES];
	uint32_t version = 0;
	assert_int_equal(keyring_new_vault(&keyring), 0);
	assert_int_equal(keyring_get(keyring, "raw", 0, first, NULL), 0);
	assert_int_equal(keyring_rotate(keyring, "raw", &version), 0);
	assert_int_equal(version, 2);
	assert_int_equal(keyring_get(keyring, "raw", 0, second, &version), 0);
	assert_int_equal(version, 2);
	assert_memory_not_equal(first, second, sizeof first);
	assert_int_equal(keyring_get(keyring, "raw", 1, key, &version), 0);
	assert_int_equal(version, 1);
	assert_memory_equal(key, first, sizeof key);
	assert_int_equal(keyring_get(keyring, "raw", 3, key, NULL), -ENOKEY);
}

static void a_key_that_is_not_there_is_enokey(void **state) {
	(void)state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	uint8_t key[KEYRING_KEY_BYTES];
	assert_int_equal(keyring_new(&keyring), 0);
	assert_int_equal(keyring_get(keyring, "raw", 0, key, NULL), -ENOKEY);
	assert_int_equal(keyring_get(keyring, "raw", 1, key, NULL), -ENOKEY);
	assert_int_equal(keyring_rotate(keyring, "raw", NULL), -ENOKEY);
	/* Names around it in the order are not taken for it. */
	assert_int_equal(keyring_create(keyring, "ra", KEY_SECRET), 0);
	assert_int_equal(keyring_create(keyring, "raws", KEY_SECRET), 0);
	assert_int_equal(keyring_get(keyring, "raw", 0, key, NULL), -ENOKEY);
	assert_int_equal(keyring_get(keyring, "zz", 0, key, NULL), -ENOKEY);
}

static void retired_keys_are_never_the_current_one(void **state) {
	(void)state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	const uint8_t key[KEYRING_KEY_BYTES] = {1};
	uint8_t got[KEYRING_KEY_BYTES];
	uint32_t version = 0;
	struct key_info info = {.name = "k", .version = 1, .kind = KEY_SECRET, .state = KEY_ACTIVE};
	assert_int_equal(keyring_new(&keyring), 0);
	assert_int_equal(keyring_add(keyring, &info, key), 0);
	info.version = UINT32_MAX;
	info.state = KEY_RETIRED;
	assert_int_equal(keyring_add(keyring, &info, key), 0);
	assert_int_equal(keyring_get(keyring, "k", 0, got, &version), 0);
	assert_int_equal(version, 1);
	assert_int_equal(keyring_get(keyring, "k", UINT32_MAX, got, &version), 0);
	assert_int_equal(keyring_rotate(keyring, "k", NULL), -EOVERFLOW);
}

static void bad_keys_are_not_added(void **state) {
	(void)state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	const uint8_t key[KEYRING_KEY_BYTES] = {1};
	const struct key_info good = {.name = "good", .version = 2, .kind = KEY_SECRET, .state = KEY_ACTIVE};
	struct key_info bad = good;
	assert_int_equal(keyring_new(&keyring), 0);
	assert_int_equal(keyring_add(keyring, &good, key), 0);
	assert_int_equal(keyring_add(keyring, &good, key), -EEXIST);
	bad.version = 0;
	assert_int_equal(keyring_add(keyring, &bad, key), -EINVAL);
	bad = good;
	bad.version = 3;
	bad.kind = KEY_ED25519;
	assert_int_equal(keyring_add(keyring, &bad, key), -EINVAL);
	bad.version = 1;
	assert_int_equal(keyring_add(keyring, &bad, key), -EINVAL);
	bad = good;
	bad.state = 0;
	assert_int_equal(keyring_add(keyring, &bad, key), -EINVAL);
	memset(bad.name, 'a', sizeof bad.name);
	assert_int_equal(keyring_add(keyring, &bad, key), -EINVAL);
	static const char *const names[] = {"", "Upper", "a b", "a/b", "\xc3\xa9",
	        "0123456789012345678901234567890123456789012345678901234567890123"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(keyring_create(keyring, names[i], KEY_SECRET), -EINVAL);
	assert_int_equal(keyring_count(keyring), 1);
}

static void a_full_keyring_says_so(void **state) {
	(void)state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	char name[KEYRING_NAME_MAX + 1];
	for (int i = 0; i <= KEYRING_KEYS_MAX; i++) {
		if (!keyring)
			assert_int_equal(keyring_new(&keyring), 0);
		(void)snprintf(name, sizeof name, "k%d", i);
		assert_int_equal(keyring_create(keyring, name, KEY_SECRET), i < KEYRING_KEYS_MAX ? 0 : -ENOSPC);
	}
}

static int get(const Keyring *keyring, const char *name, uint32_t version) {
	uint8_t key[KEYRING_KEY_BYTES];
	fault_clear();
	return keyring_get(keyring, name, version, key, NULL);
}

static enum key_state state_of(const Keyring *keyring, const char *name, uint32_t version) {
	struct key_info info;
	for (size_t i = 0; keyring_info(keyring, i, &info) == 0; i++)
		if (strcmp(info.name, name) == 0 && info.version == version)
			return info.state;
	return 0;
}

/* A new vault's keys with raw in two versions, of which this is the second. */
static Keyring *make_rotated(uint8_t ret_raw[static KEYRING_KEY_BYTES]) {
	Keyring *keyring = NULL;
	assert_int_equal(keyring_new_vault(&keyring), 0);
	assert_int_equal(keyring_rotate(keyring, "raw", NULL), 0);
	assert_int_equal(keyring_get(keyring, "raw", 0, ret_raw, NULL), 0);
	return keyring;
}

static void a_disabled_key_neither_seals_nor_opens(void **state) {
	(void)state;
	uint8_t raw[KEYRING_KEY_BYTES], key[KEYRING_KEY_BYTES];
	_cleanup_(keyring_freep) Keyring *keyring = make_rotated(raw);
	static const struct {
		enum key_state state;
		const char *words;
	} cases[] = {{KEY_DISABLED, "assayfs key enable alias/raw"},
	        {KEY_PENDING_DELETION, "assayfs key cancel-deletion alias/raw"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(keyring_set_state(keyring, "raw", cases[i].state), 0);
		for (uint32_t version = 0; version <= 3; version++) {
			assert_int_equal(get(keyring, "raw", version), -EKEYREVOKED);
			assert_non_null(strstr(fault_message(), cases[i].words));
		}
		assert_int_equal(keyring_rotate(keyring, "raw", NULL), -EKEYREVOKED);
		assert_int_equal(state_of(keyring, "raw", 1), cases[i].state);
		assert_int_equal(state_of(keyring, "raw", 2), cases[i].state);
		assert_int_equal(keyring_get_any(keyring, "raw", 2, key), 0);
		assert_memory_equal(key, raw, sizeof key);
		assert_int_equal(get(keyring, "landing", 0), 0);
	}
	/* Enabled again it is as it was. */
	uint32_t version = 0;
	assert_int_equal(keyring_set_state(keyring, "raw", KEY_ACTIVE), 0);
	assert_int_equal(state_of(keyring, "raw", 1), KEY_RETIRED);
	assert_int_equal(state_of(keyring, "raw", 2), KEY_ACTIVE);
	assert_int_equal(keyring_get(keyring, "raw", 0, key, &version), 0);
	assert_int_equal(version, 2);
	assert_memory_equal(key, raw, sizeof key);
	assert_int_equal(get(keyring, "raw", 1), 0);
}

static void vital_keys_are_only_rotated(void **state) {
	(void)state;
	static const char *const vital[] = {"audit", "header", "meta", "verdict"};
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	assert_int_equal(keyring_new_vault(&keyring), 0);
	for (size_t i = 0; i < sizeof vital / sizeof *vital; i++) {
		assert_true(keyring_is_vital(vital[i]));
		assert_int_equal(keyring_set_state(keyring, vital[i], KEY_DISABLED), -EPERM);
		assert_int_equal(keyring_set_state(keyring, vital[i], KEY_PENDING_DELETION), -EPERM);
		assert_int_equal(keyring_forget(keyring, vital[i]), -EPERM);
		assert_int_equal(keyring_rotate(keyring, vital[i], NULL), 0);
		assert_int_equal(get(keyring, vital[i], 1), 0);
	}
	assert_false(keyring_is_vital("raw"));
	assert_false(keyring_is_vital("metadata"));
}

static void states_that_are_none_are_refused(void **state) {
	(void)state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	const uint8_t key[KEYRING_KEY_BYTES] = {1};
	assert_int_equal(keyring_new_vault(&keyring), 0);
	assert_int_equal(keyring_set_state(keyring, "raw", KEY_RETIRED), -EINVAL);
	assert_int_equal(keyring_set_state(keyring, "raw", KEY_DELETED), -EINVAL);
	assert_int_equal(keyring_set_state(keyring, "raw", 0), -EINVAL);
	assert_int_equal(keyring_set_state(keyring, "nobody", KEY_DISABLED), -ENOKEY);
	assert_int_equal(keyring_forget(keyring, "nobody"), -ENOKEY);
	/* Versions of one name are not in states that do not go together. */
	const struct key_info info = {.name = "raw", .version = 2, .kind = KEY_SECRET, .state = KEY_DISABLED};
	assert_int_equal(keyring_add(keyring, &info, key), -EINVAL);
	assert_int_equal(keyring_count(keyring), 7);
	assert_null(key_state_name(0));
	assert_string_equal(key_state_name(KEY_PENDING_DELETION), "pending-deletion");
}

static void a_forgotten_key_is_gone_and_its_name_stays(void **state) {
	(void)state;
	uint8_t raw[KEYRING_KEY_BYTES], key[KEYRING_KEY_BYTES] = {0};
	_cleanup_(keyring_freep) Keyring *keyring = make_rotated(raw);
	assert_int_equal(keyring_forget(keyring, "raw"), 0);
	for (uint32_t version = 0; version <= 3; version++) {
		assert_int_equal(get(keyring, "raw", version), -EKEYEXPIRED);
		assert_non_null(strstr(fault_message(), "alias/raw was deleted"));
		assert_int_equal(keyring_get_any(keyring, "raw", version, key), -EKEYEXPIRED);
	}
	assert_int_equal(state_of(keyring, "raw", 2), KEY_DELETED);
	assert_int_equal(keyring_set_state(keyring, "raw", KEY_ACTIVE), -EKEYEXPIRED);
	assert_int_equal(keyring_rotate(keyring, "raw", NULL), -EKEYEXPIRED);
	assert_int_equal(keyring_create(keyring, "raw", KEY_SECRET), -EEXIST);
	assert_int_equal(keyring_forget(keyring, "raw"), 0);
	const struct key_info gone = {.name = "gone", .version = 1, .kind = KEY_SECRET, .state = KEY_DELETED};
	assert_int_equal(keyring_add(keyring, &gone, raw), 0);
	assert_int_equal(get(keyring, "gone", 1), -EKEYEXPIRED);
}

static bool is_data(const struct key_info *info, const void *data) {
	return strcmp(info->name, data) == 0 || strcmp(info->name, "trusted") == 0;
}

static void a_locked_keyring_says_so_until_it_is_unlocked(void **state) {
	(void)state;
	uint8_t raw[KEYRING_KEY_BYTES], key[KEYRING_KEY_BYTES];
	_cleanup_(keyring_freep) Keyring *keyring = make_rotated(raw), *copy = NULL, *locked = NULL;
	assert_int_equal(keyring_copy(keyring, &copy), 0);
	assert_false(keyring_is_locked(keyring));
	keyring_drop(keyring, is_data, "raw");
	assert_true(keyring_is_locked(keyring));
	for (uint32_t version = 0; version <= 2; version++) {
		assert_int_equal(get(keyring, "raw", version), -EACCES);
		assert_non_null(strstr(fault_message(), "assayfs unlock"));
	}
	assert_int_equal(keyring_get_any(keyring, "raw", 1, key), -EACCES);
	assert_int_equal(get(keyring, "trusted", 0), -EACCES);
	assert_int_equal(get(keyring, "audit", 0), 0);
	assert_int_equal(get(keyring, "landing", 0), 0);
	assert_int_equal(keyring_rotate(keyring, "raw", NULL), -EACCES);
	assert_int_equal(state_of(keyring, "raw", 2), KEY_ACTIVE);
	/* A copy of it is as locked. */
	assert_int_equal(keyring_copy(keyring, &locked), 0);
	assert_true(keyring_is_locked(locked));
	assert_int_equal(get(locked, "raw", 0), -EACCES);

	keyring_take(keyring, copy);
	assert_false(keyring_is_locked(keyring));
	assert_int_equal(keyring_get(keyring, "raw", 0, key, NULL), 0);
	assert_memory_equal(key, raw, sizeof key);
	assert_int_equal(keyring_count(copy), 0);
	assert_int_equal(get(copy, "raw", 0), -ENOKEY);
}

/* A change is made on the copy: the original does not know until it takes it. */
static void a_copy_is_of_its_own_until_it_is_taken(void **state) {
	(void)state;
	uint8_t raw[KEYRING_KEY_BYTES], key[KEYRING_KEY_BYTES], next[KEYRING_KEY_BYTES];
	_cleanup_(keyring_freep) Keyring *keyring = make_rotated(raw), *copy = NULL;
	uint32_t version = 0;
	char name[KEYRING_NAME_MAX + 1];
	assert_int_equal(keyring_copy(keyring, &copy), 0);
	assert_int_equal(keyring_count(copy), keyring_count(keyring));
	assert_int_equal(keyring_rotate(copy, "raw", NULL), 0);
	assert_int_equal(keyring_get(copy, "raw", 0, next, NULL), 0);
	assert_int_equal(keyring_set_state(copy, "landing", KEY_DISABLED), 0);
	/* More than the first room, so that the two differ in size. */
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof name, "folder-%d", i);
		assert_int_equal(keyring_create(copy, name, KEY_SECRET), 0);
	}
	assert_int_equal(keyring_get(keyring, "raw", 0, key, &version), 0);
	assert_int_equal(version, 2);
	assert_memory_equal(key, raw, sizeof key);
	assert_int_equal(get(keyring, "landing", 0), 0);
	assert_int_equal(keyring_count(keyring), 8);

	keyring_take(keyring, copy);
	assert_int_equal(keyring_get(keyring, "raw", 0, key, &version), 0);
	assert_int_equal(version, 3);
	assert_memory_equal(key, next, sizeof key);
	assert_int_equal(get(keyring, "landing", 0), -EKEYREVOKED);
	assert_int_equal(keyring_count(keyring), 49);
	/* What is left of the other is an empty keyring like any. */
	assert_int_equal(keyring_create(copy, "raw", KEY_SECRET), 0);
	assert_int_equal(keyring_count(copy), 1);
}

struct readers {
	Keyring *keyring;
	atomic_bool stop;
	atomic_int wrong;
	uint8_t first[KEYRING_KEY_BYTES];
};

static void *read_keys(void *argument) {
	struct readers *readers = argument;
	uint32_t former = 0;
	while (!atomic_load(&readers->stop)) {
		uint8_t key[KEYRING_KEY_BYTES];
		uint32_t version = 0;
		if (keyring_get(readers->keyring, "raw", 0, key, &version) != 0 || version < former)
			atomic_fetch_add(&readers->wrong, 1);
		former = version;
		if (keyring_get(readers->keyring, "raw", 1, key, NULL) != 0 ||
		        memcmp(key, readers->first, sizeof key) != 0)
			atomic_fetch_add(&readers->wrong, 1);
	}
	return NULL;
}

static void reading_goes_on_while_keys_rotate(void **state) {
	(void)state;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	struct readers readers = {0};
	pthread_t threads[3];
	assert_int_equal(keyring_new_vault(&keyring), 0);
	readers.keyring = keyring;
	assert_int_equal(keyring_get(keyring, "raw", 1, readers.first, NULL), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_keys, &readers), 0);
	for (int i = 0; i < 40; i++) {
		_cleanup_(keyring_freep) Keyring *copy = NULL;
		assert_int_equal(keyring_rotate(keyring, "raw", NULL), 0);
		assert_int_equal(keyring_copy(keyring, &copy), 0);
		assert_int_equal(keyring_rotate(copy, "raw", NULL), 0);
		keyring_take(keyring, copy);
	}
	atomic_store(&readers.stop, true);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(readers.wrong, 0);
	assert_int_equal(keyring_count(keyring), 87);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_new_vault_has_its_seven_keys),
	        cmocka_unit_test(rotation_keeps_the_old_version_for_opening),
	        cmocka_unit_test(a_key_that_is_not_there_is_enokey),
	        cmocka_unit_test(retired_keys_are_never_the_current_one),
	        cmocka_unit_test(bad_keys_are_not_added),
	        cmocka_unit_test(a_full_keyring_says_so),
	        cmocka_unit_test(a_disabled_key_neither_seals_nor_opens),
	        cmocka_unit_test(vital_keys_are_only_rotated),
	        cmocka_unit_test(states_that_are_none_are_refused),
	        cmocka_unit_test(a_forgotten_key_is_gone_and_its_name_stays),
	        cmocka_unit_test(a_locked_keyring_says_so_until_it_is_unlocked),
	        cmocka_unit_test(a_copy_is_of_its_own_until_it_is_taken),
	        cmocka_unit_test(reading_goes_on_while_keys_rotate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
