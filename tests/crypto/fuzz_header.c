/*
 * Any bytes as vault.json: parsing must end in an error or in a header that is written back as the same bytes, and
 * that unlocks only if not one byte differs from a seed: corpus/header/two-slots.json and every-slot.json, of which
 * these are secrets.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TWO_SLOTS_RECOVERY "A8DAS08-8QVEEKZ-D4GN0GN-AQXZ281-B3739DW-V3NQX3X-3KTPX0G-FBYYQ1K"
#define EVERY_SLOT_RECOVERY "9XPVKWT-JKDAJNK-PAS1F9P-3PCR5HY-57WDJQP-2VQ27FB-EQYD1J8-Z0SWFGY"
#define EVERY_SLOT_RECIPIENT "ASSAYFS-SECRET-000G40R40M30E209185GR38E1W8124GK2GAHC5RR34D1P70X3RFMXAHM"

enum { KEYFILE_BYTES = 40, SECRETS = 5 };

static void touch_all(const VaultHeader *header) {
	struct slot_info slot;
	struct key_info key;
	for (size_t i = 0; header_slot(header, i, &slot) == 0; i++) {
		if (!slot_type_name(slot.type) ||
		        (slot.type == SLOT_KMS) != (slot.kms.key && slot.kms.wrapped.size > 0))
			abort();
		for (size_t j = 0; j < slot.key_count; j++)
			if (header_slot_key(header, i, j, &key) < 0)
				abort();
	}
	for (size_t i = 0; i < header_key_count(header); i++)
		if (header_key(header, i, &key) < 0 || !key_state_name(key.state) || keyring_check_name(key.name) < 0)
			abort();
}

/* A header that this secret unlocks is its seed: the first one seen is remembered and compared with the later ones. */
static void check_genuine(
        const VaultHeader *header, const struct slot_secret *secret, struct bytes json, struct bytes *genuine) {
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	if (header_unlock(header, secret, &keyring) < 0)
		return;
	if (!genuine->data) {
		uint8_t *copy = malloc(json.size);
		if (!copy)
			abort();
		memcpy(copy, json.data, json.size);
		*genuine = bytes_of(copy, json.size);
	} else if (json.size != genuine->size || memcmp(json.data, genuine->data, json.size) != 0) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct bytes genuine[SECRETS];
	uint8_t keyfile[KEYFILE_BYTES], kek[HEADER_KEK_BYTES];
	for (uint8_t i = 0; i < sizeof keyfile; i++)
		keyfile[i] = i;
	for (size_t i = 0; i < sizeof kek; i++)
		kek[i] = (uint8_t)(255 - i);
	const struct slot_secret secrets[SECRETS] = {
	        {.type = SLOT_RECOVERY, .value = bytes_of_string(TWO_SLOTS_RECOVERY)},
	        {.type = SLOT_RECOVERY, .value = bytes_of_string(EVERY_SLOT_RECOVERY)},
	        {.type = SLOT_KEYFILE, .value = bytes_of(keyfile, sizeof keyfile)},
	        {.type = SLOT_RECIPIENT, .value = bytes_of_string(EVERY_SLOT_RECIPIENT)},
	        {.type = SLOT_KMS, .value = bytes_of(kek, sizeof kek)},
	};
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(freep) char *json = NULL;
	size_t json_size = 0;
	if (header_parse(bytes_of(data, size), &header) < 0)
		return 0;
	if (header_serialize(header, &json, &json_size) < 0 || json_size != size || memcmp(json, data, size) != 0)
		abort();
	touch_all(header);
	for (size_t i = 0; i < SECRETS; i++)
		check_genuine(header, &secrets[i], bytes_of(json, json_size), &genuine[i]);
	return 0;
}
