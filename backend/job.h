/*
 * job: work that must not be lost, as rows in the same transaction as what gave rise to it.
 *
 *      job_put ─► queued ─ job_take ─► running ─ job_finish ─► done
 *                   ▲  │                  │
 *                   │  └─ a newer version of the same path: superseded
 *                   └──────── job_requeue, job_requeue_running (after a crash)
 *
 * All calls are made between meta_begin and meta_end. Times are nanoseconds since 1970.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/meta.h"
#include "crypto/base/bytes.h"

enum job_kind {
	JOB_ARRIVE = 1,  /* a governed name got new content */
	JOB_RECHECK = 2, /* a workflow on a schedule, or by hand */
	JOB_PUBLISH = 3, /* captured and passed, publication outstanding */
	JOB_COMPACT = 4, /* kinds from here on are this vault's housekeeping */
	JOB_ERASE = 5,
	JOB_NOTIFY = 6,
	JOB_WALK = 7,   /* a directory got a new name: what stands below it arrives */
	JOB_STAGED = 8, /* what a crash left of a write into Trusted */
	JOB_NAMES = 9,  /* a file with many names got new content: it arrives under each */
};

enum job_state {
	JOB_QUEUED = 0,
	JOB_RUNNING = 1,
	JOB_DONE = 2,
	JOB_SUPERSEDED = 3,
};

#define JOB_NAME_MAX 255

struct job {
	uint64_t id;
	uint8_t kind;  /* enum job_kind */
	uint8_t state; /* enum job_state */
	uint64_t node, version;
	struct bytes path;      /* where it happened; valid as the call says */
	const char *dataset;    /* NULL or "": none */
	const char *workflow;   /* NULL or "": none */
	int64_t due_ns;         /* not before */
	uint32_t attempts;      /* how often it was taken */
	uint64_t verdict;       /* 0: none yet */
	uint64_t superseded_by; /* job id; 0: not */
	int64_t made_ns, done_ns;
	uint32_t uid, gid; /* on whose behalf */
	int32_t pid;
	char exe[64];
};

/*
 * Queues a job: kind, node, version, path, dataset, workflow, due_ns, uid, gid, pid, exe of *job count. A queued job of
 * the same kind, path and workflow is superseded by it: *ret_superseded is that one's id, else 0 (may be NULL), and
 * *ret_superseded_version its version. A running one is not: its result is for an older version, which the finisher
 * sees by comparing.
 */
int job_put(
        Meta *m, const struct job *job, uint64_t *ret_id, uint64_t *ret_superseded, uint64_t *ret_superseded_version);

/* Moves the due time of the queued job of that kind, path and workflow (settling starts anew). -ENOENT. */
int job_postpone(Meta *m, enum job_kind kind, struct bytes path, const char *workflow, int64_t due_ns);

typedef int (*job_fn)(void *arg, const struct job *job);

/* Gives the earliest queued job that is due at `now` to the callback and marks it running, one attempt more. -ENOENT
 * when none is due. Pointers in the job are valid during the call. kind 0: any. */
int job_take(Meta *m, enum job_kind kind, int64_t now, job_fn callback, void *arg);

/*
 * Once before job_take_turn, in a vault that is written: makes the index that it goes by, which vaults made earlier
 * lack.
 */
int job_prepare_turns(Meta *m);

/* Whose turn it is, and whose not. */
struct job_turn {
	int64_t after_uid;         /* the user served last; -1: none yet */
	const uint32_t *full_uids; /* users who have as many jobs running as they may */
	size_t full_count;
	uint64_t size_below; /* only jobs on a version with fewer bytes; 0: any */
};

/*
 * As job_take, for one user after the other: the earliest due job of the next user who has one. *ret_held_back: a job
 * was due that the turn left out. -ENOENT: none was taken.
 */
int job_take_turn(Meta *m, const struct job_turn *turn, int64_t now, job_fn callback, void *arg, bool *ret_held_back);

/* A running job goes back as if it had not been taken, attempts and all, not before due_ns. */
int job_put_back(Meta *m, uint64_t id, int64_t due_ns);

/* When the next queued job is due (0: at once, as it was made before the clock was set back). -ENOENT when there is
 * none. kind 0: any. */
int job_next_due(Meta *m, enum job_kind kind, int64_t *ret_due_ns);

/* A running job is done. verdict 0: none. -ENOENT when it is not running. */
int job_finish(Meta *m, uint64_t id, uint64_t verdict);

/* A running job is to be tried again, not before due_ns. */
int job_requeue(Meta *m, uint64_t id, int64_t due_ns);

/* Queued jobs that were begun before, and put off, are due at once: what they waited for may be there. */
int job_hurry(Meta *m);

/* After a crash: all running jobs are queued again, due now. */
int job_requeue_running(Meta *m, uint64_t *ret_count);

/* A queued job is not wanted any more (its file was removed before it settled). */
int job_cancel(Meta *m, uint64_t id);

int job_get(Meta *m, uint64_t id, job_fn callback, void *arg); /* -ENOENT */

/* Queued and running jobs of the path (any kind), oldest first: "pending". */
int job_list_path(Meta *m, struct bytes path, job_fn callback, void *arg);

/* Jobs after id `after`, in order; only_open: queued and running ones. */
int job_list(Meta *m, uint64_t after, bool only_open, job_fn callback, void *arg);

/* How many are queued and running. */
int job_counts(Meta *m, uint64_t *ret_queued, uint64_t *ret_running);

/* The id of the job made last, 0 for none: job_list goes on behind it. */
uint64_t job_last(Meta *m);

/* Removes up to `most` done and superseded jobs that ended before `before_ns`, the oldest first, and none of the `keep`
 * made last; the audit log and verdicts keep what matters. */
int job_prune(Meta *m, int64_t before_ns, uint64_t keep, uint64_t most, uint64_t *ret_count);
