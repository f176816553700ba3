#include "crypto/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/derive.h"

static void assert_hex(const uint8_t digest[static DIGEST_BYTES], const char *wanted) {
	char hex[DIGEST_HEX_BYTES];
	digest_hex(digest, hex);
	assert_string_equal(hex, wanted);
}

/* FIPS 180-4, examples of NIST. */
static void sha256_gives_the_published_answers(void **state) {
	(void)state;
	uint8_t digest[DIGEST_BYTES];
	sha256(bytes_of(NULL, 0), digest);
	assert_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256(bytes_of_string("abc"), digest);
	assert_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256(bytes_of_string("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), digest);
	assert_hex(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* The keyed one from another implementation (Python's hashlib). */
static void blake2b_gives_the_known_answers(void **state) {
	(void)state;
	uint8_t digest[DIGEST_BYTES], key[DIGEST_BYTES];
	for (uint8_t i = 0; i < sizeof key; i++)
		key[i] = i;
	blake2b(bytes_of_string("abc"), digest);
	assert_hex(digest, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
	blake2b_keyed(key, bytes_of_string("abc"), digest);
	assert_hex(digest, "d63a32d3e44738d7907f964316c241adaba0abfeabc32349677578a15a203f7f");
}

static void a_stream_in_any_pieces_gives_the_same(void **state) {
	(void)state;
	uint8_t data[1000], whole[DIGEST_BYTES], pieces[DIGEST_BYTES], whole_keyed[DIGEST_BYTES];
	const uint8_t key[DIGEST_BYTES] = {3};
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7);
	sha256(bytes_of(data, sizeof data), whole);
	blake2b_keyed(key, bytes_of(data, sizeof data), whole_keyed);
	for (size_t piece = 1; piece < 300; piece += 31) {
		struct sha256 sha;
		struct blake2b blake;
		sha256_init(&sha);
		blake2b_init(&blake, key);
		for (size_t at = 0; at < sizeof data; at += piece) {
			size_t size = sizeof data - at < piece ? sizeof data - at : piece;
			sha256_update(&sha, bytes_of(data + at, size));
			blake2b_update(&blake, bytes_of(data + at, size));
			sha256_update(&sha, bytes_of(NULL, 0));
		}
		sha256_final(&sha, pieces);
		assert_memory_equal(pieces, whole, DIGEST_BYTES);
		blake2b_final(&blake, pieces);
		assert_memory_equal(pieces, whole_keyed, DIGEST_BYTES);
	}
}

static void digests_are_equal_only_in_every_bit(void **state) {
	(void)state;
	uint8_t one[DIGEST_BYTES] = {1}, other[DIGEST_BYTES] = {1};
	assert_true(digest_equal(one, other));
	other[DIGEST_BYTES - 1] = 0x80;
	assert_false(digest_equal(one, other));
}

/* Computed with Python's hashlib from the description in derive.h. */
static void a_derived_key_is_what_the_format_says(void **state) {
	(void)state;
	const uint8_t context[] = {1, 2, 3};
	uint8_t key[DERIVE_KEY_BYTES];
	for (uint8_t i = 0; i < sizeof key; i++)
		key[i] = i;
	derive_key(key, "segment", bytes_of(context, sizeof context), key);
	assert_hex(key, "1f59be5b86e3f84adda0cd9ac5eea47019bf06ec69dc9cd90b74aebf46de1a11");
}

static void purpose_and_context_do_not_run_into_each_other(void **state) {
	(void)state;
	const uint8_t parent[DERIVE_KEY_BYTES] = {5};
	uint8_t one[DERIVE_KEY_BYTES], other[DERIVE_KEY_BYTES];
	derive_key(parent, "ab", bytes_of_string("c"), one);
	derive_key(parent, "a", bytes_of_string("bc"), other);
	assert_memory_not_equal(one, other, sizeof one);
	derive_key(parent, "ab", bytes_of_string("d"), other);
	assert_memory_not_equal(one, other, sizeof one);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sha256_gives_the_published_answers),
	        cmocka_unit_test(blake2b_gives_the_known_answers),
	        cmocka_unit_test(a_stream_in_any_pieces_gives_the_same),
	        cmocka_unit_test(digests_are_equal_only_in_every_bit),
	        cmocka_unit_test(a_derived_key_is_what_the_format_says),
	        cmocka_unit_test(purpose_and_context_do_not_run_into_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
