#include "crypto/sign.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"

static_assert(SIGN_SEED_BYTES == crypto_sign_SEEDBYTES, "");
static_assert(SIGN_PUBLIC_BYTES == crypto_sign_PUBLICKEYBYTES, "");
static_assert(SIGN_SIGNATURE_BYTES == crypto_sign_BYTES, "");

void sign_public(const uint8_t seed[static SIGN_SEED_BYTES], uint8_t ret_public[static SIGN_PUBLIC_BYTES]) {
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	crypto_ready();
	(void)crypto_sign_seed_keypair(ret_public, secret, seed);
	sodium_memzero(secret, sizeof secret);
}

void sign_make(const uint8_t seed[static SIGN_SEED_BYTES], struct bytes message,
        uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]) {
	uint8_t public_key[SIGN_PUBLIC_BYTES], secret[crypto_sign_SECRETKEYBYTES];
	crypto_ready();
	/* The public key is made anew each time: one that came from elsewhere, if wrong, would give away the seed. */
	(void)crypto_sign_seed_keypair(public_key, secret, seed);
	(void)crypto_sign_detached(ret_signature, NULL, message.data, message.size, secret);
	sodium_memzero(secret, sizeof secret);
}

int sign_verify(const uint8_t public_key[static SIGN_PUBLIC_BYTES], struct bytes message,
        const uint8_t signature[static SIGN_SIGNATURE_BYTES]) {
	crypto_ready();
	if (crypto_sign_verify_detached(signature, message.data, message.size, public_key) == 0)
		return 0;
	return fault(EBADMSG, "a signature over %zu bytes does not verify", message.size);
}
