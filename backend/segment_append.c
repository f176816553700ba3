/*
 * Appending to segments and syncing them.
 *
 *     reserve ── seal (no lock) ── write (no lock) ── settle: waits until all before it are settled
 *
 *     ┌────────┬─────────┬─────────┬─ ─ ─ ─ ─┐
 *     │ done   │ batch A │ batch B │ batch C │        A fails: B and C are sealed anew in the next segment, although
 *     └────────┴─────────┴─────────┴─ ─ ─ ─ ─┘        they may stand in the file already, which is cut at A
 *             done                        reserved
 */
#include "backend/segment_internal.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

/* How often the identical bytes are written to the identical place before the segment is given up. */
#define WRITE_TRIES 2
/* In how many segments a batch is tried. */
#define SEGMENT_TRIES 3
/* A segment that so little was synced of trickles: it is filled with zeros ahead, as syncing what was written into
 * blocks that the file has is one flush of the disk, without a commit of the file system's journal (figures: walchain).
 */
#define TRICKLE_BYTES (128u << 10)
#define TRICKLES 8
#define AHEAD_BYTES (1u << 20)

struct place {
	struct segment *segment;
	uint32_t at, length;
};

/* A block as it is sealed: packed (units not 0) or as it is. */
struct stored_block {
	struct bytes bytes;
	uint8_t units;
};

struct stored_batch {
	struct stored_block blocks[SEGMENT_BATCH_BLOCKS];
	uint32_t length; /* of all of it, sealed */
	bool has_packed;
};

/* Writes the header of a new segment. Nothing refers to the file yet, so a failure removes it. */
static int file_begin(SegmentStore *s, struct segment *segment, VaultFile **ret_file) {
	char name[SEGMENT_NAME_BYTES], directory[VAULT_NAME_MAX + 1];
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	_cleanup_(secret_key_wipe) struct secret_key key;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	struct segment_header header = {.format = segment->row.own[0] ? SEGMENT_FORMAT_OWN
	                                          : segment->packs    ? SEGMENT_FORMAT_PACKED
	                                                              : SEGMENT_FORMAT,
	        .own_version = segment->row.own_version,
	        .cipher = (uint8_t)s->cipher,
	        .zone = segment->row.zone,
	        .key_version = segment->row.key_version,
	        .mount = s->mount};
	const char *key_name = zone_key_name(segment->row.zone);
	memcpy(header.key_name, key_name, strlen(key_name));
	memcpy(header.id, segment->row.id, SEGMENT_ID_BYTES);
	memcpy(header.own_name, segment->row.own, OWN_KEY_BYTES);
	int rc = segment_key_of(s, segment, true, &key);
	if (rc < 0)
		return rc;
	segment_header_seal(&header, key.bytes, bytes);

	segment_file_name(segment->row.id, name);
	vault_io_directory_of(name, directory);
	rc = vault_io_mkdir(s->io, directory);
	if (rc == 0)
		rc = vault_file_open(s->io, name, VAULT_FILE_WRITE | VAULT_FILE_CREATE | VAULT_FILE_EXCLUSIVE, &file);
	if (rc < 0)
		return rc;
	rc = vault_file_write_at(file, 0, bytes_of(bytes, sizeof bytes));
	if (rc < 0) {
		(void)vault_io_unlink(s->io, name);
		return rc;
	}
	*ret_file = steal_pointer(&file);
	return 0;
}

/* No further batch goes into the segment. Lock held. */
static void writer_end(SegmentStore *s, struct segment *segment, enum segment_state state) {
	segment->row.state = state;
	for (size_t i = 0; i < WRITERS_MAX; i++)
		if (s->writers[i] == segment)
			s->writers[i] = NULL;
}

struct segment **segment_writer(SegmentStore *s, enum zone zone, const char *own) {
	if (!own[0])
		return &s->writers[zone];
	for (size_t i = ZONE_STAGING + 1; i < WRITERS_MAX; i++) {
		struct segment *segment = s->writers[i];
		if (segment && segment->row.zone == zone && strcmp(segment->row.own, own) == 0)
			return &s->writers[i];
	}
	return NULL;
}

/* Where the next writer goes; what waits longest for more gives its place. Lock held. */
static struct segment **make_place(SegmentStore *s, enum zone zone, const char *own) {
	if (!own[0])
		return &s->writers[zone];
	size_t oldest = ZONE_STAGING + 1;
	for (size_t i = oldest; i < WRITERS_MAX; i++) {
		if (!s->writers[i])
			return &s->writers[i];
		if (s->writers[i]->turn < s->writers[oldest]->turn)
			oldest = i;
	}
	writer_end(s, s->writers[oldest], SEGMENT_CLOSED);
	return &s->writers[oldest];
}

