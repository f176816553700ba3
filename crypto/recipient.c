#include "crypto/recipient.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"

#define PUBLIC_PREFIX "assayfs-recipient-"
#define SECRET_PREFIX "ASSAYFS-SECRET-"
#define PUBLIC_DOMAIN "assayfs recipient 1"
#define SECRET_DOMAIN "assayfs recipient secret 1"

static_assert(sizeof PUBLIC_PREFIX + CHECKED_DIGITS == RECIPIENT_TEXT_BYTES, "");
static_assert(sizeof SECRET_PREFIX + CHECKED_DIGITS == RECIPIENT_SECRET_TEXT_BYTES, "");
static_assert(RECIPIENT_KEY_BYTES == crypto_box_PUBLICKEYBYTES && RECIPIENT_KEY_BYTES == crypto_box_SECRETKEYBYTES, "");
static_assert(RECIPIENT_KEY_BYTES == CHECKED_BYTES, "");

void recipient_text(const uint8_t key[static RECIPIENT_KEY_BYTES], char ret_text[static RECIPIENT_TEXT_BYTES]) {
	const size_t prefix = sizeof PUBLIC_PREFIX - 1;
	memcpy(ret_text, PUBLIC_PREFIX, prefix);
	checked_encode(PUBLIC_DOMAIN, key, ret_text + prefix);
	/* Lower case, so that nobody takes it for the secret. */
	for (char *at = ret_text + prefix; *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
}

int recipient_new(
        char ret_public_text[static RECIPIENT_TEXT_BYTES], char ret_secret_text[static RECIPIENT_SECRET_TEXT_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key secret;
	uint8_t key[RECIPIENT_KEY_BYTES];
	crypto_ready();
	if (crypto_box_keypair(key, secret.bytes) != 0)
		return fault(EIO, "making a recipient's key failed");
	recipient_text(key, ret_public_text);
	memcpy(ret_secret_text, SECRET_PREFIX, sizeof SECRET_PREFIX - 1);
	checked_encode(SECRET_DOMAIN, secret.bytes, ret_secret_text + sizeof SECRET_PREFIX - 1);
	return 0;
}

/* Takes the prefix, in either case, and blanks before it off; false: it begins otherwise. */
static bool take_prefix(struct bytes *text, const char *prefix) {
	size_t length = strlen(prefix);
	struct bytes rest = *text;
	while (rest.size > 0 && memchr(" \t\r\n", rest.data[0], 4))
		rest = bytes_of(rest.data + 1, rest.size - 1);
	if (rest.size < length || strncasecmp((const char *)rest.data, prefix, length) != 0)
		return false;
	*text = bytes_of(rest.data + length, rest.size - length);
	return true;
}

/* Whether something can be sealed to it: a point of low order gives everybody the same shared secret, and of the two
 * spellings that X25519 takes for one point the box knows only the one. */
static int check_key(const uint8_t key[static RECIPIENT_KEY_BYTES]) {
	static const uint8_t any[RECIPIENT_KEY_BYTES] = {1};
	uint8_t shared[RECIPIENT_KEY_BYTES];
	bool good = key[RECIPIENT_KEY_BYTES - 1] < 0x80 && crypto_scalarmult(shared, any, key) == 0;
	return good ? 0 : fault(EINVAL, "the recipient is no key that anything can be sealed to");
}

int recipient_parse(struct bytes text, uint8_t ret_key[static RECIPIENT_KEY_BYTES]) {
	uint8_t key[RECIPIENT_KEY_BYTES];
	struct bytes digits = text;
	crypto_ready();
	if (take_prefix(&digits, SECRET_PREFIX))
		return fault(EINVAL,
		        "this is a recipient's secret, which its owner keeps: the public text is wanted, which "
		        "begins with \"" PUBLIC_PREFIX "\"");
	if (!take_prefix(&digits, PUBLIC_PREFIX))
		return fault(EINVAL, "a recipient begins with \"" PUBLIC_PREFIX "\"");
	int rc = checked_decode("recipient", PUBLIC_DOMAIN, digits, key);
	if (rc == 0)
		rc = check_key(key);
	if (rc == 0)
		memcpy(ret_key, key, sizeof key);
	return rc;
}

int recipient_secret_parse(struct bytes text, uint8_t ret_secret[static RECIPIENT_KEY_BYTES],
        uint8_t ret_key[static RECIPIENT_KEY_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key secret;
	struct bytes digits = text;
	crypto_ready();
	if (take_prefix(&digits, PUBLIC_PREFIX))
		return fault(EINVAL, "this is a recipient's public text: its secret is wanted, which begins with "
		                     "\"" SECRET_PREFIX "\"");
	if (!take_prefix(&digits, SECRET_PREFIX))
		return fault(EINVAL, "a recipient's secret begins with \"" SECRET_PREFIX "\"");
	int rc = checked_decode("recipient's secret", SECRET_DOMAIN, digits, secret.bytes);
	if (rc < 0)
		return rc;
	(void)crypto_scalarmult_base(ret_key, secret.bytes);
	memcpy(ret_secret, secret.bytes, sizeof secret.bytes);
	return 0;
}
