/*
 * store: an opened vault: keys, database, segments and the group commit, with recovery after a crash.
 *
 *     store_open ─ lock ─ vault.json ─ keyring ─ database ─ rows of segments ─ recovery ─ committer thread
 *     operation  ─ store_space_check ─ meta_begin … meta_end ─┐
 *     operation  ─ …                                          ├─► one COMMIT, one sync ─► store_commit_wait returns
 *     fsync      ─ store_commit_wait ─────────────────────────┘
 *
 * The committer ends the open transaction every second while there is something to commit, at 4,000 operations that
 * wrote more than a record of the audit log, and at once when somebody waits: the leaves of records that have none,
 * some at a time; segment_flush without the meta lock; then with it segment_flush of the rest, the segments' rows, the
 * audit tree's head, COMMIT; then without it the sync of the WAL. Then the durable sequence is published and everybody
 * who waited is woken.
 *
 * Damage of the metadata that other files of it make good (metadb.h) does not keep the vault from opening: each piece
 * is told to `notice`, and a mount for writing adds a record `damage`, as its checkpoints will put it right.
 *
 * The audit log's head is signed (audit_head.h) in a commit, at least every interval while there is something new and
 * at the end.
 *
 * A failed COMMIT or sync makes the store fail for good: what waited gets -EIO, all later changes -EROFS; so do
 * accesses that would leave a record (store_audit_check: -EIO). What is open already may be read on.
 *
 * What small fsyncs acknowledged is in a log of its own (synclog.h), which joins the commits: before each one all that
 * it has goes into the rows. After a crash its records are carried out first, under a commit of the mount's mark.
 *
 * Recovery, in one transaction with its audit records: drafts in Landing and staging that were fsynced are sealed as
 * `recovered` (and told to `arrived`, so that the gate judges them), other drafts are dropped, nodes that have no name
 * and no version any more are forgotten, running jobs are queued again, and the segments that the crashed mount left
 * open are cut to their committed length.
 */
#pragma once

#include "backend/cache_counts.h"
#include "backend/meta.h"
#include "backend/record.h"
#include "backend/segment.h"
#include "backend/tree.h"
#include "backend/version.h"
#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Store Store;
typedef struct Gc Gc;         /* backend/gc.h */
typedef struct Recall Recall; /* backend/backup/recall.h */
struct recall_means;

#define STORE_VAULT_ID_BYTES 16
/* Room for a recovery key as text, with the NUL. */
#define STORE_RECOVERY_TEXT_BYTES 128

/* How a new vault is made. All zero: the defaults. */
struct store_init_options {
	uint64_t argon_memory; /* bytes; 0: 256 MiB */
	uint32_t argon_passes; /* 0: as many as take about a second */
	int cipher;            /* enum aead_cipher; 0: what suits this processor */
	bool without_recovery; /* no recovery key slot */
};

/*
 * Makes a vault in directory `path`, which must not exist or be empty (-ENOTEMPTY, the words say what is there):
 * vault.json, the database with the zones, the first audit record. `ret_recovery` gets the recovery key's text, to be
 * shown once (wipe it); "" without one. Everything is durable on return; after a failure the directory is again as it
 * was.
 */
int store_init(const char *path, struct bytes passphrase, const struct store_init_options *options,
        char ret_recovery[static STORE_RECOVERY_TEXT_BYTES]);

/*
 * What opens a vault, by whichever slot of that kind it fits: a passphrase; a recovery key as text; a key file's bytes;
 * a recipient's secret as text; or the key that a KMS unwrapped of slot `slot` (its id). A slot that holds some keys
 * only opens the vault for reading (store_options.read_only).
 */
struct store_secret {
	enum {
		STORE_PASSPHRASE = 0,
		STORE_RECOVERY_KEY = 1,
		STORE_KEYFILE = 2,
		STORE_RECIPIENT = 3,
		STORE_KEK = 4,
	} kind;
	struct bytes bytes;
	const char *slot; /* STORE_KEK */
};

