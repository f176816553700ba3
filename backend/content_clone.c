/* Sharing blocks between files, and finding the data in sparse ones. */
#include "backend/content_internal.h"
#include "backend/segment_watch.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdlib.h>

/* Shared at once, under both locks: no more map pages may be touched than wait in memory beyond the bound. */
#define SHARE_BLOCKS BLOCKS_PER_PAGE

static void lock_both(Content *a, Content *b) {
	if (a == b) {
		pthread_mutex_lock(&a->lock);
		return;
	}
	pthread_mutex_lock(a < b ? &a->lock : &b->lock);
	pthread_mutex_lock(a < b ? &b->lock : &a->lock);
}

static void unlock_both(Content *a, Content *b) {
	pthread_mutex_unlock(&a->lock);
	if (a != b)
		pthread_mutex_unlock(&b->lock);
}

/* How many of the blocks may be shared: those under the same key of a folder's own as the draft, and holes. */
static int same_key(Content *src, uint64_t from, const Content *dst, uint64_t blocks, uint64_t *ret_blocks) {
	SegmentStore *segments = store_segments(dst->store);
	uint32_t last = 0;
	uint64_t same = 0;
	int rc = 0;
	for (; same < blocks; same++) {
		char own[OWN_KEY_BYTES];
		struct item *page;
		rc = content_page(src, (from + same) / BLOCKS_PER_PAGE, &page);
		if (rc < 0)
			break;
		const uint32_t segment = page->refs[(from + same) % BLOCKS_PER_PAGE].segment;
		if (segment == 0 || segment == last)
			continue;
		segment_own(segments, segment, own);
		if (strcmp(own, dst->own) != 0)
			break;
		last = segment;
	}
	*ret_blocks = same;
	return rc;
}

/* The zone whose key seals what the content shows. */
static int zone_of(Content *c, enum zone *ret_zone) {
	struct version version = {0};
	*ret_zone = c->draft ? c->zone : ZONE_NONE;
	if (c->draft || c->base == 0)
		return 0;
	Meta *m = store_meta(c->store);
	meta_begin(m);
	int rc = meta_end(m, version_get(m, c->base, &version));
	*ret_zone = (enum zone)version.zone;
	return rc;
}

/* One block's reference; both pages are loaded first, so that it is shared or nothing has changed. */
static int share_block(Content *src, uint64_t from, Content *dst, uint64_t to) {
	struct item *source, *target;
	int rc = content_page(src, from / BLOCKS_PER_PAGE, &source);
	if (rc == 0)
		rc = content_page(dst, to / BLOCKS_PER_PAGE, &target);
	if (rc)
		return rc;
	struct item *old = item_find(dst, ITEM_BLOCK, to);
	if (old)
		item_drop(dst, old);
	const struct block_ref *ref = &source->refs[from % BLOCKS_PER_PAGE];
	segment_note(store_segments(dst->store), ref, 1);
	target->refs[to % BLOCKS_PER_PAGE] = *ref;
	target->dirty = true;
	content_beyond_log(dst);
	return 0;
}

/*
 * Shares whole blocks, and the last of `src` if it may become the last of `dst`. Both locked; the offsets are aligned.
 * *ret_done: bytes shared, 0 when there is nothing that can be.
 */
