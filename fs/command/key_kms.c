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
#include "fs/kms_slot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A KEK, and the slot's id behind it: what a Passphrase holds. */
struct opened {
	uint8_t kek[KMS_KEY_BYTES];
	char slot[HEADER_ID_TEXT_BYTES];
};

static void wipe_opened(struct opened *opened) {
	secret_wipe(opened, sizeof *opened);
}

/* One exit code for all that says nothing of the key. */
static int away(int rc) {
	return kms_is_away(rc) ? fault_while(-KEY_KMS_AWAY, "the key management service could not be asked") : rc;
}

/* ---- unlocking ---- */

static int unwrap(const struct kms_slot *slot, struct opened *ret) {
	_cleanup_(kms_closep) Kms *kms = NULL;
	int rc = kms_open(slot->key, NULL, &kms);
	if (rc < 0)
		return fault_while(rc, "slot %.8s, key %.300s", slot->slot, slot->key);
	rc = kms_slot_unwrap(kms, slot, ret->kek);
	if (rc == 0)
		memcpy(ret->slot, slot->slot, sizeof ret->slot);
	return rc;
}

static int none(void) {
	return fault(ENOENT, "the vault has no slot of a key management service");
}

static int unwrap_any(const VaultHeader *header, struct opened *ret) {
	_cleanup_(freep) struct kms_slot *slot = malloc(sizeof *slot);
	struct slot_info info;
	int rc = slot ? none() : fault(ENOMEM, "unlocking: out of memory");
	for (size_t i = 0; slot && rc != 0 && header_slot(header, i, &info) == 0; i++)
		if (info.type == SLOT_KMS) {
			rc = kms_slot_of(header_vault_id_text(header), &info, slot);
			if (rc == 0)
				rc = unwrap(slot, ret);
		}
	return away(rc);
}

/* Into memory that is locked, with the secret that leads there. */
static int keep(const struct opened *opened, Passphrase **ret_bytes, struct store_secret *ret_secret) {
	int rc = passphrase_from_bytes(bytes_of(opened, sizeof *opened), ret_bytes);
	if (rc < 0)
		return rc;
	const uint8_t *held = passphrase_bytes(*ret_bytes).data;
	*ret_secret = (struct store_secret){.kind = STORE_KEK,
	        .bytes = bytes_of(held, KMS_KEY_BYTES),
	        .slot = (const char *)held + offsetof(struct opened, slot)};
	return 0;
}

int key_kms_unlock_header(const VaultHeader *header, Passphrase **ret_bytes, struct store_secret *ret_secret) {
	_cleanup_(wipe_opened) struct opened opened = {0};
	int rc = unwrap_any(header, &opened);
	return rc < 0 ? rc : keep(&opened, ret_bytes, ret_secret);
}

int key_kms_unlock(const char *vault, Passphrase **ret_bytes, struct store_secret *ret_secret) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	int rc = vault_header_read(vault, &header);
	return rc < 0 ? rc : key_kms_unlock_header(header, ret_bytes, ret_secret);
}

/* ---- unlocking what is mounted ---- */

struct asking {
	const char *vault;
	struct opened opened;
	int rc;
};

static int read_slot(const char *vault, const json_t *item, struct kms_slot *slot) {
	const char *id = json_string_value(json_object_get(item, "id")),
	           *key = json_string_value(json_object_get(item, "kms_key")),
	           *wrapped = json_string_value(json_object_get(item, "kms_wrapped"));
	if (!id || !key || !wrapped || base64_decode(wrapped, sizeof slot->wrapped, slot->wrapped, &slot->wrapped_size))
		return fault(EPROTO, "the mount's answer is malformed");
	(void)snprintf(slot->vault, sizeof slot->vault, "%s", vault);
	(void)snprintf(slot->slot, sizeof slot->slot, "%s", id);
	(void)snprintf(slot->key, sizeof slot->key, "%s", key);
	return 0;
}

/* Each slot of such a kind, until one is given. */
static int try_slots(void *context, const json_t *item) {
	struct asking *asking = context;
	_cleanup_(freep) struct kms_slot *slot = malloc(sizeof *slot);
	size_t i;
	json_t *listed;
	if (!slot)
		return fault(ENOMEM, "unlocking: out of memory");
	json_array_foreach(json_object_get(item, "slots"), i, listed) {
		if (asking->rc == 0 || !json_object_get(listed, "kms_key"))
			continue;
		asking->rc = read_slot(asking->vault, listed, slot);
		if (asking->rc == 0)
			asking->rc = unwrap(slot, &asking->opened);
	}
	return asking->rc;
}

static void wipe_asking(struct asking *asking) {
	secret_wipe(asking, sizeof *asking);
}

int key_kms_unlock_mounted(const struct client_place *place, Passphrase **ret_bytes, struct store_secret *ret_secret) {
	_cleanup_(wipe_asking) struct asking asking = {.vault = place->vault_id, .rc = none()};
	_cleanup_(client_closep) Client *client = NULL;
	int rc = client_connect(place, &client);
	if (rc == 0)
		rc = client_call(client, "key-list", json_object(), try_slots, &asking);
	if (rc == 0 && asking.rc < 0)
		rc = asking.rc;
	return rc < 0 ? away(rc) : keep(&asking.opened, ret_bytes, ret_secret);
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
	struct kms_pair pairs[KMS_SLOT_PAIRS];
	header_new_slot_id(ret->slot);
	const struct kms_context context = kms_slot_context(vault, ret->slot, pairs);
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
