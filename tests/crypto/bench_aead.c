/*
 * Not a test: prints what sealing, key set-up and hashing cost on this machine. Run it from a build with
 * -Dbuildtype=release; the figures in comments of crypto/ came from it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/aead.h"
#include "crypto/derive.h"
#include "crypto/digest.h"
#include "crypto/merkle.h"
#include "crypto/sign.h"

static const uint8_t key[32] = {1, 2, 3};
static uint8_t buffer[1 << 20];
static size_t size;
static Aead *aead;
static uint64_t position;

static double seconds(void) {
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void measure(const char *what, void (*once)(void), size_t bytes) {
	uint64_t times = 0;
	double begin = seconds(), took = 0;
	for (; took < 0.3; took = seconds() - begin)
		for (int i = 0; i < 50; i++, times++)
			once();
	double each = took / (double)times;
	printf("%-36s %10.0f ns", what, each * 1e9);
	if (bytes > 0)
		printf("  %6.2f GB/s", (double)bytes / each / 1e9);
	printf("\n");
}

static void seal(void) {
	uint8_t tag[AEAD_TAG_BYTES];
	if (aead_seal_at(aead, position++, bytes_of(key, sizeof key), bytes_of(buffer, size), buffer, tag) < 0)
		abort();
}

static void make_aead(void) {
	Aead *fresh = NULL;
	if (aead_new(AEAD_AES256GCM, key, &fresh) < 0)
		abort();
	aead_free(fresh);
}

static void hash_sha256(void) {
	uint8_t digest[DIGEST_BYTES];
	sha256(bytes_of(buffer, size), digest);
}

static void hash_blake2b(void) {
	uint8_t digest[DIGEST_BYTES];
	blake2b_keyed(key, bytes_of(buffer, size), digest);
}

static void hash_node(void) {
	merkle_hash hash;
	merkle_node(key, key, hash);
}

static void derive(void) {
	uint8_t child[32];
	derive_key(key, "segment", bytes_of(key, sizeof key), child);
}

static void sign(void) {
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	sign_make(key, bytes_of(buffer, 100), signature);
}

int main(void) {
	static const size_t sizes[] = {0, 64, 4096, 16384, 65536, 131072};
	for (enum aead_cipher cipher = AEAD_AES256GCM; cipher <= AEAD_XCHACHA20POLY1305; cipher++) {
		if (aead_new(cipher, key, &aead) < 0)
			return 1;
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			char what[64];
			size = sizes[i];
			(void)snprintf(what, sizeof what, "seal %s %zu", aead_cipher_name(cipher), size);
			measure(what, seal, size);
		}
		aead_free(aead);
	}
	measure("aead_new + aead_free aes-256-gcm", make_aead, 0);
	size = 16384;
	measure("sha256 16384", hash_sha256, size);
	measure("blake2b_keyed 16384", hash_blake2b, size);
	measure("merkle_node", hash_node, 0);
	measure("derive_key", derive, 0);
	measure("sign_make", sign, 0);
	return 0;
}
