/*
 * block_ref: where a sealed block lies, which is what the map of a file is made of; and what the database keeps of the
 * segments (segment.h) that hold the blocks.
 */
#pragma once

#include "backend/zone.h"
#include "crypto/base/bytes.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*
 * Plaintext bytes of a full block. Measured beside 4 KiB (one run, medians of three): random 4 KiB writes 78,600 a
 * second and not 34,200, though they seal four times the bytes, as a block costs more than its bytes; writing in order
 * 790 MB/s and not 500; a version of 1 GiB 0.5 ms and not 2.7; random reads 16,800 and not 13,600 from the disk, but in
 * memory 35,500 and not 42,200.
 */
#define BLOCK_BYTES 16384u
#define BLOCK_TAG_BYTES 16
/* The block is compressed (segment_pack.h). */
#define BLOCK_PACKED 1u
#define BLOCK_UNIT_BYTES 64u
#define SEGMENT_ID_BYTES 32
/* The name of a key that a folder or dataset has of its own, with its NUL; "": it has none, as most. */
#define OWN_KEY_BYTES 21

/* Where a block is, and the tag that only that block has. All zero: a hole. */
struct block_ref {
	uint32_t segment;  /* number of the segment in this vault's database; 0 means hole */
	uint32_t batch;    /* offset of the batch's header in the segment */
	uint32_t position; /* offset of the sealed block in the segment */
	uint16_t plain;    /* plaintext bytes, 1 … BLOCK_BYTES */
	uint8_t flags;     /* 0, or BLOCK_PACKED */
	uint8_t units;     /* of a packed block: its sealed length without tag, in units of BLOCK_UNIT_BYTES; else 0 */
	uint8_t tag[BLOCK_TAG_BYTES];
};
/* Bytes of a reference on disk; the fields in the order of the struct, little-endian. */
#define BLOCK_REF_BYTES 32
static_assert(sizeof(struct block_ref) == BLOCK_REF_BYTES, "a reference has no padding");

/* Whether nothing was ever written there, so that zeros are read. */
static inline bool block_ref_is_hole(const struct block_ref *ref) {
	return ref->segment == 0;
}

/* How long the block is where it lies, without its tag. */
static inline uint32_t block_ref_stored(const struct block_ref *ref) {
	return ref->flags & BLOCK_PACKED ? ref->units * BLOCK_UNIT_BYTES : ref->plain;
}

/* Writes the reference as it is stored. */
static inline void block_ref_put(uint8_t to[static BLOCK_REF_BYTES], const struct block_ref *ref) {
	le32_put(to, ref->segment);
	le32_put(to + 4, ref->batch);
	le32_put(to + 8, ref->position);
	le16_put(to + 12, ref->plain);
	to[14] = ref->flags;
	to[15] = ref->units;
	memcpy(to + 16, ref->tag, BLOCK_TAG_BYTES);
}

/* The same read back. Any bytes give a reference; whether it leads anywhere shows when it is read. */
static inline void block_ref_get(const uint8_t from[static BLOCK_REF_BYTES], struct block_ref *ret) {
	ret->segment = le32_get(from);
	ret->batch = le32_get(from + 4);
	ret->position = le32_get(from + 8);
	ret->plain = le16_get(from + 12);
	ret->flags = from[14];
	ret->units = from[15];
	memcpy(ret->tag, from + 16, BLOCK_TAG_BYTES);
}

enum segment_state {
	SEGMENT_OPEN = 0,      /* this mount may still append to it */
	SEGMENT_CLOSED = 1,    /* full, or its mount has ended */
	SEGMENT_ABANDONED = 2, /* a write into it failed for good: what stands before `bytes` is whole */
};

/* What the database keeps of a segment. */
struct segment_row {
	uint32_t number; /* 1, 2, … never reused */
	uint8_t id[SEGMENT_ID_BYTES];
	enum zone zone;
	uint32_t key_version;
	char own[OWN_KEY_BYTES]; /* the key that it takes beside the zone's; "": none */
	uint32_t own_version;    /* of that; 0 without */
	uint64_t bytes;          /* synced length: batches up to here are on the disk */
	enum segment_state state;
};
