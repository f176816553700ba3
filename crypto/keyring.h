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
 * All versions of a name are enabled (one active, the others retired), or all disabled, or all pending deletion, or all
 * deleted: of these only the names are left, so that whoever asks is told, and no key takes the name again.
 *
 *     enabled ◄──► disabled ◄──► pending deletion ──keyring_forget()──► deleted
 *
 * Changing keys of a vault in use:  keyring_copy() ─ change the copy ─ header_update() with it ─ write that durably ─
 * keyring_take(). So nothing is ever sealed under a key that is not on the disk.
 *
 * Thread-safe: any number of threads read while one changes it. Changes that go by a copy are for the caller to have
 * one at a time: what is done to the keyring itself meanwhile (keyring_drop() too) is lost when the copy is taken.
 */
#pragma once

#include <stdbool.h>
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
	KEY_ACTIVE = 1,           /* may seal or sign */
	KEY_RETIRED = 2,          /* only opens or verifies what it once made */
	KEY_DISABLED = 3,         /* neither, until it is enabled again */
	KEY_PENDING_DELETION = 4, /* neither, until that is cancelled or it is deleted */
	KEY_DELETED = 5,          /* there is no such key any more; its name stays taken */
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

/* Adds a key (copied; of one that is KEY_DELETED only what is public). -EEXIST: this name and version is there.
 * -EINVAL: bad name, version 0, unknown kind or state, or another version of this name has another kind, or is
 * disabled, pending deletion or deleted where this one is not. -ENOSPC: KEYRING_KEYS_MAX reached. -ENOMEM. */
int keyring_add(Keyring *keyring, const struct key_info *info, const uint8_t key[static KEYRING_KEY_BYTES]);

/* Adds version 1 of `name` at random. Errors as keyring_add(). */
int keyring_create(Keyring *keyring, const char *name, enum key_kind kind);

/* The key `name` of `version`, 0 for the current one. `ret_version` may be NULL. The caller wipes its copy. Each error
 * has words that name the key as alias/NAME and what helps.
 * -ENOKEY: this keyring has no such key, or none that is active. -EKEYREVOKED: it is disabled or pending deletion.
 * -EKEYEXPIRED: it was deleted. -EACCES: keyring_drop() took it: the vault is locked. */
int keyring_get(const Keyring *keyring, const char *name, uint32_t version, uint8_t ret_key[static KEYRING_KEY_BYTES],
        uint32_t *ret_version);

/* As keyring_get() of this version, also where it is disabled or pending deletion: to box it to a slot of the header,
 * for nothing else. */
int keyring_get_any(
        const Keyring *keyring, const char *name, uint32_t version, uint8_t ret_key[static KEYRING_KEY_BYTES]);

/* Adds the next version of `name` at random, active, and retires the ones before. Header slots know it only after
 * header_update(): until that is durable nothing may be sealed under the new version. -ENOKEY: no such key.
 * -EKEYREVOKED, -EKEYEXPIRED, -EACCES as keyring_get(). Others as keyring_add(). `ret_version` may be NULL. */
int keyring_rotate(Keyring *keyring, const char *name, uint32_t *ret_version);

/* Whether the vault can't do without the key `name`, so that it is only ever rotated: meta, audit, verdict, header. */
bool keyring_is_vital(const char *name);

/* Puts all versions of `name` into a state: KEY_ACTIVE (enabled: the highest version active, the others retired),
 * KEY_DISABLED or KEY_PENDING_DELETION. -EINVAL: another state. -EPERM: the key is vital. -ENOKEY: no such key.
 * -EKEYEXPIRED: it was deleted. */
int keyring_set_state(Keyring *keyring, const char *name, enum key_state state);

/* Wipes all versions of `name`, which are KEY_DELETED from then on: after header_delete_key() and not before what that
 * made is durable. -EPERM: the key is vital. -ENOKEY: no such key. */
int keyring_forget(Keyring *keyring, const char *name);

/* Wipes the keys that `is_dropped` picks (called under the keyring's lock: it must not use the keyring) and remembers
 * that they are locked: keyring_get() of them gives -EACCES until keyring_take() brings them back. */
void keyring_drop(
        Keyring *keyring, bool (*is_dropped)(const struct key_info *info, const void *data), const void *data);

/* Whether a key is locked by keyring_drop(). */
bool keyring_is_locked(const Keyring *keyring);

/* A copy of all of it; the caller owns it. -ENOMEM: also when the limit of locked memory is reached. */
int keyring_copy(const Keyring *keyring, Keyring **ret_copy);

/* `live` becomes what `from` is, at once for all its readers; its own keys are wiped. `from`, which no other thread may
 * be using, is empty afterwards and still the caller's to free. Cannot fail. */
void keyring_take(Keyring *live, Keyring *from);

/* How many keys there are, each version counted. */
size_t keyring_count(const Keyring *keyring);

/* What is public about the key at `index` in the order of name and version. -ENOENT: past the last. */
int keyring_info(const Keyring *keyring, size_t index, struct key_info *ret_info);

/* "active", "retired", "disabled", "pending-deletion", "deleted", as it stands in vault.json; NULL if unknown. */
const char *key_state_name(enum key_state state);

/* Whether two versions of one name may be in these states: one may be active and the other retired, else they are the
 * same. */
bool key_states_agree(enum key_state one, enum key_state other);

/* Whether `name` is a well-formed key name: 0 or -EINVAL. */
int keyring_check_name(const char *name);
