#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <time.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/derive.h"
#include "crypto/header_impl.h"
#include "crypto/secret.h"

static_assert(SLOT_SALT_BYTES == crypto_pwhash_argon2id_SALTBYTES, "");
static_assert(SLOT_PUBLIC_BYTES == crypto_box_PUBLICKEYBYTES && 32 == crypto_box_SECRETKEYBYTES, "");
static_assert(BOX_BYTES == BOX_PLAIN_BYTES + crypto_box_SEALBYTES, "");

#define KEK_BYTES AEAD_KEY_BYTES

static_assert(KEK_BYTES == HEADER_KEK_BYTES && RECIPIENT_WRAPPED_BYTES == KEK_BYTES + crypto_box_SEALBYTES, "");
static_assert(RECIPIENT_WRAPPED_BYTES <= HEADER_KMS_WRAPPED_MAX && RECIPIENT_TEXT_BYTES <= HEADER_KMS_KEY_MAX, "");

int keyfile_check(struct bytes file) {
	if (file.size >= HEADER_KEYFILE_MIN && file.size <= HEADER_KEYFILE_MAX)
		return 0;
	return fault(EINVAL, "a key file has from %d to %zu bytes, this one %zu%s", HEADER_KEYFILE_MIN,
	        HEADER_KEYFILE_MAX, file.size, file.size > HEADER_KEYFILE_MAX ? " or more" : "");
}

int kms_check(const struct slot_kms *kms) {
	size_t length = strnlen(kms->key, HEADER_KMS_KEY_MAX + 1);
	if (length < 1 || length > HEADER_KMS_KEY_MAX)
		return fault(EINVAL, "the ARN of a KMS key has from 1 to %d characters", HEADER_KMS_KEY_MAX);
	for (size_t i = 0; i < length; i++)
		if (kms->key[i] < '!' || kms->key[i] > '~')
			return fault(EINVAL, "the ARN of a KMS key is of ASCII without blanks");
	if (kms->wrapped.size < 1 || kms->wrapped.size > HEADER_KMS_WRAPPED_MAX)
		return fault(EINVAL, "what a KMS has wrapped has from 1 to %d bytes, this has %zu",
		        HEADER_KMS_WRAPPED_MAX, kms->wrapped.size);
	return 0;
}

int kdf_check(const struct header_kdf *kdf) {
	if (kdf->memory < HEADER_KDF_MEMORY_MIN || kdf->memory > HEADER_KDF_MEMORY_MAX)
		return fault(EINVAL,
		        "a passphrase slot asks Argon2id for %llu bytes of memory: 8 KiB to 4 GiB are allowed",
		        (unsigned long long)kdf->memory);
	if (kdf->memory % 1024 != 0)
		return fault(EINVAL, "a passphrase slot's memory for Argon2id must be whole KiB");
	if (kdf->passes < 1 || kdf->passes > HEADER_KDF_WORK_MAX / kdf->memory)
		return fault(EINVAL,
		        "a passphrase slot asks Argon2id for %llu passes over %llu bytes: at most 64 GiB of work are "
		        "allowed",
		        (unsigned long long)kdf->passes, (unsigned long long)kdf->memory);
	return 0;
}

static int argon2id(struct bytes passphrase, const struct header_kdf *kdf, const uint8_t salt[static SLOT_SALT_BYTES],
        uint8_t ret_kek[static KEK_BYTES]) {
	if (crypto_pwhash_argon2id(ret_kek, KEK_BYTES, (const char *)passphrase.data, passphrase.size, salt,
	            kdf->passes, (size_t)kdf->memory, crypto_pwhash_argon2id_ALG_ARGON2ID13) == 0)
		return 0;
	return fault(ENOMEM, "deriving a key from the passphrase needs %llu MiB of memory, which could not be had",
	        (unsigned long long)(kdf->memory >> 20));
}

