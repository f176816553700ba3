/*
 * wallayout: the records of the write-ahead log as bytes, without state (walchain.h draws them). Internal to metadb,
 * and what the fuzz target feeds.
 */
#pragma once

#include "backend/walchain.h"

/* Sector 0, opened. */
struct wal_header {
	uint32_t version; /* of the key: all of the generation is under it */
	uint8_t logical[WAL_LOGICAL_HEADER_BYTES];
	uint8_t generation[32];
	uint64_t pack_sequence;
	uint8_t tag[META_TAG_BYTES]; /* of the record itself: the chain begins with it */
};

struct wal_watermark {
	uint32_t frames;
	uint8_t tag[META_TAG_BYTES];
};

/* Under the newest version. Fills in header->version and header->tag. `ret_block` gets both slots (no frames durable)
 * and the zeros. */
void wal_header_seal(
        const struct meta_keys *keys, struct wal_header *header, uint8_t ret_block[static WAL_HEADER_BYTES]);
int wal_header_open(
        const struct meta_keys *keys, const uint8_t block[static WAL_HEADER_BYTES], struct wal_header *ret_header);

/* Sector 3 of a header: sets *ret_began (and then *ret_range), or -EBADMSG when it is neither zero nor sealed. What
 * follows is of the header's generation and under its version. */
void wal_checkpoint_seal(const struct meta_keys *keys, const struct wal_header *header, const struct page_range *range,
        uint8_t ret_sector[static WAL_SECTOR_BYTES]);
int wal_checkpoint_open(const struct meta_keys *keys, const struct wal_header *header,
        const uint8_t sector[static WAL_SECTOR_BYTES], bool *ret_began, struct page_range *ret_range);

/* Whether the bytes behind the records are zero. */
bool wal_header_rest_is_zero(const uint8_t block[static WAL_HEADER_BYTES]);

/* Slot 0 or 1, one sector. */
void wal_slot_seal(const struct meta_keys *keys, const struct wal_header *header, unsigned slot,
        const struct wal_watermark *watermark, uint8_t ret_sector[static WAL_SECTOR_BYTES]);
int wal_slot_open(const struct meta_keys *keys, const struct wal_header *header, unsigned slot,
        const uint8_t sector[static WAL_SECTOR_BYTES], struct wal_watermark *ret_watermark);

/* A frame; `plain` is watermark (8, little-endian) | SQLite's frame header | page. */
void wal_frame_seal(const struct meta_keys *keys, const struct wal_header *header, uint32_t number,
        const uint8_t previous_tag[static META_TAG_BYTES], const uint8_t plain[static WAL_FRAME_PLAIN_BYTES],
        uint8_t ret_record[static WAL_RECORD_BYTES]);
int wal_frame_open(const struct meta_keys *keys, const struct wal_header *header, uint32_t number,
        const uint8_t previous_tag[static META_TAG_BYTES], const uint8_t record[static WAL_RECORD_BYTES],
        uint8_t ret_plain[static WAL_FRAME_PLAIN_BYTES]);

/* Where frame `number` (from 1) stands in the file. */
static inline uint64_t wal_record_offset(uint32_t number) {
	return WAL_HEADER_BYTES + (uint64_t)(number - 1) * WAL_RECORD_BYTES;
}

/* SQLite's frame header is big-endian: page number, then the database's size in pages if it commits, else 0. */
static inline uint32_t wal_be32(const uint8_t *at) {
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}
