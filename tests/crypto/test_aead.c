#include "crypto/aead.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sodium.h>

#include "crypto/aead_impl.h"
#include "crypto/encoding.h"

static const enum aead_cipher ciphers[] = {AEAD_AES256GCM, AEAD_XCHACHA20POLY1305};
#define EACH_CIPHER(i) (size_t i = 0; i < sizeof ciphers / sizeof *ciphers; i++)

static const uint8_t key[AEAD_KEY_BYTES] = {1, 2, 3};
static const struct bytes no_ad = {0};

static Aead *make(enum aead_cipher cipher, const uint8_t with[static AEAD_KEY_BYTES]) {
	Aead *aead = NULL;
	assert_int_equal(aead_new(cipher, with, &aead), 0);
	return aead;
}

static void what_is_sealed_opens_again_in_place_or_not(void **state) {
	(void)state;
	static const size_t sizes[] = {0, 1, 15, 16, 17, 4096, 16384, 100000};
	for
		EACH_CIPHER(c)
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		_cleanup_(aead_freep) Aead *aead = make(ciphers[c], key);
		size_t size = sizes[i];
		_cleanup_(freep) uint8_t *plain = malloc(size + 1), *cipher = malloc(size + 1),
		                         *back = malloc(size + 1);
		uint8_t tag[AEAD_TAG_BYTES], tag_in_place[AEAD_TAG_BYTES];
		const struct bytes ad = bytes_of_string("segment 7");
		assert_true(plain && cipher && back);
		memset(plain, 0x5a, size);
		/* Of no bytes there need not be a pointer. */
		const struct bytes in = bytes_of(size > 0 ? plain : NULL, size);
		const struct bytes sealed = bytes_of(size > 0 ? cipher : NULL, size);
		assert_int_equal(aead_seal_at(aead, i, ad, in, cipher, tag), 0);
		assert_true(size < 16 || memcmp(plain, cipher, size) != 0);
		assert_int_equal(aead_open_at(aead, i, ad, sealed, tag, back), 0);
		assert_memory_equal(back, plain, size);
		assert_int_equal(aead_seal_at(aead, i, ad, bytes_of(back, size), back, tag_in_place), 0);
		assert_memory_equal(back, cipher, size);
		assert_memory_equal(tag, tag_in_place, sizeof tag);
		assert_int_equal(aead_open_at(aead, i, ad, bytes_of(back, size), tag, back), 0);
		assert_memory_equal(back, plain, size);
	}
}

/* Opens 40 bytes of ones sealed at position 5 with ad "ad", after changes; the output must be wiped on failure. */
static int open_changed(
        const Aead *sealer, const Aead *opener, uint64_t position, const char *ad, size_t size, int flip) {
	uint8_t plain[40], cipher[40 + AEAD_TAG_BYTES], back[40];
	memset(plain, 1, sizeof plain);
	memset(back, 0xee, sizeof back);
	assert_int_equal(aead_seal_at(sealer, 5, bytes_of_string("ad"), bytes_of(plain, sizeof plain), cipher,
	                         cipher + sizeof plain),
	        0);
	if (flip >= 0)
		cipher[flip / 8] = (uint8_t)(cipher[flip / 8] ^ 1U << flip % 8);
	int rc = aead_open_at(
	        opener, position, bytes_of_string(ad), bytes_of(cipher, size), cipher + sizeof plain, back);
	for (size_t i = 0; rc < 0 && i < size; i++)
		assert_int_equal(back[i], 0);
	return rc;
}

