#include "policy/gate/internal.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

/* ---- the policy in force ---- */

int gate_policy_wrap(Policy *policy, uint64_t number, struct gate_policy **ret) {
	struct gate_policy *wrapped = malloc(sizeof *wrapped);
	if (!wrapped)
		return fault(ENOMEM, "reading the policy");
	wrapped->policy = policy;
	wrapped->number = number;
	wrapped->new_keys = NULL;
	atomic_init(&wrapped->users, 1);
	*ret = wrapped;
	return 0;
}

struct gate_policy *gate_policy(Gate *gate) {
	pthread_mutex_lock(&gate->lock);
	struct gate_policy *policy = gate->in_force;
	atomic_fetch_add(&policy->users, 1);
	pthread_mutex_unlock(&gate->lock);
	return policy;
}

void gate_policy_done(struct gate_policy *policy) {
	if (atomic_fetch_sub(&policy->users, 1) != 1)
		return;
	policy_free(policy->policy);
	free(policy->new_keys);
	free(policy);
}

/* A policy that comes later takes no row away: what was counted stays. */
static void know_datasets(Gate *gate, const Policy *policy) {
	for (size_t i = 0; i < policy_dataset_count(policy); i++)
		gate_stats_know(gate->stats, policy_dataset(policy, i)->name);
}

void gate_policy_install(Gate *gate, struct gate_policy *policy) {
	know_datasets(gate, policy->policy);
	pthread_mutex_lock(&gate->lock);
	struct gate_policy *former = gate->in_force;
	gate->in_force = policy;
	pthread_cond_broadcast(&gate->wake);
	pthread_mutex_unlock(&gate->lock);
	if (former)
		gate_policy_done(former);
	gate_wake_schedule(gate);
}

struct stored_policy {
	uint64_t number;
	uint8_t *archive;
	size_t size;
};

static int copy_stored(void *arg, const struct policy_row *row) {
	struct stored_policy *stored = arg;
	stored->number = row->number;
	stored->size = row->bundle.size;
	stored->archive = malloc(row->bundle.size ? row->bundle.size : 1);
	if (!stored->archive)
		return fault(ENOMEM, "reading the policy");
	memcpy(stored->archive, row->bundle.data, row->bundle.size);
	return 0;
}

static int parse_archive(struct bytes archive, Policy **ret_policy) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	int rc = policy_bundle_parse(archive, &bundle);
	return rc < 0 ? rc : policy_parse(bundle, ret_policy);
}

int gate_policy_of_archive(struct bytes archive, struct gate_policy **ret) {
	Policy *policy = NULL;
	int rc = parse_archive(archive, &policy);
	if (rc >= 0)
		rc = policy_check_rules(policy);
	if (rc >= 0)
		rc = gate_policy_wrap(policy, 0, ret);
	if (rc < 0)
		policy_free(policy);
	return rc;
}

int gate_policy_load(Meta *m, struct gate_policy **ret) {
	struct stored_policy stored = {0};
	Policy *policy = NULL;
	int rc = policy_current(m, copy_stored, &stored);
	if (rc == -ENOENT)
		rc = policy_empty(&policy);
	else if (rc >= 0)
		rc = parse_archive(bytes_of(stored.archive, stored.size), &policy);
	free(stored.archive);
	if (rc >= 0)
		rc = gate_policy_wrap(policy, stored.number, ret);
	if (rc < 0)
		policy_free(policy);
	return fault_while(rc, "reading the vault's policy");
}

/* ---- the threads that run jobs ---- */

/* `for_long`: the last look at the queue failed or found what must wait for others, and the next would at once as well.
 */
static struct timespec wait_until(Gate *gate, bool for_long) {
	Meta *m = store_meta(gate->store);
	int64_t due = 0, wait_ns = GATE_IDLE_MS * INT64_C(1000000);
	meta_begin(m);
	int rc = meta_end(m, job_next_due(m, 0, &due));
	if (rc >= 0 && !for_long) {
		int64_t left = due - meta_now(m);
		if (left < wait_ns)
			wait_ns = left > 1000000 ? left : 1000000;
	}
	return deadline_after_ns(wait_ns);
}

bool gate_is_stopping(Gate *gate) {
	pthread_mutex_lock(&gate->lock);
	bool stopping = gate->stopping;
	pthread_mutex_unlock(&gate->lock);
	return stopping;
}

/* Now and then, and a part at a time, so that nobody waits for it; sooner again while there is more. */
static void prune_jobs(Gate *gate) {
	enum { PART = 1000 };
	Meta *m = store_meta(gate->store);
	int64_t now = meta_now(m);
	uint64_t count = 0;
	pthread_mutex_lock(&gate->lock);
	bool is_due = now >= gate->next_prune_ns || now < gate->next_prune_ns - INT64_C(60000000000);
	if (is_due)
		gate->next_prune_ns = now + INT64_C(60000000000);
	pthread_mutex_unlock(&gate->lock);
	if (!is_due)
		return;
	meta_begin(m);
	int rc = meta_end(m, job_prune(m, now - GATE_KEEP_JOBS_NS, GATE_KEEP_JOBS, PART, &count));
	if (rc < 0 || count < PART)
		return;
	pthread_mutex_lock(&gate->lock);
	gate->next_prune_ns = now + INT64_C(1000000000);
	pthread_mutex_unlock(&gate->lock);
}

