/*
 * backup: ships what an open vault seals to its targets, as it stands on the disk, and keeps generations there.
 *
 *     rows `kv` backup.target.N ─► one thread a target
 *                                       │  what is in the bucket: listed once when the thread begins
 *      commit ─► at most RPO_MS later:  ├─ checkpoint (if anything was committed since the last pack)
 *                                       ├─ extents of segments up to their committed length
 *                                       ├─ vault.json, archives of the log, packs from the base on
 *                                       ├─ the superblock, if absent
 *                                       └─ now and then: generations that are not kept any more, and what only they
 * need
 *
 * The bucket itself says what is shipped: nothing about progress is kept in the vault, so that shipping changes nothing
 * that would have to be shipped, and objects that went missing there are shipped anew. A target that can't be reached
 * is tried again with growing pauses, up to a minute; local work waits for nothing here.
 *
 * Kept generations: the newest BACKUP_KEEP_LAST, for a day the last of each hour, for 30 days the last of each day.
 * Bucket objects are removed only when a whole listing was read, every superblock that is kept was opened, the object
 * is one of ours, no kept generation needs it, and that was so at two such passes at least BACKUP_GRACE_S apart. A
 * removal that a lock refuses, or that the credentials have no right to, is counted and told (`refused`), and tried
 * again a day later. A pass that fails does not keep from shipping: it is told, and stands in `pass_trouble`.
 *
 * With lock_days every object is put under a lock until then; locks of what is still needed are renewed when half of
 * the days are over. Then removal is not even tried before the lock ends.
 */
#pragma once

#include "backend/audit.h"
#include "backend/objects/objects.h"
#include "backend/store.h"
#include "backend/version.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Backup Backup;

#define BACKUP_RPO_MS 5000
#define BACKUP_KEEP_LAST 8
#define BACKUP_GRACE_S 3600
/* A pack that is there under a number that is due, with other content and no superblock: another mount may be shipping
 * just now. After so long it was a round that was broken off, and is replaced. */
#define BACKUP_ORPHAN_S 600
#define BACKUP_TARGETS_MAX 8
#define BACKUP_TEXT_BYTES 512

/* What backup_add leaves as it is where there is a rule with that URL. */
#define BACKUP_KEEP_ZONES 1u
#define BACKUP_KEEP_LOCK_DAYS 2u
#define BACKUP_KEEP_ENDPOINT 4u
#define BACKUP_KEEP_CREDENTIALS 8u /* and region */
#define BACKUP_KEEP_PREFIX 16u

/* A rule, as it stands in the vault. Text is NUL-terminated, "" where there is none. */
struct backup_target {
	uint32_t number; /* from 1 */
	char url[BACKUP_TEXT_BYTES];
	char endpoint[BACKUP_TEXT_BYTES];
	uint32_t zones;                 /* bit 1 << zone; 0: all */
	char prefix[BACKUP_TEXT_BYTES]; /* of paths below their zone, as reach.h takes it; "": all */
	uint32_t lock_days;
	/* Given with `backup add`; "": of the daemon's environment. Kept sealed in the vault, told to nobody. */
	char access_key[BACKUP_TEXT_BYTES], secret_key[BACKUP_TEXT_BYTES], session_token[4096], region[64];
	uint32_t kept; /* for backup_add: bits of BACKUP_KEEP_…, which stay as they are; stands in no row */
	bool paused;   /* see BACKUP_PAUSED; backup_add ends it */
	uint32_t uid;  /* who added it */
	int64_t added_ns;
};

enum backup_state {
	BACKUP_STARTING, /* the bucket is being listed */
	BACKUP_IDLE,     /* all that was committed is there */
	BACKUP_SHIPPING,
	BACKUP_RETRYING, /* the last attempt failed: `trouble` */
	BACKUP_FAILED,   /* what a person must mend: refused, no such bucket, full */
	BACKUP_PAUSED,   /* the vault was recovered from a backup: nothing is sent until backup_add says so again */
};

/* How a target stands. */
struct backup_status {
	struct backup_target target; /* without the secrets */
	bool has_credentials;        /* of its own; else the daemon's count */
	enum backup_state state;
	uint64_t generation;                     /* the newest superblock that is there; 0: none yet */
	int64_t shipped_ns;                      /* when that was made; 0 */
	uint64_t commit;                         /* up to which all is there */
	uint64_t pending_bytes;                  /* sealed here and not there yet, about */
	uint64_t pending_versions;               /* sealed after `commit`, of this rule */
	uint64_t failed_versions;                /* the same, while the state is FAILED */
	int64_t lag_ns;                          /* age of the oldest commit that is not there; 0: none */
	uint64_t shipped_bytes, shipped_objects; /* by this mount */
	uint64_t retries;
	uint64_t generations; /* that are kept there */
	/* Whether the place was listed since the mount. Until then nobody knows what is there: commit, generation and
	 * what is pending are 0, and lag_ns is of the commits of this mount only. */
	bool is_known;
	/* Segments that can't be read here and are left out; the state is FAILED while there are any. */
	uint64_t lost_segments;
	uint64_t refused;                  /* removals that a lock refused, by this mount */
	uint64_t stored_bytes;             /* of our objects there, at the last listing */
	int64_t retry_ns;                  /* when it is tried again; 0 */
	char trouble[FAULT_MESSAGE_BYTES]; /* "" */
	/* What ails the removing of what is not needed, or the renewing of locks; "". Shipping goes on. */
	char pass_trouble[FAULT_MESSAGE_BYTES];
	/* The last backup_verify that came to its end, by this mount. */
	int64_t verified_ns;      /* 0: none */
	uint64_t verify_findings; /* what it found, healed or not */
};