static void any_change_is_noticed_and_the_output_wiped(void **state) {
	(void)state;
	const uint8_t other_key[AEAD_KEY_BYTES] = {9};
	for
		EACH_CIPHER(c) {
			_cleanup_(aead_freep) Aead *aead = make(ciphers[c], key), *other = make(ciphers[c], other_key);
			_cleanup_(aead_freep) Aead *third = make(ciphers[1 - c], key);
			assert_int_equal(open_changed(aead, aead, 5, "ad", 40, -1), 0);
			for (int bit = 0; bit < (40 + AEAD_TAG_BYTES) * 8; bit++)
				assert_int_equal(open_changed(aead, aead, 5, "ad", 40, bit), -EBADMSG);
			assert_int_equal(open_changed(aead, aead, 6, "ad", 40, -1), -EBADMSG);
			assert_int_equal(open_changed(aead, aead, 5 | UINT64_C(1) << 63, "ad", 40, -1), -EBADMSG);
			assert_int_equal(open_changed(aead, aead, 5, "ae", 40, -1), -EBADMSG);
			assert_int_equal(open_changed(aead, aead, 5, "", 40, -1), -EBADMSG);
			assert_int_equal(open_changed(aead, aead, 5, "ad", 39, -1), -EBADMSG);
			assert_int_equal(open_changed(aead, other, 5, "ad", 40, -1), -EBADMSG);
			assert_int_equal(open_changed(aead, third, 5, "ad", 40, -1), -EBADMSG);
			assert_int_equal(open_changed(aead, aead, 5, "ad", 40, -1), 0);
		}
}

/* Test cases 13 to 15 of McGrew and Viega, "The Galois/Counter Mode of Operation". */
static void aes_gcm_gives_the_published_answers(void **state) {
	(void)state;
	static const uint8_t zero[32] = {0};
	uint8_t cipher[16], tag[AEAD_TAG_BYTES], wanted[16];
	_cleanup_(aead_freep) Aead *aead = make(AEAD_AES256GCM, zero);
	assert_int_equal(aead_seal_at(aead, 0, no_ad, no_ad, cipher, tag), 0);
	assert_int_equal(hex_decode("530f8afbc74536b9a963b4f1c4cb738b", 16, wanted), 0);
	assert_memory_equal(tag, wanted, 16);
	assert_int_equal(aead_seal_at(aead, 0, no_ad, bytes_of(zero, 16), cipher, tag), 0);
	assert_int_equal(hex_decode("cea7403d4d606b6e074ec5d3baf39d18", 16, wanted), 0);
	assert_memory_equal(cipher, wanted, 16);
	assert_int_equal(hex_decode("d0d1c8a799996bf0265b98b5d48ab919", 16, wanted), 0);
	assert_memory_equal(tag, wanted, 16);
}

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1. */
static void xchacha_gives_the_published_answer(void **state) {
	(void)state;
	const struct bytes plain = bytes_of_string("Ladies and Gentlemen of the class of '99: If I could offer you "
	                                           "only one tip for the future, sunscreen would be it.");
	uint8_t k[32], nonce[24], ad[12], wanted[114], tag[AEAD_TAG_BYTES], wanted_tag[AEAD_TAG_BYTES], cipher[114];
	for (uint8_t i = 0; i < 32; i++)
		k[i] = (uint8_t)(0x80 + i);
	for (uint8_t i = 0; i < 24; i++)
		nonce[i] = (uint8_t)(0x40 + i);
	assert_int_equal(plain.size, sizeof cipher);
	assert_int_equal(hex_decode("50515253c0c1c2c3c4c5c6c7", sizeof ad, ad), 0);
	assert_int_equal(hex_decode("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440b"
	                            "f3a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3f"
	                            "ac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e",
	                         sizeof wanted, wanted),
	        0);
	assert_int_equal(hex_decode("c0875924c1c7987947deafd8780acf49", sizeof wanted_tag, wanted_tag), 0);
	assert_int_equal(aead_page_seal(k, nonce, bytes_of(ad, sizeof ad), plain, cipher, tag), 0);
	assert_memory_equal(cipher, wanted, sizeof wanted);
	assert_memory_equal(tag, wanted_tag, sizeof tag);
}

