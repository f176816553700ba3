/*
 * alarms: the alarms of the policy in force, watched by the mount.
 *
 *     each minute ── data ─► evaluate ─► changed? ── one operation: state, history, audit record, actions
 *                    (sample.h)                                                        │
 *     senders ◄── waiting actions that are due ◄───────────────────────────────────────┘
 *        └── sign ─► courier ─► done │ again later │ dead letter
 *
 * An alarm's period ends with the last whole minute, so that as in CloudWatch a window of five minutes slides on by one
 * each minute. Actions are done on a change only; not for an alarm that is silenced or not enabled, whose history goes
 * on. An alarm that left the policy is no more listed, its history stays for its time. A change of the policy evaluates
 * at once.
 *
 * What is told is told at least once: an action is on the disk before it is tried, and its outcome afterwards. It is
 * tried at once, and then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h, each a tenth earlier or later by chance;
 * then it is a dead letter, which a steward sends again or drops. While there is no courier nothing is tried.
 */
#pragma once

#include "backend/alarm_row.h"
#include "backend/sample.h"
#include "backend/store.h"
#include "policy/courier.h"
#include "policy/gate/gate.h"

/* As sample_read, but not between meta_begin and meta_end. From the thread that evaluates. */
typedef int alarm_data_fn(void *arg, const char *name, const char *labels, int64_t from_s, int64_t to_s,
        unsigned period_s, sample_point_fn *each, void *each_arg);

struct alarms_options {
	Store *store;
	Courier *courier; /* NULL: nothing is sent */
	alarm_data_fn *data;
	void *data_arg;
	/* The policy in force, and what gives it back. */
	struct gate_policy *(*policy)(void *arg);
	void (*policy_done)(struct gate_policy *policy);
	void *policy_arg;
	unsigned first_ms, every_ms; /* 0: 5 s, a minute */
	const unsigned *retry_ms;    /* how long after a failure; NULL: those above */
	size_t retry_count;
	unsigned senders; /* 0: 3 */
};

typedef struct Alarms Alarms;

/* Starts the threads. The store, courier and callbacks must outlive them. */
int alarms_start(const struct alarms_options *options, Alarms **ret_alarms);
/* Ends them, after deliveries under way. Accepts NULL. */
void alarms_stop(Alarms *alarms);
DEFINE_CLEANUP(Alarms, alarms_stop);

/* The policy changed, or there is new data: evaluates soon. Any thread. */
void alarms_wake(Alarms *alarms);

/* One round at `now_ns`, in the calling thread; what alarms_start's thread does. 0, or the first error. */
int alarms_round(Alarms *alarms, int64_t now_ns);

/* Something happened now that can't wait for a minute's sample: counts as 1 for the metric (of the last 64 such
 * events), and evaluates at once. Any thread; accepts NULL. */
void alarms_event(Alarms *alarms, const char *metric);

/* Calls `each` for every alarm of the policy in force, in its order, with its row. */
typedef int alarms_listed_fn(void *arg, const struct policy_alarm *alarm, const struct alarm_row *row);
int alarms_list(Alarms *alarms, alarms_listed_fn *each, void *arg);

/* Nobody is told of the alarm until then (0: again), on record for `actor`. -ENOENT. */
int alarms_silence(Alarms *alarms, const char *name, int64_t until_ns, const char *reason, const struct actor *actor);

/* Tells all targets of the alarm, in the calling thread, that this is a test; on record. `each` hears how it went.
 * -ENOENT. */
typedef int alarms_tested_fn(void *arg, const char *target, const struct courier_outcome *outcome);
int alarms_test(Alarms *alarms, const char *name, const struct actor *actor, alarms_tested_fn *each, void *arg);

/* Dead letters are tried again or go; id 0: all of them. On record. */
int alarms_retry(Alarms *alarms, uint64_t id, const struct actor *actor, uint64_t *ret_count);
int alarms_drop(Alarms *alarms, uint64_t id, const struct actor *actor, uint64_t *ret_count);

/* Is there something that sends? */
bool alarms_can_send(Alarms *alarms);
