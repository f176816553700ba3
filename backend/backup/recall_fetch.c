/*
 * Fetching a segment:
 *
 *     the place, listed once ─► extents that cover [0, committed length) ─► pieces ─► groups of requests ─► NAME.tmp
 *                                        │ a gap: earlier versions                                            │
 *                                        ▼                                                                    ▼
 *                                     the same                              verified; where it is wrong, other extents
 *                                                                           are laid there, then earlier versions
 *
 * Anybody who can write there can put an extent of any length beside ours, so that none of them is believed before it
 * verifies. Those that end within the committed length come first: ours do, but for what a later shipment sent.
 */
#include "backend/backup/recall_internal.h"
#include "backend/objects/versions.h"
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
/* Of extents in the place of one that is wrong. */
#define OTHERS_TRIED 32u
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

static const struct recall_extent *farther(const struct recall_extent *x, const struct recall_extent *y) {
	return !x || y->to > x->to ? y : x;
}

/* Lays extents end to end, but those of `left_out` (NULL: none): of those within `bytes` the farthest-reaching, else
 * one that reaches beyond. Returns how far they reach; an error of `piece`. */
static int64_t cover(const struct recall_extent *extents, size_t count, const bool *left_out, uint32_t bytes,
        piece_fn *piece, void *arg) {
	const struct recall_extent *within = NULL, *beyond = NULL;
	uint32_t at = 0;
	for (size_t i = 0; at < bytes;) {
		for (; i < count && extents[i].from <= at; i++) {
			if (left_out && left_out[i])
				continue;
			if (extents[i].to <= bytes)
				within = farther(within, &extents[i]);
			else if (!beyond)
				beyond = &extents[i];
		}
		const struct recall_extent *best = within && within->to > at ? within : beyond;
		if (!best)
			break;
		uint32_t end = best->to < bytes ? best->to : bytes;
		int rc = piece ? piece(arg, best, at, end) : 0;
		if (rc < 0)
			return rc;
		at = end;
	}
	return at;
}

static bool is_whole(Recall *recall, const struct recall_segment *segment) {
	size_t count = 0;
	const struct recall_extent *extents = extents_of(recall, segment->id, &count);
	return cover(extents, count, NULL, segment->bytes, NULL, NULL) == segment->bytes;
}

/* Those that the place should have; the others, of which it may have a part from an earlier rule, by themselves. */
static uint64_t count_lacking(Recall *recall, uint64_t *ret_left_out) {
	uint64_t count = 0, left_out = 0;
	for (size_t i = 0; i < recall->count; i++) {
		struct recall_segment *segment = &recall->segments[i];
		bool lacks = recall_is_missing(recall, segment) && !is_whole(recall, segment);
		pthread_mutex_lock(&recall->lock);
		segment->is_lacking = lacks;
		pthread_mutex_unlock(&recall->lock);
		bool is_left_out = lacks && segment->is_outside;
		left_out += is_left_out;
		count += lacks && !is_left_out;
	}
	if (ret_left_out)
		*ret_left_out = left_out;
	return count;
}

/* Under `listing`. */
static int list_place(Recall *recall, Objects *objects) {
	if (recall->is_listed)
		return 0;
	recall_forget_listing(recall);
	int rc = objects_list(objects, "segments/", take_latest, recall);
	sort_extents(recall);
	if (rc == 0 && count_lacking(recall, NULL) > 0) {
		/* Who may not list versions, or has none, goes on with what there is. */
		rc = objects_versions(objects, "segments/", take_version, recall);
		if (rc == -EACCES || rc == -ENOTSUP)
			rc = 0;
		sort_extents(recall);
	}
	recall->is_listed = rc == 0;
	recall->listed_ms = monotonic_ms();
	if (rc == -ENOENT) /* the place itself, not a segment in it */
		rc = fault(EIO, "%s", fault_message());
	return fault_while(rc, "listing the segments of %s", recall->origin.url);
}

