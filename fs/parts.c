#include "fs/parts.h"

#include "crypto/base/fault.h"
#include "crypto/process.h"
#include "fs/actor.h"
#include "fs/alarm/alarms.h"
#include "fs/log.h"
#include "fs/measures.h"
#include "fs/metrics_families.h"
#include "fs/retention.h"
#include "fs/service/service.h"
#include "fs/trusted.h"
#include "policy/gate/gate.h"
#include "policy/gate/schedule.h"
#include "policy/worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct Parts {
	bool allow_other;
	atomic_bool is_mounted; /* the kernel can be notified */
	atomic_bool has_told_damage;
	struct filesystem *fs;
	Spawner *spawner;
	Gate *gate;
	Trusted *trusted;
	Service *service;
	Retention *retention;
	Schedule *schedule;
	Metrics *metrics;
	struct metrics_sources sources;
	Courier *courier;
	Alarms *alarms;
	const char *actions; /* NULL: the usual directory */
	Measures *measures;
};

static int prepare(void *state) {
	Parts *parts = state;
	const struct spawner_options options = {.lock_memory = process_must_lock()};
	const struct courier_options courier = {.actions = parts->actions};
	int rc = spawner_start(&options, &parts->spawner);
	return rc < 0 ? rc : courier_start(&courier, &parts->courier);
}

/* Who mounts gets one line, which says what to run; the log gets all. */
static void damaged(void *arg, const char *words) {
	Parts *parts = arg;
	if (atomic_load(&parts->is_mounted) || atomic_exchange(&parts->has_told_damage, true))
		log_message(MESSAGE_DAMAGE, "%s", words);
	else
		log_starting(MESSAGE_DAMAGE, words);
}

static void tune(void *state, struct store_options *options) {
	options->arrived = gate_recovered;
	options->notice = damaged;
	options->notice_arg = state;
}

/* Jobs may run before the mount is there; then the kernel has nothing to forget. */
static void changed(void *arg, uint64_t parent_ino, struct bytes name, uint64_t old_ino) {
	Parts *parts = arg;
	if (atomic_load(&parts->is_mounted))
		filesystem_changed(parts->fs, parent_ino, name, old_ino);
}

static void erased(void *arg, uint64_t parent_ino, struct bytes name, uint64_t ino) {
	Parts *parts = arg;
	if (atomic_load(&parts->is_mounted))
		filesystem_erased(parts->fs, parent_ino, name, ino);
}

static bool is_written(void *arg, uint64_t ino) {
	Parts *parts = arg;
	Inode *inode = inode_find(parts->fs->inodes, ino);
	if (!inode)
		return false;
	pthread_mutex_lock(&inode->lock);
	bool written = inode->writers > 0;
	pthread_mutex_unlock(&inode->lock);
	inode_put(parts->fs->inodes, inode);
	return written;
}

static int opened(void *state, struct filesystem *fs) {
	Parts *parts = state;
	const struct gate_options options = {.changed = changed,
	        .erased = erased,
	        .changed_arg = parts,
	        .is_written = is_written,
	        .mounter = fs->owner_uid};
	parts->fs = fs;
	if (spawner_spill_into(parts->spawner, fs->vault_path) < 0)
		log_message(MESSAGE_SPILL, "%s", fault_message());
	int rc = gate_start(fs->store, parts->spawner, &options, &parts->gate);
	if (rc == 0)
		rc = trusted_new(parts->gate, fs->store, &parts->trusted);
	if (rc < 0)
		return rc;
	trusted_attach(parts->trusted, fs->inodes);
	fs->gate = trusted_hooks(parts->trusted);
	return 0;
}

static void tell_retention(void *arg, struct retention_rules *ret) {
	Parts *parts = arg;
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(parts->gate);
	const struct policy_audit *audit = policy_audit(held->policy);
	*ret = (struct retention_rules){0};
	if (!audit)
		return;
	ret->archive_after_days = audit->archive_after_days;
	ret->keep_days = audit->keep_days;
	(void)snprintf(ret->ship, sizeof ret->ship, "%s", audit->ship ? audit->ship : "");
}

static int start_retention(Parts *parts, const struct filesystem *fs) {
	const struct retention_options options = {.store = fs->store, .rules = tell_retention, .arg = parts};
	return fs->read_only ? 0 : retention_start(&options, &parts->retention);
}

static void schedule_failed(void *arg, const char *words) {
	(void)arg;
	log_words("%s", words);
}

