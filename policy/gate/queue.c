/* queue: what brings jobs into being: arrivals, recovery, workflows, a new policy. */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Puts the job and, when it takes the place of a queued one, the record that says so. */
static int put_job(Meta *m, const struct job *job, const char *path, uint64_t *ret_id) {
	uint64_t superseded, version;
	int rc = job_put(m, job, ret_id, &superseded, &version);
	if (rc < 0 || superseded == 0)
		return rc;
	struct audit_event event = {
	        .event = "supersede",
	        .actor = {.uid = job->uid, .gid = job->gid, .pid = job->pid},
	        .path = path,
	        .node = job->node,
	        .version = version,
	        .detail = "a newer version arrived before this one was judged",
	};
	memcpy(event.actor.exe, job->exe, sizeof event.actor.exe);
	return audit_record(m, &event, NULL);
}

/* dataset NULL: none. */
static struct job job_for(const struct actor *actor, enum job_kind kind, const char *path, uint64_t node,
        uint64_t version, const struct policy_dataset *dataset) {
	struct job job = {
	        .kind = (uint8_t)kind,
	        .node = node,
	        .version = version,
	        .path = bytes_of_string(path),
	        .dataset = dataset ? dataset->name : NULL,
	        .uid = actor->uid,
	        .gid = actor->gid,
	        .pid = actor->pid,
	};
	memcpy(job.exe, actor->exe, sizeof job.exe);
	return job;
}

/* 1: a job was queued that is due before a thread looks at the queue by itself, so somebody is to be woken. Most settle
 * for longer; waking all threads for each of them cost a create 40 us of 350, as they look under the metadata's lock.
 */
static int arrived(const struct gate_policy *policy, Meta *m, const char *path, uint64_t node, uint64_t version,
        const struct actor *actor) {
	enum zone zone;
	const char *below = gate_below(path, &zone);
	if (!below || zone != ZONE_LANDING || version == 0)
		return 0;
	const struct policy_dataset *dataset = policy_dataset_for(policy->policy, below);
	if (!dataset || !policy_runs_on_arrival(policy->policy, dataset))
		return 0;
	struct job job = job_for(actor, JOB_ARRIVE, path, node, version, dataset);
	job.due_ns = meta_now(m) + (int64_t)dataset->settle_ms * 1000000;
	uint64_t id;
	int rc = put_job(m, &job, path, &id);
	return rc < 0 ? fault_while(rc, "queueing the check of %s", path) : dataset->settle_ms <= GATE_IDLE_MS;
}

int gate_arrived(Gate *gate, Meta *m, const char *path, uint64_t node, uint64_t version, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	int rc = arrived(policy, m, path, node, version, actor);
	if (rc > 0)
		gate_wake(gate);
	return rc < 0 ? rc : 0;
}

/* Names cost their maker nothing, and here a row each for every close: many are walked later, by a job that waits as
 * long as most arrivals settle and takes the place of the one before. */
static int put_names_job(Meta *m, uint64_t node, uint64_t version, const struct actor *actor) {
	char path[TREE_PATH_MAX], workflow[48];
	int rc = tree_path(m, node, path, sizeof path, NULL);
	if (rc == -ENOENT || rc == -ERANGE)
		return 0;
	snprintf(workflow, sizeof workflow, "names of node %" PRIu64, node);
	struct job job = job_for(actor, JOB_NAMES, path, node, version, NULL);
	job.workflow = workflow;
	job.due_ns = meta_now(m) + INT64_C(1000000000);
	uint64_t id;
	return fault_while(rc < 0 ? rc : put_job(m, &job, path, &id), "queueing the checks of %s", path);
}

/* Each dataset judges the file as what it is under its name. */
static int arrived_everywhere(
        const struct gate_policy *policy, Meta *m, uint64_t node, uint64_t version, const struct actor *actor) {
	struct tree_name at = {0};
	char path[TREE_PATH_MAX];
	struct node names;
	bool wakes = false;
	int rc = tree_get(m, node, &names);
	if (rc < 0 || names.nlink > GATE_NAMES_MAX)
		return rc < 0 ? rc : put_names_job(m, node, version, actor);
	while ((rc = tree_next_path(m, node, &at, path, sizeof path, NULL)) >= 0 || rc == -ERANGE) {
		if (rc == 0) /* longer than any path that a job could name: as if nothing governed it */
			rc = arrived(policy, m, path, node, version, actor);
		if (rc < 0 && rc != -ERANGE)
			return rc;
		wakes |= rc > 0;
	}
	return rc == -ENOENT ? wakes : rc;
}

int gate_arrived_everywhere(Gate *gate, Meta *m, uint64_t node, uint64_t version, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	int rc = arrived_everywhere(policy, m, node, version, actor);
	if (rc > 0)
		gate_wake(gate);
	return rc < 0 ? rc : 0;
}

