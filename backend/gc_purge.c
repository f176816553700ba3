/*
 * Segments that must go, whatever is alive in them: what held blocks of versions that were erased.
 *
 *     the erasing operation ─► gc.purge.N for each segment that the versions' maps lead to, gc.seek
 *            (commit)
 *     GC_SEEK  gc.seek: the directories of all segments ─► gc.purge.N for those with blocks that an erased version
 *              wrote and no map has: overwritten before it was sealed, dropped drafts, copies that were given up
 *              those that are being written are closed; the one with the highest number gets a later one behind it
 *     …        the walk; GC_MOVE moves out of them all that is alive
 *     removed  gc.purge.N goes with the row of the segment
 */
#include "backend/gc_internal.h"
#include "backend/record.h"
#include "backend/tree.h"
#include "backend/version.h"
#include "crypto/base/bits.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUE_BYTES 8
#define UNLINK_BYTES 16

/* ---- rows of kv ---- */

void gc_purge_key(uint32_t number, char ret_key[static GC_KEY_BYTES]) {
	(void)snprintf(ret_key, GC_KEY_BYTES, GC_KV_PURGE "%010u", number);
}

int gc_purge_want_segment(Meta *m, uint32_t number) {
	char key[GC_KEY_BYTES];
	uint8_t value[VALUE_BYTES];
	gc_purge_key(number, key);
	le64_put(value, (uint64_t)meta_now(m));
	return meta_kv_put(m, key, bytes_of(value, sizeof value));
}

/* 0 in *ret_round: no looking is due. */
static int get_seek(Meta *m, uint64_t *ret_round) {
	uint8_t value[VALUE_BYTES];
	size_t size = 0;
	*ret_round = 0;
	int rc = meta_kv_get(m, GC_KV_SEEK, value, sizeof value, &size);
	if (rc == 0 && size == sizeof value)
		*ret_round = le64_get(value);
	return rc == -ENOENT ? 0 : rc;
}

/* A later round than one that may be under way, so that its end does not take this wish with it. */
static int want_seek(Meta *m) {
	uint8_t value[VALUE_BYTES];
	uint64_t round = 0;
	int rc = get_seek(m, &round);
	le64_put(value, round + 1);
	return rc < 0 ? rc : meta_kv_put(m, GC_KV_SEEK, bytes_of(value, sizeof value));
}

/* ---- wanting ---- */

struct wanting {
	Store *store;
	Meta *m;
	struct bits met;
};

static int meet(void *arg, uint32_t number) {
	struct wanting *wanting = arg;
	if (bits_has(&wanting->met, number) || !segment_is_known(wanting->store->segments, number))
		return 0; /* not known: of a damaged page, there is nothing to remove */
	int rc = bits_add(&wanting->met, number);
	return rc < 0 ? rc : gc_purge_want_segment(wanting->m, number);
}

int gc_purge_want(Store *store, Meta *m, const uint64_t *versions, size_t count) {
	struct wanting wanting = {.store = store, .m = m};
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++) {
		uint64_t page = 0;
		rc = version_some_segments(m, versions[i], &page, SIZE_MAX, meet, &wanting);
		rc = rc == -ENXIO ? 0 : rc;
	}
	bits_clear(&wanting.met);
	if (rc == 0)
		rc = want_seek(m);
	store->wants_scrub = true;
	return fault_while(rc, "noting which segments are to go");
}

/* ---- looking for more ---- */

struct seeking {
	Gc *gc;
	struct segment_owner last; /* and what was said of it */
	bool is_wanted;
};

/*
 * Who wrote it has no row where a draft was dropped: then what else the node has decides. A node that is gone never had
 * a version; what the daemon itself wrote for one (a capture, a publication that was given up) may be a copy of what
 * was erased.
 */
static int was_erased(Meta *m, enum zone zone, const struct segment_owner *owner, bool *ret_was) {
	struct version version;
	struct node node;
	*ret_was = false;
	int rc = version_get(m, owner->version, &version);
	if (rc == 0)
		*ret_was = version.state == VERSION_ERASED;
	if (rc != -ENOENT)
		return rc;
	rc = tree_get(m, owner->node, &node);
	if (rc == -ESTALE) {
		*ret_was = owner->node != 0 && zone != ZONE_LANDING;
		return 0;
	}
	return rc < 0 ? rc : version_any_erased(m, owner->node, ret_was);
}

static int look_at_owners(void *arg, const struct segment_owner *owners, size_t n) {
	struct seeking *seeking = arg;
	Gc *gc = seeking->gc;
	Meta *m = gc->store->meta;
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0 && !seeking->is_wanted; i++) {
		if (memcmp(&owners[i], &seeking->last, sizeof owners[i]) == 0)
			continue;
		seeking->last = owners[i];
		meta_begin(m);
		rc = meta_end(m, was_erased(m, gc->seek_zone, &owners[i], &seeking->is_wanted));
	}
	return rc < 0 ? rc : seeking->is_wanted;
}

