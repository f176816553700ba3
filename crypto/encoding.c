#include "crypto/encoding.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/digest.h"

void hex_encode(struct bytes data, char *ret_text) {
	(void)sodium_bin2hex(ret_text, HEX_TEXT_BYTES(data.size), data.data, data.size);
}

int hex_decode(const char *text, size_t size, uint8_t *ret_data) {
	size_t done = 0, length = strlen(text);
	if (length == 2 * size && sodium_hex2bin(ret_data, size, text, length, NULL, &done, NULL) == 0 && done == size)
		return 0;
	if (size > 0)
		sodium_memzero(ret_data, size);
	return fault(EINVAL, "not %zu bytes in hexadecimal", size);
}

void base64_encode(struct bytes data, char *ret_text) {
	(void)sodium_bin2base64(
	        ret_text, BASE64_TEXT_BYTES(data.size), data.data, data.size, sodium_base64_VARIANT_ORIGINAL);
}

/* libsodium 1.0.18 takes some bytes above 0x7f for digits, so those are looked for first. */
static bool is_ascii(const char *text) {
	unsigned char all = 0;
	for (const char *at = text; *at; at++)
		all |= (unsigned char)*at;
	return all < 0x80;
}

int base64_decode(const char *text, size_t capacity, uint8_t *ret_data, size_t *ret_size) {
	size_t size = 0;
	if (is_ascii(text) && sodium_base642bin(ret_data, capacity, text, strlen(text), NULL, &size, NULL,
	                              sodium_base64_VARIANT_ORIGINAL) == 0) {
		*ret_size = size;
		return 0;
	}
	if (capacity > 0)
		sodium_memzero(ret_data, capacity);
	return fault(EINVAL, "not base64 of at most %zu bytes", capacity);
}

#define CHECK_BYTES 3
#define RECOVERY_DIGITS ((RECOVERY_KEY_BYTES + CHECK_BYTES) * 8 / 5)
#define GROUP_DIGITS 7

static const char recovery_alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void recovery_check(const uint8_t key[static RECOVERY_KEY_BYTES], uint8_t ret_check[static CHECK_BYTES]) {
	uint8_t digest[DIGEST_BYTES];
	struct blake2b hash;
	blake2b_init(&hash, NULL);
	blake2b_update(&hash, bytes_of_string("assayfs recovery key 1"));
	blake2b_update(&hash, bytes_of(key, RECOVERY_KEY_BYTES));
	blake2b_final(&hash, digest);
	memcpy(ret_check, digest, CHECK_BYTES);
	sodium_memzero(digest, sizeof digest);
}

void recovery_encode(const uint8_t key[static RECOVERY_KEY_BYTES], char ret_text[static RECOVERY_TEXT_BYTES]) {
	uint8_t whole[RECOVERY_KEY_BYTES + CHECK_BYTES];
	memcpy(whole, key, RECOVERY_KEY_BYTES);
	recovery_check(key, whole + RECOVERY_KEY_BYTES);
	char *to = ret_text;
	for (size_t digit = 0; digit < RECOVERY_DIGITS; digit++) {
		unsigned value = 0;
		for (size_t bit = 5 * digit; bit < 5 * digit + 5; bit++)
			value = value << 1 | ((unsigned)whole[bit / 8] >> (7 - bit % 8) & 1U);
		if (digit > 0 && digit % GROUP_DIGITS == 0)
			*to++ = '-';
		*to++ = recovery_alphabet[value];
	}
	*to = '\0';
	sodium_memzero(whole, sizeof whole);
}

/* The value of a typed character, -1 for one to skip, -2 for one that cannot occur. */
static int recovery_digit(uint8_t typed) {
	if (typed == ' ' || typed == '-' || typed == '\t' || typed == '\n' || typed == '\r')
		return -1;
	if (typed >= 'a' && typed <= 'z')
		typed = (uint8_t)(typed - 'a' + 'A');
	if (typed == 'O')
		typed = '0';
	if (typed == 'I' || typed == 'L')
		typed = '1';
	const char *found = typed ? strchr(recovery_alphabet, typed) : NULL;
	return found ? (int)(found - recovery_alphabet) : -2;
}

static int recovery_digits(struct bytes text, uint8_t ret_whole[static RECOVERY_KEY_BYTES + CHECK_BYTES]) {
	size_t digits = 0;
	for (size_t i = 0; i < text.size; i++) {
		int value = recovery_digit(text.data[i]);
		if (value == -2)
			return fault(EINVAL, "character %zu of the recovery key cannot occur in one", i + 1);
		if (value < 0)
			continue;
		if (digits == RECOVERY_DIGITS)
			return fault(
			        EINVAL, "the recovery key is too long: it has %d letters and digits", RECOVERY_DIGITS);
		for (size_t bit = 0; bit < 5; bit++)
			if ((unsigned)value >> (4 - bit) & 1U)
				ret_whole[(5 * digits + bit) / 8] |= (uint8_t)(0x80U >> (5 * digits + bit) % 8);
		digits++;
	}
	if (digits < RECOVERY_DIGITS)
		return fault(
		        EINVAL, "the recovery key is too short: %zu of %d letters and digits", digits, RECOVERY_DIGITS);
	return 0;
}

int recovery_decode(struct bytes text, uint8_t ret_key[static RECOVERY_KEY_BYTES]) {
	uint8_t whole[RECOVERY_KEY_BYTES + CHECK_BYTES] = {0}, check[CHECK_BYTES] = {0};
	int rc = recovery_digits(text, whole);
	if (rc == 0)
		recovery_check(whole, check);
	if (rc == 0 && sodium_memcmp(check, whole + RECOVERY_KEY_BYTES, CHECK_BYTES) != 0)
		rc = fault(EINVAL, "the recovery key is mistyped somewhere: its check characters do not match");
	if (rc == 0)
		memcpy(ret_key, whole, RECOVERY_KEY_BYTES);
	else
		sodium_memzero(ret_key, RECOVERY_KEY_BYTES);
	sodium_memzero(whole, sizeof whole);
	return rc;
}
