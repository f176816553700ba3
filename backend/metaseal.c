#include "backend/metaseal.h"

#include "crypto/aead.h"
#include "crypto/derive.h"
#include "crypto/secret.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Sealing fails only for messages above a gigabyte; nothing here comes near, and going on without a seal must not be.
 */
static void seal(const uint8_t key[static 32], const uint8_t nonce[static 24], struct bytes ad, struct bytes plain,
        uint8_t *ret_cipher, uint8_t ret_tag[static 16]) {
	if (aead_page_seal(key, nonce, ad, plain, ret_cipher, ret_tag) < 0)
		abort();
}

struct meta_keys *meta_keys_new(const uint8_t key[static 32], const uint8_t vault_id[static 16]) {
	struct meta_keys *keys = secret_alloc(sizeof *keys);
	if (!keys)
		return NULL;
	struct bytes id = bytes_of(vault_id, 16);
	derive_key(key, "metadata page", id, keys->page);
	derive_key(key, "metadata wal", id, keys->wal);
	derive_key(key, "metadata pack", id, keys->pack);
	memcpy(keys->vault_id, vault_id, sizeof keys->vault_id);
	return keys;
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

void meta_page_seal(const struct meta_keys *keys, uint32_t page, const uint8_t plain[static META_PAGE_BYTES],
        uint8_t ret_sealed[static META_PAGE_BYTES]) {
	struct associated ad;
	associate_page(&ad, keys, page);
	uint8_t nonce[META_NONCE_BYTES];
	uint8_t tag[META_TAG_BYTES];
	aead_nonce_random(nonce);
	seal(keys->page, nonce, bytes_of(ad.data, ad.size), bytes_of(plain, META_USABLE_BYTES), ret_sealed, tag);
	memcpy(ret_sealed + META_PAGE_NONCE_AT, nonce, sizeof nonce);
	memcpy(ret_sealed + META_PAGE_TAG_AT, tag, sizeof tag);
}

int meta_page_open(const struct meta_keys *keys, uint32_t page, const uint8_t sealed[static META_PAGE_BYTES],
        uint8_t ret_plain[static META_PAGE_BYTES]) {
	struct associated ad;
	associate_page(&ad, keys, page);
	int rc = aead_page_open(keys->page, sealed + META_PAGE_NONCE_AT, bytes_of(ad.data, ad.size),
	        bytes_of(sealed, META_USABLE_BYTES), sealed + META_PAGE_TAG_AT, ret_plain);
	memset(ret_plain + META_USABLE_BYTES, 0, META_RESERVED_BYTES);
	return rc;
}

void meta_record_seal(const struct meta_keys *keys, const uint8_t key[static 32], const char *purpose, struct bytes ad,
        struct bytes plain, uint8_t *ret_record) {
	struct associated associated;
	associate(&associated, keys, purpose, ad);
	aead_nonce_random(ret_record);
	seal(key, ret_record, bytes_of(associated.data, associated.size), plain, ret_record + META_RECORD_OVERHEAD,
	        ret_record + META_NONCE_BYTES);
}

int meta_record_open(const struct meta_keys *keys, const uint8_t key[static 32], const char *purpose, struct bytes ad,
        struct bytes record, uint8_t *ret_plain) {
	struct associated associated;
	associate(&associated, keys, purpose, ad);
	return aead_page_open(key, record.data, bytes_of(associated.data, associated.size),
	        bytes_of(record.data + META_RECORD_OVERHEAD, record.size - META_RECORD_OVERHEAD),
	        record.data + META_NONCE_BYTES, ret_plain);
}
