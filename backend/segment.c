/* The table of segments and their files; reading; syncing; telling the database. Appending is in segment_append.c. */
#include "backend/segment.h"
#include "backend/segment_internal.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Blocks this near to each other are read in one go: a directory between two full batches is 2,128 bytes. */
#define RUN_GAP_BYTES 4096u

/*
 * What a version changed lies together, but in the order it was written: of a file that is read in order, blocks from
 * all over a segment are wanted, each of them once. Waiting for one after the other is what reading it cold cost; so
 * the disk is told of all runs of a request before the first is read, and of the whole window around a run where at
 * least SCATTERED_RUNS of a request are short ones in one segment. A window is asked for once while the segment is
 * open, so what nobody wants is never more than the segment. Nothing is kept here: the bytes go into the page cache.
 *
 * 64 MiB of which 1,000 times 4 KiB were overwritten, cold, against 64 MiB never overwritten (medians of nine in
 * turns): 1.37 times as long without this, 1.27 with exact runs, 1.09 with windows. From the page cache 1.0 to 1.1 in
 * all three.
 */
#define SHORT_RUN_BLOCKS 2u
#define SCATTERED_RUNS 4u
#define WINDOW_BYTES (1u << 20)
static_assert(SEGMENT_MAX_BYTES / WINDOW_BYTES <= 64, "struct segment has a bit for each window");

void segment_file_name(const uint8_t id[static SEGMENT_ID_BYTES], char ret_name[static SEGMENT_NAME_BYTES]) {
	char hex[HEX_TEXT_BYTES(SEGMENT_ID_BYTES)];
	hex_encode(bytes_of(id, SEGMENT_ID_BYTES), hex);
	(void)snprintf(ret_name, SEGMENT_NAME_BYTES, "segments/%.2s/%s", hex, hex);
}

int segment_key_of(SegmentStore *s, struct segment *segment, bool seals, struct secret_key *ret_key) {
	_cleanup_(secret_key_wipe) struct secret_key own;
	const struct segment_row *row = &segment->row;
	int rc = keyring_get(s->keyring, zone_key_name(row->zone), row->key_version, ret_key->bytes, NULL);
	if (rc == 0 && row->own[0]) {
		rc = keyring_get(s->keyring, row->own, row->own_version, own.bytes, NULL);
		if (rc == 0)
			segment_derive_parent(ret_key->bytes, own.bytes, ret_key->bytes);
		else
			secret_key_wipe(ret_key);
	}
	if (rc < 0)
		return rc;
	segment_derive_key(ret_key->bytes, row->id, ret_key->bytes);
	(*(seals ? &s->seals[row->zone] : &s->opens[row->zone]))++;
	(*(seals ? &segment->seals : &segment->opens))++;
	return 0;
}

int segment_store_open(
        VaultIo *io, const Keyring *keyring, enum aead_cipher cipher, uint64_t mount, SegmentStore **ret) {
	SegmentStore *s = calloc(1, sizeof *s);
	if (!s)
		return fault(ENOMEM, "no memory for the table of segments");
	s->io = io;
	s->keyring = keyring;
	s->cipher = cipher;
	s->mount = mount;
	int rc = segment_cache_init(&s->cache);
	if (rc < 0) {
		free(s);
		return rc;
	}
	pthread_mutex_init(&s->flushing, NULL);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->settled, NULL);
	pthread_mutex_init(&s->watch.waiting, NULL);
	segment_keys_changed(s);
	*ret = s;
	return 0;
}

void segment_store_close(SegmentStore *s) {
	if (!s)
		return;
	for (uint32_t i = 0; i < s->table_size; i++) {
		if (!s->table[i])
			continue;
		vault_file_close(s->table[i]->file);
		free(s->table[i]);
	}
	free(s->table);
	segment_cache_free(&s->cache);
	pthread_cond_destroy(&s->settled);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->watch.waiting);
	pthread_mutex_destroy(&s->flushing);
	free(s);
}

static int table_grow(SegmentStore *s, uint32_t number) {
	if (number < s->table_size)
		return 0;
	size_t size = s->table_size ? s->table_size : 64;
	while (size <= number)
		size *= 2;
	if (size > UINT32_MAX)
		return fault(EOVERFLOW, "segment number %u is beyond what can be", number);
	struct segment **table = realloc(s->table, size * sizeof *table);
	if (!table)
		return fault(ENOMEM, "no memory for %zu segments", size);
	memset(table + s->table_size, 0, (size - s->table_size) * sizeof *table);
	s->table = table;
	s->table_size = (uint32_t)size;
	return 0;
}

