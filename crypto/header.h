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
 *   - KEK, by the type of slot:
 *         passphrase   Argon2id of the passphrase
 *         recovery     keyed BLAKE2b of the recovery key
 *         keyfile      keyed BLAKE2b of the BLAKE2b of a file's bytes
 *         recipient    random; sealed (crypto_box_seal) to somebody's X25519 key, see crypto/recipient.h
 *         kms          random; wrapped by a key management service, which this floor never talks to
 *   - "sealed": XChaCha20-Poly1305 under the KEK; vault id, slot id, type, KDF parameters, the slot's public key and
 *     whose the KEK is (recipient, ARN, what is wrapped) are authenticated with it.
 *   - A box (X25519, crypto_box_seal) holds a key and a hash that binds it to vault, slot, name, version and kind.
 *
 * So a running mount that has only the keys, and no slot's secret, can add key versions to every slot (rotation), make
 * slots that hold fewer keys, and remove slots.
 *
 * Limited slots. A slot holds every key, or only those of some names (struct slot_wants): the others are not in it, so
 * no permission is needed to keep its holder from them. Which keys a mount needs:
 *
 *     read-only (an analyst)       meta, and a content key for each zone or dataset to be read: trusted
 *     writes into a zone           these, that zone's key, landing (staging, the log of small fsyncs), audit, verdict
 *     changes vault.json           all of them, header among them
 *
 * The public key that verifies vault.json comes with every slot. "header" is held by full slots alone, and that is what
 * tells them: who lacks it gets -ENOKEY for every change here. A slot stays full or limited for good: keys of new names
 * go to full slots, new versions to each slot that holds the name.
 *
 * What is checked when. header_parse() checks shape only: whoever can write the file can also make a consistent one, so
 * NOTHING in a parsed header is trustworthy by itself; the accessors are then good for messages and for `info`.
 * header_unlock() opens a slot, which only its secret can have made, takes the authentic verification key out of it,
 * and checks the signature over everything else: then no byte of the file differs from what the vault's owner wrote
 * (the bytes must be canonical, so even white space counts). Of two types of slot this is less: a RECIPIENT's public
 * text is enough to make a whole other vault, with keys of the maker's, that the recipient's secret opens; so is being
 * allowed to encrypt by the KMS key. Who unlocks by these compares header_signer() with what was told, or remembered.
 * What it cannot see either is an older vault.json put back whole:
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
#include "crypto/recipient.h"

#define HEADER_FORMAT 1
#define HEADER_ID_BYTES 16
/* An id in hexadecimal with its NUL. */
#define HEADER_ID_TEXT_BYTES 33
/* Longest label of a slot, with its NUL. */
#define HEADER_LABEL_BYTES 129
#define HEADER_SLOTS_MAX 64
/* What a key file may have: as much as a key, and no more than is read in a moment. */
#define HEADER_KEYFILE_MIN 32
#define HEADER_KEYFILE_MAX ((size_t)1 << 20)
/* Key-encrypting keys, as a KMS makes them. */
#define HEADER_KEK_BYTES 32
/* The longest ARN without its NUL, and the most that a KMS answers for 32 wrapped bytes. */
#define HEADER_KMS_KEY_MAX 2048
#define HEADER_KMS_WRAPPED_MAX 6144
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
	SLOT_KEYFILE = 3,
	SLOT_RECIPIENT = 4,
	SLOT_KMS = 5,
};

/* What a person brings to unlock: the bytes of a passphrase or of a key file, a recovery key or a recipient's secret as
 * typed, or, for SLOT_KMS, the KEK that the KMS unwrapped. `slot` is the id of the only slot to try, or NULL: all of
 * the type. */
struct slot_secret {
	enum slot_type type;
	struct bytes value;
	const char *slot;
};

/* Which keys a slot gets, by name, each in all versions that the keyring holds. NULL in place of it: every key. */
struct slot_wants {
	const char *const *names;
	size_t count;
};

/* What a KMS has to unwrap for a slot. The encryption context is the vault's id and the slot's, in hexadecimal. */
struct slot_kms {
	const char *key; /* the ARN of the key: printable ASCII without blanks */
	struct bytes wrapped;
};

