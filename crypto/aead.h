/*
 * aead: sealing bytes so that a change of any of them, or of what they belong to, is noticed.
 *
 * Two forms:
 *
 *   - By position, for segment blocks: the nonce is the position, so nothing is stored for it. One key never seals two
 *     different things at one position; whoever owns the key keeps that promise (a segment consumes a position when it
 *     seals, and every append batch has a key of its own). Sealing the same bytes again gives the same bytes.
 *   - By random nonce, for metadata pages, whose places are rewritten: XChaCha20-Poly1305, whose 192-bit nonces may be
 *     drawn at random without counting.
 *
 *     position form    AES-256-GCM          nonce (12 bytes) = 00 00 00 00 ‖ position, little-endian
 *                      XChaCha20-Poly1305   nonce (24 bytes) = 00 … 00 ‖ position, little-endian
 *
 * AES-GCM is NIST SP 800-38D through libcrypto, XChaCha20-Poly1305 is draft-irtf-cfrg-xchacha-03 through libsodium, and
 * through libcrypto where that is quicker (the bytes are the same).
 * Neither commits to its key: a ciphertext can be made that opens under two keys, so never try keys until one fits
 * where the answer tells something; here every key is found by name.
 *
 * An Aead keeps its key in ordinary memory, wiped when freed (libcrypto gives no choice); process_harden() keeps
 * that memory from swap and core files.
 */
#pragma once

#include <stdint.h>

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#define AEAD_KEY_BYTES 32
#define AEAD_TAG_BYTES 16
#define AEAD_NONCE_BYTES 24
/* The most that one call seals or opens; longer gives -EMSGSIZE. */
#define AEAD_MESSAGE_MAX ((size_t)1 << 30)

/* The numbers stand in the vault header and in segment headers. */
enum aead_cipher {
	AEAD_AES256GCM = 1,
	AEAD_XCHACHA20POLY1305 = 2,
};

/* The faster cipher on this processor: AES-256-GCM when it has AES and carry-less multiplication (without them it
 * would be slow and leak through timing), else XChaCha20-Poly1305. */
enum aead_cipher aead_best(void);

/* "aes-256-gcm" or "xchacha20-poly1305"; NULL for an unknown number. */
const char *aead_cipher_name(enum aead_cipher cipher);

/* The cipher with that name, or -EINVAL. */
int aead_cipher_from_name(const char *name, enum aead_cipher *ret_cipher);

typedef struct Aead Aead;

/* Prepares `key` (copied) for `cipher`. The caller owns the result. -EINVAL: unknown cipher. -ENOMEM.
 * -EIO: libcrypto does not offer the cipher. */
int aead_new(enum aead_cipher cipher, const uint8_t key[static AEAD_KEY_BYTES], Aead **ret_aead);

/* Wipes the key and frees. NULL is fine. No other thread may be using it. */
void aead_free(Aead *aead);
DEFINE_CLEANUP(Aead, aead_free);

/* Seals `plain` at `position`, authenticating `ad` with it: `ret_cipher` gets plain.size bytes (it may be plain.data
 * itself, but must not overlap it otherwise), `ret_tag` the tag. Several threads may use one Aead at once.
 * -EMSGSIZE: longer than AEAD_MESSAGE_MAX. -ENOMEM, -EIO: libcrypto failed; the outputs then hold nothing useful and
 * the position counts as consumed. */
int aead_seal_at(const Aead *aead, uint64_t position, struct bytes ad, struct bytes plain, uint8_t *ret_cipher,
        uint8_t ret_tag[static AEAD_TAG_BYTES]);

/* Opens what aead_seal_at() sealed with the same key, position and `ad`: `ret_plain` gets cipher.size bytes (it may be
 * cipher.data itself). Several threads may use one Aead at once. -EBADMSG: does not authenticate; `ret_plain` is
 * wiped, so that nobody reads unauthentic bytes by mistake. Other errors as aead_seal_at(), wiped as well. */
int aead_open_at(const Aead *aead, uint64_t position, struct bytes ad, struct bytes cipher,
        const uint8_t tag[static AEAD_TAG_BYTES], uint8_t *ret_plain);

/* Draws a nonce for aead_page_seal(). */
void aead_nonce_random(uint8_t ret_nonce[static AEAD_NONCE_BYTES]);

/* XChaCha20-Poly1305 under a nonce that was drawn for this one call. Otherwise as aead_seal_at(). */
int aead_page_seal(const uint8_t key[static AEAD_KEY_BYTES], const uint8_t nonce[static AEAD_NONCE_BYTES],
        struct bytes ad, struct bytes plain, uint8_t *ret_cipher, uint8_t ret_tag[static AEAD_TAG_BYTES]);

/* Opens what aead_page_seal() sealed. -EBADMSG: does not authenticate; `ret_plain` is wiped. */
int aead_page_open(const uint8_t key[static AEAD_KEY_BYTES], const uint8_t nonce[static AEAD_NONCE_BYTES],
        struct bytes ad, struct bytes cipher, const uint8_t tag[static AEAD_TAG_BYTES], uint8_t *ret_plain);
