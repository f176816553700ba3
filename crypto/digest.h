/*
 * digest: SHA-256 (what leaves the vault: verdicts, audit trees) and BLAKE2b-256 (what stays inside).
 *
 * SHA-256 (FIPS 180-4) comes from libcrypto, which uses the processor's SHA instructions; BLAKE2b (RFC 7693) from
 * libsodium. A struct belongs to one thread at a time; it needs no freeing.
 */
#pragma once

#include <sodium/crypto_generichash.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/base/bytes.h"

#define DIGEST_BYTES 32
/* 64 hexadecimal digits and the final NUL. */
#define DIGEST_HEX_BYTES 65

struct sha256 {
	uint64_t state[16];
};

void sha256_init(struct sha256 *hash);
void sha256_update(struct sha256 *hash, struct bytes data);
/* Ends the stream; `hash` must be initialised again before its next use. */
void sha256_final(struct sha256 *hash, uint8_t ret_digest[static DIGEST_BYTES]);

/* SHA-256 of `data` at once. */
void sha256(struct bytes data, uint8_t ret_digest[static DIGEST_BYTES]);

/* The digest in lower-case hexadecimal, with a final NUL. */
void digest_hex(const uint8_t digest[static DIGEST_BYTES], char ret_hex[static DIGEST_HEX_BYTES]);

struct blake2b {
	crypto_generichash_state state;
};

/* `key` makes it a message authentication code (and a different function from the unkeyed one); NULL for none. */
void blake2b_init(struct blake2b *hash, const uint8_t *key /* NULL or DIGEST_BYTES bytes */);
void blake2b_update(struct blake2b *hash, struct bytes data);
/* Ends the stream and wipes `hash`. */
void blake2b_final(struct blake2b *hash, uint8_t ret_digest[static DIGEST_BYTES]);

/* BLAKE2b-256 of `data` at once, without a key. */
void blake2b(struct bytes data, uint8_t ret_digest[static DIGEST_BYTES]);

/* BLAKE2b-256 of `data` at once, under `key`. */
void blake2b_keyed(const uint8_t key[static DIGEST_BYTES], struct bytes data, uint8_t ret_digest[static DIGEST_BYTES]);

/* Compares two digests in a time that does not depend on where they differ. */
bool digest_equal(const uint8_t one[static DIGEST_BYTES], const uint8_t other[static DIGEST_BYTES]);
