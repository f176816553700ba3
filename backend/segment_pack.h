/*
 * segment_pack: blocks compressed by zstd before they are sealed. Only the sources of segment include it.
 *
 *     plaintext 1 … 16,384 ─► zstd frame ─► zeros up to a multiple of 64 ─► sealed
 *
 * What is stored is a multiple of 64 bytes, so that its length fits into one byte of a reference, and says less of what
 * is in it. A block that would not get shorter by at least 1/16 is stored as it is.
 */
#pragma once

#include "backend/block_ref.h"
#include "crypto/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

#define SEGMENT_LEVEL_MOST 19
/* Units of the longest packed block. */
#define SEGMENT_UNITS_MOST (BLOCK_BYTES / 16 * 15 / BLOCK_UNIT_BYTES)

/* What compressing or decompressing takes; for one thread at a time. */
typedef struct SegmentPacker SegmentPacker;

/* -ENOMEM. */
int segment_packer_new(SegmentPacker **ret);

/* Wipes what it has of plaintext in its own buffer. Accepts NULL. */
void segment_packer_free(SegmentPacker *packer);
DEFINE_CLEANUP(SegmentPacker, segment_packer_free);

/* Packs a block into `out` (as long as the block at least). Returns how many units it takes; 0: it does not pay, or
 * there was no memory for it, and the block is to be stored as it is. */
uint8_t segment_pack(SegmentPacker *packer, int level, struct bytes plain, uint8_t *out);

/* Unpacks a block of `plain` bytes. -EBADMSG: it is no such block; `out` then holds nothing of it. */
int segment_unpack(SegmentPacker *packer, struct bytes packed, size_t plain, uint8_t *out);

/* BLOCK_BYTES + BLOCK_TAG_BYTES of memory: what was unsealed and not unpacked yet. */
uint8_t *segment_packer_bytes(SegmentPacker *packer);
