/*
 * fsck: holds every byte of every file in a vault's directory to account, and everything that the database says against
 * it.
 *
 *     vault.json            shape, slot, signature                    (opening)
 *     meta.db, -wal, meta/  every page, frame and pack                metadb_verify
 *     reserve               zeros                                     reserve_verify
 *     segments/ab/…         every batch, block, byte behind the end   segment_verify
 *     anything else         named as unknown
 *     map pages             each reference leads to the very block that was written; pages and versions have their
 * hashes rows                  foreign keys, the database's own structure, counters, the audit log's tree
 *
 * The vault is opened for reading only and not changed. What a crash left and the next mount clears away (tails of open
 * segments, segments that nothing committed refers to) is counted, not found fault with. An older state of the whole
 * vault is consistent in itself: fsck can't tell it from a new one.
 */
#pragma once

#include "backend/store.h"

#include <stdbool.h>
#include <stdint.h>

struct fsck_finding {
	const char *file;  /* below the vault; "" when it is not about one file */
	const char *path;  /* the user's file that suffers, as tree_path gives it; NULL: none, or not known */
	const char *words; /* what is wrong */
};

/* Valid during the call. A negative result ends the check and is returned. */
typedef int fsck_fn(void *arg, const struct fsck_finding *finding);

struct fsck_summary;
/* How far it has come; called after each segment. */
typedef void fsck_progress_fn(void *arg, const struct fsck_summary *now);

struct fsck_summary {
	uint64_t findings;
	uint64_t segments, blocks, bytes; /* of segments that were read, and the bytes of their files */
	uint64_t versions, map_pages, references, records;
	bool unclean;        /* the last mount did not end well: mounting recovers it */
	uint64_t left_over;  /* files that the next mount removes */
	bool could_not_open; /* the finding says why; nothing else was looked at */
};

/* As fsck_run, with `progress` (or NULL), which gets the same `arg`. */
int fsck_run_watched(const char *path, const struct store_secret *secret, fsck_fn *found, fsck_progress_fn *progress,
        void *arg, struct fsck_summary *ret);

/*
 * Checks the vault in directory `path`. 0: the check was made, see ret->findings. Errors are those that say nothing
 * about the vault's bytes: -ENOENT, -EBUSY (mounted), -EKEYREJECTED, -ENOKEY, -EIO, -ENOMEM.
 */
int fsck_run(const char *path, const struct store_secret *secret, fsck_fn *found, void *arg, struct fsck_summary *ret);