/* Nanoseconds that one derivation with `passes` takes. */
static int time_argon2id(uint64_t memory, uint64_t passes, uint64_t *ret_nanoseconds) {
	const struct header_kdf kdf = {.memory = memory, .passes = passes};
	const uint8_t salt[SLOT_SALT_BYTES] = {0};
	struct timespec before, after;
	uint8_t kek[KEK_BYTES];
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	int rc = argon2id(bytes_of_string("calibration"), &kdf, salt, kek);
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	*ret_nanoseconds = (uint64_t)((after.tv_sec - before.tv_sec) * 1000000000LL + (after.tv_nsec - before.tv_nsec));
	return rc;
}

int header_kdf_calibrate(uint64_t memory, unsigned milliseconds, struct header_kdf *ret_kdf) {
	const struct header_kdf least = {.memory = memory, .passes = 1};
	uint64_t one = 0, three = 0;
	crypto_ready();
	int rc = kdf_check(&least);
	if (rc == 0)
		rc = time_argon2id(memory, 1, &one);
	if (rc == 0)
		rc = time_argon2id(memory, 3, &three);
	if (rc < 0)
		return rc;
	/* On a busy machine the longer run can come out as the shorter one. */
	uint64_t pass = three > one ? (three - one) / 2 + 1 : one + 1;
	uint64_t wanted = (uint64_t)milliseconds * 1000000, most = HEADER_KDF_WORK_MAX / memory;
	uint64_t passes = wanted > one ? 1 + (wanted - one + pass / 2) / pass : 1;
	*ret_kdf = (struct header_kdf){.memory = memory, .passes = passes < most ? passes : most};
	return 0;
}

/* The key that opens the slot's sealed part, from what a person knows. */
static int derive_kek(const struct slot *slot, struct bytes secret, uint8_t ret_kek[static KEK_BYTES]) {
	switch (slot->type) {
	case SLOT_PASSPHRASE:
		return argon2id(secret, &slot->kdf, slot->salt, ret_kek);
	case SLOT_RECOVERY:
		/* 256 random bits need no stretching. */
		assert(secret.size == RECOVERY_KEY_BYTES);
		derive_key(secret.data, "recovery slot", bytes_of(slot->salt, sizeof slot->salt), ret_kek);
		return 0;
	case SLOT_KEYFILE:
		blake2b(secret, ret_kek);
		derive_key(ret_kek, "key file slot", bytes_of(slot->salt, sizeof slot->salt), ret_kek);
		return 0;
	case SLOT_RECIPIENT:
		assert(secret.size == RECIPIENT_KEY_BYTES && slot->wrapped_size == RECIPIENT_WRAPPED_BYTES);
		if (crypto_box_seal_open(ret_kek, slot->wrapped, slot->wrapped_size, slot->recipient, secret.data) == 0)
			return 0;
		return fault(EKEYREJECTED, "the slot is for another recipient");
	case SLOT_KMS:
		assert(secret.size == KEK_BYTES);
		memcpy(ret_kek, secret.data, KEK_BYTES);
		return 0;
	}
	return fault(ENOTSUP, "this kind of slot is not known");
}

/* As derive_kek(), for a new slot; to a recipient a random KEK is sealed, which then only they know. */
static int make_kek(struct slot *slot, struct bytes secret, uint8_t ret_kek[static KEK_BYTES]) {
	if (slot->type != SLOT_RECIPIENT)
		return derive_kek(slot, secret, ret_kek);
	slot->wrapped = malloc(RECIPIENT_WRAPPED_BYTES);
	if (!slot->wrapped)
		return fault(ENOMEM, "adding a slot: out of memory");
	slot->wrapped_size = RECIPIENT_WRAPPED_BYTES;
	randombytes_buf(ret_kek, KEK_BYTES);
	return crypto_box_seal(slot->wrapped, ret_kek, KEK_BYTES, slot->recipient) == 0
	               ? 0
	               : fault(EINVAL, "the recipient is no key that anything can be sealed to");
}

