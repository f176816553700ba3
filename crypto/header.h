/*
 * header: vault.json, the public header of a vault: what it is, and the slots that unlock its keys. Only bytes in and
 * bytes out; the backend reads and writes the file.
 *
 *     {
 *     "cipher":"aes-256-gcm",  "created":…,  "format":1,  "generation":…,  "vault":…,
 *     "keys":[ name, version, kind, state ]                          all keys there are
 *     "signers":[ public key, signature by the one before ]          the "header" key and its successors
 *     "slots":[ … ]                                                  who can unlock
 *     "signature":…                                                  of the last signer, over all other lines
 *     }
 *
 *     a slot:  secret ──KDF──> KEK ──opens──> "sealed" = X25519 secret key ‖ Ed25519 key that verifies the header
 *                                                  │
 *                                                  └──opens──> "boxes": one for each key version the slot holds
 *
 *   - KEK: Argon2id of a passphrase, keyed BLAKE2b of a recovery key.
 *   - "sealed": XChaCha20-Poly1305 under the KEK; vault id, slot id, type, KDF parameters and the slot's public key are
 *     authenticated with it.
 *   - A box (X25519, crypto_box_seal) holds a key and a hash that binds it to vault, slot, name, version and kind.
 *
 * So a running mount that has only the keys, and no slot's secret, can add key versions to every slot (rotation), make
 * slots that hold fewer keys, and remove slots.
 *
 * What is checked when. header_parse() checks shape only: whoever can write the file can also make a consistent one, so
 * NOTHING in a parsed header is trustworthy by itself; the accessors are then good for messages and for `info`.
 * header_unlock() opens a slot, which only its secret can have made, takes the authentic verification key out of it,
 * and checks the signature over everything else: then no byte of the file differs from what the vault's owner wrote
 * (the bytes must be canonical, so even white space counts). What it cannot see is an older vault.json put back whole:
 * compare header_generation() with a memory of your own. Nor does it see what a former holder of
 * the "header" seed does: after removing a slot rotate that key as well (keyring_rotate(), header_update()). Slots made
 * after that refuse the old seed; a slot made before knows only the old key and would accept a forged successor of it
 * until it is made anew, which needs its secret.
 *
 * Labels and key names stand in vault.json for everybody to read.
 *
 * A VaultHeader belongs to one thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "crypto/encoding.h"
#include "crypto/keyring.h"

#define HEADER_FORMAT 1
#define HEADER_ID_BYTES 16
/* An id in hexadecimal with its NUL. */
#define HEADER_ID_TEXT_BYTES 33
/* Longest label of a slot, with its NUL. */
#define HEADER_LABEL_BYTES 129
#define HEADER_SLOTS_MAX 64
/* Longer input is refused unread. */
#define HEADER_BYTES_MAX ((size_t)4 << 20)

/* Caps on what a header may ask of Argon2id, so that a forged file cannot hang whoever types a passphrase: memory,
 * and memory times passes (64 GiB are about a minute). */
#define HEADER_KDF_MEMORY_MIN ((uint64_t)8 << 10)
#define HEADER_KDF_MEMORY_MAX ((uint64_t)4 << 30)
#define HEADER_KDF_WORK_MAX ((uint64_t)64 << 30)
#define HEADER_KDF_MEMORY_DEFAULT ((uint64_t)256 << 20)
#define HEADER_KDF_PASSES_LEAST 3

/* The cost of Argon2id (RFC 9106; one lane, as in libsodium). */
struct header_kdf {
	uint64_t memory; /* bytes */
	uint64_t passes;
};

enum slot_type {
	SLOT_PASSPHRASE = 1,
	SLOT_RECOVERY = 2,
};

/* What a person brings to unlock: the bytes of a passphrase, or a recovery key as typed. */
struct slot_secret {
	enum slot_type type;
	struct bytes value;
};

/* What is public about a slot. */
struct slot_info {
	char id[HEADER_ID_TEXT_BYTES];
	enum slot_type type;
	char label[HEADER_LABEL_BYTES];
	struct header_kdf kdf; /* passphrase slots; else zero */
	size_t key_count;      /* key versions it holds, see header_slot_key() */
};

typedef struct VaultHeader VaultHeader;

/* Passes so that Argon2id with `memory` bytes takes about `milliseconds` on this machine (at least one pass). Runs it
 * twice, with one pass and with three, because the first also pays for getting the memory. -ENOMEM. -EINVAL: memory
 * outside the caps. Measured with 256 MiB and one second: 2 or 3 passes on two cores
 * shared with three times as much work as they can do, more when idle. */
int header_kdf_calibrate(uint64_t memory, unsigned milliseconds, struct header_kdf *ret_kdf);

