/*
 * run: a workflow's run from its row to its end.
 *
 *      gate_run, schedule.c ─► row (queued) ─ walk: a job and its count in one operation ─► running
 *                                                                                              │
 *            a job's end counts in the operation that ends it (backend/run.h) ── the last ──► run_settle: how it ended,
 *                                                                          the record, the next attempt: one operation
 *
 * A crash while jobs are queued: the next mount takes those back and queues anew. Later: jobs and counts go on.
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)

/* ---- records ---- */

static int record_run(
        Meta *m, const struct run *run, const struct actor *actor, const char *outcome, const char *what) {
	char detail[AUDIT_DETAIL_MAX];
	(void)snprintf(detail, sizeof detail, "%s: run %" PRIu64 " %s", run->workflow, run->id, what);
	struct audit_event event = {.event = "run", .actor = *actor, .outcome = outcome, .detail = detail};
	return audit_record(m, &event, NULL);
}

static int record_begin(Meta *m, const struct run *run, const struct actor *actor) {
	char what[RUN_WORDS_MAX + 80];
	(void)snprintf(what, sizeof what, "begins (%s%s%s)", run_cause_word(run->cause), run->words[0] ? "; " : "",
	        run->words);
	return record_run(m, run, actor, "ok", what);
}

int run_record_end(Meta *m, const struct run *run, const struct actor *actor) {
	char what[RUN_WORDS_MAX + 200];
	const char *outcome = run->state == RUN_SUCCEEDED ? "ok" : "error";
	if (run->started_ns == 0)
		(void)snprintf(what, sizeof what, "%s: %s", run_state_word(run->state), run->words);
	else
		(void)snprintf(what, sizeof what,
		        "%s: %" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " could not be checked, %" PRIu64
		        " left out, in %" PRId64 " s%s%s",
		        run_state_word(run->state), run->passed, run->failed, run->errors, run->skipped,
		        (run->ended_ns - run->started_ns) / SECOND_NS, run->words[0] ? "; " : "", run->words);
	return record_run(m, run, actor, outcome, what);
}

/* ---- the end ---- */

/* The next attempt is a row in the operation that ends this one. */
static int put_retry(
        Meta *m, const struct policy_workflow *workflow, const struct run *run, char ret_words[static RUN_WORDS_MAX]) {
	bool may_again = workflow && run->cause != RUN_BY_HAND && run->attempt <= workflow->retries;
	ret_words[0] = '\0';
	if (!may_again)
		return 0;
	struct run next = {.cause = RUN_RETRY,
	        .attempt = run->attempt + 1,
	        .due_ns = meta_now(m) + workflow->retry_after_s * SECOND_NS,
	        .uid = run->uid};
	(void)snprintf(next.workflow, sizeof next.workflow, "%s", run->workflow);
	(void)snprintf(next.words, sizeof next.words, "attempt %" PRIu32 " of %u, as run %" PRIu64 " did not succeed",
	        next.attempt, workflow->retries + 1, run->id);
	int rc = run_put(m, &next, &next.id);
	if (rc >= 0)
		rc = run_retried(m, run->id, next.id);
	(void)snprintf(ret_words, RUN_WORDS_MAX, "; tried again as run %" PRIu64, next.id);
	return rc;
}

int run_close(Meta *m, const Policy *policy, struct run *run, enum run_state state, const char *words,
        const struct actor *actor) {
	char all[3 * RUN_WORDS_MAX], again[RUN_WORDS_MAX];
	int rc = run_withdraw_jobs(m, run->id);
	again[0] = '\0';
	if (rc >= 0 && (state == RUN_FAILED || state == RUN_TIMED_OUT))
		rc = put_retry(m, policy_workflow_named(policy, run->workflow), run, again);
	bool joins = run->words[0] && *words;
	(void)snprintf(all, sizeof all, "%s%s%s%s", run->words, joins ? "; " : "", words, again);
	if (rc >= 0)
		rc = run_end(m, run->id, state, all);
	if (rc >= 0)
		rc = run_get(m, run->id, run);
	return rc < 0 ? rc : run_record_end(m, run, actor);
}

int run_settle(Meta *m, const Policy *policy, struct run *run, const struct actor *actor) {
	char words[120] = "";
	if (run->state != RUN_RUNNING || !run_is_done(run))
		return 0;
	if (run->errors > 0)
		(void)snprintf(words, sizeof words, "%" PRIu64 " of %" PRIu64 " files could not be checked",
		        run->errors, run->total);
	int rc = run_close(m, policy, run, run->errors > 0 ? RUN_FAILED : RUN_SUCCEEDED, words, actor);
	return rc < 0 ? rc : 1;
}

void gate_run_noted(Gate *gate, uint64_t job, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	Meta *m = store_meta(gate->store);
	struct run run;
	uint64_t id = 0;
	meta_begin(m);
	int rc = run_of_job(m, job, &id);
	if (rc >= 0 && id != 0)
		rc = run_get(m, id, &run);
	if (rc >= 0 && id != 0)
		rc = run_settle(m, policy->policy, &run, actor);
	rc = meta_end(m, rc == -ENOENT ? 0 : rc);
	if (rc > 0)
		gate_wake_schedule(gate);
}

