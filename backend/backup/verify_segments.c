/*
 * A segment as a place has it: its extents are fetched together, and every block is authenticated.
 *
 * Damage hides what is behind it in the batch. So of each look only the first thing that is wrong counts: its extent is
 * told, the local bytes take its place (when those are sound), and it is looked again. Extents that lie over those are
 * compared with them.
 */
#include "backend/backup/one_file.h"
#include "backend/backup/verify_internal.h"
#include "backend/segment.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FETCH_AT_ONCE 64

/* An extent, or a gap where there is none; its bytes [at, to) are taken. */
struct piece {
	uint32_t from, to; /* of the object */
	uint32_t at;
	bool is_missing, is_damaged;
	char words[160];
};

struct segment_check {
	struct verify *v;
	const struct segment_row *row;
	char file[SEGMENT_NAME_BYTES];
	uint8_t *bytes, *local; /* local: NULL until it is needed */
	bool local_is_sound;
	bool is_sound; /* `bytes` is what was sealed */
	struct piece *pieces;
	size_t count, room;
	/* The first thing that was wrong. */
	bool found;
	uint64_t position;
	char words[160];
};

/* ---- what there is of it ---- */

static int add_piece(struct segment_check *check, uint32_t from, uint32_t to, uint32_t at, bool is_missing) {
	void *grown = array_room(check->pieces, &check->room, check->count + 1, sizeof *check->pieces);
	if (!grown)
		return fault(ENOMEM, "no memory to verify a segment");
	check->pieces = grown;
	check->pieces[check->count++] = (struct piece){.from = from, .to = to, .at = at, .is_missing = is_missing};
	return 0;
}

/* Extents are cut where shipping cuts them. */
static int add_gap(struct segment_check *check, uint32_t from, uint32_t to) {
	int rc = 0;
	for (uint32_t at = from; at < to && rc == 0;) {
		uint64_t end = ((uint64_t)at / LAYOUT_EXTENT_BYTES + 1) * LAYOUT_EXTENT_BYTES;
		uint32_t until = (uint32_t)(end < to ? end : to);
		rc = add_piece(check, at, until, at, true);
		at = until;
	}
	return rc;
}

/* Whether shipping cuts like that: what is another's is not read as part of the segment, but told for itself. */
static bool is_ours(const struct segment_check *check, const struct layout_name *extent) {
	uint64_t end = ((uint64_t)extent->from / LAYOUT_EXTENT_BYTES + 1) * LAYOUT_EXTENT_BYTES;
	return extent->to <= end && extent->to <= check->row->bytes;
}

