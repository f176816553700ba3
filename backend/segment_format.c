#include "backend/segment_format.h"

#include "backend/segment_pack.h"
#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/digest.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

static const uint8_t header_magic[8] = {'A', 'S', 'S', 'A', 'Y', 'S', 'E', 'G'};
static const uint8_t batch_magic[8] = {'A', 'S', 'S', 'A', 'Y', 'B', 'A', 'T'};

/* What a part of a batch is; in its associated data, so that none can stand for another. */
enum part { PART_BATCH = 1, PART_DIRECTORY = 2, PART_BLOCK = 3 };

#define PART_AD_BYTES 48
#define HEADER_TAG_AT (SEGMENT_HEADER_BYTES - SEGMENT_TAG_BYTES)
/* Of the own key: its name, padded with zeros, and its version. */
#define OWN_NAME_AT 88
#define OWN_VERSION_AT 108
#define BATCH_TAG_AT (SEGMENT_BATCH_BYTES - SEGMENT_TAG_BYTES)
static_assert(OWN_NAME_AT + OWN_KEY_BYTES - 1 == OWN_VERSION_AT && OWN_VERSION_AT + 4 == HEADER_TAG_AT,
        "the own key fills what the header has left");
static_assert(BATCH_TAG_AT == 8 + SEGMENT_SALT_BYTES + 4 + 4, "the batch header has no gap");

/* id 32, position u32, plaintext length u32, flags u32, part u32 */
static void part_ad(
        const uint8_t *id, uint32_t at, size_t plain, uint32_t flags, enum part part, uint8_t ad[PART_AD_BYTES]) {
	memcpy(ad, id, SEGMENT_ID_BYTES);
	le32_put(ad + 32, at);
	le32_put(ad + 36, (uint32_t)plain);
	le32_put(ad + 40, flags);
	le32_put(ad + 44, part);
}

void segment_derive_parent(const uint8_t zone_key[static SEGMENT_KEY_BYTES],
        const uint8_t own_key[static SEGMENT_KEY_BYTES], uint8_t ret_key[static SEGMENT_KEY_BYTES]) {
	derive_key(zone_key, "own key", bytes_of(own_key, SEGMENT_KEY_BYTES), ret_key);
}

void segment_derive_key(const uint8_t zone_key[static SEGMENT_KEY_BYTES], const uint8_t id[static SEGMENT_ID_BYTES],
        uint8_t ret_key[static SEGMENT_KEY_BYTES]) {
	derive_key(zone_key, "segment", bytes_of(id, SEGMENT_ID_BYTES), ret_key);
}

int segment_batch_cipher(enum aead_cipher cipher, const uint8_t segment_key[static SEGMENT_KEY_BYTES],
        const uint8_t salt[static SEGMENT_SALT_BYTES], Aead **ret) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	derive_key(segment_key, "segment batch", bytes_of(salt, SEGMENT_SALT_BYTES), key.bytes);
	return aead_new(cipher, key.bytes, ret);
}

