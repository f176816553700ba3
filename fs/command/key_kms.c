#include "fs/command/key_kms.h"

#include "backend/kms/kms.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/header.h"
#include "crypto/process.h"
#include "crypto/secret.h"
#include "fs/command/client.h"
#include "fs/command/key.h"
#include "fs/command/vault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXT_PAIRS 2

/* A KEK, and the slot's id behind it: what a Passphrase holds. */
struct opened {
	uint8_t kek[KMS_KEY_BYTES];
	char slot[HEADER_ID_TEXT_BYTES];
};

static void wipe_opened(struct opened *opened) {
	secret_wipe(opened, sizeof *opened);
}

static struct kms_context context_of(const char *vault, const char *slot, struct kms_pair pairs[static CONTEXT_PAIRS]) {
	pairs[0] = (struct kms_pair){.name = "assayfs-slot", .value = slot};
	pairs[1] = (struct kms_pair){.name = "assayfs-vault", .value = vault};
	return (struct kms_context){.pairs = pairs, .count = CONTEXT_PAIRS};
}

/* One exit code for all that says nothing of the key. */
static int away(int rc) {
	return kms_is_away(rc) ? fault_while(-KEY_KMS_AWAY, "the key management service could not be asked") : rc;
}

/* ---- unlocking ---- */

static int unwrap(const VaultHeader *header, const struct slot_info *slot, struct opened *ret) {
	_cleanup_(kms_closep) Kms *kms = NULL;
	struct kms_pair pairs[CONTEXT_PAIRS];
	char arn[KMS_ARN_BYTES];
	const struct kms_context context = context_of(header_vault_id_text(header), slot->id, pairs);
	int rc = kms_open(slot->kms.key, NULL, &kms);
	if (rc == 0)
		rc = kms_decrypt(kms, slot->kms.wrapped, &context, ret->kek, arn);
	if (rc < 0)
		return fault_while(rc, "slot %.8s, key %s", slot->id, slot->kms.key);
	memcpy(ret->slot, slot->id, sizeof ret->slot);
	return 0;
}

static int unwrap_any(const VaultHeader *header, struct opened *ret) {
	struct slot_info slot;
	int rc = fault(ENOENT, "the vault has no slot of a key management service");
	for (size_t i = 0; header_slot(header, i, &slot) == 0; i++) {
		if (slot.type != SLOT_KMS)
			continue;
		rc = unwrap(header, &slot, ret);
		if (rc == 0)
			break;
	}
	return away(rc);
}

int key_kms_unlock(const char *vault, Passphrase **ret_bytes, struct store_secret *ret_secret) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(wipe_opened) struct opened opened = {0};
	int rc = vault_header_read(vault, &header);
	if (rc == 0)
		rc = unwrap_any(header, &opened);
	if (rc == 0)
		rc = passphrase_from_bytes(bytes_of(&opened, sizeof opened), ret_bytes);
	if (rc < 0)
		return rc;
	const uint8_t *held = passphrase_bytes(*ret_bytes).data;
	*ret_secret = (struct store_secret){.kind = STORE_KEK,
	        .bytes = bytes_of(held, KMS_KEY_BYTES),
	        .slot = (const char *)held + offsetof(struct opened, slot)};
	return 0;
}

/* ---- adding ---- */

struct made {
	uint8_t kek[KMS_KEY_BYTES];
	char slot[HEADER_ID_TEXT_BYTES], arn[KMS_ARN_BYTES];
	struct kms_wrapped wrapped;
};

static void wipe_made(struct made **made) {
	if (*made)
		secret_wipe(*made, sizeof **made);
	free(*made);
}

static int make(const char *vault, const char *key, struct made *ret) {
	_cleanup_(kms_closep) Kms *kms = NULL;
	struct kms_pair pairs[CONTEXT_PAIRS];
	header_new_slot_id(ret->slot);
	const struct kms_context context = context_of(vault, ret->slot, pairs);
	int rc = kms_open(key, NULL, &kms);
	if (rc == 0)
		rc = kms_generate(kms, &context, ret->kek, &ret->wrapped, ret->arn);
	return away(fault_while(rc, "key %.300s", key));
}

static json_t *arguments_of(const struct made *made) {
	char wrapped[BASE64_TEXT_BYTES(KMS_WRAPPED_BYTES_MAX)];
	base64_encode(bytes_of(made->wrapped.data, made->wrapped.size), wrapped);
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "kms", "id", made->slot, "arn", made->arn, "wrapped",
	        wrapped, "secret", key_secret_json(bytes_of(made->kek, sizeof made->kek)));
}

int key_kms_add(const struct invocation *call, const char *key) {
	_cleanup_(wipe_made) struct made *made = calloc(1, sizeof *made);
	struct client_place place;
	int rc = made ? client_locate(command_operand(call, 0), &place) : fault(ENOMEM, "adding a slot: out of memory");
	if (rc == 0)
		rc = process_harden();
	if (rc == 0)
		rc = make(place.vault_id, key, made);
	if (rc < 0)
		return command_fault(call, rc, "--kms");
	return key_add_slot(call, 0, arguments_of(made));
}
