#include "backend/audit_archive.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/digest.h"
#include "crypto/secret.h"

#include <errno.h>
#include <sodium/randombytes.h>
#include <stdlib.h>
#include <zstd.h>

/*
 * Head, little-endian: 0 magic  8 format u16  10 cipher u16  12 key version u32  16 vault id [16]  32 salt [32]
 * 64 first u64  72 end u64  80 oldest i64  88 newest i64  96 size u64  104 root [32]  136 hashes before u16
 * 138 hashes behind u16  140 chunks u32  144 the hashes
 */
#define MAGIC "ASSAYLOG"
#define HEAD_FIXED 144u
#define HEAD_MAX (HEAD_FIXED + (2 * MERKLE_LEVELS + 1) * MERKLE_HASH_BYTES)
/* Chunk: 0 records u32  4 bytes of lines u32  8 bytes packed u32  12 zeros u32  16 tag [16]  32 the packed bytes */
#define CHUNK_FIXED 32u
#define CHUNK_TAG 16u
/* Lines of a log get 8 to 12 times shorter by it, at 300 MB/s; what is better takes longer. [measured] */
#define PACK_LEVEL 3
#define CHUNKS_MAX 65536u

struct AuditArchive {
	uint8_t *data; /* chunks, not sealed yet, and without tags */
	size_t size, room;
	uint32_t chunks;
	uint64_t records;
};

int audit_archive_new(AuditArchive **ret) {
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : fault(ENOMEM, "no memory for an archive of the log");
}

void audit_archive_free(AuditArchive *archive) {
	if (archive)
		free(archive->data);
	free(archive);
}

size_t audit_archive_bytes(const AuditArchive *archive) {
	return archive->size;
}

int audit_archive_add(AuditArchive *archive, struct bytes lines, uint32_t records) {
	if (lines.size == 0 || lines.size > AUDIT_ARCHIVE_CHUNK_MAX || archive->chunks == CHUNKS_MAX)
		return fault(EMSGSIZE, "an archive of the log: %zu bytes are no chunk", lines.size);
	size_t bound = CHUNK_FIXED + ZSTD_compressBound(lines.size);
	uint8_t *grown = array_room(archive->data, &archive->room, archive->size + bound, 1);
	if (!grown)
		return fault(ENOMEM, "no memory for an archive of the log");
	archive->data = grown;
	uint8_t *to = grown + archive->size;
	size_t packed = ZSTD_compress(to + CHUNK_FIXED, bound - CHUNK_FIXED, lines.data, lines.size, PACK_LEVEL);
	if (ZSTD_isError(packed))
		return fault(ENOMEM, "packing records of the log: %s", ZSTD_getErrorName(packed));
	memset(to, 0, CHUNK_FIXED);
	le32_put(to, records);
	le32_put(to + 4, (uint32_t)lines.size);
	le32_put(to + 8, (uint32_t)packed);
	archive->size += CHUNK_FIXED + packed;
	archive->chunks++;
	archive->records += records;
	return 0;
}

/* ---- the head's bytes ---- */

static size_t put_head(const struct audit_archive_head *head, uint32_t chunks, uint8_t ret[static HEAD_MAX]) {
	uint8_t frontier[MERKLE_FRONTIER_BYTES_MAX];
	size_t before = merkle_frontier_serialize(&head->before, frontier) - 8;
	size_t behind = head->behind.count * MERKLE_HASH_BYTES;
	memcpy(ret, MAGIC, 8);
	le16_put(ret + 8, AUDIT_ARCHIVE_FORMAT);
	le16_put(ret + 10, (uint16_t)head->cipher);
	le32_put(ret + 12, head->key_version);
	memcpy(ret + 16, head->vault_id, AUDIT_ARCHIVE_ID_BYTES);
	memcpy(ret + 32, head->salt, AUDIT_ARCHIVE_SALT_BYTES);
	le64_put(ret + 64, head->first);
	le64_put(ret + 72, head->end);
	le64_put(ret + 80, (uint64_t)head->oldest);
	le64_put(ret + 88, (uint64_t)head->newest);
	le64_put(ret + 96, head->size);
	memcpy(ret + 104, head->root, MERKLE_HASH_BYTES);
	le16_put(ret + 136, (uint16_t)(before / MERKLE_HASH_BYTES));
	le16_put(ret + 138, (uint16_t)head->behind.count);
	le32_put(ret + 140, chunks);
	memcpy(ret + HEAD_FIXED, frontier + 8, before);
	memcpy(ret + HEAD_FIXED + before, head->behind.hash, behind);
	return HEAD_FIXED + before + behind;
}

