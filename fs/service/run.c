/* What `assayfs run` and `runs` ask: a workflow run by hand and followed to its end, and the history of runs. */
#include "fs/service/internal.h"

#include "backend/job.h"
#include "backend/record.h"
#include "backend/run.h"
#include "crypto/base/fault.h"
#include "policy/gate/schedule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 100
#define SECOND_NS INT64_C(1000000000)
#define RUNS_MOST 1000 /* of one answer: as many as are kept of a workflow */

/* ---- as JSON ---- */

/* By the clocks of the workflow's place; null for a time that never was. */
static json_t *time_json(const TimeZone *zone, int64_t time_ns) {
	char text[TIME_ZONE_TEXT_BYTES];
	return time_ns == 0 ? json_null() : json_string(time_zone_text(zone, time_ns / SECOND_NS, text));
}

static json_t *run_json(const struct run *run, const TimeZone *zone) {
	int64_t took_ns = run->started_ns && run->ended_ns ? run->ended_ns - run->started_ns : 0;
	json_t *item = json_pack(
	        "{s:I, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:f, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:s+}", "run",
	        (json_int_t)run->id, "workflow", run->workflow, "cause", run_cause_word(run->cause), "state",
	        run_state_word(run->state), "attempt", (json_int_t)run->attempt, "due", time_json(zone, run->due_ns),
	        "started", time_json(zone, run->started_ns), "ended", time_json(zone, run->ended_ns), "seconds",
	        (double)took_ns / 1e9, "uid", (json_int_t)run->uid, "counts", "total", (json_int_t)run->total, "passed",
	        (json_int_t)run->passed, "failed", (json_int_t)run->failed, "errors", (json_int_t)run->errors,
	        "skipped", (json_int_t)run->skipped, "reason", run->words, "");
	if (item && run->retried_by)
		json_object_set_new(item, "retried_by", json_integer((json_int_t)run->retried_by));
	return item;
}

/* UTC where a workflow has no place, or is gone. */
static const TimeZone *zone_of(const Policy *policy, const char *workflow, const TimeZone *utc) {
	const struct policy_workflow *found = policy_workflow_named(policy, workflow);
	return found && found->zone ? found->zone : utc;
}

static const char *trigger_word(enum policy_trigger on) {
	switch (on) {
	case POLICY_ON_CLOSE:
		return "close";
	case POLICY_ON_CRON:
		return "cron";
	case POLICY_ON_DEMAND:
		return "demand";
	case POLICY_ON_AFTER:
		break;
	}
	return "after";
}

static json_t *after_json(const struct policy_workflow *workflow) {
	json_t *list = json_array();
	for (size_t i = 0; i < workflow->after_count; i++)
		json_array_append_new(list, json_string(workflow->after[i]));
	return list;
}

static int take_newest(void *arg, const struct run *run) {
	*(struct run *)arg = *run;
	return 1;
}

static int workflow_json(
        Service *service, const struct policy_workflow *workflow, const TimeZone *utc, json_t **ret_item) {
	struct run last = {0};
	struct run_facts facts = {0};
	const TimeZone *zone = workflow->zone ? workflow->zone : utc;
	int64_t next_s = 0;
	meta_begin(service->meta);
	int rc = run_list(service->meta, workflow->name, 0, take_newest, &last);
	if (!rc)
		rc = run_facts(service->meta, workflow->name, 0, &facts);
	rc = meta_end(service->meta, rc);
	if (rc < 0)
		return rc;
	bool has_next = schedule_next(workflow, meta_now(service->meta) / SECOND_NS, &next_s) == 0;
	json_t *item = json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o}", "name", workflow->name, "dataset",
	        workflow->dataset, "from", workflow->from, "on", trigger_word(workflow->on), "enabled",
	        workflow->is_enabled, "next", has_next ? time_json(zone, next_s * SECOND_NS) : json_null(), "last",
	        last.id ? run_json(&last, zone) : json_null(), "last_success", time_json(zone, facts.last_success_ns));
	if (item && workflow->cron)
		json_object_update_new(
		        item, json_pack("{s:s, s:s}", "cron", workflow->cron, "timezone", workflow->timezone));
	if (item && workflow->after_count)
		json_object_set_new(item, "after", after_json(workflow));
	*ret_item = item;
	return item ? 0 : fault(ENOMEM, "listing workflows: out of memory");
}

