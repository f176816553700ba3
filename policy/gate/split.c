/*
 * split: a file of which some rows are withheld.
 *
 *     check: failed, these rows ─► check of the rest ── fails ──► refused whole, the reason says so
 *                                        │ passes
 *                                        ▼
 *     rows as a CSV in staging ─► sealed, with verdict and quarantine row ─► durable ─► publish the rest
 *                                 └────── one meta operation ──────┘
 *
 * kill -9 before the operation: nothing was said, the draft goes, the job runs anew. After it: the job runs anew, finds
 * the verdict, and publishes by that. The rest is checked as a file of its own, since what rules say of the whole
 * (RowCount, a share, what an empty cell means) may change with rows gone: what stands in Trusted has passed as it
 * stands there.
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct splitting {
	Gate *gate;
	struct judgement *j;
	uint64_t node, version;
	struct check_outcome rest;
	struct altered altered;        /* what is published: without the rows, and perhaps changed */
	struct verdict_content output; /* what that comes to */
	uint64_t verdict;
};

void split_release(struct split *split) {
	altered_release(&split->altered);
}

/* ---- the rest, as if it had come so ---- */

static int check_rest(struct splitting *s, const RowList *without) {
	_cleanup_(content_closep) Content *content = NULL;
	struct judgement rest = *s->j;
	rest.checked = (struct check_outcome){0};
	rest.leaves_out = rest.may_split = false; /* what keep drops is out of it already */
	int rc = content_open(s->gate->store, s->node, s->version, &content);
	struct gate_reader reader = {.source = content, .watch = s->j->watch, .rest.without = without};
	bool is_altered = privacy_may_change(rest.dataset->privacy);
	struct check_input input = {
	        .read = gate_read, .context = &reader, .again = is_altered ? gate_read_again : NULL};
	if (rc >= 0)
		rc = judge_check(s->gate, &rest, input, s->j->checked.size - row_list_size(without));
	s->rest = rest.checked;
	/* the verdict lets the rest out, so it names what the rest was held against */
	memcpy(s->j->references, rest.references, sizeof rest.references);
	s->j->reference_count = rest.reference_count;
	return rc;
}

static int refuse_whole(struct judgement *j, const struct check_result *rest, uint64_t count) {
	struct check_result *result = j->checked.result;
	_cleanup_(freep) char *why = result->reason ? strdup(result->reason) : NULL;
	return check_result_say(result, rest->outcome,
	        "%s; refused whole: without the %" PRIu64 " row%s that did not pass, the rest does not pass either: %s",
	        why ? why : "it failed", count, count == 1 ? "" : "s", rest->reason ? rest->reason : "no reason given");
}

/* ---- was it done before? ---- */

struct former {
	const struct splitting *s;
	uint64_t verdict;
	bool is_split;
	bool is_same;
};

/* A verdict that let out something else than came in was a split of it: only that kind is looked for. */
static int take_former(void *arg, const struct verdict_row *row) {
	struct former *former = arg;
	const struct splitting *s = former->s;
	former->verdict = row->id;
	former->is_split = row->outcome == VERDICT_PASSED &&
	                   memcmp(row->input_sha256, row->output_sha256, sizeof row->input_sha256) != 0;
	former->is_same = former->is_split && row->policy == s->j->policy->number && s->j->reference_count == 0 &&
	                  memcmp(row->output_sha256, s->output.sha256, sizeof row->output_sha256) == 0;
	return 0;
}

/* In a meta operation. */
static int find_former(Meta *m, const struct splitting *s, struct former *ret_former) {
	*ret_former = (struct former){.s = s};
	int rc = verdict_latest_for_version(m, s->version, take_former, ret_former);
	return rc == -ENOENT ? 0 : rc;
}

struct outdated {
	uint64_t verdict, id;
};

static int find_row(void *arg, const struct quarantine_row *row) {
	struct outdated *outdated = arg;
	if (!row->partial || row->verdict != outdated->verdict)
		return 0;
	outdated->id = row->id;
	return 1;
}

/* The same version is split anew, otherwise: what was held of it before is not waited for any longer. */
static int drop_former(Meta *m, const struct splitting *s) {
	struct former former;
	int rc = find_former(m, s, &former);
	struct outdated outdated = {.verdict = former.verdict};
	if (rc >= 0 && former.is_split)
		rc = quarantine_list(m, 0, true, find_row, &outdated);
	if (rc < 0 || outdated.id == 0)
		return rc < 0 ? rc : 0;
	char detail[128];
	snprintf(detail, sizeof detail, "quarantine %" PRIu64 ": rows of the same file are withheld anew", outdated.id);
	struct audit_event event = {
	        .event = "quarantine-drop", .actor = s->j->actor, .path = s->j->path, .detail = detail};
	rc = quarantine_decide(m, outdated.id, QUARANTINE_DROPPED, s->j->actor.uid);
	return rc < 0 ? rc : audit_record(m, &event, NULL);
}

/* ---- the part that is withheld ---- */