/* What is public about a slot. */
struct slot_info {
	char id[HEADER_ID_TEXT_BYTES];
	enum slot_type type;
	char label[HEADER_LABEL_BYTES];
	struct header_kdf kdf;                /* passphrase slots; else zero */
	size_t key_count;                     /* key versions it holds, see header_slot_key() */
	bool is_limited;                      /* it holds some keys only, and cannot change vault.json */
	char recipient[RECIPIENT_TEXT_BYTES]; /* recipient slots: the public text; else "" */
	struct slot_kms kms; /* kms slots, owned by the header until its next change; else NULL and nothing */
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
 * keyring, which holds the keys of that slot, and the names of all that were deleted. `ret_slot` (its index) may be
 * NULL. -EKEYREJECTED: no slot opens: wrong secret, or the slot was altered (the two cannot be told apart). -EINVAL:
 * the recovery key or recipient's secret is mistyped, the key file too short or long, with words. -EBADMSG: a slot
 * opened, but the rest of vault.json is not what the vault's owner signed. -ENOENT: no slot of this type, or none of
 * this id. -ENOMEM: also for the key derivation. */
int header_unlock_slot(
        const VaultHeader *header, const struct slot_secret *secret, Keyring **ret_keyring, size_t *ret_slot);
int header_unlock(const VaultHeader *header, const struct slot_secret *secret, Keyring **ret_keyring);

/* 0 when the header is signed by the current "header" key of `keyring`: for a vault.json read again while unlocked.
 * -EBADMSG: it is not. -ENOKEY: the keyring lacks that key. */
int header_verify(const VaultHeader *header, const Keyring *keyring);

/* The changes below need the "header" key in `keyring` (-ENOKEY: a limited slot's lacks it), refuse a header that it
 * did not sign (-EBADMSG), count the generation up and sign anew. On error the header is unchanged. Write the outcome
 * to disk before relying on it.
 *
 * All that add a slot: it holds every key of `keyring`, or, with `wants`, those (-ENOKEY: the keyring has no key of
 * this name; -EINVAL: none is named, or "header", which makes a slot a full one; or there is no full slot yet). `label`
 * (for people; UTF-8, no control characters) may be "". -ENOSPC: HEADER_SLOTS_MAX reached. -EACCES: a key that it is to
 * hold is locked. -EKEYEXPIRED: was deleted. -ENOMEM. */

/* Adds a slot under a passphrase. `passphrase` is used as its bytes are, so let the caller settle on one
 * encoding; it must not be empty (-EINVAL). `kdf` may be
 * NULL: then 256 MiB and about one second, measured, but at least HEADER_KDF_PASSES_LEAST passes, so that a busy
 * machine does not make a cheap slot. */
int header_add_slot_passphrase(VaultHeader *header, const Keyring *keyring, struct bytes passphrase, const char *label,
        const struct header_kdf *kdf, const struct slot_wants *wants);

/* Adds a slot under a new random recovery key, whose text is returned to be shown once; the caller wipes it. */
int header_add_slot_recovery(
        VaultHeader *header, const Keyring *keyring, const char *label, char ret_text[static RECOVERY_TEXT_BYTES]);

/* Adds a slot under a file's bytes, which should be random: they are hashed, not stretched. -EINVAL: fewer than
 * HEADER_KEYFILE_MIN or more than HEADER_KEYFILE_MAX. */
int header_add_slot_keyfile(VaultHeader *header, const Keyring *keyring, struct bytes file, const char *label,
        const struct slot_wants *wants);

/* Adds a slot for whoever has the secret of this recipient (crypto/recipient.h). -EINVAL: no recipient's public text,
 * with words. -EEXIST: it has a slot: that one goes first. */
int header_add_slot_recipient(VaultHeader *header, const Keyring *keyring, const char *recipient, const char *label,
        const struct slot_wants *wants);

/* A new random id for header_add_slot_kms(): it has to be known when the KMS makes the KEK. */
void header_new_slot_id(char ret_id[static HEADER_ID_TEXT_BYTES]);

/* Adds a slot under a KEK that a KMS made and wrapped. `id` is from header_new_slot_id(); all of `kms` is copied.
 * -EINVAL: ARN or wrapped bytes missing, malformed or too long, or no id. -EEXIST: the id is taken. */
int header_add_slot_kms(VaultHeader *header, const Keyring *keyring, const char *id, const struct slot_kms *kms,
        const uint8_t kek[static HEADER_KEK_BYTES], const char *label, const struct slot_wants *wants);

/* Removes the slot with this id (hexadecimal). Its holder may have kept the keys: rotate them too, "header" among them
 * if it was a full slot; what is sealed after that it can't open. -ENOENT: no such slot. -EBUSY: it is the last one, or
 * the last full one: nobody could administer the vault. */
int header_remove_slot(VaultHeader *header, const Keyring *keyring, const char *id);

/* After keyring_rotate(), keyring_create() or keyring_set_state(): boxes the new versions to each slot that holds an
 * older version of the same name, keys of a new name to each full slot, and takes over the states. Boxes that are there
 * stay, so keys that are locked are no hindrance unless they are new. -EACCES: a new one is locked. -EEXIST: a key has
 * the name of one that was deleted. -EINVAL: a key was forgotten and not deleted. */
int header_update(VaultHeader *header, const Keyring *keyring);

/* Deletes the key `name`: takes its boxes, all versions, from every slot, and lists it as deleted. keyring_forget()
 * when that is durable. Whoever has an older vault.json (a backup) and a slot's secret has the key still. A key that is
 * deleted already: 0, and nothing changes. -EPERM: it is vital (keyring_is_vital()). -ENOKEY: no such key. */
int header_delete_key(VaultHeader *header, const Keyring *keyring, const char *name);

uint32_t header_format(const VaultHeader *header);
/* Counts the changes; 1 after the first slot. */
uint64_t header_generation(const VaultHeader *header);
enum aead_cipher header_cipher(const VaultHeader *header);
int64_t header_created(const VaultHeader *header);
const uint8_t *header_vault_id(const VaultHeader *header);   /* HEADER_ID_BYTES bytes, owned by the header */
const char *header_vault_id_text(const VaultHeader *header); /* lower-case hexadecimal, owned by the header */
const char *slot_type_name(
        enum slot_type type); /* "passphrase", "recovery", "keyfile", "recipient", "kms"; NULL if unknown */

/* The public key that vouches for all later ones: of the vault's first "header" key, and its fingerprint as the maker
 * of a recipient slot may tell it to the recipient. NULL: no slot yet. SIGN_PUBLIC_BYTES bytes, owned by the header. */
const uint8_t *header_signer(const VaultHeader *header);

/* -ENOENT past the last. */
size_t header_slot_count(const VaultHeader *header);
int header_slot(const VaultHeader *header, size_t index, struct slot_info *ret_info);
/* The `key`-th key version that slot `index` holds. */
int header_slot_key(const VaultHeader *header, size_t index, size_t key, struct key_info *ret_info);
size_t header_key_count(const VaultHeader *header);
int header_key(const VaultHeader *header, size_t index, struct key_info *ret_info);
