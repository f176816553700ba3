/* Changes of a content: write, truncate, clone, drafts, sealing what waits in memory. */
#include "backend/content_internal.h"
#include "backend/segment_watch.h"
#include "backend/tree.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

/* Small writes in order are sealed when they have filled so many blocks: one full batch. */
#define RUN_BLOCKS SEGMENT_BATCH_BLOCKS
#define STEP_BLOCKS (CONTENT_STEP_BYTES / SEGMENT_BLOCK_BYTES + 1)
#define STEP_PAGES (STEP_BLOCKS / BLOCKS_PER_PAGE + 2)

/* ---- drafts ---- */

/* The draft goes on with what stands, and is sealed as that is; or it begins on nothing, and its place says how. */
static int choose_key(Content *c, Meta *m, const struct node *node, bool empty, char own[static OWN_KEY_BYTES]) {
	SegmentStore *segments = store_segments(c->store);
	bool has_blocks = false;
	int rc = 0;
	if (c->has_wish)
		memcpy(own, c->wish, OWN_KEY_BYTES);
	else
		rc = store_choose_key(c->store, node, own);
	if (!empty && c->base && c->size > 0 && (rc < 0 || own[0] || segment_any_own(segments))) {
		int found = content_own_of(segments, m, c->base, own, &has_blocks);
		rc = has_blocks || found < 0 ? found : rc;
	}
	return rc < 0 ? rc : content_own_check(segments, m, own);
}

static int make_draft(Content *c, Meta *m, bool empty, char own[static OWN_KEY_BYTES], struct version *ret_version) {
	struct node node;
	int rc = tree_get(m, c->node, &node);
	if (rc == 0)
		rc = choose_key(c, m, &node, empty, own);
	if (rc == 0)
		rc = version_draft_reserve(m, c->node, empty ? 0 : c->base, (enum zone)node.zone, ret_version);
	if (rc == -EEXIST)
		return fault(
		        EIO, "a synced change of this file could not be kept as a version yet; mount the vault again");
	return rc;
}

int content_ensure_draft(Content *c, bool empty) {
	if (c->draft)
		return 0;
	if (c->frozen)
		return fault(EROFS, "this version of the file can't be changed");
	int gone = empty ? 0 : content_check_erased(c);
	if (gone < 0)
		return gone;
	struct version version = {0};
	char own[OWN_KEY_BYTES] = "";
	Meta *m = store_meta(c->store);
	meta_begin(m);
	int made = make_draft(c, m, empty, own, &version);
	int rc = meta_end(m, made);
	if (rc < 0 && made == 0)
		version_draft_release(m, c->node);
	if (rc)
		return fault_while(rc, "beginning a new version");
	c->draft = version.id;
	c->rows = version.base;
	c->zone = (enum zone)version.zone;
	memcpy(c->own, own, sizeof c->own);
	if (empty) {
		items_drop_from(c, 0, 0);
		c->size = 0;
	}
	return 0;
}

