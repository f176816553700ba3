/*
 * keyring: the unlocked keys of a vault, by name and version, in locked memory.
 *
 *     name       versions          kind
 *     landing    1  2  3*          secret    * the current one: the highest that is active; it seals,
 *     meta       1*                secret      the older ones only open what they once sealed
 *     audit      1*                Ed25519 seed
 *
 * A slot may hold only some of the keys; asking for one that is not there is -ENOKEY, an everyday answer. Names are
 * public (they stand in vault.json): a key of a user's folder gets a random name, not the folder's.
 *
 * Thread-safe: any number of threads read while one rotates or adds.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/base/cleanup.h"

#define KEYRING_KEY_BYTES 32
/* Longest name without its NUL; names are of a-z, 0-9, '.', '_' and '-'. */
#define KEYRING_NAME_MAX 63
/* Most keys (versions counted) in one keyring. */
#define KEYRING_KEYS_MAX 4096

/* The numbers stand in what is sealed for slots. */
enum key_kind {
	KEY_SECRET = 1,  /* 32 random bytes, to seal or to derive from */
	KEY_ED25519 = 2, /* the seed of a signing key (crypto/sign.h) */
};

enum key_state {
	KEY_ACTIVE = 1,  /* may seal or sign */
	KEY_RETIRED = 2, /* only opens or verifies what it once made */
};

/* What is public about a key. */
struct key_info {
	char name[KEYRING_NAME_MAX + 1];
	uint32_t version; /* from 1 on */
	enum key_kind kind;
	enum key_state state;
};

typedef struct Keyring Keyring;

/* An empty keyring. -ENOMEM: also when the limit of locked memory is reached. */
int keyring_new(Keyring **ret_keyring);

/* The keys of a new vault, at random, version 1 each: landing, raw, trusted, meta (secrets), audit, verdict, header
 * (Ed25519 seeds). */
int keyring_new_vault(Keyring **ret_keyring);

/* Wipes and frees. NULL is fine. No other thread may be using it. */
void keyring_free(Keyring *keyring);
DEFINE_CLEANUP(Keyring, keyring_free);

/* Adds a key (copied). -EEXIST: this name and version is there. -EINVAL: bad name, version 0, unknown kind or state, or
 * another version of this name has another kind. -ENOSPC: KEYRING_KEYS_MAX reached. -ENOMEM. */
int keyring_add(Keyring *keyring, const struct key_info *info, const uint8_t key[static KEYRING_KEY_BYTES]);

/* Adds version 1 of `name` at random. Errors as keyring_add(). */
int keyring_create(Keyring *keyring, const char *name, enum key_kind kind);

/* The key `name` of `version`, 0 for the current one. `ret_version` may be NULL. The caller wipes its copy.
 * -ENOKEY: this keyring has no such key, or none that is active. */
int keyring_get(const Keyring *keyring, const char *name, uint32_t version, uint8_t ret_key[static KEYRING_KEY_BYTES],
        uint32_t *ret_version);

/* Adds the next version of `name` at random, active, and retires the ones before. Header slots know it only after
 * header_update(): until that is durable nothing may be sealed under the new version. -ENOKEY: no such key. Others as
 * keyring_add(). `ret_version` may be NULL. */
int keyring_rotate(Keyring *keyring, const char *name, uint32_t *ret_version);

/* How many keys there are, each version counted. */
size_t keyring_count(const Keyring *keyring);

/* What is public about the key at `index` in the order of name and version. -ENOENT: past the last. */
int keyring_info(const Keyring *keyring, size_t index, struct key_info *ret_info);

/* Whether `name` is a well-formed key name: 0 or -EINVAL. */
int keyring_check_name(const char *name);