static int is_known_row(Gc *gc, uint32_t number, bool *ret_looks) {
	char key[GC_KEY_BYTES];
	uint8_t value[VALUE_BYTES];
	size_t size = 0;
	struct segment_row row = {0};
	Meta *m = gc->store->meta;
	gc_purge_key(number, key);
	meta_begin(m);
	int rc = meta_kv_get(m, key, value, sizeof value, &size);
	*ret_looks = rc == -ENOENT;
	if (rc == -ENOENT)
		rc = segment_row_get(m, number, &row);
	*ret_looks = *ret_looks && rc == 0;
	gc->seek_zone = row.zone;
	return meta_end(m, rc == -ENOENT ? 0 : rc);
}

/* A directory that can't be read may name anybody. While its key can't be had it waits; what was sealed under a key
 * that is gone, nobody ever reads. */
static int look_into(Gc *gc, uint32_t number) {
	struct seeking seeking = {.gc = gc};
	bool looks = false;
	int rc = is_known_row(gc, number, &looks);
	if (rc < 0 || !looks)
		return rc;
	rc = segment_key_check(gc->store->segments, number);
	gc->seek_waits |= rc < 0 && rc != -EKEYEXPIRED;
	if (rc < 0)
		return 0;
	rc = segment_owners(gc->store->segments, number, look_at_owners, &seeking);
	bool is_wanted = seeking.is_wanted || rc == -EBADMSG;
	if (rc < 0 && rc != -EBADMSG)
		return rc;
	if (!is_wanted)
		return 0;
	Meta *m = gc->store->meta;
	meta_begin(m);
	return meta_end(m, gc_purge_want_segment(m, number));
}

/* The round has ended, and is to be made again where it had to leave something out; unless another one was asked for
 * meanwhile. */
static int end_seek(Gc *gc, bool *ret_done) {
	uint64_t round = 0;
	Meta *m = gc->store->meta;
	meta_begin(m);
	int rc = get_seek(m, &round);
	*ret_done = round == gc->seek_round;
	if (rc == 0 && *ret_done && !gc->seek_waits)
		rc = meta_kv_remove(m, GC_KV_SEEK);
	gc->seek_round = 0;
	rc = meta_end(m, rc);
	pthread_mutex_lock(&gc->lock);
	gc->seek_waited = gc->seek_waits;
	pthread_mutex_unlock(&gc->lock);
	return rc;
}

/* One segment. */
static int seek(Gc *gc, bool *ret_done) {
	Meta *m = gc->store->meta;
	int rc = 0;
	if (gc->seek_round == 0) {
		gc->seek_at = 0;
		gc->seek_waits = false;
		meta_begin(m);
		rc = meta_end(m, get_seek(m, &gc->seek_round));
	}
	*ret_done = gc->seek_round == 0;
	if (rc < 0 || *ret_done)
		return rc;
	uint32_t number = segment_next(gc->store->segments, gc->seek_at);
	if (number == 0)
		return end_seek(gc, ret_done);
	gc->seek_at = number;
	return look_into(gc, number);
}

/* ---- making them ready ---- */

static int add_wanted(Gc *gc, uint32_t number) {
	if (gc->wanted_count == gc->wanted_room) {
		size_t room = gc->wanted_room ? 2 * gc->wanted_room : 64;
		uint32_t *grown = realloc(gc->wanted, room * sizeof *grown);
		if (!grown)
			return fault(ENOMEM, "no memory for %zu segments that are to go", room);
		gc->wanted = grown;
		gc->wanted_room = room;
	}
	gc->wanted[gc->wanted_count++] = number;
	return 0;
}

/* Ten digits each, so by number. A row of what is no segment (any more) goes. */
static int read_wanted(Gc *gc, uint32_t *ret_last) {
	char key[GC_KEY_BYTES] = GC_KV_PURGE;
	uint8_t value[VALUE_BYTES];
	size_t size;
	Meta *m = gc->store->meta;
	gc->wanted_count = 0;
	meta_begin(m);
	int rc = segment_row_last(m, ret_last);
	while (rc == 0 && (rc = meta_kv_next(m, GC_KV_PURGE, key, key, sizeof key, value, sizeof value, &size)) == 0) {
		uint32_t number = (uint32_t)strtoul(key + strlen(GC_KV_PURGE), NULL, 10);
		rc = segment_is_known(gc->store->segments, number) ? add_wanted(gc, number) : meta_kv_remove(m, key);
	}
	return meta_end(m, rc == -ENOENT ? 0 : rc);
}