int segment_table_add(SegmentStore *s, struct segment *segment) {
	uint32_t number = segment->row.number;
	int rc = table_grow(s, number);
	if (rc < 0)
		return rc;
	if (number == 0 || s->table[number])
		return fault(EINVAL, "segment number %u is there twice", number);
	s->table[number] = segment;
	const enum zone zone = segment->row.zone;
	if (s->key_least[zone] == 0 || segment->row.key_version < s->key_least[zone])
		s->key_least[zone] = segment->row.key_version;
	if (segment->row.key_version > s->key_most[zone])
		s->key_most[zone] = segment->row.key_version;
	if (number > s->last_number)
		s->last_number = number;
	if (segment->row.own[0])
		s->has_own = true;
	return 0;
}

static void lru_remove(SegmentStore *s, struct segment *segment) {
	*(segment->newer ? &segment->newer->older : &s->newest) = segment->older;
	*(segment->older ? &segment->older->newer : &s->oldest) = segment->newer;
	segment->newer = segment->older = NULL;
}

static void lru_push(SegmentStore *s, struct segment *segment) {
	segment->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = segment;
	s->newest = segment;
}

static void file_close(SegmentStore *s, struct segment *segment) {
	lru_remove(s, segment);
	vault_file_close(segment->file);
	segment->file = NULL;
	segment->windows = 0;
	s->open_files--;
}

void segment_table_remove(SegmentStore *s, struct segment *segment) {
	if (segment->file)
		file_close(s, segment);
	s->table[segment->row.number] = NULL;
	free(segment);
}

void segment_mark_active(SegmentStore *s, struct segment *segment) {
	if (segment->active)
		return;
	segment->active = true;
	segment->active_next = s->active;
	s->active = segment;
}

void segment_adopt_file(SegmentStore *s, struct segment *segment, VaultFile *file) {
	segment->file = file;
	segment->users++;
	lru_push(s, segment);
	s->open_files++;
	for (struct segment *old = s->oldest; old && s->open_files > OPEN_FILES_MAX;) {
		struct segment *newer = old->newer;
		if (old->users == 0)
			file_close(s, old);
		old = newer;
	}
}

static int pin_locked(SegmentStore *s, uint32_t number, struct segment **ret_segment) {
	struct segment *segment = number < s->table_size ? s->table[number] : NULL;
	if (!segment)
		return fault(EBADMSG, "a reference to segment %u, which the vault does not have", number);
	if (segment->file) {
		segment->users++;
		lru_remove(s, segment);
		lru_push(s, segment);
	} else {
		char name[SEGMENT_NAME_BYTES];
		VaultFile *file = NULL;
		segment_file_name(segment->row.id, name);
		int rc = vault_file_open(s->io, name, VAULT_FILE_READ, &file);
		if (rc == -ENOENT)
			return fault(EBADMSG, "%s is missing", name);
		if (rc < 0)
			return rc;
		segment_adopt_file(s, segment, file);
	}
	*ret_segment = segment;
	return 0;
}