int recall_list_place(Recall *recall, Objects *objects, uint64_t *ret_lacking, uint64_t *ret_left_out) {
	pthread_mutex_lock(&recall->listing);
	int rc = list_place(recall, objects);
	uint64_t left_out = 0, lacking = rc == 0 ? count_lacking(recall, &left_out) : 0;
	pthread_mutex_unlock(&recall->listing);
	if (rc == 0)
		*ret_lacking = lacking;
	if (rc == 0)
		*ret_left_out = left_out;
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

struct pieces {
	struct recall_piece *list;
	size_t count, room;
};

struct plan {
	struct recall_extent *extents; /* those that the listing has of the segment */
	bool *left_out;                /* of them: they did not verify */
	size_t extent_count;
	struct pieces pieces;
};

static void pieces_clear(struct pieces *pieces) {
	for (size_t i = 0; i < pieces->count; i++)
		free(pieces->list[i].version);
	free(pieces->list);
	*pieces = (struct pieces){0};
}

static void plan_clear(struct plan *plan) {
	for (size_t i = 0; i < plan->extent_count; i++)
		free(plan->extents[i].version);
	free(plan->extents);
	free(plan->left_out);
	pieces_clear(&plan->pieces);
	*plan = (struct plan){0};
}

static int add_piece(void *arg, const struct recall_extent *extent, uint32_t from, uint32_t to) {
	struct pieces *pieces = arg;
	struct recall_piece *list = array_room(pieces->list, &pieces->room, pieces->count + 1, sizeof *list);
	char *version = extent->version ? strdup(extent->version) : NULL;
	if (list)
		pieces->list = list;
	if (!list || (extent->version && !version)) {
		free(version);
		return fault(ENOMEM, "no memory to fetch a segment");
	}
	struct recall_piece *piece = &list[pieces->count++];
	*piece = (struct recall_piece){
	        .from = from, .to = to, .begin = extent->from, .end = extent->to, .version = version};
	layout_extent_name(extent->id, extent->from, extent->to, piece->name);
	return 0;
}

static int take_extents(struct plan *plan, const struct recall_extent *extents, size_t count) {
	plan->extents = calloc(count ? count : 1, sizeof *plan->extents);
	plan->left_out = calloc(count ? count : 1, sizeof *plan->left_out);
	if (!plan->extents || !plan->left_out)
		return fault(ENOMEM, "no memory to fetch a segment");
	for (size_t i = 0; i < count; i++) {
		char *version = extents[i].version ? strdup(extents[i].version) : NULL;
		if (extents[i].version && !version)
			return fault(ENOMEM, "no memory to fetch a segment");
		plan->extents[plan->extent_count] = extents[i];
		plan->extents[plan->extent_count++].version = version;
	}
	return 0;
}

static int64_t lay_pieces(const struct plan *plan, uint32_t bytes, struct pieces *ret) {
	return cover(plan->extents, plan->extent_count, plan->left_out, bytes, add_piece, ret);
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
		if (rc == 0)
			rc = take_extents(ret, extents, count);
		reached = rc == 0 ? lay_pieces(ret, segment->bytes, &ret->pieces) : rc;
	} while (reached >= 0 && reached < segment->bytes && grows_old(recall));
	pthread_mutex_unlock(&recall->listing);
	*ret_none = reached >= 0 && count == 0;
	if (reached < 0)
		return (int)reached;
	if (reached == segment->bytes)
		return 0;
	layout_segment_prefix(segment->id, prefix);
	if (*ret_none)
		return fault(ENODATA, "%s has nothing of %s", recall->origin.url, prefix);
	return fault(ENODATA, "%s has %s only up to byte %" PRId64 " of %" PRIu32, recall->origin.url, prefix, reached,
	        segment->bytes);
}

/* ---- getting it ---- */

struct group {
	Recall *recall;
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
			return fault(ENODATA, "object %s ends at byte %" PRIu64, request->name,
			        request->offset + request->got);
	}
	recall_has_moved(group->recall);
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

/* Pieces [first, end). */
static int get_pieces(
        Recall *recall, Objects *objects, const struct pieces *pieces, size_t first, size_t end, VaultFile *file) {
	struct group *group = calloc(1, sizeof *group);
	size_t bytes = pieces->list[end - 1].to - pieces->list[first].from;
	if (group)
		group->buffer = malloc(bytes < RECALL_GROUP_BYTES ? bytes : RECALL_GROUP_BYTES);
	int rc = group && group->buffer ? 0 : fault(ENOMEM, "no memory to fetch a segment");
	if (rc == 0) {
		group->recall = recall;
		group->at = pieces->list[first].from;
	}
	for (size_t i = first; i < end && rc == 0; i++)
		rc = get_piece(objects, &pieces->list[i], group, file);
	if (rc == 0)
		rc = send_group(objects, group, file);
	if (group)
		free(group->buffer);
	free(group);
	return rc;
}

/* ---- what is wrong ---- */

