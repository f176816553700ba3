/* What `assayfs run` asks: the workflow's checks queued by the gate, then followed to their verdicts. */
#include "fs/service/internal.h"

#include "backend/job.h"
#include "backend/record.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 100

struct followed {
	uint64_t id;
	bool is_done;
};

struct running {
	const char *workflow;
	int64_t since_ns;
	struct followed *jobs;
	size_t count, room, done;
	uint64_t last; /* job that was looked at */
	size_t looked;
};

#define BATCH_JOBS 1000 /* looked at in one operation */

static int take_job(void *arg, const struct job *job) {
	struct running *running = arg;
	running->last = job->id;
	bool is_enough = ++running->looked % BATCH_JOBS == 0;
	if (job->made_ns < running->since_ns || !job->workflow || strcmp(job->workflow, running->workflow) != 0)
		return is_enough;
	if (running->count == running->room) {
		size_t room = running->room ? 2 * running->room : 64;
		struct followed *jobs = reallocarray(running->jobs, room, sizeof *jobs);
		if (!jobs)
			return fault(ENOMEM, "running a workflow: out of memory");
		running->jobs = jobs;
		running->room = room;
	}
	running->jobs[running->count++] = (struct followed){.id = job->id};
	return is_enough;
}

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

/* In an operation. */
static int look_at(Meta *m, uint64_t id, struct standing *standing) {
	int rc = job_get(m, id, take_standing, standing);
	if (rc || !standing->is_ended || !standing->verdict)
		return rc;
	return verdict_get(m, standing->verdict, take_verdict, standing);
}

static int report(Service *service, struct running *running, struct followed *job, ControlReply *reply) {
	_cleanup_(freep) struct standing *standing = calloc(1, sizeof *standing);
	if (!standing)
		return fault(ENOMEM, "running a workflow: out of memory");
	standing->outcome = OUTCOME_ERROR;
	meta_begin(service->meta);
	int rc = meta_end(service->meta, look_at(service->meta, job->id, standing));
	if (rc == -ENOENT) /* pruned: it has ended long ago */
		standing->is_ended = true;
	else if (rc)
		return rc;
	if (!standing->is_ended)
		return 0;
	job->is_done = true;
	running->done++;
	const char *reason = standing->is_superseded  ? "a newer version arrived and is checked instead"
	                     : standing->verdict == 0 ? "it was not checked: the file is gone or unchanged"
	                                              : standing->reason;
	bool is_judged = standing->verdict != 0;
	return control_send(reply, json_pack("{s:o, s:s, s:s, s:I, s:I}", "path", wire_path(standing->path), "outcome",
	                                   is_judged ? outcome_word(standing->outcome) : "none", "reason", reason,
	                                   "done", (json_int_t)running->done, "total", (json_int_t)running->count));
}

static int follow_jobs(Service *service, struct running *running, ControlReply *reply) {
	while (running->done < running->count) {
		int rc = 0;
		for (size_t i = 0; !rc && i < running->count; i++)
			if (!running->jobs[i].is_done)
				rc = report(service, running, &running->jobs[i], reply);
		if (!rc && running->done < running->count)
			rc = control_wait(reply, LOOK_MS);
		if (rc)
			return rc;
	}
	return 0;
}

/* All that were made behind running->last. */
static int find_jobs(Service *service, struct running *running) {
	for (size_t before = SIZE_MAX; before != running->looked;) {
		before = running->looked;
		meta_begin(service->meta);
		int rc = meta_end(service->meta, job_list(service->meta, running->last, false, take_job, running));
		if (rc)
			return rc;
	}
	return 0;
}

int service_run(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct running running = {.workflow = json_string_value(json_object_get(arguments, "workflow")),
	        .since_ns = meta_now(service->meta)};
	uint64_t count = 0;
	if (!running.workflow)
		return fault(EPROTO, "the workflow's name is missing");
	int rc = service_require(service, peer, PLACE_TRUSTED, POLICY_WRITE, "run", NULL);
	if (!rc)
		rc = service_require_writable(service, peer, "run", NULL);
	struct actor actor = service_actor(peer);
	meta_begin(service->meta);
	running.last = job_last(service->meta);
	(void)meta_end(service->meta, 0);
	if (!rc)
		rc = gate_run(service->gate, running.workflow, &actor, &count);
	if (!rc)
		rc = store_audit_wait(service->store);
	if (rc)
		return rc;
	if (json_is_true(json_object_get(arguments, "detach")))
		return control_send(reply, json_pack("{s:I}", "queued", (json_int_t)count));
	rc = find_jobs(service, &running);
	if (!rc)
		rc = follow_jobs(service, &running, reply);
	free(running.jobs);
	return rc;
}