int segment_pin(SegmentStore *s, uint32_t number, struct segment **ret_segment) {
	pthread_mutex_lock(&s->lock);
	int rc = pin_locked(s, number, ret_segment);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void segment_let_go(SegmentStore *s, struct segment *segment) {
	if (!segment->held)
		return;
	segment->held = false;
	segment->users--;
	s->own_held -= segment->row.own[0] != '\0';
}

void segment_unpin(SegmentStore *s, struct segment *segment) {
	pthread_mutex_lock(&s->lock);
	segment->users--;
	pthread_mutex_unlock(&s->lock);
}

int segment_known(SegmentStore *s, const struct segment_row *row) {
	if (row->bytes < SEGMENT_HEADER_BYTES || row->bytes > UINT32_MAX)
		return fault(
		        EBADMSG, "segment %u is said to be %lu bytes long", row->number, (unsigned long)row->bytes);
	struct segment *segment = calloc(1, sizeof *segment);
	if (!segment)
		return fault(ENOMEM, "no memory for segment %u", row->number);
	segment->row = *row;
	segment->reserved = segment->done = (uint32_t)row->bytes;
	segment->told = true;
	segment->told_bytes = row->bytes;
	segment->told_state = row->state;
	segment->is_shut = row->own[0] && segment_own_check(s, row->own) < 0;
	pthread_mutex_lock(&s->lock);
	int rc = segment_table_add(s, segment);
	pthread_mutex_unlock(&s->lock);
	if (rc < 0)
		free(segment);
	return rc;
}

int segment_name(SegmentStore *s, uint32_t number, char ret_name[static SEGMENT_NAME_BYTES]) {
	pthread_mutex_lock(&s->lock);
	struct segment *segment = number < s->table_size ? s->table[number] : NULL;
	if (segment)
		segment_file_name(segment->row.id, ret_name);
	pthread_mutex_unlock(&s->lock);
	return segment ? 0 : fault(ENOENT, "the vault has no segment %u", number);
}

/* ---- reading ---- */

/* What was read of a segment at once. */
struct run {
	uint32_t start; /* in the segment */
	const uint8_t *bytes;
};

/* Whether its batch has no other block: the shortest directory is before it. */
static bool is_alone(const struct block_ref *ref) {
	return ref->position == ref->batch + segment_batch_prefix(1);
}

/* Unseals, and unpacks. */
static int block_open(SegmentStore *s, const Aead *aead, const struct segment *segment, const struct block_ref *ref,
        const uint8_t *sealed, uint8_t *out) {
	const struct bytes bytes = bytes_of(sealed, (size_t)block_ref_stored(ref) + SEGMENT_TAG_BYTES);
	const uint32_t flags = segment_block_flags(ref->flags, ref->units, ref->plain);
	if (!(ref->flags & BLOCK_PACKED))
		return segment_block_open(aead, segment->row.id, ref->position, flags, bytes, out);
	SegmentPacker *packer = segment_packer_get(&s->cache);
	if (!packer)
		return fault(ENOMEM, "no memory to decompress a block");
	uint8_t *packed = segment_packer_bytes(packer);
	int rc = segment_block_open(aead, segment->row.id, ref->position, flags, bytes, packed);
	if (rc == 0)
		rc = segment_unpack(packer, bytes_of(packed, block_ref_stored(ref)), ref->plain, out);
	secret_wipe(packed, block_ref_stored(ref));
	segment_packer_put(&s->cache, packer);
	return rc;
}

static int block_read(
        SegmentStore *s, struct segment *segment, const struct block_ref *ref, const struct run *run, uint8_t *out) {
	struct batch_key *key = NULL;
	const uint8_t *sealed = run->bytes + (ref->position - run->start);
	/* Between the blocks of a run lie the headers of their batches, but for the first. */
	const uint8_t *header = ref->batch >= run->start ? run->bytes + (ref->batch - run->start) : NULL;
	int rc = segment_batch_key_get(s, segment, ref->batch, is_alone(ref), header, &key);
	if (rc < 0)
		return rc;
	rc = block_open(s, key->aead, segment, ref, sealed, out);
	segment_batch_key_put(s, key);
	/* The same place could once have held another block that authenticates there; the reference tells which one is
	 * meant. */
	if (rc == 0 && memcmp(sealed + block_ref_stored(ref), ref->tag, SEGMENT_TAG_BYTES) != 0)
		rc = fault(EBADMSG, "another block than the one that was written");
	return fault_while(rc, "%s: block at %u", vault_file_name(segment->file), ref->position);
}

static uint32_t end_of(const struct block_ref *ref) {
	return ref->position + block_ref_stored(ref) + SEGMENT_TAG_BYTES;
}

static bool ref_is_possible(const struct block_ref *ref) {
	bool is_packed = ref->flags == BLOCK_PACKED && ref->units > 0 && ref->units <= SEGMENT_UNITS_MOST &&
	                 ref->units * BLOCK_UNIT_BYTES < ref->plain;
	return ref->plain > 0 && ref->plain <= SEGMENT_BLOCK_BYTES &&
	       (is_packed || (ref->flags == 0 && ref->units == 0)) && ref->position <= SEGMENT_MAX_BYTES &&
	       ref->position >= (uint64_t)ref->batch + segment_batch_prefix(1);
}

static int ref_check(const struct block_ref *ref) {
	return ref_is_possible(ref) ? 0
	                            : fault(EBADMSG, "an impossible reference to a block: segment %u, position %u",
	                                      ref->segment, ref->position);
}

/* How many of the n references, the first of which is no hole, lie near enough together for one read. */
static size_t run_length(const struct block_ref *refs, size_t n) {
	size_t i = 1;
	while (i < n && refs[i].segment == refs[0].segment && refs[i].position >= end_of(&refs[i - 1]) &&
	        refs[i].position - end_of(&refs[i - 1]) <= RUN_GAP_BYTES && refs[i].position <= SEGMENT_MAX_BYTES &&
	        block_ref_stored(&refs[i]) <= SEGMENT_BLOCK_BYTES &&
	        end_of(&refs[i]) - refs[0].position <= BUFFER_BYTES)
		i++;
	return i;
}

/* Where a read for the run begins: at its batch's header, if that is wanted and near, as it is of small files and of
 * blocks that were written alone. A second read costs as much as the first. */
#define HEADER_NEAR_BYTES 4096u
static uint32_t run_start(SegmentStore *s, const struct block_ref *refs, size_t n) {
	bool near = refs[0].position - refs[0].batch <= HEADER_NEAR_BYTES &&
	            end_of(&refs[n - 1]) - refs[0].batch <= BUFFER_BYTES;
	if (!near || (!is_alone(&refs[0]) && segment_batch_key_known(s, refs[0].segment, refs[0].batch)))
		return refs[0].position;
	return refs[0].batch;
}

/* `fill`: with zeros behind what each block has, up to SEGMENT_BLOCK_BYTES. */
static int run_read(SegmentStore *s, const struct block_ref *refs, size_t n, bool fill, uint8_t *out) {
	for (size_t i = 0; i < n; i++) {
		int rc = ref_check(&refs[i]);
		if (rc < 0)
			return rc;
	}
	struct segment *segment = NULL;
	int rc = segment_pin(s, refs[0].segment, &segment);
	if (rc < 0)
		return rc;
	uint8_t *buffer = segment_buffer_get(&s->cache);
	struct run run = {.start = run_start(s, refs, n), .bytes = buffer};
	if (!buffer)
		rc = fault(ENOMEM, "no memory to read blocks");
	else
		rc = vault_file_read_exactly(segment->file, run.start, buffer, end_of(&refs[n - 1]) - run.start);
	for (size_t i = 0; i < n && rc == 0; i++) {
		uint8_t *to = out + i * SEGMENT_BLOCK_BYTES;
		rc = block_read(s, segment, &refs[i], &run, to);
		if (rc == 0 && fill)
			memset(to + refs[i].plain, 0, SEGMENT_BLOCK_BYTES - refs[i].plain);
	}
	segment_buffer_put(&s->cache, buffer);
	segment_unpin(s, segment);
	return rc;
}

/* ---- what will be read ---- */

static size_t hole_or_run(const struct block_ref *refs, size_t n) {
	return block_ref_is_hole(&refs[0]) ? 1 : run_length(refs, n);
}

/* Whether the n references have several short runs in this segment: then the file has more of them near by. */
static bool is_scattered_in(const struct block_ref *refs, size_t n, uint32_t segment) {
	unsigned found = 0;
	for (size_t i = 0, run; i < n && found < SCATTERED_RUNS; i += run) {
		run = hole_or_run(refs + i, n - i);
		found += !block_ref_is_hole(&refs[i]) && refs[i].segment == segment && run <= SHORT_RUN_BLOCKS;
	}
	return found == SCATTERED_RUNS;
}

/* Whether the window at `position` was not asked for yet; now it is. */
static bool window_is_new(SegmentStore *s, struct segment *segment, uint32_t position) {
	pthread_mutex_lock(&s->lock);
	uint64_t bit = UINT64_C(1) << position / WINDOW_BYTES % 64;
	bool is_new = !(segment->windows & bit);
	segment->windows |= bit;
	pthread_mutex_unlock(&s->lock);
	return is_new;
}

/* The disk is told of a run before another one is read. Whatever is wrong with it, reading it will say. */
static void run_expect(SegmentStore *s, const struct block_ref *refs, size_t n, bool scattered) {
	struct segment *segment = NULL;
	if (!ref_is_possible(&refs[0]) || segment_pin(s, refs[0].segment, &segment) < 0)
		return;
	uint32_t start = run_start(s, refs, n);
	if (scattered && window_is_new(s, segment, start))
		vault_file_expect(segment->file, start / WINDOW_BYTES * WINDOW_BYTES, WINDOW_BYTES);
	else
		vault_file_expect(segment->file, start, end_of(&refs[n - 1]) - start);
	segment_unpin(s, segment);
}

/* Tells the disk of all runs but the first. */
static void runs_expect(SegmentStore *s, const struct block_ref *refs, size_t n) {
	bool is_first = true;
	for (size_t i = 0, run; i < n; i += run) {
		run = hole_or_run(refs + i, n - i);
		if (block_ref_is_hole(&refs[i]))
			continue;
		if (!is_first)
			run_expect(
			        s, refs + i, run, run <= SHORT_RUN_BLOCKS && is_scattered_in(refs, n, refs[i].segment));
		is_first = false;
	}
}

int segment_read(SegmentStore *s, const struct block_ref *refs, size_t n, uint8_t *out) {
	int rc = 0;
	runs_expect(s, refs, n);
	for (size_t i = 0; i < n && rc == 0;) {
		uint8_t *to = out + i * SEGMENT_BLOCK_BYTES;
		if (block_ref_is_hole(&refs[i])) {
			memset(to, 0, SEGMENT_BLOCK_BYTES);
			i++;
			continue;
		}
		size_t run = run_length(refs + i, n - i);
		rc = run_read(s, refs + i, run, true, to);
		i += run;
	}
	if (rc < 0)
		memset(out, 0, n * SEGMENT_BLOCK_BYTES);
	return rc;
}

int segment_read_plain(SegmentStore *s, const struct block_ref *ref, uint8_t *out) {
	int rc = run_read(s, ref, 1, false, out);
	if (rc < 0)
		memset(out, 0, ref->plain);
	return rc;
}

/* ---- telling the database ---- */

/* The row as the database should have it now, if it has another. Lock held. */
static bool row_to_tell(struct segment *segment, struct segment_row *ret_row) {
	*ret_row = segment->row;
	/* What isn't synced and cut to its length may not be called closed. */
	if (segment->row.state != SEGMENT_OPEN && (segment->row.bytes != segment->done || segment->appending > 0 ||
	                                                  segment->uncut || segment->filled > 0))
		ret_row->state = SEGMENT_OPEN;
	if (segment->row.bytes <= SEGMENT_HEADER_BYTES)
		return false;
	return !segment->told || segment->told_bytes != ret_row->bytes || segment->told_state != ret_row->state;
}

/* Copies what is to be told, so that `row` runs without the lock. */
static int rows_collect(SegmentStore *s, struct segment_row **ret_rows, size_t *ret_count) {
	size_t n = 0;
	for (struct segment *it = s->active; it; it = it->active_next)
		n++;
	struct segment_row *rows = calloc(n ? n : 1, sizeof *rows);
	if (!rows)
		return fault(ENOMEM, "no memory for the rows of %zu segments", n);
	n = 0;
	for (struct segment *it = s->active; it; it = it->active_next) {
		if (row_to_tell(it, &rows[n]))
			n++;
	}
	*ret_rows = rows;
	*ret_count = n;
	return 0;
}

/* Whether nothing more can happen to the segment: the database knows the end of it, or it has no batch and never had a
 * row. */
static bool is_over(const struct segment *segment) {
	if (segment->told)
		return segment->told_state != SEGMENT_OPEN;
	return segment->lost && segment->appending == 0 && segment->done == SEGMENT_HEADER_BYTES && !segment->uncut;
}

/* Notes what was told, and lets go of segments that won't change any more. */
static void rows_told(SegmentStore *s, const struct segment_row *rows, size_t n) {
	for (size_t i = 0; i < n; i++) {
		struct segment *segment = s->table[rows[i].number];
		segment->told = true;
		segment->told_bytes = rows[i].bytes;
		segment->told_state = rows[i].state;
	}
	for (struct segment **slot = &s->active; *slot;) {
		struct segment *segment = *slot;
		if (!is_over(segment)) {
			slot = &segment->active_next;
			continue;
		}
		*slot = segment->active_next;
		segment->active = false;
		segment_let_go(s, segment);
		if (!segment->told && segment->users == 0)
			segment_table_remove(s, segment);
	}
}

int segment_take_changes(SegmentStore *s, int (*row)(const struct segment_row *row, void *arg), void *arg) {
	_cleanup_(freep) struct segment_row *rows = NULL;
	size_t n = 0;
	pthread_mutex_lock(&s->lock);
	int rc = rows_collect(s, &rows, &n);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < n && rc >= 0; i++)
		rc = row(&rows[i], arg);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->flushing);
	pthread_mutex_lock(&s->lock);
	rows_told(s, rows, n);
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->flushing);
	return 0;
}