/* The header's tag: a keyed BLAKE2b under a key of its own, for the batch cipher needs a salt that is not there yet. */
static void header_tag(const uint8_t *bytes, const uint8_t *segment_key, uint8_t ret_tag[SEGMENT_TAG_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	uint8_t digest[DIGEST_BYTES];
	derive_key(segment_key, "segment header", bytes_of(NULL, 0), key.bytes);
	blake2b_keyed(key.bytes, bytes_of(bytes, HEADER_TAG_AT), digest);
	memcpy(ret_tag, digest, SEGMENT_TAG_BYTES);
}

void segment_header_seal(const struct segment_header *header, const uint8_t segment_key[static SEGMENT_KEY_BYTES],
        uint8_t ret_bytes[static SEGMENT_HEADER_BYTES]) {
	memset(ret_bytes, 0, SEGMENT_HEADER_BYTES);
	memcpy(ret_bytes, header_magic, sizeof header_magic);
	le16_put(ret_bytes + 8, header->format);
	ret_bytes[10] = header->cipher;
	ret_bytes[11] = (uint8_t)header->zone;
	le32_put(ret_bytes + 12, header->key_version);
	memcpy(ret_bytes + 16, header->key_name, strnlen(header->key_name, SEGMENT_KEY_NAME_BYTES));
	memcpy(ret_bytes + 48, header->id, SEGMENT_ID_BYTES);
	le64_put(ret_bytes + 80, header->mount);
	memcpy(ret_bytes + OWN_NAME_AT, header->own_name, strnlen(header->own_name, OWN_KEY_BYTES - 1));
	le32_put(ret_bytes + OWN_VERSION_AT, header->own_version);
	header_tag(ret_bytes, segment_key, ret_bytes + HEADER_TAG_AT);
}

/* A name that a keyring can have, zeros behind it, and a version. */
static int own_parse(const uint8_t *bytes, struct segment_header *ret) {
	char name[OWN_KEY_BYTES] = {0};
	const uint32_t version = le32_get(bytes + OWN_VERSION_AT);
	memcpy(name, bytes + OWN_NAME_AT, OWN_KEY_BYTES - 1);
	const size_t length = strlen(name);
	if (!sodium_is_zero(bytes + OWN_NAME_AT + length, OWN_KEY_BYTES - 1 - length) || keyring_check_name(name) < 0 ||
	        version == 0)
		return fault(EBADMSG, "a segment with a key of its own does not name that key");
	memcpy(ret->own_name, name, sizeof name);
	ret->own_version = version;
	return 0;
}

int segment_header_parse(struct bytes from, struct segment_header *ret) {
	if (from.size < SEGMENT_HEADER_BYTES)
		return fault(EBADMSG, "a segment header is %d bytes, here are %zu", SEGMENT_HEADER_BYTES, from.size);
	if (memcmp(from.data, header_magic, sizeof header_magic) != 0)
		return fault(EBADMSG, "not a segment: wrong magic number");
	unsigned format = le16_get(from.data + 8);
	if (format < SEGMENT_FORMAT || format > SEGMENT_FORMAT_OWN)
		return fault(EBADMSG, "segment format %u, this program knows %d to %d", format, SEGMENT_FORMAT,
		        SEGMENT_FORMAT_OWN);
	if (from.data[11] < ZONE_LANDING || from.data[11] > ZONE_STAGING)
		return fault(EBADMSG, "segment of unknown zone %u", from.data[11]);
	ret->format = (uint16_t)format;
	ret->cipher = from.data[10];
	ret->zone = (enum zone)from.data[11];
	ret->key_version = le32_get(from.data + 12);
	memcpy(ret->key_name, from.data + 16, SEGMENT_KEY_NAME_BYTES);
	ret->key_name[SEGMENT_KEY_NAME_BYTES] = '\0';
	memcpy(ret->id, from.data + 48, SEGMENT_ID_BYTES);
	ret->mount = le64_get(from.data + 80);
	ret->own_name[0] = '\0';
	ret->own_version = 0;
	return format == SEGMENT_FORMAT_OWN ? own_parse(from.data, ret) : 0;
}

int segment_header_open(
        const uint8_t bytes[static SEGMENT_HEADER_BYTES], const uint8_t segment_key[static SEGMENT_KEY_BYTES]) {
	uint8_t tag[SEGMENT_TAG_BYTES];
	header_tag(bytes, segment_key, tag);
	if (sodium_memcmp(tag, bytes + HEADER_TAG_AT, sizeof tag) != 0)
		return fault(EBADMSG, "the segment header does not authenticate");
	return 0;
}

/* Everything of the batch header before its tag is associated data; there is no plaintext. */
static void batch_ad(const uint8_t *id, uint32_t at, const uint8_t *bytes, uint8_t ad[PART_AD_BYTES + BATCH_TAG_AT]) {
	part_ad(id, at, 0, 0, PART_BATCH, ad);
	memcpy(ad + PART_AD_BYTES, bytes, BATCH_TAG_AT);
}

int segment_batch_seal(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at,
        const struct segment_batch *batch, uint8_t ret_bytes[static SEGMENT_BATCH_BYTES]) {
	memcpy(ret_bytes, batch_magic, sizeof batch_magic);
	memcpy(ret_bytes + 8, batch->salt, SEGMENT_SALT_BYTES);
	le32_put(ret_bytes + 40, batch->blocks);
	le32_put(ret_bytes + 44, batch->length);
	uint8_t ad[PART_AD_BYTES + BATCH_TAG_AT];
	batch_ad(id, at, ret_bytes, ad);
	return aead_seal_at(aead, at, bytes_of(ad, sizeof ad), bytes_of(NULL, 0), ret_bytes, ret_bytes + BATCH_TAG_AT);
}

int segment_batch_parse(struct bytes from, struct segment_batch *ret) {
	if (from.size < SEGMENT_BATCH_BYTES || memcmp(from.data, batch_magic, sizeof batch_magic) != 0)
		return fault(EBADMSG, "not the header of a batch");
	uint32_t blocks = le32_get(from.data + 40);
	uint32_t length = le32_get(from.data + 44);
	if (blocks == 0 || blocks > SEGMENT_BATCH_BLOCKS)
		return fault(EBADMSG, "a batch of %u blocks", blocks);
	uint32_t least = segment_batch_prefix(blocks) + blocks * (1 + SEGMENT_TAG_BYTES);
	uint32_t most = segment_batch_prefix(blocks) + blocks * (SEGMENT_BLOCK_BYTES + SEGMENT_TAG_BYTES);
	if (length < least || length > most)
		return fault(EBADMSG, "a batch of %u blocks can't be %u bytes long", blocks, length);
	memcpy(ret->salt, from.data + 8, SEGMENT_SALT_BYTES);
	ret->blocks = blocks;
	ret->length = length;
	return 0;
}

int segment_batch_open(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at,
        const uint8_t bytes[static SEGMENT_BATCH_BYTES]) {
	uint8_t ad[PART_AD_BYTES + BATCH_TAG_AT];
	batch_ad(id, at, bytes, ad);
	uint8_t nothing[1];
	return aead_open_at(aead, at, bytes_of(ad, sizeof ad), bytes_of(NULL, 0), bytes + BATCH_TAG_AT, nothing);
}

int segment_directory_seal(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at,
        const struct segment_entry *entries, size_t n, uint8_t *ret_bytes) {
	uint8_t plain[SEGMENT_BATCH_BLOCKS * SEGMENT_ENTRY_BYTES];
	size_t size = n * SEGMENT_ENTRY_BYTES;
	if (n > SEGMENT_BATCH_BLOCKS)
		return fault(EINVAL, "a batch of %zu blocks", n);
	for (size_t i = 0; i < n; i++) {
		uint8_t *to = plain + i * SEGMENT_ENTRY_BYTES;
		le64_put(to, entries[i].node);
		le64_put(to + 8, entries[i].version);
		le64_put(to + 16, entries[i].offset);
		le32_put(to + 24, entries[i].plain);
		le32_put(to + 28, entries[i].flags);
	}
	uint8_t ad[PART_AD_BYTES];
	part_ad(id, at, size, 0, PART_DIRECTORY, ad);
	return aead_seal_at(aead, at, bytes_of(ad, sizeof ad), bytes_of(plain, size), ret_bytes, ret_bytes + size);
}

static bool are_flags_possible(const struct segment_entry *entry) {
	const uint32_t units = entry->flags >> 8;
	return entry->flags == 0 || ((entry->flags & 0xff) == BLOCK_PACKED && units > 0 &&
	                                    units <= SEGMENT_UNITS_MOST && units * BLOCK_UNIT_BYTES < entry->plain);
}

/* Entries of n blocks that fill a batch of `length` bytes, no byte left over. */
static int directory_parse(const uint8_t *plain, size_t n, uint32_t length, struct segment_entry *ret_entries) {
	uint64_t end = segment_batch_prefix(n);
	for (size_t i = 0; i < n; i++) {
		const uint8_t *from = plain + i * SEGMENT_ENTRY_BYTES;
		struct segment_entry entry = {.node = le64_get(from),
		        .version = le64_get(from + 8),
		        .offset = le64_get(from + 16),
		        .plain = le32_get(from + 24),
		        .flags = le32_get(from + 28)};
		if (entry.plain == 0 || entry.plain > SEGMENT_BLOCK_BYTES || !are_flags_possible(&entry))
			return fault(EBADMSG, "block %zu of a batch has an impossible length or flags", i);
		end += segment_entry_stored(&entry) + SEGMENT_TAG_BYTES;
		ret_entries[i] = entry;
	}
	if (end != length)
		return fault(EBADMSG, "the blocks of a batch end at %lu, the batch at %u", (unsigned long)end, length);
	return 0;
}

int segment_directory_open(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at,
        const uint8_t *sealed, size_t n, uint32_t length, struct segment_entry *ret_entries) {
	uint8_t plain[SEGMENT_BATCH_BLOCKS * SEGMENT_ENTRY_BYTES];
	size_t size = n * SEGMENT_ENTRY_BYTES;
	if (n > SEGMENT_BATCH_BLOCKS)
		return fault(EBADMSG, "a batch of %zu blocks", n);
	uint8_t ad[PART_AD_BYTES];
	part_ad(id, at, size, 0, PART_DIRECTORY, ad);
	int rc = aead_open_at(aead, at, bytes_of(ad, sizeof ad), bytes_of(sealed, size), sealed + size, plain);
	return rc < 0 ? rc : directory_parse(plain, n, length, ret_entries);
}

int segment_block_seal(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at, uint32_t flags,
        struct bytes plain, uint8_t *ret_sealed) {
	uint8_t ad[PART_AD_BYTES];
	part_ad(id, at, plain.size, flags, PART_BLOCK, ad);
	return aead_seal_at(aead, at, bytes_of(ad, sizeof ad), plain, ret_sealed, ret_sealed + plain.size);
}

int segment_block_open(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at, uint32_t flags,
        struct bytes sealed, uint8_t *ret_plain) {
	uint8_t ad[PART_AD_BYTES];
	size_t size = sealed.size - SEGMENT_TAG_BYTES;
	part_ad(id, at, size, flags, PART_BLOCK, ad);
	return aead_open_at(
	        aead, at, bytes_of(ad, sizeof ad), bytes_of(sealed.data, size), sealed.data + size, ret_plain);
}
