/* Changes of a header: each is made on a copy, which is signed and then takes the place of the original. */
#include <errno.h>
#include <jansson.h>
#include <sodium.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/header_impl.h"
#include "crypto/secret.h"

#define DEFAULT_MILLISECONDS 1000

/* ---- signing ---- */

/* The seed of the current "header" key and the public keys of that and of the version before. */
struct signing_key {
	struct secret_key seed, former_seed;
	uint8_t public_key[SIGN_PUBLIC_BYTES], former[SIGN_PUBLIC_BYTES];
	bool has_former;
};

static void signing_key_wipe(struct signing_key *key) {
	secret_wipe(key, sizeof *key);
}

static int signing_key_get(const Keyring *keyring, struct signing_key *ret_key) {
	uint32_t version = 0;
	int rc = keyring_get(keyring, "header", 0, ret_key->seed.bytes, &version);
	if (rc == -ENOKEY)
		return fault(ENOKEY, "the slot that was unlocked is limited: whoever changes vault.json (its slots, "
		                     "rotation) needs one that holds the key alias/header");
	if (rc < 0)
		return fault_while(rc, "signing vault.json");
	sign_public(ret_key->seed.bytes, ret_key->public_key);
	ret_key->has_former =
	        version > 1 && keyring_get(keyring, "header", version - 1, ret_key->former_seed.bytes, NULL) == 0;
	if (ret_key->has_former)
		sign_public(ret_key->former_seed.bytes, ret_key->former);
	return 0;
}

int header_verify(const VaultHeader *header, const Keyring *keyring) {
	_cleanup_(signing_key_wipe) struct signing_key key = {0};
	int rc = signing_key_get(keyring, &key);
	if (rc < 0)
		return rc;
	if (header->signer_count == 0 ||
	        !digest_equal(header->signers[header->signer_count - 1].public_key, key.public_key))
		return fault(EBADMSG, "vault.json is not signed by the key that was unlocked");
	return header_check_signatures(header, key.public_key);
}

/* That `header` was signed by this keyring's key, or, between a rotation of that key and the first header_update(), by
 * the one before. A header that never had a slot has nothing to check. */
static int check_own(const VaultHeader *header, const struct signing_key *key) {
	if (header->signer_count == 0)
		return 0;
	const uint8_t *last = header->signers[header->signer_count - 1].public_key;
	bool former = key->has_former && digest_equal(last, key->former);
	if (!former && !digest_equal(last, key->public_key))
		return fault(EBADMSG, "vault.json is not signed by the key that was unlocked");
	return header_check_signatures(header, last);
}

static int compare_keys(const struct key_info *one, const struct key_info *other) {
	int order = strcmp(one->name, other->name);
	return order ? order : (one->version > other->version) - (one->version < other->version);
}

/* Makes the current key the last signer, vouched for by the one before. */
static int append_signer(VaultHeader *header, const struct signing_key *key) {
	size_t count = header->signer_count;
	uint8_t message[SIGNER_MESSAGE_BYTES];
	if (count > 0 && digest_equal(header->signers[count - 1].public_key, key->public_key))
		return 0;
	if (count >= KEYRING_KEYS_MAX)
		return fault(ENOSPC, "the header's signing key has been rotated too often");
	struct signer *signer = array_grow(&header->signers, count, sizeof *signer);
	if (!signer)
		return fault(ENOMEM, "signing vault.json: out of memory");
	memcpy(signer->public_key, key->public_key, sizeof signer->public_key);
	header->signer_count++;
	signer_message(header, count, message);
	sign_make(count > 0 ? key->former_seed.bytes : key->seed.bytes, bytes_of(message, sizeof message),
	        signer->signature);
	return 0;
}

static bool is_deleted(const VaultHeader *header, const char *name) {
	for (size_t i = 0; i < header->key_count; i++)
		if (header->keys[i].state == KEY_DELETED && strcmp(header->keys[i].name, name) == 0)
			return true;
	return false;
}

static int list_key(VaultHeader *header, const struct key_info *info) {
	if (!array_grow(&header->keys, header->key_count, sizeof *info))
		return fault(ENOMEM, "listing keys: out of memory");
	size_t at = header->key_count++;
	for (; at > 0 && compare_keys(&header->keys[at - 1], info) > 0; at--)
		header->keys[at] = header->keys[at - 1];
	header->keys[at] = *info;
	return 0;
}

