/*
 * gc_internal: what the sources of gc share. Nobody else includes it.
 */
#pragma once

#include "backend/gc.h"
#include "backend/segment_format.h"
#include "backend/segment_watch.h"
#include "backend/store_internal.h"
#include "crypto/base/fault.h"

#include <pthread.h>

/* Rows of kv: condemned, by number: commit u64, time u64; unlink, by id in hexadecimal: bytes u64; purge, by number:
 * time u64; seek: how often that was asked for u64; asked: when a walk was asked for last, time u64. */
#define GC_KV_CONDEMNED "gc.condemned."
#define GC_KV_PURGE "gc.purge."
#define GC_KV_SEEK "gc.seek"
#define GC_KV_ASKED "gc.asked"
#define GC_KV_UNLINK "gc.unlink."
#define GC_KEY_BYTES 96

/* Segments that are judged, or removed, in one operation. */
#define GC_SEGMENTS_AT_ONCE 64
/* Segments that are remembered as not to be moved out of; when there are more, moving ends. */
#define GC_STUCK_MOST 256
/* Map pages that are walked in one operation: measured, 1 to 2.5 ms (4 at most), 1.5 s for all pages of 160 GiB. */
#define GC_PAGES_AT_ONCE 64

/* Where blocks begin, to 16 KiB: a full block with its tag is longer, so each has a bit of its own. Short and packed
 * ones share bits, and are counted by what refers to them, which is more where they are shared: the smaller figure is
 * the nearer one. */
#define GC_GRAIN SEGMENT_BLOCK_BYTES
/* What a full block takes in a segment, with tag, entry in the directory and its part of a batch header. */
#define GC_BLOCK_BYTES (SEGMENT_BLOCK_BYTES + SEGMENT_TAG_BYTES + SEGMENT_ENTRY_BYTES + 2)
#define GC_WORDS (SEGMENT_MAX_BYTES / GC_GRAIN / 64 + 1)

/* A closed segment that is looked at. */
struct gc_segment {
	struct segment_row row;
	bool live;                 /* something refers to it */
	bool doomed;               /* dead for the second time */
	bool victim;               /* what is alive of it is moved out */
	bool wanted;               /* it must go, whatever is alive of it (gc_purge.c) */
	uint64_t referred;         /* bytes of blocks, once for each reference */
	uint64_t starts[GC_WORDS]; /* a bit for GC_GRAIN: a live block begins there */
};

struct Gc {
	Store *store;
	int64_t grace_ns;

	/* The thread, and what others ask. */
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; /* leaf; guards what follows up to the next blank line */
	pthread_cond_t wake;
	bool stop;
	struct gc_totals totals;
	bool purge_asked, walk_asked;     /* since the last walk began */
	uint64_t begun, ended;            /* walks, however they ended */
	bool settled, last_failed;        /* the last walk: nothing is left for a further one; it did not end well */
	uint64_t stage_done, stage_total; /* and the stage that both are of: */
	enum gc_stage stage_shown;
	uint64_t stuck_wanted;   /* segments that must go and can't */
	uint64_t keyless_wanted; /* of these such whose key can't be had now */
	bool seek_waited;        /* the last round of seeking had to leave out what a key is needed for */
	char failed_words[FAULT_MESSAGE_BYTES]; /* of the last walk, "" when it went well */

	/* Of the walk: the stepping thread's alone. */
	enum gc_stage stage;
	struct gc_segment *segments; /* by number */
	size_t count;
	struct gc_segment *hit; /* the last that was looked up */
	uint32_t other;         /* a number that is no candidate's, but a segment's */
	uint64_t commit;        /* of T0 */
	int64_t time;           /* of T0 */
	uint64_t page;          /* map pages up to here were walked */
	uint64_t last_page;     /* the highest one when the walk began, for who watches */
	size_t at;              /* segments up to here were judged, or removed */
	uint64_t condemned;     /* and still are */
	uint64_t dead, live;
	uint32_t *wanted; /* numbers of segments that must go, ascending */
	size_t wanted_count, wanted_room;
	uint32_t seek_at;              /* segments up to here were looked into */
	uint64_t seek_round;           /* 0: none is under way */
	bool seek_waits;               /* for the key of a segment that could not be looked into */
	enum zone seek_zone;           /* of the segment that is looked into */
	uint32_t stuck[GC_STUCK_MOST]; /* segments out of which something can't be moved */
	size_t stuck_count;
	struct gc_mover *mover; /* NULL: no pass is under way */
	bool closes_all;        /* it was asked for: also what is being written is looked at */
	bool has_waited;        /* for what was under way at T0 */
	bool no_room;           /* to move something that must go */
	bool moved;             /* blocks, in this walk */
	bool again;             /* something was condemned that was not before, or moved: another walk is due */

	/* When to walk: the thread's alone. Monotonic times. */
	uint64_t changed;   /* bytes that this mount had appended and let go of when the last walk began */
	uint64_t uncounted; /* bytes that earlier mounts left in segments which no walk has looked at */
	uint64_t stored;    /* in all segments, after the last walk */
	unsigned share;     /* a walk pays when one part in so many of that has been appended */
	int64_t last_ns;    /* end of the last walk */
	int64_t again_ns;   /* another one then; INT64_MAX: only when it pays */
	bool failed;        /* the last one did */
	char told[FAULT_MESSAGE_BYTES];
};

/* gc_purge.c */
int gc_seek(Gc *gc, bool *ret_done);
void gc_purge_key(uint32_t number, char ret_key[static GC_KEY_BYTES]);

/* gc_mark.c */
int gc_mark_begin(Gc *gc);
int gc_mark_memory(Gc *gc, bool *ret_done);
int gc_mark_rows(Gc *gc, bool *ret_done);
struct gc_segment *gc_find(Gc *gc, uint32_t number);
/* Live bytes, about. */
uint64_t gc_live_bytes(const struct gc_segment *segment);

/* gc_free.c */
int gc_judge(Gc *gc, bool *ret_done);
int gc_free(Gc *gc, bool *ret_done);

/* gc_move.c. choose: whether a pass pays. stuck: nothing more is moved out of the segment, by this mount, or while its
 * key can't be had. */
bool gc_move_choose(Gc *gc);
bool gc_is_stuck(const Gc *gc, uint32_t number);
int gc_move(Gc *gc, bool *ret_done);
void gc_mover_free(struct gc_mover *mover);
