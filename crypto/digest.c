/* libcrypto marks these functions as deprecated in favour of EVP, but EVP wants an allocated context, whose making can
 * fail, where here is a plain struct. Measured for the 65 bytes of a Merkle node: 102 ns, EVP 136 to 160, libsodium
 * (which has no SHA instructions) 450; for 16 KiB 1.8 GB/s, libsodium 0.28. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/digest.h"

#include <assert.h>
#include <openssl/sha.h>
#include <sodium.h>

#include "crypto/base/ready.h"

static_assert(sizeof(struct sha256) >= sizeof(SHA256_CTX), "the public struct must hold libcrypto's");
static_assert(_Alignof(struct sha256) >= _Alignof(SHA256_CTX), "");
static_assert(DIGEST_BYTES == SHA256_DIGEST_LENGTH && DIGEST_BYTES == crypto_generichash_BYTES, "");
static_assert(DIGEST_BYTES == crypto_generichash_KEYBYTES, "");

static SHA256_CTX *context(struct sha256 *hash) {
	return (SHA256_CTX *)(void *)hash->state;
}

void sha256_init(struct sha256 *hash) {
	(void)SHA256_Init(context(hash));
}

void sha256_update(struct sha256 *hash, struct bytes data) {
	if (data.size > 0)
		(void)SHA256_Update(context(hash), data.data, data.size);
}

void sha256_final(struct sha256 *hash, uint8_t ret_digest[static DIGEST_BYTES]) {
	(void)SHA256_Final(ret_digest, context(hash));
}

void sha256(struct bytes data, uint8_t ret_digest[static DIGEST_BYTES]) {
	struct sha256 hash;
	sha256_init(&hash);
	sha256_update(&hash, data);
	sha256_final(&hash, ret_digest);
}

void digest_hex(const uint8_t digest[static DIGEST_BYTES], char ret_hex[static DIGEST_HEX_BYTES]) {
	(void)sodium_bin2hex(ret_hex, DIGEST_HEX_BYTES, digest, DIGEST_BYTES);
}

void blake2b_init(struct blake2b *hash, const uint8_t *key) {
	crypto_ready();
	(void)crypto_generichash_init(&hash->state, key, key ? DIGEST_BYTES : 0, DIGEST_BYTES);
}

void blake2b_update(struct blake2b *hash, struct bytes data) {
	(void)crypto_generichash_update(&hash->state, data.data, data.size);
}

void blake2b_final(struct blake2b *hash, uint8_t ret_digest[static DIGEST_BYTES]) {
	(void)crypto_generichash_final(&hash->state, ret_digest, DIGEST_BYTES);
	sodium_memzero(hash, sizeof *hash);
}

void blake2b(struct bytes data, uint8_t ret_digest[static DIGEST_BYTES]) {
	crypto_ready();
	(void)crypto_generichash(ret_digest, DIGEST_BYTES, data.data, data.size, NULL, 0);
}

void blake2b_keyed(const uint8_t key[static DIGEST_BYTES], struct bytes data, uint8_t ret_digest[static DIGEST_BYTES]) {
	crypto_ready();
	(void)crypto_generichash(ret_digest, DIGEST_BYTES, data.data, data.size, key, DIGEST_BYTES);
}

bool digest_equal(const uint8_t one[static DIGEST_BYTES], const uint8_t other[static DIGEST_BYTES]) {
	return sodium_memcmp(one, other, DIGEST_BYTES) == 0;
}
