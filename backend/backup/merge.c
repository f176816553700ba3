/* Merging small extents: see retain_internal.h. */
#include "backend/backup/retain_internal.h"

#include "backend/vault_io.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
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

static struct retain_entry *find(const struct listing *listing, const struct layout_name *name) {
	size_t at = place_of(listing, name);
	if (at == listing->count)
		return NULL;
	struct retain_entry *entry = &listing->entries[at];
	bool is_there = entry->name.kind == LAYOUT_EXTENT && compare(&entry->name, name) == 0 && !entry->is_gone;
	return is_there ? entry : NULL;
}

bool merge_is_redundant(
        const struct listing *listing, const struct segment_row *row, const struct layout_name *extent) {
	struct layout_name name = whole(row, extent->from);
	if (row->state == SEGMENT_OPEN || extent->from >= row->bytes || extent->to > name.to)
		return false;
	const struct retain_entry *entry = compare(&name, extent) != 0 ? find(listing, &name) : NULL;
	return entry && entry->is_proven && entry->size == name.to - name.from;
}

/* ---- what is proven ---- */

static int note_put(Retain *retain, const struct layout_name *name) {
	void *grown = array_room(retain->put, &retain->put_room, retain->put_count + 1, sizeof *name);
	if (!grown)
		return fault(ENOMEM, "no memory for what the backup was given");
	retain->put = grown;
	retain->put[retain->put_count++] = *name;
	return 0;
}

void merge_note_proven(Retain *retain, struct listing *listing) {
	for (size_t i = 0; i < retain->put_count; i++) {
		struct retain_entry *entry = find(listing, &retain->put[i]);
		if (entry)
			entry->is_proven = true;
	}
	retain->put_count = 0;
}

/* Whether the object is what the local segment has there. 1: that can't be read. */
static int compare_with_local(
        struct ship *ship, const struct segment_row *row, const struct layout_name *name, bool *ret_same) {
	char file_name[SEGMENT_NAME_BYTES], text[LAYOUT_NAME_BYTES];
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	size_t size = name->to - name->from, got = 0;
	_cleanup_(freep) uint8_t *local = malloc(size);
	_cleanup_(freep) uint8_t *there = malloc(size);
	if (!local || !there)
		return fault(ENOMEM, "no memory to read an extent back");
	retain_name(name, text);
	if (segment_name(store_segments(ship->store), row->number, file_name) < 0 ||
	        vault_file_open(store_io(ship->store), file_name, VAULT_FILE_READ, &file) < 0 ||
	        vault_file_read_exactly(file, name->from, local, size) < 0)
		return 1;
	int rc = objects_get(ship->objects, text, 0, there, size, &got);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*ret_same = rc == 0 && got == size && memcmp(local, there, size) == 0;
	return 0;
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

struct merging {
	Retain *retain;
	struct ship *ship;
	struct listing *listing;
	struct retain_result *result;
	uint64_t bytes;
};

/* Extents that begin in the stretch, but for the whole one. Where one of them overlaps another it is worth a merge:
 * what a shipment that was cut left there would stay as long as the segment does. */
static size_t count_small(const struct listing *listing, const struct layout_name *name) {
	struct layout_name first = {.kind = LAYOUT_EXTENT, .from = name->from};
	size_t count = 0;
	uint32_t end = name->from;
	bool overlap = false;
	memcpy(first.id, name->id, LAYOUT_ID_BYTES);
	for (size_t i = place_of(listing, &first); i < listing->count; i++) {
		const struct retain_entry *at = &listing->entries[i];
		if (at->name.kind != LAYOUT_EXTENT || memcmp(at->name.id, name->id, LAYOUT_ID_BYTES) != 0 ||
		        at->name.from >= name->to)
			break;
		if (at->is_gone || compare(&at->name, name) == 0)
			continue;
		count++;
		if (at->name.to > name->to)
			continue; /* none of ours */
		overlap = overlap || at->name.from < end;
		end = at->name.to > end ? at->name.to : end;
	}
	return overlap && count < MERGE_LEAST ? MERGE_LEAST : count;
}

/* A whole extent that nobody here has put is read back. 1: what is here can't be read. */
static int merge_stretch(struct merging *m, const struct segment_row *row, const struct layout_name *name) {
	struct retain_entry *whole = find(m->listing, name);
	bool same = false;
	int rc = 0;
	m->bytes += name->to - name->from;
	if (whole && whole->size == name->to - name->from)
		rc = compare_with_local(m->ship, row, name, &same);
	if (rc != 0)
		return rc;
	if (same) {
		whole->is_proven = true;
		return 0;
	}
	rc = ship_put_extent(m->ship, row, name->from, name->to);
	if (rc == 0)
		rc = note_put(m->retain, name);
	m->result->merged += rc == 0;
	return rc;
}

/* One stretch after the other. 1: what is here can't be read. */
static int merge_segment(struct merging *m, const struct segment_row *row) {
	int rc = 0;
	bool checked = false;
	for (uint32_t from = 0; from < row->bytes && rc == 0;) {
		struct layout_name name = whole(row, from);
		const struct retain_entry *entry = find(m->listing, &name);
		size_t small = count_small(m->listing, &name);
		from = name.to;
		if (small < (entry ? 1 : MERGE_LEAST) || (entry && entry->is_proven))
			continue;
		if (!checked && !is_sound_here(m->ship, row))
			return 1;
		checked = true;
		rc = merge_stretch(m, row, &name);
	}
	return rc;
}

int merge_extents(Retain *retain, struct ship *ship, struct listing *listing, struct retain_result *result) {
	struct merging m = {.retain = retain, .ship = ship, .listing = listing, .result = result};
	for (size_t i = 0; i < ship->checkpoint.segment_count; i++) {
		const struct segment_row *row = &ship->checkpoint.segments[i];
		if (row->state == SEGMENT_OPEN)
			continue;
		if (m.bytes >= MERGE_BYTES) {
			result->more = true;
			return 0;
		}
		int rc = merge_segment(&m, row);
		if (rc < 0)
			return rc;
	}
	return 0;
}