static int parse_hashes(const uint8_t *data, size_t before, size_t behind, struct audit_archive_head *head) {
	uint8_t frontier[MERKLE_FRONTIER_BYTES_MAX];
	if (before > MERKLE_LEVELS || behind > MERKLE_LEVELS + 1)
		return -EBADMSG;
	le64_put(frontier, head->first);
	memcpy(frontier + 8, data, before * MERKLE_HASH_BYTES);
	head->behind.count = behind;
	memcpy(head->behind.hash, data + before * MERKLE_HASH_BYTES, behind * MERKLE_HASH_BYTES);
	return merkle_frontier_parse(bytes_of(frontier, 8 + before * MERKLE_HASH_BYTES), &head->before);
}

static int parse_head(struct bytes file, struct audit_archive_head *ret, uint32_t *ret_chunks, size_t *ret_length) {
	const uint8_t *data = file.data;
	if (file.size < HEAD_FIXED || memcmp(data, MAGIC, 8) != 0)
		return fault(EBADMSG, "this is no archive of an audit log");
	if (le16_get(data + 8) != AUDIT_ARCHIVE_FORMAT)
		return fault(EBADMSG, "an archive of format %u, which this program does not know; it knows %u",
		        le16_get(data + 8), AUDIT_ARCHIVE_FORMAT);
	*ret = (struct audit_archive_head){.cipher = le16_get(data + 10),
	        .key_version = le32_get(data + 12),
	        .first = le64_get(data + 64),
	        .end = le64_get(data + 72),
	        .oldest = (int64_t)le64_get(data + 80),
	        .newest = (int64_t)le64_get(data + 88),
	        .size = le64_get(data + 96)};
	memcpy(ret->vault_id, data + 16, AUDIT_ARCHIVE_ID_BYTES);
	memcpy(ret->salt, data + 32, AUDIT_ARCHIVE_SALT_BYTES);
	memcpy(ret->root, data + 104, MERKLE_HASH_BYTES);
	size_t before = le16_get(data + 136), behind = le16_get(data + 138);
	*ret_chunks = le32_get(data + 140);
	*ret_length = HEAD_FIXED + (before + behind) * MERKLE_HASH_BYTES;
	if (*ret_length > file.size || !aead_cipher_name(ret->cipher) || ret->first >= ret->end ||
	        ret->end > ret->size || ret->size > MERKLE_SIZE_MAX || *ret_chunks == 0 || *ret_chunks > CHUNKS_MAX ||
	        parse_hashes(data + HEAD_FIXED, before, behind, ret) < 0)
		return fault(EBADMSG, "the head of the archive is malformed");
	return 0;
}

int audit_archive_parse(struct bytes file, struct audit_archive_head *ret_head, size_t *ret_length) {
	struct audit_archive_head head;
	uint32_t chunks;
	size_t length;
	int rc = parse_head(file, &head, &chunks, &length);
	if (rc < 0)
		return rc;
	*ret_head = head;
	if (ret_length)
		*ret_length = length;
	return 0;
}

/* ---- sealing ---- */

/* What is authenticated with a chunk: the digest of the head, then the chunk's own numbers. */
struct with {
	uint8_t bytes[DIGEST_BYTES + CHUNK_TAG];
};

