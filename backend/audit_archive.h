/*
 * audit_archive: a range of the audit log as a file of its own: sealed, and able to show by itself that its records are
 * those of the log's tree. No I/O; where such files lie and what they are for: audit_retain.h.
 *
 *     head │ chunk │ chunk │ …          head │ range, times │ the tree: size, root │ hashes before │ proof behind
 *
 *     chunk │ records, sizes, tag │ the leaves, a line each, packed by zstd, sealed
 *
 * The leaves are the very lines that the tree hashes. The head's `before` is the frontier of the tree that ends where
 * the range begins; appending the lines gives the tree that ends with it, and `behind` (RFC 6962, 2.1.2) shows that the
 * tree of `size` records whose hash is `root` begins with that. So whoever opens a file knows that its records are the
 * log's, if the root is: the vault knows, and so does whoever holds a head of that size or of a later one.
 *
 * All chunks are sealed under derive(key "meta" of the vault, "audit log archive", vault id ‖ salt), the position is
 * the chunk's number, and the head is authenticated with each. docs/audit-log.md has every byte.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "crypto/keyring.h"
#include "crypto/merkle.h"

#define AUDIT_ARCHIVE_FORMAT 1
#define AUDIT_ARCHIVE_ID_BYTES 16
#define AUDIT_ARCHIVE_SALT_BYTES 32
/* Of a chunk's lines: 256 of the longest leaves fit with what was gathered before. */
#define AUDIT_ARCHIVE_CHUNK_MAX ((size_t)17 << 20)
/* A file ends after the chunk with which it gets longer than this; so none is longer than the second. */
#define AUDIT_ARCHIVE_FULL ((size_t)16 << 20)
#define AUDIT_ARCHIVE_BYTES_MAX (AUDIT_ARCHIVE_FULL + AUDIT_ARCHIVE_CHUNK_MAX + ((size_t)1 << 20))

struct audit_archive_head {
	enum aead_cipher cipher;
	uint32_t key_version; /* of "meta" */
	uint8_t vault_id[AUDIT_ARCHIVE_ID_BYTES];
	uint8_t salt[AUDIT_ARCHIVE_SALT_BYTES];
	uint64_t first, end;    /* records [first, end) */
	int64_t oldest, newest; /* times of the first and the last one, ns */
	uint64_t size;          /* of the tree with that root, >= end */
	merkle_hash root;
	struct merkle_frontier before; /* of `first` records */
	struct merkle_proof behind;    /* from `end` to `size` */
};

/* ---- making ---- */

typedef struct AuditArchive AuditArchive;

/* An empty one, which the caller frees. -ENOMEM. */
int audit_archive_new(AuditArchive **ret);
/* Frees what was not sealed, too. NULL is fine. */
void audit_archive_free(AuditArchive *archive);
DEFINE_CLEANUP(AuditArchive, audit_archive_free);

/* Packs `records` leaves, each with a newline behind it, at most AUDIT_ARCHIVE_CHUNK_MAX bytes. -EMSGSIZE, -ENOMEM. */
int audit_archive_add(AuditArchive *archive, struct bytes lines, uint32_t records);

/* How long the chunks are by now. */
size_t audit_archive_bytes(const AuditArchive *archive);

/*
 * Seals what was added, once. *head says all but cipher's key: key_version and salt are filled in. The caller frees
 * *ret_file. -EINVAL: the records that were added are not `end` - `first`. -ENOKEY, -ENOMEM, -EIO.
 */
int audit_archive_seal(AuditArchive *archive, const Keyring *keyring, struct audit_archive_head *head,
        uint8_t **ret_file, size_t *ret_size);

/* ---- reading: the bytes are anybody's ---- */

/* The head alone, as it says: nothing is authentic yet. -EBADMSG with words for all that audit_archive_seal does not
 * write. *ret_length (may be NULL): where the chunks begin. */
int audit_archive_parse(struct bytes file, struct audit_archive_head *ret_head, size_t *ret_length);

/* Gets a leaf, without the newline; valid during the call. Anything but 0 ends the reading and is returned. */
typedef int audit_archive_line_fn(void *arg, uint64_t seq, struct bytes line);

/*
 * Opens all of the file and holds its lines against its tree. `fn` (may be NULL) gets each line, which is the vault's
 * own by then; that all are there and in the tree is known at the end, so read twice where that counts. -EBADMSG with
 * words: anything was changed, or the file is another vault's (`vault_id` NULL: any that the key opens). -ENOKEY.
 */
int audit_archive_open(struct bytes file, const Keyring *keyring, const uint8_t *vault_id, audit_archive_line_fn *fn,
        void *arg, struct audit_archive_head *ret_head);
