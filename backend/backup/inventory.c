#include "backend/backup/inventory.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int compare_fn(const void *one, const void *other);

static int compare_numbers(uint64_t one, uint64_t other) {
	return (one > other) - (one < other);
}

static int compare_supers(const void *one, const void *other) {
	const uint64_t *a = one, *b = other;
	return compare_numbers(*a, *b);
}

static int compare_segments(const void *one, const void *other) {
	const struct inventory_segment *a = one, *b = other;
	return memcmp(a->id, b->id, sizeof a->id);
}

static int compare_parts(const void *one, const void *other) {
	const struct inventory_part *a = one, *b = other;
	return a->pack == b->pack ? compare_numbers(a->part, b->part) : compare_numbers(a->pack, b->pack);
}

static int compare_audits(const void *one, const void *other) {
	const struct inventory_audit *a = one, *b = other;
	return compare_numbers(a->first, b->first);
}

static int compare_headers(const void *one, const void *other) {
	const struct inventory_header *a = one, *b = other;
	int order = compare_numbers(a->generation, b->generation);
	return order ? order : strcmp(a->hash, b->hash);
}

/* Where `key` is, or would be put. */
static size_t place_of(const void *items, size_t count, size_t size, compare_fn *compare, const void *key) {
	size_t low = 0;
	for (size_t high = count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (compare((const uint8_t *)items + middle * size, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The item that compares equal to `item`, which is put there if there is none; NULL: no memory. */
static void *put(
        void **items, size_t *count, size_t *room, size_t size, compare_fn *compare, const void *item, bool *ret_new) {
	size_t at = place_of(*items, *count, size, compare, item);
	uint8_t *found = *count > at ? (uint8_t *)*items + at * size : NULL;
	*ret_new = !found || compare(found, item) != 0;
	if (!*ret_new)
		return found;
	void *grown = array_room(*items, room, *count + 1, size);
	if (!grown)
		return NULL;
	*items = grown;
	uint8_t *to = (uint8_t *)grown + at * size;
	memmove(to + size, to, (*count - at) * size);
	memcpy(to, item, size);
	++*count;
	return to;
}

#define PUT(list, count, room, compare, item, ret_new)                                                   \
	__extension__({                                                                                  \
		void *items_ = (list);                                                                   \
		void *at_ = put(&items_, &(count), &(room), sizeof *(list), compare, (item), (ret_new)); \
		(list) = items_;                                                                         \
		at_;                                                                                     \
	})

/* Whether shipping cuts like that. */
static bool is_plausible(const struct layout_name *name) {
	return name->to <= ((uint64_t)name->from / LAYOUT_EXTENT_BYTES + 1) * LAYOUT_EXTENT_BYTES;
}

static void cover(struct inventory_segment *segment, uint32_t from, uint32_t to) {
	if (from <= segment->covered && to > segment->covered)
		segment->covered = to;
}

static void *add_extent(struct inventory *inventory, const struct layout_name *name) {
	struct inventory_segment segment = {0}, *at;
	bool is_new;
	memcpy(segment.id, name->id, sizeof segment.id);
	at = PUT(inventory->segments, inventory->segment_count, inventory->segment_room, compare_segments, &segment,
	        &is_new);
	if (!at || !is_plausible(name))
		return at;
	void *grown = array_room(at->extents, &at->extent_room, at->extent_count + 1, sizeof *at->extents);
	if (!grown)
		return NULL;
	at->extents = grown;
	at->extents[at->extent_count++] = (struct inventory_extent){.from = name->from, .to = name->to};
	cover(at, name->from, name->to);
	return at;
}

static void *add_part(struct inventory *inventory, const struct layout_name *name, uint64_t size) {
	struct inventory_part part = {.pack = name->number, .part = name->part}, *at;
	bool is_new;
	at = PUT(inventory->parts, inventory->part_count, inventory->part_room, compare_parts, &part, &is_new);
	if (at)
		at->size = size;
	return at;
}

static void *add_audit(struct inventory *inventory, const struct layout_name *name, uint64_t size) {
	struct inventory_audit audit = {.first = name->number}, *at;
	bool is_new;
	at = PUT(inventory->audits, inventory->audit_count, inventory->audit_room, compare_audits, &audit, &is_new);
	if (at)
		at->size = size;
	return at;
}

static void *add_header(struct inventory *inventory, const struct layout_name *name) {
	struct inventory_header header = {.generation = name->number};
	bool is_new;
	memcpy(header.hash, name->hash, sizeof header.hash);
	return PUT(
	        inventory->headers, inventory->header_count, inventory->header_room, compare_headers, &header, &is_new);
}

static void *add_super(struct inventory *inventory, const struct layout_name *name) {
	bool is_new;
	return PUT(inventory->supers, inventory->super_count, inventory->super_room, compare_supers, &name->number,
	        &is_new);
}

int inventory_add(struct inventory *inventory, const char *name, uint64_t size) {
	struct layout_name parsed;
	void *added = inventory;
	layout_parse(name, &parsed);
	switch (parsed.kind) {
	case LAYOUT_OTHER:
		return 0;
	case LAYOUT_EXTENT:
		if (size == parsed.to - parsed.from)
			added = add_extent(inventory, &parsed);
		break;
	case LAYOUT_PART:
		added = add_part(inventory, &parsed, size);
		break;
	case LAYOUT_AUDIT:
		added = add_audit(inventory, &parsed, size);
		break;
	case LAYOUT_HEADER:
		if (size > 0)
			added = add_header(inventory, &parsed);
		break;
	case LAYOUT_SUPER:
		added = add_super(inventory, &parsed);
		break;
	}
	inventory->objects++;
	inventory->bytes += size;
	return added ? 0 : fault(ENOMEM, "no memory for the list of what the backup has");
}

void inventory_clear(struct inventory *inventory) {
	for (size_t i = 0; i < inventory->segment_count; i++)
		free(inventory->segments[i].extents);
	free(inventory->supers);
	free(inventory->segments);
	free(inventory->parts);
	free(inventory->audits);
	free(inventory->headers);
	*inventory = (struct inventory){0};
}

static int take(void *arg, const struct object_info *object) {
	return inventory_add(arg, object->name, object->size);
}

int inventory_read(Objects *objects, struct inventory *ret) {
	struct inventory inventory = {0};
	int rc = objects_list(objects, "", take, &inventory);
	if (rc < 0) {
		inventory_clear(&inventory);
		return rc;
	}
	inventory_clear(ret);
	*ret = inventory;
	return 0;
}

void inventory_drop_parts_above(struct inventory *inventory, uint64_t pack) {
	struct inventory_part first = {.pack = pack + 1};
	inventory->part_count = place_of(inventory->parts, inventory->part_count, sizeof first, compare_parts, &first);
}

static int compare_extents(const void *one, const void *other) {
	const struct inventory_extent *a = one, *b = other;
	return a->from == b->from ? compare_numbers(a->to, b->to) : compare_numbers(a->from, b->from);
}

void inventory_limit(struct inventory *inventory, const uint8_t id[static LAYOUT_ID_BYTES], uint64_t bytes) {
	struct inventory_segment key = {0};
	memcpy(key.id, id, sizeof key.id);
	size_t at = place_of(inventory->segments, inventory->segment_count, sizeof key, compare_segments, &key);
	struct inventory_segment *segment = &inventory->segments[at];
	if (at == inventory->segment_count || compare_segments(segment, &key) != 0)
		return;
	size_t kept = 0;
	for (size_t i = 0; i < segment->extent_count; i++)
		if (segment->extents[i].to <= bytes)
			segment->extents[kept++] = segment->extents[i];
	if (kept == segment->extent_count)
		return;
	segment->extent_count = kept;
	segment->covered = 0;
	qsort(segment->extents, kept, sizeof *segment->extents, compare_extents);
	for (size_t i = 0; i < kept; i++)
		cover(segment, segment->extents[i].from, segment->extents[i].to);
}

/* ---- questions ---- */

#define FIND(list, count, compare, item) find(list, count, sizeof *(list), compare, item)

static const void *find(const void *items, size_t count, size_t size, compare_fn *compare, const void *key) {
	size_t at = place_of(items, count, size, compare, key);
	const uint8_t *found = at < count ? (const uint8_t *)items + at * size : NULL;
	return found && compare(found, key) == 0 ? found : NULL;
}

uint32_t inventory_covered(const struct inventory *inventory, const uint8_t id[static LAYOUT_ID_BYTES]) {
	struct inventory_segment key = {0};
	memcpy(key.id, id, sizeof key.id);
	const struct inventory_segment *found =
	        FIND(inventory->segments, inventory->segment_count, compare_segments, &key);
	return found ? found->covered : 0;
}

bool inventory_has_part(const struct inventory *inventory, uint64_t pack, uint32_t part, uint64_t size) {
	struct inventory_part key = {.pack = pack, .part = part};
	const struct inventory_part *found = FIND(inventory->parts, inventory->part_count, compare_parts, &key);
	return found && found->size == size;
}

bool inventory_has_audit(const struct inventory *inventory, uint64_t first, uint64_t size) {
	struct inventory_audit key = {.first = first};
	const struct inventory_audit *found = FIND(inventory->audits, inventory->audit_count, compare_audits, &key);
	return found && found->size == size;
}

bool inventory_has_header(
        const struct inventory *inventory, uint64_t generation, const uint8_t hash[static LAYOUT_HASH_BYTES]) {
	struct inventory_header key = {.generation = generation};
	hex_encode(bytes_of(hash, (sizeof key.hash - 1) / 2), key.hash);
	return FIND(inventory->headers, inventory->header_count, compare_headers, &key) != NULL;
}

uint64_t inventory_pack_bytes(const struct inventory *inventory, uint64_t base, uint64_t pack) {
	struct inventory_part first = {.pack = base};
	uint64_t bytes = 0;
	for (size_t i = place_of(inventory->parts, inventory->part_count, sizeof first, compare_parts, &first);
	        i < inventory->part_count && inventory->parts[i].pack <= pack; i++)
		bytes += inventory->parts[i].size;
	return bytes;
}
