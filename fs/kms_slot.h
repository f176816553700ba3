/*
 * kms_slot: a slot whose key a key management service wraps (backend/kms/kms.h), as whoever asks the service for it
 * needs it: the program that a person runs, and the mount's watch (kms_watch.h).
 *
 * The encryption context of a slot is {"assayfs-slot": its id, "assayfs-vault": the vault's}, both in hexadecimal.
 */
#pragma once

#include "backend/kms/kms.h"
#include "crypto/header.h"

/* Of a slot: whose all is. */
struct kms_slot {
	char vault[HEADER_ID_TEXT_BYTES], slot[HEADER_ID_TEXT_BYTES];
	char key[HEADER_KMS_KEY_MAX + 1];
	uint8_t wrapped[HEADER_KMS_WRAPPED_MAX];
	size_t wrapped_size;
};

#define KMS_SLOT_PAIRS 2
/* Points into the texts and `pairs`. */
struct kms_context kms_slot_context(const char *vault, const char *slot, struct kms_pair pairs[static KMS_SLOT_PAIRS]);

/* Copies. -EINVAL: it is no such slot. */
int kms_slot_of(const char *vault, const struct slot_info *info, struct kms_slot *ret);

/* Has the service unwrap the slot's key, by `kms`, opened for the slot's; errors of kms_decrypt, with words that name
 * slot and key. */
int kms_slot_unwrap(Kms *kms, const struct kms_slot *slot, uint8_t ret_kek[static KMS_KEY_BYTES]);