static bool is_wanted(const Gc *gc, uint32_t number) {
	size_t low = 0, high = gc->wanted_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (gc->wanted[middle] < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < gc->wanted_count && gc->wanted[low] == number;
}

/* Segments alone are nothing that a commit is made for. */
static int commit_segments(Gc *gc) {
	uint8_t value[VALUE_BYTES];
	Meta *m = gc->store->meta;
	le64_put(value, (uint64_t)meta_now(m));
	meta_begin(m);
	int rc = meta_end(m, meta_kv_put(m, GC_KV_ASKED, bytes_of(value, sizeof value)));
	return rc < 0 ? rc : store_commit_wait(gc->store);
}

/* Nothing is appended to them any more, and the database knows. */
static int close_wanted(Gc *gc) {
	bool any = false;
	for (size_t i = 0; i < gc->wanted_count; i++)
		any |= segment_close(gc->store->segments, gc->wanted[i]);
	return any ? commit_segments(gc) : 0;
}

/* One byte of nobody's behind the segment with the highest number, which could not go otherwise. Without room for it,
 * or a key to seal it, that one stays for now. */
static int begin_later(Gc *gc, uint32_t last) {
	static const uint8_t nothing;
	struct segment_block block = {.plain = bytes_of(&nothing, 1)};
	struct block_ref ref;
	struct segment_row row = {0};
	Meta *m = gc->store->meta;
	meta_begin(m);
	int rc = meta_end(m, segment_row_get(m, last, &row));
	for (int zone = ZONE_LANDING; zone <= ZONE_STAGING && segment_zone_check(gc->store->segments, row.zone); zone++)
		row.zone = (enum zone)zone;
	if (rc == 0 && segment_zone_check(gc->store->segments, row.zone))
		return 0;
	if (rc == 0)
		rc = store_space_check(gc->store, sizeof nothing);
	if (rc == 0)
		rc = segment_append(gc->store->segments, row.zone, &block, 1, &ref);
	if (rc == 0)
		rc = commit_segments(gc);
	return rc == -ENOSPC ? 0 : rc;
}

/* ---- a walk that was asked for ---- */

/* The last segment stays, dead or not: where it has this much, one comes behind it, so that it can go. */
#define WORTH_A_LATER_BYTES 65536u

static int close_all(Gc *gc) {
	uint32_t last = 0, number = 0;
	struct segment_row row = {0};
	Meta *m = gc->store->meta;
	bool any = false;
	while ((number = segment_next(gc->store->segments, number)) != 0)
		any |= segment_close(gc->store->segments, number);
	int rc = any ? commit_segments(gc) : 0;
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = segment_row_last(m, &last);
	if (rc == 0 && last != 0)
		rc = segment_row_get(m, last, &row);
	rc = meta_end(m, rc);
	bool is_worth = row.bytes >= WORTH_A_LATER_BYTES || is_wanted(gc, last);
	return rc < 0 || !is_worth ? rc : begin_later(gc, last);
}

int gc_seek(Gc *gc, bool *ret_done) {
	uint32_t last = 0;
	bool sought = false;
	int rc = seek(gc, &sought);
	if (rc < 0 || !sought)
		return rc;
	rc = read_wanted(gc, &last);
	if (rc == 0)
		rc = close_wanted(gc);
	if (rc == 0) /* closing may have told the database of a later one */
		rc = read_wanted(gc, &last);
	if (rc == 0 && gc->closes_all)
		rc = close_all(gc);
	else if (rc == 0 && is_wanted(gc, last))
		rc = begin_later(gc, last);
	if (rc == 0)
		rc = gc_mark_begin(gc);
	for (size_t i = 0; i < gc->count && rc == 0; i++)
		gc->segments[i].wanted = is_wanted(gc, gc->segments[i].row.number);
	*ret_done = rc == 0;
	return rc;
}

/* ---- how far it has come ---- */

static int count_rows(Meta *m, const char *prefix, uint64_t *ret_count) {
	char key[GC_KEY_BYTES];
	uint8_t value[UNLINK_BYTES];
	size_t size;
	int rc;
	*ret_count = 0;
	(void)snprintf(key, sizeof key, "%s", prefix);
	while ((rc = meta_kv_next(m, prefix, key, key, sizeof key, value, sizeof value, &size)) == 0)
		++*ret_count;
	return rc == -ENOENT ? 0 : rc;
}

int gc_purging(Gc *gc, struct gc_purging *ret) {
	struct gc_purging purging = {0};
	uint64_t round = 0;
	Meta *m = gc->store->meta;
	meta_begin(m);
	int rc = count_rows(m, GC_KV_PURGE, &purging.wanted);
	if (rc == 0)
		rc = count_rows(m, GC_KV_UNLINK, &purging.unlinking);
	if (rc == 0)
		rc = get_seek(m, &round);
	rc = meta_end(m, rc);
	purging.is_seeking = round != 0;
	pthread_mutex_lock(&gc->lock);
	purging.removed = gc->totals.purged;
	purging.stuck = gc->stuck_wanted;
	purging.keyless = gc->keyless_wanted;
	purging.seek_waits = purging.is_seeking && gc->seek_waited;
	(void)snprintf(purging.trouble, sizeof purging.trouble, "%s", gc->failed_words);
	pthread_mutex_unlock(&gc->lock);
	if (rc == 0)
		*ret = purging;
	return rc;
}

void gc_purge(Gc *gc) {
	pthread_mutex_lock(&gc->lock);
	gc->purge_asked = true;
	gc->failed_words[0] = '\0';
	gc->seek_waited = false; /* that was of an earlier round */
	pthread_mutex_unlock(&gc->lock);
}