/* A fetch that is under way: what is in the file is `plan`, and wrong first at `at` for `length` bytes. */
struct mending {
	Recall *recall;
	Objects *objects;
	const struct recall_segment *segment;
	struct plan *plan;
	VaultFile *file;
	uint64_t at, length; /* UINT64_MAX: nothing is */
};

/* 1: it is sound, or wrong only behind where it was; 0. */
static int is_better(struct mending *m) {
	uint64_t now = UINT64_MAX, bytes = 0;
	int wrong = m->recall->verify(m->recall->verify_arg, m->segment->number, m->file, &now, &bytes);
	if (wrong < 0 || (wrong > 0 && now <= m->at))
		return wrong < 0 ? wrong : 0;
	m->at = wrong == 0 ? UINT64_MAX : now;
	m->length = bytes;
	return 1;
}

static bool is_wrong(const struct mending *m, const struct recall_piece *piece) {
	return piece->to > m->at && piece->from < m->at + (m->length ? m->length : 1);
}

/* What in the place is of no use for this piece is no failure of the fetch: the file is as bad as it was. */
static bool is_of_no_use(int rc) {
	return rc == -ENOENT || rc == -ENODATA || rc == -EACCES || rc == -ENOTSUP;
}

/* ---- other extents ---- */

static bool is_same(const struct recall_piece *x, const struct recall_piece *y) {
	return strcmp(x->name, y->name) == 0 && !x->version == !y->version &&
	       (!x->version || strcmp(x->version, y->version) == 0);
}

/* Whether the file has these bytes of it already. */
static bool has_piece(const struct pieces *pieces, const struct recall_piece *piece) {
	for (size_t i = 0; i < pieces->count; i++)
		if (is_same(&pieces->list[i], piece) && pieces->list[i].from <= piece->from &&
		        pieces->list[i].to >= piece->to)
			return true;
	return false;
}

/* Lays the extents anew and gets what differs: 1; 0: they don't reach to the end, nothing was done. */
static int lay_anew(struct mending *m) {
	struct pieces pieces = {0};
	int64_t reached = lay_pieces(m->plan, m->segment->bytes, &pieces);
	int rc = reached < 0 ? (int)reached : 0;
	bool is_whole = reached == m->segment->bytes;
	for (size_t i = 0; i < pieces.count && rc == 0 && is_whole; i++)
		if (!has_piece(&m->plan->pieces, &pieces.list[i]))
			rc = get_pieces(m->recall, m->objects, &pieces, i, i + 1, m->file);
	if (reached >= 0 && is_whole) {
		struct pieces old = m->plan->pieces;
		m->plan->pieces = pieces;
		pieces = old;
	}
	pieces_clear(&pieces);
	return rc < 0 ? rc : is_whole;
}

static void leave_out(struct plan *plan, const struct recall_piece *piece) {
	for (size_t i = 0; i < plan->extent_count; i++) {
		const struct recall_extent *extent = &plan->extents[i];
		if (extent->from == piece->begin && extent->to == piece->end &&
		        (!extent->version ? !piece->version
		                          : piece->version && strcmp(extent->version, piece->version) == 0))
			plan->left_out[i] = true;
	}
}

static const struct recall_piece *piece_at(const struct plan *plan, uint64_t at) {
	const struct pieces *pieces = &plan->pieces;
	for (size_t i = 0; i < pieces->count; i++)
		if (at >= pieces->list[i].from && at < pieces->list[i].to)
			return &pieces->list[i];
	return &pieces->list[pieces->count - 1];
}

/* One extent after the other is left out that lies at `place`, as long as the rest reaches to the end. 1: that made it
 * better; else all is as it was. */
static int try_others(struct mending *m, uint64_t place) {
	size_t count = m->plan->extent_count;
	bool *before = malloc(count);
	if (!before)
		return fault(ENOMEM, "no memory to fetch a segment");
	memcpy(before, m->plan->left_out, count);
	int better = 0, laid = 1;
	unsigned changes = 0;
	for (unsigned tried = 0; tried < OTHERS_TRIED && better == 0 && laid == 1; tried++) {
		leave_out(m->plan, piece_at(m->plan, place));
		laid = lay_anew(m);
		changes += laid != 0;
		better = laid == 1 ? is_better(m) : 0;
	}
	if (better == 0 && (laid >= 0 || is_of_no_use(laid))) {
		memcpy(m->plan->left_out, before, count);
		if (laid < 0)
			pieces_clear(&m->plan->pieces); /* what is in the file now is not known */
		laid = changes > 0 ? lay_anew(m) : 0;
	}
	free(before);
	return better == 0 && laid < 0 ? laid : better;
}

