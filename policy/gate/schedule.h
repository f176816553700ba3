/*
 * schedule: starts runs when they are due, and ends those whose time is over.
 *
 *      one look:   runs without an end ─ done? ─► end     its workflow is gone? ─► interrupted     time_limit ─► timed
 * out retries that are due, and what a crash left half queued ─► begin cron: times since the last one ─► begin the last
 * of them, once; or a row that says why not after: all that it follows ended well since ─► begin then it sleeps until
 * the next time: a timer on the clock that people set, which wakes it when that is set
 *
 * What is due is told by rows alone (backend/run.h), so it is the same after a crash, in the next mount, and with the
 * clock set anywhere:
 *
 *      set forward, or nobody there     one run for all times in between; none with `catch_up: none` (a row `missed`)
 *      set back                         what was due before is not due again: a time has one row for good. When the
 *                                       last one lies more than three hours ahead, it goes by the clock as it is now
 *      a new or changed policy          times before it came into force are no times of it
 *      a run is still going             the next is skipped, with a row
 *
 * Jobs are queued by the schedule's thread, so while a workflow's files are listed no other begins.
 */
#pragma once

#include "policy/gate/gate.h"

typedef struct Schedule Schedule;

struct schedule_options {
	Gate *gate;
	Store *store;
	struct actor actor; /* who begins what comes by itself */
	/* What time it is, ns since 1970; NULL: the metadata's clock (meta_now). */
	int64_t (*now)(void *arg);
	/* Told what went wrong. May be NULL. */
	void (*failed)(void *arg, const char *words);
	void *arg;
};

/* All must outlive it. Before gate_run is called in this mount. Starts no thread. -ENOMEM, -EMFILE. */
int schedule_new(const struct schedule_options *options, Schedule **ret_schedule);

/* Looks once. *ret_next_ns: when to look again if nothing wakes it before (INT64_MAX: never); one at a time. */
int schedule_look(Schedule *schedule, int64_t *ret_next_ns);

/* A thread that looks, until schedule_stop. -EAGAIN. */
int schedule_start(Schedule *schedule);

/* Ends the thread, if there is one, and frees. What it is about ends as if the mount had crashed. Before gate_stop.
 * Accepts NULL. */
void schedule_stop(Schedule *schedule);
DEFINE_CLEANUP(Schedule, schedule_stop);

/* When a workflow of the policy in force runs next by the clock, seconds since 1970. -ENOENT: not by itself. Any
 * thread. */
int schedule_next(const struct policy_workflow *workflow, int64_t after_s, int64_t *ret_s);
