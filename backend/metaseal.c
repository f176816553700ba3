#include "backend/metaseal.h"

#include "crypto/aead.h"
#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/secret.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* Sealing fails only for messages above a gigabyte; nothing here comes near, and going on without a seal must not be.
 */
static void seal(const uint8_t key[static 32], const uint8_t nonce[static 24], struct bytes ad, struct bytes plain,
        uint8_t *ret_cipher, uint8_t ret_tag[static 16]) {
	if (aead_page_seal(key, nonce, ad, plain, ret_cipher, ret_tag) < 0)
		abort();
}

static void derive_version(struct meta_keys *keys, uint32_t version, const uint8_t key[static 32]) {
	struct meta_version *to = &keys->versions[keys->count++];
	struct bytes id = bytes_of(keys->vault_id, sizeof keys->vault_id);
	to->version = version;
	derive_key(key, "metadata page", id, to->page);
	derive_key(key, "metadata wal", id, to->wal);
	derive_key(key, "metadata pack", id, to->pack);
}

int meta_keys_new(const Keyring *keyring, const uint8_t vault_id[static 16], struct meta_keys **ret_keys) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	uint32_t newest = 0;
	int rc = keyring_get(keyring, META_KEY_NAME, 0, key.bytes, &newest);
	if (rc < 0)
		return rc;
	size_t most = newest < KEYRING_KEYS_MAX ? newest : KEYRING_KEYS_MAX;
	struct meta_keys *keys = secret_alloc(sizeof *keys + most * sizeof keys->versions[0]);
	if (!keys)
		return fault(ENOMEM, "no locked memory for the metadata's keys");
	keys->count = 0;
	memcpy(keys->vault_id, vault_id, sizeof keys->vault_id);
	derive_version(keys, newest, key.bytes);
	for (uint32_t before = 1; before < most && (rc == 0 || rc == -ENOKEY); before++) {
		rc = keyring_get(keyring, META_KEY_NAME, newest - before, key.bytes, NULL);
		if (rc == 0)
			derive_version(keys, newest - before, key.bytes);
	}
	if (rc < 0 && rc != -ENOKEY) {
		meta_keys_free(keys);
		return rc;
	}
	fault_clear();
	*ret_keys = keys;
	return 0;
}

void meta_keys_free(struct meta_keys *keys) {
	secret_free(keys);
}

/* vault id | length of purpose | purpose | ad */
struct associated {
	uint8_t data[16 + 1 + 160];
	size_t size;
};

static void associate(struct associated *to, const struct meta_keys *keys, const char *purpose, struct bytes ad) {
	size_t length = strlen(purpose);
	assert(length + ad.size <= 160);
	memcpy(to->data, keys->vault_id, 16);
	to->data[16] = (uint8_t)length;
	memcpy(to->data + 17, purpose, length);
	if (ad.size)
		memcpy(to->data + 17 + length, ad.data, ad.size);
	to->size = 17 + length + ad.size;
}

static void associate_page(struct associated *to, const struct meta_keys *keys, uint32_t page) {
	uint8_t number[4];
	le32_put(number, page);
	associate(to, keys, "page", bytes_of(number, sizeof number));
}

static void draw_nonce(uint32_t version, uint8_t ret_nonce[static META_NONCE_BYTES]) {
	aead_nonce_random(ret_nonce);
	ret_nonce[META_NONCE_BYTES - 1] = (uint8_t)version;
}

void meta_page_seal(const struct meta_keys *keys, uint32_t page, const uint8_t plain[static META_PAGE_BYTES],
        uint8_t ret_sealed[static META_PAGE_BYTES]) {
	struct associated ad;
	associate_page(&ad, keys, page);
	uint8_t nonce[META_NONCE_BYTES];
	uint8_t tag[META_TAG_BYTES];
	draw_nonce(keys->versions[0].version, nonce);
	seal(keys->versions[0].page, nonce, bytes_of(ad.data, ad.size), bytes_of(plain, META_USABLE_BYTES), ret_sealed,
	        tag);
	memcpy(ret_sealed + META_PAGE_NONCE_AT, nonce, sizeof nonce);
	memcpy(ret_sealed + META_PAGE_TAG_AT, tag, sizeof tag);
}

/* The `nth` to try: those that the hint fits come first. NULL: all were tried. */
static const struct meta_version *next_version(const struct meta_keys *keys, uint8_t hint, size_t *at) {
	while (*at < 2 * keys->count) {
		const struct meta_version *version = &keys->versions[*at % keys->count];
		bool fits = (uint8_t)version->version == hint;
		if (fits == (*at < keys->count)) {
			++*at;
			return version;
		}
		++*at;
	}
	return NULL;
}

int meta_page_open(const struct meta_keys *keys, uint32_t page, const uint8_t sealed[static META_PAGE_BYTES],
        uint8_t ret_plain[static META_PAGE_BYTES], uint32_t *ret_version) {
	struct associated ad;
	const struct meta_version *version;
	int rc = -EBADMSG;
	associate_page(&ad, keys, page);
	for (size_t at = 0; rc == -EBADMSG && (version = next_version(keys, meta_page_hint(sealed), &at));) {
		rc = aead_page_open(version->page, sealed + META_PAGE_NONCE_AT, bytes_of(ad.data, ad.size),
		        bytes_of(sealed, META_USABLE_BYTES), sealed + META_PAGE_TAG_AT, ret_plain);
		if (rc == 0 && ret_version)
			*ret_version = version->version;
	}
	memset(ret_plain + META_USABLE_BYTES, 0, META_RESERVED_BYTES);
	return rc;
}

static const uint8_t *record_key(const struct meta_version *version, enum meta_use use) {
	return use == META_WAL ? version->wal : version->pack;
}

static const struct meta_version *find_version(const struct meta_keys *keys, uint32_t version) {
	for (size_t i = 0; i < keys->count; i++)
		if (version == 0 || keys->versions[i].version == version)
			return &keys->versions[i];
	return NULL;
}

void meta_record_seal(const struct meta_keys *keys, enum meta_use use, uint32_t version, const char *purpose,
        struct bytes ad, struct bytes plain, uint8_t *ret_record) {
	struct associated associated;
	const struct meta_version *by = find_version(keys, version);
	if (!by)
		abort(); /* versions are never taken from a keyring that is in use */
	associate(&associated, keys, purpose, ad);
	draw_nonce(by->version, ret_record);
	seal(record_key(by, use), ret_record, bytes_of(associated.data, associated.size), plain,
	        ret_record + META_RECORD_OVERHEAD, ret_record + META_NONCE_BYTES);
}

int meta_record_open(const struct meta_keys *keys, enum meta_use use, uint32_t version, const char *purpose,
        struct bytes ad, struct bytes record, uint8_t *ret_plain, uint32_t *ret_version) {
	struct associated associated;
	const struct meta_version *by;
	int rc = -EBADMSG;
	associate(&associated, keys, purpose, ad);
	for (size_t at = 0; rc == -EBADMSG && (by = next_version(keys, meta_record_hint(record.data), &at));) {
		if (version != 0 && by->version != version)
			continue;
		rc = aead_page_open(record_key(by, use), record.data, bytes_of(associated.data, associated.size),
		        bytes_of(record.data + META_RECORD_OVERHEAD, record.size - META_RECORD_OVERHEAD),
		        record.data + META_NONCE_BYTES, ret_plain);
		if (rc == 0 && ret_version)
			*ret_version = by->version;
	}
	return rc;
}
