/* Making holes in a content: where there was data, zeros are read and nothing is stored. */
#include "backend/content_internal.h"
#include "crypto/base/fault.h"

#include <errno.h>

/* The part of a block that becomes zeros: [in, in + size). */
struct gap {
	uint64_t block;
	size_t in, size;
};

/* The block's item if a part of it stays, loaded; NULL when all that it holds goes, or nothing of it. */
static int load_kept(Content *c, const struct gap *gap, struct item **ret_item) {
	struct item *page, *item = item_find(c, ITEM_BLOCK, gap->block);
	*ret_item = NULL;
	int rc = content_page(c, gap->block / BLOCKS_PER_PAGE, &page);
	if (rc)
		return rc;
	size_t plain = item ? item->plain : page->refs[gap->block % BLOCKS_PER_PAGE].plain;
	if (gap->in >= plain || (gap->in == 0 && gap->size >= plain))
		return 0;
	return content_block_for_write(c, gap->block, 1, 0, ret_item);
}

static void zero_kept(struct item *item, const struct gap *gap) {
	size_t end = gap->in + gap->size;
	memset(item->data + gap->in, 0, gap->size);
	if (end >= item->plain)
		item->plain = (uint16_t)gap->in;
	item->dirty = true;
}

/* A block all of which goes, unless the gap begins behind what it holds. */
static void forget_block(Content *c, struct item *page, const struct gap *gap) {
	struct block_ref *ref = &page->refs[gap->block % BLOCKS_PER_PAGE];
	if (gap->in > 0)
		return;
	struct item *item = item_find(c, ITEM_BLOCK, gap->block);
	if (item)
		item_drop(c, item);
	if (block_ref_is_hole(ref))
		return;
	*ref = (struct block_ref){0};
	page->dirty = true;
}

static struct gap gap_of(uint64_t block, uint64_t start, uint64_t end) {
	uint64_t first = block * SEGMENT_BLOCK_BYTES, behind = first + SEGMENT_BLOCK_BYTES;
	uint64_t from = start > first ? start : first;
	return (struct gap){
	        .block = block, .in = (size_t)(from - first), .size = (size_t)((end < behind ? end : behind) - from)};
}

/* One step: a range within one map page. What can fail comes before any change. */
static int punch_in_page(Content *c, uint64_t start, uint64_t end) {
	uint64_t head = start / SEGMENT_BLOCK_BYTES, tail = (end - 1) / SEGMENT_BLOCK_BYTES;
	struct gap first = gap_of(head, start, end), last = gap_of(tail, start, end);
	struct item *page, *first_kept = NULL, *last_kept = NULL;
	int rc = content_page(c, head / BLOCKS_PER_PAGE, &page);
	if (rc == 0)
		rc = load_kept(c, &first, &first_kept);
	if (rc == 0 && tail != head)
		rc = load_kept(c, &last, &last_kept);
	if (rc < 0)
		return rc;
	content_beyond_log(c);
	for (uint64_t block = head; block <= tail; block++) {
		struct gap gap = gap_of(block, start, end);
		struct item *kept = block == head ? first_kept : block == tail ? last_kept : NULL;
		if (kept)
			zero_kept(kept, &gap);
		else
			forget_block(c, page, &gap);
	}
	return 0;
}

/* With the lock: the next step of [start, end); *ret_next is where the one after it begins. */
static int punch_step(Content *c, uint64_t start, uint64_t end, uint64_t *ret_next) {
	const uint64_t page_bytes = (uint64_t)BLOCKS_PER_PAGE * SEGMENT_BLOCK_BYTES;
	uint64_t known = 0;
	*ret_next = end; /* the caller's: the file may have got shorter since */
	if (end > c->size)
		end = c->size;
	if (start >= end)
		return 0;
	int rc = content_ensure_draft(c, false);
	if (rc == 0)
		rc = content_next_known(c, start / SEGMENT_BLOCK_BYTES, &known);
	if (rc < 0 || known > (end - 1) / SEGMENT_BLOCK_BYTES)
		return rc; /* holes from here on */
	if (known * SEGMENT_BLOCK_BYTES > start)
		start = known * SEGMENT_BLOCK_BYTES;
	uint64_t behind = (start / page_bytes + 1) * page_bytes;
	if (behind < end)
		*ret_next = behind;
	return punch_in_page(c, start, end < behind ? end : behind);
}

int content_punch(Content *c, uint64_t offset, uint64_t length) {
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return fault(EFBIG, "a file can't be longer than %lu bytes", (unsigned long)INT64_MAX);
	uint64_t size = content_size(c), end = offset + length < size ? offset + length : size;
	int rc = 0;
	for (uint64_t at = offset; at < end && rc == 0;) {
		rc = store_space_check(c->store, 0);
		if (rc == 0)
			rc = content_make_room(c->cache, true);
		if (rc < 0)
			break;
		pthread_mutex_lock(&c->lock);
		rc = punch_step(c, at, end, &at);
		pthread_mutex_unlock(&c->lock);
	}
	return rc;
}