int service_workflows_json(Service *service, const Policy *policy, const char *only, json_t **ret_list) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	_cleanup_(time_zone_freep) TimeZone *utc = NULL;
	int rc = list ? time_zone_open("UTC", &utc) : fault(ENOMEM, "listing workflows: out of memory");
	for (size_t i = 0; !rc && i < policy_workflow_count(policy); i++) {
		json_t *item = NULL;
		if (only && strcmp(policy_workflow(policy, i)->name, only) != 0)
			continue;
		rc = workflow_json(service, policy_workflow(policy, i), utc, &item);
		if (!rc && json_array_append_new(list, item))
			rc = fault(ENOMEM, "listing workflows: out of memory");
	}
	if (!rc)
		*ret_list = steal_pointer(&list);
	return rc;
}

/* ---- runs ---- */

struct listing {
	json_t *list;
	const Policy *policy;
	const TimeZone *utc;
	size_t most;
};

static int take_run(void *arg, const struct run *run) {
	struct listing *listing = arg;
	json_t *item = run_json(run, zone_of(listing->policy, run->workflow, listing->utc));
	if (json_array_append_new(listing->list, item))
		return fault(ENOMEM, "listing runs: out of memory");
	return json_array_size(listing->list) >= listing->most;
}

/* Names of workflows are told to whom the files' names are, or the log. */
static int may_list(Service *service, const struct control_peer *peer) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	if (service_permits(service, held->policy, peer, PLACE_LANDING, POLICY_READ) ||
	        service_permits(service, held->policy, peer, PLACE_AUDIT, POLICY_READ))
		return 0;
	return service_require(service, peer, PLACE_POLICY, POLICY_READ, "runs", NULL);
}

static int list_runs(Service *service, const Policy *policy, const char *workflow, size_t most, json_t **ret_list) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	_cleanup_(time_zone_freep) TimeZone *utc = NULL;
	int rc = list ? time_zone_open("UTC", &utc) : fault(ENOMEM, "listing runs: out of memory");
	struct listing listing = {.list = list, .policy = policy, .utc = utc, .most = most};
	if (rc < 0)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, run_list(service->meta, workflow, 0, take_run, &listing));
	if (!rc)
		*ret_list = steal_pointer(&list);
	return rc;
}

/* {"workflow": NAME, "limit": N}, both as one likes → one item {"workflows": […], "runs": […]}, the newest first. */
int service_runs(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	_cleanup_(json_decrefp) json_t *workflows = NULL;
	_cleanup_(json_decrefp) json_t *runs = NULL;
	const char *workflow = json_string_value(json_object_get(arguments, "workflow"));
	json_int_t limit = json_integer_value(json_object_get(arguments, "limit"));
	size_t most = limit > 0 && limit < RUNS_MOST ? (size_t)limit : RUNS_MOST;
	int rc = may_list(service, peer);
	if (!rc)
		rc = service_workflows_json(service, held->policy, workflow, &workflows);
	if (!rc)
		rc = list_runs(service, held->policy, workflow, most, &runs);
	if (!rc && workflow && json_array_size(workflows) == 0 && json_array_size(runs) == 0)
		rc = fault(ENOENT, "no workflow is called %.100s, and none ever ran under that name", workflow);
	return rc ? rc : control_send(reply, json_pack("{s:O, s:O}", "workflows", workflows, "runs", runs));
}

/* ---- run ---- */

struct running {
	struct run run;
	uint64_t job; /* that is followed */
	uint64_t done;
};

/* How a job stands. */
struct standing {
	bool is_ended, is_superseded;
	uint64_t verdict;
	char path[WIRE_PATH_MAX];
	enum outcome outcome;
	char reason[1024];
};

static int take_standing(void *arg, const struct job *job) {
	struct standing *standing = arg;
	standing->is_ended = job->state == JOB_DONE || job->state == JOB_SUPERSEDED;
	standing->is_superseded = job->state == JOB_SUPERSEDED;
	standing->verdict = job->verdict;
	size_t size = job->path.size < sizeof standing->path ? job->path.size : sizeof standing->path - 1;
	if (size)
		memcpy(standing->path, job->path.data, size);
	standing->path[size] = '\0';
	return 0;
}

