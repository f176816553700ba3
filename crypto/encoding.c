#include "crypto/encoding.h"

#include <assert.h>
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
#define WHOLE_BYTES (CHECKED_BYTES + CHECK_BYTES)
#define GROUP_DIGITS 7
#define RECOVERY_DOMAIN "assayfs recovery key 1"

static_assert(CHECKED_DIGITS * 5 == WHOLE_BYTES * 8, "");

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void make_check(
        const char *domain, const uint8_t data[static CHECKED_BYTES], uint8_t ret_check[static CHECK_BYTES]) {
	uint8_t digest[DIGEST_BYTES];
	struct blake2b hash;
	blake2b_init(&hash, NULL);
	blake2b_update(&hash, bytes_of_string(domain));
	blake2b_update(&hash, bytes_of(data, CHECKED_BYTES));
	blake2b_final(&hash, digest);
	memcpy(ret_check, digest, CHECK_BYTES);
	sodium_memzero(digest, sizeof digest);
}

void checked_encode(
        const char *domain, const uint8_t data[static CHECKED_BYTES], char ret_digits[static CHECKED_DIGITS + 1]) {
	uint8_t whole[WHOLE_BYTES];
	memcpy(whole, data, CHECKED_BYTES);
	make_check(domain, data, whole + CHECKED_BYTES);
	for (size_t digit = 0; digit < CHECKED_DIGITS; digit++) {
		unsigned value = 0;
		for (size_t bit = 5 * digit; bit < 5 * digit + 5; bit++)
			value = value << 1 | ((unsigned)whole[bit / 8] >> (7 - bit % 8) & 1U);
		ret_digits[digit] = alphabet[value];
	}
	ret_digits[CHECKED_DIGITS] = '\0';
	sodium_memzero(whole, sizeof whole);
}

/* The value of a typed character, -1 for one to skip, -2 for one that cannot occur. */
static int digit_value(uint8_t typed) {
	if (typed == ' ' || typed == '-' || typed == '\t' || typed == '\n' || typed == '\r')
		return -1;
	if (typed >= 'a' && typed <= 'z')
		typed = (uint8_t)(typed - 'a' + 'A');
	if (typed == 'O')
		typed = '0';
	if (typed == 'I' || typed == 'L')
		typed = '1';
	const char *found = typed ? strchr(alphabet, typed) : NULL;
	return found ? (int)(found - alphabet) : -2;
}

static int take_digits(const char *what, struct bytes text, uint8_t ret_whole[static WHOLE_BYTES]) {
	size_t digits = 0;
	for (size_t i = 0; i < text.size; i++) {
		int value = digit_value(text.data[i]);
		if (value == -2)
			return fault(EINVAL, "character %zu of the %s cannot occur in one", i + 1, what);
		if (value < 0)
			continue;
		if (digits == CHECKED_DIGITS)
			return fault(EINVAL, "the %s is too long: it has %d letters and digits", what, CHECKED_DIGITS);
		for (size_t bit = 0; bit < 5; bit++)
			if ((unsigned)value >> (4 - bit) & 1U)
				ret_whole[(5 * digits + bit) / 8] |= (uint8_t)(0x80U >> (5 * digits + bit) % 8);
		digits++;
	}
	if (digits < CHECKED_DIGITS)
		return fault(EINVAL, "the %s is too short: %zu of %d letters and digits", what, digits, CHECKED_DIGITS);
	return 0;
}

int checked_decode(const char *what, const char *domain, struct bytes text, uint8_t ret_data[static CHECKED_BYTES]) {
	uint8_t whole[WHOLE_BYTES] = {0}, check[CHECK_BYTES] = {0};
	int rc = take_digits(what, text, whole);
	if (rc == 0)
		make_check(domain, whole, check);
	if (rc == 0 && sodium_memcmp(check, whole + CHECKED_BYTES, CHECK_BYTES) != 0)
		rc = fault(EINVAL, "the %s is mistyped somewhere: its check characters do not match", what);
	if (rc == 0)
		memcpy(ret_data, whole, CHECKED_BYTES);
	else
		sodium_memzero(ret_data, CHECKED_BYTES);
	sodium_memzero(whole, sizeof whole);
	return rc;
}

void recovery_encode(const uint8_t key[static RECOVERY_KEY_BYTES], char ret_text[static RECOVERY_TEXT_BYTES]) {
	char digits[CHECKED_DIGITS + 1];
	checked_encode(RECOVERY_DOMAIN, key, digits);
	char *to = ret_text;
	for (size_t digit = 0; digit < CHECKED_DIGITS; digit++) {
		if (digit > 0 && digit % GROUP_DIGITS == 0)
			*to++ = '-';
		*to++ = digits[digit];
	}
	*to = '\0';
	sodium_memzero(digits, sizeof digits);
}

int recovery_decode(struct bytes text, uint8_t ret_key[static RECOVERY_KEY_BYTES]) {
	return checked_decode("recovery key", RECOVERY_DOMAIN, text, ret_key);
}