/* A header with a new random vault id and no slot yet: add at least one before header_serialize(). `created` in seconds
 * since 1970 (years to 9999). The caller owns the result. -EINVAL, -ENOMEM. */
int header_create(enum aead_cipher cipher, int64_t created, VaultHeader **ret_header);

/* Reads vault.json. See above for what that proves (nothing but shape). -EINVAL: not JSON, a member missing, unknown,
 * twice or malformed, costs above the caps, or not in canonical form (somebody edited it). -ENOTSUP: another format
 * version, or a kind of slot that this program does not know. -EFBIG: longer than HEADER_BYTES_MAX. The words say
 * which. */
int header_parse(struct bytes json, VaultHeader **ret_header);

void header_free(VaultHeader *header);
DEFINE_CLEANUP(VaultHeader, header_free);

/* The canonical bytes, to be written to vault.json as they are; `*ret_json` ends with a NUL that does not count in
 * `*ret_size`; the caller frees it. -EINVAL: the header has no slot yet. -ENOMEM. */
int header_serialize(const VaultHeader *header, char **ret_json, size_t *ret_size);

/* Tries `secret` on each slot of its type, one key derivation each, and verifies the whole header. The caller owns the
 * keyring, which holds the keys of that slot. `ret_slot` (its index) may be NULL.
 * -EKEYREJECTED: no slot opens: wrong secret, or the slot was altered (the two cannot be told apart).
 * -EINVAL: the recovery key is mistyped, with words.
 * -EBADMSG: a slot opened, but the rest of vault.json is not what the vault's owner signed.
 * -ENOENT: no slot of this type. -ENOMEM: also for the key derivation. */
int header_unlock_slot(
        const VaultHeader *header, const struct slot_secret *secret, Keyring **ret_keyring, size_t *ret_slot);
int header_unlock(const VaultHeader *header, const struct slot_secret *secret, Keyring **ret_keyring);

/* 0 when the header is signed by the current "header" key of `keyring`: for a vault.json read again while unlocked.
 * -EBADMSG: it is not. -ENOKEY: the keyring lacks that key. */
int header_verify(const VaultHeader *header, const Keyring *keyring);

/* The changes below need the "header" key in `keyring` (-ENOKEY), refuse a header that it did not sign (-EBADMSG),
 * count the generation up and sign anew. On error the header is unchanged. Write the outcome to disk before relying on
 * it. */

/* Adds a slot that holds every key of `keyring`. `passphrase` is used as its bytes are, so let the caller settle on one
 * encoding; it must not be empty (-EINVAL). `label` (for people; UTF-8, no control characters) may be "". `kdf` may be
 * NULL: then 256 MiB and about one second, measured, but at least HEADER_KDF_PASSES_LEAST passes, so that a busy
 * machine does not make a cheap slot. -ENOSPC: HEADER_SLOTS_MAX reached. -ENOMEM. */
int header_add_slot_passphrase(VaultHeader *header, const Keyring *keyring, struct bytes passphrase, const char *label,
        const struct header_kdf *kdf);

/* Adds a slot under a new random recovery key, whose text is returned to be shown once; the caller wipes it. */
int header_add_slot_recovery(
        VaultHeader *header, const Keyring *keyring, const char *label, char ret_text[static RECOVERY_TEXT_BYTES]);

/* Removes the slot with this id (hexadecimal). Its holder may have kept the keys: rotate them too.
 * -ENOENT: no such slot. -EBUSY: it is the last one. */
int header_remove_slot(VaultHeader *header, const Keyring *keyring, const char *id);

/* After keyring_rotate(), keyring_create() or a change of state: boxes the new versions to each slot that holds an
 * older version of the same name, keys of a new name to each slot that holds every other key, and takes over the
 * states. */
int header_update(VaultHeader *header, const Keyring *keyring);

uint32_t header_format(const VaultHeader *header);
/* Counts the changes; 1 after the first slot. */
uint64_t header_generation(const VaultHeader *header);
enum aead_cipher header_cipher(const VaultHeader *header);
int64_t header_created(const VaultHeader *header);
const uint8_t *header_vault_id(const VaultHeader *header);   /* HEADER_ID_BYTES bytes, owned by the header */
const char *header_vault_id_text(const VaultHeader *header); /* lower-case hexadecimal, owned by the header */
const char *slot_type_name(enum slot_type type);             /* "passphrase", "recovery"; NULL if unknown */

/* -ENOENT past the last. */
size_t header_slot_count(const VaultHeader *header);
int header_slot(const VaultHeader *header, size_t index, struct slot_info *ret_info);
/* The `key`-th key version that slot `index` holds. */
int header_slot_key(const VaultHeader *header, size_t index, size_t key, struct key_info *ret_info);
size_t header_key_count(const VaultHeader *header);
int header_key(const VaultHeader *header, size_t index, struct key_info *ret_info);