/* The nonce is zero bytes and then the position, little-endian: fixed for ever by the data on disk. */
static void the_nonce_is_the_position(void **state) {
	(void)state;
	const uint64_t position = UINT64_C(0x0807060504030201);
	const uint8_t gcm_nonce[AEAD_GCM_NONCE_BYTES] = {0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8};
	const uint8_t xchacha_nonce[AEAD_NONCE_BYTES] = {[16] = 1, 2, 3, 4, 5, 6, 7, 8};
	const struct bytes plain = bytes_of_string("plain");
	uint8_t one[5], other[5], tag[AEAD_TAG_BYTES], other_tag[AEAD_TAG_BYTES];
	_cleanup_(aead_freep) Aead *gcm = make(AEAD_AES256GCM, key), *xchacha = make(AEAD_XCHACHA20POLY1305, key);
	assert_int_equal(aead_seal_at(gcm, position, no_ad, plain, one, tag), 0);
	assert_int_equal(aead_gcm_seal(gcm, gcm_nonce, no_ad, plain, other, other_tag), 0);
	assert_memory_equal(one, other, sizeof one);
	assert_memory_equal(tag, other_tag, sizeof tag);
	assert_int_equal(aead_seal_at(xchacha, position, no_ad, plain, one, tag), 0);
	assert_int_equal(aead_page_seal(key, xchacha_nonce, no_ad, plain, other, other_tag), 0);
	assert_memory_equal(one, other, sizeof one);
	assert_memory_equal(tag, other_tag, sizeof tag);
}

/* Pages are sealed by libcrypto or by libsodium, as their size is; what is on disk must not tell by which. */
static void a_page_of_any_size_is_sealed_as_libsodium_does(void **state) {
	(void)state;
	static const size_t sizes[] = {0, 1, 2047, 2048, 2049, 4056, 4096, 70001};
	for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
		size_t size = sizes[i / 2];
		const struct bytes ad = i % 2 ? bytes_of_string("page 7 of this vault") : no_ad;
		_cleanup_(freep) uint8_t *plain = malloc(size + 1), *sealed = malloc(size + 1),
		                         *wanted = malloc(size + 1);
		uint8_t nonce[AEAD_NONCE_BYTES], tag[AEAD_TAG_BYTES], wanted_tag[AEAD_TAG_BYTES];
		assert_true(plain && sealed && wanted);
		for (size_t j = 0; j < size; j++)
			plain[j] = (uint8_t)(j * 31 + i);
		aead_nonce_random(nonce);
		(void)crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
		        wanted, wanted_tag, NULL, plain, size, ad.data, ad.size, NULL, nonce, key);
		assert_int_equal(aead_page_seal(key, nonce, ad, bytes_of(plain, size), sealed, tag), 0);
		assert_memory_equal(sealed, wanted, size);
		assert_memory_equal(tag, wanted_tag, sizeof tag);
		assert_int_equal(aead_page_open(key, nonce, ad, bytes_of(sealed, size), tag, sealed), 0);
		assert_memory_equal(sealed, plain, size);
	}
}

/* Seals a page of 4056 bytes and opens it with a byte changed of the page (at 0), the tag (1), the nonce (2), the
 * associated data (3) or the key (4); the output must be wiped. */
static int open_changed_page(int what) {
	uint8_t k[AEAD_KEY_BYTES] = {9}, nonce[AEAD_NONCE_BYTES], ad[25] = {4}, tag[AEAD_TAG_BYTES], page[4056],
	        back[4056];
	memset(page, 0x5a, sizeof page);
	aead_nonce_random(nonce);
	assert_int_equal(aead_page_seal(k, nonce, bytes_of(ad, sizeof ad), bytes_of(page, sizeof page), page, tag), 0);
	uint8_t *const changed[] = {page + 4055, tag + 15, nonce + 3, ad + 24, k + 31};
	*changed[what] ^= 1;
	memset(back, 1, sizeof back);
	int rc = aead_page_open(k, nonce, bytes_of(ad, sizeof ad), bytes_of(page, sizeof page), tag, back);
	for (size_t i = 0; i < sizeof back; i++)
		assert_int_equal(back[i], 0);
	return rc;
}

static void a_changed_page_does_not_open_and_is_wiped(void **state) {
	(void)state;
	for (int what = 0; what < 5; what++)
		assert_int_equal(open_changed_page(what), -EBADMSG);
}

static void pages_open_only_under_their_nonce(void **state) {
	(void)state;
	uint8_t nonce[AEAD_NONCE_BYTES], tag[AEAD_TAG_BYTES], page[64] = {7}, sealed[64], back[64];
	aead_nonce_random(nonce);
	assert_int_equal(aead_page_seal(key, nonce, no_ad, bytes_of(page, sizeof page), sealed, tag), 0);
	assert_int_equal(aead_page_open(key, nonce, no_ad, bytes_of(sealed, sizeof sealed), tag, back), 0);
	assert_memory_equal(back, page, sizeof page);
	nonce[23] ^= 1;
	assert_int_equal(aead_page_open(key, nonce, no_ad, bytes_of(sealed, sizeof sealed), tag, back), -EBADMSG);
	for (size_t i = 0; i < sizeof back; i++)
		assert_int_equal(back[i], 0);
}

