#include "backend/backup/retain.h"

#include "backend/backup/retain_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY_S INT64_C(86400)
#define NS INT64_C(1000000000)
#define KEEP_DAYS 30
#define REMOVE_AT_ONCE 256
/* Opening superblocks, or renewing locks, may keep the thread from shipping so long. */
#define AT_ONCE_MS 5000
/* What failed of a single object is not tried again before. */
#define AGAIN_S 3600
/* Within that, what is needed is known after a mount. */
#define URGENT_S 3600
/* Objects are put by the server's clock, rules by ours. */
#define CLOCKS_APART_S 900

int retain_new(unsigned grace_s, Retain **ret_retain) {
	Retain *retain = calloc(1, sizeof *retain);
	if (!retain)
		return fault(ENOMEM, "no memory to keep generations of the backup");
	retain->grace_s = grace_s;
	*ret_retain = retain;
	return 0;
}

void retain_free(Retain *retain) {
	if (!retain)
		return;
	free(retain->entries);
	free(retain->generations);
	free(retain->put);
	free(retain);
}

/* ---- the listing ---- */

static int take(void *arg, const struct object_info *object) {
	struct listing *listing = arg;
	struct retain_entry entry = {.size = object->size, .modified_s = object->modified_s};
	layout_parse(object->name, &entry.name);
	if (entry.name.kind == LAYOUT_OTHER)
		return 0;
	void *grown = array_room(listing->entries, &listing->room, listing->count + 1, sizeof entry);
	if (!grown)
		return fault(ENOMEM, "no memory for the list of what the backup has");
	listing->entries = grown;
	listing->entries[listing->count++] = entry;
	return 0;
}

void retain_name(const struct layout_name *name, char ret_text[static LAYOUT_NAME_BYTES]) {
	switch (name->kind) {
	case LAYOUT_HEADER:
		(void)snprintf(ret_text, LAYOUT_NAME_BYTES, "header/%010" PRIu64 "-%s", name->number, name->hash);
		return;
	case LAYOUT_EXTENT:
		layout_extent_name(name->id, name->from, name->to, ret_text);
		return;
	case LAYOUT_PART:
		layout_part_name(name->number, name->part, ret_text);
		return;
	case LAYOUT_AUDIT:
		layout_audit_name(name->number, ret_text);
		return;
	case LAYOUT_SUPER:
		layout_super_name(name->number, ret_text);
		return;
	case LAYOUT_OTHER:
		break;
	}
	ret_text[0] = '\0';
}

/* What is remembered of an object goes over from the last pass, unless it was put anew since. Both are in order. */
static void remember(const Retain *retain, struct listing *listing) {
	char old[LAYOUT_NAME_BYTES], now[LAYOUT_NAME_BYTES];
	size_t at = 0;
	for (size_t i = 0; i < listing->count; i++) {
		struct retain_entry *entry = &listing->entries[i];
		int order = -1;
		retain_name(&entry->name, now);
		for (; at < retain->count; at++) {
			retain_name(&retain->entries[at].name, old);
			order = strcmp(old, now);
			if (order >= 0)
				break;
		}
		if (order != 0 || at == retain->count || retain->entries[at].modified_s != entry->modified_s ||
		        retain->entries[at].size != entry->size)
			continue;
		struct layout_name name = entry->name;
		*entry = retain->entries[at];
		entry->name = name;
	}
}

/* ---- generations ---- */

