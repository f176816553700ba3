#include "crypto/derive.h"

#include <assert.h>

#include "crypto/digest.h"

static_assert(DERIVE_KEY_BYTES == DIGEST_BYTES, "");

void derive_key(const uint8_t parent[static DERIVE_KEY_BYTES], const char *purpose, struct bytes context,
        uint8_t ret_key[static DERIVE_KEY_BYTES]) {
	struct blake2b hash;
	struct bytes words = bytes_of_string(purpose);
	uint8_t size[8];
	blake2b_init(&hash, parent);
	blake2b_update(&hash, bytes_of_string("assayfs derive 1"));
	le32_put(size, (uint32_t)words.size);
	blake2b_update(&hash, bytes_of(size, 4));
	blake2b_update(&hash, words);
	le64_put(size, context.size);
	blake2b_update(&hash, bytes_of(size, 8));
	blake2b_update(&hash, context);
	blake2b_final(&hash, ret_key);
}
