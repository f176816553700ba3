#include "backend/pagetags.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"

#include <inttypes.h>

#define LEAF_TAGS 256
#define JOINED 128

enum node_kind { NODE_LEAF = 0, NODE_INNER = 1, NODE_ROOT = 2 };

void page_tags_free(struct page_tags *tags) {
	free(tags->tag);
	free(tags->dirty);
	*tags = (struct page_tags){0};
}

static int make_room(struct page_tags *tags, uint32_t pages) {
	if (pages <= tags->capacity)
		return 0;
	uint64_t wide = tags->capacity ? tags->capacity : 1024;
	while (wide < pages)
		wide *= 2;
	uint32_t capacity = wide > UINT32_MAX - 7 ? UINT32_MAX - 7 : (uint32_t)wide;
	void *tag = reallocarray(tags->tag, capacity, META_TAG_BYTES);
	if (tag)
		tags->tag = tag;
	void *dirty = realloc(tags->dirty, capacity / 8 + 1);
	if (dirty)
		tags->dirty = dirty;
	if (!tag || !dirty)
		return fault(ENOMEM, "no memory for the tags of %" PRIu32 " metadata pages", pages);
	memset(tags->tag + tags->capacity, 0, (size_t)(capacity - tags->capacity) * META_TAG_BYTES);
	size_t old_bytes = tags->capacity ? tags->capacity / 8 + 1 : 0;
	memset(tags->dirty + old_bytes, 0, capacity / 8 + 1 - old_bytes);
	tags->capacity = capacity;
	return 0;
}

static void mark(struct page_tags *tags, uint32_t page, bool dirty) {
	uint8_t *byte = &tags->dirty[(page - 1) / 8];
	uint8_t bit = (uint8_t)(1U << ((page - 1) % 8));
	bool was = *byte & bit;
	if (dirty == was)
		return;
	*byte ^= bit;
	tags->dirty_pages += dirty ? 1U : UINT32_MAX;
}

int page_tags_resize(struct page_tags *tags, uint32_t pages) {
	int rc = make_room(tags, pages);
	if (rc < 0)
		return rc;
	for (uint32_t page = pages + 1; page <= tags->pages; page++) {
		memset(tags->tag[page - 1], 0, META_TAG_BYTES);
		mark(tags, page, false);
	}
	tags->pages = pages;
	return 0;
}

int page_tags_put(struct page_tags *tags, uint32_t page, const uint8_t tag[static META_TAG_BYTES]) {
	int rc = page > tags->pages ? page_tags_resize(tags, page) : 0;
	if (rc < 0)
		return rc;
	memcpy(tags->tag[page - 1], tag, META_TAG_BYTES);
	mark(tags, page, true);
	return 0;
}

const uint8_t *page_tags_get(const struct page_tags *tags, uint32_t page) {
	static const uint8_t none[META_TAG_BYTES];
	if (page == 0 || page > tags->pages || memcmp(tags->tag[page - 1], none, sizeof none) == 0)
		return NULL;
	return tags->tag[page - 1];
}

bool page_tags_is_dirty(const struct page_tags *tags, uint32_t page) {
	return tags->dirty[(page - 1) / 8] & (1U << ((page - 1) % 8));
}

void page_tags_clean(struct page_tags *tags) {
	if (tags->dirty)
		memset(tags->dirty, 0, tags->capacity / 8 + 1);
	tags->dirty_pages = 0;
}

static void hash_node(enum node_kind kind, const uint8_t *data, size_t size, uint8_t ret_hash[static META_HASH_BYTES]) {
	struct blake2b hash;
	uint8_t prefix = (uint8_t)kind;
	blake2b_init(&hash, NULL);
	blake2b_update(&hash, bytes_of(&prefix, 1));
	blake2b_update(&hash, bytes_of(data, size));
	blake2b_final(&hash, ret_hash);
}

/* Joins `count` hashes in place and returns how many are left. */
static uint32_t join_level(uint8_t (*hashes)[META_HASH_BYTES], uint32_t count) {
	uint32_t made = 0;
	for (uint32_t at = 0; at < count; at += JOINED) {
		uint32_t part = count - at < JOINED ? count - at : JOINED;
		uint8_t joined[META_HASH_BYTES];
		hash_node(NODE_INNER, hashes[at], (size_t)part * META_HASH_BYTES, joined);
		memcpy(hashes[made++], joined, META_HASH_BYTES);
	}
	return made;
}

int page_tags_root(const struct page_tags *tags, uint8_t ret_root[static META_HASH_BYTES]) {
	uint32_t count = tags->pages / LEAF_TAGS + 1;
	_cleanup_(freep) uint8_t(*hashes)[META_HASH_BYTES] = calloc(count, META_HASH_BYTES);
	if (!hashes)
		return fault(ENOMEM, "no memory to hash %" PRIu32 " page tags", tags->pages);
	for (uint32_t leaf = 0; leaf < count; leaf++) {
		uint32_t first = leaf * LEAF_TAGS;
		uint32_t part = tags->pages - first < LEAF_TAGS ? tags->pages - first : LEAF_TAGS;
		hash_node(NODE_LEAF, part ? tags->tag[first] : NULL, (size_t)part * META_TAG_BYTES, hashes[leaf]);
	}
	while (count > 1)
		count = join_level(hashes, count);
	uint8_t top[8 + META_HASH_BYTES];
	le64_put(top, tags->pages);
	memcpy(top + 8, hashes[0], META_HASH_BYTES);
	hash_node(NODE_ROOT, top, sizeof top, ret_root);
	return 0;
}