/* Takes over what is public about the keyring's keys. Keys that it lacks stay listed. */
static int update_catalog(VaultHeader *header, const Keyring *keyring) {
	struct key_info info;
	for (size_t i = 0; keyring_info(keyring, i, &info) == 0; i++) {
		struct key_info *known = header_find_key(header, info.name, info.version);
		bool deleted = is_deleted(header, info.name);
		if (deleted && info.state != KEY_DELETED)
			return fault(EEXIST, "a key alias/%s was deleted: its name cannot be used again", info.name);
		if (!deleted && info.state == KEY_DELETED)
			return fault(EINVAL, "the key alias/%s was forgotten before it was deleted", info.name);
		if (known)
			known->state = info.state;
		else if (!deleted) {
			int rc = list_key(header, &info);
			if (rc < 0)
				return rc;
		}
	}
	return header_check_catalog(header);
}

static void header_swap(VaultHeader *one, VaultHeader *other) {
	VaultHeader kept = *one;
	*one = *other;
	*other = kept;
}

/* One change from its beginning (a checked copy) to its end (signed, in the place of the original). */
static int change_begin(
        const VaultHeader *header, const Keyring *keyring, struct signing_key *ret_key, VaultHeader **ret_copy) {
	int rc = signing_key_get(keyring, ret_key);
	if (rc == 0)
		rc = check_own(header, ret_key);
	if (rc == 0)
		rc = header_copy(header, ret_copy);
	return rc == 0 ? update_catalog(*ret_copy, keyring) : rc;
}

static int change_end(VaultHeader *header, VaultHeader *copy, const struct signing_key *key) {
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	copy->generation++;
	int rc = append_signer(copy, key);
	if (rc == 0)
		rc = header_signed_bytes(copy, &text, &size);
	if (rc < 0)
		return rc;
	if (size > HEADER_BYTES_MAX - 1024)
		return fault(EFBIG, "vault.json would become too long: remove slots that nobody uses");
	sign_make(key->seed.bytes, bytes_of(text, size), copy->signature);
	header_swap(header, copy);
	return 0;
}

/* ---- changes ---- */

/* Boxes one key to the slot, unless its box is there or it was deleted. */
static int box_key(const VaultHeader *header, struct slot *slot, const Keyring *keyring, const struct key_info *info) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	if (info->state == KEY_DELETED || slot_has_box(slot, info))
		return 0;
	int rc = keyring_get_any(keyring, info->name, info->version, key.bytes);
	return rc == 0 ? slot_box(header, slot, info, key.bytes) : rc;
}

/* All versions of the key `name`. */
static int box_name(const VaultHeader *header, struct slot *slot, const Keyring *keyring, const char *name) {
	struct key_info info;
	bool found = false;
	int rc = 0;
	for (size_t i = 0; rc == 0 && keyring_info(keyring, i, &info) == 0; i++)
		if (strcmp(info.name, name) == 0) {
			found = true;
			rc = info.state == KEY_DELETED
			             ? keyring_get_any(keyring, name, info.version, (uint8_t[KEYRING_KEY_BYTES]){0})
			             : box_key(header, slot, keyring, &info);
		}
	return found || rc < 0 ? rc : fault(ENOKEY, "there is no key alias/%s for a slot to hold", name);
}

static int box_wanted(
        const VaultHeader *header, struct slot *slot, const Keyring *keyring, const struct slot_wants *wants) {
	int rc = wants->count > 0 ? 0 : fault(EINVAL, "a slot needs a key to hold");
	if (rc == 0 && header->slot_count < 2)
		rc = fault(EINVAL, "the first slot of a vault must hold every key");
	for (size_t i = 0; rc == 0 && i < wants->count; i++)
		rc = strcmp(wants->names[i], "header") == 0
		             ? fault(EINVAL, "a slot that holds the key alias/header holds every key")
		             : box_name(header, slot, keyring, wants->names[i]);
	return rc;
}

/* All keys of the keyring, or, of a slot that is limited, new versions of those that it holds. */
static int box_keys(const VaultHeader *header, struct slot *slot, const Keyring *keyring, bool is_full) {
	struct key_info info;
	int rc = 0;
	for (size_t i = 0; rc == 0 && keyring_info(keyring, i, &info) == 0; i++)
		if (is_full || slot_holds(slot, info.name))
			rc = box_key(header, slot, keyring, &info);
	return rc;
}