/* ---- the walk ---- */

struct queueing {
	Gate *gate;
	struct gate_policy *policy;
	const struct policy_workflow *workflow;
	const struct actor *actor;
	uint64_t run;
};

static int queue_file(void *arg, const char *path, const struct node *node) {
	struct queueing *q = arg;
	const char *below = gate_below(path, NULL);
	const struct policy_dataset *dataset = below ? policy_dataset_for(q->policy->policy, below) : NULL;
	if (!dataset || strcmp(dataset->name, q->workflow->dataset) != 0 || node->version == 0)
		return 0;
	if (gate_is_stopping(q->gate))
		return fault(ECANCELED, "the mount ends");
	Meta *m = store_meta(q->gate->store);
	uint64_t job = 0;
	meta_begin(m);
	int rc = queue_recheck(m, q->workflow, q->actor, path, node, dataset, &job);
	if (rc >= 0)
		rc = run_add_job(m, q->run, job);
	return meta_end(m, rc);
}

static int queue_all(struct queueing *q) {
	bool from_landing = strcmp(q->workflow->from, zone_name(ZONE_LANDING)) == 0;
	return gate_walk(q->gate->store, from_landing ? NODE_LANDING : NODE_RAW, q->workflow->from, queue_file, q);
}

/* Those that were queued are taken back with the run's end. */
static int give_up(Gate *gate, const Policy *policy, struct run *run, const struct actor *actor, int trouble) {
	char words[RUN_WORDS_MAX + 1];
	(void)snprintf(words, sizeof words, "its files could not be queued: %.400s", fault_message());
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	int rc = run_close(m, policy, run, RUN_FAILED, words, actor);
	rc = meta_end(m, rc);
	return rc < 0 ? rc : fault(-trouble, "%s", words);
}

int run_carry_out(Gate *gate, struct gate_policy *policy, const struct policy_workflow *workflow, struct run *run,
        const struct actor *actor) {
	struct queueing q = {.gate = gate, .policy = policy, .workflow = workflow, .actor = actor, .run = run->id};
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	int rc = run->started_ns != 0 ? run_again(m, run->id) : record_begin(m, run, actor);
	if (rc >= 0)
		rc = run_begin(m, run->id);
	rc = meta_end(m, rc);
	if (rc >= 0)
		rc = queue_all(&q);
	if (rc == -ECANCELED) /* the next mount begins it again */
		return rc;
	if (rc < 0)
		return give_up(gate, policy->policy, run, actor, rc);
	meta_begin(m);
	rc = run_queued_all(m, run->id);
	if (rc >= 0)
		rc = run_get(m, run->id, run);
	if (rc >= 0)
		rc = run_settle(m, policy->policy, run, actor);
	rc = meta_end(m, rc);
	gate_wake(gate);
	gate_wake_schedule(gate);
	return rc < 0 ? rc : 0;
}

/* ---- by hand ---- */

static int no_such_workflow(const Policy *policy, const char *name) {
	char names[512] = "";
	for (size_t i = 0, used = 0; i < policy_workflow_count(policy) && used < sizeof names; i++)
		used += (size_t)snprintf(
		        names + used, sizeof names - used, "%s%s", i ? ", " : "", policy_workflow(policy, i)->name);
	return fault(ENOENT, "no workflow is called %s; the policy has: %s", name, names[0] ? names : "none");
}

int run_refuse_second(Meta *m, const Policy *policy, const char *workflow, const struct actor *actor) {
	struct run open;
	int rc = run_find_open(m, workflow, &open);
	if (rc >= 0)
		rc = run_settle(m, policy, &open, actor);
	if (rc == 1)
		rc = run_find_open(m, workflow, &open);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (open.state == RUN_QUEUED && open.cause == RUN_RETRY && open.started_ns == 0)
		return run_end(m, open.id, RUN_SKIPPED, "another run came first");
	return fault(EBUSY, "run %" PRIu64 " of %s is still going; 'assayfs runs %s' tells how far it is", open.id,
	        workflow, workflow);
}

int gate_run(Gate *gate, const char *workflow, const struct actor *actor, struct run *ret_run) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	const struct policy_workflow *asked = policy_workflow_named(policy->policy, workflow);
	struct run run = {.cause = RUN_BY_HAND, .attempt = 1, .uid = actor->uid};
	if (!asked)
		return no_such_workflow(policy->policy, workflow);
	(void)snprintf(run.workflow, sizeof run.workflow, "%s", workflow);
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	run.due_ns = meta_now(m);
	int rc = run_refuse_second(m, policy->policy, workflow, actor);
	if (rc >= 0)
		rc = run_put(m, &run, &run.id);
	rc = meta_end(m, rc);
	if (rc >= 0)
		rc = run_carry_out(gate, policy, asked, &run, actor);
	if (rc >= 0)
		*ret_run = run;
	return rc;
}