static int start_schedule(Parts *parts, const struct filesystem *fs) {
	struct schedule_options options = {.gate = parts->gate, .store = fs->store, .failed = schedule_failed};
	actor_of_daemon(&options.actor);
	if (fs->read_only)
		return 0;
	int rc = schedule_new(&options, &parts->schedule);
	return rc ? rc : schedule_start(parts->schedule);
}

static int start_metrics(Parts *parts, struct filesystem *fs) {
	int rc = metrics_new(&parts->metrics);
	if (rc < 0)
		return rc;
	parts->sources = (struct metrics_sources){.store = fs->store,
	        .gate = parts->gate,
	        .spawner = parts->spawner,
	        .operations = fs->operations,
	        .mounted_ns = meta_now(fs->meta)};
	fs->metrics = parts->metrics;
	return metrics_add_families(parts->metrics, &parts->sources);
}

static struct gate_policy *policy_in_force(void *arg) {
	const Parts *parts = arg;
	return gate_policy(parts->gate);
}

/* Nothing is measured yet, so each alarm sees that its data is missing. */
static int read_samples(void *arg, const char *name, const char *labels, int64_t from_s, int64_t to_s,
        unsigned period_s, sample_point_fn *each, void *each_arg) {
	(void)arg, (void)name, (void)labels, (void)from_s, (void)to_s, (void)period_s, (void)each, (void)each_arg;
	return 0;
}

static int start_alarms(Parts *parts, const struct filesystem *fs) {
	const struct alarms_options options = {.store = fs->store,
	        .courier = parts->courier,
	        .data = read_samples,
	        .data_arg = parts,
	        .policy = policy_in_force,
	        .policy_done = gate_policy_done,
	        .policy_arg = parts};
	return fs->read_only ? 0 : alarms_start(&options, &parts->alarms);
}

static int start(void *state, struct filesystem *fs) {
	Parts *parts = state;
	int rc = start_metrics(parts, fs);
	if (rc == 0)
		rc = start_alarms(parts, fs);
	if (rc == 0)
		rc = measures_new(fs->store, parts->gate, &parts->measures);
	if (rc < 0)
		return rc;
	const struct service_options options = {.store = fs->store,
	        .gate = parts->gate,
	        .spawner = parts->spawner,
	        .trusted = parts->trusted,
	        .metrics = parts->metrics,
	        .alarms = parts->alarms,
	        .costs = measures_costs(parts->measures),
	        .mounter = fs->owner_uid,
	        .others = parts->allow_other,
	        .read_only = fs->read_only};
	atomic_store(&parts->is_mounted, true);
	rc = service_start(&options, &parts->service);
	if (rc == 0)
		rc = start_retention(parts, fs);
	if (rc == 0)
		rc = start_schedule(parts, fs);
	if (rc == 0)
		rc = measures_start(parts->measures);
	if (rc == 0) {
		fs->status_arg = parts->service;
		fs->status = service_status_text;
	}
	return rc;
}

static void stop(void *state) {
	Parts *parts = state;
	atomic_store(&parts->is_mounted, false);
	metrics_forget(parts->metrics);
	service_stop(parts->service);
	schedule_stop(steal_pointer(&parts->schedule));
	retention_stop(steal_pointer(&parts->retention));
	measures_stop(steal_pointer(&parts->measures));
	alarms_stop(steal_pointer(&parts->alarms));
	if (parts->fs) {
		parts->fs->gate = &gate_closed;
		parts->fs->status = NULL;
		parts->fs->metrics = NULL;
	}
	trusted_freep(&parts->trusted);
	gate_stop(parts->gate);
	parts->gate = NULL;
}

static void end(void *state, int outcome, const char *words) {
	Parts *parts = state;
	spawner_stop(parts->spawner);
	parts->spawner = NULL;
	courier_stop(steal_pointer(&parts->courier));
	service_end(parts->service, outcome, words);
	parts->service = NULL;
	metrics_freep(&parts->metrics);
}

int parts_new(bool allow_other, Parts **ret_parts) {
	Parts *parts = calloc(1, sizeof *parts);
	if (!parts)
		return fault(ENOMEM, "mounting: out of memory");
	parts->allow_other = allow_other;
	*ret_parts = parts;
	return 0;
}

void parts_actions(Parts *parts, const char *directory) {
	parts->actions = directory;
}

struct mount_part parts_row(Parts *parts) {
	return (struct mount_part){.prepare = prepare,
	        .tune = tune,
	        .opened = opened,
	        .start = start,
	        .stop = stop,
	        .end = end,
	        .state = parts};
}

void parts_free(Parts *parts) {
	free(parts);
}
