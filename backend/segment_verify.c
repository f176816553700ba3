/* Holding segment files to account: segment_verify for fsck, segment_sweep after a crash. */
#include "backend/segment_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* A walk over one segment's file. */
struct walk {
	SegmentStore *s;
	struct segment *segment; /* pinned */
	struct secret_key key;
	uint64_t end;    /* of what has to be sound */
	uint8_t *buffer; /* a batch */
	int (*found)(const struct segment_finding *finding, void *arg);
	void *arg;
};

static int tell(const struct walk *walk, uint64_t position, uint64_t length, const char *wrong) {
	struct segment_finding finding = {
	        .file = vault_file_name(walk->segment->file), .position = position, .length = length, .wrong = wrong};
	return walk->found(&finding, walk->arg);
}

/* Tells a failure in its words if it is one of the bytes; other errors end the walk. */
static int tell_failure(const struct walk *walk, uint64_t position, uint64_t length, int rc) {
	if (rc != -EBADMSG)
		return rc;
	char words[FAULT_MESSAGE_BYTES];
	memcpy(words, fault_message(), sizeof words);
	return tell(walk, position, length, words);
}

/* Also that it is the header of this very segment and says what the database says. */
static int check_header(const struct walk *walk) {
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	struct segment_header header;
	const struct segment_row *row = &walk->segment->row;
	int rc = vault_file_read_exactly(walk->segment->file, 0, bytes, sizeof bytes);
	if (rc == 0)
		rc = segment_header_parse(bytes_of(bytes, sizeof bytes), &header);
	if (rc == 0)
		rc = segment_header_open(bytes, walk->key.bytes);
	if (rc == 0 && (memcmp(header.id, row->id, SEGMENT_ID_BYTES) != 0 || header.zone != row->zone ||
	                       header.key_version != row->key_version || strcmp(header.own_name, row->own) != 0 ||
	                       header.own_version != row->own_version || header.cipher != walk->s->cipher))
		rc = fault(EBADMSG, "this is the header of another segment");
	return rc;
}

static int try_unpack(const struct walk *walk, struct bytes packed, size_t plain) {
	SegmentPacker *packer = segment_packer_get(&walk->s->cache);
	if (!packer)
		return fault(ENOMEM, "no memory to decompress a block");
	int rc = segment_unpack(packer, packed, plain, segment_packer_bytes(packer));
	secret_wipe(segment_packer_bytes(packer), plain);
	segment_packer_put(&walk->s->cache, packer);
	return rc;
}

static int check_block(const struct walk *walk, const Aead *aead, uint32_t batch, uint32_t at,
        const struct segment_entry *entry, uint32_t in_batch) {
	const uint32_t stored = segment_entry_stored(entry);
	const uint8_t units = (uint8_t)(entry->flags >> 8);
	const size_t size = (size_t)stored + SEGMENT_TAG_BYTES;
	struct segment_finding finding = {.file = vault_file_name(walk->segment->file),
	        .position = at,
	        .length = size,
	        .is_block = true,
	        .owner_known = true,
	        .ref = {.segment = walk->segment->row.number,
	                .batch = batch,
	                .position = at,
	                .plain = (uint16_t)entry->plain,
	                .flags = (uint8_t)entry->flags,
	                .units = units},
	        .node = entry->node,
	        .version = entry->version,
	        .offset = entry->offset};
	memcpy(finding.ref.tag, walk->buffer + in_batch + stored, SEGMENT_TAG_BYTES);
	/* In place: nobody needs the ciphertext any more. */
	uint8_t *block = walk->buffer + in_batch;
	const uint32_t flags = segment_block_flags((uint8_t)entry->flags, units, entry->plain);
	int rc = segment_block_open(aead, walk->segment->row.id, at, flags, bytes_of(block, size), block);
	const char *wrong = "the block does not authenticate";
	if (rc == 0 && units > 0) {
		rc = try_unpack(walk, bytes_of(block, stored), entry->plain);
		wrong = "the block authenticates, and does not decompress";
	}
	secret_wipe(block, size);
	if (rc < 0 && rc != -EBADMSG)
		return rc;
	if (rc < 0)
		finding.wrong = wrong;
	return walk->found(&finding, walk->arg);
}

