/*
 * Feeds the opening of the write-ahead log. An even first byte: the rest is the file as it is (nothing authenticates,
 * as for an attacker without keys). An odd one: the rest says what to seal, so that what stands behind the seals is
 * reached too: watermarks that lie, frames that are damaged, logs of another time, anchors that know of another log.
 */
#include "backend/wallayout.h"
#include "tests/backend/fuzz_input.h"
#include "tests/backend/memory_io.h"
#include "tests/backend/meta_key.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_FRAMES 24

static const uint8_t generation[32] = {5};

static uint32_t take_u32(struct input *input) {
	uint32_t small = take(input);
	/* Mostly small numbers, now and then a huge one. */
	return small < 240 ? small : small * UINT32_C(0x01010101);
}

static void seal_header(struct input *input, const struct meta_keys *keys, struct wal_header *header, uint8_t *block) {
	memcpy(header->generation, generation, sizeof generation);
	header->pack_sequence = take_u32(input);
	wal_header_seal(keys, header, block);
	for (unsigned slot = 0; slot < 2; slot++) {
		struct wal_watermark watermark = {.frames = take_u32(input)};
		if (take(input) & 1)
			memcpy(watermark.tag, header->tag, sizeof watermark.tag);
		if (take(input) & 1)
			wal_slot_seal(keys, header, slot, &watermark, block + (size_t)(slot + 1) * WAL_SECTOR_BYTES);
	}
	uint8_t mark = take(input);
	if (mark & 1) {
		const struct page_range range = {.first = mark >> 4, .count = mark >> 2 & 3};
		wal_checkpoint_seal(keys, header, &range, block + WAL_CHECKPOINT_AT);
	}
	if (mark & 2)
		block[take(input) * 16] ^= 1;
}

static size_t seal_frames(
        struct input *input, const struct meta_keys *keys, const struct wal_header *header, uint8_t *file) {
	static uint8_t plain[WAL_FRAME_PLAIN_BYTES];
	const uint8_t *previous = header->tag;
	uint32_t number = 1;
	for (; number <= MOST_FRAMES && input->size; number++) {
		uint8_t *record = file + wal_record_offset(number);
		le64_put(plain, take_u32(input));
		plain[8 + 3] = take(input);
		plain[8 + 7] = take(input) & 3;
		wal_frame_seal(keys, header, number, previous, plain, record);
		uint8_t damage = take(input);
		if (damage & 0x80)
			record[(size_t)(damage & 0x7f) * 32] ^= 1;
		previous = meta_record_tag(record);
	}
	return (size_t)wal_record_offset(number);
}

static size_t build(struct input *input, const struct meta_keys *keys, uint8_t *file) {
	struct wal_header header = {.logical = {0x37, 0x7f, 0x06, 0x82}};
	seal_header(input, keys, &header, file);
	size_t cut = take(input);
	size_t size = seal_frames(input, keys, &header, file);
	return size - (cut & 0x80 ? cut : 0);
}

/* What is left of the input says what the anchors know; nothing left: there are none. */
static size_t build_anchors(struct input *input, const struct meta_keys *keys, const uint8_t *file,
        uint8_t blocks[static ANCHOR_COUNT * ANCHOR_BYTES]) {
	size_t count = 0;
	for (; count < ANCHOR_COUNT && input->size; count++) {
		uint8_t *block = blocks + count * ANCHOR_BYTES;
		uint8_t kind = take(input);
		struct anchor anchor = {.pack_sequence = take_u32(input),
		        .pages = take_u32(input),
		        .log_open = kind & 1,
		        .log = {.frames = take_u32(input)}};
		memcpy(anchor.log.generation, generation, kind & 2 ? sizeof generation : 0);
		if (anchor.log.frames > 0 && anchor.log.frames <= MOST_FRAMES)
			memcpy(anchor.log.tag, meta_record_tag(file + wal_record_offset(anchor.log.frames)),
			        META_TAG_BYTES);
		anchor_seal(keys, (unsigned)count + 1, take(input), &anchor, block);
		if (kind & 0x80)
			block[(size_t)take(input) * 2] ^= 1;
	}
	return count;
}

static int ignore(void *user, const char *file, int64_t place, const char *words) {
	(void)user;
	(void)file;
	(void)place;
	(void)words;
	return 0;
}

static void use(WalChain *wal) {
	uint8_t data[1000];
	size_t got = 1;
	for (uint64_t offset = 0; got > 0; offset += got)
		if (walchain_read(wal, offset, data, sizeof data, &got) < 0)
			break;
	(void)walchain_newest_frame(wal, 1);
	(void)walchain_verify(wal, ignore, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const uint8_t vault_id[16] = {2};
	static struct meta_keys *keys;
	if (!keys && meta_keys_new(meta_key_one(), vault_id, &keys) < 0)
		abort();
	struct input input = {.data = data, .size = size};
	bool sealed = take(&input) & 1;
	struct wal_base base = {.pack_sequence = take_u32(&input), .covered = {.frames = take(&input)}};
	memcpy(base.covered.generation, generation, sizeof generation);
	uint8_t *file = calloc(1, (size_t)wal_record_offset(MOST_FRAMES + 1));
	if (!file || !keys)
		abort();
	struct bytes content = bytes_of(input.data, input.size);
	uint8_t blocks[ANCHOR_COUNT * ANCHOR_BYTES] = {0};
	size_t count = 1;
	struct memory_file files[] = {{WAL_NAME, content}, {"meta/anchor-1", content}, {"meta/anchor-2", {0}}};
	if (sealed) {
		files[0].content = bytes_of(file, build(&input, keys, file));
		count = build_anchors(&input, keys, file, blocks);
		files[1].content = bytes_of(blocks, ANCHOR_BYTES);
		files[2].content = bytes_of(blocks + ANCHOR_BYTES, ANCHOR_BYTES);
	}
	VaultIo *io = NULL;
	WalChain *wal = NULL;
	Anchors *anchors = NULL;
	if (memory_io_open(files, 1 + count, &io) < 0 || anchors_open(io, keys, true, &anchors) < 0)
		abort();
	(void)anchors_verify(anchors, true, ignore, NULL);
	if (walchain_open(io, keys, true, &base, anchors, &wal) == 0)
		use(wal);
	walchain_close(wal);
	anchors_close(anchors);
	vault_io_close(io);
	free(file);
	return 0;
}
