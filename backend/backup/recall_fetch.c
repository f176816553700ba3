/*
 * Fetching a segment:
 *
 *     the place, listed once ─► extents that cover [0, committed length) ─► pieces ─► groups of requests ─► NAME.tmp
 *                                        │ a gap: earlier versions                                            │
 *                                        ▼                                                                    ▼
 *                                     the same                              verified; the piece where it is wrong is
 *                                                                           got of earlier versions until it is not
 */
#include "backend/backup/recall_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Long enough that a link is filled, short enough that several are under way. */
#define REQUEST_BYTES ((uint32_t)4 << 20)
#define GROUP_REQUESTS 32u
#define VERSIONS_TRIED 32u
/* How long a listing is believed that lacks something. */
#define LISTING_MS 1000

/* ---- the listing ---- */

static int by_place(const void *a, const void *b) {
	const struct recall_extent *x = a, *y = b;
	int order = memcmp(x->id, y->id, sizeof x->id);
	if (order == 0)
		order = (x->from > y->from) - (x->from < y->from);
	if (order == 0)
		order = (x->to < y->to) - (x->to > y->to);
	return order ? order : (x->version != NULL) - (y->version != NULL);
}

void recall_forget_listing(Recall *recall) {
	for (size_t i = 0; i < recall->extent_count; i++)
		free(recall->extents[i].version);
	free(recall->extents);
	recall->extents = NULL;
	recall->extent_count = recall->extent_room = 0;
	recall->is_listed = false;
}

static int add_extent(Recall *recall, const struct layout_name *name, const char *version) {
	struct recall_extent *extents =
	        array_room(recall->extents, &recall->extent_room, recall->extent_count + 1, sizeof *extents);
	char *copy = version ? strdup(version) : NULL;
	if (extents)
		recall->extents = extents;
	if (!extents || (version && !copy)) {
		free(copy);
		return fault(ENOMEM, "no memory to list what the backup has");
	}
	struct recall_extent *extent = &extents[recall->extent_count++];
	*extent = (struct recall_extent){.from = name->from, .to = name->to, .version = copy};
	memcpy(extent->id, name->id, sizeof extent->id);
	return 0;
}

/* Of a size that is not its name's it can't be whole. */
static bool is_wanted(Recall *recall, const struct object_info *object, struct layout_name *ret_name) {
	layout_parse(object->name, ret_name);
	return ret_name->kind == LAYOUT_EXTENT && object->size == ret_name->to - ret_name->from &&
	       recall_find(recall, ret_name->id) != NULL;
}

static int take_latest(void *arg, const struct object_info *object) {
	struct layout_name name;
	return is_wanted(arg, object, &name) ? add_extent(arg, &name, NULL) : 0;
}

static int take_version(void *arg, const struct object_info *object) {
	struct layout_name name;
	if (object->is_removed || object->is_latest || !object->version[0] || !is_wanted(arg, object, &name))
		return 0;
	return add_extent(arg, &name, object->version);
}

static void sort_extents(Recall *recall) {
	if (recall->extent_count > 1)
		qsort(recall->extents, recall->extent_count, sizeof *recall->extents, by_place);
}

/* The extents of a segment: the first of them, and how many. */
static const struct recall_extent *extents_of(const Recall *recall, const uint8_t *id, size_t *ret_count) {
	size_t low = 0, high = recall->extent_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(recall->extents[middle].id, id, SEGMENT_ID_BYTES) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	size_t end = low;
	while (end < recall->extent_count && memcmp(recall->extents[end].id, id, SEGMENT_ID_BYTES) == 0)
		end++;
	*ret_count = end - low;
	return recall->extents + low;
}

typedef int piece_fn(void *arg, const struct recall_extent *extent, uint32_t from, uint32_t to);