struct store_options {
	bool audit_strict;   /* store_audit_wait waits */
	bool read_only;      /* nothing is written, no recovery: a vault that was not unmounted shows its last commit */
	bool may_be_limited; /* by a limited slot it is opened as if read_only were set, in place of -EACCES */
	size_t cache_bytes;  /* bound for blocks and map pages in memory; 0: 64 MiB */
	/* Kept free for database and commits; 0: about 64 MiB, but not more than an eighth of what is free. */
	uint64_t reserve_bytes;
	unsigned commit_ms; /* the committer's interval; 0: 1000 */
	/* Garbage collection (gc.h): the time between the two marks, 0: its default. By hand: without its thread, for
	 * tests, which call its steps. */
	unsigned gc_grace_ms;
	bool gc_by_hand;
	/*
	 * Called in recovery's transaction for each version that was sealed as `recovered`, so that whoever stands
	 * above can queue the gate's job; a negative result fails the opening. May be NULL.
	 */
	int (*arrived)(Meta *m, const struct version *version, void *arg);
	void *arrived_arg;
	/*
	 * Gets words about damage of the metadata that opening or reading got around (what is lost is none of it), each
	 * a line without its end. From any thread. May be NULL.
	 */
	void (*notice)(void *arg, const char *words);
	void *notice_arg;
	/*
	 * The metadata is read into the system's page cache by a thread of its own (read_ahead.h), beginning while the
	 * passphrase is stretched. For mounts, which go on to look things up.
	 */
	bool read_ahead;
	/*
	 * Where the log's signed heads are kept outside of the vault (last_seen.h), so that an older copy of all of it
	 * is noticed: -ESTALE, unless it is to be taken (accept_restore), which is recorded. NULL: nowhere. forks: it
	 * was just made of a backup, so what it comes from may go on as well, even where that has nothing newer.
	 */
	const char *state_directory;
	bool accept_restore, forks;
	/*
	 * Of a vault that was recovered and has not all of its segments yet: how to reach its backup, beyond what the
	 * vault itself says (NULL: as the environment says); and without the thread that fetches the rest.
	 */
	const struct recall_means *recall;
	bool recall_by_hand;
	/*
	 * The file I/O to use instead of VAULT's own; it stays the caller's. For tests (recorder, failures). Normally
	 * NULL.
	 */
	VaultIo *io;
};

/*
 * Opens the vault in directory `path`. `secret`'s bytes are not kept. -ENOENT: no vault there; -EBUSY: mounted already
 * (the words name the process); -EKEYREJECTED: wrong passphrase; -EBADMSG: bytes of the vault were changed; -EROFS:
 * needs recovery, and the medium is read-only; -ESTALE: the vault is an older copy of what was mounted here before;
 * -EACCES: the slot is for reading only, and read_only is not set.
 */
int store_open(const char *path, const struct store_secret *secret, const struct store_options *options, Store **ret);

/*
 * Commits, empties the WAL, writes the record `unmount` and the mark of a clean end, and frees everything. All contents
 * must be closed; drafts that are left are dropped, or sealed as recovered if they were fsynced. The result says
 * whether all is durable; the Store is gone in any case. NULL: 0.
 */
int store_close(Store *store);

/* store_close for _cleanup_, where nobody can be told that it failed. NULL is fine. */
static inline void store_closep(Store **slot) {
	int saved = errno;
	(void)store_close(*slot);
	*slot = NULL;
	errno = saved;
}

/* As kill -9 would: stops the threads and frees everything, commits and writes nothing. For tests and for a failed
 * mount. */
void store_abandon(Store *store);

/* The parts, which belong to the store and live as long; any thread may take them. */
Meta *store_meta(Store *store);
SegmentStore *store_segments(Store *store);

/*
 * Under which key of its own what is written anew into a file is sealed, beside its zone's (store_keys.h): "" for none.
 * Asked in the operation that begins a draft of `node`; an error, with words, refuses that. NULL: none ever. To be set
 * while nobody writes.
 */
typedef int store_choose_key_fn(void *arg, Meta *m, const struct node *node, char ret_own[static OWN_KEY_BYTES]);
void store_set_key_chooser(Store *store, store_choose_key_fn *choose, void *arg);
int store_choose_key(Store *store, const struct node *node, char ret_own[static OWN_KEY_BYTES]);
Keyring *store_keyring(Store *store);
Gc *store_gc(Store *store);         /* NULL: read-only */
Recall *store_recall(Store *store); /* NULL: all segments are in the vault's directory */

struct store_info {
	char path[4096]; /* as given */
	uint8_t vault_id[STORE_VAULT_ID_BYTES];
	int cipher; /* enum aead_cipher */
	bool read_only;
	bool failed;    /* a commit failed: reads only */
	uint64_t mount; /* number of this mount, from 1 */
	bool recovered; /* the last mount had not ended cleanly */
	uint64_t recovered_versions, dropped_drafts, requeued_jobs;
	uint64_t damaged; /* files of the metadata that opening got around: `assayfs fsck --repair` mends them */
};
void store_info(Store *store, struct store_info *ret);