/* In the operation that seals it: held and said from then on, or neither. */
static int hold(Meta *m, const struct version *sealed, void *arg) {
	struct splitting *s = arg;
	enum outcome outcome;
	int rc = drop_former(m, s);
	if (rc >= 0)
		rc = judge_record(s->gate, m, s->j, s->node, s->version, &s->verdict, &outcome);
	struct quarantine_row row = {
	        .time_ns = meta_now(m),
	        .path = bytes_of_string(s->j->path),
	        .node = sealed->node,
	        .version = sealed->id,
	        .verdict = s->verdict,
	        .partial = true,
	        .uid = s->j->actor.uid,
	};
	uint64_t id;
	return rc < 0 ? rc : quarantine_put(m, &row, &id);
}

/* The verdict is about the rest; what the whole came to stands beside it. */
static int say_split(struct splitting *s, const RowList *without, const struct verdict_content *partial) {
	struct judgement *j = s->j;
	struct verdict_split *split = calloc(1, sizeof *split);
	if (!split)
		return fault(ENOMEM, "splitting %s", j->path);
	split->check = j->checked.result;
	split->rows_in = split->check->rows;
	split->rows_quarantined = row_list_broken(without);
	split->rows_out = split->rows_in - split->rows_quarantined - split->check->privacy.dropped;
	split->quarantine = *partial;
	j->split = split;
	j->checked.result = steal_pointer(&s->rest.result);
	j->checked.result->dropped = split->check->dropped;
	j->checked.result->privacy.dropped = split->check->privacy.dropped;
	j->has_output = true;
	j->output = s->output;
	return 0;
}

static int hold_rows(struct splitting *s, const RowList *without) {
	_cleanup_(content_closep) Content *partial = NULL;
	struct verdict_content content;
	struct version sealed;
	int rc = partial_write(s->gate, s->j, s->node, s->version, without, &partial, &content);
	if (rc >= 0)
		rc = say_split(s, without, &content);
	if (rc >= 0)
		rc = content_seal(partial, ORIGIN_CAPTURE, 0, content.sha256, hold, s, &sealed);
	if (rc < 0 && partial) {
		uint64_t node = content_node(partial);
		(void)content_drop(partial);
		Meta *m = store_meta(s->gate->store);
		meta_begin(m);
		(void)meta_end(m, tree_forget(m, node));
	}
	return rc;
}

/* ---- both ---- */

static int hold_once(struct splitting *s, const RowList *without) {
	Meta *m = store_meta(s->gate->store);
	struct former former;
	meta_begin(m);
	int rc = meta_end(m, find_former(m, s, &former));
	s->verdict = former.verdict;
	if (rc >= 0 && !former.is_same)
		rc = hold_rows(s, without);
	return rc < 0 ? rc : store_commit_wait(s->gate->store);
}

/* The rest may have to be changed, too; then what is published is what must pass. */
static int alter_rest(struct splitting *s, RowList *without, bool *ret_passes) {
	struct check_result *result = s->rest.result;
	s->output.size = s->rest.size;
	memcpy(s->output.sha256, s->rest.sha256, sizeof s->output.sha256);
	if (result->withheld || result->privacy.dropped > 0) {
		row_list_free(without);
		*ret_passes = false;
		return check_result_say(result, OUTCOME_ERROR,
		        "with those rows gone, further ones would have to be left out for their personal data");
	}
	int rc = altered_take(s->gate, s->j, result, &s->altered);
	s->altered.without = without;
	if (rc >= 0 && s->altered.edits)
		rc = altered_check(s->gate, s->j, result, s->node, s->version, &s->altered, &s->output, ret_passes);
	return rc;
}

int split(Gate *gate, struct judgement *j, uint64_t node, uint64_t version, struct split *ret_split) {
	struct splitting s = {.gate = gate, .j = j, .node = node, .version = version};
	_cleanup_(row_list_freep) RowList *without = steal_pointer(&j->checked.result->withheld);
	uint64_t count = row_list_broken(without);
	if (count >= j->checked.result->rows) /* whatever a worker says */
		return check_result_say(
		        j->checked.result, OUTCOME_ERROR, "the check withholds more rows than there are");
	int rc = check_rest(&s, without);
	bool passes = rc >= 0 && s.rest.result->outcome == OUTCOME_PASSED;
	if (passes)
		rc = alter_rest(&s, steal_pointer(&without), &passes);
	if (rc >= 0 && !passes)
		rc = refuse_whole(j, s.rest.result, count);
	else if (rc >= 0)
		rc = hold_once(&s, s.altered.without);
	check_result_free(s.rest.result);
	if (rc >= 0 && passes) {
		ret_split->altered = s.altered;
		s.altered = (struct altered){0};
		ret_split->verdict = s.verdict;
		memcpy(ret_split->sha256, s.output.sha256, sizeof ret_split->sha256);
	}
	altered_release(&s.altered);
	return fault_while(rc, "splitting %s", j->path);
}