/* Makes the zone's next writer. Lock held: a zone begins a segment once in 64 MiB, so that the others wait then is no
 * matter. */
static int segment_begin(SegmentStore *s, enum zone zone, const char *own, bool packs) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	_cleanup_(freep) struct segment *segment = calloc(1, sizeof *segment);
	if (!segment)
		return fault(ENOMEM, "no memory for a segment");
	segment->row = (struct segment_row){.number = s->last_number + 1, .zone = zone, .state = SEGMENT_OPEN};
	segment->packs = packs || own[0];
	memcpy(segment->row.own, own, strlen(own));
	randombytes_buf(segment->row.id, sizeof segment->row.id);
	int rc = keyring_get(s->keyring, zone_key_name(zone), 0, key.bytes, &segment->row.key_version);
	if (rc == 0 && own[0])
		rc = keyring_get(s->keyring, own, 0, key.bytes, &segment->row.own_version);
	VaultFile *file = NULL;
	if (rc == 0)
		rc = file_begin(s, segment, &file);
	if (rc < 0)
		return fault_while(rc, "beginning a segment for %s", zone_name(zone));
	rc = segment_table_add(s, segment);
	if (rc < 0) {
		vault_file_close(file);
		return rc;
	}
	segment->reserved = segment->done = SEGMENT_HEADER_BYTES;
	segment->fresh = true;
	segment_adopt_file(s, segment, file);
	segment->held = true;
	s->own_held += own[0] != '\0';
	segment_mark_active(s, segment);
	*make_place(s, zone, own) = steal_pointer(&segment);
	return 0;
}

/* Lock held, so that nobody is given a place there meanwhile; those before have theirs below `reserved`. Only a matter
 * of speed: no error counts. */
static void fill_ahead(SegmentStore *s, struct segment *segment, uint32_t length) {
	uint32_t end = segment->reserved + length;
	if (segment->trickles < TRICKLES || length > TRICKLE_BYTES || end <= segment->filled ||
	        !vault_io_has_plenty(s->io))
		return;
	uint32_t goal = end + AHEAD_BYTES < SEGMENT_MAX_BYTES ? end + AHEAD_BYTES : SEGMENT_MAX_BYTES;
	uint8_t *zeros = goal > segment->reserved ? calloc(1, goal - segment->reserved) : NULL;
	if (zeros) {
		segment->filled = goal; /* first: a part may be written and an error told */
		(void)vault_file_write_at(segment->file, segment->reserved, bytes_of(zeros, goal - segment->reserved));
	}
	free(zeros);
}

