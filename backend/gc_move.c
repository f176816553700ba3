/*
 * Moving what is alive out of segments that are nearly dead, so that a later walk finds them dead.
 *
 *     victims ─► map pages, by id ─► one that refers into a victim
 *                                      │ without a lock: the blocks are read (authenticated), and appended to the
 *                                      │ segment that their zone writes to; the table remembers old ─► new
 *                                      ▼
 *                                    ONE operation: the page's references, its hash, the hashes of its versions
 *             … after the last page ─► the same in the memory of open contents; a record `gc`
 *
 * A block that several pages refer to is moved once: the table holds for the whole pass. It is bounded; when it is full
 * the pass ends early. Whatever goes on referring to the old block (a page that was written meanwhile from memory, one
 * that is shown by so many versions that their hashes would take long) keeps the segment alive: moving decides nothing.
 */
#include "backend/content_refs.h"
#include "backend/gc_internal.h"
#include "backend/store_keys.h"
#include "backend/version.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A segment is nearly dead when less than one part in … of it is alive: when nobody asked, and when somebody did. */
#define NEARLY_DEAD 4u
#define NEARLY_DEAD_ASKED 2u
/* Segments in one pass, and what has to be dead in them all for a pass to pay. */
#define VICTIMS_MOST 64u
#define PAYS_BYTES ((uint64_t)1 << 20)
/* Blocks in one pass: 4 MiB of table, half a GiB of full blocks. */
#define TABLE_SLOTS 65536u
#define TABLE_MOST (TABLE_SLOTS / 2)
/* Hashes of pages that one operation may have to take: measured, 1 µs each while they are in memory, 20 when not. */
#define HASHES_MOST 2048u
/* Blocks that are read and appended at once. */
#define CHUNK SEGMENT_BATCH_BLOCKS

struct moved {
	struct block_ref old, new; /* a hole in `old`: the slot is free */
};

struct gc_mover {
	struct moved *slots; /* TABLE_SLOTS of them */
	size_t count;
	bool is_full, visiting;
	uint64_t blocks, bytes;
	/* The page under the lens. */
	uint64_t page;
	struct block_ref refs[MAP_PAGE_REFS];
	size_t ref_count;
	uint8_t *plain; /* CHUNK blocks */
};

void gc_mover_free(struct gc_mover *mover) {
	if (!mover)
		return;
	if (mover->plain)
		secret_wipe(mover->plain, CHUNK * SEGMENT_BLOCK_BYTES);
	free(mover->plain);
	free(mover->slots);
	free(mover);
}

/* ---- victims ---- */

bool gc_is_stuck(const Gc *gc, uint32_t number) {
	bool stuck = false;
	for (size_t i = 0; i < gc->stuck_count && !stuck; i++)
		stuck = gc->stuck[i] == number;
	return stuck || segment_key_check(gc->store->segments, number) < 0;
}

static bool is_nearly_dead(const Gc *gc, const struct gc_segment *segment) {
	uint64_t parts = gc->closes_all ? NEARLY_DEAD_ASKED : NEARLY_DEAD;
	return segment->live && gc_live_bytes(segment) < segment->row.bytes / parts &&
	       gc->stuck_count < GC_STUCK_MOST && !gc_is_stuck(gc, segment->row.number);
}

/* Those that must go, whatever it costs. */
static size_t choose_wanted(Gc *gc) {
	size_t victims = 0;
	for (size_t i = 0; i < gc->count && victims < VICTIMS_MOST; i++) {
		struct gc_segment *segment = &gc->segments[i];
		segment->victim = segment->wanted && segment->live && !gc_is_stuck(gc, segment->row.number);
		victims += segment->victim;
	}
	return victims;
}

bool gc_move_choose(Gc *gc) {
	uint64_t dead = 0;
	size_t wanted = choose_wanted(gc), victims = wanted;
	for (size_t i = 0; i < gc->count && victims < VICTIMS_MOST; i++) {
		struct gc_segment *segment = &gc->segments[i];
		if (!segment->wanted && is_nearly_dead(gc, segment)) {
			segment->victim = true;
			dead += segment->row.bytes - gc_live_bytes(segment);
			victims++;
		}
	}
	return wanted > 0 || (victims > 0 && dead >= PAYS_BYTES);
}

static struct gc_segment *victim_of(Gc *gc, const struct block_ref *ref) {
	struct gc_segment *segment = block_ref_is_hole(ref) ? NULL : gc_find(gc, ref->segment);
	return segment && segment->victim ? segment : NULL;
}

/* Nothing more of what the page refers to is moved, by this mount: something of it can't be. */
static void give_up(Gc *gc, const struct gc_mover *mover) {
	for (size_t i = 0; i < mover->ref_count; i++) {
		struct gc_segment *segment = victim_of(gc, &mover->refs[i]);
		if (!segment)
			continue;
		segment->victim = false;
		if (gc->stuck_count < GC_STUCK_MOST)
			gc->stuck[gc->stuck_count++] = segment->row.number;
	}
}

