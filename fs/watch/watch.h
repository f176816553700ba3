/*
 * watch: what the mount does by itself to be watched: measuring, alarms, workflows that are due, figures for others.
 *
 *     watch_prepare ─► courier, without keys and before threads
 *     watch_open    ─► figures (metrics.h), alarms, measures: what the service answers about; nothing runs by itself
 * yet watch_start   ─► the minute's round (sampler.h) ─► samples ─► alarms ─► courier the schedule
 * (policy/gate/schedule.h) watch_stop    ─► in reverse; watch_free ends the courier
 *
 * On a mount that writes nothing it measures in memory; no alarm is evaluated and no workflow begun, since neither
 * could be kept.
 */
#pragma once

#include "fs/alarm/alarms.h"
#include "fs/filesystem.h"
#include "fs/measures.h"
#include "fs/metrics.h"

typedef struct Watch Watch;

/* Starts the courier; `actions`: where programs lie that alarms may run, NULL: the usual directory. Before keys and
 * threads. -ENOMEM; courier_start's errors. */
int watch_prepare(const char *actions, Watch **ret_watch);

/* The store is open and the gate runs; both must outlive watch_stop. */
int watch_open(Watch *watch, struct filesystem *fs, Gate *gate, Spawner *spawner);

/* Begins to measure, to evaluate and to run workflows. */
int watch_start(Watch *watch);

/* Belong to the watch, from watch_open to watch_stop. */
Metrics *watch_metrics(Watch *watch);
Alarms *watch_alarms(Watch *watch); /* NULL: they are not watched */
Costs *watch_costs(Watch *watch);

/* Gives no figures any more: before what they are of is gone. NULL is fine. */
void watch_hush(Watch *watch);

/* Ends all threads. The store is still open. NULL is fine. */
void watch_stop(Watch *watch);

/* Ends the courier, and frees. Accepts NULL. */
void watch_free(Watch *watch);
DEFINE_CLEANUP(Watch, watch_free);
