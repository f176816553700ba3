/*
 * meta_key: keyrings with versions of the key "meta" that are known, for tests, benchmarks and fuzz targets.
 */
#pragma once

#include "crypto/keyring.h"

#include <stdlib.h>
#include <string.h>

/* Versions `from` to `to`, of which each has the same bytes in each keyring; the caller frees it. */
static inline Keyring *meta_key_versions(uint32_t from, uint32_t to) {
	Keyring *keyring = NULL;
	if (keyring_new(&keyring) < 0)
		abort();
	for (uint32_t version = from; version <= to; version++) {
		uint8_t key[KEYRING_KEY_BYTES] = {7, (uint8_t)version, (uint8_t)(version >> 8)};
		struct key_info info = {.name = "meta",
		        .version = version,
		        .kind = KEY_SECRET,
		        .state = version == to ? KEY_ACTIVE : KEY_RETIRED};
		if (keyring_add(keyring, &info, key) < 0)
			abort();
	}
	return keyring;
}

/* Version 1, for the whole process. */
static inline const Keyring *meta_key_one(void) {
	static Keyring *one;
	if (!one)
		one = meta_key_versions(1, 1);
	return one;
}
