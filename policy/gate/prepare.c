/*
 * prepare: what a check goes by besides the file, and whether an earlier verdict went by the same.
 *
 *     rules, format, nulls, keep ─┐
 *     history of the dataset      ├─► the job ─► its hash, with the references' ─► the same as an earlier verdict's
 *     files that rules name       │                                                on the same bytes: used again
 *     time, if rules ask for it  ─┘
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void prepared_drop(struct prepared *prepared) {
	history_drop(&prepared->history);
	file_tellings_free(prepared->tellings);
	gate_references_close(&prepared->references);
}

static int load_history(Gate *gate, struct judgement *j, struct prepared *prepared) {
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	int rc = meta_end(m, history_load(m, j->dataset, &prepared->history));
	if (rc >= 0 && prepared->history.is_too_long)
		snprintf(prepared->words, sizeof prepared->words,
		        "the rules look back on more than %d earlier values together; let them look back on fewer",
		        CHECK_HISTORY_MAX);
	return rc;
}

/* The job's own, and the hashes of the files that it is to be held against. Rules that are no text have none, and a
 * check that says so. */
static void take_hash(struct judgement *j, const struct prepared *prepared) {
	struct sha256 hash;
	j->has_job = check_job_hash(&prepared->job, prepared->history.is_timeless, j->job_sha256) >= 0;
	if (!j->has_job || j->reference_count == 0)
		return;
	sha256_init(&hash);
	sha256_update(&hash, bytes_of(j->job_sha256, sizeof j->job_sha256));
	for (size_t i = 0; i < j->reference_count; i++)
		sha256_update(&hash, bytes_of(j->references[i].sha256, sizeof j->references[i].sha256));
	sha256_final(&hash, j->job_sha256);
}

int judge_prepare(Gate *gate, struct judgement *j, uint64_t size, struct prepared *prepared) {
	struct check_job *job = &prepared->job;
	const char *slash = strrchr(j->below, '/');
	j->has_job = false;
	if (j->is_output) {
		*job = check_job_for(j->dataset, slash ? slash + 1 : j->below, size, j->started_ns);
		job->keep = NULL; /* what it drops is out of it */
		job->is_output = true;
		return 0;
	}
	int rc = gate_references_open(gate, j, &prepared->references, prepared->words);
	if (rc >= 0 && !prepared->words[0])
		rc = load_history(gate, j, prepared);
	if (rc < 0 || prepared->words[0])
		return rc;
	*job = check_job_for(j->dataset, slash ? slash + 1 : j->below, size, j->started_ns);
	job->references = prepared->references.asked;
	job->reference_count = prepared->references.count;
	job->knows_history = true;
	job->history = prepared->history.series;
	job->history_count = prepared->history.count;
	job->mtime_s = j->mtime_ns / 1000000000;
	job->may_split = j->may_split;
	rc = gate_tell_files(gate, j->dataset->rules, &prepared->tellings);
	if (rc < 0)
		return rc;
	if (prepared->tellings)
		job->file_lists = file_tellings_lists(prepared->tellings, &job->file_list_count);
	take_hash(j, prepared);
	return 0;
}

/* ---- an earlier result ---- */

static int take_verdict(void *arg, const struct verdict_row *row) {
	return verdict_from_json(row->body, arg);
}

/* Of the same engine, on the same bytes, by the same rules, history and (if they ask for it) time. An `error` may have
 * been a trouble that passes. */
static bool says_the_same(const struct judgement *j, const struct verdict *verdict, uint64_t size) {
	enum outcome outcome = verdict->check->outcome;
	return verdict->has_job && memcmp(j->job_sha256, verdict->job_sha256, sizeof j->job_sha256) == 0 &&
	       strcmp(verdict->engine, ASSAYFS_VERSION) == 0 && verdict->input.size == size &&
	       (outcome == OUTCOME_PASSED || outcome == OUTCOME_FAILED);
}

/* Of a file whose rows are published in part, which rows these are does not stand in its verdict. */
static bool is_reusable(const struct policy_dataset *dataset, const struct version *version) {
	return version->has_sha256 && !dataset->unsupported && !dataset->keep && dataset->on_failure == POLICY_REFUSE &&
	       !privacy_may_change(dataset->privacy);
}

int judge_reuse(Gate *gate, struct judgement *j, uint64_t version) {
	_cleanup_(prepared_drop) struct prepared prepared = {.words = ""};
	_cleanup_(verdict_freep) struct verdict *verdict = NULL;
	Meta *m = store_meta(gate->store);
	struct version about;
	meta_begin(m);
	int rc = meta_end(m, version_get(m, version, &about));
	if (rc < 0 || !is_reusable(j->dataset, &about))
		return rc;
	j->started_ns = meta_now(m);
	rc = judge_prepare(gate, j, about.size, &prepared);
	if (rc < 0 || !j->has_job)
		return rc;
	meta_begin(m);
	rc = meta_end(m, verdict_for_input(m, about.sha256, j->policy->number, bytes_of_string(j->dataset->name),
	                         take_verdict, &verdict));
	if (rc == -ENOENT || rc == -EBADMSG || (rc >= 0 && !says_the_same(j, verdict, about.size)))
		return 0;
	if (rc < 0)
		return fault_while(rc, "finding an earlier verdict on %s", j->path);
	j->checked.result = steal_pointer(&verdict->check);
	j->checked.size = about.size;
	memcpy(j->checked.sha256, about.sha256, sizeof j->checked.sha256);
	j->is_reused = true;
	return 1;
}