int content_touch(Content *c) {
	pthread_mutex_lock(&c->lock);
	int rc = content_ensure_draft(c, false);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* ---- sealing what waits in memory ---- */

static void page_set(struct item *page, uint64_t block, const struct block_ref *ref) {
	page->refs[block % BLOCKS_PER_PAGE] = *ref;
	page->dirty = true;
	content_beyond_log(page->owner);
}

static struct segment_block block_of(const Content *c, uint64_t draft, uint64_t block, struct bytes plain) {
	return (struct segment_block){
	        .plain = plain, .node = c->node, .version = draft, .offset = block * SEGMENT_BLOCK_BYTES};
}

/* Seals up to SEGMENT_BATCH_BLOCKS dirty block items; the full ones are gone then, parts stay as clean ones. Whatever
 * can fail comes before any change. */
static int seal_items(Content *c, struct item *const *items, size_t n) {
	struct segment_block blocks[SEGMENT_BATCH_BLOCKS];
	struct block_ref refs[SEGMENT_BATCH_BLOCKS];
	struct item *pages[SEGMENT_BATCH_BLOCKS];
	for (size_t i = 0; i < n; i++) {
		int rc = content_page(c, items[i]->index / BLOCKS_PER_PAGE, &pages[i]);
		if (rc)
			return rc;
		blocks[i] = block_of(c, c->draft, items[i]->index, bytes_of(items[i]->data, items[i]->plain));
	}
	int rc = segment_append_under(store_segments(c->store), c->zone, c->own, blocks, n, refs);
	if (rc < 0)
		return rc;
	content_note_sealed(c, refs, n);
	for (size_t i = 0; i < n; i++) {
		page_set(pages[i], items[i]->index, &refs[i]);
		items[i]->dirty = false;
		if (items[i]->plain == SEGMENT_BLOCK_BYTES)
			item_drop(c, items[i]);
	}
	return 0;
}

static int by_index(const void *a, const void *b) {
	const struct item *const *one = a, *const *other = b;
	return ((*one)->index > (*other)->index) - ((*one)->index < (*other)->index);
}

/* Seals items that were gathered, in the order of the file, so that neighbours are read in one go later. */
static int seal_gathered(Content *c, struct item **items, size_t n) {
	int rc = 0;
	qsort(items, n, sizeof *items, by_index);
	for (size_t i = 0; i < n && rc == 0; i += SEGMENT_BATCH_BLOCKS)
		rc = seal_items(c, items + i, n - i < SEGMENT_BATCH_BLOCKS ? n - i : SEGMENT_BATCH_BLOCKS);
	return rc;
}

static int seal_where(Content *c, uint64_t first, uint64_t end, size_t most) {
	size_t n = 0;
	for (struct item *item = c->first; item && n < most; item = item->after)
		n += item->kind == ITEM_BLOCK && item->dirty;
	if (n == 0)
		return 0;
	struct item **items = malloc(n * sizeof *items);
	if (!items)
		return fault(ENOMEM, "no memory to seal %zu blocks", n);
	size_t count = 0;
	for (struct item *item = c->first; item && count < n; item = item->after) {
		if (item->kind == ITEM_BLOCK && item->dirty && item->index >= first && item->index < end)
			items[count++] = item;
	}
	int rc = seal_gathered(c, items, count);
	free(items);
	return rc;
}

int content_seal_all(Content *c) {
	return seal_where(c, 0, UINT64_MAX, SIZE_MAX);
}

int content_seal_oldest(Content *c, size_t most) {
	return seal_where(c, 0, UINT64_MAX, most);
}

/* By index, since a run of small writes seals often and the list may be long. */
int content_seal_range(Content *c, uint64_t first, uint64_t n) {
	struct item *items[RUN_BLOCKS];
	int rc = 0;
	for (uint64_t at = first; at < first + n && rc == 0;) {
		size_t count = 0;
		for (; at < first + n && count < RUN_BLOCKS; at++) {
			struct item *item = item_find(c, ITEM_BLOCK, at);
			if (item && item->dirty)
				items[count++] = item;
		}
		rc = count ? seal_items(c, items, count) : 0;
	}
	return rc;
}

/* ---- writing ---- */

int content_block_for_write(Content *c, uint64_t block, size_t in, size_t size, struct item **ret_item) {
	struct item *page, *item = item_find(c, ITEM_BLOCK, block);
	if (item) {
		*ret_item = item;
		return 0;
	}
	/* What could not be sealed is refused now, not when it is closed. */
	int rc = c->draft ? content_zone_check(c) : 0;
	if (rc == 0)
		rc = content_page(c, block / BLOCKS_PER_PAGE, &page);
	if (rc == 0)
		rc = item_add(c, ITEM_BLOCK, block, &item);
	if (rc)
		return rc;
	const struct block_ref *ref = &page->refs[block % BLOCKS_PER_PAGE];
	if (!block_ref_is_hole(ref) && (in > 0 || size < ref->plain)) {
		rc = segment_read(store_segments(c->store), ref, 1, item->data);
		item->plain = ref->plain; /* also of what failed: it is wiped */
		if (rc < 0) {
			item_drop(c, item);
			return rc;
		}
	}
	*ret_item = item;
	return 0;
}

/*
 * One step of a write. Everything that can fail is done first; then the file changes from one state to the next.
 *
 *     ┌─ head ─┬─ whole blocks: sealed from the caller's memory ─┬─ tail ─┐
 *
 * Whole blocks are sealed without the content's lock: the kernel writes back a megabyte in each of several requests,
 * and their sealing is most of the work.
 */
struct write_step {
	uint64_t offset;
	struct bytes data;
	uint64_t draft; /* the blocks were sealed for */
	enum zone zone;
	char own[OWN_KEY_BYTES];
	uint64_t first_whole, whole; /* blocks */
	struct item *head, *tail;    /* NULL: none; the same for a write inside one block */
	struct block_ref refs[STEP_BLOCKS];
	struct item *pages[STEP_PAGES];
};

static void step_divide(struct write_step *step) {
	uint64_t end = step->offset + step->data.size;
	uint64_t first = (step->offset + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES;
	uint64_t last = end / SEGMENT_BLOCK_BYTES;
	step->first_whole = first;
	step->whole = last > first ? last - first : 0;
}

/* Where the whole blocks begin in the step's data. */
static size_t whole_start(const struct write_step *step) {
	return step->whole ? (size_t)(step->first_whole * SEGMENT_BLOCK_BYTES - step->offset) : step->data.size;
}

static int prepare_edges(Content *c, struct write_step *step) {
	uint64_t end = step->offset + step->data.size;
	size_t in = step->offset % SEGMENT_BLOCK_BYTES;
	uint64_t head = step->offset / SEGMENT_BLOCK_BYTES, tail = (end - 1) / SEGMENT_BLOCK_BYTES;
	int rc = 0;
	if (step->whole == 0 || head < step->first_whole) {
		size_t room = SEGMENT_BLOCK_BYTES - in;
		rc = content_block_for_write(c, head, in, step->data.size < room ? step->data.size : room, &step->head);
	}
	if (rc == 0 && tail != head && end % SEGMENT_BLOCK_BYTES != 0)
		rc = content_block_for_write(c, tail, 0, end % SEGMENT_BLOCK_BYTES, &step->tail);
	return rc;
}

/* Without the lock. */
static int seal_whole(Content *c, struct write_step *step) {
	struct segment_block blocks[STEP_BLOCKS];
	if (step->whole == 0)
		return 0;
	const uint8_t *from = step->data.data + whole_start(step);
	for (size_t i = 0; i < step->whole; i++)
		blocks[i] = block_of(c, step->draft, step->first_whole + i,
		        bytes_of(from + i * SEGMENT_BLOCK_BYTES, SEGMENT_BLOCK_BYTES));
	return segment_append_under(store_segments(c->store), step->zone, step->own, blocks, step->whole, step->refs);
}

static int load_pages(Content *c, struct write_step *step) {
	if (step->whole == 0)
		return 0;
	uint64_t first_page = step->first_whole / BLOCKS_PER_PAGE;
	uint64_t last_page = (step->first_whole + step->whole - 1) / BLOCKS_PER_PAGE;
	for (uint64_t page = first_page; page <= last_page; page++) {
		int rc = content_page(c, page, &step->pages[page - first_page]);
		if (rc)
			return rc;
	}
	return 0;
}

void content_put_bytes(struct item *item, size_t in, const uint8_t *from, size_t size) {
	memcpy(item->data + in, from, size);
	if (in + size > item->plain)
		item->plain = (uint16_t)(in + size);
	item->dirty = true;
	content_touched(item->owner, item, in, in + size);
}

static void apply(Content *c, struct write_step *step) {
	size_t in = step->offset % SEGMENT_BLOCK_BYTES;
	size_t head = SEGMENT_BLOCK_BYTES - in;
	content_note_sealed(c, step->refs, step->whole);
	if (step->head)
		content_put_bytes(step->head, in, step->data.data, head < step->data.size ? head : step->data.size);
	for (size_t i = 0; i < step->whole; i++) {
		uint64_t block = step->first_whole + i;
		struct item *old = item_find(c, ITEM_BLOCK, block);
		if (old)
			item_drop(c, old);
		page_set(step->pages[block / BLOCKS_PER_PAGE - step->first_whole / BLOCKS_PER_PAGE], block,
		        &step->refs[i]);
	}
	if (step->tail) {
		size_t size = (step->offset + step->data.size) % SEGMENT_BLOCK_BYTES;
		content_put_bytes(step->tail, 0, step->data.data + step->data.size - size, size);
	}
	if (step->offset + step->data.size > c->size) {
		c->size = step->offset + step->data.size;
		content_grown(c);
	}
}

/* Notes how far writes in order have come, and seals what they have filled; but what small fsyncs go on with waits for
 * the next commit, as a block that is sealed needs one. */
static int note_run(Content *c, const struct write_step *step) {
	uint64_t end = step->offset + step->data.size;
	if (step->offset != c->run_next)
		c->run_start = step->offset / SEGMENT_BLOCK_BYTES;
	c->run_next = end;
	uint64_t filled = end / SEGMENT_BLOCK_BYTES;
	if (filled < c->run_start + RUN_BLOCKS)
		return 0;
	uint64_t start = c->run_start;
	c->run_start = filled;
	if (c->logged)
		return 0;
	return content_seal_range(c, start, filled - start);
}

/* With the lock: the blocks that were sealed become the file's. */
static int put_step(Content *c, struct write_step *step) {
	int rc = prepare_edges(c, step);
	if (rc == 0)
		rc = load_pages(c, step);
	if (rc) {
		/* An item that was to be overwritten whole was never loaded: it must not be taken for what stands
		 * there. A clean one can be had again. */
		if (step->head && !step->head->dirty)
			item_drop(c, step->head);
		if (step->tail && !step->tail->dirty)
			item_drop(c, step->tail);
		return rc;
	}
	apply(c, step);
	/* The write itself is done: if sealing the run fails now, it is tried again when the content is flushed, which
	 * will say so. */
	(void)note_run(c, step);
	return 0;
}

/* The draft that a step writes into, which another may have sealed since the step's blocks were: they are good for the
 * next one as well, unless it is sealed under another key (-EAGAIN). With the lock. */
static int step_draft(Content *c, struct write_step *step, bool is_sealed) {
	int rc = content_ensure_draft(c, false);
	if (rc == 0 && is_sealed && (c->zone != step->zone || strcmp(c->own, step->own) != 0))
		return -EAGAIN;
	step->draft = c->draft;
	step->zone = c->zone;
	memcpy(step->own, c->own, sizeof step->own);
	return rc;
}

static int write_step(Content *c, uint64_t offset, struct bytes data) {
	struct write_step step = {.offset = offset, .data = data};
	SegmentStore *segments = store_segments(c->store);
	unsigned turn = segment_use_begin(segments); /* blocks that are sealed stand in no page for a while */
	step_divide(&step);
	pthread_mutex_lock(&c->lock);
	int rc = step_draft(c, &step, false);
	if (step.whole > 0) {
		pthread_mutex_unlock(&c->lock);
		rc = rc < 0 ? rc : seal_whole(c, &step);
		pthread_mutex_lock(&c->lock);
		rc = rc < 0 ? rc : step_draft(c, &step, true);
	}
	if (rc == 0)
		rc = put_step(c, &step);
	pthread_mutex_unlock(&c->lock);
	segment_use_end(segments, turn);
	return rc;
}

int content_write(Content *c, uint64_t offset, struct bytes data) {
	if (offset > INT64_MAX || data.size > INT64_MAX - offset)
		return fault(EFBIG, "a file can't be longer than %lu bytes", (unsigned long)INT64_MAX);
	int rc = 0;
	for (size_t done = 0; done < data.size && rc == 0;) {
		size_t size = data.size - done < CONTENT_STEP_BYTES ? data.size - done : CONTENT_STEP_BYTES;
		rc = store_space_check(c->store, size);
		if (rc == 0)
			rc = content_make_room(c->cache, true);
		if (rc < 0)
			break;
		do
			rc = write_step(c, offset + done, bytes_of(data.data + done, size));
		while (rc == -EAGAIN);
		done += size;
	}
	return rc;
}

/* ---- truncating ---- */

/* Cuts the block that `size` is in, so that nothing stands behind it. */
static int cut_block(Content *c, uint64_t size) {
	size_t in = size % SEGMENT_BLOCK_BYTES;
	uint64_t block = size / SEGMENT_BLOCK_BYTES;
	if (in == 0)
		return 0;
	struct item *page, *item = item_find(c, ITEM_BLOCK, block);
	if (!item) {
		int rc = content_page(c, block / BLOCKS_PER_PAGE, &page);
		if (rc || page->refs[block % BLOCKS_PER_PAGE].plain <= in)
			return rc;
		rc = content_block_for_write(c, block, 1, 0, &item);
		if (rc)
			return rc;
	}
	if (item->plain > in) {
		memset(item->data + in, 0, SEGMENT_BLOCK_BYTES - in);
		item->plain = (uint16_t)in;
		item->dirty = true;
	}
	return 0;
}

static int shrink(Content *c, uint64_t size) {
	uint64_t block = (size + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES; /* the first that goes */
	uint64_t page = (block + BLOCKS_PER_PAGE - 1) / BLOCKS_PER_PAGE;
	struct item *edge = NULL;
	int rc = 0;
	if (block % BLOCKS_PER_PAGE != 0)
		rc = content_page(c, block / BLOCKS_PER_PAGE, &edge);
	if (rc == 0)
		rc = cut_block(c, size);
	if (rc)
		return rc;
	content_beyond_log(c);
	items_drop_from(c, block, page);
	if (edge) {
		size_t keep = block % BLOCKS_PER_PAGE;
		memset(edge->refs + keep, 0, (BLOCKS_PER_PAGE - keep) * sizeof *edge->refs);
		edge->dirty = true;
	}
	if (page < c->cut)
		c->cut = page;
	return 0;
}

static int truncate_locked(Content *c, uint64_t size) {
	/* Emptied as a whole: what stood there need not be looked at, and may even be sealed for another zone. */
	int rc = content_ensure_draft(c, size == 0);
	if (rc == 0 && size < c->size)
		rc = shrink(c, size);
	if (rc < 0)
		return rc;
	if (size != c->size)
		content_grown(c);
	c->size = size;
	return 0;
}

int content_truncate(Content *c, uint64_t size) {
	if (size > INT64_MAX)
		return fault(EFBIG, "a file can't be longer than %lu bytes", (unsigned long)INT64_MAX);
	int rc = store_space_check(c->store, 0);
	if (rc == 0)
		rc = content_make_room(c->cache, true);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	rc = truncate_locked(c, size);
	pthread_mutex_unlock(&c->lock);
	return rc;
}