/* Lays extents end to end, the farthest-reaching first. Returns how far they reach; an error of `piece`. */
static int64_t cover(const struct recall_extent *extents, size_t count, uint32_t bytes, piece_fn *piece, void *arg) {
	uint32_t at = 0;
	for (size_t next = 0; at < bytes;) {
		const struct recall_extent *best = NULL;
		size_t i = next;
		for (; i < count && extents[i].from <= at; i++)
			if (extents[i].to > at && (!best || extents[i].to > best->to))
				best = &extents[i];
		if (!best)
			break;
		uint32_t end = best->to < bytes ? best->to : bytes;
		int rc = piece ? piece(arg, best, at, end) : 0;
		if (rc < 0)
			return rc;
		at = end;
		next = i; /* those before reach no farther than `best` */
	}
	return at;
}

static bool is_whole(Recall *recall, const struct recall_segment *segment) {
	size_t count = 0;
	const struct recall_extent *extents = extents_of(recall, segment->id, &count);
	return cover(extents, count, segment->bytes, NULL, NULL) == segment->bytes;
}

static uint64_t count_lacking(Recall *recall) {
	uint64_t count = 0;
	for (size_t i = 0; i < recall->count; i++)
		count += recall_is_missing(recall, &recall->segments[i]) && !is_whole(recall, &recall->segments[i]);
	return count;
}

/* Under `listing`. */
static int list_place(Recall *recall, Objects *objects) {
	if (recall->is_listed)
		return 0;
	recall_forget_listing(recall);
	int rc = objects_list(objects, "segments/", take_latest, recall);
	sort_extents(recall);
	if (rc == 0 && count_lacking(recall) > 0) {
		/* Who may not list versions, or has none, goes on with what there is. */
		rc = objects_versions(objects, "segments/", take_version, recall);
		if (rc == -EACCES || rc == -ENOTSUP)
			rc = 0;
		sort_extents(recall);
	}
	recall->is_listed = rc == 0;
	recall->listed_ms = monotonic_ms();
	return fault_while(rc, "listing the segments of %s", recall->origin.url);
}

int recall_list_place(Recall *recall, Objects *objects, uint64_t *ret_lacking) {
	pthread_mutex_lock(&recall->listing);
	int rc = list_place(recall, objects);
	uint64_t lacking = rc == 0 ? count_lacking(recall) : 0;
	pthread_mutex_unlock(&recall->listing);
	if (rc == 0)
		*ret_lacking = lacking;
	return rc;
}

/* Under `listing`. Of many that are lacking not each asks for a listing of its own. */
static bool grows_old(Recall *recall) {
	if (monotonic_ms() - recall->listed_ms < LISTING_MS)
		return false;
	recall->is_listed = false;
	return true;
}

static void list_again(Recall *recall) {
	pthread_mutex_lock(&recall->listing);
	(void)grows_old(recall);
	pthread_mutex_unlock(&recall->listing);
}

/* ---- what is to be got ---- */

struct plan {
	struct recall_piece *pieces;
	size_t count, room;
};

static void plan_clear(struct plan *plan) {
	for (size_t i = 0; i < plan->count; i++)
		free(plan->pieces[i].version);
	free(plan->pieces);
	*plan = (struct plan){0};
}

static int add_piece(void *arg, const struct recall_extent *extent, uint32_t from, uint32_t to) {
	struct plan *plan = arg;
	struct recall_piece *pieces = array_room(plan->pieces, &plan->room, plan->count + 1, sizeof *pieces);
	char *version = extent->version ? strdup(extent->version) : NULL;
	if (pieces)
		plan->pieces = pieces;
	if (!pieces || (extent->version && !version)) {
		free(version);
		return fault(ENOMEM, "no memory to fetch a segment");
	}
	struct recall_piece *piece = &pieces[plan->count++];
	*piece = (struct recall_piece){
	        .from = from, .to = to, .begin = extent->from, .end = extent->to, .version = version};
	layout_extent_name(extent->id, extent->from, extent->to, piece->name);
	return 0;
}