static int key_of(const Keyring *keyring, const struct audit_archive_head *head, Aead **ret_aead) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	uint8_t context[AUDIT_ARCHIVE_ID_BYTES + AUDIT_ARCHIVE_SALT_BYTES];
	int rc = keyring_get(keyring, "meta", head->key_version, key.bytes, NULL);
	if (rc < 0)
		return fault_while(rc, "the key of an archive");
	memcpy(context, head->vault_id, AUDIT_ARCHIVE_ID_BYTES);
	memcpy(context + AUDIT_ARCHIVE_ID_BYTES, head->salt, AUDIT_ARCHIVE_SALT_BYTES);
	derive_key(key.bytes, "audit log archive", bytes_of(context, sizeof context), key.bytes);
	return aead_new(head->cipher, key.bytes, ret_aead);
}

static int seal_chunks(const AuditArchive *archive, const Aead *aead, struct with *with) {
	size_t at = 0;
	int rc = 0;
	for (uint64_t i = 0; rc == 0 && i < archive->chunks; i++) {
		uint8_t *chunk = archive->data + at, *packed = chunk + CHUNK_FIXED;
		size_t size = le32_get(chunk + 8);
		memcpy(with->bytes + DIGEST_BYTES, chunk, CHUNK_TAG);
		rc = aead_seal_at(aead, i, bytes_of(with->bytes, sizeof with->bytes), bytes_of(packed, size), packed,
		        chunk + CHUNK_TAG);
		at += CHUNK_FIXED + size;
	}
	return rc;
}

int audit_archive_seal(AuditArchive *archive, const Keyring *keyring, struct audit_archive_head *head,
        uint8_t **ret_file, size_t *ret_size) {
	if (archive->records != head->end - head->first || archive->records == 0)
		return fault(EINVAL, "an archive of the log has %llu records instead of %llu",
		        (unsigned long long)archive->records, (unsigned long long)(head->end - head->first));
	_cleanup_(secret_key_wipe) struct secret_key unused;
	_cleanup_(aead_freep) Aead *aead = NULL;
	randombytes_buf(head->salt, sizeof head->salt);
	int rc = keyring_get(keyring, "meta", 0, unused.bytes, &head->key_version);
	if (rc == 0)
		rc = key_of(keyring, head, &aead);
	if (rc < 0)
		return rc;
	uint8_t bytes[HEAD_MAX];
	struct with with;
	size_t length = put_head(head, archive->chunks, bytes);
	blake2b(bytes_of(bytes, length), with.bytes);
	uint8_t *file = malloc(length + archive->size);
	if (!file)
		return fault(ENOMEM, "no memory for an archive of the log");
	rc = seal_chunks(archive, aead, &with);
	if (rc < 0) {
		free(file);
		return rc;
	}
	memcpy(file, bytes, length);
	memcpy(file + length, archive->data, archive->size);
	*ret_file = file;
	*ret_size = length + archive->size;
	return 0;
}

/* ---- opening ---- */

struct opening {
	const struct audit_archive_head *head;
	const Aead *aead;
	struct with with;
	struct merkle_frontier tree;
	uint8_t *packed, *lines;
	size_t packed_room, lines_room;
	audit_archive_line_fn *fn;
	void *arg;
};

static int take_line(struct opening *o, struct bytes line) {
	merkle_hash leaf;
	uint64_t seq = o->tree.size;
	merkle_leaf(line, leaf);
	int rc = merkle_frontier_append(&o->tree, leaf, NULL, NULL);
	return rc == 0 && o->fn ? o->fn(o->arg, seq, line) : rc;
}

static int take_lines(struct opening *o, struct bytes text, uint32_t records) {
	uint32_t count = 0;
	int rc = 0;
	while (rc == 0 && text.size > 0) {
		const uint8_t *end = memchr(text.data, '\n', text.size);
		if (!end || ++count > records)
			return fault(EBADMSG, "the archive's lines are not those that it says");
		size_t length = (size_t)(end - text.data);
		rc = take_line(o, bytes_of(text.data, length));
		text = bytes_of(end + 1, text.size - length - 1);
	}
	if (rc == 0 && count != records)
		rc = fault(EBADMSG, "the archive's lines are not those that it says");
	return rc;
}

static int make_room(struct opening *o, size_t packed, size_t lines) {
	uint8_t *one = array_room(o->packed, &o->packed_room, packed, 1);
	if (one)
		o->packed = one;
	uint8_t *other = array_room(o->lines, &o->lines_room, lines, 1);
	if (other)
		o->lines = other;
	return one && other ? 0 : fault(ENOMEM, "no memory to open an archive of the log");
}