/* Where the extents of a segment begin in the list. */
static size_t first_extent(const struct verify *v, const uint8_t *id) {
	size_t low = 0;
	for (size_t high = v->extent_count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(v->extents[middle].id, id, LAYOUT_ID_BYTES) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int plan(struct segment_check *check) {
	const struct verify *v = check->v;
	const uint8_t *id = check->row->id;
	uint32_t end = (uint32_t)check->row->bytes, covered = 0;
	int rc = 0;
	for (size_t i = first_extent(v, id); i < v->extent_count && rc == 0 && covered < end; i++) {
		const struct layout_name *extent = &v->extents[i];
		if (memcmp(extent->id, id, LAYOUT_ID_BYTES) != 0)
			break;
		if (extent->to <= covered || !is_ours(check, extent))
			continue;
		uint32_t from = extent->from < end ? extent->from : end;
		if (from > covered) {
			rc = add_gap(check, covered, from);
			covered = from;
		}
		if (rc == 0 && covered < end)
			rc = add_piece(check, extent->from, extent->to, covered, false);
		covered = extent->to;
	}
	return rc < 0 || covered >= end ? rc : add_gap(check, covered, end);
}

static uint32_t end_of(const struct segment_check *check, const struct piece *piece) {
	return piece->to < check->row->bytes ? piece->to : (uint32_t)check->row->bytes;
}

static void damage(struct piece *piece, const char *words) {
	piece->is_damaged = true;
	(void)snprintf(piece->words, sizeof piece->words, "%s", words);
}

static int fetch_some(struct segment_check *check, struct piece **pieces, size_t count) {
	_cleanup_(freep) struct object_request *requests = calloc(FETCH_AT_ONCE, sizeof *requests);
	char names[FETCH_AT_ONCE][LAYOUT_NAME_BYTES];
	if (!requests)
		return fault(ENOMEM, "no memory to verify a segment");
	for (size_t i = 0; i < count; i++) {
		layout_extent_name(check->row->id, pieces[i]->from, pieces[i]->to, names[i]);
		requests[i] = (struct object_request){.what = OBJECT_GET,
		        .name = names[i],
		        .offset = pieces[i]->at - pieces[i]->from,
		        .into = check->bytes + pieces[i]->at,
		        .size = end_of(check, pieces[i]) - pieces[i]->at};
	}
	if (count > 0)
		(void)objects_do(check->v->ship.objects, requests, count);
	for (size_t i = 0; i < count; i++) {
		if (requests[i].rc < 0 && requests[i].rc != -ENOENT)
			return fault(-requests[i].rc, "%s", requests[i].words);
		int rc = requests[i].rc == 0 ? verify_count(check->v, 1, requests[i].got) : 0;
		if (rc < 0)
			return rc;
		if (requests[i].rc < 0)
			damage(pieces[i], "it is gone");
		else if (requests[i].got < requests[i].size)
			damage(pieces[i], "it is too short");
	}
	return 0;
}

static int fetch(struct segment_check *check) {
	struct piece *some[FETCH_AT_ONCE];
	size_t count = 0;
	int rc = 0;
	for (size_t i = 0; i < check->count && rc == 0; i++) {
		struct piece *piece = &check->pieces[i];
		if (piece->is_missing)
			damage(piece, "it is missing");
		else
			some[count++] = piece;
		if (count == FETCH_AT_ONCE) {
			rc = fetch_some(check, some, count);
			count = 0;
		}
	}
	return rc < 0 ? rc : fetch_some(check, some, count);
}

/* ---- looking ---- */

/* 1 ends the walk. */
static int note_first(const struct segment_finding *finding, void *arg) {
	struct segment_check *check = arg;
	if (!finding->wrong)
		return 0;
	check->found = true;
	check->position = finding->position;
	(void)snprintf(
	        check->words, sizeof check->words, "position %" PRIu64 ": %.110s", finding->position, finding->wrong);
	return -ECANCELED;
}

static int look(struct segment_check *check, uint8_t *bytes) {
	struct one_file file = {
	        .name = check->file, .size = check->row->bytes, .piece = (size_t)check->row->bytes, .data = bytes};
	_cleanup_(vault_io_closep) VaultIo *io = NULL;
	_cleanup_(segment_store_closep) SegmentStore *segments = NULL;
	struct segment_row row = *check->row;
	row.state = SEGMENT_CLOSED;
	check->found = false;
	int rc = one_file_open(&file, &io);
	if (rc == 0)
		rc = segment_store_open(
		        io, store_keyring(check->v->ship.store), (enum aead_cipher)check->v->cipher, 1, &segments);
	if (rc == 0)
		rc = segment_known(segments, &row);
	if (rc == 0)
		rc = segment_verify(segments, row.number, note_first, check);
	/* The store's files are of this io. */
	segment_store_close(steal_pointer(&segments));
	return check->found ? 0 : rc;
}

static void take_local(struct segment_check *check) {
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	if (check->local)
		return;
	check->local = malloc((size_t)check->row->bytes);
	if (!check->local || vault_file_open(store_io(check->v->ship.store), check->file, VAULT_FILE_READ, &file) < 0 ||
	        vault_file_read_exactly(file, 0, check->local, (size_t)check->row->bytes) < 0)
		return;
	check->local_is_sound = look(check, check->local) == 0 && !check->found;
}

/* ---- telling ---- */

static int heal(const struct segment_check *check, const struct piece *piece, const char *name) {
	if (!check->v->heal)
		return -EPERM;
	if (!check->local_is_sound || piece->to > check->row->bytes)
		return -EBADMSG;
	return verify_put(check->v, name, bytes_of(check->local + piece->from, piece->to - piece->from));
}

static int tell(struct segment_check *check, struct piece *piece) {
	char name[LAYOUT_NAME_BYTES];
	layout_extent_name(check->row->id, piece->from, piece->to, name);
	take_local(check);
	int rc = verify_tell(check->v, name, piece->words, heal(check, piece, name));
	if (check->local_is_sound)
		memcpy(check->bytes + piece->at, check->local + piece->at, end_of(check, piece) - piece->at);
	return rc;
}

static bool is_as_here(const struct segment_check *check, const struct piece *piece) {
	return memcmp(check->bytes + piece->at, check->local + piece->at, end_of(check, piece) - piece->at) == 0;
}

/* The piece in which the first wrong thing is. What begins in one may be wrong in the next, as the local bytes tell. */
static struct piece *wrong_piece(struct segment_check *check) {
	uint64_t position = check->position;
	take_local(check); /* which looks, too */
	for (size_t i = 0; i < check->count; i++) {
		struct piece *piece = &check->pieces[i];
		if (check->local_is_sound ? !is_as_here(check, piece) : position < piece->to)
			return piece;
	}
	return &check->pieces[check->count - 1];
}

static int look_and_tell(struct segment_check *check) {
	int rc = 0;
	for (size_t i = 0; i < check->count && rc == 0; i++)
		if (check->pieces[i].is_damaged)
			rc = tell(check, &check->pieces[i]);
	for (bool again = rc == 0; again;) {
		rc = look(check, check->bytes);
		again = rc == 0 && check->found;
		check->is_sound = rc == 0 && !check->found;
		if (!again)
			break;
		char words[sizeof check->words];
		memcpy(words, check->words, sizeof words);
		struct piece *piece = wrong_piece(check);
		if (piece->is_damaged) /* told already; nothing can be put in its place */
			break;
		damage(piece, words);
		rc = tell(check, piece);
		again = rc == 0 && check->local_is_sound;
	}
	return rc;
}

/* ---- extents besides ---- */

/* Whether all of it was read as part of the segment, or it was told already. */
static bool was_read(const struct segment_check *check, const struct layout_name *extent) {
	for (size_t i = 0; i < check->count; i++) {
		const struct piece *piece = &check->pieces[i];
		if (piece->from == extent->from && piece->to == extent->to)
			return piece->is_damaged || (!piece->is_missing && piece->at == piece->from);
	}
	return false;
}

static int heal_other(const struct segment_check *check, const struct layout_name *extent, const char *name) {
	if (!is_ours(check, extent))
		return verify_remove(check->v, name);
	return verify_put(check->v, name, bytes_of(check->bytes + extent->from, extent->to - extent->from));
}

/* One that lies over others, as they were merged, must have the same bytes: recovery may take it. Of a segment that is
 * open, what goes beyond may have come since. */
static int check_other(struct segment_check *check, const struct layout_name *extent) {
	uint32_t end = extent->to < check->row->bytes ? extent->to : (uint32_t)check->row->bytes;
	char name[LAYOUT_NAME_BYTES];
	size_t got = 0;
	layout_extent_name(extent->id, extent->from, extent->to, name);
	if (extent->to > check->row->bytes && check->row->state != SEGMENT_OPEN)
		return verify_tell(check->v, name, "it goes beyond the end of the segment: somebody else has put it",
		        verify_remove(check->v, name));
	if (extent->from >= end)
		return 0;
	size_t size = end - extent->from;
	_cleanup_(freep) uint8_t *there = malloc(size);
	if (!there)
		return fault(ENOMEM, "no memory to verify a segment");
	int rc = objects_get(check->v->ship.objects, name, 0, there, size, &got);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc; /* removed meanwhile */
	rc = verify_count(check->v, 1, got);
	if (rc < 0 || (got == size && memcmp(there, check->bytes + extent->from, size) == 0))
		return rc;
	return verify_tell(check->v, name, got < size ? "it is too short" : "it has other bytes than the segment",
	        heal_other(check, extent, name));
}

static int check_others(struct segment_check *check) {
	const struct verify *v = check->v;
	int rc = 0;
	for (size_t i = first_extent(v, check->row->id); i < v->extent_count && rc == 0; i++) {
		if (memcmp(v->extents[i].id, check->row->id, LAYOUT_ID_BYTES) != 0)
			break;
		if (!was_read(check, &v->extents[i]))
			rc = check_other(check, &v->extents[i]);
	}
	return rc;
}

int verify_segment(struct verify *v, const struct segment_row *row) {
	struct segment_check check = {.v = v, .row = row, .bytes = calloc(1, (size_t)row->bytes)};
	segment_file_name(row->id, check.file);
	int rc = check.bytes ? plan(&check) : fault(ENOMEM, "no memory to verify a segment");
	if (rc == 0)
		rc = fetch(&check);
	if (rc == 0)
		rc = look_and_tell(&check);
	if (rc == 0 && check.is_sound)
		rc = check_others(&check);
	free(check.pieces);
	free(check.bytes);
	free(check.local);
	return rc;
}
