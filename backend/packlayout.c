/* The head of a pack as bytes, without state. */
#include "backend/pack.h"

#define HEAD_PLAIN_BYTES (PACK_HEAD_BYTES - META_RECORD_OVERHEAD)
#define FORMAT 1

enum head_offsets {
	AT_FORMAT = 0,
	AT_IS_BASE = 4,
	AT_LISTED = 8,
	AT_PAGES = 12,
	AT_SEQUENCE = 16,
	AT_PREVIOUS = 24,
	AT_ROOT = 32,
	AT_PREVIOUS_ROOT = 64,
	AT_GENERATION = 96,
	AT_FRAMES = 128,
	AT_FRAME_TAG = 132,
	AT_END = 148,
};
_Static_assert((int)AT_END <= (int)HEAD_PLAIN_BYTES, "the head fits its block");

static struct bytes head_ad(uint64_t sequence, uint8_t ad[static 8]) {
	le64_put(ad, sequence);
	return bytes_of(ad, 8);
}

void pack_head_seal(
        const struct meta_keys *keys, const struct pack_head *head, uint8_t ret_block[static PACK_HEAD_BYTES]) {
	uint8_t plain[HEAD_PLAIN_BYTES] = {0};
	le32_put(plain + AT_FORMAT, FORMAT);
	le32_put(plain + AT_IS_BASE, head->is_base);
	le32_put(plain + AT_LISTED, head->listed);
	le32_put(plain + AT_PAGES, head->pages);
	le64_put(plain + AT_SEQUENCE, head->sequence);
	le64_put(plain + AT_PREVIOUS, head->previous);
	memcpy(plain + AT_ROOT, head->root, META_HASH_BYTES);
	memcpy(plain + AT_PREVIOUS_ROOT, head->previous_root, META_HASH_BYTES);
	memcpy(plain + AT_GENERATION, head->covered.generation, 32);
	le32_put(plain + AT_FRAMES, head->covered.frames);
	memcpy(plain + AT_FRAME_TAG, head->covered.tag, META_TAG_BYTES);
	uint8_t ad[8];
	meta_record_seal(keys, META_PACK, head->version, "pack head", head_ad(head->sequence, ad),
	        bytes_of(plain, sizeof plain), ret_block);
}

int pack_head_open(const struct meta_keys *keys, uint64_t sequence, const uint8_t block[static PACK_HEAD_BYTES],
        struct pack_head *ret_head) {
	uint8_t plain[HEAD_PLAIN_BYTES];
	uint8_t ad[8];
	uint32_t version = 0;
	int rc = meta_record_open(keys, META_PACK, 0, "pack head", head_ad(sequence, ad),
	        bytes_of(block, PACK_HEAD_BYTES), plain, &version);
	if (rc < 0)
		return rc;
	if (le32_get(plain + AT_FORMAT) != FORMAT || le64_get(plain + AT_SEQUENCE) != sequence)
		return -EBADMSG;
	*ret_head = (struct pack_head){
	        .version = version,
	        .sequence = sequence,
	        .is_base = le32_get(plain + AT_IS_BASE) != 0,
	        .listed = le32_get(plain + AT_LISTED),
	        .pages = le32_get(plain + AT_PAGES),
	        .previous = le64_get(plain + AT_PREVIOUS),
	        .covered = {.frames = le32_get(plain + AT_FRAMES)},
	};
	memcpy(ret_head->root, plain + AT_ROOT, META_HASH_BYTES);
	memcpy(ret_head->previous_root, plain + AT_PREVIOUS_ROOT, META_HASH_BYTES);
	memcpy(ret_head->covered.generation, plain + AT_GENERATION, 32);
	memcpy(ret_head->covered.tag, plain + AT_FRAME_TAG, META_TAG_BYTES);
	return 0;
}

uint64_t pack_list_bytes(uint32_t listed) {
	return (uint64_t)listed * PACK_ENTRY_BYTES + (uint64_t)pack_list_chunks(listed) * META_RECORD_OVERHEAD;
}

uint64_t pack_file_bytes(const struct pack_head *head) {
	return PACK_HEAD_BYTES + pack_list_bytes(head->listed) + (uint64_t)head->listed * META_PAGE_BYTES;
}