/* ---- old and new ---- */

static struct moved *slot_of(struct gc_mover *mover, const struct block_ref *old) {
	uint64_t mixed = ((uint64_t)old->segment << 32 | old->position) * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(mixed >> 48);
	while (!block_ref_is_hole(&mover->slots[at].old) &&
	        (mover->slots[at].old.segment != old->segment || mover->slots[at].old.position != old->position))
		at = (at + 1) % TABLE_SLOTS;
	return &mover->slots[at];
}
static_assert(TABLE_SLOTS == UINT64_C(1) << (64 - 48), "the hash fills the table");

static bool is_moved(struct gc_mover *mover, const struct block_ref *old) {
	return memcmp(&slot_of(mover, old)->old, old, sizeof *old) == 0;
}

static bool forward(void *arg, struct block_ref *ref) {
	Gc *gc = arg;
	if (!victim_of(gc, ref) || !is_moved(gc->mover, ref))
		return false;
	*ref = slot_of(gc->mover, ref)->new;
	return true;
}

/* ---- a page ---- */

static int look_at_page(
        void *arg, uint64_t id, uint64_t owner, const struct block_ref *refs, size_t count, bool hash_ok) {
	Gc *gc = arg;
	struct gc_mover *mover = gc->mover;
	bool hit = false;
	(void)owner;
	if (!hash_ok)
		return fault(EBADMSG, "map page %lu does not match its hash", (unsigned long)id);
	gc->page = id;
	for (size_t i = 0; i < count && !hit; i++)
		hit = victim_of(gc, &refs[i]) != NULL;
	if (hit) {
		mover->page = id;
		mover->ref_count = count;
		memcpy(mover->refs, refs, count * sizeof *refs);
	}
	return hit || ++gc->at == GC_PAGES_AT_ONCE;
}

/* The next page that refers into a victim; mover->page 0: none among those that were looked at. */
static int next_page(Gc *gc, struct map_owner *ret_owner, bool *ret_done) {
	struct gc_mover *mover = gc->mover;
	Meta *m = gc->store->meta;
	mover->page = 0;
	gc->at = 0;
	meta_begin(m);
	int rc = map_page_list(m, gc->page, look_at_page, gc);
	*ret_done = rc == 0 && mover->page == 0 && gc->at < GC_PAGES_AT_ONCE;
	if (rc == 0 && mover->page)
		rc = version_map_owner(m, mover->page, ret_owner);
	return meta_end(m, rc);
}

/* Which of the page's blocks to move next: up to CHUNK of those under the keys of *ret_like. */
static size_t pick(Gc *gc, size_t picked[static CHUNK], struct segment_row *ret_like) {
	struct gc_mover *mover = gc->mover;
	size_t n = 0;
	for (size_t i = 0; i < mover->ref_count && n < CHUNK; i++) {
		const struct gc_segment *segment = victim_of(gc, &mover->refs[i]);
		if (!segment || is_moved(mover, &mover->refs[i]))
			continue;
		if (n == 0)
			*ret_like = segment->row;
		if (segment->row.zone == ret_like->zone && strcmp(segment->row.own, ret_like->own) == 0)
			picked[n++] = i;
	}
	return n;
}

/* In the daemon's name: the owner is one of those that show the blocks. */
static int note_uses(
        Gc *gc, const struct map_owner *owner, const struct block_ref *old, const struct block_ref *new, size_t n) {
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (i == 0 || old[i].segment != old[i - 1].segment)
			rc = store_key_used_alone(gc->store, NULL, old[i].segment, false, owner->node);
		if (rc >= 0 && (i == 0 || new[i].segment != new[i - 1].segment))
			rc = store_key_used_alone(gc->store, NULL, new[i].segment, true, owner->node);
		rc = rc < 0 ? rc : 0;
	}
	return rc;
}

static int move_chunk(
        Gc *gc, const struct map_owner *owner, const size_t *picked, size_t n, const struct segment_row *like) {
	struct gc_mover *mover = gc->mover;
	struct block_ref old[CHUNK] = {0}, new[CHUNK];
	struct segment_block blocks[CHUNK];
	for (size_t i = 0; i < n; i++)
		old[i] = mover->refs[picked[i]];
	int rc = segment_read(gc->store->segments, old, n, mover->plain);
	for (size_t i = 0; i < n; i++)
		blocks[i] =
		        (struct segment_block){.plain = bytes_of(mover->plain + i * SEGMENT_BLOCK_BYTES, old[i].plain),
		                .node = owner->node,
		                .version = owner->version,
		                .offset = (owner->page * MAP_PAGE_REFS + picked[i]) * SEGMENT_BLOCK_BYTES};
	if (rc == 0)
		rc = segment_append_under(gc->store->segments, like->zone, like->own, blocks, n, new);
	if (rc == 0)
		rc = note_uses(gc, owner, old, new, n);
	for (size_t i = 0; i < n && rc == 0; i++) {
		*slot_of(mover, &old[i]) = (struct moved){old[i], new[i]};
		mover->count++;
		mover->blocks++;
		mover->bytes += old[i].plain;
	}
	return rc;
}

