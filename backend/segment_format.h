/*
 * segment_format: the bytes of a segment file (drawn in segment.h): putting, parsing and authenticating its parts.
 *
 * Pure functions over buffers, so that they can be tested and fuzzed without a disk. Whatever comes from a file is
 * untrusted until its …_open function returned 0: parsing alone only says that the numbers make sense.
 */
#pragma once

#include "backend/segment.h"
#include "crypto/aead.h"

#define SEGMENT_HEADER_BYTES 128
#define SEGMENT_BATCH_BYTES 64
#define SEGMENT_ENTRY_BYTES 32
#define SEGMENT_SALT_BYTES 32
#define SEGMENT_KEY_BYTES 32
#define SEGMENT_KEY_NAME_BYTES 32
/* The second one may have packed blocks, which a program that knows the first alone must not take for damage. */
#define SEGMENT_FORMAT 1
#define SEGMENT_FORMAT_PACKED 2
/* The third one takes a key of its own beside the zone's, and may have packed blocks. */
#define SEGMENT_FORMAT_OWN 3

struct segment_header {
	uint16_t format;
	uint8_t cipher;
	enum zone zone;
	uint32_t key_version;
	char key_name[SEGMENT_KEY_NAME_BYTES + 1];
	uint8_t id[SEGMENT_ID_BYTES];
	uint64_t mount;
	char own_name[OWN_KEY_BYTES]; /* "" but in SEGMENT_FORMAT_OWN */
	uint32_t own_version;
};

struct segment_batch {
	uint8_t salt[SEGMENT_SALT_BYTES];
	uint32_t blocks; /* 1 … SEGMENT_BATCH_BLOCKS */
	uint32_t length; /* of the whole batch, header included */
};

struct segment_entry {
	uint64_t node, version, offset;
	uint32_t plain, flags; /* flags: 0, or BLOCK_PACKED and, from bit 8 on, the units */
};

/* How long its block is in the segment, without its tag. */
static inline uint32_t segment_entry_stored(const struct segment_entry *entry) {
	return entry->flags & BLOCK_PACKED ? (entry->flags >> 8) * BLOCK_UNIT_BYTES : entry->plain;
}

/* What stands for the block's flags in its associated data: of a packed one also how long it is unpacked, as the length
 * there is that of what was sealed. */
static inline uint32_t segment_block_flags(uint8_t flags, uint8_t units, uint32_t plain) {
	return flags & BLOCK_PACKED ? flags | (uint32_t)units << 8 | plain << 16 : 0;
}

/* Length of header and sealed directory of a batch of n blocks: the first block's place in the batch. */
static inline uint32_t segment_batch_prefix(size_t n) {
	return (uint32_t)(SEGMENT_BATCH_BYTES + n * SEGMENT_ENTRY_BYTES + SEGMENT_TAG_BYTES);
}

/* What stands for the zone's key where a folder has a key of its own: who has one of the two has nothing. In place is
 * allowed. Wipe it after use. */
void segment_derive_parent(const uint8_t zone_key[static SEGMENT_KEY_BYTES],
        const uint8_t own_key[static SEGMENT_KEY_BYTES], uint8_t ret_key[static SEGMENT_KEY_BYTES]);

/* The segment's key from the zone's key, or what stands for it. Wipe it after use. */
void segment_derive_key(const uint8_t zone_key[static SEGMENT_KEY_BYTES], const uint8_t id[static SEGMENT_ID_BYTES],
        uint8_t ret_key[static SEGMENT_KEY_BYTES]);

/* The cipher of a batch, ready for use, from the segment's key. */
int segment_batch_cipher(enum aead_cipher cipher, const uint8_t segment_key[static SEGMENT_KEY_BYTES],
        const uint8_t salt[static SEGMENT_SALT_BYTES], Aead **ret);

/* Header with its tag. */
void segment_header_seal(const struct segment_header *header, const uint8_t segment_key[static SEGMENT_KEY_BYTES],
        uint8_t ret_bytes[static SEGMENT_HEADER_BYTES]);

/* The header's fields. -EBADMSG: no segment header, or of a format that this program does not know. Proves nothing. */
int segment_header_parse(struct bytes from, struct segment_header *ret);

/* -EBADMSG unless the header is what segment_header_seal made under this key. */
int segment_header_open(
        const uint8_t bytes[static SEGMENT_HEADER_BYTES], const uint8_t segment_key[static SEGMENT_KEY_BYTES]);

/* Batch header with its tag; `at` is its offset in the segment. */
int segment_batch_seal(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at,
        const struct segment_batch *batch, uint8_t ret_bytes[static SEGMENT_BATCH_BYTES]);

/* The fields. -EBADMSG: no batch header, or numbers that can't be. Proves nothing. */
int segment_batch_parse(struct bytes from, struct segment_batch *ret);

/* -EBADMSG unless it is what segment_batch_seal made for this segment and place. */
int segment_batch_open(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at,
        const uint8_t bytes[static SEGMENT_BATCH_BYTES]);

/* Seals n entries; `at` is the directory's offset in the segment. ret_bytes: n * SEGMENT_ENTRY_BYTES +
 * SEGMENT_TAG_BYTES. */
int segment_directory_seal(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at,
        const struct segment_entry *entries, size_t n, uint8_t *ret_bytes);

/*
 * Unseals a directory of n entries (n ≤ SEGMENT_BATCH_BLOCKS) and checks that its blocks fill the batch of `length`
 * bytes exactly. -EBADMSG otherwise.
 */
int segment_directory_open(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at,
        const uint8_t *sealed, size_t n, uint32_t length, struct segment_entry *ret_entries);

/* A block, packed or not: ret_sealed gets plain.size + SEGMENT_TAG_BYTES. `flags`: segment_block_flags. */
int segment_block_seal(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at, uint32_t flags,
        struct bytes plain, uint8_t *ret_sealed);

/* ret_plain gets sealed.size - SEGMENT_TAG_BYTES. -EBADMSG if it is not what was sealed there; ret_plain then holds no
 * plaintext. */
int segment_block_open(const Aead *aead, const uint8_t id[static SEGMENT_ID_BYTES], uint32_t at, uint32_t flags,
        struct bytes sealed, uint8_t *ret_plain);