/*
 * fsync: returns when everything that was in the open transaction at the call is durable, together with the segments it
 * refers to. One sync serves all who wait. The caller may hold no content's lock. -EIO when that
 * can't be said (and never will be: the store has failed).
 */
int store_commit_wait(Store *store);

/*
 * Before each operation that changes something: 0; -ENOSPC while the file system has less left than the reserve and
 * what was promised lately; -EROFS for a read-only store, or one that has failed, whose changes would never become
 * durable. `bytes`: of content that it brings; rows and what is around a change are counted besides.
 */
int store_space_check(Store *store, uint64_t bytes);

/*
 * The audit log's promise: no access without a record. Whoever is about to grant or to refuse one calls
 *
 *     store_audit_check ─ audit_record ─ meta_end ─ store_audit_wait ─ the answer
 *
 * store_audit_check (any lock of the meta may be held): whether a record made now will become durable. -EIO: never, the
 * vault has failed; -ENOSPC: the disk is full and half of what was set aside for such a time is used. Either with words
 * for who is refused. 0 on a read-only store, which records nothing.
 *
 * store_audit_wait (no content's lock, not between meta_begin and meta_end): with audit_strict it returns when all that
 * was recorded before the call is durable, in a commit shared by all who wait; else at once. -EIO, with words: it is
 * not and will not be, so the access is not to be granted.
 */
int store_audit_check(Store *store);
int store_audit_wait(Store *store);

/* The answer when the record could not be made, which `rc` says why: -ENOSPC or -EIO with such words. Counts it. */
int store_audit_refuse(Store *store, int rc);

/* The window of the log: what a crash would take of it now. */
struct store_audit_window {
	bool is_strict;
	uint64_t records;  /* that are not durable yet */
	int64_t oldest_ns; /* how long the first of them has waited; 0: none does */
	int64_t most_ns;   /* the longest that one has waited since the mount began */
	uint64_t refused;  /* accesses refused because their record could not be written */
};
void store_audit_window(Store *store, struct store_audit_window *ret);

/* What the store did since it was opened. `commits` are those that succeeded, with the sync of the log. */
struct store_stats {
	struct histogram_view commits;
	struct histogram_view waits; /* store_commit_wait: of who asked for a sync that was not done yet */
	uint64_t commit_failures;
	struct cache_counts nodes;    /* rows and names of the metadata */
	struct cache_counts blocks;   /* blocks and map pages of open files */
	struct cache_counts segments; /* ciphers of batches */
};
void store_stats(Store *store, struct store_stats *ret);

/* What the tables sum up to. */
struct store_sums {
	struct segment_sums zones[SEGMENT_ZONES]; /* by number */
	struct tree_counts tree;
	uint64_t audit_records, stale;
	uint64_t jobs_queued, jobs_running, quarantined;
};
int store_sums(Store *store, struct store_sums *ret);

/*
 * For a moment in which there is nothing else to do: some microseconds of what would otherwise be done in the next
 * commit (audit_hash). Whether there is more that could be done now. Any thread; it waits for no lock, but seldom a
 * text is read from the database.
 */
bool store_idle(Store *store);

/* The last commit that is durable; 0: none by this mount yet. Any thread. */
uint64_t store_durable_commit(Store *store);

/* The vault's files. Belongs to the store. */
VaultIo *store_io(Store *store);

/*
 * A consistent hand-over for who takes the vault elsewhere: all that is committed by now, in checkpoint packs, with the
 * segments that the packs' database has and how long it says they are. Commits what waits, too; where nothing has
 * changed since the last pack it is that one, and nothing is written. The packs' files stay until a newer base is made,
 * those of segments until the collector removes them: who finds one gone takes a newer hand-over. No content's lock,
 * not between meta_begin and meta_end. -ENOSPC, -EBUSY: not now; -EBADMSG: packs are damaged, the next change mends
 * that; -EIO: the vault has failed; -EROFS.
 */
struct store_checkpoint {
	uint64_t pack, base;          /* the newest pack, and the base that it rests on */
	uint8_t root[32];             /* of the newest */
	uint64_t commit;              /* the last one that is in it */
	int64_t time_ns;              /* of that commit */
	uint64_t appended;            /* bytes that this mount had appended by then (segment_watch.h) */
	uint64_t versions;            /* that there are */
	struct segment_row *segments; /* by number */
	size_t segment_count;
};
int store_checkpoint(Store *store, struct store_checkpoint *ret);
void store_checkpoint_clear(struct store_checkpoint *checkpoint);

/* How many audit records are durable: those with a sequence below this may be served (audit_filter.before_seq). */
uint64_t store_durable_seq(Store *store);