#define SLOT_AD_WORDS "assayfs slot 1\n"
#define SLOT_AD_FIXED (sizeof SLOT_AD_WORDS - 1 + 2 * HEADER_ID_BYTES + 4 + 8 + 8 + SLOT_SALT_BYTES + SLOT_PUBLIC_BYTES)

struct slot_ad {
	uint8_t data[SLOT_AD_FIXED + 4 + HEADER_KMS_KEY_MAX + 4 + HEADER_KMS_WRAPPED_MAX];
	size_t size;
};

static uint8_t *put(uint8_t *to, const void *data, size_t size) {
	memcpy(to, data, size);
	return to + size;
}

static uint8_t *put_counted(uint8_t *to, struct bytes data) {
	le32_put(to, (uint32_t)data.size);
	return put(to + 4, data.data, data.size);
}

/* Fixed lengths, and of random KEKs whose they are and how they are wrapped, counted: so the encoding is injective. */
static void slot_ad(const VaultHeader *header, const struct slot *slot, struct slot_ad *ret_ad) {
	char recipient[RECIPIENT_TEXT_BYTES];
	uint8_t *to = put(ret_ad->data, SLOT_AD_WORDS, sizeof SLOT_AD_WORDS - 1);
	to = put(to, header->vault, sizeof header->vault);
	to = put(to, slot->id, sizeof slot->id);
	le32_put(to, (uint32_t)slot->type);
	le64_put(to + 4, slot->kdf.memory);
	le64_put(to + 12, slot->kdf.passes);
	to = put(to + 20, slot->salt, sizeof slot->salt);
	to = put(to, slot->public_key, sizeof slot->public_key);
	assert(to == ret_ad->data + SLOT_AD_FIXED);
	if (slot->type == SLOT_RECIPIENT)
		recipient_text(slot->recipient, recipient);
	if (slot->wrapped) {
		to = put_counted(to, bytes_of_string(slot->type == SLOT_KMS ? slot->kms_key : recipient));
		to = put_counted(to, bytes_of(slot->wrapped, slot->wrapped_size));
	}
	ret_ad->size = (size_t)(to - ret_ad->data);
}

int slot_make(const VaultHeader *header, struct bytes secret, const uint8_t verifier[static SIGN_PUBLIC_BYTES],
        struct slot *slot) {
	_cleanup_(secret_key_wipe) struct secret_key kek;
	uint8_t plain[SLOT_PLAIN_BYTES];
	struct slot_ad ad;
	crypto_ready();
	if (slot->type != SLOT_RECIPIENT && slot->type != SLOT_KMS)
		randombytes_buf(slot->salt, sizeof slot->salt);
	aead_nonce_random(slot->nonce);
	int rc = make_kek(slot, secret, kek.bytes);
	if (rc < 0)
		return rc;
	(void)crypto_box_keypair(slot->public_key, plain);
	memcpy(plain + 32, verifier, SIGN_PUBLIC_BYTES);
	slot_ad(header, slot, &ad);
	rc = aead_page_seal(kek.bytes, slot->nonce, bytes_of(ad.data, ad.size), bytes_of(plain, sizeof plain),
	        slot->sealed, slot->sealed + SLOT_PLAIN_BYTES);
	secret_wipe(plain, sizeof plain);
	return rc;
}

