/* Marking: what refers to which closed segment. See gc.h for why it is complete. */
#include "backend/content_refs.h"
#include "backend/gc_internal.h"
#include "backend/version.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

static int take_rows(Gc *gc, const struct segment_row *rows, size_t n) {
	free(gc->segments);
	gc->hit = NULL;
	gc->count = 0;
	gc->segments = calloc(n ? n : 1, sizeof *gc->segments);
	if (!gc->segments)
		return fault(ENOMEM, "no memory to look at %zu segments", n);
	for (size_t i = 0; i < n; i++)
		gc->segments[i].row = rows[i];
	gc->count = n;
	return 0;
}

int gc_mark_begin(Gc *gc) {
	_cleanup_(freep) struct segment_row *rows = NULL;
	size_t n = 0;
	Meta *m = gc->store->meta;
	gc->page = gc->at = 0;
	gc->other = 0;
	gc->condemned = gc->dead = gc->live = 0;
	gc->again = gc->moved = gc->no_room = gc->has_waited = false;
	segment_watch_begin(gc->store->segments);
	content_visit_begin(gc->store->cache);
	meta_begin(m);
	gc->commit = meta_commit_id(m);
	gc->time = meta_now(m);
	int rc = map_page_last(m, &gc->last_page);
	if (rc == 0)
		rc = segment_closed_list(gc->store->segments, &rows, &n);
	rc = meta_end(m, rc);
	return rc < 0 ? rc : take_rows(gc, rows, n);
}

struct gc_segment *gc_find(Gc *gc, uint32_t number) {
	if (gc->hit && gc->hit->row.number == number)
		return gc->hit;
	size_t low = 0, high = gc->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (gc->segments[middle].row.number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == gc->count || gc->segments[low].row.number != number)
		return NULL;
	return gc->hit = &gc->segments[low];
}

uint64_t gc_live_bytes(const struct gc_segment *segment) {
	uint64_t blocks = 0;
	for (size_t i = 0; i < GC_WORDS; i++)
		blocks += (uint64_t)__builtin_popcountll(segment->starts[i]);
	uint64_t bytes = blocks * GC_BLOCK_BYTES;
	if (segment->referred < bytes)
		bytes = segment->referred;
	return bytes < segment->row.bytes ? bytes : segment->row.bytes;
}

static int mark_ref(Gc *gc, const struct block_ref *ref) {
	if (block_ref_is_hole(ref) || ref->segment == gc->other)
		return 0;
	struct gc_segment *segment = gc_find(gc, ref->segment);
	if (!segment) {
		if (!segment_is_known(gc->store->segments, ref->segment))
			return fault(EBADMSG, "a reference to segment %u, which the vault does not have", ref->segment);
		gc->other = ref->segment;
		return 0;
	}
	if (ref->position >= segment->row.bytes || ref->position >= SEGMENT_MAX_BYTES)
		return fault(EBADMSG, "a reference to position %u of segment %u, which ends before", ref->position,
		        ref->segment);
	uint32_t grain = ref->position / GC_GRAIN;
	segment->live = true;
	segment->referred += block_ref_stored(ref) + GC_BLOCK_BYTES - SEGMENT_BLOCK_BYTES;
	segment->starts[grain / 64] |= UINT64_C(1) << grain % 64;
	return 0;
}

static int mark_in_memory(void *arg, struct block_ref refs[static MAP_PAGE_REFS]) {
	int rc = 0;
	for (size_t i = 0; i < MAP_PAGE_REFS && rc == 0; i++)
		rc = mark_ref(arg, &refs[i]);
	return rc;
}

/* First of all what was appended before T0 and stands in no page yet is waited for. */
int gc_mark_memory(Gc *gc, bool *ret_done) {
	int rc = gc->has_waited ? 0 : segment_uses_wait(gc->store->segments);
	if (rc < 0)
		return rc;
	gc->has_waited = true;
	return content_visit_some(gc->store->cache, mark_in_memory, gc, ret_done);
}

struct slice {
	Gc *gc;
	size_t pages;
};

static int mark_page(void *arg, uint64_t id, uint64_t owner, const struct block_ref *refs, size_t count, bool hash_ok) {
	struct slice *slice = arg;
	(void)owner;
	int rc = hash_ok ? 0 : fault(EBADMSG, "map page %lu does not match its hash", (unsigned long)id);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = mark_ref(slice->gc, &refs[i]);
	slice->gc->page = id;
	slice->pages++;
	return rc < 0 ? rc : slice->pages == GC_PAGES_AT_ONCE;
}

int gc_mark_rows(Gc *gc, bool *ret_done) {
	struct slice slice = {.gc = gc};
	Meta *m = gc->store->meta;
	meta_begin(m);
	int rc = meta_end(m, map_page_list(m, gc->page, mark_page, &slice));
	*ret_done = slice.pages < GC_PAGES_AT_ONCE;
	return rc;
}