/* The batch is in the buffer, its header is authentic. */
static int check_blocks(const struct walk *walk, const Aead *aead, uint32_t batch, const struct segment_batch *header) {
	struct segment_entry entries[SEGMENT_BATCH_BLOCKS];
	uint32_t prefix = segment_batch_prefix(header->blocks);
	int rc = segment_directory_open(aead, walk->segment->row.id, batch + SEGMENT_BATCH_BYTES,
	        walk->buffer + SEGMENT_BATCH_BYTES, header->blocks, header->length, entries);
	if (rc == -EBADMSG)
		return tell(walk, batch + SEGMENT_BATCH_BYTES, header->length - SEGMENT_BATCH_BYTES,
		        "the directory of a batch does not authenticate, its blocks can't be told apart");
	for (uint32_t i = 0, at = prefix; i < header->blocks && rc >= 0; i++) {
		rc = check_block(walk, aead, batch, batch + at, &entries[i], at);
		at += segment_entry_stored(&entries[i]) + SEGMENT_TAG_BYTES;
	}
	return rc;
}

/* Checks the batch at `at`; *ret_length 0: where the next one begins can't be known. */
static int check_batch(const struct walk *walk, uint32_t at, uint32_t *ret_length) {
	struct segment_batch header;
	_cleanup_(aead_freep) Aead *aead = NULL;
	*ret_length = 0;
	int rc = vault_file_read_exactly(walk->segment->file, at, walk->buffer, SEGMENT_BATCH_BYTES);
	if (rc == 0)
		rc = segment_batch_parse(bytes_of(walk->buffer, SEGMENT_BATCH_BYTES), &header);
	if (rc == 0)
		rc = segment_batch_cipher(walk->s->cipher, walk->key.bytes, header.salt, &aead);
	if (rc == 0)
		rc = segment_batch_open(aead, walk->segment->row.id, at, walk->buffer);
	if (rc == 0 && header.length > walk->end - at)
		rc = fault(EBADMSG, "a batch reaches past the segment's end");
	if (rc)
		return tell_failure(walk, at, walk->end - at, fault_while(rc, "the header of a batch"));
	rc = vault_file_read_exactly(walk->segment->file, at, walk->buffer, header.length);
	if (rc < 0)
		return tell_failure(walk, at, header.length, rc);
	*ret_length = header.length;
	return check_blocks(walk, aead, at, &header);
}

static int check_batches(const struct walk *walk) {
	uint32_t at = SEGMENT_HEADER_BYTES;
	while (at < walk->end) {
		uint32_t length;
		if (walk->end - at < SEGMENT_BATCH_BYTES)
			return tell(walk, at, walk->end - at, "the segment ends inside the header of a batch");
		int rc = check_batch(walk, at, &length);
		if (rc < 0 || length == 0)
			return rc;
		at += length;
	}
	return 0;
}

static int check_length(struct walk *walk, enum segment_state state) {
	uint64_t size;
	int rc = vault_file_size(walk->segment->file, &size);
	if (rc == 0 && size < walk->end) {
		rc = tell(walk, size, walk->end - size, "the segment is shorter than the database says");
		walk->end = size;
	} else if (rc == 0 && size > walk->end && state != SEGMENT_OPEN) {
		rc = tell(walk, walk->end, size - walk->end, "bytes behind the end of the segment");
	}
	return rc;
}

static int walk_segment(struct walk *walk, enum segment_state state) {
	int rc = segment_key_of(walk->s, walk->segment, false, &walk->key);
	if (rc == 0)
		rc = check_length(walk, state);
	if (rc >= 0) {
		rc = check_header(walk);
		if (rc < 0)
			rc = tell_failure(walk, 0, SEGMENT_HEADER_BYTES, rc);
	}
	if (rc >= 0)
		rc = check_batches(walk);
	return rc < 0 ? rc : 0;
}

int segment_verify(
        SegmentStore *s, uint32_t number, int (*found)(const struct segment_finding *finding, void *arg), void *arg) {
	struct walk walk = {.s = s, .found = found, .arg = arg};
	int rc = segment_pin(s, number, &walk.segment);
	if (rc == -EBADMSG) {
		char name[SEGMENT_NAME_BYTES] = "segments";
		(void)segment_name(s, number, name);
		struct segment_finding finding = {.file = name, .wrong = "the segment is missing"};
		rc = found(&finding, arg);
		return rc < 0 ? rc : 0;
	}
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	walk.end = walk.segment->row.bytes;
	enum segment_state state = walk.segment->row.state;
	pthread_mutex_unlock(&s->lock);
	walk.buffer = segment_buffer_get(&s->cache);
	rc = walk.buffer ? walk_segment(&walk, state) : fault(ENOMEM, "no memory to verify a segment");
	segment_buffer_put(&s->cache, walk.buffer);
	secret_key_wipe(&walk.key);
	segment_unpin(s, walk.segment);
	return rc;
}

