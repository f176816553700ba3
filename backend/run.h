/*
 * run: the history of workflows: each run a row, and the jobs that belong to it.
 *
 *      run_put ─► queued ─ run_begin ─► running ─ run_end ─► succeeded, failed, timed out, interrupted
 *                    │        ▲            │
 *                    │        └────────────┴── run_again (a crash amid the queueing): from the start
 *                    └─► skipped
 *      run_put ─► missed, skipped: never begun
 *
 * A job's end counts for its run in the operation that ends it (a trigger does that), so that no crash comes between
 * the two. A run is over when `total` is the sum of its counts and it is running.
 *
 * All calls are made between meta_begin and meta_end. Times are nanoseconds since 1970.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/meta.h"

enum run_state {
	RUN_QUEUED = 0,      /* its jobs are not all made */
	RUN_RUNNING = 1,     /* they are, and not all have ended */
	RUN_SUCCEEDED = 2,   /* each file was decided, whichever way */
	RUN_FAILED = 3,      /* some file could not be checked, or the files could not be listed */
	RUN_TIMED_OUT = 4,   /* its time was over: what was not checked by then was not checked */
	RUN_MISSED = 5,      /* nobody was there to begin it */
	RUN_INTERRUPTED = 6, /* its workflow is gone, or others of its jobs took their place */
	RUN_SKIPPED = 7,     /* the one before was still going */
};

enum run_cause {
	RUN_BY_SCHEDULE = 1,
	RUN_CATCHES_UP = 2, /* late, for what was due while nobody was there */
	RUN_BY_HAND = 3,
	RUN_AFTER = 4, /* another workflow's run ended well */
	RUN_RETRY = 5, /* the attempt before it failed */
};

#define RUN_NAME_MAX 255
#define RUN_WORDS_MAX 511
/* So many rows are kept of each workflow. */
#define RUN_KEEP 1000

struct run {
	uint64_t id;
	char workflow[RUN_NAME_MAX + 1];
	uint8_t cause; /* enum run_cause */
	uint8_t state; /* enum run_state */
	uint32_t attempt;
	int64_t due_ns;               /* when it was to begin */
	int64_t started_ns, ended_ns; /* 0: not yet, or never */
	uint32_t uid;                 /* who asked for it */
	uint64_t total;               /* files */
	uint64_t passed, failed, errors;
	uint64_t skipped;              /* gone, changed or withdrawn before they were checked */
	uint64_t retried_by;           /* the run that takes its place; 0: none */
	char words[RUN_WORDS_MAX + 1]; /* why it ended so; "" */
};

/* One word for people and programs: "succeeded", "timed-out"; "schedule", "catch-up". */
const char *run_state_word(uint8_t state);
const char *run_cause_word(uint8_t cause);

/* Has it an end? */
static inline bool run_is_over(const struct run *run) {
	return run->state >= RUN_SUCCEEDED;
}

/* Have all jobs ended of one that is running? */
static inline bool run_is_done(const struct run *run) {
	return run->passed + run->failed + run->errors + run->skipped >= run->total;
}

/*
 * Makes a row of workflow, cause, state, attempt, due_ns, uid, words; one that is over ends now. And takes the oldest
 * rows of the workflow away beyond RUN_KEEP. -EEXIST: of that workflow something was due at that very time before, and
 * is not done twice (asked of the causes that come by themselves).
 */
int run_put(Meta *m, const struct run *run, uint64_t *ret_id);

/* It begins (anew): it has no jobs yet. */
int run_begin(Meta *m, uint64_t id);
/* Takes its open jobs back and forgets all jobs: they are queued again from the start. */
int run_again(Meta *m, uint64_t id);
/* A queued job (job_put) belongs to it. */
int run_add_job(Meta *m, uint64_t id, uint64_t job);
/* All jobs are made. */
int run_queued_all(Meta *m, uint64_t id);
/* A job was given up; it counts as one that could not be checked. After job_finish. */
int run_job_given_up(Meta *m, uint64_t job);
/* Which run the job belongs to; 0: none. */
int run_of_job(Meta *m, uint64_t job, uint64_t *ret_id);
/* Takes back what has not ended: no verdict of those jobs comes to anything any more. */
int run_withdraw_jobs(Meta *m, uint64_t id);
/* `words` NULL: none. */
int run_end(Meta *m, uint64_t id, enum run_state state, const char *words);
/* Another one takes its place. */
int run_retried(Meta *m, uint64_t id, uint64_t by);

typedef int run_fn(void *arg, const struct run *run);

int run_get(Meta *m, uint64_t id, struct run *ret_run); /* -ENOENT */

/* The newest first, below id `before` (0: all), of one workflow or (NULL) of all; `each` ends it by a positive answer.
 */
int run_list(Meta *m, const char *workflow, uint64_t before, run_fn *each, void *arg);
/* Those without an end, oldest first, after id `after`. */
int run_list_open(Meta *m, uint64_t after, run_fn *each, void *arg);
/* The one of the workflow that has no end; the last one that began. -ENOENT. */
int run_find_open(Meta *m, const char *workflow, struct run *ret_run);
int run_last_begun(Meta *m, const char *workflow, struct run *ret_run);

/* The latest time of its schedule that has a row; 0: none. */
int run_last_due(Meta *m, const char *workflow, int64_t *ret_due_ns);
/* The last one that followed others. -ENOENT. */
int run_last_after(Meta *m, const char *workflow, struct run *ret_run);

/* The jobs of a run, in order, after `after`; kept until the workflow's next run. */
typedef int run_job_fn(void *arg, uint64_t job);
int run_jobs(Meta *m, uint64_t id, uint64_t after, run_job_fn *each, void *arg);

/* For samples, metrics and alarms. Attempts that were tried again do not count as failed. */
struct run_facts {
	int64_t last_success_ns;            /* its end; 0: none */
	uint64_t succeeded, failed, missed; /* that ended after `since_ns`; timed out and interrupted count as failed */
};
int run_facts(Meta *m, const char *workflow, int64_t since_ns, struct run_facts *ret_facts);