/* What a notice tells. */
enum backup_notice {
	BACKUP_NOTICE_FAILS,       /* shipping, of the first attempt of several */
	BACKUP_NOTICE_WORKS,       /* again */
	BACKUP_NOTICE_REFUSED,     /* removals */
	BACKUP_NOTICE_PASS_FAILED, /* removing or locking: `pass_trouble` */
	BACKUP_NOTICE_PASS_WORKS,  /* again */
	BACKUP_NOTICE_GONE,        /* generations that were there are not any more */
	BACKUP_NOTICE_LOST,        /* a file of the vault is damaged or gone, and left out of the backup */
};

struct backup_options {
	unsigned rpo_ms;   /* 0: BACKUP_RPO_MS */
	unsigned orphan_s; /* 0: BACKUP_ORPHAN_S */
	unsigned grace_s;  /* 0: BACKUP_GRACE_S */
	unsigned retry_ms; /* the first pause after a failure; 0: 1000. The longest is 60 times that */
	/* Instead of objects_open, for tests; NULL. */
	int (*open)(const struct objects_place *place, Objects **ret, void *arg);
	void *open_arg;
	/* Told in words, each a line. From any thread. NULL. */
	void (*notice)(void *arg, enum backup_notice kind, const struct backup_status *status, const char *words);
	void *notice_arg;
};

/* Reads the targets and starts a thread for each. On a read-only store nothing is shipped (status only). */
int backup_open(Store *store, const struct backup_options *options, Backup **ret_backup);

/* Ends the threads, after `wait_ms` at most of shipping what is committed by now; frees. Before store_close. NULL. */
void backup_close(Backup *backup, unsigned wait_ms);

/*
 * Adds a target (its number is filled in), or with the same URL changes its rule and credentials but for what is `kept`
 * (filled in, too), and begins at once. `create` makes the bucket or directory. Tries the target before anything is
 * kept. Recorded as `backup-add`. -EINVAL (also: within the vault, within another target or around it), -EEXIST
 * (another vault's backup is there), -ENOSPC (too many), errors of objects_prepare.
 */
int backup_add(Backup *backup, struct backup_target *target, bool create, const struct actor *actor);

/* Forgets a target; what is there stays. -ENOENT. Recorded as `backup-remove`. */
int backup_remove(Backup *backup, const char *url, const struct actor *actor);

/* Up to `room` of them; the count of all. Any thread, not in an operation. */
size_t backup_status(Backup *backup, struct backup_status *ret, size_t room);

/* Waits until all that is committed at the call is on each target (or on that one, url): 0; -ETIME; what ails it; -EIO:
 * all but segments that can't be read here. */
int backup_sync(Backup *backup, const char *url, unsigned timeout_ms);

/* Status of a version on all targets whose rule takes it, the worst of COMPLETED, UNKNOWN (the place was not listed
 * yet), PENDING, FAILED; NONE: no rule takes it. All are FAILED while segments are lost, as any may need them. By a
 * rule with a prefix it is taken when its path (below the vault) is, or its file was when the last round looked, and
 * completed only by then. Any thread, also in an operation. */
enum backup_replication { BACKUP_NONE, BACKUP_COMPLETED, BACKUP_UNKNOWN, BACKUP_PENDING, BACKUP_FAILED_VERSION };
enum backup_replication backup_of_version(Backup *backup, const struct version *version, const char *path);
const char *backup_replication_word(enum backup_replication replication); /* "" (NONE, UNKNOWN), "PENDING", … */

/* ---- verify ---- */

struct backup_verify_summary {
	uint64_t objects, bytes; /* read back and authenticated */
	uint64_t findings, healed;
	uint64_t segments;          /* that were read: one at least, if there is one */
	uint64_t segments_left_out; /* by the sample */
};

/* Each finding; `healed`: it was put again from the local copy. A negative result ends the check. */
typedef int backup_finding_fn(void *arg, const char *object, const char *words, bool healed);
/* So far; also now and then while nothing is done. A negative result ends the check, too: nobody wants to know any
 * more. */
typedef int backup_progress_fn(void *arg, uint64_t bytes, uint64_t of);

/*
 * Reads back what the newest generation of a target needs, or of `percent` (1 to 100) of its segments, and
 * authenticates every byte: superblock, vault.json against the local one, packs, and each block of each segment. What
 * is damaged or gone is put anew from the local copy where that authenticates (`heal`). 0: the check was made.
 */
int backup_verify(Backup *backup, const char *url, unsigned percent, bool heal, backup_finding_fn *finding,
        backup_progress_fn *progress, void *arg, struct backup_verify_summary *ret);