static int share_step(Content *src, uint64_t from, Content *dst, uint64_t to, uint64_t length, uint64_t *ret_done) {
	enum zone zone = ZONE_NONE;
	*ret_done = 0;
	int rc = content_check_erased(src);
	if (rc == 0)
		rc = content_ensure_draft(dst, false);
	if (rc == 0)
		rc = zone_of(src, &zone);
	if (rc < 0 || zone != dst->zone)
		return rc;
	uint64_t blocks = length / SEGMENT_BLOCK_BYTES;
	if (blocks > SHARE_BLOCKS)
		blocks = SHARE_BLOCKS;
	uint64_t bytes = blocks * SEGMENT_BLOCK_BYTES;
	if (blocks < SHARE_BLOCKS && bytes < length && from + length == src->size && to + length >= dst->size) {
		blocks++;
		bytes = length;
	}
	rc = content_seal_range(src, from / SEGMENT_BLOCK_BYTES, blocks);
	if (rc == 0 && segment_any_own(store_segments(dst->store))) {
		uint64_t same = 0;
		rc = same_key(src, from / SEGMENT_BLOCK_BYTES, dst, blocks, &same);
		if (same < blocks) {
			blocks = same;
			bytes = same * SEGMENT_BLOCK_BYTES;
		}
	}
	uint64_t shared = 0;
	for (; shared < blocks && rc == 0; shared += rc == 0)
		rc = share_block(src, from / SEGMENT_BLOCK_BYTES + shared, dst, to / SEGMENT_BLOCK_BYTES + shared);
	if (shared > 0 && rc < 0) { /* no reference may lie behind the end; the next step tells what is wrong */
		bytes = shared * SEGMENT_BLOCK_BYTES;
		rc = 0;
	}
	if (rc == 0 && to + bytes > dst->size && bytes > 0) {
		dst->size = to + bytes;
		content_grown(dst);
	}
	*ret_done = rc == 0 ? bytes : 0;
	return rc;
}

static int copy_step(Content *src, uint64_t from, Content *dst, uint64_t to, uint64_t length, uint64_t *ret_done) {
	size_t size = length < CONTENT_STEP_BYTES ? (size_t)length : CONTENT_STEP_BYTES, got = 0;
	uint8_t *buffer = malloc(size);
	if (!buffer)
		return fault(ENOMEM, "no memory to copy");
	int rc = content_read(src, from, buffer, size, &got);
	if (rc == 0 && got > 0)
		rc = content_write(dst, to, bytes_of(buffer, got));
	secret_wipe(buffer, size);
	free(buffer);
	*ret_done = got;
	return rc;
}

/* *ret_copied: whether the bytes went through memory. */
static int clone_step(
        Content *src, uint64_t from, Content *dst, uint64_t to, uint64_t length, uint64_t *ret_done, bool *ret_copied) {
	uint64_t done = 0;
	int rc = store_space_check(dst->store, length < CONTENT_STEP_BYTES ? length : CONTENT_STEP_BYTES);
	if (rc == 0)
		rc = content_make_room(dst->cache, true);
	if (rc < 0)
		return rc;
	lock_both(src, dst);
	uint64_t left = from < src->size ? src->size - from : 0;
	if (length > left)
		length = left;
	if (from % SEGMENT_BLOCK_BYTES == 0 && to % SEGMENT_BLOCK_BYTES == 0 && length > 0)
		rc = share_step(src, from, dst, to, length, &done);
	unlock_both(src, dst);
	*ret_copied = rc == 0 && done == 0 && length > 0;
	if (*ret_copied)
		rc = copy_step(src, from, dst, to, length, &done);
	*ret_done = done;
	return rc;
}

int content_clone_range(
        Content *src, uint64_t src_offset, Content *dst, uint64_t dst_offset, uint64_t length, uint64_t *ret_done) {
	uint64_t apart = src_offset > dst_offset ? src_offset - dst_offset : dst_offset - src_offset;
	if (src == dst && apart < length)
		return fault(EINVAL, "the ranges overlap");
	if (length > INT64_MAX || src_offset > INT64_MAX - length || dst_offset > INT64_MAX - length)
		return fault(EFBIG, "a file can't be longer than %lu bytes", (unsigned long)INT64_MAX);
	/* The end as it is now: within one file it may move while the file grows by this very call. */
	uint64_t size = content_size(src), total = 0;
	if (length > size - (src_offset < size ? src_offset : size))
		length = src_offset < size ? size - src_offset : 0;
	for (uint64_t copied = 0; total < length && copied < CONTENT_COPY_MAX;) {
		uint64_t done = 0;
		bool is_copied = false;
		int rc =
		        clone_step(src, src_offset + total, dst, dst_offset + total, length - total, &done, &is_copied);
		if (rc < 0)
			return rc;
		if (done == 0)
			break;
		total += done;
		copied += is_copied ? done : 0;
	}
	*ret_done = total;
	return 0;
}

/* ---- SEEK_DATA ---- */

/* So far a run of data is followed in one call: its map pages are in memory meanwhile. */
#define RUN_BLOCKS_MOST (64 * BLOCKS_PER_PAGE)

