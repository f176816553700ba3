#include "crypto/header.h"

#include <errno.h>
#include <sodium.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/header_impl.h"
#include "crypto/secret.h"

#define CREATED_MAX INT64_C(253402300799)

/* ---- the object ---- */

void *array_grow(void *array_pointer, size_t count, size_t size) {
	void *array;
	memcpy(&array, array_pointer, sizeof array);
	uint8_t *larger = reallocarray(array, count + 1, size);
	if (!larger)
		return NULL;
	memcpy(array_pointer, &larger, sizeof larger);
	return memset(larger + count * size, 0, size);
}

void slot_clear(struct slot *slot) {
	free(slot->boxes);
	free(slot->wrapped);
	free(slot->kms_key);
	*slot = (struct slot){0};
}

void header_free(VaultHeader *header) {
	if (!header)
		return;
	for (size_t i = 0; i < header->slot_count; i++)
		slot_clear(&header->slots[i]);
	free(header->slots);
	free(header->signers);
	free(header->keys);
	free(header);
}

int header_create(enum aead_cipher cipher, int64_t created, VaultHeader **ret_header) {
	crypto_ready();
	if (!aead_cipher_name(cipher) || created < 0 || created > CREATED_MAX)
		return fault(EINVAL, "a vault needs a known cipher and a time of creation from 1970 to 9999");
	VaultHeader *header = calloc(1, sizeof *header);
	if (!header)
		return fault(ENOMEM, "making a vault header: out of memory");
	header->cipher = cipher;
	header->created = created;
	randombytes_buf(header->vault, sizeof header->vault);
	hex_encode(bytes_of(header->vault, sizeof header->vault), header->vault_text);
	*ret_header = header;
	return 0;
}

bool duplicate(const void *data, size_t size, void *ret_pointer) {
	void *copy = size > 0 ? malloc(size) : NULL;
	if (size > 0 && !copy)
		return false;
	if (size > 0)
		memcpy(copy, data, size);
	memcpy(ret_pointer, &copy, sizeof copy);
	return true;
}

bool slot_duplicate(const struct slot *slot, struct slot *copy) {
	*copy = *slot;
	copy->boxes = NULL;
	copy->wrapped = NULL;
	copy->kms_key = NULL;
	size_t key_size = slot->kms_key ? strlen(slot->kms_key) + 1 : 0;
	return duplicate(slot->boxes, slot->box_count * sizeof *slot->boxes, &copy->boxes) &&
	       duplicate(slot->wrapped, slot->wrapped_size, &copy->wrapped) &&
	       duplicate(slot->kms_key, key_size, &copy->kms_key);
}

int header_copy(const VaultHeader *header, VaultHeader **ret_copy) {
	_cleanup_(header_freep) VaultHeader *copy = calloc(1, sizeof *copy);
	if (!copy)
		return fault(ENOMEM, "changing the vault header: out of memory");
	*copy = *header;
	copy->keys = NULL;
	copy->signers = NULL;
	copy->slots = NULL;
	copy->slot_count = 0;
	bool good = duplicate(header->keys, header->key_count * sizeof *header->keys, &copy->keys) &&
	            duplicate(header->signers, header->signer_count * sizeof *header->signers, &copy->signers) &&
	            duplicate(header->slots, header->slot_count * sizeof *header->slots, &copy->slots);
	for (size_t i = 0; good && i < header->slot_count; i++) {
		good = slot_duplicate(&header->slots[i], &copy->slots[i]);
		copy->slot_count++;
	}
	if (!good)
		return fault(ENOMEM, "changing the vault header: out of memory");
	*ret_copy = steal_pointer(&copy);
	return 0;
}

bool slot_holds(const struct slot *slot, const char *name) {
	for (size_t i = 0; i < slot->box_count; i++)
		if (strcmp(slot->boxes[i].name, name) == 0)
			return true;
	return false;
}

bool slot_is_full(const struct slot *slot) {
	return slot_holds(slot, "header");
}

