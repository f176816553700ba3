#include "crypto/header.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/header_impl.h"
#include "crypto/secret.h"

#define DEFAULT_MILLISECONDS 1000
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

void header_free(VaultHeader *header) {
	if (!header)
		return;
	for (size_t i = 0; i < header->slot_count; i++)
		free(header->slots[i].boxes);
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

/* `size` bytes of `data` on the heap; NULL in `*ret` for none. */
static bool duplicate(const void *data, size_t size, void *ret_pointer) {
	void *copy = size > 0 ? malloc(size) : NULL;
	if (size > 0 && !copy)
		return false;
	if (size > 0)
		memcpy(copy, data, size);
	memcpy(ret_pointer, &copy, sizeof copy);
	return true;
}

/* Changes are made on a copy that then takes the place of the original: on error nothing has changed. */
static int header_copy(const VaultHeader *header, VaultHeader **ret_copy) {
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
		const struct slot *slot = &header->slots[i];
		good = duplicate(slot->boxes, slot->box_count * sizeof *slot->boxes, &copy->slots[i].boxes);
		copy->slot_count += good;
	}
	if (!good)
		return fault(ENOMEM, "changing the vault header: out of memory");
	*ret_copy = steal_pointer(&copy);
	return 0;
}

static void header_swap(VaultHeader *one, VaultHeader *other) {
	VaultHeader kept = *one;
	*one = *other;
	*other = kept;
}

static int compare_keys(const struct key_info *one, const struct key_info *other) {
	int order = strcmp(one->name, other->name);
	return order ? order : (one->version > other->version) - (one->version < other->version);
}

static struct key_info *find_key(const VaultHeader *header, const char *name, uint32_t version) {
	for (size_t i = 0; i < header->key_count; i++)
		if (header->keys[i].version == version && strcmp(header->keys[i].name, name) == 0)
			return &header->keys[i];
	return NULL;
}

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

