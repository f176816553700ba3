/*
 * gc: frees the disk space of blocks that nobody can reach any more.
 *
 * Such blocks are those that a draft wrote and overwrote before it was sealed, those of drafts that were dropped, and
 * those of versions that were erased. A block is alive when a map page of the database
 * refers to it, or the memory of an open content. A segment is removed as a whole, when no block of it is alive; from
 * one that has little alive the rest is moved out first (gc_move.c).
 *
 *     a walk                                                 … then a second walk, grace time and a commit later
 *
 *     T0 ─ which segments are closed                         T0 …
 *      │   notes are on: who copies a reference says so       │
 *      ├─ reads and writes under way at T0 have ended         ├─ …
 *      ├─ references in memory, content by content            ├─ …
 *      ├─ map pages of the database by id, in slices          ├─ …
 *     T1 ─ not marked, not noted: dead                       T1   dead again?
 *          └─► row gc.condemned.N (commit, time)                  │ all reads that began before T1 have ended
 *              marked again: the row goes                         ▼
 *                                            ONE transaction: row of the segment and gc.condemned.N out,
 *                                            gc.unlink.ID in, audit record `gc`
 *                                                                 │ commit, sync, checkpoint
 *                                                                 ▼
 *                                            the file is unlinked, its directory synced; then gc.unlink.ID goes
 *
 * Why nothing alive is missed, although the walk is sliced and the world goes on. Only segments closed before T0 are
 * looked at, so no new block comes into one, and a new reference can only be a copy of an old one.
 *   - A map page that stands in the database at T1 was put before T0 and not changed since, and then the walk has seen
 *     it: pages are walked by id, and new ids are above all old ones. Or it was put since, and then version_map_put has
 *     noted it. A rollback brings back only what stood there when the slice before or after it looked: a slice and an
 *     operation exclude each other.
 *   - A block that was appended before T0 stands in a page when the first content is visited: writes have been waited
 *     for, and other appends are made under the lock of the content that gets the reference.
 *   - A map page in memory at T1 was seen when its content was visited, under that content's lock; or it was loaded
 * from the database since; or it got a reference since then: of a block that was appended after T0, which no segment in
 * question has, or copied from another content, and then it is noted (share_block; content locks order the copy behind
 * the visit of either end, or before it).
 *   - A read that took its references before T1 is waited for before anything is removed.
 * So after T1 nothing refers to a dead segment, nor ever will: there is nothing to copy from. The second walk and the
 * grace time are there for what this reasoning has overlooked.
 *
 * Hints (bytes appended, segment.live, free space) say when a walk may pay. They never decide what is dead.
 *
 * Fails closed. A page that can't be read or does not match its hash, a reference to a segment that there is not or
 * behind its end, no memory: the walk is thrown away, nothing is condemned or removed, and the words go to the audit
 * log (`gc`, outcome error) and to the store's notice.
 *
 * A power loss at any point: before the transaction is durable the file is there; after it the next opening unlinks
 * what gc.unlink.ID names (gc_finish). The checkpoint keeps even `fsck --repair --accept-loss`, which goes back to the
 * last one, from finding rows of a file that is gone; where there is no room for it, it is done without.
 *
 * The segment with the highest number stays, dead or not: the next number is one more than it, and numbers are never
 * used again.
 *
 * What must go (gc_purge.c): the segments that held blocks of an erased version, and those that are to be sealed anew
 * under a newer version of their key (store_keys.h), each as a row gc.purge.N that is written in the operation that
 * erases, and so outlives a crash or an unmount until its segment's row goes. That makes a walk move out of a segment
 * whatever is alive in it, however much, and makes the walks follow each other; it makes nothing dead. All of the above
 * holds for such a segment as for any other: closed before T0, marked by nothing twice, a commit and the grace time
 * apart. So the bytes are on the disk for that long after the erasure, and longer while an open file's memory alone
 * refers to a block beside them, or a block that is alive can't be read (then nothing is moved: "stuck", until the next
 * mount tries again; where it is the key that can't be had, until it can).
 *   - Contents of what was erased, open for reading, are no references: they let go when they are visited, and each
 *     read of theirs finds that out before it looks up a reference (content_check_erased).
 *   - One that is being written is closed first: it can't be looked at otherwise.
 *   - One with the highest number gets a segment behind it, of one byte that nobody has: the rule stands.
 *   - Blocks that no map of the versions has, since they were overwritten before these were sealed or belong to copies
 *     that were given up, are found by who wrote them, in the directories of all segments: gc.seek, also durable.
 *
 * Work is done in steps: each holds the meta lock or a content's lock for a few milliseconds, and the thread rests
 * between them. Memory while it walks: 600 bytes for each closed segment, which is 64 MiB of the vault.
 * Lock order: takes content locks one at a time, then meta, then segments; holds none when it waits.
 */
