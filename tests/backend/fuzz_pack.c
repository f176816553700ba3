/*
 * Feeds the opening of checkpoint packs. An even first byte: the rest is a pack file as it is. An odd one: the rest
 * says what stands behind the seals of two packs: counts that do not fit, pages out of range, roots that lie.
 */
#include "backend/pack_internal.h"
#include "tests/backend/fuzz_input.h"
#include "tests/backend/memory_io.h"
#include "tests/backend/meta_key.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST_LISTED 8
#define FILE_BYTES (PACK_HEAD_BYTES + META_RECORD_OVERHEAD + MOST_LISTED * (PACK_ENTRY_BYTES + META_PAGE_BYTES))

static void fill_head(struct input *input, struct pack_head *head, uint64_t sequence) {
	head->sequence = sequence;
	head->previous = sequence - 1 + (take(input) & 0x10);
	head->is_base = take(input) & 1;
	head->listed = take(input) % (MOST_LISTED + 1);
	head->pages = take(input);
	/* The true root of an honest pack cannot be guessed by mutation, so help with it. */
	if (take(input) & 1) {
		struct page_tags tags = {0};
		if (page_tags_resize(&tags, head->pages) == 0)
			(void)page_tags_root(&tags, head->root);
		page_tags_free(&tags);
	}
}

static struct bytes build(struct input *input, const struct meta_keys *keys, uint64_t sequence, uint8_t *file) {
	struct pack_entry entry = {0};
	fill_head(input, &entry.head, sequence);
	pack_head_seal(keys, &entry.head, file);
	memcpy(entry.head_tag, meta_record_tag(file), META_TAG_BYTES);
	uint8_t plain[MOST_LISTED * PACK_ENTRY_BYTES] = {0};
	for (uint32_t i = 0; i < entry.head.listed; i++) {
		le32_put(plain + (size_t)i * PACK_ENTRY_BYTES, take(input) * (take(input) & 1 ? 1U : 0x1010101U));
		plain[i * PACK_ENTRY_BYTES + 4] = take(input);
	}
	size_t list = (size_t)entry.head.listed * PACK_ENTRY_BYTES;
	if (list)
		pack_list_seal(keys, &entry, 0, bytes_of(plain, list), file + PACK_HEAD_BYTES);
	size_t size = (size_t)pack_file_bytes(&entry.head);
	uint8_t damage = take(input);
	if (damage & 0x80)
		file[(damage & 0x7f) * 8] ^= 1;
	return bytes_of(file, damage & 0x40 ? size - 1 : size);
}

static int ignore(void *user, const char *file, int64_t place, const char *words) {
	(void)user;
	(void)file;
	(void)place;
	(void)words;
	return 0;
}

static int ignore_page(void *user, uint32_t page, const uint8_t *sealed) {
	(void)user;
	(void)page;
	return sealed[0] == 0xff;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const uint8_t vault_id[16] = {2};
	static struct meta_keys *keys;
	if (!keys && meta_keys_new(meta_key_one(), vault_id, &keys) < 0)
		abort();
	struct input input = {.data = data, .size = size};
	bool sealed = take(&input) & 1;
	uint8_t *buffer = calloc(2, FILE_BYTES);
	if (!buffer || !keys)
		abort();
	struct memory_file files[] = {{"meta/1", bytes_of(input.data, input.size)}, {"meta/2", {0}}};
	if (sealed) {
		files[0].content = build(&input, keys, 1, buffer);
		files[1].content = build(&input, keys, 2, buffer + FILE_BYTES);
	}
	VaultIo *io = NULL;
	Packs *packs = NULL;
	struct page_tags tags = {0};
	if (memory_io_open(files, sealed && (take(&input) & 1) ? 2 : 1, &io) < 0)
		abort();
	if (packs_open(io, keys, true, NULL, NULL, &tags, &packs) == 0) {
		uint8_t page[META_PAGE_BYTES];
		const uint8_t tag[META_TAG_BYTES] = {1};
		(void)packs_verify(packs, ignore, NULL);
		(void)packs_find_page(packs, 1, tag, page);
		(void)packs_each_page(packs, ignore_page, NULL);
	}
	page_tags_free(&tags);
	packs_close(packs);
	vault_io_close(io);
	free(buffer);
	return 0;
}