/* Holes are told of to the precision of what programs and the kernel cache: a page. */
#define HOLE_BYTES 4096u

/* How far the data at the start of a block reaches: 0 for a hole, SEGMENT_BLOCK_BYTES for a full block. */
static int reach_of(Content *c, uint64_t block, size_t *ret_reach) {
	struct item *page;
	int rc = content_page(c, block / BLOCKS_PER_PAGE, &page);
	if (rc)
		return rc;
	const struct item *item = item_find(c, ITEM_BLOCK, block);
	size_t plain = item ? item->plain : page->refs[block % BLOCKS_PER_PAGE].plain;
	*ret_reach = (plain + HOLE_BYTES - 1) / HOLE_BYTES * HOLE_BYTES;
	return 0;
}

int content_next_known(Content *c, uint64_t block, uint64_t *ret_block) {
	uint64_t best = UINT64_MAX, page = block / BLOCKS_PER_PAGE, found;
	for (struct item *item = c->first; item; item = item->after) {
		uint64_t first = item->kind == ITEM_PAGE ? item->index * BLOCKS_PER_PAGE : item->index;
		if (item->kind == ITEM_PAGE && item->index == page)
			first = block;
		if (item->dirty && first >= block && first < best)
			best = first;
	}
	if (c->rows) {
		Meta *m = store_meta(c->store);
		meta_begin(m);
		int rc = meta_end(m, version_map_next(m, c->rows, page, &found));
		if (rc < 0 && rc != -ENXIO)
			return rc;
		if (rc == 0 && found < c->cut) {
			uint64_t first = found * BLOCKS_PER_PAGE > block ? found * BLOCKS_PER_PAGE : block;
			best = first < best ? first : best;
		}
	}
	*ret_block = best;
	return 0;
}

/* Where a run of data begins or ends. */
struct edge {
	uint64_t block; /* the `end` of the search if there is none */
	size_t reach;   /* of that block */
};

/* The first block at or after `block` and before `end` that has data (`begins`), or is not full of it. */
static int find_edge(Content *c, uint64_t block, uint64_t end, bool begins, struct edge *ret) {
	*ret = (struct edge){.block = end};
	for (; block < end; block++) {
		if (begins && block % BLOCKS_PER_PAGE == 0) {
			int rc = content_next_known(c, block, &block);
			if (rc < 0 || block >= end)
				return rc;
		}
		size_t reach = 0;
		int rc = reach_of(c, block, &reach);
		if (rc)
			return rc;
		if (begins ? reach > 0 : reach < SEGMENT_BLOCK_BYTES) {
			*ret = (struct edge){.block = block, .reach = reach};
			return 0;
		}
	}
	return 0;
}

static int find_run(Content *c, uint64_t offset, uint64_t end, struct edge *ret_first, struct edge *ret_last) {
	int rc = find_edge(c, offset / SEGMENT_BLOCK_BYTES, end, true, ret_first);
	if (rc == 0 && ret_first->block * SEGMENT_BLOCK_BYTES + ret_first->reach <= offset)
		rc = find_edge(c, ret_first->block + 1, end, true, ret_first); /* behind what that block holds */
	if (rc < 0 || ret_first->block >= end)
		return rc;
	uint64_t most = ret_first->block + RUN_BLOCKS_MOST;
	return find_edge(c, ret_first->block, end < most ? end : most, false, ret_last);
}

int content_next_data(Content *c, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end) {
	struct edge first = {0}, last = {0};
	(void)content_make_room(c->cache, false);
	pthread_mutex_lock(&c->lock);
	uint64_t size = c->size, end = (size + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES;
	int rc = offset < size ? find_run(c, offset, end, &first, &last) : 0;
	pthread_mutex_unlock(&c->lock);
	if (rc < 0)
		return rc;
	if (offset >= size || first.block >= end)
		return -ENXIO;
	uint64_t start = first.block * SEGMENT_BLOCK_BYTES, behind = last.block * SEGMENT_BLOCK_BYTES + last.reach;
	*ret_start = start > offset ? start : offset;
	*ret_end = behind < size ? behind : size;
	return 0;
}
