/* What the page asks often, so each answer is bounded: the newest refusals, each dataset's last scores, a few numbers.
 */
#include "fs/service/internal.h"

#include "backend/job.h"
#include "backend/record.h"
#include "crypto/base/fault.h"
#include "fs/verdict_counts.h"

#include <errno.h>
#include <string.h>

#define REFUSALS_MAX 20
#define LOOKED_AT 1000 /* verdicts, the newest: what lies behind is history, which `assayfs log` has */
#define SCORES_MAX 60  /* of each dataset */

/* In an operation. */
static int newest_verdicts(Meta *m, verdict_fn take, void *arg) {
	uint64_t last = 0;
	int rc = verdict_last(m, &last);
	return rc ? rc : verdict_list(m, bytes_of(NULL, 0), last > LOOKED_AT ? last - LOOKED_AT : 0, take, arg);
}

/* ---- refusals ---- */

struct refusals {
	json_t *list;
	bool tells_names;
};

static int take_refusal(void *arg, const struct verdict_row *row) {
	struct refusals *refusals = arg;
	if (row->outcome == VERDICT_PASSED)
		return 0;
	_cleanup_(json_decrefp) json_t *item = json_pack("{s:I, s:s, s:o}", "time_ns", (json_int_t)row->time_ns,
	        "outcome", outcome_word((enum outcome)row->outcome), "dataset",
	        json_stringn((const char *)row->dataset.data, row->dataset.size));
	if (item && refusals->tells_names) {
		_cleanup_(json_decrefp) json_t *body =
		        json_loadb((const char *)row->body.data, row->body.size, 0, NULL);
		json_object_set(item, "reason", json_object_get(json_object_get(body, "check"), "reason"));
		json_object_set_new(item, "path", service_json_path(row->path));
	}
	if (json_array_append(refusals->list, item))
		return fault(ENOMEM, "listing refusals: out of memory");
	return json_array_size(refusals->list) > REFUSALS_MAX ? json_array_remove(refusals->list, 0) : 0;
}

static bool may_read_names(Service *service, const struct control_peer *peer) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	return service_permits(service, held->policy, peer, PLACE_LANDING, POLICY_READ);
}

int service_refusals(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(json_decrefp) json_t *list = json_array();
	struct refusals refusals = {.list = list, .tells_names = may_read_names(service, peer)};
	(void)arguments;
	if (!list)
		return fault(ENOMEM, "listing refusals: out of memory");
	meta_begin(service->meta);
	int rc = meta_end(service->meta, newest_verdicts(service->meta, take_refusal, &refusals));
	/* The newest first. */
	for (size_t i = json_array_size(list); !rc && i-- > 0;)
		rc = control_send(reply, json_incref(json_array_get(list, i)));
	return rc;
}

/* ---- datasets ---- */

static void count_one(json_t *counts, const char *word) {
	json_object_set_new(counts, word, json_integer(json_integer_value(json_object_get(counts, word)) + 1));
}

/* `arg`: by each dataset's name, what is told of it. */
static int take_score(void *arg, const struct verdict_row *row) {
	char name[256];
	if (row->dataset.size == 0 || row->dataset.size >= sizeof name)
		return 0;
	memcpy(name, row->dataset.data, row->dataset.size);
	name[row->dataset.size] = '\0';
	json_t *item = json_object_get(arg, name);
	if (!item) /* the policy has it no more */
		return 0;
	const char *word = outcome_word((enum outcome)row->outcome);
	double score = verdict_counts_score(row->body);
	count_one(json_object_get(item, "counts"), word);
	json_object_set_new(item, "last_ns", json_integer((json_int_t)row->time_ns));
	json_object_set_new(item, "last_outcome", json_string(word));
	if (score < 0)
		return 0;
	json_t *scores = json_object_get(item, "scores");
	json_object_set_new(item, "score", json_real(score));
	json_array_append_new(scores, json_pack("[I, f]", (json_int_t)row->time_ns, score));
	return json_array_size(scores) > SCORES_MAX ? json_array_remove(scores, 0) : 0;
}

static json_t *datasets_json(Service *service) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	json_t *all = json_object();
	for (size_t i = 0; all && i < policy_dataset_count(held->policy); i++) {
		const char *name = policy_dataset(held->policy, i)->name;
		json_object_set_new(all, name, json_pack("{s:s, s:{}, s:[]}", "dataset", name, "counts", "scores"));
	}
	return all;
}

int service_datasets(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(json_decrefp) json_t *all = datasets_json(service);
	const char *name;
	json_t *item;
	(void)peer;
	(void)arguments;
	if (!all)
		return fault(ENOMEM, "listing datasets: out of memory");
	meta_begin(service->meta);
	int rc = meta_end(service->meta, newest_verdicts(service->meta, take_score, all));
	json_object_foreach(all, name, item) {
		if (!rc)
			rc = control_send(reply, json_incref(item));
	}
	return rc;
}

/* ---- the pulse ---- */

static int count_held(void *arg, const struct quarantine_row *row) {
	(void)row;
	++*(uint64_t *)arg;
	return 0;
}

/* What tells whether anything is new: no names, no walk. */
int service_pulse(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	uint64_t queued = 0, running = 0, held = 0, verdict = 0;
	(void)peer;
	(void)arguments;
	meta_begin(service->meta);
	int rc = job_counts(service->meta, &queued, &running);
	if (!rc)
		rc = quarantine_list(service->meta, 0, true, count_held, &held);
	if (!rc)
		rc = verdict_last(service->meta, &verdict);
	uint64_t records = audit_size(service->meta);
	rc = meta_end(service->meta, rc);
	return rc ? rc
	          : control_send(reply, json_pack("{s:I, s:I, s:I, s:I, s:I}", "queued", (json_int_t)queued, "running",
	                                        (json_int_t)running, "quarantined", (json_int_t)held, "last_verdict",
	                                        (json_int_t)verdict, "audit_records", (json_int_t)records));
}