/* ---- earlier versions ---- */

static bool is_in_use(const char *in_use, const struct object_version *version) {
	return in_use ? strcmp(in_use, version->id) == 0 : version->is_latest;
}

/* Gets one piece of another version; the file is as it was when none verifies farther. 1: it does. */
static int try_versions(struct mending *m, size_t index) {
	const struct pieces *pieces = &m->plan->pieces;
	struct recall_piece *piece = &pieces->list[index];
	struct object_versions versions;
	const struct object_version *version;
	char *first = piece->version;
	bool has_changed = false;
	int better = object_versions_read(m->objects, piece->name, &versions);
	if (is_of_no_use(better))
		better = 0;
	for (size_t i = 0; better == 0 && (version = object_versions_nth(&versions, i)); i++) {
		if (version->size != piece->end - piece->begin || is_in_use(first, version))
			continue;
		piece->version = version->id;
		has_changed = true;
		int rc = get_pieces(m->recall, m->objects, pieces, index, index + 1, m->file);
		better = rc == 0 ? is_better(m) : is_of_no_use(rc) ? 0 : rc;
		if (better > 0) {
			piece->version = strdup(version->id);
			better = piece->version ? better : fault(ENOMEM, "no memory to fetch a segment");
			free(first);
			first = piece->version;
		}
	}
	piece->version = first;
	if (better == 0 && has_changed)
		better = get_pieces(m->recall, m->objects, pieces, index, index + 1, m->file);
	object_versions_clear(&versions);
	return better;
}

/* 1: something got better; 0: nothing can. */
static int mend(struct mending *m) {
	int rc = 0;
	for (size_t i = 0; i < m->plan->pieces.count && rc == 0; i++) {
		const struct recall_piece *piece = &m->plan->pieces.list[i];
		if (is_wrong(m, piece))
			rc = try_others(m, piece->from > m->at ? piece->from : m->at);
	}
	for (size_t i = 0; i < m->plan->pieces.count && rc == 0; i++)
		if (is_wrong(m, &m->plan->pieces.list[i]))
			rc = try_versions(m, i);
	return rc;
}

/* What stays damaged is kept: the rest of it is somebody's. */
static int verify(struct mending *m, bool *ret_damaged) {
	Recall *recall = m->recall;
	int rc = recall->verify(recall->verify_arg, m->segment->number, m->file, &m->at, &m->length);
	int better = 1;
	while (rc == 1 && m->at != UINT64_MAX && better == 1)
		better = mend(m);
	if (better < 0)
		return better;
	if (rc == 1 && m->at != UINT64_MAX) {
		char words[FAULT_MESSAGE_BYTES];
		(void)snprintf(words, sizeof words,
		        "%s: object %s does not authenticate at byte %" PRIu64
		        " of its segment, and nothing else there does; what is in it can't be read",
		        recall->origin.url, piece_at(m->plan, m->at)->name, m->at);
		*ret_damaged = true;
		if (recall->notice)
			recall->notice(recall->notice_arg, words);
	}
	return rc < 0 && rc != -ENOKEY ? rc : 0;
}

int recall_fetch(Recall *recall, Objects *objects, const struct recall_segment *segment, const char *temporary,
        struct recall_outcome *ret) {
	struct plan plan = {0};
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = make_plan(recall, objects, segment, &plan, &ret->is_none);
	if (rc == 0)
		rc = vault_file_open(recall->io, temporary, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file);
	if (rc == 0)
		rc = vault_file_truncate(file, 0);
	if (rc == 0 && plan.pieces.count > 0)
		rc = get_pieces(recall, objects, &plan.pieces, 0, plan.pieces.count, file);
	if (rc == -ENOENT || rc == -ENODATA)
		list_again(recall);
	if (rc == 0 && recall->verify && plan.pieces.count > 0)
		rc = verify(&(struct mending){.recall = recall,
		                    .objects = objects,
		                    .segment = segment,
		                    .plan = &plan,
		                    .file = file,
		                    .at = UINT64_MAX},
		        &ret->is_damaged);
	if (rc == 0)
		rc = vault_file_sync(file);
	plan_clear(&plan);
	return rc == -ENOENT ? fault(ENODATA, "%s", fault_message()) : rc;
}