int slot_open(const VaultHeader *header, const struct slot *slot, struct bytes secret,
        uint8_t ret_plain[static SLOT_PLAIN_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key kek;
	struct slot_ad ad;
	crypto_ready();
	int rc = derive_kek(slot, secret, kek.bytes);
	if (rc < 0)
		return rc;
	slot_ad(header, slot, &ad);
	rc = aead_page_open(kek.bytes, slot->nonce, bytes_of(ad.data, ad.size),
	        bytes_of(slot->sealed, SLOT_PLAIN_BYTES), slot->sealed + SLOT_PLAIN_BYTES, ret_plain);
	return rc == -EBADMSG ? fault(EKEYREJECTED, "the slot does not open") : rc;
}

/* What binds a boxed key to its place: anybody can box something to a slot, but not say this about a key not known. */
static void box_binding(const VaultHeader *header, const struct slot *slot, const struct key_info *info,
        const uint8_t key[static KEYRING_KEY_BYTES], uint8_t ret_binding[static DIGEST_BYTES]) {
	uint8_t place[2 * HEADER_ID_BYTES + 4 + 4 + KEYRING_NAME_MAX];
	size_t length = strnlen(info->name, KEYRING_NAME_MAX);
	uint8_t *to = put(place, header->vault, sizeof header->vault);
	to = put(to, slot->id, sizeof slot->id);
	le32_put(to, (uint32_t)info->kind);
	le32_put(to + 4, info->version);
	to = put(to + 8, info->name, length);
	derive_key(key, "header box", bytes_of(place, (size_t)(to - place)), ret_binding);
}

static int compare_place(const struct box *box, const struct key_info *info) {
	int order = strcmp(box->name, info->name);
	return order ? order : (box->version > info->version) - (box->version < info->version);
}

/* Where the box of this key is, or would be. */
static size_t box_place(const struct slot *slot, const struct key_info *info) {
	size_t at = 0;
	while (at < slot->box_count && compare_place(&slot->boxes[at], info) < 0)
		at++;
	return at;
}

bool slot_has_box(const struct slot *slot, const struct key_info *info) {
	size_t at = box_place(slot, info);
	return at < slot->box_count && compare_place(&slot->boxes[at], info) == 0;
}

int slot_box(const VaultHeader *header, struct slot *slot, const struct key_info *info,
        const uint8_t key[static KEYRING_KEY_BYTES]) {
	uint8_t plain[BOX_PLAIN_BYTES];
	size_t at = box_place(slot, info);
	crypto_ready();
	if (slot_has_box(slot, info))
		return 0;
	if (!array_grow(&slot->boxes, slot->box_count, sizeof *slot->boxes))
		return fault(ENOMEM, "adding a key to a slot: out of memory");
	struct box *box = &slot->boxes[at];
	memmove(box + 1, box, (slot->box_count - at) * sizeof *box);
	*box = (struct box){.version = info->version};
	memcpy(box->name, info->name, sizeof box->name);
	slot->box_count++;

	memcpy(plain, key, KEYRING_KEY_BYTES);
	box_binding(header, slot, info, key, plain + KEYRING_KEY_BYTES);
	/* Fails only for a public key of low order, which no key pair has. */
	int failed = crypto_box_seal(box->data, plain, sizeof plain, slot->public_key);
	secret_wipe(plain, sizeof plain);
	return failed ? fault(EBADMSG, "a slot's public key is not a valid one") : 0;
}

int slot_unbox(const VaultHeader *header, const struct slot *slot, size_t index, const struct key_info *info,
        const uint8_t slot_secret_key[static 32], uint8_t ret_key[static KEYRING_KEY_BYTES]) {
	const struct box *box = &slot->boxes[index];
	uint8_t plain[BOX_PLAIN_BYTES], binding[DIGEST_BYTES];
	bool right = crypto_box_seal_open(plain, box->data, sizeof box->data, slot->public_key, slot_secret_key) == 0;
	if (right) {
		box_binding(header, slot, info, plain, binding);
		right = digest_equal(binding, plain + KEYRING_KEY_BYTES);
	}
	if (right)
		memcpy(ret_key, plain, KEYRING_KEY_BYTES);
	secret_wipe(plain, sizeof plain);
	secret_wipe(binding, sizeof binding);
	return right ? 0 : fault(EBADMSG, "vault.json: key %s version %u does not open", box->name, box->version);
}