static int note_first(const struct segment_finding *finding, void *arg) {
	struct segment_finding *first = arg;
	if (!finding->wrong)
		return 0;
	*first = *finding;
	return -ECANCELED;
}

int segment_verify_file(SegmentStore *s, uint32_t number, VaultFile *file, uint64_t *ret_at, uint64_t *ret_length) {
	struct segment_finding first = {0};
	struct segment stand_in = {.file = file};
	struct walk walk = {.s = s, .segment = &stand_in, .found = note_first, .arg = &first};
	pthread_mutex_lock(&s->lock);
	const struct segment *segment = number < s->table_size ? s->table[number] : NULL;
	if (segment)
		stand_in.row = segment->row;
	pthread_mutex_unlock(&s->lock);
	if (!segment)
		return fault(ENOENT, "the vault has no segment %u", number);
	walk.end = stand_in.row.bytes;
	walk.buffer = segment_buffer_get(&s->cache);
	int rc = walk.buffer ? walk_segment(&walk, SEGMENT_CLOSED) : fault(ENOMEM, "no memory to verify a segment");
	segment_buffer_put(&s->cache, walk.buffer);
	secret_key_wipe(&walk.key);
	if (rc != -ECANCELED || !first.wrong)
		return rc;
	*ret_at = first.position;
	*ret_length = first.length;
	return 1;
}

/* ---- who wrote what ---- */

/* What one read gets of a batch at most: its header and the longest directory. */
#define PREFIX_BYTES (SEGMENT_BATCH_BYTES + SEGMENT_BATCH_BLOCKS * SEGMENT_ENTRY_BYTES + SEGMENT_TAG_BYTES)

struct owners_walk {
	SegmentStore *s;
	struct segment *segment; /* pinned */
	struct secret_key key;
	uint32_t end;
	segment_owners_fn *owners;
	void *arg;
};

static int tell_owners(const struct owners_walk *walk, const struct segment_entry *entries, size_t n) {
	struct segment_owner owners[SEGMENT_BATCH_BLOCKS];
	for (size_t i = 0; i < n; i++)
		owners[i] = (struct segment_owner){.node = entries[i].node, .version = entries[i].version};
	return walk->owners(walk->arg, owners, n);
}

/* The batch at `at`, whose first bytes are `bytes`; 1 when `owners` wants no more. */
static int owners_of_batch(const struct owners_walk *walk, uint32_t at, struct bytes bytes, uint32_t *ret_length) {
	const uint8_t *id = walk->segment->row.id;
	struct segment_entry entries[SEGMENT_BATCH_BLOCKS];
	struct segment_batch header;
	_cleanup_(aead_freep) Aead *aead = NULL;
	int rc = segment_batch_parse(bytes, &header);
	if (rc == 0)
		rc = segment_batch_cipher(walk->s->cipher, walk->key.bytes, header.salt, &aead);
	if (rc == 0)
		rc = segment_batch_open(aead, id, at, bytes.data);
	if (rc == 0 && (header.length > walk->end - at || segment_batch_prefix(header.blocks) > bytes.size))
		rc = fault(EBADMSG, "a batch reaches past the segment's end");
	if (rc == 0)
		rc = segment_directory_open(aead, id, at + SEGMENT_BATCH_BYTES, bytes.data + SEGMENT_BATCH_BYTES,
		        header.blocks, header.length, entries);
	if (rc < 0)
		return fault_while(rc, "%s: the batch at %u", vault_file_name(walk->segment->file), at);
	*ret_length = header.length;
	return tell_owners(walk, entries, header.blocks);
}

