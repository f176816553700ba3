/*
 * sampler: a thread that measures once a minute and keeps what it measured (backend/sample.h).
 *
 *      the wall clock's minute ─► collectors, one after another ─► sampler_emit …   each in operations of its own
 *                              ─► all that they gave, in one operation              about 4 pages of the database
 *                              ─► what is old is pruned
 *                              ─► each_minute: alarms are evaluated
 *
 * Who has something to measure adds a collector between sampler_new and sampler_start. Rounds are as late as the one
 * before took: a minute that was missed (the machine slept, the clock leapt) is not made up for; what counts since the
 * last round says how much then. A clock that is set back gives a round in each minute that comes again. On a mount
 * that writes nothing nothing is kept, but collectors and each_minute are called all the same.
 */
#pragma once

#include "backend/store.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

#define SAMPLER_COLLECTORS_MAX 32

/* What a collector is given: the time, and where to put what it found. */
struct sampler_round;

/* When the round is, seconds since 1970. */
int64_t sampler_now(const struct sampler_round *round);

/* One measurement of it: names and labels as sample_add has them. What it refuses is left out, and logged once. */
void sampler_emit(struct sampler_round *round, const char *name, const char *labels, double value);

/* "key=VALUE" into `ret_labels`, where what labels can't hold becomes '_'. Returns the buffer. */
#define SAMPLER_LABEL_BYTES 400
const char *sampler_label(const char *key, const char *value, char ret_labels[static SAMPLER_LABEL_BYTES]);

/* Measures. From the thread, in no operation; may begin short ones (some 10 ms under the lock at most). An error is
 * logged, and what was emitted stays. */
typedef int sampler_collect_fn(void *arg, struct sampler_round *round);

/* After the round's samples are kept (in the open transaction). From the thread, in no operation. */
typedef void sampler_minute_fn(void *arg, int64_t now_s);

typedef struct Sampler Sampler;

/* Nothing runs yet; the store must outlive it. `is_read_only`: nothing is kept of what is measured. -ENOMEM. */
int sampler_new(Store *store, bool is_read_only, Sampler **ret_sampler);

/* `what` names it in the log; static. -ENOSPC: there are too many. */
int sampler_add(Sampler *sampler, const char *what, sampler_collect_fn *collect, void *arg);

/* Who is told after each round; at most SAMPLER_COLLECTORS_MAX. -ENOSPC. */
int sampler_each_minute(Sampler *sampler, sampler_minute_fn *each, void *arg);

/* Who is told when the thread begins and when it ends, in the thread: what counts time counts it from there to there.
 */
void sampler_at_ends(Sampler *sampler, sampler_minute_fn *ends, void *arg);

/* Starts the thread: the first round is at the next full minute. -EAGAIN. */
int sampler_start(Sampler *sampler);

/* Ends the thread after the round that it is about, and frees. Accepts NULL. */
void sampler_stop(Sampler *sampler);
DEFINE_CLEANUP(Sampler, sampler_stop);

/* One round at that time, as the thread does it; never beside the thread. 0, or why nothing was kept. */
int sampler_round(Sampler *sampler, int64_t now_s);
