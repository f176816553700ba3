/* Condemning, pardoning, removing. Each operation takes some segments; order and durability as drawn in gc.h. */
#include "backend/gc_internal.h"
#include "backend/record.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"

#include <errno.h>
#include <stdio.h>

#define VALUE_BYTES 16

/* ---- rows of kv ---- */

static void condemned_key(uint32_t number, char ret_key[static GC_KEY_BYTES]) {
	(void)snprintf(ret_key, GC_KEY_BYTES, GC_KV_CONDEMNED "%010u", number);
}

static void unlink_key(const uint8_t id[static SEGMENT_ID_BYTES], char ret_key[static GC_KEY_BYTES]) {
	char hex[HEX_TEXT_BYTES(SEGMENT_ID_BYTES)];
	hex_encode(bytes_of(id, SEGMENT_ID_BYTES), hex);
	(void)snprintf(ret_key, GC_KEY_BYTES, GC_KV_UNLINK "%s", hex);
}

bool gc_is_leaving(Meta *m, const char *name) {
	char key[GC_KEY_BYTES];
	uint8_t value[VALUE_BYTES];
	size_t size;
	const char *id = strrchr(name, '/');
	(void)snprintf(key, sizeof key, GC_KV_UNLINK "%s", id ? id + 1 : name);
	return meta_kv_get(m, key, value, sizeof value, &size) == 0;
}

/* ---- judging ---- */

/* Whether an earlier walk condemned it, a commit and the grace time before this one began. *ret_condemned: one did. */
static int is_due(const Gc *gc, const char *key, bool *ret_condemned, bool *ret_due) {
	uint8_t value[VALUE_BYTES];
	size_t size = 0;
	int rc = meta_kv_get(gc->store->meta, key, value, sizeof value, &size);
	*ret_condemned = rc == 0;
	*ret_due = rc == 0 && size == sizeof value && gc->commit > le64_get(value) &&
	           gc->time >= (int64_t)le64_get(value + 8) + gc->grace_ns;
	return rc == -ENOENT ? 0 : rc;
}

static int condemn(Gc *gc, const char *key) {
	uint8_t value[VALUE_BYTES];
	Meta *m = gc->store->meta;
	le64_put(value, meta_commit_id(m));
	le64_put(value + 8, (uint64_t)meta_now(m));
	gc->again = true;
	return meta_kv_put(m, key, bytes_of(value, sizeof value));
}

static int judge(Gc *gc, struct gc_segment *segment, uint32_t last) {
	char key[GC_KEY_BYTES];
	bool is_condemned = false, due = false;
	uint32_t number = segment->row.number;
	uint64_t live = gc_live_bytes(segment);
	bool is_dead = !segment->live && !segment_noted(gc->store->segments, number) && number != last;
	gc->live += live;
	gc->dead += segment->row.bytes - live;
	condemned_key(number, key);
	int rc = segment_live_set(gc->store->meta, number, live);
	if (rc == 0)
		rc = is_due(gc, key, &is_condemned, &due);
	if (rc == 0 && is_dead && !is_condemned)
		rc = condemn(gc, key);
	if (rc == 0 && !is_dead && is_condemned)
		rc = meta_kv_remove(gc->store->meta, key);
	gc->condemned += is_dead;
	segment->doomed = is_dead && due;
	gc->again |= is_dead && !due; /* also when a walk that was asked for came before its time */
	return rc;
}

int gc_judge(Gc *gc, bool *ret_done) {
	uint32_t last = 0;
	Meta *m = gc->store->meta;
	meta_begin(m);
	int rc = segment_row_last(m, &last);
	size_t end = gc->at + GC_SEGMENTS_AT_ONCE < gc->count ? gc->at + GC_SEGMENTS_AT_ONCE : gc->count;
	for (size_t i = gc->at; i < end && rc == 0; i++)
		rc = judge(gc, &gc->segments[i], last);
	rc = meta_end(m, rc);
	*ret_done = end == gc->count;
	gc->at = *ret_done ? 0 : end;
	return rc;
}

/* ---- removing ---- */

struct leaving {
	struct gc_segment *segments[GC_SEGMENTS_AT_ONCE];
	size_t count;
	uint64_t bytes;
};

/* The row goes, what is still to be unlinked is written down. */
static int remove_row(Gc *gc, const struct segment_row *row) {
	char key[GC_KEY_BYTES];
	uint8_t value[8];
	Meta *m = gc->store->meta;
	int rc = segment_row_remove(m, row->number);
	condemned_key(row->number, key);
	if (rc == 0)
		rc = meta_kv_remove(m, key);
	gc_purge_key(row->number, key);
	if (rc == 0)
		rc = meta_kv_remove(m, key);
	le64_put(value, row->bytes);
	unlink_key(row->id, key);
	return rc < 0 ? rc : meta_kv_put(m, key, bytes_of(value, sizeof value));
}

static int record_removed(Gc *gc, const struct leaving *leaving) {
	char words[128];
	if (leaving->count == 0)
		return 0;
	(void)snprintf(words, sizeof words, "%zu segment%s without any block in use removed", leaving->count,
	        leaving->count == 1 ? "" : "s");
	return store_record_event(
	        gc->store, (struct audit_event){.event = "gc", .bytes = leaving->bytes, .detail = words});
}

