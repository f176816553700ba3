/*
 * lifecycle: the policy's `lifecycle`, carried out by the mount itself (backend/expire.h says what the words mean).
 *
 *      ten minutes after the mount, then each hour ── rules ─► the first time in a day (UTC): what may go goes
 *                                                          └► else: it is only counted, for `status`
 *      lifecycle_run: now, by somebody who asked; one at a time, so whoever comes later waits
 *
 * Nothing expires while the wall clock did not go on as the machine did since the mount (even_clock.h), nor without
 * room for the records. A clock that was wrong by much when the vault was mounted is not found out, but the first round
 * comes late enough for a clock that is set by the network to be set.
 *
 * A round that fails leaves what there is, and is tried again in the next hour; the log has a record `expire` with
 * outcome error, once a day. Rounds rest between their slices of two milliseconds.
 */
#pragma once

#include "backend/expire.h"
#include "backend/store.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <stdbool.h>
#include <stdint.h>

/* The rules in force, borrowed until they are given back. */
struct lifecycle_rules {
	struct expire_rule *list;
	size_t count;
	void *held; /* the giver's */
};

/* Gives the rules that are in force just now, and takes them back. -ENOMEM. */
typedef int lifecycle_rules_fn(void *arg, struct lifecycle_rules *ret);
typedef void lifecycle_rules_done_fn(void *arg, struct lifecycle_rules *rules);

struct lifecycle_options {
	Store *store;
	lifecycle_rules_fn *rules;
	lifecycle_rules_done_fn *rules_done;
	void *arg;
	unsigned first_ms, every_ms; /* 0: ten minutes, an hour */
	int64_t (*now_ns)(void);     /* NULL: the store's clock; for tests */
};

typedef struct Lifecycle Lifecycle;

/* Starts the thread; the store, which must be writable, must outlive it. -ENOMEM, -EAGAIN. */
int lifecycle_start(const struct lifecycle_options *options, Lifecycle **ret_lifecycle);

/* Ends it after the slice that it is about. Nobody may be in lifecycle_run. Accepts NULL. */
void lifecycle_stop(Lifecycle *lifecycle);
DEFINE_CLEANUP(Lifecycle, lifecycle_stop);

struct lifecycle_request {
	bool is_dry; /* what would go is told, and stays */
	const struct actor *actor;
	/* As expire_options has them. */
	int (*each)(void *arg, const struct expire_found *found);
	int (*rest)(void *arg, int64_t took_ns, uint64_t looked);
	void *arg;
};

struct lifecycle_ran {
	size_t rules;
	bool is_clock_uneven; /* so nothing was expired */
	struct expire_sum sum;
};

/* A pass, or as many as it takes until nothing more may go. Any thread. An error leaves what was expired by then. */
int lifecycle_run(Lifecycle *lifecycle, const struct lifecycle_request *request, struct lifecycle_ran *ret);

/* How it stands. */
struct lifecycle_state {
	int64_t looked_ns;                    /* when all versions were looked at last; 0: not yet */
	size_t rules;                         /* by so many rules */
	uint64_t due[ZONE_STAGING + 1];       /* versions that might go then, and did not, by zone */
	uint64_t due_bytes[ZONE_STAGING + 1]; /* of plaintext */
	uint64_t expired, expired_bytes;      /* by this mount */
	bool is_clock_uneven;
	char trouble[FAULT_MESSAGE_BYTES]; /* of the last round or request; "" */
};
void lifecycle_state(Lifecycle *lifecycle, struct lifecycle_state *ret);

/* One round, as the thread makes it: for tests, never beside the thread's. */
void lifecycle_round(Lifecycle *lifecycle);
