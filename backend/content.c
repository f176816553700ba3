/* Opening, reading, flushing and sealing. Changes are in content_write.c, the cache in content_cache.c. */
#include "backend/content.h"
#include "backend/content_internal.h"
#include "backend/segment_watch.h"
#include "backend/store_keys.h"
#include "backend/tree.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Finds out what is opened: in one meta operation. */
static int look_up(Meta *m, uint64_t node_id, uint64_t version_id, Content *c) {
	struct node node;
	struct version version = {0};
	int rc = tree_get(m, node_id, &node);
	if (rc < 0)
		return rc == -ESTALE ? fault(ENOENT, "there is no node %lu", (unsigned long)node_id) : rc;
	if (!S_ISREG(node.mode))
		return fault(EINVAL, "node %lu is not a regular file", (unsigned long)node_id);
	c->base = version_id ? version_id : node.version;
	if (c->base) {
		rc = version_get(m, c->base, &version);
		if (rc < 0)
			return rc;
		if (version.node != node_id)
			return fault(ENOENT, "version %lu is not of node %lu", (unsigned long)c->base,
			        (unsigned long)node_id);
		if (version.state == VERSION_ERASED || version.state == VERSION_DRAFT)
			return fault(ESTALE, "version %lu can't be read any more", (unsigned long)c->base);
	}
	c->rows = c->base;
	c->size = version.size;
	return 0;
}

int content_open(Store *store, uint64_t node, uint64_t version, Content **ret) {
	_cleanup_(freep) Content *c = calloc(1, sizeof *c);
	if (!c)
		return fault(ENOMEM, "no memory to open a file");
	c->store = store;
	c->cache = store_content_cache(store);
	c->node = node;
	c->frozen = version != 0 || store_is_read_only(store);
	c->cut = UINT64_MAX;
	Meta *m = store_meta(store);
	c->erasures = version_erasures(m);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_lock(&c->lock);
	content_tell_open(c);
	meta_begin(m);
	int rc = meta_end(m, look_up(m, node, version, c));
	pthread_mutex_unlock(&c->lock);
	if (rc < 0) {
		content_tell_closed(c);
		pthread_mutex_destroy(&c->lock);
		return rc;
	}
	*ret = steal_pointer(&c);
	return 0;
}

void content_close(Content *c) {
	if (c && content_is_dirty(c) && !c->reverted)
		(void)content_drop(c);
	content_abandon(c);
}