int header_check_catalog(const VaultHeader *header) {
	for (size_t i = 1; i < header->key_count; i++) {
		const struct key_info *one = &header->keys[i - 1], *next = &header->keys[i];
		if (strcmp(one->name, next->name) == 0 && !key_states_agree(one->state, next->state))
			return fault(EINVAL, "key %s: version %u is %s, version %u %s", one->name, one->version,
			        key_state_name(one->state), next->version, key_state_name(next->state));
	}
	return 0;
}

struct key_info *header_find_key(const VaultHeader *header, const char *name, uint32_t version) {
	for (size_t i = 0; i < header->key_count; i++)
		if (header->keys[i].version == version && strcmp(header->keys[i].name, name) == 0)
			return &header->keys[i];
	return NULL;
}

/* ---- unlocking ---- */

/* The keys in the slot's boxes, and the names of those that were deleted, as a keyring. The header has been verified.
 */
static int open_boxes(const VaultHeader *header, const struct slot *slot, const uint8_t slot_secret_key[static 32],
        Keyring **ret_keyring) {
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	int rc = keyring_new(&keyring);
	for (size_t i = 0; rc == 0 && i < slot->box_count; i++) {
		_cleanup_(secret_key_wipe) struct secret_key key;
		const struct key_info *info = header_find_key(header, slot->boxes[i].name, slot->boxes[i].version);
		if (!info)
			return fault(EBADMSG, "vault.json: a box is for a key that is not listed");
		rc = slot_unbox(header, slot, i, info, slot_secret_key, key.bytes);
		if (rc == 0)
			rc = keyring_add(keyring, info, key.bytes);
	}
	for (size_t i = 0; rc == 0 && i < header->key_count; i++) {
		static const uint8_t none[KEYRING_KEY_BYTES];
		if (header->keys[i].state == KEY_DELETED)
			rc = keyring_add(keyring, &header->keys[i], none);
	}
	if (rc == 0)
		*ret_keyring = steal_pointer(&keyring);
	return rc;
}

static int unlock_one(const VaultHeader *header, const struct slot *slot, struct bytes secret, Keyring **ret_keyring) {
	uint8_t plain[SLOT_PLAIN_BYTES];
	int rc = slot_open(header, slot, secret, plain);
	if (rc == 0)
		rc = header_check_signatures(header, plain + 32);
	if (rc == 0)
		rc = open_boxes(header, slot, plain, ret_keyring);
	secret_wipe(plain, sizeof plain);
	return rc;
}

static bool slot_has_id(const struct slot *slot, const char *id) {
	char text[HEADER_ID_TEXT_BYTES];
	hex_encode(bytes_of(slot->id, sizeof slot->id), text);
	return strcmp(text, id) == 0;
}

/* The bytes that open slots, of what was typed: those of a passphrase or a file as they are, a key's in `buffer`. */
static int take_secret(const struct slot_secret *secret, struct secret_key *buffer, struct bytes *ret_value) {
	uint8_t public_key[RECIPIENT_KEY_BYTES];
	int rc = 0;
	*ret_value = secret->value;
	switch (secret->type) {
	case SLOT_PASSPHRASE:
		return 0;
	case SLOT_KEYFILE:
		return keyfile_check(secret->value);
	case SLOT_KMS:
		return secret->value.size == HEADER_KEK_BYTES
		               ? 0
		               : fault(EINVAL, "the KMS gave a key of %zu bytes in place of %d", secret->value.size,
		                         HEADER_KEK_BYTES);
	case SLOT_RECOVERY:
		rc = recovery_decode(secret->value, buffer->bytes);
		break;
	case SLOT_RECIPIENT:
		rc = recipient_secret_parse(secret->value, buffer->bytes, public_key);
		break;
	}
	*ret_value = bytes_of(buffer->bytes, sizeof buffer->bytes);
	return rc;
}

static int rejected(enum slot_type type) {
	static const char *const words[] = {
	        [SLOT_PASSPHRASE] = "wrong passphrase",
	        [SLOT_RECOVERY] = "wrong recovery key",
	        [SLOT_KEYFILE] = "wrong key file",
	        [SLOT_RECIPIENT] = "no slot of the vault opens by this recipient's secret",
	        [SLOT_KMS] = "the key that the KMS gave does not open the slot",
	};
	return fault(EKEYREJECTED, "%s", words[type]);
}

