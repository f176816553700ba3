/*
 * encoding: bytes as text, in constant time where the bytes may be secret (hexadecimal and base64 through libsodium),
 * and the text of a recovery key.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/base/bytes.h"

/* Sizes with the final NUL. */
#define HEX_TEXT_BYTES(size) (2 * (size_t)(size) + 1)
#define BASE64_TEXT_BYTES(size) (((size_t)(size) + 2) / 3 * 4 + 1)

/* Lower-case hexadecimal into `ret_text`, which has room for HEX_TEXT_BYTES(data.size). */
void hex_encode(struct bytes data, char *ret_text);

/* Exactly `size` bytes from hexadecimal of either case into `ret_data`. -EINVAL: other length or a character that is
 * no hexadecimal digit; `ret_data` is then wiped. */
int hex_decode(const char *text, size_t size, uint8_t *ret_data);

/* Base64 of RFC 4648 section 4, padded, into `ret_text`, which has room for BASE64_TEXT_BYTES(data.size). */
void base64_encode(struct bytes data, char *ret_text);

/* At most `capacity` bytes from padded base64 into `ret_data`; `*ret_size` tells how many. Only the one spelling that
 * base64_encode() gives is taken. -EINVAL: anything else, or longer; `ret_data` is then wiped. */
int base64_decode(const char *text, size_t capacity, uint8_t *ret_data, size_t *ret_size);

/* 32 bytes to be read, written and typed by people: Crockford's base 32 (no I, L, O, U), the highest bits first.
 *
 *     \______ 56 digits = 256 bits and 24 bits of check: the start of BLAKE2b-256(domain ‖ the 32 bytes) ______/
 *
 * What a hand makes of it is accepted: either case, blanks and dashes anywhere, O for 0, I and L for 1. A slip is found
 * (all but one in 16 million), and so is a text of another domain. */
#define CHECKED_BYTES 32
#define CHECKED_DIGITS 56

/* CHECKED_DIGITS upper-case digits and a NUL into `ret_digits`. */
void checked_encode(
        const char *domain, const uint8_t data[static CHECKED_BYTES], char ret_digits[static CHECKED_DIGITS + 1]);

/* -EINVAL with words about `what` ("recovery key") that say what is wrong (a character that cannot occur, too few, too
 * many, a slip); `ret_data` is then wiped. The words never repeat what was typed. */
int checked_decode(const char *what, const char *domain, struct bytes text, uint8_t ret_data[static CHECKED_BYTES]);

/* A recovery key: 256 random bits, shown once to be written on paper.
 *
 *     7KQ2M9X-0F3HT5W-…          8 groups of 7 checked digits
 */
#define RECOVERY_KEY_BYTES CHECKED_BYTES
#define RECOVERY_TEXT_BYTES 64 /* with the final NUL */

/* The text of a key. */
void recovery_encode(const uint8_t key[static RECOVERY_KEY_BYTES], char ret_text[static RECOVERY_TEXT_BYTES]);

/* The key of a text; errors as checked_decode(). */
int recovery_decode(struct bytes text, uint8_t ret_key[static RECOVERY_KEY_BYTES]);