static int make_plan(
        Recall *recall, Objects *objects, const struct recall_segment *segment, struct plan *ret, bool *ret_none) {
	char prefix[LAYOUT_NAME_BYTES];
	size_t count = 0;
	int64_t reached;
	pthread_mutex_lock(&recall->listing);
	do {
		plan_clear(ret);
		int rc = list_place(recall, objects);
		const struct recall_extent *extents = rc == 0 ? extents_of(recall, segment->id, &count) : NULL;
		reached = rc == 0 ? cover(extents, count, segment->bytes, add_piece, ret) : rc;
	} while (reached >= 0 && reached < segment->bytes && grows_old(recall));
	pthread_mutex_unlock(&recall->listing);
	*ret_none = reached >= 0 && count == 0;
	if (reached < 0)
		return (int)reached;
	if (reached == segment->bytes)
		return 0;
	layout_segment_prefix(segment->id, prefix);
	if (*ret_none)
		return fault(EIO, "%s has nothing of %s", recall->origin.url, prefix);
	return fault(EIO, "%s has %s only up to byte %" PRId64 " of %" PRIu32, recall->origin.url, prefix, reached,
	        segment->bytes);
}

/* ---- getting it ---- */

struct group {
	struct object_request requests[GROUP_REQUESTS];
	size_t count;
	uint8_t *buffer;
	size_t used;
	uint64_t at; /* in the segment */
};

static int send_group(Objects *objects, struct group *group, VaultFile *file) {
	(void)objects_do(objects, group->requests, group->count);
	for (size_t i = 0; i < group->count; i++) {
		const struct object_request *request = &group->requests[i];
		if (request->rc < 0)
			return fault(-request->rc, "object %s: %s", request->name, request->words);
		if (request->got < request->size)
			return fault(
			        EIO, "object %s ends at byte %" PRIu64, request->name, request->offset + request->got);
	}
	int rc = vault_file_write_at(file, group->at, bytes_of(group->buffer, group->used));
	group->at += group->used;
	group->used = group->count = 0;
	return rc;
}

static int get_piece(Objects *objects, const struct recall_piece *piece, struct group *group, VaultFile *file) {
	int rc = 0;
	for (uint32_t at = piece->from; at < piece->to && rc == 0;) {
		uint32_t size = piece->to - at < REQUEST_BYTES ? piece->to - at : REQUEST_BYTES;
		if (group->count == GROUP_REQUESTS || group->used + size > RECALL_GROUP_BYTES)
			rc = send_group(objects, group, file);
		if (rc < 0)
			return rc;
		group->requests[group->count++] = (struct object_request){.what = OBJECT_GET,
		        .name = piece->name,
		        .version = piece->version,
		        .offset = at - piece->begin,
		        .into = group->buffer + group->used,
		        .size = size};
		group->used += size;
		at += size;
	}
	return rc;
}

/* Pieces [first, end) of the plan. */
static int get_pieces(Objects *objects, const struct plan *plan, size_t first, size_t end, VaultFile *file) {
	struct group *group = calloc(1, sizeof *group);
	size_t bytes = plan->pieces[end - 1].to - plan->pieces[first].from;
	if (group)
		group->buffer = malloc(bytes < RECALL_GROUP_BYTES ? bytes : RECALL_GROUP_BYTES);
	int rc = group && group->buffer ? 0 : fault(ENOMEM, "no memory to fetch a segment");
	if (rc == 0)
		group->at = plan->pieces[first].from;
	for (size_t i = first; i < end && rc == 0; i++)
		rc = get_piece(objects, &plan->pieces[i], group, file);
	if (rc == 0)
		rc = send_group(objects, group, file);
	if (group)
		free(group->buffer);
	free(group);
	return rc;
}

/* ---- earlier versions ---- */

struct versions {
	const char *name;
	uint64_t size;
	const char *tried;
	char *found[VERSIONS_TRIED];
	size_t count;
};

static int gather_version(void *arg, const struct object_info *object) {
	struct versions *versions = arg;
	if (strcmp(object->name, versions->name) != 0 || object->is_removed || object->size != versions->size ||
	        !object->version[0] || versions->count == VERSIONS_TRIED ||
	        (versions->tried ? strcmp(object->version, versions->tried) == 0 : object->is_latest))
		return 0;
	versions->found[versions->count] = strdup(object->version);
	return versions->found[versions->count++] ? 0 : fault(ENOMEM, "no memory for the versions of an object");
}