static int check_label(const char *label) {
	if (strlen(label) >= HEADER_LABEL_BYTES)
		return fault(EINVAL, "a slot's label has at most %d bytes", HEADER_LABEL_BYTES - 1);
	for (const char *at = label; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return fault(EINVAL, "a slot's label cannot hold control characters");
	json_auto_t *text = json_string(label);
	return text ? 0 : fault(EINVAL, "a slot's label must be UTF-8");
}

/* A slot that `made` describes (type, label, KDF, recipient, KMS key and id; not changed), opened by `secret`. */
static int add_slot(VaultHeader *header, const Keyring *keyring, const struct slot *made, struct bytes secret,
        const char *label, const struct slot_wants *wants) {
	_cleanup_(signing_key_wipe) struct signing_key key = {0};
	_cleanup_(header_freep) VaultHeader *copy = NULL;
	int rc = check_label(label);
	if (rc == 0)
		rc = change_begin(header, keyring, &key, &copy);
	if (rc)
		return rc;
	if (copy->slot_count >= HEADER_SLOTS_MAX)
		return fault(ENOSPC, "the vault has %d slots already, which is the most", HEADER_SLOTS_MAX);
	struct slot *slot = array_grow(&copy->slots, copy->slot_count, sizeof *slot);
	if (!slot)
		return fault(ENOMEM, "adding a slot: out of memory");
	copy->slot_count++;
	if (!slot_duplicate(made, slot))
		return fault(ENOMEM, "adding a slot: out of memory");
	memcpy(slot->label, label, strlen(label) + 1);
	rc = slot_make(copy, secret, key.public_key, slot);
	if (rc == 0)
		rc = wants ? box_wanted(copy, slot, keyring, wants) : box_keys(copy, slot, keyring, true);
	return rc == 0 ? change_end(header, copy, &key) : rc;
}

static struct slot new_slot(enum slot_type type) {
	struct slot slot = {.type = type};
	crypto_ready();
	randombytes_buf(slot.id, sizeof slot.id);
	return slot;
}

int header_add_slot_passphrase(VaultHeader *header, const Keyring *keyring, struct bytes passphrase, const char *label,
        const struct header_kdf *kdf, const struct slot_wants *wants) {
	struct slot slot = new_slot(SLOT_PASSPHRASE);
	int rc = passphrase.size > 0 ? 0 : fault(EINVAL, "an empty passphrase protects nothing");
	if (rc == 0 && !kdf) {
		rc = header_kdf_calibrate(HEADER_KDF_MEMORY_DEFAULT, DEFAULT_MILLISECONDS, &slot.kdf);
		if (rc == 0 && slot.kdf.passes < HEADER_KDF_PASSES_LEAST)
			slot.kdf.passes = HEADER_KDF_PASSES_LEAST;
	} else if (rc == 0) {
		slot.kdf = *kdf;
	}
	if (rc == 0)
		rc = kdf_check(&slot.kdf);
	return rc == 0 ? add_slot(header, keyring, &slot, passphrase, label, wants) : rc;
}

int header_add_slot_recovery(
        VaultHeader *header, const Keyring *keyring, const char *label, char ret_text[static RECOVERY_TEXT_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	const struct slot slot = new_slot(SLOT_RECOVERY);
	randombytes_buf(key.bytes, sizeof key.bytes);
	int rc = add_slot(header, keyring, &slot, bytes_of(key.bytes, sizeof key.bytes), label, NULL);
	if (rc == 0)
		recovery_encode(key.bytes, ret_text);
	return rc;
}

int header_add_slot_keyfile(VaultHeader *header, const Keyring *keyring, struct bytes file, const char *label,
        const struct slot_wants *wants) {
	const struct slot slot = new_slot(SLOT_KEYFILE);
	int rc = keyfile_check(file);
	return rc == 0 ? add_slot(header, keyring, &slot, file, label, wants) : rc;
}

int header_add_slot_recipient(VaultHeader *header, const Keyring *keyring, const char *recipient, const char *label,
        const struct slot_wants *wants) {
	struct slot slot = new_slot(SLOT_RECIPIENT);
	int rc = recipient_parse(bytes_of_string(recipient), slot.recipient);
	for (size_t i = 0; rc == 0 && i < header->slot_count; i++)
		if (header->slots[i].type == SLOT_RECIPIENT &&
		        memcmp(header->slots[i].recipient, slot.recipient, sizeof slot.recipient) == 0)
			rc = fault(EEXIST, "the recipient has a slot already: remove that one first");
	return rc == 0 ? add_slot(header, keyring, &slot, bytes_of(NULL, 0), label, wants) : rc;
}

void header_new_slot_id(char ret_id[static HEADER_ID_TEXT_BYTES]) {
	const struct slot slot = new_slot(SLOT_KMS);
	hex_encode(bytes_of(slot.id, sizeof slot.id), ret_id);
}

int header_add_slot_kms(VaultHeader *header, const Keyring *keyring, const char *id, const struct slot_kms *kms,
        const uint8_t kek[static HEADER_KEK_BYTES], const char *label, const struct slot_wants *wants) {
	_cleanup_(slot_clear) struct slot slot = new_slot(SLOT_KMS);
	int rc = hex_decode(id, sizeof slot.id, slot.id);
	if (rc == 0)
		rc = kms_check(kms);
	for (size_t i = 0; rc == 0 && i < header->slot_count; i++)
		if (memcmp(header->slots[i].id, slot.id, sizeof slot.id) == 0)
			rc = fault(EEXIST, "the vault has a slot %s already", id);
	if (rc < 0)
		return rc;
	slot.wrapped_size = kms->wrapped.size;
	if (!duplicate(kms->wrapped.data, kms->wrapped.size, &slot.wrapped) ||
	        !duplicate(kms->key, strlen(kms->key) + 1, &slot.kms_key))
		return fault(ENOMEM, "adding a slot: out of memory");
	return add_slot(header, keyring, &slot, bytes_of(kek, HEADER_KEK_BYTES), label, wants);
}

static bool is_last_full(const VaultHeader *header, size_t at) {
	for (size_t i = 0; i < header->slot_count; i++)
		if (i != at && slot_is_full(&header->slots[i]))
			return false;
	return slot_is_full(&header->slots[at]);
}

int header_remove_slot(VaultHeader *header, const Keyring *keyring, const char *id) {
	_cleanup_(signing_key_wipe) struct signing_key key = {0};
	_cleanup_(header_freep) VaultHeader *copy = NULL;
	uint8_t wanted[HEADER_ID_BYTES];
	int rc = hex_decode(id, sizeof wanted, wanted);
	if (rc == 0)
		rc = change_begin(header, keyring, &key, &copy);
	if (rc)
		return rc;
	size_t at = 0;
	while (at < copy->slot_count && memcmp(copy->slots[at].id, wanted, sizeof wanted) != 0)
		at++;
	if (at == copy->slot_count)
		return fault(ENOENT, "the vault has no slot %s", id);
	if (copy->slot_count == 1)
		return fault(EBUSY, "slot %s is the last one: without it nobody could unlock the vault", id);
	if (is_last_full(copy, at))
		return fault(EBUSY,
		        "slot %s is the last one that may change vault.json: with the others alone nobody could "
		        "add or remove slots or rotate keys",
		        id);
	slot_clear(&copy->slots[at]);
	copy->slot_count--;
	memmove(&copy->slots[at], &copy->slots[at + 1], (copy->slot_count - at) * sizeof *copy->slots);
	return change_end(header, copy, &key);
}

int header_update(VaultHeader *header, const Keyring *keyring) {
	_cleanup_(signing_key_wipe) struct signing_key key = {0};
	_cleanup_(header_freep) VaultHeader *copy = NULL;
	int rc = change_begin(header, keyring, &key, &copy);
	for (size_t i = 0; rc == 0 && i < copy->slot_count; i++)
		rc = box_keys(copy, &copy->slots[i], keyring, slot_is_full(&copy->slots[i]));
	return rc == 0 ? change_end(header, copy, &key) : rc;
}

static void remove_boxes(struct slot *slot, const char *name) {
	size_t kept = 0;
	for (size_t i = 0; i < slot->box_count; i++)
		if (strcmp(slot->boxes[i].name, name) != 0)
			slot->boxes[kept++] = slot->boxes[i];
	slot->box_count = kept;
}

int header_delete_key(VaultHeader *header, const Keyring *keyring, const char *name) {
	_cleanup_(signing_key_wipe) struct signing_key key = {0};
	_cleanup_(header_freep) VaultHeader *copy = NULL;
	bool found = false;
	if (keyring_is_vital(name))
		return fault(EPERM, "the vault cannot do without its key alias/%s: it can only be rotated", name);
	if (is_deleted(header, name))
		return 0;
	int rc = change_begin(header, keyring, &key, &copy);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < copy->key_count; i++)
		if (strcmp(copy->keys[i].name, name) == 0) {
			copy->keys[i].state = KEY_DELETED;
			found = true;
		}
	if (!found)
		return fault(ENOKEY, "there is no key alias/%s", name);
	for (size_t i = 0; i < copy->slot_count; i++)
		remove_boxes(&copy->slots[i], name);
	return change_end(header, copy, &key);
}