static void names_and_numbers_of_ciphers_agree(void **state) {
	(void)state;
	enum aead_cipher cipher;
	Aead *aead = NULL;
	for
		EACH_CIPHER(c) {
			assert_int_equal(aead_cipher_from_name(aead_cipher_name(ciphers[c]), &cipher), 0);
			assert_int_equal(cipher, ciphers[c]);
		}
	assert_int_equal(aead_cipher_from_name("rot13", &cipher), -EINVAL);
	assert_int_equal(aead_new((enum aead_cipher)3, key, &aead), -EINVAL);
	assert_non_null(aead_cipher_name(aead_best()));
}

static void a_message_too_long_is_refused_before_it_is_touched(void **state) {
	(void)state;
	for
		EACH_CIPHER(c) {
			_cleanup_(aead_freep) Aead *aead = make(ciphers[c], key);
			uint8_t byte = 0, tag[AEAD_TAG_BYTES];
			assert_int_equal(
			        aead_seal_at(aead, 0, no_ad, bytes_of(&byte, AEAD_MESSAGE_MAX + 1), &byte, tag),
			        -EMSGSIZE);
		}
}

#define THREADS 12 /* more than there are lanes */
#define ROUNDS 400

struct worker {
	pthread_t thread;
	const Aead *aead;
	uint64_t base;
	int wrong;
};

static void *work(void *argument) {
	struct worker *worker = argument;
	uint8_t plain[3000], cipher[3000], tag[AEAD_TAG_BYTES];
	for (uint64_t i = 0; i < ROUNDS; i++) {
		const uint64_t position = worker->base + i;
		const struct bytes ad = bytes_of(&position, sizeof position);
		const size_t size = 1 + (size_t)(position * 37 % sizeof plain);
		memset(plain, (int)position, sizeof plain);
		int rc = aead_seal_at(worker->aead, position, ad, bytes_of(plain, size), cipher, tag);
		if (rc == 0)
			rc = aead_open_at(worker->aead, position, ad, bytes_of(cipher, size), tag, cipher);
		worker->wrong += rc != 0 || memcmp(plain, cipher, size) != 0;
		/* A failure must not spoil the context for whoever takes it next. */
		worker->wrong +=
		        aead_open_at(worker->aead, position, ad, bytes_of(plain, size), tag, cipher) != -EBADMSG;
	}
	return NULL;
}

static void many_threads_share_one_aead(void **state) {
	(void)state;
	for
		EACH_CIPHER(c) {
			_cleanup_(aead_freep) Aead *aead = make(ciphers[c], key);
			struct worker workers[THREADS];
			for (size_t i = 0; i < THREADS; i++) {
				workers[i] = (struct worker){.aead = aead, .base = i * ROUNDS};
				assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
			}
			int wrong = 0;
			for (size_t i = 0; i < THREADS; i++) {
				assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
				wrong += workers[i].wrong;
			}
			assert_int_equal(wrong, 0);
		}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_sealed_opens_again_in_place_or_not),
	        cmocka_unit_test(any_change_is_noticed_and_the_output_wiped),
	        cmocka_unit_test(aes_gcm_gives_the_published_answers),
	        cmocka_unit_test(xchacha_gives_the_published_answer),
	        cmocka_unit_test(the_nonce_is_the_position),
	        cmocka_unit_test(a_page_of_any_size_is_sealed_as_libsodium_does),
	        cmocka_unit_test(a_changed_page_does_not_open_and_is_wiped),
	        cmocka_unit_test(pages_open_only_under_their_nonce),
	        cmocka_unit_test(names_and_numbers_of_ciphers_agree),
	        cmocka_unit_test(a_message_too_long_is_refused_before_it_is_touched),
	        cmocka_unit_test(many_threads_share_one_aead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