/* Gets one piece of another version; the file is as it was when none verifies farther. 1: it does. */
static int try_versions(Recall *recall, Objects *objects, const struct recall_segment *segment, struct plan *plan,
        size_t index, VaultFile *file, uint64_t *at, uint64_t *length) {
	struct recall_piece *piece = &plan->pieces[index];
	struct versions versions = {.name = piece->name, .size = piece->end - piece->begin, .tried = piece->version};
	char *first = piece->version;
	int better = objects_versions(objects, piece->name, gather_version, &versions);
	for (size_t i = 0; i < versions.count && better == 0; i++) {
		uint64_t now = UINT64_MAX, bytes = 0;
		piece->version = versions.found[i];
		if (get_pieces(objects, plan, index, index + 1, file) < 0)
			continue;
		int wrong = recall->verify(recall->verify_arg, segment->number, file, &now, &bytes);
		better = wrong < 0 ? wrong : wrong == 0 || now > *at;
		if (better > 0) {
			*at = wrong == 0 ? UINT64_MAX : now;
			*length = bytes;
			versions.found[i] = NULL;
			free(first);
			first = piece->version;
		}
	}
	piece->version = first;
	int rc = better <= 0 && versions.count > 0 ? get_pieces(objects, plan, index, index + 1, file) : 0;
	if (rc < 0)
		better = rc;
	for (size_t i = 0; i < versions.count; i++)
		free(versions.found[i]);
	return better;
}

/* 1: something got better; 0: nothing can; errors of getting it are none of the segment. */
static int mend(Recall *recall, Objects *objects, const struct recall_segment *segment, struct plan *plan,
        VaultFile *file, uint64_t *at, uint64_t *length) {
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->pieces[i].to <= *at || plan->pieces[i].from >= *at + (*length ? *length : 1))
			continue;
		int rc = try_versions(recall, objects, segment, plan, i, file, at, length);
		if (rc != 0)
			return rc < 0 ? 0 : 1;
	}
	return 0;
}

static const char *piece_at(const struct plan *plan, uint64_t at) {
	for (size_t i = 0; i < plan->count; i++)
		if (at >= plan->pieces[i].from && at < plan->pieces[i].to)
			return plan->pieces[i].name;
	return plan->pieces[plan->count - 1].name;
}

/* What stays damaged is kept: the rest of it is somebody's. */
static int verify(
        Recall *recall, Objects *objects, const struct recall_segment *segment, struct plan *plan, VaultFile *file) {
	uint64_t at = UINT64_MAX, length = 0;
	int rc = recall->verify ? recall->verify(recall->verify_arg, segment->number, file, &at, &length) : 0;
	while (rc == 1 && at != UINT64_MAX && mend(recall, objects, segment, plan, file, &at, &length) == 1)
		;
	if (rc == 1 && at != UINT64_MAX) {
		char words[FAULT_MESSAGE_BYTES];
		(void)snprintf(words, sizeof words,
		        "%s: object %s does not authenticate at byte %" PRIu64
		        " of its segment, and no other version of it does; what is in it can't be read",
		        recall->origin.url, piece_at(plan, at), at);
		if (recall->notice)
			recall->notice(recall->notice_arg, words);
	}
	return rc < 0 && rc != -ENOKEY ? rc : 0;
}

int recall_fetch(
        Recall *recall, Objects *objects, const struct recall_segment *segment, const char *temporary, bool *ret_none) {
	struct plan plan = {0};
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = make_plan(recall, objects, segment, &plan, ret_none);
	if (rc == 0)
		rc = vault_file_open(recall->io, temporary, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file);
	if (rc == 0)
		rc = vault_file_truncate(file, 0);
	if (rc == 0)
		rc = get_pieces(objects, &plan, 0, plan.count, file);
	if (rc == -ENOENT || rc == -EIO)
		list_again(recall);
	if (rc == 0)
		rc = verify(recall, objects, segment, &plan, file);
	if (rc == 0)
		rc = vault_file_sync(file);
	plan_clear(&plan);
	return rc == -ENOENT ? fault(EIO, "%s", fault_message()) : rc;
}