static int take_verdict(void *arg, const struct verdict_row *row) {
	struct standing *standing = arg;
	_cleanup_(json_decrefp) json_t *body = json_loadb((const char *)row->body.data, row->body.size, 0, NULL);
	const char *reason = json_string_value(json_object_get(json_object_get(body, "check"), "reason"));
	standing->outcome = (enum outcome)row->outcome;
	snprintf(standing->reason, sizeof standing->reason, "%s", reason ? reason : "");
	return 0;
}

static int take_job(void *arg, uint64_t job) {
	((struct running *)arg)->job = job;
	return 1;
}

/* The run's next job, in an operation: *ret_standing of it. -ENOENT: there are no more. */
static int look_at_next(Service *service, struct running *running, struct standing *standing) {
	const uint64_t after = running->job;
	meta_begin(service->meta);
	int rc = run_jobs(service->meta, running->run.id, after, take_job, running);
	if (!rc && running->job == after)
		rc = -ENOENT;
	else if (!rc)
		rc = job_get(service->meta, running->job, take_standing, standing);
	if (rc == -ENOENT && running->job != after) { /* pruned: it has ended long ago */
		standing->is_ended = true;
		rc = 0;
	}
	if (!rc && standing->is_ended && standing->verdict)
		rc = verdict_get(service->meta, standing->verdict, take_verdict, standing);
	rc = meta_end(service->meta, rc);
	if (!rc && !standing->is_ended)
		running->job = after; /* again, later */
	return rc;
}

static int report(const struct running *running, const struct standing *standing, ControlReply *reply) {
	bool is_judged = standing->verdict != 0;
	const char *reason = standing->is_superseded ? "it was taken back, or a newer version is checked instead"
	                     : !is_judged            ? "it was not checked: the file is gone or unchanged"
	                                             : standing->reason;
	return control_send(reply, json_pack("{s:o, s:s, s:s, s:I, s:I}", "path", wire_path(standing->path), "outcome",
	                                   is_judged ? outcome_word(standing->outcome) : "none", "reason", reason,
	                                   "done", (json_int_t)running->done, "total", (json_int_t)running->run.total));
}

static int follow_jobs(Service *service, struct running *running, ControlReply *reply) {
	_cleanup_(freep) struct standing *standing = malloc(sizeof *standing);
	int rc = standing ? 0 : fault(ENOMEM, "running a workflow: out of memory");
	while (!rc) {
		*standing = (struct standing){.outcome = OUTCOME_ERROR};
		rc = look_at_next(service, running, standing);
		if (!rc && standing->is_ended) {
			running->done++;
			rc = report(running, standing, reply);
		} else if (!rc) {
			rc = control_wait(reply, LOOK_MS);
		}
	}
	return rc == -ENOENT ? 0 : rc;
}

static int read_run(Service *service, struct run *run) {
	meta_begin(service->meta);
	return meta_end(service->meta, run_get(service->meta, run->id, run));
}

/* The last item is how the run ended, or, when nobody waits for it, how it began. */
static int tell_run(Service *service, struct running *running, bool waits, ControlReply *reply) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	_cleanup_(time_zone_freep) TimeZone *utc = NULL;
	int rc = time_zone_open("UTC", &utc);
	if (!rc)
		rc = read_run(service, &running->run);
	while (!rc && waits && !run_is_over(&running->run)) {
		rc = control_wait(reply, LOOK_MS);
		if (!rc)
			rc = read_run(service, &running->run);
	}
	return rc ? rc
	          : control_send(reply, run_json(&running->run, zone_of(held->policy, running->run.workflow, utc)));
}

int service_run(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const char *workflow = json_string_value(json_object_get(arguments, "workflow"));
	bool waits = !json_is_true(json_object_get(arguments, "no_wait"));
	_cleanup_(freep) struct running *running = calloc(1, sizeof *running);
	if (!running)
		return fault(ENOMEM, "running a workflow: out of memory");
	if (!workflow)
		return fault(EPROTO, "the workflow's name is missing");
	int rc = service_require(service, peer, PLACE_TRUSTED, POLICY_WRITE, "run", NULL);
	if (!rc)
		rc = service_require_writable(service, peer, "run", NULL);
	struct actor actor = service_actor(peer);
	if (!rc)
		rc = gate_run(service->gate, workflow, &actor, &running->run);
	if (!rc) /* what was answered for is there after a crash, too */
		rc = store_commit_wait(service->store);
	if (!rc && waits)
		rc = follow_jobs(service, running, reply);
	return rc ? rc : tell_run(service, running, waits, reply);
}
