/* retain_internal: what a Retain remembers. */
#pragma once

#include "backend/backup/retain.h"

struct retain_entry {
	struct layout_name name;
	uint64_t size;
	int64_t modified_s;
	int64_t unneeded_s;      /* the pass that first found it so; 0: it is needed */
	int64_t locked_until_s;  /* as it was renewed; 0: as it was put */
	int64_t refused_until_s; /* not tried again before */
	int64_t lock_again_s;    /* nor renewing its lock */
	int64_t damaged_until_s; /* a superblock that does not open is not read again before; 0 */
	bool is_proven;          /* an extent that has the bytes of the local segment */
	bool is_gone;
};

struct listing {
	struct retain_entry *entries; /* in order of names */
	size_t count, room;
};

struct generation {
	uint64_t number;
	int64_t time_ns;
	uint64_t base, pack, header;
	uint8_t header_hash[LAYOUT_HASH_BYTES];
	bool is_there, is_kept;
};

struct Retain {
	unsigned grace_s;
	struct retain_entry *entries; /* of the last pass, in order of names */
	size_t count;
	struct generation *generations; /* by number */
	size_t generation_count, room;
	struct layout_name *put; /* extents that the last pass put */
	size_t put_count, put_room;
	bool is_judged; /* what is needed is known, or can't be: see is_renewal_due */
	int lock_rc;    /* of the last renewal that failed, and its words */
	char lock_words[FAULT_MESSAGE_BYTES];
};

/*
 * Small extents, of a segment that was shipped while it grew, become one for each LAYOUT_EXTENT_BYTES once it is closed
 * (merge.c), if there are some of them or two overlap. merge_extents puts those that are lacking, up to a bound. A
 * large one is believed only when this mount put it, or it was read back and is what the sound local segment has
 * (`is_proven`): anyone may have put one of that name. One that is something else is put anew. The small ones are
 * redundant at the next pass that finds it proven.
 */
int merge_extents(Retain *retain, struct ship *ship, struct listing *listing, struct retain_result *result);

/* After a listing: what the last pass put is proven. */
void merge_note_proven(Retain *retain, struct listing *listing);

/* Whether a larger extent that is proven has all that this one has. */
bool merge_is_redundant(const struct listing *listing, const struct segment_row *row, const struct layout_name *extent);

/* The object's name again. */
void retain_name(const struct layout_name *name, char ret_text[static LAYOUT_NAME_BYTES]);