/* Takes over what is public about the keyring's keys. Keys that it lacks stay listed. */
static int update_catalog(VaultHeader *header, const Keyring *keyring) {
	struct key_info info;
	for (size_t i = 0; keyring_info(keyring, i, &info) == 0; i++) {
		struct key_info *known = find_key(header, info.name, info.version);
		if (known) {
			known->state = info.state;
			continue;
		}
		if (!array_grow(&header->keys, header->key_count, sizeof info))
			return fault(ENOMEM, "listing keys: out of memory");
		size_t at = header->key_count++;
		for (; at > 0 && compare_keys(&header->keys[at - 1], &info) > 0; at--)
			header->keys[at] = header->keys[at - 1];
		header->keys[at] = info;
	}
	return 0;
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

/* Boxes to the slot all keys of the keyring, or only those that `wanted` picks. */
static int box_keys(const VaultHeader *header, struct slot *slot, const Keyring *keyring,
        bool (*wanted)(const struct slot *, const char *name)) {
	struct key_info info;
	for (size_t i = 0; keyring_info(keyring, i, &info) == 0; i++) {
		_cleanup_(secret_key_wipe) struct secret_key key;
		if (wanted && !wanted(slot, info.name))
			continue;
		int rc = keyring_get(keyring, info.name, info.version, key.bytes, NULL);
		if (rc == 0)
			rc = slot_box(header, slot, &info, key.bytes);
		if (rc < 0)
			return rc;
	}
	return 0;
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

static int add_slot(VaultHeader *header, const Keyring *keyring, struct bytes secret, const char *label,
        enum slot_type type, const struct header_kdf *kdf) {
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
	slot->type = type;
	slot->kdf = *kdf;
	memcpy(slot->label, label, strlen(label) + 1);
	rc = slot_make(copy, secret, key.public_key, slot);
	if (rc == 0)
		rc = box_keys(copy, slot, keyring, NULL);
	return rc == 0 ? change_end(header, copy, &key) : rc;
}

int header_add_slot_passphrase(VaultHeader *header, const Keyring *keyring, struct bytes passphrase, const char *label,
        const struct header_kdf *kdf) {
	struct header_kdf calibrated;
	int rc = passphrase.size > 0 ? 0 : fault(EINVAL, "an empty passphrase protects nothing");
	if (rc == 0 && !kdf) {
		rc = header_kdf_calibrate(HEADER_KDF_MEMORY_DEFAULT, DEFAULT_MILLISECONDS, &calibrated);
		if (rc == 0 && calibrated.passes < HEADER_KDF_PASSES_LEAST)
			calibrated.passes = HEADER_KDF_PASSES_LEAST;
		kdf = &calibrated;
	}
	if (rc == 0)
		rc = kdf_check(kdf);
	return rc == 0 ? add_slot(header, keyring, passphrase, label, SLOT_PASSPHRASE, kdf) : rc;
}

int header_add_slot_recovery(
        VaultHeader *header, const Keyring *keyring, const char *label, char ret_text[static RECOVERY_TEXT_BYTES]) {
	static const struct header_kdf none = {0};
	_cleanup_(secret_key_wipe) struct secret_key key;
	crypto_ready();
	randombytes_buf(key.bytes, sizeof key.bytes);
	int rc = add_slot(header, keyring, bytes_of(key.bytes, sizeof key.bytes), label, SLOT_RECOVERY, &none);
	if (rc == 0)
		recovery_encode(key.bytes, ret_text);
	return rc;
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
	free(copy->slots[at].boxes);
	copy->slot_count--;
	memmove(&copy->slots[at], &copy->slots[at + 1], (copy->slot_count - at) * sizeof *copy->slots);
	return change_end(header, copy, &key);
}

static bool slot_holds(const struct slot *slot, const char *name) {
	for (size_t i = 0; i < slot->box_count; i++)
		if (strcmp(slot->boxes[i].name, name) == 0)
			return true;
	return false;
}

/* Whether the slot holds every key that the header listed before the change, so that it gets new ones as well. */
static bool slot_is_full(const VaultHeader *before, const struct slot *slot) {
	for (size_t i = 0; i < before->key_count; i++)
		if (!slot_holds(slot, before->keys[i].name))
			return false;
	return true;
}

int header_update(VaultHeader *header, const Keyring *keyring) {
	_cleanup_(signing_key_wipe) struct signing_key key = {0};
	_cleanup_(header_freep) VaultHeader *copy = NULL;
	int rc = change_begin(header, keyring, &key, &copy);
	for (size_t i = 0; rc == 0 && i < copy->slot_count; i++) {
		struct slot *slot = &copy->slots[i];
		rc = box_keys(copy, slot, keyring, slot_is_full(header, slot) ? NULL : slot_holds);
	}
	return rc == 0 ? change_end(header, copy, &key) : rc;
}

/* ---- unlocking ---- */

/* The keys in the slot's boxes, as a keyring. The header has been verified. */
static int open_boxes(const VaultHeader *header, const struct slot *slot, const uint8_t slot_secret_key[static 32],
        Keyring **ret_keyring) {
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	int rc = keyring_new(&keyring);
	for (size_t i = 0; rc == 0 && i < slot->box_count; i++) {
		_cleanup_(secret_key_wipe) struct secret_key key;
		const struct key_info *info = find_key(header, slot->boxes[i].name, slot->boxes[i].version);
		if (!info)
			return fault(EBADMSG, "vault.json: a box is for a key that is not listed");
		rc = slot_unbox(header, slot, i, info, slot_secret_key, key.bytes);
		if (rc == 0)
			rc = keyring_add(keyring, info, key.bytes);
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

int header_unlock_slot(
        const VaultHeader *header, const struct slot_secret *secret, Keyring **ret_keyring, size_t *ret_slot) {
	_cleanup_(secret_key_wipe) struct secret_key recovery;
	struct bytes value = secret->value;
	bool tried = false;
	if (secret->type == SLOT_RECOVERY) {
		int rc = recovery_decode(secret->value, recovery.bytes);
		if (rc < 0)
			return rc;
		value = bytes_of(recovery.bytes, sizeof recovery.bytes);
	}
	for (size_t i = 0; i < header->slot_count; i++) {
		if (header->slots[i].type != secret->type)
			continue;
		tried = true;
		int rc = unlock_one(header, &header->slots[i], value, ret_keyring);
		if (rc == 0 && ret_slot)
			*ret_slot = i;
		if (rc != -EKEYREJECTED)
			return rc;
	}
	const char *type = slot_type_name(secret->type);
	if (!tried)
		return fault(ENOENT, "the vault has no %s slot", type ? type : "such");
	return fault(EKEYREJECTED, "wrong %s", secret->type == SLOT_RECOVERY ? "recovery key" : "passphrase");
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

size_t header_slot_count(const VaultHeader *header) {
	return header->slot_count;
}

int header_slot(const VaultHeader *header, size_t index, struct slot_info *ret_info) {
	if (index >= header->slot_count)
		return -ENOENT;
	const struct slot *slot = &header->slots[index];
	*ret_info = (struct slot_info){.type = slot->type, .kdf = slot->kdf, .key_count = slot->box_count};
	hex_encode(bytes_of(slot->id, sizeof slot->id), ret_info->id);
	memcpy(ret_info->label, slot->label, sizeof ret_info->label);
	return 0;
}

int header_slot_key(const VaultHeader *header, size_t index, size_t key, struct key_info *ret_info) {
	if (index >= header->slot_count || key >= header->slots[index].box_count)
		return -ENOENT;
	const struct box *box = &header->slots[index].boxes[key];
	const struct key_info *info = find_key(header, box->name, box->version);
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
