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
	for (int i = 0; i < 200; i++)
		assert_int_equal(keyring_rotate(keyring, "raw", NULL), 0);
	atomic_store(&readers.stop, true);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(readers.wrong, 0);
	assert_int_equal(keyring_count(keyring), 207);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_new_vault_has_its_seven_keys),
	        cmocka_unit_test(rotation_keeps_the_old_version_for_opening),
	        cmocka_unit_test(a_key_that_is_not_there_is_enokey),
	        cmocka_unit_test(retired_keys_are_never_the_current_one),
	        cmocka_unit_test(bad_keys_are_not_added),
	        cmocka_unit_test(a_full_keyring_says_so),
	        cmocka_unit_test(reading_goes_on_while_keys_rotate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
