#include "backend/metaseal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

/* Until the crypto floor's aead_page_… and derive_key are there. */
static void seal(const uint8_t key[static 32], const uint8_t nonce[static 24], struct bytes ad, struct bytes plain,
        uint8_t *ret_cipher, uint8_t ret_tag[static 16]) {
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
	        ret_cipher, ret_tag, NULL, plain.data, plain.size, ad.data, ad.size, NULL, nonce, key);
}

static int unseal(const uint8_t key[static 32], const uint8_t nonce[static 24], struct bytes ad, struct bytes cipher,
        const uint8_t tag[static 16], uint8_t *ret_plain) {
	return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
	               ret_plain, NULL, cipher.data, cipher.size, tag, ad.data, ad.size, nonce, key) == 0
	               ? 0
	               : -EBADMSG;
}

static void derive(
        const uint8_t parent[static 32], const char *purpose, struct bytes context, uint8_t ret_key[static 32]) {
	crypto_generichash_state state;
	uint8_t length = (uint8_t)strlen(purpose);
	(void)crypto_generichash_init(&state, parent, 32, 32);
	(void)crypto_generichash_update(&state, &length, 1);
	(void)crypto_generichash_update(&state, (const uint8_t *)purpose, length);
	(void)crypto_generichash_update(&state, context.data, context.size);
	(void)crypto_generichash_final(&state, ret_key, 32);
	sodium_memzero(&state, sizeof state);
}

struct meta_keys *meta_keys_new(const uint8_t key[static 32], const uint8_t vault_id[static 16]) {
	if (sodium_init() < 0)
		return NULL;
	struct meta_keys *keys = sodium_malloc(sizeof *keys);
	if (!keys)
		return NULL;
	struct bytes id = bytes_of(vault_id, 16);
	derive(key, "metadata page", id, keys->page);
	derive(key, "metadata wal", id, keys->wal);
	derive(key, "metadata pack", id, keys->pack);
	memcpy(keys->vault_id, vault_id, sizeof keys->vault_id);
	return keys;
}

void meta_keys_free(struct meta_keys *keys) {
	sodium_free(keys);
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
	randombytes_buf(nonce, sizeof nonce);
	seal(keys->page, nonce, bytes_of(ad.data, ad.size), bytes_of(plain, META_USABLE_BYTES), ret_sealed, tag);
	memcpy(ret_sealed + META_PAGE_NONCE_AT, nonce, sizeof nonce);
	memcpy(ret_sealed + META_PAGE_TAG_AT, tag, sizeof tag);
}

int meta_page_open(const struct meta_keys *keys, uint32_t page, const uint8_t sealed[static META_PAGE_BYTES],
        uint8_t ret_plain[static META_PAGE_BYTES]) {
	struct associated ad;
	associate_page(&ad, keys, page);
	int rc = unseal(keys->page, sealed + META_PAGE_NONCE_AT, bytes_of(ad.data, ad.size),
	        bytes_of(sealed, META_USABLE_BYTES), sealed + META_PAGE_TAG_AT, ret_plain);
	memset(ret_plain + META_USABLE_BYTES, 0, META_RESERVED_BYTES);
	return rc;
}

void meta_record_seal(const struct meta_keys *keys, const uint8_t key[static 32], const char *purpose, struct bytes ad,
        struct bytes plain, uint8_t *ret_record) {
	struct associated associated;
	associate(&associated, keys, purpose, ad);
	randombytes_buf(ret_record, META_NONCE_BYTES);
	seal(key, ret_record, bytes_of(associated.data, associated.size), plain, ret_record + META_RECORD_OVERHEAD,
	        ret_record + META_NONCE_BYTES);
}

int meta_record_open(const struct meta_keys *keys, const uint8_t key[static 32], const char *purpose, struct bytes ad,
        struct bytes record, uint8_t *ret_plain) {
	struct associated associated;
	associate(&associated, keys, purpose, ad);
	return unseal(key, record.data, bytes_of(associated.data, associated.size),
	        bytes_of(record.data + META_RECORD_OVERHEAD, record.size - META_RECORD_OVERHEAD),
	        record.data + META_NONCE_BYTES, ret_plain);
}
