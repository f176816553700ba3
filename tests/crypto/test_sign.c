#include "crypto/sign.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/encoding.h"

/* RFC 8032 section 7.1, tests 1 and 2. */
static const struct {
	const char *seed, *public_key, *message, *signature;
} vectors[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5"
                "f0595bbe"
                "24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2e"
                "aeb4302a"
                "eeb00d291612bb0c00"},
};

static void signatures_are_the_published_ones(void **state) {
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		uint8_t seed[32], public_key[32], wanted[64], signature[64], message[1];
		size_t size = strlen(vectors[i].message) / 2;
		assert_int_equal(hex_decode(vectors[i].seed, 32, seed), 0);
		assert_int_equal(hex_decode(vectors[i].message, size, message), 0);
		sign_public(seed, public_key);
		assert_int_equal(hex_decode(vectors[i].public_key, 32, wanted), 0);
		assert_memory_equal(public_key, wanted, 32);
		sign_make(seed, bytes_of(message, size), signature);
		assert_int_equal(hex_decode(vectors[i].signature, 64, wanted), 0);
		assert_memory_equal(signature, wanted, 64);
		assert_int_equal(sign_verify(public_key, bytes_of(message, size), signature), 0);
	}
}

static void any_change_breaks_a_signature(void **state) {
	(void)state;
	const uint8_t seed[SIGN_SEED_BYTES] = {1};
	uint8_t public_key[SIGN_PUBLIC_BYTES], signature[SIGN_SIGNATURE_BYTES], message[20] = "a message";
	sign_public(seed, public_key);
	sign_make(seed, bytes_of(message, sizeof message), signature);
	assert_int_equal(sign_verify(public_key, bytes_of(message, sizeof message), signature), 0);
	assert_int_equal(sign_verify(public_key, bytes_of(message, sizeof message - 1), signature), -EBADMSG);
	for (size_t bit = 0; bit < 8 * sizeof message; bit++) {
		message[bit / 8] = (uint8_t)(message[bit / 8] ^ 1U << bit % 8);
		assert_int_equal(sign_verify(public_key, bytes_of(message, sizeof message), signature), -EBADMSG);
		message[bit / 8] = (uint8_t)(message[bit / 8] ^ 1U << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof signature; bit++) {
		signature[bit / 8] = (uint8_t)(signature[bit / 8] ^ 1U << bit % 8);
		assert_int_equal(sign_verify(public_key, bytes_of(message, sizeof message), signature), -EBADMSG);
		signature[bit / 8] = (uint8_t)(signature[bit / 8] ^ 1U << bit % 8);
	}
	public_key[3] ^= 1;
	assert_int_equal(sign_verify(public_key, bytes_of(message, sizeof message), signature), -EBADMSG);
}

/* A key of small order would verify one signature for every message. */
static void a_public_key_of_small_order_verifies_nothing(void **state) {
	(void)state;
	const uint8_t neutral[SIGN_PUBLIC_BYTES] = {1};
	const uint8_t signature[SIGN_SIGNATURE_BYTES] = {1};
	assert_int_equal(sign_verify(neutral, bytes_of_string("anything"), signature), -EBADMSG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(signatures_are_the_published_ones),
	        cmocka_unit_test(any_change_breaks_a_signature),
	        cmocka_unit_test(a_public_key_of_small_order_verifies_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
