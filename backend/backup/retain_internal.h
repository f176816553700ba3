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
};

/*
 * Small extents, of a segment that was shipped while it grew, become one for each LAYOUT_EXTENT_BYTES once it is closed
 * (merge.c). merge_extents puts those that are lacking, up to a bound; the small ones are redundant at the next pass
 * that finds the large one there.
 */
int merge_extents(struct ship *ship, const struct listing *listing, struct retain_result *result);
bool merge_is_redundant(const struct listing *listing, const struct segment_row *row, const struct layout_name *extent);

/* The object's name again. */
void retain_name(const struct layout_name *name, char ret_text[static LAYOUT_NAME_BYTES]);