static size_t place_of(const Retain *retain, uint64_t number) {
	size_t low = 0;
	for (size_t high = retain->generation_count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (retain->generations[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct generation *find(const Retain *retain, uint64_t number) {
	size_t at = place_of(retain, number);
	bool is_there = at < retain->generation_count && retain->generations[at].number == number;
	return is_there ? &retain->generations[at] : NULL;
}

int retain_note(Retain *retain, const struct layout_super *super) {
	size_t at = place_of(retain, super->number);
	if (find(retain, super->number))
		return 0;
	void *grown = array_room(
	        retain->generations, &retain->room, retain->generation_count + 1, sizeof *retain->generations);
	if (!grown)
		return fault(ENOMEM, "no memory for the generations of the backup");
	retain->generations = grown;
	memmove(&retain->generations[at + 1], &retain->generations[at],
	        (retain->generation_count - at) * sizeof *retain->generations);
	struct generation *new = &retain->generations[at];
	*new = (struct generation){.number = super->number,
	        .time_ns = super->time_ns,
	        .base = super->base,
	        .pack = super->pack,
	        .header = super->header};
	memcpy(new->header_hash, super->header_hash, LAYOUT_HASH_BYTES);
	retain->generation_count++;
	return 0;
}

/* Opens one that is not known. 1: it does not open. */
static int open_one(Retain *retain, struct ship *ship, struct retain_entry *entry, int64_t now_s) {
	struct layout_super super = {0};
	if (find(retain, entry->name.number))
		return 0;
	if (now_s < entry->damaged_until_s)
		return 1;
	int rc = ship_read_super(ship, entry->name.number, &super);
	if (rc == 0)
		rc = retain_note(retain, &super);
	layout_super_clear(&super);
	if (rc == -EBADMSG) {
		entry->damaged_until_s = now_s + AGAIN_S;
		return 1;
	}
	return rc == -ENOENT ? 0 : rc;
}

/* Opens each that is not known; forgets what is there no more. 1: not all yet, as shipping is to go on. -EBADMSG: there
 * is one that does not open, so that nobody knows what it needs. */
static int open_generations(Retain *retain, struct ship *ship, const struct listing *listing, int64_t now_s) {
	int64_t began = monotonic_ms();
	const struct retain_entry *damaged = NULL;
	for (size_t i = 0; i < retain->generation_count; i++)
		retain->generations[i].is_there = false;
	for (size_t i = 0; i < listing->count; i++) {
		struct retain_entry *entry = &listing->entries[i];
		if (entry->name.kind != LAYOUT_SUPER)
			continue;
		if (monotonic_ms() - began > AT_ONCE_MS)
			return 1;
		int rc = open_one(retain, ship, entry, now_s);
		if (rc < 0)
			return rc;
		damaged = rc == 1 && !damaged ? entry : damaged;
		struct generation *generation = find(retain, entry->name.number);
		if (generation)
			generation->is_there = true;
	}
	size_t kept = 0;
	for (size_t i = 0; i < retain->generation_count; i++)
		if (retain->generations[i].is_there)
			retain->generations[kept++] = retain->generations[i];
	retain->generation_count = kept;
	if (!damaged)
		return 0;
	char name[LAYOUT_NAME_BYTES];
	layout_super_name(damaged->name.number, name);
	return fault(
	        EBADMSG, "%s does not open, so nothing is removed there; backup verify says what to do about it", name);
}

/* Newest first: the last of each hour of a day, of each day of a month. */
static void choose(Retain *retain) {
	size_t count = retain->generation_count;
	int64_t newest = count ? retain->generations[count - 1].time_ns : 0;
	int64_t last_hour = INT64_MAX, last_day = INT64_MAX;
	for (size_t i = count; i-- > 0;) {
		struct generation *generation = &retain->generations[i];
		int64_t age = newest - generation->time_ns;
		int64_t hour = generation->time_ns / (3600 * NS), day = generation->time_ns / (DAY_S * NS);
		bool last_of_hour = hour != last_hour && age <= DAY_S * NS;
		bool last_of_day = day != last_day && age <= KEEP_DAYS * DAY_S * NS;
		generation->is_kept = count - i <= BACKUP_KEEP_LAST || last_of_hour || last_of_day || age < 0;
		last_hour = hour;
		last_day = day;
	}
}

/* ---- what is needed ---- */

static int compare_rows(const void *one, const void *other) {
	const struct segment_row *const *a = one, *const *b = other;
	return memcmp((*a)->id, (*b)->id, LAYOUT_ID_BYTES);
}

static int compare_leaving(const void *one, const void *other) {
	const struct layout_leaving *a = one, *b = other;
	return memcmp(a->id, b->id, LAYOUT_ID_BYTES);
}

/* Packs of generations; those that overlap or touch are one. */
struct range {
	uint64_t base, pack;
};

static int compare_ranges(const void *one, const void *other) {
	const struct range *a = one, *b = other;
	return (a->base > b->base) - (a->base < b->base);
}

struct needs {
	const struct listing *listing;
	struct range *packs; /* rising */
	size_t pack_count;
	struct layout_name *headers; /* sorted; each once or more */
	size_t header_count;
	const struct segment_row **alive; /* sorted by id */
	size_t alive_count;
	struct layout_leaving *leaving; /* sorted by id */
	size_t leaving_count;
	uint64_t oldest; /* number of the oldest that is there */
};

static void needs_free(struct needs *needs) {
	free(needs->alive);
	free(needs->leaving);
	free(needs->packs);
	free(needs->headers);
}

static int compare_headers(const void *one, const void *other) {
	const struct layout_name *a = one, *b = other;
	int order = (a->number > b->number) - (a->number < b->number);
	return order ? order : strcmp(a->hash, b->hash);
}

static void add_range(struct needs *needs, const struct range *range) {
	struct range *last = needs->pack_count ? &needs->packs[needs->pack_count - 1] : NULL;
	if (!last || range->base > last->pack + 1)
		needs->packs[needs->pack_count++] = *range;
	else if (range->pack > last->pack)
		last->pack = range->pack;
}

/* What the superblocks name that are there. */
static int needs_of_generations(const Retain *retain, struct needs *needs) {
	size_t count = 0;
	_cleanup_(freep) struct range *ranges = calloc(retain->generation_count + 1, sizeof *ranges);
	needs->packs = calloc(retain->generation_count + 1, sizeof *needs->packs);
	needs->headers = calloc(retain->generation_count + 1, sizeof *needs->headers);
	if (!ranges || !needs->packs || !needs->headers)
		return fault(ENOMEM, "no memory to keep generations of the backup");
	for (size_t i = 0; i < retain->generation_count; i++) {
		const struct generation *generation = &retain->generations[i];
		char name[LAYOUT_NAME_BYTES];
		if (!generation->is_there)
			continue;
		ranges[count++] = (struct range){.base = generation->base, .pack = generation->pack};
		layout_header_name(generation->header, generation->header_hash, name);
		layout_parse(name, &needs->headers[needs->header_count++]);
	}
	qsort(ranges, count, sizeof *ranges, compare_ranges);
	qsort(needs->headers, needs->header_count, sizeof *needs->headers, compare_headers);
	for (size_t i = 0; i < count; i++)
		add_range(needs, &ranges[i]);
	return 0;
}

static int needs_of(const Retain *retain, const struct ship *ship, const struct listing *listing, struct needs *needs) {
	const struct store_checkpoint *checkpoint = &ship->checkpoint;
	needs->listing = listing;
	needs->alive = calloc(checkpoint->segment_count + 1, sizeof *needs->alive);
	needs->leaving = calloc((size_t)ship->last.leaving_count + 1, sizeof *needs->leaving);
	if (!needs->alive || !needs->leaving)
		return fault(ENOMEM, "no memory to keep generations of the backup");
	for (size_t i = 0; i < checkpoint->segment_count; i++)
		needs->alive[needs->alive_count++] = &checkpoint->segments[i];
	qsort(needs->alive, needs->alive_count, sizeof *needs->alive, compare_rows);
	needs->leaving_count = ship->last.leaving_count;
	if (needs->leaving_count)
		memcpy(needs->leaving, ship->last.leaving, needs->leaving_count * sizeof *needs->leaving);
	qsort(needs->leaving, needs->leaving_count, sizeof *needs->leaving, compare_leaving);
	needs->oldest = UINT64_MAX;
	for (size_t i = retain->generation_count; i-- > 0;)
		if (retain->generations[i].is_there)
			needs->oldest = retain->generations[i].number;
	return needs_of_generations(retain, needs);
}

static bool is_segment_needed(const struct needs *needs, const struct layout_name *name) {
	struct layout_leaving key = {0};
	struct segment_row wanted = {0};
	const struct segment_row *row = &wanted, **found;
	memcpy(key.id, name->id, LAYOUT_ID_BYTES);
	memcpy(wanted.id, name->id, LAYOUT_ID_BYTES);
	found = bsearch(&row, needs->alive, needs->alive_count, sizeof row, compare_rows);
	/* Nobody here has put what goes beyond the end of a segment that grows no more. */
	if (found && (*found)->state != SEGMENT_OPEN && name->to > (*found)->bytes)
		return false;
	if (found)
		return !merge_is_redundant(needs->listing, *found, name);
	const struct layout_leaving *leaving =
	        bsearch(&key, needs->leaving, needs->leaving_count, sizeof key, compare_leaving);
	/* What no superblock speaks of yet, the next one will. */
	return !leaving || needs->oldest < leaving->since;
}

static bool is_pack_needed(const struct needs *needs, uint64_t pack) {
	size_t low = 0;
	for (size_t high = needs->pack_count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (needs->packs[middle].pack < pack)
			low = middle + 1;
		else
			high = middle;
	}
	return low < needs->pack_count && needs->packs[low].base <= pack;
}

static bool is_needed(const struct needs *needs, const struct layout_name *name) {
	if (name->kind == LAYOUT_EXTENT)
		return is_segment_needed(needs, name);
	if (name->kind == LAYOUT_PART)
		return is_pack_needed(needs, name->number);
	if (name->kind == LAYOUT_HEADER)
		return bsearch(name, needs->headers, needs->header_count, sizeof *name, compare_headers) != NULL;
	return true; /* archives of the log */
}

/* ---- locks ---- */

/* 0: not known, as what was put before the rule said so may be under no lock, or a shorter one. */
static int64_t lock_ends(const struct ship *ship, const struct retain_entry *entry) {
	bool is_known = ship->lock_days && entry->modified_s >= ship->locked_since_s + CLOCKS_APART_S;
	int64_t put = is_known ? entry->modified_s + ship->lock_days * DAY_S : 0;
	return put > entry->locked_until_s ? put : entry->locked_until_s;
}

/* When half of the days are over. As long as nobody knows what is needed, only what ends soon: else each mount would
 * renew the locks of what is to go. A superblock that does not open gets none, lest nobody could remove it. */
static bool is_renewal_due(
        const Retain *retain, const struct ship *ship, const struct retain_entry *entry, int64_t wall_s) {
	int64_t left = lock_ends(ship, entry) - wall_s;
	if (entry->unneeded_s || (entry->name.kind == LAYOUT_SUPER && !find(retain, entry->name.number)))
		return false;
	return retain->is_judged ? left <= ship->lock_days * DAY_S / 2 : left > 0 && left <= URGENT_S;
}

/* A refusal of one keeps no other from being renewed. */
static void note_failure(Retain *retain, struct retain_entry *entry, int rc, int64_t now_s) {
	(void)snprintf(retain->lock_words, sizeof retain->lock_words, "%s", fault_message());
	retain->lock_rc = rc;
	entry->lock_again_s = now_s + AGAIN_S;
}

/* Those of all that is not known to be needed no more. The last failure, also of one that is not tried again yet. */
static int renew(Retain *retain, struct ship *ship, struct listing *listing, int64_t now_s, int64_t wall_s,
        struct retain_result *result) {
	int64_t began = monotonic_ms(), until = wall_s + ship->lock_days * DAY_S;
	bool has_failed = false;
	for (size_t i = 0; i < listing->count && ship->lock_days; i++) {
		struct retain_entry *entry = &listing->entries[i];
		char name[LAYOUT_NAME_BYTES];
		if (!is_renewal_due(retain, ship, entry, wall_s))
			continue;
		has_failed = has_failed || now_s < entry->lock_again_s;
		if (now_s < entry->lock_again_s)
			continue;
		if (monotonic_ms() - began > AT_ONCE_MS) {
			result->more = true;
			break;
		}
		retain_name(&entry->name, name);
		int rc = objects_lock(ship->objects, name, until);
		if (rc == -ENOTSUP || rc == -ECANCELED)
			return rc == -ENOTSUP ? 0 : rc;
		if (rc == 0) {
			entry->locked_until_s = until;
			result->renewed++;
		} else if (rc != -ENOENT) {
			note_failure(retain, entry, rc, now_s);
			has_failed = true;
		}
	}
	return has_failed ? fault(-retain->lock_rc, "a lock could not be renewed: %s", retain->lock_words) : 0;
}

/* ---- removing ---- */

struct removal {
	struct object_request requests[REMOVE_AT_ONCE];
	char names[REMOVE_AT_ONCE][LAYOUT_NAME_BYTES];
	struct retain_entry *entries[REMOVE_AT_ONCE];
	size_t count;
};

static bool is_due(const Retain *retain, const struct ship *ship, const struct retain_entry *entry, int64_t now_s,
        int64_t wall_s) {
	return entry->unneeded_s && !entry->is_gone && now_s - entry->unneeded_s >= (int64_t)retain->grace_s &&
	       now_s >= entry->refused_until_s && wall_s >= lock_ends(ship, entry);
}

static void note_refusal(struct retain_entry *entry, const char *words, int64_t now_s, struct retain_result *result) {
	entry->refused_until_s = now_s + DAY_S;
	if (result->refused++ == 0)
		(void)snprintf(result->refusal, sizeof result->refusal, "%s", words);
}

/* The rc of the first that failed otherwise than by a lock, or as we have no right to. */
static int carry_out(struct ship *ship, struct removal *removal, int64_t now_s, struct retain_result *result) {
	int failure = 0;
	if (removal->count == 0)
		return 0;
	(void)objects_do(ship->objects, removal->requests, removal->count);
	for (size_t i = 0; i < removal->count; i++) {
		const struct object_request *request = &removal->requests[i];
		if (request->rc == 0 || request->rc == -ENOENT) {
			removal->entries[i]->is_gone = true;
			result->removed++;
		} else if (request->rc == -EPERM || request->rc == -EACCES) {
			note_refusal(removal->entries[i], request->words, now_s, result);
		} else if (failure == 0) {
			failure = fault(-request->rc, "%s", request->words);
		}
	}
	removal->count = 0;
	return failure;
}

/* Either the superblocks or all else. */
static int remove_due(const Retain *retain, struct ship *ship, struct listing *listing, bool supers, int64_t now_s,
        int64_t wall_s, struct retain_result *result) {
	_cleanup_(freep) struct removal *removal = calloc(1, sizeof *removal);
	int rc = removal ? 0 : fault(ENOMEM, "no memory to remove what the backup needs no more");
	for (size_t i = 0; i < listing->count && rc == 0; i++) {
		struct retain_entry *entry = &listing->entries[i];
		if ((entry->name.kind == LAYOUT_SUPER) != supers || !is_due(retain, ship, entry, now_s, wall_s))
			continue;
		size_t at = removal->count++;
		retain_name(&entry->name, removal->names[at]);
		removal->requests[at] = (struct object_request){.what = OBJECT_REMOVE, .name = removal->names[at]};
		removal->entries[at] = entry;
		if (removal->count == REMOVE_AT_ONCE)
			rc = carry_out(ship, removal, now_s, result);
	}
	return rc < 0 ? rc : carry_out(ship, removal, now_s, result);
}

/* ---- a pass ---- */

static void note_need(struct retain_entry *entry, bool needed, int64_t now_s) {
	if (needed)
		entry->unneeded_s = entry->refused_until_s = 0;
	else if (!entry->unneeded_s)
		entry->unneeded_s = now_s;
}

static void judge_supers(const Retain *retain, struct listing *listing, int64_t now_s) {
	for (size_t i = 0; i < listing->count; i++) {
		struct retain_entry *entry = &listing->entries[i];
		if (entry->name.kind != LAYOUT_SUPER)
			continue;
		const struct generation *generation = find(retain, entry->name.number);
		note_need(entry, !generation || generation->is_kept, now_s);
	}
}

/* Superblocks that are there still, whatever keeps them, need what they name. */
static int judge_others(Retain *retain, struct ship *ship, struct listing *listing, int64_t now_s) {
	struct needs needs = {0};
	for (size_t i = 0; i < listing->count; i++) {
		struct generation *gone =
		        listing->entries[i].is_gone ? find(retain, listing->entries[i].name.number) : NULL;
		if (gone)
			gone->is_there = false;
	}
	int rc = needs_of(retain, ship, listing, &needs);
	for (size_t i = 0; i < listing->count && rc == 0; i++)
		if (listing->entries[i].name.kind != LAYOUT_SUPER)
			note_need(&listing->entries[i], is_needed(&needs, &listing->entries[i].name), now_s);
	needs_free(&needs);
	return rc;
}

/* What is left is what the ship's inventory has from now on. */
static int take_over(Retain *retain, struct ship *ship, struct listing *listing, struct retain_result *result) {
	struct inventory inventory = {0};
	size_t kept = 0;
	int rc = 0;
	for (size_t i = 0; i < listing->count && rc == 0; i++) {
		char name[LAYOUT_NAME_BYTES];
		if (listing->entries[i].is_gone)
			continue;
		retain_name(&listing->entries[i].name, name);
		rc = inventory_add(&inventory, name, listing->entries[i].size);
		result->candidates += listing->entries[i].unneeded_s != 0;
		listing->entries[kept++] = listing->entries[i];
	}
	if (rc < 0) {
		inventory_clear(&inventory);
		return rc;
	}
	inventory_drop_parts_above(&inventory, ship->last.pack);
	inventory_clear(&ship->inventory);
	ship->inventory = inventory;
	ship->whole_base = ship->whole_pack = 0;
	free(retain->entries);
	retain->entries = steal_pointer(&listing->entries);
	retain->count = kept;
	return 0;
}

static int remove_all(Retain *retain, struct ship *ship, struct listing *listing, int64_t now_s, int64_t wall_s,
        struct retain_result *result) {
	choose(retain);
	judge_supers(retain, listing, now_s);
	int removed = remove_due(retain, ship, listing, true, now_s, wall_s, result);
	int rc = removed == -ECANCELED ? removed : judge_others(retain, ship, listing, now_s);
	retain->is_judged = retain->is_judged || rc == 0;
	if (rc == 0 && removed == 0)
		rc = remove_due(retain, ship, listing, false, now_s, wall_s, result);
	return removed < 0 ? removed : rc;
}

/* Locks first, as they end whatever else goes wrong; once more when it is known what is needed, or nobody can know it.
 * What comes then does not depend on them. */
static int look_after(Retain *retain, struct ship *ship, struct listing *listing, int64_t now_s, int64_t wall_s,
        struct retain_result *result) {
	char words[FAULT_MESSAGE_BYTES] = "";
	bool was_judged = retain->is_judged;
	int renewed = renew(retain, ship, listing, now_s, wall_s, result);
	if (renewed == -ECANCELED)
		return renewed;
	int rc = open_generations(retain, ship, listing, now_s);
	if (rc == 0)
		rc = remove_all(retain, ship, listing, now_s, wall_s, result);
	retain->is_judged = retain->is_judged || rc == -EBADMSG;
	if (rc < 0)
		(void)snprintf(words, sizeof words, "%s", fault_message());
	if (retain->is_judged && !was_judged)
		renewed = renew(retain, ship, listing, now_s, wall_s, result);
	if (rc < 0)
		return fault(-rc, "%s", words);
	result->more = result->more || rc == 1;
	(void)snprintf(words, sizeof words, "%s", renewed < 0 ? fault_message() : "");
	if (rc == 0)
		rc = merge_extents(retain, ship, listing, result);
	return rc < 0 || renewed == 0 ? rc : fault(-renewed, "%s", words);
}

int retain_pass(Retain *retain, struct ship *ship, int64_t now_s, int64_t wall_s, struct retain_result *ret) {
	struct listing listing = {0};
	struct retain_result result = {0};
	*ret = result;
	if (ship->last.number == 0 || ship->checkpoint.commit != ship->last.commit)
		return 0; /* what is alive is not known as of the newest superblock */
	int rc = objects_list(ship->objects, "", take, &listing);
	if (rc == 0) {
		remember(retain, &listing);
		merge_note_proven(retain, &listing);
		rc = look_after(retain, ship, &listing, now_s, wall_s, &result);
		/* What went, or was locked, before an error is so all the same. */
		int taken = take_over(retain, ship, &listing, &result);
		rc = rc < 0 ? rc : taken;
	}
	free(listing.entries);
	for (size_t i = 0; i < retain->generation_count; i++)
		result.generations += retain->generations[i].is_kept;
	*ret = result;
	return rc > 0 ? 0 : fault_while(rc, "looking for what the backup needs no more");
}
