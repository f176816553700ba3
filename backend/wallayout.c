#include "backend/wallayout.h"

#define HEADER_PLAIN_BYTES (WAL_SECTOR_BYTES - META_RECORD_OVERHEAD)

void wal_header_seal(
        const struct meta_keys *keys, struct wal_header *header, uint8_t ret_block[static WAL_HEADER_BYTES]) {
	uint8_t plain[HEADER_PLAIN_BYTES] = {0};
	memcpy(plain, header->logical, WAL_LOGICAL_HEADER_BYTES);
	memcpy(plain + 32, header->generation, 32);
	le64_put(plain + 64, header->pack_sequence);
	memset(ret_block, 0, WAL_HEADER_BYTES);
	header->version = meta_keys_newest(keys);
	meta_record_seal(keys, META_WAL, header->version, "wal header", bytes_of(NULL, 0),
	        bytes_of(plain, sizeof plain), ret_block);
	memcpy(header->tag, meta_record_tag(ret_block), META_TAG_BYTES);
	struct wal_watermark nothing = {.frames = 0};
	memcpy(nothing.tag, header->tag, META_TAG_BYTES);
	for (unsigned slot = 0; slot < 2; slot++)
		wal_slot_seal(keys, header, slot, &nothing, ret_block + (size_t)(slot + 1) * WAL_SECTOR_BYTES);
}

int wal_header_open(
        const struct meta_keys *keys, const uint8_t block[static WAL_HEADER_BYTES], struct wal_header *ret_header) {
	uint8_t plain[HEADER_PLAIN_BYTES];
	uint32_t version = 0;
	int rc = meta_record_open(
	        keys, META_WAL, 0, "wal header", bytes_of(NULL, 0), bytes_of(block, WAL_SECTOR_BYTES), plain, &version);
	if (rc < 0)
		return rc;
	ret_header->version = version;
	memcpy(ret_header->logical, plain, WAL_LOGICAL_HEADER_BYTES);
	memcpy(ret_header->generation, plain + 32, 32);
	ret_header->pack_sequence = le64_get(plain + 64);
	memcpy(ret_header->tag, meta_record_tag(block), META_TAG_BYTES);
	return 0;
}

static bool is_zero(const uint8_t *data, size_t size) {
	uint8_t any = 0;
	for (size_t i = 0; i < size; i++)
		any |= data[i];
	return any == 0;
}

bool wal_header_rest_is_zero(const uint8_t block[static WAL_HEADER_BYTES]) {
	return is_zero(block + WAL_REST_AT, WAL_HEADER_BYTES - WAL_REST_AT);
}

void wal_checkpoint_seal(const struct meta_keys *keys, const struct wal_header *header, const struct page_range *range,
        uint8_t ret_sector[static WAL_SECTOR_BYTES]) {
	uint8_t plain[HEADER_PLAIN_BYTES] = {0};
	le32_put(plain, range->first);
	le32_put(plain + 4, range->count);
	meta_record_seal(keys, META_WAL, header->version, "wal checkpoint", bytes_of(header->generation, 32),
	        bytes_of(plain, sizeof plain), ret_sector);
}

int wal_checkpoint_open(const struct meta_keys *keys, const struct wal_header *header,
        const uint8_t sector[static WAL_SECTOR_BYTES], bool *ret_began, struct page_range *ret_range) {
	uint8_t plain[HEADER_PLAIN_BYTES] = {0};
	*ret_began = !is_zero(sector, WAL_SECTOR_BYTES);
	int rc = *ret_began ? meta_record_open(keys, META_WAL, header->version, "wal checkpoint",
	                              bytes_of(header->generation, 32), bytes_of(sector, WAL_SECTOR_BYTES), plain, NULL)
	                    : 0;
	if (rc == 0)
		*ret_range = (struct page_range){.first = le32_get(plain), .count = le32_get(plain + 4)};
	return rc;
}

struct slot_ad {
	uint8_t data[33];
};

static struct slot_ad slot_ad(const struct wal_header *header, unsigned slot) {
	struct slot_ad ad;
	memcpy(ad.data, header->generation, 32);
	ad.data[32] = (uint8_t)slot;
	return ad;
}

void wal_slot_seal(const struct meta_keys *keys, const struct wal_header *header, unsigned slot,
        const struct wal_watermark *watermark, uint8_t ret_sector[static WAL_SECTOR_BYTES]) {
	uint8_t plain[HEADER_PLAIN_BYTES] = {0};
	le64_put(plain, watermark->frames);
	memcpy(plain + 8, watermark->tag, META_TAG_BYTES);
	struct slot_ad ad = slot_ad(header, slot);
	meta_record_seal(keys, META_WAL, header->version, "wal watermark", bytes_of(&ad, sizeof ad),
	        bytes_of(plain, sizeof plain), ret_sector);
}

int wal_slot_open(const struct meta_keys *keys, const struct wal_header *header, unsigned slot,
        const uint8_t sector[static WAL_SECTOR_BYTES], struct wal_watermark *ret_watermark) {
	uint8_t plain[HEADER_PLAIN_BYTES];
	struct slot_ad ad = slot_ad(header, slot);
	int rc = meta_record_open(keys, META_WAL, header->version, "wal watermark", bytes_of(&ad, sizeof ad),
	        bytes_of(sector, WAL_SECTOR_BYTES), plain, NULL);
	if (rc < 0)
		return rc;
	ret_watermark->frames = (uint32_t)le64_get(plain);
	memcpy(ret_watermark->tag, plain + 8, META_TAG_BYTES);
	return 0;
}

struct frame_ad {
	uint8_t data[32 + 4 + META_TAG_BYTES];
};

static struct frame_ad frame_ad(
        const struct wal_header *header, uint32_t number, const uint8_t previous_tag[static META_TAG_BYTES]) {
	struct frame_ad ad;
	memcpy(ad.data, header->generation, 32);
	le32_put(ad.data + 32, number);
	memcpy(ad.data + 36, previous_tag, META_TAG_BYTES);
	return ad;
}

void wal_frame_seal(const struct meta_keys *keys, const struct wal_header *header, uint32_t number,
        const uint8_t previous_tag[static META_TAG_BYTES], const uint8_t plain[static WAL_FRAME_PLAIN_BYTES],
        uint8_t ret_record[static WAL_RECORD_BYTES]) {
	struct frame_ad ad = frame_ad(header, number, previous_tag);
	meta_record_seal(keys, META_WAL, header->version, "wal frame", bytes_of(&ad, sizeof ad),
	        bytes_of(plain, WAL_FRAME_PLAIN_BYTES), ret_record);
}

int wal_frame_open(const struct meta_keys *keys, const struct wal_header *header, uint32_t number,
        const uint8_t previous_tag[static META_TAG_BYTES], const uint8_t record[static WAL_RECORD_BYTES],
        uint8_t ret_plain[static WAL_FRAME_PLAIN_BYTES]) {
	struct frame_ad ad = frame_ad(header, number, previous_tag);
	return meta_record_open(keys, META_WAL, header->version, "wal frame", bytes_of(&ad, sizeof ad),
	        bytes_of(record, WAL_RECORD_BYTES), ret_plain, NULL);
}