static int move_blocks(Gc *gc, const struct map_owner *owner) {
	struct gc_mover *mover = gc->mover;
	for (;;) {
		size_t picked[CHUNK];
		struct segment_row like = {0};
		size_t n = pick(gc, picked, &like);
		mover->is_full |= mover->count + CHUNK > TABLE_MOST;
		if (n == 0 || mover->is_full)
			return 0;
		int rc = store_space_check(gc->store, n * SEGMENT_BLOCK_BYTES);
		if (rc == 0)
			rc = move_chunk(gc, owner, picked, n, &like);
		if (rc < 0)
			return rc;
	}
}

static int change_page(Gc *gc) {
	bool changed = false;
	Meta *m = gc->store->meta;
	meta_begin(m);
	return meta_end(m, version_map_forward(m, gc->mover->page, forward, gc, &changed));
}

static bool leads_to_wanted(Gc *gc, const struct gc_mover *mover) {
	bool leads = false;
	for (size_t i = 0; i < mover->ref_count && !leads; i++) {
		const struct gc_segment *segment = victim_of(gc, &mover->refs[i]);
		leads = segment && segment->wanted;
	}
	return leads;
}

/* A block that can't be read, or a page that too many versions show: they stay where they are. What must go waits for
 * no hashes: of a page that a million rows show that is a second, in which nobody else comes to the database. */
static int move_page(Gc *gc, const struct map_owner *owner) {
	bool is_cheap = owner->hashes <= HASHES_MOST || leads_to_wanted(gc, gc->mover);
	int rc = is_cheap ? move_blocks(gc, owner) : -EFBIG;
	if (rc == 0)
		rc = change_page(gc);
	if (rc == -ENOSPC) {
		gc->mover->is_full = true;
		gc->no_room = leads_to_wanted(gc, gc->mover);
		return 0;
	}
	const bool is_locked = rc == -EKEYREVOKED || rc == -EKEYEXPIRED || rc == -ENOKEY || rc == -EACCES;
	if (is_locked) /* its key was taken away a moment ago */
		return 0;
	if (rc != -EBADMSG && rc != -EFBIG)
		return rc;
	give_up(gc, gc->mover);
	return 0;
}

/* ---- the end ---- */

static int change_memory(void *arg, struct block_ref refs[static MAP_PAGE_REFS]) {
	for (size_t i = 0; i < MAP_PAGE_REFS; i++)
		(void)forward(arg, &refs[i]);
	return 0;
}

static int record_moved(Gc *gc) {
	const struct gc_mover *mover = gc->mover;
	char words[128];
	Meta *m = gc->store->meta;
	if (mover->blocks == 0)
		return 0;
	(void)snprintf(words, sizeof words, "%lu block%s moved out of segments that are nearly dead",
	        (unsigned long)mover->blocks, mover->blocks == 1 ? "" : "s");
	meta_begin(m);
	return meta_end(m, store_record_event(gc->store,
	                           (struct audit_event){.event = "gc", .bytes = mover->bytes, .detail = words}));
}

static int end_pass(Gc *gc, bool *ret_done) {
	int rc = content_visit_some(gc->store->cache, change_memory, gc, ret_done);
	if (rc < 0 || !*ret_done)
		return rc;
	gc->moved = gc->mover->blocks > 0;
	gc->again |= gc->moved;
	pthread_mutex_lock(&gc->lock);
	gc->totals.moved += gc->mover->bytes;
	pthread_mutex_unlock(&gc->lock);
	return record_moved(gc);
}

static int begin_pass(Gc *gc) {
	struct gc_mover *mover = calloc(1, sizeof *mover);
	gc->mover = mover;
	gc->page = 0;
	if (mover) {
		mover->slots = calloc(TABLE_SLOTS, sizeof *mover->slots);
		mover->plain = malloc(CHUNK * SEGMENT_BLOCK_BYTES);
	}
	return mover && mover->slots && mover->plain ? 0 : fault(ENOMEM, "no memory to move blocks");
}

int gc_move(Gc *gc, bool *ret_done) {
	struct map_owner owner = {0};
	bool walked = false;
	int rc = gc->mover ? 0 : begin_pass(gc);
	if (rc < 0)
		return rc;
	if (gc->mover->visiting)
		return end_pass(gc, ret_done);
	rc = next_page(gc, &owner, &walked);
	if (rc == -ENOENT) /* nobody shows the page any more */
		return 0;
	if (rc == 0 && gc->mover->page)
		rc = move_page(gc, &owner);
	if (rc == 0 && (walked || gc->mover->is_full)) {
		gc->mover->visiting = true;
		content_visit_begin(gc->store->cache);
	}
	return rc;
}
