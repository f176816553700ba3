#include "fs/watch/watch.h"

#include "backend/sample.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "fs/actor.h"
#include "fs/even_clock.h"
#include "fs/log.h"
#include "fs/metrics_families.h"
#include "fs/watch/activity.h"
#include "fs/watch/families.h"
#include "fs/watch/keys.h"
#include "fs/watch/replication.h"
#include "policy/courier.h"
#include "policy/gate/schedule.h"

#include <errno.h>
#include <stdlib.h>

#define SECOND_NS INT64_C(1000000000)

struct Watch {
	struct filesystem *fs;
	Gate *gate;
	Courier *courier;
	Metrics *metrics;
	struct metrics_sources sources;
	struct watch_sources watched;
	Measures *measures;
	struct activity activity;
	struct even_clock clock; /* since the mount */
	Alarms *alarms;
	Schedule *schedule;
};

int watch_prepare(const char *actions, Watch **ret_watch) {
	_cleanup_(watch_freep) Watch *watch = calloc(1, sizeof *watch);
	if (!watch)
		return fault(ENOMEM, "mounting: out of memory");
	const struct courier_options options = {.actions = actions};
	int rc = courier_start(&options, &watch->courier);
	if (rc < 0)
		return rc;
	*ret_watch = steal_pointer(&watch);
	return 0;
}

/* ---- alarms ---- */

static struct gate_policy *policy_in_force(void *arg) {
	const Watch *watch = arg;
	return gate_policy(watch->gate);
}

static int read_samples(void *arg, const char *name, const char *labels, int64_t from_s, int64_t to_s,
        unsigned period_s, sample_point_fn *each, void *each_arg) {
	const Watch *watch = arg;
	Meta *m = watch->fs->meta;
	meta_begin(m);
	return meta_end(m, sample_read(m, name, labels, from_s, to_s, period_s, each, each_arg));
}

static int start_alarms(Watch *watch) {
	const struct alarms_options options = {.store = watch->fs->store,
	        .courier = watch->courier,
	        .data = read_samples,
	        .data_arg = watch,
	        .policy = policy_in_force,
	        .policy_done = gate_policy_done,
	        .policy_arg = watch};
	return watch->fs->read_only ? 0 : alarms_start(&options, &watch->alarms);
}

/* What is deleted is gone for ever: not before a minute has shown that the clock goes on as the machine does. */
static void tick_keys(const Watch *watch, int64_t now_s, bool may_delete) {
	if (watch->fs->read_only)
		return;
	int rc = store_key_tick(
	        watch->fs->store, now_s * SECOND_NS, may_delete && even_clock_is_even(&watch->clock, now_s));
	const int told = store_key_uses_tick(watch->fs->store);
	if (rc < 0 || told < 0)
		log_fault(rc < 0 ? rc : told, "what is due of keys");
}

static void minute_passed(void *arg, int64_t now_s) {
	const Watch *watch = arg;
	if (watch->alarms)
		alarms_wake(watch->alarms);
	tick_keys(watch, now_s, true);
}

/* ---- measures ---- */

static int open_measures(Watch *watch) {
	int rc = measures_new(watch->fs->store, watch->gate, watch->fs->read_only, &watch->measures);
	if (rc < 0)
		return rc;
	costs_of_backup(measures_costs(watch->measures), watch->fs->backup);
	Sampler *sampler = measures_sampler(watch->measures);
	activity_begin(&watch->activity, watch->fs->store, watch->gate, watch->fs->operations);
	rc = sampler_add(sampler, "operations", activity_collect_operations, &watch->activity);
	if (rc == 0)
		rc = sampler_add(sampler, "workflows", activity_collect_workflows, &watch->activity);
	if (rc == 0 && watch->fs->backup)
		rc = sampler_add(sampler, "backups", replication_collect, watch->fs->backup);
	if (rc == 0 && watch->fs->kms)
		rc = sampler_add(sampler, "the key management service", watch_collect_kms, watch->fs);
	return rc < 0 ? rc : sampler_each_minute(sampler, minute_passed, watch);
}

/* ---- figures ---- */

static int open_metrics(Watch *watch, Spawner *spawner) {
	int rc = metrics_new(&watch->metrics);
	if (rc < 0)
		return rc;
	watch->sources = (struct metrics_sources){.store = watch->fs->store,
	        .gate = watch->gate,
	        .spawner = spawner,
	        .operations = watch->fs->operations,
	        .mounted_ns = meta_now(watch->fs->meta)};
	watch->watched = (struct watch_sources){.meta = watch->fs->meta,
	        .gate = watch->gate,
	        .alarms = watch->alarms,
	        .costs = measures_costs(watch->measures),
	        .backup = watch->fs->backup};
	rc = metrics_add_families(watch->metrics, &watch->sources);
	if (rc == 0)
		rc = watch_add_families(watch->metrics, &watch->watched);
	if (rc == 0)
		rc = watch_add_key_families(watch->metrics, watch->fs->store);
	if (rc == 0 && watch->fs->kms)
		rc = watch_add_kms_families(watch->metrics, watch->fs);
	if (rc == 0)
		watch->fs->metrics = watch->metrics;
	return rc;
}

/* ---- workflows ---- */

static void schedule_failed(void *arg, const char *words) {
	(void)arg;
	log_words("%s", words);
}

static int open_schedule(Watch *watch) {
	struct schedule_options options = {.gate = watch->gate, .store = watch->fs->store, .failed = schedule_failed};
	actor_of_daemon(&options.actor);
	return watch->fs->read_only ? 0 : schedule_new(&options, &watch->schedule);
}

/* ---- life ---- */

int watch_open(Watch *watch, struct filesystem *fs, Gate *gate, Spawner *spawner) {
	watch->fs = fs;
	watch->gate = gate;
	watch->clock = even_clock_begin(meta_now(fs->meta) / SECOND_NS);
	int rc = open_measures(watch);
	if (rc == 0)
		rc = open_schedule(watch);
	if (rc == 0)
		rc = start_alarms(watch);
	return rc < 0 ? rc : open_metrics(watch, spawner);
}

int watch_start(Watch *watch) {
	tick_keys(watch, meta_now(watch->fs->meta) / SECOND_NS, false);
	int rc = watch->schedule ? schedule_start(watch->schedule) : 0;
	return rc < 0 ? rc : measures_start(watch->measures);
}

Metrics *watch_metrics(Watch *watch) {
	return watch->metrics;
}

Alarms *watch_alarms(Watch *watch) {
	return watch->alarms;
}

Costs *watch_costs(Watch *watch) {
	return measures_costs(watch->measures);
}

void watch_hush(Watch *watch) {
	if (!watch)
		return;
	courier_hush(watch->courier); /* a receiver that never answers must not hold up the unmounting */
	metrics_forget(watch->metrics);
	if (watch->fs)
		watch->fs->metrics = NULL;
}

/* The sampler calls the alarms. */
void watch_stop(Watch *watch) {
	if (!watch)
		return;
	schedule_stop(steal_pointer(&watch->schedule));
	measures_stop(steal_pointer(&watch->measures));
	alarms_stop(steal_pointer(&watch->alarms));
}

void watch_free(Watch *watch) {
	if (!watch)
		return;
	courier_stop(watch->courier);
	metrics_free(watch->metrics);
	free(watch);
}