/* Up to GATE_NAMES_MAX of them, in one operation. -ENOENT: there are no more. */
static int queue_some_names(
        Gate *gate, const struct gate_policy *policy, uint64_t node, struct tree_name *at, const struct actor *actor) {
	Meta *m = store_meta(gate->store);
	struct node now;
	char path[TREE_PATH_MAX];
	meta_begin(m);
	int rc = tree_get(m, node, &now);
	if (rc == -ESTALE)
		rc = -ENOENT; /* all names are gone, and the file with them */
	for (int i = 0; i < GATE_NAMES_MAX && (rc >= 0 || rc == -ERANGE); i++) {
		rc = tree_next_path(m, node, at, path, sizeof path, NULL);
		if (rc >= 0)
			rc = arrived(
			        policy, m, path, node, now.version, actor); /* by a thread that looks again itself */
	}
	bool is_last = rc == -ENOENT;
	rc = meta_end(m, is_last || rc == -ERANGE ? 0 : rc);
	return rc >= 0 && is_last ? -ENOENT : rc;
}

int queue_names(Gate *gate, uint64_t node, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	struct tree_name at = {0};
	int rc;
	do
		rc = queue_some_names(gate, policy, node, &at, actor);
	while (rc >= 0);
	return rc == -ENOENT ? 0 : rc;
}

int gate_arrived_directory(Gate *gate, Meta *m, const char *path, uint64_t node, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	if (policy_dataset_count(policy->policy) == 0)
		return 0;
	struct job job = job_for(actor, JOB_WALK, path, node, 0, NULL);
	job.due_ns = meta_now(m);
	uint64_t id;
	int rc = put_job(m, &job, path, &id);
	gate_wake(gate);
	return fault_while(rc, "queueing the files below %s", path);
}

int gate_recovered(Meta *m, const struct version *version, void *arg) {
	(void)arg;
	_cleanup_(gate_policy_donep) struct gate_policy *policy = NULL;
	int rc = gate_policy_load(m, &policy);
	struct actor actor = {.uid = version->uid, .gid = version->gid, .exe = "assayfs"};
	if (rc >= 0)
		rc = arrived_everywhere(policy, m, version->node, version->id, &actor);
	return rc < 0 ? rc : 0;
}

int queue_recheck(Meta *m, const struct policy_workflow *workflow, const struct actor *actor, const char *path,
        const struct node *node, const struct policy_dataset *dataset, uint64_t *ret_job) {
	bool from_landing = strcmp(workflow->from, zone_name(ZONE_LANDING)) == 0;
	struct job job =
	        job_for(actor, from_landing ? JOB_ARRIVE : JOB_RECHECK, path, node->id, node->version, dataset);
	job.workflow = workflow->name;
	job.due_ns = meta_now(m);
	return put_job(m, &job, path, ret_job);
}

/* ---- a walk that queues ---- */

struct queueing {
	Gate *gate;
	struct gate_policy *policy;
	const struct actor *actor;
};

void queue_anew_words(const struct gate_policy *policy, const struct policy_dataset *dataset,
        char ret_words[static QUEUE_ANEW_BYTES]) {
	for (size_t i = 0; i < policy_workflow_count(policy->policy); i++) {
		const struct policy_workflow *workflow = policy_workflow(policy->policy, i);
		if (strcmp(workflow->dataset, dataset->name) != 0 || strcmp(workflow->from, zone_name(ZONE_RAW)) != 0)
			continue;
		(void)snprintf(ret_words, QUEUE_ANEW_BYTES, "'assayfs run %.100s' publishes it anew", workflow->name);
		return;
	}
	(void)snprintf(ret_words, QUEUE_ANEW_BYTES, "copy the file, which Raw has, into Landing again");
}

/* ---- a directory's new name ---- */

static int queue_moved(void *arg, const char *path, const struct node *node) {
	struct queueing *q = arg;
	Meta *m = store_meta(q->gate->store);
	meta_begin(m);
	int rc = meta_end(m, arrived(q->policy, m, path, node->id, node->version, q->actor));
	return rc < 0 ? rc : 0;
}

int queue_below(Gate *gate, uint64_t directory, const char *path, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	struct queueing q = {.gate = gate, .policy = policy, .actor = actor};
	return gate_walk(gate->store, directory, path, queue_moved, &q);
}

/* ---- a new policy ---- */

/* What has not passed yet gets its chance under the new rules. */
static int queue_unpassed(void *arg, const char *path, const struct node *node) {
	struct queueing *q = arg;
	Meta *m = store_meta(q->gate->store);
	enum outcome outcome;
	meta_begin(m);
	int rc = gate_outcome(m, path, node, &outcome, NULL);
	if (rc >= 0 && outcome != OUTCOME_PASSED)
		rc = arrived(q->policy, m, path, node->id, node->version, q->actor);
	rc = meta_end(m, rc);
	return rc < 0 ? rc : 0;
}

