/*
 * Feeds what a bucket may say: the first byte chooses. 0: a name. 1: a superblock as it lies there. 2: what stands
 * behind the seal of one.
 */
#include "backend/backup/layout.h"
#include "crypto/aead.h"
#include "crypto/derive.h"
#include "tests/backend/fuzz_input.h"
#include "tests/backend/meta_key.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD_BYTES 72

static void try_name(const struct input *input) {
	char text[LAYOUT_NAME_BYTES] = "", again[LAYOUT_NAME_BYTES] = "";
	memcpy(text, input->data, input->size < sizeof text ? input->size : sizeof text - 1);
	struct layout_name name;
	uint8_t hash[LAYOUT_HASH_BYTES] = {0};
	layout_parse(text, &name);
	if (name.kind == LAYOUT_OTHER)
		return;
	for (size_t i = 0; i < 8; i++) {
		char digits[3] = {name.hash[2 * i], name.hash[2 * i + 1], 0};
		hash[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	if (name.kind == LAYOUT_HEADER)
		layout_header_name(name.number, hash, again);
	if (name.kind == LAYOUT_EXTENT)
		layout_extent_name(name.id, name.from, name.to, again);
	if (name.kind == LAYOUT_PART)
		layout_part_name(name.number, name.part, again);
	if (name.kind == LAYOUT_AUDIT)
		layout_audit_name(name.number, again);
	if (name.kind == LAYOUT_SUPER)
		layout_super_name(name.number, again);
	if (strcmp(text, again) != 0)
		abort();
}

/* Whatever is behind a genuine seal, it opens as what it says or not at all. */
static void try_plain(const Keyring *keyring, const uint8_t id[16], const struct input *input) {
	uint8_t meta[KEYRING_KEY_BYTES], key[32];
	uint8_t ad[40] = "ASSAYSUP\1";
	const uint64_t number = 7;
	uint8_t *bytes = calloc(1, HEAD_BYTES + input->size + 1);
	if (!bytes)
		abort();
	if (keyring_get(keyring, "meta", 1, meta, NULL) < 0)
		abort();
	derive_key(meta, "backup superblock", bytes_of(id, 16), key);
	memcpy(ad + 16, id, 16);
	le64_put(ad + 32, number);
	memcpy(bytes, ad, 32);
	if (aead_page_seal(key, bytes + 32, bytes_of(ad, sizeof ad), bytes_of(input->data, input->size),
	            bytes + HEAD_BYTES, bytes + 56) < 0)
		abort();
	struct layout_super super, again;
	if (layout_super_open(keyring, id, number, bytes_of(bytes, HEAD_BYTES + input->size), &super) == 0) {
		uint8_t *sealed = NULL;
		size_t size;
		if (layout_super_seal(keyring, 0, id, &super, &sealed, &size) < 0 || size != HEAD_BYTES + input->size ||
		        layout_super_open(keyring, id, number, bytes_of(sealed, size), &again) < 0)
			abort();
		free(sealed);
		layout_super_clear(&again);
		layout_super_clear(&super);
	}
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const uint8_t id[16] = {2};
	struct input input = {.data = data, .size = size};
	uint8_t what = take(&input) % 3;
	struct layout_super super;
	if (what == 0 && input.size > 0)
		try_name(&input);
	if (what == 1 && layout_super_open(meta_key_one(), id, 7, bytes_of(input.data, input.size), &super) == 0)
		layout_super_clear(&super);
	if (what == 2)
		try_plain(meta_key_one(), id, &input);
	return 0;
}