#pragma once

#include "backend/store.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Gc Gc;

#define GC_GRACE_MS_DEFAULT 15000

/* What is done next. */
enum gc_stage {
	GC_IDLE,   /* no walk is under way: the next step begins one */
	GC_SEEK,   /* looking for segments that must go */
	GC_MEMORY, /* visiting open contents */
	GC_ROWS,   /* walking map pages */
	GC_JUDGE,  /* condemning and pardoning */
	GC_FREE,   /* removing what was dead twice */
	GC_MOVE,   /* moving blocks out of segments that are nearly dead */
};

/* What was found and done, by this mount. */
struct gc_totals {
	uint64_t walks, failures; /* that ended well, or not */
	uint64_t condemned;       /* segments, now */
	uint64_t removed, freed;  /* segments, and their bytes */
	uint64_t purged;          /* of those removed, such as had to go */
	uint64_t moved;           /* bytes of blocks */
	uint64_t dead;            /* bytes in closed segments that the last walk found dead, about */
	uint64_t live;            /* and alive */
};

/* For an open store that may be written; it must outlive the Gc. `grace_ms` 0: the default. */
int gc_open(Store *store, unsigned grace_ms, Gc **ret);

/* Stops the thread and frees. Accepts NULL. */
void gc_close(Gc *gc);

/* Starts the thread that walks when it may pay. */
int gc_start(Gc *gc);

/*
 * One step; *ret_stage (may be NULL) is the stage of the next one. Only by one thread: the Gc's own, or who did not
 * start it (tests). A failure has thrown the walk away; -EAGAIN: it waits for a read, call again.
 */
int gc_step(Gc *gc, enum gc_stage *ret_stage);

/* A whole walk: steps until idle again. */
int gc_walk(Gc *gc);

/* Any thread. */
void gc_totals(Gc *gc, struct gc_totals *ret);

/*
 * The segments that hold blocks of these versions are to go: in the operation that erases them, before it does. Reads
 * each map page of each version.
 */
int gc_purge_want(Store *store, Meta *m, const uint64_t *versions, size_t count);

/* The same of one segment. In an operation. */
int gc_purge_want_segment(Meta *m, uint32_t number);

/* The thread begins with what was wanted, rather than at the next mount: once nobody who copied the versions when they
 * were erased is still writing. Any thread. */
void gc_purge(Gc *gc);

struct gc_purging {
	uint64_t wanted;    /* segments that are to go and are there still */
	bool is_seeking;    /* more of them are looked for */
	uint64_t unlinking; /* files that are to be unlinked still, of any segments */
	uint64_t stuck;     /* of those wanted: something in them can't be read, so that they stay for now */
	uint64_t keyless;   /* of those stuck: until their key is enabled, or the vault unlocked */
	bool seek_waits;    /* what is_seeking tells of waits for a key, too */
	uint64_t removed;   /* such that are gone, by this mount */
	char trouble[FAULT_MESSAGE_BYTES]; /* why the last walk came to no end; "" */
};
/* Any thread, not between meta_begin and meta_end. */
int gc_purging(Gc *gc, struct gc_purging *ret);

/* Asks the thread for a walk that begins from now on, whether or not it may pay, and soon. Returns its number. Any
 * thread. */
uint64_t gc_ask(Gc *gc);

/* How far the walk of that number is. */
struct gc_progress {
	enum gc_stage stage;  /* of the walk under way */
	uint64_t done, total; /* of the stage, where that is known; else 0 */
	bool has_ended;       /* the walk of that number, or a later one */
	bool has_failed;      /* the last one, and `trouble` says why */
	bool is_settled;      /* the last one left nothing that a further one would be for */
	char trouble[FAULT_MESSAGE_BYTES];
};
void gc_progress(Gc *gc, uint64_t walk, struct gc_progress *ret);

/* Unlinks what an earlier mount had removed from the database and not yet from the disk. At opening, before others use
 * the store. What can't be unlinked stays for the next time; an error is one of the database. */
int gc_finish(Store *store);

/* Whether the file `name` ("segments/ab/…") is one that gc_finish would unlink. Between meta_begin and meta_end. */
bool gc_is_leaving(Meta *m, const char *name);
