/*
 * segment_watch: what garbage collection (gc.h) needs of the segments: which are closed, which are referred to anew
 * while it looks, who has references in hand that stand nowhere or that he took earlier, and how a segment leaves.
 *
 *     segment_watch_begin ── everything that refers is walked, in slices ── segment_watch_end
 *           └─ meanwhile segment_note marks the segment of each reference that somebody copies
 *
 *     a read:  segment_use_begin ── looks up references ─── reads the blocks, without a lock ──── segment_use_end
 *     a write: segment_use_begin ── appends blocks, without a lock ── puts them into a page ───── segment_use_end
 *           └─ segment_uses_wait: all that began before it have ended, so nobody has an older reference in hand
 *
 * Thread-safe, and leaves of the lock order as all of segment.h.
 */
#pragma once

#include "backend/segment.h"

/* Bytes that this mount has appended. */
uint64_t segment_appended(SegmentStore *s);

/*
 * The segments that nothing is appended to any more and of which the database knows that, by number; *ret_rows is the
 * caller's to free. Between meta_begin and meta_end, so that no commit is half-way.
 */
int segment_closed_list(SegmentStore *s, struct segment_row **ret_rows, size_t *ret_count);

/* Whether there is a segment of that number. */
bool segment_is_known(SegmentStore *s, uint32_t number);

/* The segment with the next number above; 0: there is none. */
uint32_t segment_next(SegmentStore *s, uint32_t number);

/* From now on, and until watch_end, references are noted; earlier notes are forgotten. */
void segment_watch_begin(SegmentStore *s);
void segment_watch_end(SegmentStore *s);

/* To be called when references are copied to another place, before they can vanish from the first: by the thread that
 * holds both places. Costs a look at a flag while nobody watches. */
void segment_note(SegmentStore *s, const struct block_ref *refs, size_t n);

/* Whether a reference into the segment was noted since segment_watch_begin. */
bool segment_noted(SegmentStore *s, uint32_t number);

/* Around every use of references that are held without the lock of the content they are of: between being looked up
 * and read, or between being appended and put into a map page. */
unsigned segment_use_begin(SegmentStore *s);
void segment_use_end(SegmentStore *s, unsigned turn);

/* Returns when all uses that had begun before the call have ended. -EAGAIN: not within a second; ask again. */
int segment_uses_wait(SegmentStore *s);

/*
 * Forgets a closed segment whose row the database has removed for good; its file's name goes to `ret_name`. Reading it
 * is -EBADMSG from now on. Its number is not used again. -EBUSY: somebody reads it; -ENOENT.
 */
int segment_forget(SegmentStore *s, uint32_t number, char ret_name[static SEGMENT_NAME_BYTES]);