static int check_steward(const Policy *policy, const struct policy_actor *stays) {
	if (!policy_has_roles(policy))
		return 0;
	if (!policy_role_is_given(policy, ROLE_STEWARD))
		return fault(EPERM,
		        "policy.yaml: roles name no steward, so nobody could change the policy again; name at least "
		        "one user or group under roles.steward");
	if (stays && !policy_role_holds(policy, ROLE_STEWARD, stays))
		return fault(EPERM,
		        "policy.yaml: under these roles you would not be a steward any more, and could not take it "
		        "back; name yourself or your group under roles.steward, or say --hand-over");
	return 0;
}

static int store_policy(Gate *gate, const PolicyBundle *bundle, const Policy *policy, const struct actor *actor,
        const char *actor_name, uint64_t *ret_number) {
	_cleanup_(freep) uint8_t *archive = NULL;
	size_t size;
	int rc = policy_bundle_serialise(bundle, &archive, &size);
	if (rc < 0)
		return rc;
	Meta *m = store_meta(gate->store);
	struct policy_row row = {
	        .uid = actor->uid, .actor = bytes_of_string(actor_name), .bundle = bytes_of(archive, size)};
	memcpy(row.sha256, policy_sha256(policy), sizeof row.sha256);
	meta_begin(m);
	row.time_ns = meta_now(m);
	rc = policy_put(m, &row, ret_number);
	if (rc >= 0) {
		char detail[64];
		snprintf(detail, sizeof detail, "policy %" PRIu64, *ret_number);
		struct audit_event event = {.event = "policy-apply", .actor = *actor, .detail = detail};
		rc = audit_record(m, &event, NULL);
	}
	return meta_end(m, rc);
}

/* One at a time: the policy stored last is the one that is in force. */
static int apply(Gate *gate, struct bytes archive, const struct actor *actor, const char *actor_name,
        const struct policy_actor *stays_steward, uint64_t *ret_number, bool *ret_changed) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	_cleanup_(policy_freep) Policy *asked = NULL;
	_cleanup_(policy_freep) Policy *policy = NULL;
	_cleanup_(freep) bool *new_keys = NULL;
	_cleanup_(gate_policy_donep) struct gate_policy *former = gate_policy(gate);
	int rc = policy_bundle_parse(archive, &bundle);
	if (rc >= 0)
		rc = policy_parse(bundle, &asked);
	if (rc >= 0)
		rc = policy_check_rules(asked);
	if (rc >= 0)
		rc = policy_lint_rules(asked);
	if (rc >= 0)
		rc = policy_resolve_roles(asked, bundle);
	if (rc >= 0)
		rc = policy_parse(bundle, &policy);
	if (rc >= 0)
		rc = check_steward(policy, stays_steward);
	if (rc < 0)
		return rc;
	*ret_changed = former->number == 0 || memcmp(policy_sha256(policy), policy_sha256(former->policy), 32) != 0;
	*ret_number = former->number;
	if (!*ret_changed)
		return 0;
	/* Durable before the policy is: it names no key that there is not. */
	rc = gate_make_keys(gate, policy, actor, &new_keys);
	if (rc < 0)
		return rc;
	rc = store_policy(gate, bundle, policy, actor, actor_name, ret_number);
	struct gate_policy *fresh = NULL;
	if (rc >= 0)
		rc = gate_policy_wrap(policy, *ret_number, &fresh);
	if (rc < 0)
		return fault_while(rc, "storing the policy");
	bool names_roles_now = policy_has_roles(policy) && !policy_has_roles(former->policy);
	static const enum zone kept[] = {ZONE_LANDING, ZONE_RAW, ZONE_TRUSTED};
	policy = NULL;
	fresh->new_keys = steal_pointer(&new_keys);
	gate_policy_install(gate, fresh);
	/* What the kernel keeps of it, it keeps for who has no role, too. */
	for (size_t i = 0; names_roles_now && gate->options.changed && i < sizeof kept / sizeof kept[0]; i++)
		gate->options.changed(gate->options.changed_arg, NODE_ROOT, bytes_of_string(zone_name(kept[i])), 0);
	struct gate_policy *held = gate_policy(gate);
	struct queueing q = {.gate = gate, .policy = held, .actor = actor};
	rc = gate_walk(gate->store, NODE_LANDING, zone_name(ZONE_LANDING), queue_unpassed, &q);
	gate_policy_done(held);
	gate_wake(gate);
	return rc;
}

int gate_apply(Gate *gate, struct bytes archive, const struct actor *actor, const char *actor_name,
        const struct policy_actor *stays_steward, uint64_t *ret_number, bool *ret_changed) {
	pthread_mutex_lock(&gate->applying);
	int rc = apply(gate, archive, actor, actor_name, stays_steward, ret_number, ret_changed);
	pthread_mutex_unlock(&gate->applying);
	return rc;
}