static int reserve(
        SegmentStore *s, enum zone zone, const char *own, const struct stored_batch *batch, struct place *ret_place) {
	const uint32_t length = batch->length;
	pthread_mutex_lock(&s->lock);
	int rc = s->failed ? fault(EIO, "an earlier sync of the segments failed") : 0;
	struct segment **writer = segment_writer(s, zone, own);
	if (rc == 0 && writer && *writer &&
	        ((*writer)->reserved + length > SEGMENT_MAX_BYTES || (batch->has_packed && !(*writer)->packs)))
		writer_end(s, *writer, SEGMENT_CLOSED);
	if (rc == 0 && (!writer || !*writer)) {
		rc = segment_begin(s, zone, own, batch->has_packed);
		writer = segment_writer(s, zone, own);
	}
	if (rc == 0) {
		struct segment *segment = *writer;
		segment->turn = ++s->turn;
		fill_ahead(s, segment, length);
		*ret_place = (struct place){.segment = segment, .at = segment->reserved, .length = length};
		segment->reserved += length;
		segment->appending++;
		segment->users++;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* Seals directory and blocks behind the header. */
static int seal_blocks(const struct place *place, const Aead *aead, const struct segment_block *blocks,
        const struct stored_batch *batch, size_t n, uint8_t *buffer, struct block_ref *ret_refs) {
	struct segment_entry entries[SEGMENT_BATCH_BLOCKS];
	const uint8_t *id = place->segment->row.id;
	uint32_t at = segment_batch_prefix(n);
	for (size_t i = 0; i < n; i++) {
		const struct bytes plain = blocks[i].plain, stored = batch->blocks[i].bytes;
		const uint8_t units = batch->blocks[i].units, flags = units ? BLOCK_PACKED : 0;
		int rc = segment_block_seal(aead, id, place->at + at,
		        segment_block_flags(flags, units, (uint32_t)plain.size), stored, buffer + at);
		if (rc < 0)
			return rc;
		entries[i] = (struct segment_entry){.node = blocks[i].node,
		        .version = blocks[i].version,
		        .offset = blocks[i].offset,
		        .plain = (uint32_t)plain.size,
		        .flags = flags | (uint32_t)units << 8};
		ret_refs[i] = (struct block_ref){.segment = place->segment->row.number,
		        .batch = place->at,
		        .position = place->at + at,
		        .plain = (uint16_t)plain.size,
		        .flags = flags,
		        .units = units};
		memcpy(ret_refs[i].tag, buffer + at + stored.size, SEGMENT_TAG_BYTES);
		at += (uint32_t)stored.size + SEGMENT_TAG_BYTES;
	}
	return segment_directory_seal(
	        aead, id, place->at + SEGMENT_BATCH_BYTES, entries, n, buffer + SEGMENT_BATCH_BYTES);
}

static int seal_batch(SegmentStore *s, const struct place *place, const struct segment_block *blocks,
        const struct stored_batch *stored, size_t n, uint8_t *buffer, struct block_ref *ret_refs, Aead **ret_aead) {
	struct segment_batch batch = {.blocks = (uint32_t)n, .length = place->length};
	_cleanup_(secret_key_wipe) struct secret_key key;
	_cleanup_(aead_freep) Aead *aead = NULL;
	randombytes_buf(batch.salt, sizeof batch.salt);
	int rc = segment_key_of(s, place->segment, true, &key);
	if (rc == 0)
		rc = segment_batch_cipher(s->cipher, key.bytes, batch.salt, &aead);
	if (rc == 0)
		rc = segment_batch_seal(aead, place->segment->row.id, place->at, &batch, buffer);
	if (rc == 0)
		rc = seal_blocks(place, aead, blocks, stored, n, buffer, ret_refs);
	if (rc == 0)
		*ret_aead = steal_pointer(&aead);
	return rc;
}

static int write_batch(const struct place *place, const uint8_t *buffer) {
	int rc = -EIO;
	for (int i = 0; i < WRITE_TRIES && rc < 0; i++)
		rc = vault_file_write_at(place->segment->file, place->at, bytes_of(buffer, place->length));
	return rc;
}

/*
 * The last batch of a lost segment has settled: cuts what may stand behind its whole batches, or removes the file if it
 * has none. The struct stays until the active list lets it go. Lock held.
 */
static void lost_cut(SegmentStore *s, struct segment *segment) {
	int rc;
	if (segment->done == SEGMENT_HEADER_BYTES) {
		char name[SEGMENT_NAME_BYTES];
		segment_file_name(segment->row.id, name);
		rc = vault_io_unlink(s->io, name);
	} else {
		rc = vault_file_truncate(segment->file, segment->done);
	}
	segment->uncut = rc < 0;
	if (rc == 0)
		segment->filled = 0;
}

/* Ends a batch whose writing gave `rc`. -EAGAIN: a batch before it was lost, and it with it. */
static int settle(SegmentStore *s, const struct place *place, int rc) {
	struct segment *segment = place->segment;
	pthread_mutex_lock(&s->lock);
	while (segment->done != place->at && !segment->lost)
		pthread_cond_wait(&s->settled, &s->lock);
	if (rc == 0 && segment->lost)
		rc = fault(EAGAIN, "the segment was abandoned");
	if (rc == 0) {
		segment->done += place->length;
		s->appended += place->length;
	} else if (!segment->lost) {
		segment->lost = segment->uncut = true;
		writer_end(s, segment, SEGMENT_ABANDONED);
	}
	segment->appending--;
	segment->users--;
	pthread_cond_broadcast(&s->settled);
	if (segment->lost && segment->appending == 0)
		lost_cut(s, segment);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int append_once(SegmentStore *s, enum zone zone, const char *own, const struct segment_block *blocks,
        const struct stored_batch *batch, size_t n, uint8_t *buffer, struct block_ref *ret_refs) {
	struct place place = {0};
	Aead *aead = NULL;
	int rc = reserve(s, zone, own, batch, &place);
	if (rc)
		return rc;
	uint32_t number = place.segment->row.number;
	rc = seal_batch(s, &place, blocks, batch, n, buffer, ret_refs, &aead);
	if (rc == 0)
		rc = write_batch(&place, buffer);
	rc = settle(s, &place, rc);
	if (rc == 0 && n > 1 && !own[0])
		segment_batch_key_add(s, zone, number, place.at, aead);
	else
		aead_free(aead); /* of one block it is not kept: segment_batch_key_get; nor where the segment may be
		                    shut by now, which its zone does not tell */
	return rc;
}

/* What stands for the blocks in the segment; packed ones lie in `room`, BUFFER_BYTES long (NULL: none is packed). */
static int store_blocks(const struct segment_block *blocks, size_t n, int level, SegmentPacker *packer, uint8_t *room,
        struct stored_batch *batch) {
	*batch = (struct stored_batch){.length = segment_batch_prefix(n)};
	for (size_t i = 0; i < n; i++) {
		struct stored_block *stored = &batch->blocks[i];
		stored->bytes = blocks[i].plain;
		if (stored->bytes.size == 0 || stored->bytes.size > SEGMENT_BLOCK_BYTES)
			return fault(EINVAL, "a block of %zu bytes", stored->bytes.size);
		uint8_t *to = room ? room + i * SEGMENT_BLOCK_BYTES : NULL;
		if (packer && room)
			stored->units = segment_pack(packer, level, stored->bytes, to);
		if (stored->units)
			stored->bytes = bytes_of(to, (size_t)stored->units * BLOCK_UNIT_BYTES);
		batch->has_packed |= stored->units > 0;
		batch->length += (uint32_t)stored->bytes.size + SEGMENT_TAG_BYTES;
	}
	return 0;
}

static int append_stored(SegmentStore *s, enum zone zone, const char *own, const struct segment_block *blocks,
        const struct stored_batch *batch, size_t n, uint8_t *buffer, struct block_ref *ret_refs) {
	int rc = -EAGAIN;
	for (int i = 0; i < SEGMENT_TRIES && (rc == -EAGAIN || rc == -EIO); i++)
		rc = append_once(s, zone, own, blocks, batch, n, buffer, ret_refs);
	return rc == -EAGAIN ? -EIO : rc;
}

/* Without memory to pack, blocks are stored as they are. */
static int append_batch(SegmentStore *s, enum zone zone, const char *own, const struct segment_block *blocks, size_t n,
        uint8_t *buffer, struct block_ref *ret_refs) {
	struct stored_batch batch;
	const int level = atomic_load(&s->levels[zone]);
	SegmentPacker *packer = level > 0 ? segment_packer_get(&s->cache) : NULL;
	uint8_t *room = packer ? segment_buffer_get(&s->cache) : NULL;
	int rc = store_blocks(blocks, n, level, packer, room, &batch);
	if (rc == 0)
		rc = append_stored(s, zone, own, blocks, &batch, n, buffer, ret_refs);
	if (room)
		secret_wipe(room, n * SEGMENT_BLOCK_BYTES);
	segment_buffer_put(&s->cache, room);
	segment_packer_put(&s->cache, packer);
	return rc;
}

int segment_compress(SegmentStore *s, enum zone zone, int level) {
	if (!zone_key_name(zone) || level < 0 || level > SEGMENT_LEVEL_MOST)
		return fault(EINVAL, "no content is compressed so: zone %d, level %d", (int)zone, level);
	atomic_store(&s->levels[zone], level);
	return 0;
}

int segment_append(
        SegmentStore *s, enum zone zone, const struct segment_block *blocks, size_t n, struct block_ref *ret_refs) {
	return segment_append_under(s, zone, "", blocks, n, ret_refs);
}

/* Files of segments with keys of their own, each of which stays open until it was synced. */
static bool too_many_held(SegmentStore *s) {
	pthread_mutex_lock(&s->lock);
	bool is_so = s->own_held >= OWN_HELD_MAX;
	pthread_mutex_unlock(&s->lock);
	return is_so;
}

int segment_append_under(SegmentStore *s, enum zone zone, const char *own, const struct segment_block *blocks, size_t n,
        struct block_ref *ret_refs) {
	if (!zone_key_name(zone))
		return fault(EINVAL, "no content is kept in zone %d", (int)zone);
	if (strlen(own) >= OWN_KEY_BYTES)
		return fault(EINVAL, "%.40s is no key of a folder's own", own);
	uint8_t *buffer = segment_buffer_get(&s->cache);
	int rc = buffer ? 0 : fault(ENOMEM, "no memory to seal blocks");
	if (rc == 0 && own[0] && too_many_held(s))
		rc = segment_flush(s);
	for (size_t i = 0; i < n && rc == 0; i += SEGMENT_BATCH_BLOCKS) {
		size_t count = n - i < SEGMENT_BATCH_BLOCKS ? n - i : SEGMENT_BATCH_BLOCKS;
		rc = append_batch(s, zone, own, blocks + i, count, buffer, ret_refs + i);
	}
	segment_buffer_put(&s->cache, buffer);
	return fault_while(rc, "appending to a segment of %s", zone_name(zone));
}

/* ---- syncing ---- */

/* Waits until everything that was reserved at the call has settled. Lock held. */
static void wait_appends(SegmentStore *s) {
	for (size_t i = 0; i < WRITERS_MAX; i++) {
		struct segment *segment = s->writers[i];
		uint32_t goal = segment ? segment->reserved : 0;
		/* A segment that the zone left meanwhile is in the active list all the same. */
		while (segment && s->writers[i] == segment && segment->done < goal)
			pthread_cond_wait(&s->settled, &s->lock);
	}
}

static bool needs_sync(const struct segment *segment) {
	return segment->done > segment->row.bytes && segment->done > SEGMENT_HEADER_BYTES;
}

/* What was filled ahead of a segment that is closed goes; true: it went, which is to be synced. Lock held. */
static bool cut_filled(struct segment *segment) {
	if (segment->filled == 0 || segment->row.state == SEGMENT_OPEN || segment->appending > 0)
		return false;
	bool is_cut = segment->filled <= segment->done || vault_file_truncate(segment->file, segment->done) == 0;
	if (is_cut)
		segment->filled = 0;
	return is_cut;
}

/* The next active segment to sync in this round; NULL when there is none. Waits for the stragglers of those that are
 * closed. Lock held. */
static struct segment *next_to_sync(SegmentStore *s) {
	for (struct segment *segment = s->active; segment; segment = segment->active_next) {
		if (segment->round == s->round)
			continue;
		segment->round = s->round;
		while (segment->row.state != SEGMENT_OPEN && segment->appending > 0)
			pthread_cond_wait(&s->settled, &s->lock);
		if (segment->uncut && segment->appending == 0)
			lost_cut(s, segment);
		if (cut_filled(segment) || needs_sync(segment))
			return segment;
	}
	return NULL;
}

static int sync_segment(SegmentStore *s, struct segment *segment, bool fresh) {
	int rc = vault_file_sync(segment->file);
	if (rc == 0 && fresh) {
		char name[SEGMENT_NAME_BYTES], directory[VAULT_NAME_MAX + 1];
		segment_file_name(segment->row.id, name);
		vault_io_directory_of(name, directory);
		rc = vault_io_sync_dir(s->io, directory);
		if (rc == 0)
			rc = vault_io_sync_dir(s->io, "segments");
		if (rc == 0)
			rc = vault_io_sync_dir(s->io, "");
	}
	return rc;
}

/* Nothing is written to the file any more, and nothing of it is to be synced or cut. */
static bool is_synced_for_good(const struct segment *segment) {
	return segment->row.own[0] && segment->row.state != SEGMENT_OPEN && segment->appending == 0 &&
	       !segment->uncut && segment->filled == 0 && segment->row.bytes == segment->done;
}

/* Both locks held. */
static int flush_all(SegmentStore *s) {
	s->round++;
	wait_appends(s);
	for (struct segment *segment; (segment = next_to_sync(s));) {
		uint32_t goal = segment->done;
		bool fresh = segment->fresh;
		segment->trickles = goal - segment->row.bytes <= TRICKLE_BYTES ? segment->trickles + 1 : 0;
		pthread_mutex_unlock(&s->lock);
		int rc = sync_segment(s, segment, fresh);
		pthread_mutex_lock(&s->lock);
		if (rc < 0) {
			s->failed = true;
			return fault_while(-EIO, "syncing a segment");
		}
		segment->row.bytes = goal;
		segment->fresh = false;
	}
	for (struct segment *segment = s->active; segment; segment = segment->active_next)
		if (is_synced_for_good(segment))
			segment_let_go(s, segment);
	return 0;
}

int segment_flush(SegmentStore *s) {
	pthread_mutex_lock(&s->flushing);
	pthread_mutex_lock(&s->lock);
	int rc = s->failed ? fault(EIO, "an earlier sync of the segments failed") : flush_all(s);
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_unlock(&s->flushing);
	return rc;
}

bool segment_close(SegmentStore *s, uint32_t number) {
	bool was_open = false;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < WRITERS_MAX; i++) {
		struct segment *segment = s->writers[i];
		if (!segment || segment->row.number != number)
			continue;
		writer_end(s, segment, SEGMENT_CLOSED);
		was_open = true;
	}
	pthread_mutex_unlock(&s->lock);
	return was_open;
}

void segment_finish(SegmentStore *s) {
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < WRITERS_MAX; i++) {
		if (s->writers[i])
			writer_end(s, s->writers[i], SEGMENT_CLOSED);
	}
	pthread_mutex_unlock(&s->lock);
}
