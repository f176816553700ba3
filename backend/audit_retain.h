/*
 * audit_retain: what becomes of old records of the audit log: sealed in an archive, shipped, and only then pruned.
 *
 *      audit_retain_archive   a file VAULT/audit/FIRST (audit_archive.h): written, synced, read back, held against the
 *            │                tree; then its row in kv and a record `log-archive`
 *            ▼
 *      audit_retain_shipped   somebody has put a copy elsewhere and read it back: its SHA-256 is that of the row;
 *            │                a record `log-ship`
 *            ▼
 *      audit_retain_prune     the vault's file is read and held against the tree once more; in one operation the
 *                             records leave the database, with a record `log-prune` that names them, hash and place
 *
 * An archive holds whole tiles of 256 records, up to 65,536 of them: one follows another from record 0 on, without a
 * gap. The tree keeps all hashes, so that heads, proofs and audit_verify hold for what was pruned, too.
 *
 * A crash between two steps loses nothing: a file without a row is written anew, records leave with their commit or
 * stay. All functions but the list take the meta lock themselves, for a few milliseconds at a time; pruning holds it
 * for the time of one archive. One call of them at a time; others wait.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/audit.h"
#include "backend/store.h"
#include "crypto/digest.h"

/* Room for "audit/…" with its NUL. */
#define AUDIT_RETAIN_NAME_BYTES 32
/* Longest place that is remembered. */
#define AUDIT_RETAIN_PLACE_MAX 1024

struct audit_archived {
	uint64_t first, end;    /* records [first, end) */
	int64_t oldest, newest; /* times of the first and the last one, ns */
	uint64_t bytes;         /* of the file */
	uint8_t sha256[DIGEST_BYTES];
	bool pruned;        /* the database has them no more */
	int64_t shipped_ns; /* 0: not yet */
	char place[AUDIT_RETAIN_PLACE_MAX + 1];
};

/* The name below the vault of the archive that begins with record `first`. */
void audit_retain_name(uint64_t first, char ret_name[static AUDIT_RETAIN_NAME_BYTES]);

/*
 * Archives the next whole tiles whose records are durable and older than before_ns, up to one file; 1: *ret is what was
 * archived; 0: there is nothing to archive. `actor` stands in the record.
 */
int audit_retain_archive(Store *store, int64_t before_ns, const struct actor *actor, struct audit_archived *ret);

/* Each archive there is, in order; pointers are valid during the call. Between meta_begin and meta_end. */
typedef int audit_archived_fn(void *arg, const struct audit_archived *archived);
int audit_retain_list(Meta *m, audit_archived_fn *fn, void *arg);

/* All of them, in order, allocated: for what takes longer than an operation may. Between meta_begin and meta_end. */
int audit_retain_all(Meta *m, struct audit_archived **ret_list, size_t *ret_count);

/*
 * The file of the archive that begins with `first`, which was held against its row and the tree: the caller frees it.
 * -ENOENT: there is no such archive, or its file is gone (the words say which); -EBADMSG: it was changed.
 */
int audit_retain_read(Store *store, uint64_t first, uint8_t **ret_file, size_t *ret_size);

/* A copy is at `place` (UTF-8; longer than AUDIT_RETAIN_PLACE_MAX: -ENAMETOOLONG), as `sha256` of what was read back
 * there shows. -EBADMSG: it is not that of the archive. -ENOENT: no such archive. */
int audit_retain_shipped(Store *store, uint64_t first, const uint8_t sha256[static DIGEST_BYTES], const char *place,
        const struct actor *actor);

/*
 * Prunes the records of the oldest archive that is not pruned, when all of them are older than before_ns: 1: *ret is
 * what was pruned; 0: there is none. -ESTALE: it was not shipped yet. Others as audit_retain_read; nothing was pruned
 * then.
 */
int audit_retain_prune(Store *store, int64_t before_ns, const struct actor *actor, struct audit_archived *ret);

/*
 * Holds each archive, and each name below audit/, to account; for fsck. `found` gets the file's name below the vault
 * and -EBADMSG or -EUCLEAN with words in fault_message(), or 0 for what an archiving left that a crash ended: the next
 * one overwrites it. What it returns when negative, and errors of reading, end the check.
 */
typedef int audit_retain_found_fn(void *arg, const char *file, int rc);
int audit_retain_check(Store *store, audit_retain_found_fn *found, void *arg);
