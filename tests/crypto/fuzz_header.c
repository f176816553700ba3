/*
 * Any bytes as vault.json: parsing must end in an error or in a header that is written back as the same bytes, and
 * that unlocks only if not one byte differs from the seed (corpus/header/two-slots.json), whose recovery key this is.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECOVERY "A8DAS08-8QVEEKZ-D4GN0GN-AQXZ281-B3739DW-V3NQX3X-3KTPX0G-FBYYQ1K"

static void touch_all(const VaultHeader *header) {
	struct slot_info slot;
	struct key_info key;
	for (size_t i = 0; header_slot(header, i, &slot) == 0; i++)
		for (size_t j = 0; j < slot.key_count; j++)
			if (header_slot_key(header, i, j, &key) < 0)
				abort();
	for (size_t i = 0; i < header_key_count(header); i++)
		if (header_key(header, i, &key) < 0 || keyring_check_name(key.name) < 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const struct slot_secret secret = {.type = SLOT_RECOVERY, .value = bytes_of_string(RECOVERY)};
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	_cleanup_(freep) char *json = NULL;
	size_t json_size = 0;
	if (header_parse(bytes_of(data, size), &header) < 0)
		return 0;
	if (header_serialize(header, &json, &json_size) < 0 || json_size != size || memcmp(json, data, size) != 0)
		abort();
	touch_all(header);
	/* A header that this key unlocks is the seed: remember the first one seen and compare. */
	if (header_unlock(header, &secret, &keyring) == 0) {
		static char *genuine;
		static size_t genuine_size;
		if (!genuine) {
			genuine = steal_pointer(&json);
			genuine_size = json_size;
		} else if (json_size != genuine_size || memcmp(json, genuine, json_size) != 0) {
			abort();
		}
	}
	return 0;
}
