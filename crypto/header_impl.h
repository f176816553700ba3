/*
 * header_impl: what the sources of crypto/header.h share, and nobody else includes.
 *
 *     header.c        the object, unlocking, accessors
 *     header_change.c changes, each signed
 *     header_json.c   to canonical bytes and back; the signature over them
 *     header_slot.c   a slot's cryptography: secret → KEK → slot key → boxes
 */
#pragma once

#include <stdbool.h>

#include "crypto/digest.h"
#include "crypto/header.h"
#include "crypto/sign.h"

#define SLOT_SALT_BYTES 16
#define SLOT_PUBLIC_BYTES 32
/* The slot's X25519 secret key and the header's verification key. */
#define SLOT_PLAIN_BYTES (32 + SIGN_PUBLIC_BYTES)
#define SLOT_SEALED_BYTES (SLOT_PLAIN_BYTES + AEAD_TAG_BYTES)
/* A key and what binds it to its place. */
#define BOX_PLAIN_BYTES (KEYRING_KEY_BYTES + DIGEST_BYTES)
/* crypto_box_seal: an ephemeral public key and a tag more. */
#define BOX_BYTES (BOX_PLAIN_BYTES + 48)
/* A KEK, sealed to a recipient. */
#define RECIPIENT_WRAPPED_BYTES (HEADER_KEK_BYTES + 48)

struct box {
	char name[KEYRING_NAME_MAX + 1];
	uint32_t version;
	uint8_t data[BOX_BYTES];
};

struct slot {
	uint8_t id[HEADER_ID_BYTES];
	enum slot_type type;
	char label[HEADER_LABEL_BYTES];
	struct header_kdf kdf;
	uint8_t salt[SLOT_SALT_BYTES]; /* zeros where the KEK is random */
	uint8_t recipient[RECIPIENT_KEY_BYTES];
	char *kms_key;    /* NULL but in kms slots */
	uint8_t *wrapped; /* the KEK, of recipient and kms slots; else NULL */
	size_t wrapped_size;
	uint8_t public_key[SLOT_PUBLIC_BYTES];
	uint8_t nonce[AEAD_NONCE_BYTES];
	uint8_t sealed[SLOT_SEALED_BYTES];
	struct box *boxes; /* sorted by name and version */
	size_t box_count;
};

struct signer {
	uint8_t public_key[SIGN_PUBLIC_BYTES];
	uint8_t signature[SIGN_SIGNATURE_BYTES]; /* by the signer before; the first signs itself */
};

struct VaultHeader {
	uint8_t vault[HEADER_ID_BYTES];
	char vault_text[HEADER_ID_TEXT_BYTES];
	enum aead_cipher cipher;
	int64_t created;
	uint64_t generation;
	struct key_info *keys; /* sorted by name and version */
	size_t key_count;
	struct signer *signers;
	size_t signer_count;
	struct slot *slots;
	size_t slot_count;
	uint8_t signature[SIGN_SIGNATURE_BYTES];
};

/* Makes room for one more element of `size` bytes in an array of `count`, zeroed, and returns it; the caller counts it
 * up. NULL when memory is short. */
void *array_grow(void *array_pointer, size_t count, size_t size);

/* `size` bytes of `data` on the heap; NULL in `*ret` for none. False: no memory. */
bool duplicate(const void *data, size_t size, void *ret_pointer);

/* A copy with memory of its own, with its label, id and all; to be cleared also on failure (false: no memory). */
bool slot_duplicate(const struct slot *slot, struct slot *copy);

/* Frees what the slot has. */
void slot_clear(struct slot *slot);

/* Whether it has a box for any version of this key. */
bool slot_holds(const struct slot *slot, const char *name);

/* Whether it holds every key: whoever may change vault.json does. */
bool slot_is_full(const struct slot *slot);

/* NULL: it is not listed. */
struct key_info *header_find_key(const VaultHeader *header, const char *name, uint32_t version);

/* That the states of all versions of a name go together: 0 or -EINVAL. */
int header_check_catalog(const VaultHeader *header);

/* Changes are made on a copy that then takes the place of the original: on error nothing has changed. */
int header_copy(const VaultHeader *header, VaultHeader **ret_copy);

/* -EINVAL with words when a key file is too short or too long. */
int keyfile_check(struct bytes file);

/* -EINVAL with words when ARN or wrapped bytes are malformed. */
int kms_check(const struct slot_kms *kms);

/* -EINVAL with words when the costs are outside the caps. */
int kdf_check(const struct header_kdf *kdf);

/* ---- header_json.c ---- */

/* "secret" or "ed25519", as it stands in vault.json. */
const char *key_kind_name(enum key_kind kind);

/* The bytes that the last signer signs. The caller frees. */
int header_signed_bytes(const VaultHeader *header, char **ret_text, size_t *ret_size);

/* What signer `index` is signed with. */
#define SIGNER_MESSAGE_BYTES (24 + HEADER_ID_BYTES + 4 + SIGN_PUBLIC_BYTES)
void signer_message(const VaultHeader *header, size_t index, uint8_t ret_message[static SIGNER_MESSAGE_BYTES]);

/* 0 when a chain leads from `trusted` to the last signer and that signed the header; else -EBADMSG. */
int header_check_signatures(const VaultHeader *header, const uint8_t trusted[static SIGN_PUBLIC_BYTES]);

/* ---- header_slot.c ---- */

/* Fills a new slot (key pair, salt, sealed part; a KEK for a recipient) for a secret; `verifier` is sealed with it. All
 * else but the boxes is set by the caller. -ENOMEM. */
int slot_make(const VaultHeader *header, struct bytes secret, const uint8_t verifier[static SIGN_PUBLIC_BYTES],
        struct slot *slot);

/* Opens the sealed part. -EKEYREJECTED: does not open. -ENOMEM. */
int slot_open(const VaultHeader *header, const struct slot *slot, struct bytes secret,
        uint8_t ret_plain[static SLOT_PLAIN_BYTES]);

/* Whether the slot holds this version of this key. */
bool slot_has_box(const struct slot *slot, const struct key_info *info);

/* Boxes a key to the slot, if it is not there. */
int slot_box(const VaultHeader *header, struct slot *slot, const struct key_info *info,
        const uint8_t key[static KEYRING_KEY_BYTES]);

/* Opens box `index` with the slot's secret key. -EBADMSG. */
int slot_unbox(const VaultHeader *header, const struct slot *slot, size_t index, const struct key_info *info,
        const uint8_t slot_secret_key[static 32], uint8_t ret_key[static KEYRING_KEY_BYTES]);
