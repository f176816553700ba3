/*
 * retention: what `audit` of the policy in force says of old records of the log, done by the mount itself.
 *
 *      a minute after the mount, then each hour ── rules ─► seal ─► ship ─► prune     (backend/audit_retain.h)
 *
 * Days are those of UTC, so what there is to do is done in the first hour of a day. A round that fails leaves all as it
 * is and is tried again in the next hour; the log has a record `log-archive` with outcome error, once a day.
 *
 * The copies are written with the mount's own rights, as a steward's policy says where: a new file of a name of its own
 * in a directory that is there.
 */
#pragma once

#include "backend/store.h"
#include "crypto/base/cleanup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct retention_rules {
	unsigned archive_after_days; /* 0: nothing is done */
	unsigned keep_days;          /* 0: nothing is pruned */
	char ship[PATH_MAX];         /* "": nothing is shipped */
};

/* Says what is in force just now. From the thread. */
typedef void retention_rules_fn(void *arg, struct retention_rules *ret);

struct retention_options {
	Store *store;
	retention_rules_fn *rules;
	void *arg;
	unsigned first_ms, every_ms; /* 0: a minute, an hour */
};

typedef struct Retention Retention;

/* Starts the thread; the store must outlive it. -ENOMEM, -EAGAIN. */
int retention_start(const struct retention_options *options, Retention **ret_retention);

/* Ends it after what it is about, at most one archive. Accepts NULL. */
void retention_stop(Retention *retention);
DEFINE_CLEANUP(Retention, retention_stop);

/*
 * One round at the time `now_ns`: all that the rules want of what is due. `stop` (may be NULL) is looked at between two
 * archives. 0, or the first error with its words.
 */
int retention_round(Store *store, const struct retention_rules *rules, int64_t now_ns, const _Atomic bool *stop);