static void *serve_jobs(void *arg) {
	Gate *gate = arg;
	while (!gate_is_stopping(gate)) {
		bool held_back = false;
		prune_jobs(gate);
		int rc = gate_run_due_job(gate, &held_back);
		if (rc > 0)
			continue;
		struct timespec until = wait_until(gate, rc < 0 || held_back);
		pthread_mutex_lock(&gate->lock);
		if (!gate->stopping)
			pthread_cond_timedwait(&gate->wake, &gate->lock, &until);
		pthread_mutex_unlock(&gate->lock);
	}
	return NULL;
}

void gate_wake(Gate *gate) {
	pthread_mutex_lock(&gate->lock);
	pthread_cond_broadcast(&gate->wake);
	pthread_mutex_unlock(&gate->lock);
}

int gate_keys_back(Gate *gate) {
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	int rc = meta_end(m, job_hurry(m));
	gate_wake(gate);
	return fault_while(rc, "taking up what waited for a key");
}

void gate_wake_schedule(Gate *gate) {
	pthread_mutex_lock(&gate->lock);
	if (gate->schedule_fd >= 0)
		(void)eventfd_write(gate->schedule_fd, 1);
	pthread_mutex_unlock(&gate->lock);
}

int gate_wait_idle(Gate *gate, unsigned seconds) {
	Meta *m = store_meta(gate->store);
	for (unsigned turn = 0; turn < seconds * 50 + 1; turn++) {
		uint64_t queued, running;
		meta_begin(m);
		int rc = meta_end(m, job_counts(m, &queued, &running));
		if (rc < 0)
			return rc;
		if (queued + running == 0)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	}
	return fault(ETIME, "jobs are still queued after %u s", seconds);
}

/* ---- start and stop ---- */

GateStats *gate_stats(Gate *gate) {
	return gate->stats;
}

static int init_locks(Gate *gate) {
	pthread_condattr_t attributes;
	int err = pthread_mutex_init(&gate->lock, NULL);
	if (err)
		return -err;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	err = pthread_cond_init(&gate->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (err)
		pthread_mutex_destroy(&gate->lock);
	else
		pthread_mutex_init(&gate->applying, NULL);
	return -err;
}

static int start_threads(Gate *gate) {
	for (; gate->thread_count < gate->thread_limit; gate->thread_count++) {
		int err = pthread_create(&gate->threads[gate->thread_count], NULL, serve_jobs, gate);
		if (err)
			return fault_errno(err, "starting a thread of the gate");
	}
	return 0;
}

int gate_start(Store *store, Spawner *spawner, const struct gate_options *options, Gate **ret_gate) {
	_cleanup_(freep) Gate *gate = calloc(1, sizeof *gate);
	if (!gate)
		return fault(ENOMEM, "starting the gate");
	gate->store = store;
	gate->spawner = spawner;
	if (options)
		gate->options = *options;
	gate->last_uid = -1;
	gate->schedule_fd = -1;
	gate->thread_limit = gate->options.threads ? gate->options.threads : GATE_THREADS_DEFAULT;
	if (gate->thread_limit > GATE_THREADS_MAX)
		gate->thread_limit = GATE_THREADS_MAX;
	struct store_info info;
	store_info(store, &info);
	memcpy(gate->vault_id, info.vault_id, sizeof gate->vault_id);
	int rc = init_locks(gate);
	if (rc < 0)
		return fault(-rc, "starting the gate");
	rc = gate_stats_new(&gate->stats);
	Meta *m = store_meta(store);
	meta_begin(m);
	if (rc >= 0)
		rc = gate_policy_load(m, &gate->in_force);
	if (rc >= 0)
		rc = grants_load(m, &gate->grants);
	rc = meta_end(m, rc);
	if (rc >= 0)
		know_datasets(gate, gate->in_force->policy);
	if (rc >= 0)
		store_set_key_chooser(store, gate_choose_key, gate);
	if (rc >= 0 && !info.read_only) {
		meta_begin(m);
		rc = meta_end(m, job_prepare_turns(m));
	}
	if (rc >= 0 && !info.read_only)
		rc = staged_recover(gate);
	if (rc >= 0 && !info.read_only)
		rc = start_threads(gate);
	if (rc < 0) {
		gate_stop(steal_pointer(&gate));
		return rc;
	}
	*ret_gate = steal_pointer(&gate);
	return 0;
}

void gate_stop(Gate *gate) {
	if (!gate)
		return;
	pthread_mutex_lock(&gate->lock);
	gate->stopping = true;
	pthread_cond_broadcast(&gate->wake);
	pthread_mutex_unlock(&gate->lock);
	for (unsigned i = 0; i < gate->thread_count; i++)
		pthread_join(gate->threads[i], NULL);
	store_set_key_chooser(gate->store, NULL, NULL);
	if (gate->in_force)
		gate_policy_done(gate->in_force);
	grants_free(gate->grants);
	gate_stats_free(gate->stats);
	pthread_cond_destroy(&gate->wake);
	pthread_mutex_destroy(&gate->applying);
	pthread_mutex_destroy(&gate->lock);
	free(gate);
}
