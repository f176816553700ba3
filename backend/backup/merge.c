/* Merging small extents: see retain_internal.h. */
#include "backend/backup/retain_internal.h"

#include <string.h>

/* So many in one stretch of LAYOUT_EXTENT_BYTES are worth to be put again as one. */
#define MERGE_LEAST 4
#define MERGE_BYTES ((uint64_t)256 << 20)

/* Of two extents, in order of their names. */
static int compare(const struct layout_name *one, const struct layout_name *other) {
	int order = memcmp(one->id, other->id, LAYOUT_ID_BYTES);
	if (order == 0)
		order = (one->from > other->from) - (one->from < other->from);
	return order ? order : (one->to > other->to) - (one->to < other->to);
}

/* The first entry that is no extent before `name`. */
static size_t place_of(const struct listing *listing, const struct layout_name *name) {
	size_t low = 0;
	for (size_t high = listing->count; low < high;) {
		size_t middle = low + (high - low) / 2;
		const struct layout_name *at = &listing->entries[middle].name;
		/* Only superblocks come behind them. */
		bool before = at->kind == LAYOUT_EXTENT ? compare(at, name) < 0 : at->kind != LAYOUT_SUPER;
		if (before)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The extent that takes the whole stretch around `at`. */
static struct layout_name whole(const struct segment_row *row, uint32_t at) {
	struct layout_name name = {.kind = LAYOUT_EXTENT, .from = at / LAYOUT_EXTENT_BYTES * LAYOUT_EXTENT_BYTES};
	uint64_t end = (uint64_t)name.from + LAYOUT_EXTENT_BYTES;
	name.to = (uint32_t)(end < row->bytes ? end : row->bytes);
	memcpy(name.id, row->id, LAYOUT_ID_BYTES);
	return name;
}

static bool is_there(const struct listing *listing, const struct layout_name *name) {
	size_t at = place_of(listing, name);
	if (at == listing->count)
		return false;
	const struct retain_entry *entry = &listing->entries[at];
	return entry->name.kind == LAYOUT_EXTENT && compare(&entry->name, name) == 0 && !entry->is_gone &&
	       entry->size == name->to - name->from;
}

bool merge_is_redundant(
        const struct listing *listing, const struct segment_row *row, const struct layout_name *extent) {
	struct layout_name name = whole(row, extent->from);
	if (row->state == SEGMENT_OPEN || extent->from >= row->bytes || extent->to > name.to)
		return false;
	return compare(&name, extent) != 0 && is_there(listing, &name);
}

static int note_damage(const struct segment_finding *finding, void *arg) {
	bool *is_sound = arg;
	*is_sound = *is_sound && !finding->wrong;
	return 0;
}

/* The small ones will go for what is put now: so that must be what was sealed, every byte of it. */
static bool is_sound_here(struct ship *ship, const struct segment_row *row) {
	bool is_sound = true;
	return segment_verify(store_segments(ship->store), row->number, note_damage, &is_sound) == 0 && is_sound;
}

/* One stretch after the other. 1: what is here can't be read. */
static int merge_segment(struct ship *ship, const struct listing *listing, const struct segment_row *row,
        uint64_t *bytes, struct retain_result *result) {
	int rc = 0;
	bool checked = false;
	for (uint32_t from = 0; from < row->bytes && rc == 0;) {
		struct layout_name name = whole(row, from), first = {.kind = LAYOUT_EXTENT, .from = from};
		size_t count = 0;
		memcpy(first.id, row->id, LAYOUT_ID_BYTES);
		for (size_t i = place_of(listing, &first); i < listing->count; i++, count++) {
			const struct layout_name *at = &listing->entries[i].name;
			if (at->kind != LAYOUT_EXTENT || memcmp(at->id, row->id, LAYOUT_ID_BYTES) != 0 ||
			        at->from >= name.to)
				break;
		}
		if (count >= MERGE_LEAST && !is_there(listing, &name)) {
			if (!checked && !is_sound_here(ship, row))
				return 1;
			checked = true;
			rc = ship_put_extent(ship, row, name.from, name.to);
			*bytes += name.to - name.from;
			result->merged++;
		}
		from = name.to;
	}
	return rc;
}

int merge_extents(struct ship *ship, const struct listing *listing, struct retain_result *result) {
	uint64_t bytes = 0;
	for (size_t i = 0; i < ship->checkpoint.segment_count; i++) {
		const struct segment_row *row = &ship->checkpoint.segments[i];
		if (row->state == SEGMENT_OPEN || !(ship->zones & 1u << row->zone))
			continue;
		if (bytes >= MERGE_BYTES) {
			result->more = true;
			return 0;
		}
		int rc = merge_segment(ship, listing, row, &bytes, result);
		if (rc < 0)
			return rc;
	}
	return 0;
}