int header_unlock_slot(
        const VaultHeader *header, const struct slot_secret *secret, Keyring **ret_keyring, size_t *ret_slot) {
	_cleanup_(secret_key_wipe) struct secret_key buffer = {0};
	struct bytes value;
	bool tried = false;
	int rc = slot_type_name(secret->type) ? 0 : fault(ENOENT, "the vault has no such slot");
	if (rc == 0)
		rc = take_secret(secret, &buffer, &value);
	for (size_t i = 0; rc == 0 && i < header->slot_count; i++) {
		const struct slot *slot = &header->slots[i];
		if (slot->type != secret->type || (secret->slot && !slot_has_id(slot, secret->slot)))
			continue;
		tried = true;
		int opened = unlock_one(header, slot, value, ret_keyring);
		if (opened == 0 && ret_slot)
			*ret_slot = i;
		if (opened != -EKEYREJECTED)
			return opened;
	}
	if (rc < 0)
		return rc;
	if (!tried && secret->slot)
		return fault(ENOENT, "the vault has no %s slot %s", slot_type_name(secret->type), secret->slot);
	return tried ? rejected(secret->type) : fault(ENOENT, "the vault has no %s slot", slot_type_name(secret->type));
}

int header_unlock(const VaultHeader *header, const struct slot_secret *secret, Keyring **ret_keyring) {
	return header_unlock_slot(header, secret, ret_keyring, NULL);
}

/* ---- accessors ---- */

uint32_t header_format(const VaultHeader *header) {
	(void)header;
	return HEADER_FORMAT;
}

uint64_t header_generation(const VaultHeader *header) {
	return header->generation;
}

enum aead_cipher header_cipher(const VaultHeader *header) {
	return header->cipher;
}

int64_t header_created(const VaultHeader *header) {
	return header->created;
}

const uint8_t *header_vault_id(const VaultHeader *header) {
	return header->vault;
}

const char *header_vault_id_text(const VaultHeader *header) {
	return header->vault_text;
}

const uint8_t *header_signer(const VaultHeader *header) {
	return header->signer_count > 0 ? header->signers[0].public_key : NULL;
}

size_t header_slot_count(const VaultHeader *header) {
	return header->slot_count;
}

int header_slot(const VaultHeader *header, size_t index, struct slot_info *ret_info) {
	if (index >= header->slot_count)
		return -ENOENT;
	const struct slot *slot = &header->slots[index];
	*ret_info = (struct slot_info){
	        .type = slot->type, .kdf = slot->kdf, .key_count = slot->box_count, .is_limited = !slot_is_full(slot)};
	if (slot->type == SLOT_RECIPIENT)
		recipient_text(slot->recipient, ret_info->recipient);
	if (slot->type == SLOT_KMS)
		ret_info->kms =
		        (struct slot_kms){.key = slot->kms_key, .wrapped = bytes_of(slot->wrapped, slot->wrapped_size)};
	hex_encode(bytes_of(slot->id, sizeof slot->id), ret_info->id);
	memcpy(ret_info->label, slot->label, sizeof ret_info->label);
	return 0;
}

int header_slot_key(const VaultHeader *header, size_t index, size_t key, struct key_info *ret_info) {
	if (index >= header->slot_count || key >= header->slots[index].box_count)
		return -ENOENT;
	const struct box *box = &header->slots[index].boxes[key];
	const struct key_info *info = header_find_key(header, box->name, box->version);
	if (!info)
		return -ENOENT;
	*ret_info = *info;
	return 0;
}

size_t header_key_count(const VaultHeader *header) {
	return header->key_count;
}

int header_key(const VaultHeader *header, size_t index, struct key_info *ret_info) {
	if (index >= header->key_count)
		return -ENOENT;
	*ret_info = header->keys[index];
	return 0;
}