static int walk_owners(const struct owners_walk *walk) {
	uint8_t bytes[PREFIX_BYTES];
	for (uint32_t at = SEGMENT_HEADER_BYTES, length = 0; at < walk->end; at += length) {
		size_t size = walk->end - at < sizeof bytes ? walk->end - at : sizeof bytes;
		int rc = size < SEGMENT_BATCH_BYTES ? fault(EBADMSG, "a segment ends inside the header of a batch") : 0;
		if (rc == 0)
			rc = vault_file_read_exactly(walk->segment->file, at, bytes, size);
		if (rc == 0)
			rc = owners_of_batch(walk, at, bytes_of(bytes, size), &length);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int segment_owners(SegmentStore *s, uint32_t number, segment_owners_fn *owners, void *arg) {
	struct owners_walk walk = {.s = s, .owners = owners, .arg = arg};
	int rc = segment_pin(s, number, &walk.segment);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	walk.end = walk.segment->done;
	pthread_mutex_unlock(&s->lock);
	rc = segment_key_of(s, walk.segment, false, &walk.key);
	if (rc == 0)
		rc = walk_owners(&walk);
	secret_key_wipe(&walk.key);
	segment_unpin(s, walk.segment);
	return rc;
}

/* ---- after a crash ---- */

/* Cuts a known segment to its committed length and calls it closed. */
static int sweep_known(SegmentStore *s, struct segment *segment, uint64_t *ret_cut) {
	char name[SEGMENT_NAME_BYTES];
	uint64_t size;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	segment_file_name(segment->row.id, name);
	int rc = vault_file_open(s->io, name, VAULT_FILE_WRITE, &file);
	if (rc == -ENOENT)
		return 0; /* lost: reads and fsck say so, with the file's name */
	if (rc == 0)
		rc = vault_file_size(file, &size);
	if (rc == 0 && size > segment->row.bytes) {
		rc = vault_file_truncate(file, segment->row.bytes);
		if (rc == 0)
			rc = vault_file_sync(file);
		*ret_cut += size - segment->row.bytes;
	}
	if (rc == 0 && segment->row.state == SEGMENT_OPEN) {
		segment->row.state = SEGMENT_CLOSED;
		segment_mark_active(s, segment);
	}
	return rc;
}

int segment_cut(SegmentStore *s, const struct segment_row *row, uint64_t *ret_cut) {
	char name[SEGMENT_NAME_BYTES];
	uint64_t size = 0;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	*ret_cut = 0;
	segment_file_name(row->id, name);
	int rc = vault_io_stat_size(s->io, name, &size);
	if (rc < 0 || row->state == SEGMENT_OPEN || size <= row->bytes)
		return rc == -ENOENT ? 0 : rc;
	rc = vault_file_open(s->io, name, VAULT_FILE_WRITE, &file);
	if (rc == 0)
		rc = vault_file_truncate(file, row->bytes);
	if (rc == 0)
		rc = vault_file_sync(file);
	if (rc == 0)
		*ret_cut = size - row->bytes;
	return rc;
}

struct sweep {
	const char *directory; /* "segments/ab" */
	char (*names)[SEGMENT_NAME_BYTES];
	size_t count, room;
};

/* The id in "segments/ab/abcdef…". */
static bool id_of(const char *name, uint8_t ret_id[static SEGMENT_ID_BYTES]) {
	char again[SEGMENT_NAME_BYTES];
	if (strlen(name) != SEGMENT_NAME_BYTES - 4 ||
	        hex_decode(name + strlen("segments/ab/"), SEGMENT_ID_BYTES, ret_id) < 0)
		return false;
	segment_file_name(ret_id, again);
	return strcmp(name, again) == 0;
}

bool segment_has_file(SegmentStore *s, const char *name) {
	uint8_t id[SEGMENT_ID_BYTES];
	bool found = false;
	if (!id_of(name, id))
		return false;
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->table_size && !found; i++)
		found = s->table[i] && memcmp(s->table[i]->row.id, id, SEGMENT_ID_BYTES) == 0;
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* What the header of an unknown file says: that it was begun by `mount`; or nothing, as it never reached the disk. */
static bool begun_by(SegmentStore *s, const char *name, uint64_t mount, bool *ret_empty) {
	*ret_empty = false;
	uint8_t bytes[SEGMENT_HEADER_BYTES], id[SEGMENT_ID_BYTES];
	struct segment_header header;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	_cleanup_(secret_key_wipe) struct secret_key key;
	size_t got = 0;
	if (!id_of(name, id) || segment_has_file(s, name))
		return false;
	if (vault_file_open(s->io, name, VAULT_FILE_READ, &file) < 0 ||
	        vault_file_read_at(file, 0, bytes, sizeof bytes, &got) < 0)
		return false;
	/* The name was made, and nothing can be in it. */
	*ret_empty = got < sizeof bytes || sodium_is_zero(bytes, sizeof bytes);
	if (*ret_empty || segment_header_parse(bytes_of(bytes, sizeof bytes), &header) < 0 || header.mount != mount ||
	        memcmp(header.id, id, SEGMENT_ID_BYTES) != 0)
		return false;
	struct segment stand_in = {
	        .row = {.zone = header.zone, .key_version = header.key_version, .own_version = header.own_version}};
	memcpy(stand_in.row.id, id, SEGMENT_ID_BYTES);
	memcpy(stand_in.row.own, header.own_name, OWN_KEY_BYTES);
	return segment_key_of(s, &stand_in, false, &key) == 0 && segment_header_open(bytes, key.bytes) == 0;
}

bool segment_left_over(SegmentStore *s, const char *name, uint64_t crashed_mount) {
	bool is_empty;
	return begun_by(s, name, crashed_mount, &is_empty) || is_empty;
}

/* Gathers names first: a directory must not change while it is listed. */
static int gather(void *user, const char *name, bool is_directory) {
	struct sweep *sweep = user;
	if (strlen(sweep->directory) + 1 + strlen(name) >= SEGMENT_NAME_BYTES)
		return 0;
	if (is_directory == (strchr(sweep->directory, '/') != NULL))
		return 0;
	void *names = array_room(sweep->names, &sweep->room, sweep->count + 1, sizeof *sweep->names);
	if (!names)
		return fault(ENOMEM, "no memory to list the segments");
	sweep->names = names;
	(void)snprintf(sweep->names[sweep->count++], SEGMENT_NAME_BYTES, "%s/%s", sweep->directory, name);
	return 0;
}

static int sweep_directory(SegmentStore *s, const char *directory, uint64_t crashed_mount, uint64_t *ret_removed) {
	struct sweep sweep = {.directory = directory};
	int rc = vault_io_list(s->io, directory, gather, &sweep);
	bool removed = false;
	for (size_t i = 0; i < sweep.count && rc == 0; i++) {
		uint64_t size = 0;
		const char *name = sweep.names[i];
		if (!segment_left_over(s, name, crashed_mount))
			continue;
		rc = vault_io_stat_size(s->io, name, &size);
		if (rc == 0)
			rc = vault_io_unlink(s->io, name);
		*ret_removed += size;
		removed = true;
	}
	free(sweep.names);
	return rc == 0 && removed ? vault_io_sync_dir(s->io, directory) : rc;
}

static int sweep_unknown(SegmentStore *s, uint64_t crashed_mount, uint64_t *ret_removed) {
	struct sweep sweep = {.directory = "segments"};
	int rc = vault_io_list(s->io, "segments", gather, &sweep);
	if (rc == -ENOENT)
		rc = 0;
	for (size_t i = 0; i < sweep.count && rc == 0; i++)
		rc = sweep_directory(s, sweep.names[i], crashed_mount, ret_removed);
	free(sweep.names);
	return rc;
}

static int look_for_mount(SegmentStore *s, const char *directory, uint64_t mount) {
	struct sweep sweep = {.directory = directory};
	bool is_empty;
	int rc = vault_io_list(s->io, directory, gather, &sweep);
	for (size_t i = 0; i < sweep.count && rc == 0; i++)
		rc = begun_by(s, sweep.names[i], mount, &is_empty);
	free(sweep.names);
	return rc;
}

int segment_any_of_mount(SegmentStore *s, uint64_t mount) {
	struct sweep sweep = {.directory = "segments"};
	int rc = vault_io_list(s->io, "segments", gather, &sweep);
	if (rc == -ENOENT)
		rc = 0;
	for (size_t i = 0; i < sweep.count && rc == 0; i++)
		rc = look_for_mount(s, sweep.names[i], mount);
	free(sweep.names);
	return rc;
}

int segment_sweep(SegmentStore *s, uint64_t crashed_mount, uint64_t *ret_cut, uint64_t *ret_removed) {
	uint64_t cut = 0, removed = 0;
	int rc = 0;
	for (uint32_t i = 0; i < s->table_size && rc == 0; i++) {
		if (s->table[i] && s->table[i]->row.state != SEGMENT_CLOSED)
			rc = sweep_known(s, s->table[i], &cut);
	}
	if (rc == 0 && crashed_mount != 0)
		rc = sweep_unknown(s, crashed_mount, &removed);
	if (rc < 0)
		return fault_while(rc, "clearing up after a crash");
	*ret_cut = cut;
	*ret_removed = removed;
	return 0;
}
