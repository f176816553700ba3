#include "fs/verdict_counts.h"

#include "backend/census.h"
#include "backend/record.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Copied under the lock, looked into without it. */
#define BATCH 64
#define BATCH_BYTES (4u << 20)
#define ROUND_MAX 20000

struct dataset {
	char name[SAMPLER_LABEL_BYTES - 32];
	uint64_t passed, failed, errors, scored;
	double score;
};

struct copied {
	uint64_t id;
	uint8_t outcome;
	bool fresh;
	char dataset[SAMPLER_LABEL_BYTES - 32];
	char *body;
	size_t size;
};

struct VerdictCounts {
	Store *store;
	uint64_t last; /* id */
	_Atomic uint64_t checks;
	struct dataset datasets[VERDICT_COUNTS_DATASETS];
	size_t dataset_count;
	struct copied batch[BATCH];
	size_t batch_count, batch_bytes;
};

int verdict_counts_new(Store *store, VerdictCounts **ret_counts) {
	VerdictCounts *c = calloc(1, sizeof *c);
	if (!c)
		return fault(ENOMEM, "counting verdicts: out of memory");
	Meta *m = store_meta(store);
	c->store = store;
	meta_begin(m);
	int rc = meta_end(m, census_last_verdict(m, &c->last));
	if (rc < 0) {
		free(c);
		return rc;
	}
	*ret_counts = c;
	return 0;
}

void verdict_counts_free(VerdictCounts *counts) {
	free(counts);
}

uint64_t verdict_counts_checks(const VerdictCounts *counts) {
	return atomic_load(&counts->checks);
}

/* ---- one verdict ---- */

double verdict_counts_score(struct bytes body) {
	json_t *root = json_loadb((const char *)body.data, body.size, 0, NULL);
	const json_t *rules = json_object_get(json_object_get(root, "check"), "rules");
	size_t total = json_array_size(rules), passed = 0;
	for (size_t i = 0; i < total; i++) {
		const char *outcome = json_string_value(json_object_get(json_array_get(rules, i), "outcome"));
		passed += outcome && strcmp(outcome, "passed") == 0;
	}
	json_decref(root);
	return total ? 100.0 * (double)passed / (double)total : -1;
}

static int copy_verdict(void *arg, const struct verdict_row *row) {
	VerdictCounts *c = arg;
	struct copied *to = &c->batch[c->batch_count];
	*to = (struct copied){.id = row->id, .outcome = row->outcome, .fresh = row->fresh, .size = row->body.size};
	(void)snprintf(to->dataset, sizeof to->dataset, "%.*s", (int)row->dataset.size,
	        row->dataset.size ? (const char *)row->dataset.data : "");
	to->body = malloc(row->body.size + 1);
	if (!to->body)
		return fault(ENOMEM, "counting verdicts: out of memory");
	memcpy(to->body, row->body.size ? row->body.data : (const void *)"", row->body.size);
	c->batch_bytes += row->body.size;
	return ++c->batch_count == BATCH || c->batch_bytes > BATCH_BYTES;
}

/* NULL: there are too many. */
static struct dataset *dataset_of(VerdictCounts *c, const char *name) {
	for (size_t i = 0; i < c->dataset_count; i++)
		if (strcmp(c->datasets[i].name, name) == 0)
			return &c->datasets[i];
	if (c->dataset_count == VERDICT_COUNTS_DATASETS)
		return NULL;
	struct dataset *dataset = &c->datasets[c->dataset_count++];
	*dataset = (struct dataset){0};
	(void)snprintf(dataset->name, sizeof dataset->name, "%s", name);
	return dataset;
}

static bool count_verdict(VerdictCounts *c, const struct copied *verdict) {
	struct dataset *dataset = dataset_of(c, verdict->dataset);
	if (!dataset)
		return false;
	const double score = verdict_counts_score(bytes_of(verdict->body, verdict->size));
	dataset->passed += verdict->outcome == VERDICT_PASSED;
	dataset->failed += verdict->outcome == VERDICT_FAILED;
	dataset->errors += verdict->outcome == VERDICT_ERROR;
	dataset->scored += score >= 0;
	dataset->score += score >= 0 ? score : 0;
	atomic_fetch_add(&c->checks, verdict->fresh);
	c->last = verdict->id;
	return true;
}

/* 1: there may be more; 0: that was all of this round. */
static int take_batch(VerdictCounts *c) {
	Meta *m = store_meta(c->store);
	bool has_room = true;
	c->batch_count = c->batch_bytes = 0;
	meta_begin(m);
	int rc = meta_end(m, verdict_list(m, bytes_of(NULL, 0), c->last, copy_verdict, c));
	const bool is_full = c->batch_count == BATCH || c->batch_bytes > BATCH_BYTES;
	for (size_t i = 0; i < c->batch_count; i++) {
		has_room = has_room && rc == 0 && count_verdict(c, &c->batch[i]);
		free(c->batch[i].body);
	}
	return rc < 0 ? rc : has_room && is_full;
}

/* ---- the round ---- */

static void emit_dataset(const struct dataset *dataset, struct sampler_round *round) {
	char of[SAMPLER_LABEL_BYTES], label[SAMPLER_LABEL_BYTES + 32];
	const struct {
		const char *outcome;
		uint64_t count;
	} outcomes[] = {{"passed", dataset->passed}, {"failed", dataset->failed}, {"error", dataset->errors}};
	const uint64_t all = dataset->passed + dataset->failed + dataset->errors;
	(void)sampler_label("dataset", dataset->name, of);
	for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
		(void)snprintf(label, sizeof label, "%s,outcome=%s", of, outcomes[i].outcome);
		if (outcomes[i].count)
			sampler_emit(round, "Verdicts", label, (double)outcomes[i].count);
	}
	sampler_emit(round, "VerdictPassRate", of, 100.0 * (double)dataset->passed / (double)all);
	if (dataset->scored)
		sampler_emit(round, "QualityScore", of, dataset->score / (double)dataset->scored);
}

int verdict_counts_collect(void *arg, struct sampler_round *round) {
	VerdictCounts *c = arg;
	int rc = 1;
	c->dataset_count = 0;
	for (size_t batches = 0; rc == 1 && batches < ROUND_MAX / BATCH; batches++)
		rc = take_batch(c);
	for (size_t i = 0; i < c->dataset_count; i++)
		emit_dataset(&c->datasets[i], round);
	return rc < 0 ? rc : 0;
}