/* One operation. What was noted since the walk stays, as the last segment does: both should be impossible here. */
static int remove_rows(Gc *gc, struct leaving *leaving) {
	uint32_t last = 0;
	struct leaving kept = {0};
	Meta *m = gc->store->meta;
	meta_begin(m);
	int rc = segment_row_last(m, &last);
	for (size_t i = 0; i < leaving->count && rc == 0; i++) {
		struct gc_segment *segment = leaving->segments[i];
		if (segment->row.number == last || segment_noted(gc->store->segments, segment->row.number))
			continue;
		rc = remove_row(gc, &segment->row);
		kept.segments[kept.count++] = segment;
		kept.bytes += segment->row.bytes;
	}
	if (rc == 0)
		rc = record_removed(gc, &kept);
	gc->store->wants_checkpoint = rc == 0 && kept.count > 0;
	*leaving = kept;
	return meta_end(m, rc);
}

static int unlink_file(VaultIo *io, const char *name) {
	char directory[VAULT_NAME_MAX + 1];
	vault_io_directory_of(name, directory);
	int rc = vault_io_unlink(io, name);
	/* Gone already: what made it go may have been cut off before its sync. */
	if (rc == 0 || rc == -ENOENT)
		rc = vault_io_sync_dir(io, directory);
	return rc == -ENOENT ? 0 : rc;
}

/* What can't be unlinked stays written down, for the next opening. */
static int unlink_files(Gc *gc, const struct leaving *leaving) {
	bool is_gone[GC_SEGMENTS_AT_ONCE] = {false};
	Meta *m = gc->store->meta;
	for (size_t i = 0; i < leaving->count; i++) {
		char name[SEGMENT_NAME_BYTES];
		is_gone[i] = segment_forget(gc->store->segments, leaving->segments[i]->row.number, name) == 0 &&
		             unlink_file(gc->store->io, name) == 0;
	}
	meta_begin(m);
	int rc = 0;
	for (size_t i = 0; i < leaving->count && rc == 0; i++) {
		char key[GC_KEY_BYTES];
		unlink_key(leaving->segments[i]->row.id, key);
		rc = is_gone[i] ? meta_kv_remove(m, key) : 0;
	}
	return meta_end(m, rc);
}

static void count_removed(Gc *gc, const struct leaving *leaving) {
	gc->condemned -= leaving->count;
	pthread_mutex_lock(&gc->lock);
	for (size_t i = 0; i < leaving->count; i++)
		gc->totals.purged += leaving->segments[i]->wanted;
	gc->totals.removed += leaving->count;
	gc->totals.freed += leaving->bytes;
	pthread_mutex_unlock(&gc->lock);
}

int gc_free(Gc *gc, bool *ret_done) {
	struct leaving leaving = {0};
	size_t at = gc->at;
	for (; at < gc->count && leaving.count < GC_SEGMENTS_AT_ONCE; at++) {
		if (gc->segments[at].doomed)
			leaving.segments[leaving.count++] = &gc->segments[at];
	}
	int rc = leaving.count > 0 ? segment_uses_wait(gc->store->segments) : 0;
	if (rc == 0 && leaving.count > 0)
		rc = remove_rows(gc, &leaving);
	if (rc == 0 && leaving.count > 0)
		rc = store_commit_wait(gc->store);
	if (rc < 0)
		return rc;
	count_removed(gc, &leaving);
	if (leaving.count > 0)
		rc = unlink_files(gc, &leaving);
	gc->at = at;
	*ret_done = at == gc->count;
	return rc;
}

/* ---- after a crash ---- */

/* The name of the file that the row speaks of; false: of none that could be a segment's, or of one that is in use. */
static bool may_unlink(Store *store, const char *key, char ret_name[static SEGMENT_NAME_BYTES]) {
	const char *hex = key + strlen(GC_KV_UNLINK);
	uint8_t id[SEGMENT_ID_BYTES];
	if (strlen(hex) != HEX_TEXT_BYTES(SEGMENT_ID_BYTES) - 1 || hex_decode(hex, sizeof id, id) < 0)
		return false;
	segment_file_name(id, ret_name);
	return !segment_has_file(store->segments, ret_name);
}

int gc_finish(Store *store) {
	char key[GC_KEY_BYTES] = GC_KV_UNLINK;
	for (;;) {
		uint8_t value[VALUE_BYTES];
		char name[SEGMENT_NAME_BYTES];
		size_t size;
		meta_begin(store->meta);
		int rc = meta_end(store->meta,
		        meta_kv_next(store->meta, GC_KV_UNLINK, key, key, sizeof key, value, sizeof value, &size));
		if (rc < 0)
			return rc == -ENOENT ? 0 : rc;
		if (!may_unlink(store, key, name) || unlink_file(store->io, name) < 0)
			continue;
		meta_begin(store->meta);
		rc = meta_end(store->meta, meta_kv_remove(store->meta, key));
		if (rc < 0)
			return rc;
	}
}
