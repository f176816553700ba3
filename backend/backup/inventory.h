/*
 * inventory: what a bucket has of a backup, from a listing and what was put since. In memory; all that shipping knows
 * of its progress.
 *
 * Of a segment it knows how far its extents reach from 0 without a gap. An object whose size is not what its name says
 * counts as not there; nor does an extent that shipping would not have cut so, which somebody else has put: one that
 * reaches into the next stretch of LAYOUT_EXTENT_BYTES, or beyond the segment's end (inventory_limit).
 */
#pragma once

#include "backend/backup/layout.h"
#include "backend/objects/objects.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inventory_extent {
	uint32_t from, to;
};

struct inventory_segment {
	uint8_t id[LAYOUT_ID_BYTES];
	uint32_t covered; /* bytes from 0 on that extents have */
	struct inventory_extent *extents;
	size_t extent_count, extent_room;
};

struct inventory_part {
	uint64_t pack;
	uint32_t part;
	uint64_t size;
};

struct inventory_audit {
	uint64_t first, size;
};

struct inventory_header {
	uint64_t generation;
	char hash[17];
};

struct inventory {
	uint64_t *supers; /* all arrays: rising */
	size_t super_count, super_room;
	struct inventory_segment *segments;
	size_t segment_count, segment_room;
	struct inventory_part *parts;
	size_t part_count, part_room;
	struct inventory_audit *audits;
	size_t audit_count, audit_room;
	struct inventory_header *headers;
	size_t header_count, header_room;
	uint64_t objects, bytes; /* that are ours */
};

/* Lists the place. An error leaves *ret as it was. */
int inventory_read(Objects *objects, struct inventory *ret);
void inventory_clear(struct inventory *inventory);

/* An object that is there now. Extents of a segment in order. -ENOMEM. */
int inventory_add(struct inventory *inventory, const char *name, uint64_t size);

/* Forgets what packs above `pack` there are: they belong to no superblock, and who knows who left them. */
void inventory_drop_parts_above(struct inventory *inventory, uint64_t pack);

/* The segment has so many bytes by now: an extent that goes beyond them is none of ours, and counts no more, also when
 * the segment has grown. Before anything is asked about it, once it was listed. */
void inventory_limit(struct inventory *inventory, const uint8_t id[static LAYOUT_ID_BYTES], uint64_t bytes);

/* How much there is of a segment; whether these objects are there. */
uint32_t inventory_covered(const struct inventory *inventory, const uint8_t id[static LAYOUT_ID_BYTES]);
bool inventory_has_part(const struct inventory *inventory, uint64_t pack, uint32_t part, uint64_t size);
bool inventory_has_audit(const struct inventory *inventory, uint64_t first, uint64_t size);
bool inventory_has_header(
        const struct inventory *inventory, uint64_t generation, const uint8_t hash[static LAYOUT_HASH_BYTES]);
/* Bytes of packs from `base` to `pack`. */
uint64_t inventory_pack_bytes(const struct inventory *inventory, uint64_t base, uint64_t pack);