/* Opens the chunk that `rest` begins with and takes it off. */
static int open_chunk(struct opening *o, uint64_t number, struct bytes *rest) {
	if (rest->size < CHUNK_FIXED)
		return fault(EBADMSG, "the archive ends within chunk %llu", (unsigned long long)number);
	const uint8_t *chunk = rest->data;
	uint32_t records = le32_get(chunk), lines = le32_get(chunk + 4), packed = le32_get(chunk + 8);
	if (packed == 0 || packed > rest->size - CHUNK_FIXED || lines == 0 || lines > AUDIT_ARCHIVE_CHUNK_MAX ||
	        records == 0 || records > o->head->end - o->tree.size || le32_get(chunk + 12) != 0)
		return fault(EBADMSG, "chunk %llu of the archive is malformed or cut off", (unsigned long long)number);
	int rc = make_room(o, packed, lines);
	if (rc < 0)
		return rc;
	memcpy(o->with.bytes + DIGEST_BYTES, chunk, CHUNK_TAG);
	rc = aead_open_at(o->aead, number, bytes_of(o->with.bytes, sizeof o->with.bytes),
	        bytes_of(chunk + CHUNK_FIXED, packed), chunk + CHUNK_TAG, o->packed);
	if (rc == -EBADMSG)
		return fault(EBADMSG, "chunk %llu of the archive does not authenticate: it was changed",
		        (unsigned long long)number);
	if (rc < 0)
		return rc;
	size_t got = ZSTD_decompress(o->lines, lines, o->packed, packed);
	if (ZSTD_isError(got) || got != lines)
		return fault(EBADMSG, "chunk %llu of the archive is not packed right", (unsigned long long)number);
	*rest = bytes_of(chunk + CHUNK_FIXED + packed, rest->size - CHUNK_FIXED - packed);
	return take_lines(o, bytes_of(o->lines, lines), records);
}

static int check_tree(const struct opening *o) {
	const struct audit_archive_head *head = o->head;
	merkle_hash end;
	merkle_frontier_root(&o->tree, end);
	if (o->tree.size != head->end)
		return fault(EBADMSG, "the archive has %llu records less than it says",
		        (unsigned long long)(head->end - o->tree.size));
	if (merkle_consistency_verify(head->end, end, head->size, head->root, &head->behind) < 0)
		return fault(EBADMSG, "the archive's records are not those of its tree");
	return 0;
}

static int open_chunks(struct opening *o, struct bytes rest, uint32_t chunks) {
	int rc = 0;
	for (uint64_t i = 0; rc == 0 && i < chunks; i++)
		rc = open_chunk(o, i, &rest);
	if (rc == 0 && rest.size > 0)
		rc = fault(EBADMSG, "%zu bytes stand behind the archive's end", rest.size);
	return rc == 0 ? check_tree(o) : rc;
}

int audit_archive_open(struct bytes file, const Keyring *keyring, const uint8_t *vault_id, audit_archive_line_fn *fn,
        void *arg, struct audit_archive_head *ret_head) {
	struct audit_archive_head head;
	uint32_t chunks;
	size_t length;
	int rc = parse_head(file, &head, &chunks, &length);
	if (rc < 0)
		return rc;
	if (vault_id && memcmp(vault_id, head.vault_id, AUDIT_ARCHIVE_ID_BYTES) != 0)
		return fault(EBADMSG, "this is an archive of another vault");
	_cleanup_(aead_freep) Aead *aead = NULL;
	rc = key_of(keyring, &head, &aead);
	if (rc < 0)
		return rc;
	struct opening o = {.head = &head, .aead = aead, .tree = head.before, .fn = fn, .arg = arg};
	blake2b(bytes_of(file.data, length), o.with.bytes);
	rc = open_chunks(&o, bytes_of(file.data + length, file.size - length), chunks);
	free(o.packed);
	free(o.lines);
	if (rc == 0)
		*ret_head = head;
	return rc;
}
