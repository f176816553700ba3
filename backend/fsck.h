/*
 * fsck: holds every byte of every file in a vault's directory to account, and everything that the database says against
 * it.
 *
 *     vault.json            shape, slot, signature                    (opening)
 *     meta.db, -wal, meta/  every page, frame and pack                metadb_verify
 *     reserve               zeros                                     reserve_verify
 *     segments/ab/…         every batch, block, byte behind the end   segment_verify
 *     audit/…               archives of the log, against its tree     audit_retain_check
 *     anything else         named as unknown
 *     map pages             each reference leads to the very block that was written; pages and versions have their
 * hashes rows                  foreign keys, the database's own structure, counters, the audit log's tree
 *
 * Segments of a recovered vault that were not fetched yet (backup/recall.h) are counted, not read: nothing is fetched.
 * Those of which the backup had not all when it was last looked at are findings, and so is each version in them.
 *
 * A check opens the vault for reading only and changes nothing. What a crash left and the next mount clears away (tails
 * of open segments, segments that nothing committed refers to) is counted, not found fault with. An older state of the
 * whole vault is consistent in itself: fsck can't tell it from a new one.
 */
#pragma once

#include "backend/store.h"
#include "crypto/base/fault.h"

#include <stdbool.h>
#include <stdint.h>

struct fsck_finding {
	const char *file;     /* below the vault; "" when it is not about one file */
	const char *path;     /* the user's file that suffers, as tree_path gives it; NULL: none, or not known */
	const char *words;    /* what is wrong */
	const char *repaired; /* fsck_repair: how that was put right; NULL: it is still so */
};

/* Valid during the call. A negative result ends the check and is returned. */
typedef int fsck_fn(void *arg, const struct fsck_finding *finding);

#define FSCK_OLDER_BYTES 1024
struct fsck_summary;
/* How far it has come; called after each segment. */
typedef void fsck_progress_fn(void *arg, const struct fsck_summary *now);

struct fsck_summary {
	uint64_t findings;                /* that are still so */
	uint64_t repaired;                /* that are no more; not counted in findings */
	uint64_t segments, blocks, bytes; /* of segments that were read, and the bytes of their files */
	uint64_t versions, map_pages, references, records, heads;
	bool unclean;       /* the last mount did not end well: mounting recovers it */
	uint64_t left_over; /* files that the next mount removes */
	/* Of a vault that was recovered: segments that are in its backup still, which were not looked at. */
	uint64_t elsewhere, elsewhere_bytes;
	uint64_t locked; /* segments whose key is disabled, deleted, or none of this slot's: their bytes can't be judged
	                  */
	bool could_not_open; /* the finding says why; nothing else was looked at */
	/* Not "": the log does not go on from the head that is kept outside of the vault (store.h), and how. No damage:
	 * all of it may be whole, and older. */
	char older[FSCK_OLDER_BYTES];
};

/*
 * Checks the vault in directory `path`. 0: the check was made, see ret->findings. Errors are those that say nothing
 * about the vault's bytes: -ENOENT, -EBUSY (mounted), -EKEYREJECTED, -ENOKEY, -EIO, -ENOMEM.
 */
int fsck_run(const char *path, const struct store_secret *secret, fsck_fn *found, void *arg, struct fsck_summary *ret);

struct fsck_options {
	fsck_progress_fn *progress; /* or NULL; gets `progress_arg` */
	void *progress_arg;
	/*
	 * fsck_repair: when the vault does not open because commits of its log are lost, or nothing says which state is
	 * the newest, goes back to what metadb_accept_loss finds; gives up a log of small fsyncs that is damaged. For a
	 * person to decide.
	 */
	bool accept_loss;
	const char *state_directory; /* where the log's head is kept outside of the vault; NULL: nowhere */
	VaultIo *io;                 /* instead of the vault's own; for tests, normally NULL */
};

/* As fsck_run. `options` may be NULL. */
int fsck_run_with(const char *path, const struct store_secret *secret, const struct fsck_options *options,
        fsck_fn *found, void *arg, struct fsck_summary *ret);

/*
 * Repairs what can be repaired without loss, then checks everything again, and tells first what was found and is put
 * right, with how, then what is still wrong.
 *
 *     pages, length of meta.db; the whole file   from the checkpoint packs, each page against the newest root
 *     checkpoint packs, damaged or gone          a new base pack from verified pages, in place of all older ones
 *     an anchor, strays that look like packs     written anew; removed
 *     reserve, bytes behind a segment's end      removed; cut off (they are nobody's)
 *
 * Blocks of files have no second copy here: those that are damaged are named with the file. Nothing is taken for good
 * that the newest root does not vouch for; with nothing left that says which root that is, nothing is written. It may
 * be interrupted anywhere and be run again. What was found and mended goes to the audit log as a record `repair`. What
 * a crash left (`unclean`) is still the next mount's to recover. Errors as fsck_run, and those of writing: -ENOSPC,
 * -EROFS.
 */
int fsck_repair(const char *path, const struct store_secret *secret, const struct fsck_options *options, fsck_fn *found,
        void *arg, struct fsck_summary *ret);

/* Shared with fsck_repair.c: a finding's words with its place, and the vault's file that an error of opening names. */
#define FSCK_WORDS_BYTES (FAULT_MESSAGE_BYTES + 64)
const char *fsck_words(int64_t place, const char *words, char line[static FSCK_WORDS_BYTES]);
const char *fsck_file_in_words(const char *words, const char *path, char file[static SEGMENT_NAME_BYTES]);