void content_abandon(Content *c) {
	if (!c)
		return;
	content_tell_closed(c);
	pthread_mutex_lock(&c->lock);
	items_drop_from(c, 0, 0);
	content_not_logged(c);
	if (c->draft)
		version_draft_release(store_meta(c->store), c->node);
	pthread_mutex_unlock(&c->lock);
	/* A thread that makes room may still hold the lock: it finds a content only by its items, so none comes any
	 * more. */
	pthread_mutex_lock(&c->cache->lock);
	while (c->pins > 0)
		pthread_cond_wait(&c->cache->unpinned, &c->cache->lock);
	pthread_mutex_unlock(&c->cache->lock);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

uint64_t content_size(Content *c) {
	pthread_mutex_lock(&c->lock);
	uint64_t size = c->size;
	pthread_mutex_unlock(&c->lock);
	return size;
}

void content_set_times(Content *c, int64_t mtime, int64_t ctime) {
	pthread_mutex_lock(&c->lock);
	c->times = (struct version_times){.mtime = mtime, .ctime = ctime};
	c->unlogged = true;
	pthread_mutex_unlock(&c->lock);
}

void content_attend(Content *c) {
	c->attended = true;
}

void content_written_by(Content *c, const struct actor *actor) {
	pthread_mutex_lock(&c->lock);
	c->writer = *actor;
	c->has_writer = true;
	pthread_mutex_unlock(&c->lock);
}

/* Another segment counts if it has another key. */
static void note_segment(Content *c, uint32_t number) {
	char name[KEYRING_NAME_MAX + 1], other[KEYRING_NAME_MAX + 1];
	uint32_t version = 0, other_version = 0;
	bool is_new = c->sealed_count < CONTENT_SEALED_MAX;
	segment_key_used(store_segments(c->store), number, name, &version);
	for (size_t i = 0; i < c->sealed_count && is_new; i++) {
		segment_key_used(store_segments(c->store), c->sealed_in[i], other, &other_version);
		is_new = version != other_version || strcmp(name, other) != 0;
	}
	if (is_new)
		c->sealed_in[c->sealed_count++] = number;
}

void content_note_sealed(Content *c, const struct block_ref *refs, size_t count) {
	for (size_t i = 0; i < count; i++) {
		if (refs[i].segment != c->sealed_last)
			note_segment(c, refs[i].segment);
		c->sealed_last = refs[i].segment;
	}
}

uint64_t content_node(const Content *c) {
	return c->node;
}

uint64_t content_version(Content *c) {
	pthread_mutex_lock(&c->lock);
	uint64_t version = c->draft ? c->draft : c->base;
	pthread_mutex_unlock(&c->lock);
	return version;
}

bool content_is_dirty(Content *c) {
	pthread_mutex_lock(&c->lock);
	bool dirty = c->draft != 0;
	pthread_mutex_unlock(&c->lock);
	return dirty;
}

static int look_for_base(Content *c) {
	struct version version = {0};
	Meta *m = store_meta(c->store);
	meta_begin(m);
	int rc = meta_end(m, version_get(m, c->base, &version));
	if (rc == 0 && version.state == VERSION_ERASED) {
		items_drop_from(c, 0, 0);
		c->is_erased = true;
	}
	return rc;
}

/* A draft is of its own: no version under one is erased (erase.h), but one that the daemon writes on nothing. */
int content_check_erased(Content *c) {
	uint64_t erasures = version_erasures(store_meta(c->store));
	bool is_due = c->erasures != erasures && !c->draft && !c->is_erased;
	int rc = is_due && c->base ? look_for_base(c) : 0;
	if (is_due && rc == 0)
		c->erasures = erasures;
	return rc == 0 && c->is_erased && !c->draft ? fault(ESTALE, "the file was erased") : rc;
}

static int load_page(Content *c, uint64_t page, struct block_ref ret_refs[static MAP_PAGE_REFS]) {
	size_t count = 0;
	int rc = 0;
	if (c->rows && page < c->cut) {
		Meta *m = store_meta(c->store);
		meta_begin(m);
		rc = meta_end(m, version_map_get(m, c->rows, page, ret_refs, &count));
	}
	if (rc == 0)
		memset(ret_refs + count, 0, (MAP_PAGE_REFS - count) * sizeof *ret_refs);
	return rc;
}

int content_page(Content *c, uint64_t page, struct item **ret_item) {
	struct item *item = item_find(c, ITEM_PAGE, page);
	if (item) {
		*ret_item = item;
		return 0;
	}
	_cleanup_(freep) struct block_ref *refs = malloc(MAP_PAGE_REFS * sizeof *refs);
	if (!refs)
		return fault(ENOMEM, "no memory for the map of a file");
	int rc = load_page(c, page, refs);
	if (rc == 0)
		rc = item_add_data(c, ITEM_PAGE, page, (uint8_t *)refs, &item);
	if (rc < 0)
		return rc;
	(void)steal_pointer(&refs);
	*ret_item = item;
	return 0;
}

/* ---- reading ---- */

#define STEP_BLOCKS (CONTENT_STEP_BYTES / SEGMENT_BLOCK_BYTES + 1)

/* One step of a read: what the blocks of [offset, offset + size) are. */
struct read_step {
	uint64_t offset;
	size_t size;
	size_t room; /* bytes that may be overwritten behind `out`: >= size */
	uint8_t *out;
	uint64_t first; /* block */
	size_t count;
	struct block_ref refs[STEP_BLOCKS];
	bool done[STEP_BLOCKS]; /* copied already */
};

/* The part of block i that the step wants: *ret_in its start in the block, *ret_to its place in out. */
static size_t part_of(const struct read_step *step, size_t i, size_t *ret_in, size_t *ret_to) {
	uint64_t start = (step->first + i) * SEGMENT_BLOCK_BYTES;
	uint64_t from = start > step->offset ? start : step->offset;
	uint64_t end = start + SEGMENT_BLOCK_BYTES;
	if (end > step->offset + step->size)
		end = step->offset + step->size;
	*ret_in = (size_t)(from - start);
	*ret_to = (size_t)(from - step->offset);
	return (size_t)(end - from);
}

/* With the lock: copies what is in memory, and notes where the rest lies. Blocks never change, so they can be read
 * without it. */
static int read_resolve(Content *c, struct read_step *step) {
	struct item *page = NULL;
	for (size_t i = 0; i < step->count; i++) {
		uint64_t block = step->first + i;
		struct item *item = c->blocks ? item_find(c, ITEM_BLOCK, block) : NULL;
		if (item) {
			/* What waits to be sealed under a key that was taken away is no more to be had than the rest.
			 */
			int rc = item->dirty ? content_zone_check(c) : 0;
			if (rc < 0)
				return rc;
			size_t in, to, size = part_of(step, i, &in, &to);
			memcpy(step->out + to, item->data + in, size);
			step->done[i] = true;
			continue;
		}
		if (!page || page->index != block / BLOCKS_PER_PAGE) {
			int rc = content_page(c, block / BLOCKS_PER_PAGE, &page);
			if (rc)
				return rc;
		}
		step->refs[i] = page->refs[block % BLOCKS_PER_PAGE];
		step->done[i] = false;
	}
	return 0;
}

/*
 * Keeps a block that was read, unless it is another by now. Takes `data` over if it does, and sets it to NULL. Of a
 * file that is too large for most of it to be kept nothing is: the next read would seldom find it (4 KiB at random
 * places of 256 MiB in memory: 33,000 reads a second without, 28,000 with).
 */
static void keep_block(Content *c, uint64_t block, const struct block_ref *ref, uint8_t **data) {
	pthread_mutex_lock(&c->lock);
	if (c->size > c->cache->bound / 2) {
		pthread_mutex_unlock(&c->lock);
		return;
	}
	struct item *page = item_find(c, ITEM_PAGE, block / BLOCKS_PER_PAGE), *item = NULL;
	bool is_same = page && memcmp(&page->refs[block % BLOCKS_PER_PAGE], ref, sizeof *ref) == 0;
	if (is_same && !item_find(c, ITEM_BLOCK, block) && item_add_data(c, ITEM_BLOCK, block, *data, &item) == 0) {
		*data = NULL;
		item->plain = ref->plain;
	}
	pthread_mutex_unlock(&c->lock);
}

/* A block of which only a part is wanted. */
static int read_edge(Content *c, const struct read_step *step, size_t i) {
	size_t in, to, size = part_of(step, i, &in, &to);
	if (block_ref_is_hole(&step->refs[i])) {
		memset(step->out + to, 0, size);
		return 0;
	}
	/* All of it that is more than zeros is wanted, so there is nothing to be kept for the next read. */
	if (in == 0 && size >= step->refs[i].plain) {
		memset(step->out + to + step->refs[i].plain, 0, size - step->refs[i].plain);
		return segment_read_plain(store_segments(c->store), &step->refs[i], step->out + to);
	}
	uint8_t *block = malloc(SEGMENT_BLOCK_BYTES);
	if (!block)
		return fault(ENOMEM, "no memory to read a block");
	int rc = segment_read(store_segments(c->store), &step->refs[i], 1, block);
	if (rc == 0) {
		memcpy(step->out + to, block + in, size);
		keep_block(c, step->first + i, &step->refs[i], &block);
	}
	if (block)
		secret_wipe(block, SEGMENT_BLOCK_BYTES);
	free(block);
	return rc;
}

/* Whether block i can be read straight into out, all of it. */
static bool fits(const struct read_step *step, size_t i) {
	uint64_t start = (step->first + i) * SEGMENT_BLOCK_BYTES;
	return !step->done[i] && start >= step->offset && start + SEGMENT_BLOCK_BYTES <= step->offset + step->room;
}

static int read_blocks(Content *c, const struct read_step *step) {
	int rc = 0;
	for (size_t i = 0; i < step->count && rc == 0;) {
		size_t n = 0;
		while (i + n < step->count && fits(step, i + n))
			n++;
		if (n > 0) {
			size_t to = (size_t)((step->first + i) * SEGMENT_BLOCK_BYTES - step->offset);
			rc = segment_read(store_segments(c->store), step->refs + i, n, step->out + to);
		} else if (!step->done[i]) {
			rc = read_edge(c, step, i);
		}
		i += n ? n : 1;
	}
	return rc;
}

static int note_segment_read(Content *c, uint32_t number, struct content_reader *reader) {
	char name[KEYRING_NAME_MAX + 1];
	uint32_t version;
	segment_key_used(store_segments(c->store), number, name, &version);
	const uint64_t key = key_uses_mark(name, version);
	int rc = key == reader->key ? 0 : store_key_used_alone(c->store, reader->actor, number, false, c->node);
	if (rc < 0)
		return rc;
	if (rc > 0)
		reader->recorded = true;
	reader->key = key;
	reader->segment = number;
	return 0;
}

/* Blocks that are in memory were a use of whoever brought them there. */
static int note_read(Content *c, const struct read_step *step, struct content_reader *reader) {
	int rc = 0;
	for (size_t i = 0; i < step->count && rc == 0; i++)
		if (!step->done[i] && !block_ref_is_hole(&step->refs[i]) && step->refs[i].segment != reader->segment)
			rc = note_segment_read(c, step->refs[i].segment, reader);
	return rc;
}

static int read_step(
        Content *c, uint64_t offset, uint8_t *out, size_t room, struct content_reader *reader, size_t *ret_got) {
	_scratch_ struct read_step step; /* with references of 2 KiB, which read_resolve sets */
	step.offset = offset;
	step.room = room;
	step.out = out;
	SegmentStore *segments = store_segments(c->store);
	unsigned turn = segment_use_begin(segments); /* the blocks are read without the lock, and must stay till then */
	pthread_mutex_lock(&c->lock);
	uint64_t left = offset < c->size ? c->size - offset : 0;
	step.size = left < room ? (size_t)left : room;
	if (step.size > CONTENT_STEP_BYTES)
		step.size = CONTENT_STEP_BYTES;
	step.first = offset / SEGMENT_BLOCK_BYTES;
	uint64_t end = (offset + step.size + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES;
	step.count = step.size ? (size_t)(end - step.first) : 0;
	int rc = content_check_erased(c);
	if (rc == 0)
		rc = read_resolve(c, &step);
	pthread_mutex_unlock(&c->lock);
	if (rc == 0)
		rc = read_blocks(c, &step);
	segment_use_end(segments, turn);
	if (rc == 0 && reader)
		rc = note_read(c, &step, reader);
	*ret_got = step.size;
	return rc;
}

int content_read(Content *c, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got) {
	return content_read_for(c, offset, out, size, ret_got, c->attended ? NULL : &c->daemon);
}

int content_read_for(
        Content *c, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got, struct content_reader *reader) {
	size_t got = 0;
	while (got < size) {
		size_t n = 0;
		(void)content_make_room(c->cache, false);
		int rc = read_step(c, offset + got, out + got, size - got, reader, &n);
		if (rc < 0)
			return rc;
		got += n;
		if (n < CONTENT_STEP_BYTES)
			break; /* all that was wanted, or the end of the file */
	}
	*ret_got = got;
	return 0;
}

/* ---- rows ---- */

/* A draft's row has the size that it has by now. */
static int put_draft(Content *c, Meta *m) {
	struct version draft = {
	        .id = c->draft, .node = c->node, .zone = (uint8_t)c->zone, .size = c->size, .base = c->rows};
	return version_draft_put(m, &draft);
}

/* How many references of a page may be other than holes: those of blocks that the file has. */
static size_t page_count(const Content *c, uint64_t page) {
	uint64_t blocks = c->size / SEGMENT_BLOCK_BYTES + (c->size % SEGMENT_BLOCK_BYTES > 0);
	uint64_t first = page * BLOCKS_PER_PAGE;
	uint64_t left = blocks > first ? blocks - first : 0;
	return left < BLOCKS_PER_PAGE ? (size_t)left : BLOCKS_PER_PAGE;
}

int content_put_rows(Content *c, Meta *m) {
	bool is_new = c->rows != c->draft;
	int rc = is_new ? put_draft(c, m) : 0;
	if (rc == 0 && c->cut != UINT64_MAX)
		rc = version_truncate_map(m, c->draft, c->cut);
	for (struct item *item = c->first; item && rc == 0; item = item->after) {
		if (item->kind == ITEM_PAGE && item->dirty)
			rc = version_map_put(m, c->draft, item->index, item->refs, page_count(c, item->index));
	}
	if (rc == 0 && c->size_changed && !is_new)
		rc = version_set_size(m, c->draft, c->size);
	return rc;
}

int content_record_sealed(Content *c) {
	int rc = 0;
	for (size_t i = 0; i < c->sealed_count && rc == 0; i++)
		rc = store_key_used(c->store, c->has_writer ? &c->writer : NULL, c->sealed_in[i], true, c->node);
	return rc;
}

void content_rows_kept(Content *c) {
	for (struct item *item = c->first; item; item = item->after) {
		if (item->kind == ITEM_PAGE)
			item->dirty = false;
		item->log_end = 0;
		item->log_counted = false;
	}
	c->rows = c->draft;
	c->sealed_count = 0;
	c->sealed_last = 0;
	c->cut = UINT64_MAX;
	c->size_changed = false;
	content_nothing_touched(c);
	content_not_logged(c);
}

static void draft_ended(Content *c) {
	version_draft_release(store_meta(c->store), c->node);
	c->draft = 0;
	c->rows = c->base;
	c->synced = c->reverted = false;
}

int content_seal(Content *c, enum origin origin, uint64_t verdict, const uint8_t sha256[32], content_sealed_fn *then,
        void *arg, struct version *ret_version) {
	struct version version = {0};
	pthread_mutex_lock(&c->lock);
	int rc = c->draft ? content_seal_all(c) : -ENODATA;
	if (rc < 0) {
		pthread_mutex_unlock(&c->lock);
		return rc;
	}
	Meta *m = store_meta(c->store);
	meta_begin(m);
	rc = content_put_rows(c, m);
	if (rc == 0)
		rc = version_seal_timed(
		        m, c->draft, origin, verdict, sha256, c->times.mtime ? &c->times : NULL, &version);
	if (rc == 0 && then)
		rc = then(m, &version, arg);
	if (rc == 0)
		rc = content_record_sealed(c); /* by the name that `then` gave it */
	rc = meta_end(m, rc);
	if (rc == 0) {
		content_rows_kept(c);
		c->base = version.id;
		c->is_erased = false;
		c->times = (struct version_times){0};
		draft_ended(c);
	}
	pthread_mutex_unlock(&c->lock);
	if (rc)
		return rc;
	if (ret_version)
		*ret_version = version;
	return 0;
}

/* The size that the sealed version has. */
static int drop_rows(Content *c, Meta *m, uint64_t *ret_size) {
	struct version version = {0};
	struct node node = {0};
	bool has_rows = c->rows == c->draft;
	int rc = has_rows ? version_drop(m, c->draft, &node.size) : 0;
	if (rc == 0 && has_rows)
		rc = tree_setattr(m, c->node, &node, TREE_SIZE, &node);
	if (!has_rows)
		version_let_go_more(m, c->size);
	if (rc == 0 && c->base)
		rc = version_get(m, c->base, &version);
	*ret_size = version.size;
	return rc;
}

void content_forget_changes(Content *c, uint64_t size) {
	items_drop_from(c, 0, 0);
	c->size = size;
	c->cut = UINT64_MAX;
	c->size_changed = false;
	content_nothing_touched(c);
}

int content_drop(Content *c) {
	pthread_mutex_lock(&c->lock);
	int rc = 0;
	if (c->draft) {
		uint64_t size = 0;
		Meta *m = store_meta(c->store);
		meta_begin(m);
		rc = meta_end(m, drop_rows(c, m, &size));
		if (rc == 0) {
			content_forget_changes(c, size);
			content_not_logged(c);
			c->times = (struct version_times){0};
			draft_ended(c);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}
