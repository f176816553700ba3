/*
 * Typed or stored text: the first byte chooses what it is taken for. What decodes must come back by encoding: as the
 * same text for base64, as the same key for a recovery key and a recipient.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/base/cleanup.h"
#include "crypto/encoding.h"
#include "crypto/recipient.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_recovery(struct bytes text) {
	uint8_t key[RECOVERY_KEY_BYTES], again[RECOVERY_KEY_BYTES];
	char clean[RECOVERY_TEXT_BYTES];
	if (recovery_decode(text, key) < 0)
		return;
	recovery_encode(key, clean);
	if (recovery_decode(bytes_of_string(clean), again) < 0 || memcmp(key, again, sizeof key) != 0)
		abort();
}

static void try_recipient(struct bytes text) {
	uint8_t key[RECIPIENT_KEY_BYTES], again[RECIPIENT_KEY_BYTES], secret[RECIPIENT_KEY_BYTES];
	char clean[RECIPIENT_TEXT_BYTES];
	bool is_secret = recipient_secret_parse(text, secret, key) == 0;
	if (!is_secret && recipient_parse(text, key) < 0)
		return;
	recipient_text(key, clean);
	if (recipient_parse(bytes_of_string(clean), again) < 0 || memcmp(key, again, sizeof key) != 0)
		abort();
}

static void try_base64(const char *text) {
	uint8_t bytes[100];
	char again[BASE64_TEXT_BYTES(sizeof bytes)];
	size_t size = 0;
	if (base64_decode(text, sizeof bytes, bytes, &size) < 0)
		return;
	base64_encode(bytes_of(bytes, size), again);
	if (strcmp(text, again) != 0)
		abort();
}

static void try_hex(const char *text) {
	uint8_t bytes[16];
	if (hex_decode(text, sizeof bytes, bytes) == 0 && strlen(text) != 2 * sizeof bytes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size == 0)
		return 0;
	_cleanup_(freep) char *text = calloc(1, size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	switch (data[0]) {
	case 'r':
		try_recovery(bytes_of(data + 1, size - 1));
		break;
	case 'p':
		try_recipient(bytes_of(data + 1, size - 1));
		break;
	case 'b':
		try_base64(text);
		break;
	default:
		try_hex(text);
	}
	return 0;
}
