/*
 * header_fixture: a vault with a slot of each kind, and what unlocks them.
 *
 *     0 passphrase   "right"                    full
 *     1 recovery     `recovery`                 full
 *     2 keyfile      `file`                     full
 *     3 recipient    `secret` of `recipient`    limited to meta and trusted
 *     4 kms          `kek` for `arn`            limited to meta, project and trusted
 */
#pragma once

#include "crypto/header.h"

#define FIXTURE_ARN "arn:aws:kms:ca-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define FIXTURE_WRAPPED_BYTES 184
#define FIXTURE_CREATED INT64_C(1795428000)

enum {
	FIXTURE_PASSPHRASE,
	FIXTURE_RECOVERY,
	FIXTURE_KEYFILE,
	FIXTURE_RECIPIENT,
	FIXTURE_KMS,
	FIXTURE_SLOTS,
};

struct fixture {
	VaultHeader *header;
	Keyring *keyring;
	char recovery[RECOVERY_TEXT_BYTES];
	uint8_t file[HEADER_KEYFILE_MIN];
	char recipient[RECIPIENT_TEXT_BYTES];
	char secret[RECIPIENT_SECRET_TEXT_BYTES];
	uint8_t kek[HEADER_KEK_BYTES];
	uint8_t wrapped[FIXTURE_WRAPPED_BYTES];
	char *json; /* as fixture_serialize() left it */
	size_t size;
};

/* The least that Argon2id takes. */
extern const struct header_kdf fixture_cheap;

/* For cmocka: a new fixture in `*state`, and its end. */
int fixture_make(void **state);
int fixture_unmake(void **state);

void fixture_serialize(struct fixture *f);

/* What unlocks slot `at`, borrowed. */
struct slot_secret fixture_secret(const struct fixture *f, int at);

/* Parses and unlocks: what a mount does. */
int fixture_unlock(const char *json, size_t size, const struct slot_secret *secret, Keyring **ret_keyring);

/* Serializes and unlocks by slot `at`'s secret, which must do. The caller owns the keyring. */
Keyring *fixture_open(struct fixture *f, int at);

/* The id of slot `at`, in `ret_id`. */
void fixture_id(const struct fixture *f, size_t at, char ret_id[static HEADER_ID_TEXT_BYTES]);

/* `json` with the first `from` replaced by `to`; the caller frees. */
char *fixture_replaced(const char *json, const char *from, const char *to);

/* "meta.1 raw.1 raw.2": the keys, in their order; the caller frees. */
char *fixture_keys(const Keyring *keyring);
