/*
 * recheck: what stands in Trusted, held against a policy that came after its verdict: to say what would change, or to
 * withdraw what does not pass.
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How often a policy may come between a file's check and its withdrawal. */
enum { RECHECK_TURNS = 5 };

struct rechecking {
	Gate *gate;
	struct gate_policy *policy; /* by which is judged */
	const struct actor *actor;
	gate_rechecked_fn *each;
	void *arg;
	uint64_t done, total;
};

static struct judgement judgement_of(const struct rechecking *r, const char *path, struct gate_watch *watch) {
	const char *below = gate_below(path, NULL);
	return (struct judgement){
	        .path = path,
	        .below = below,
	        .policy = r->policy,
	        .dataset = policy_dataset_for(r->policy->policy, below),
	        .actor = *r->actor,
	        .watch = watch,
	        .leaves_out = strncmp(path, "Landing/", 8) == 0,
	};
}

/* ---- what was published otherwise than it came ---- */

/* The version that was judged, when what stands there was made of it. */
struct made_of {
	uint64_t version, node;
	bool is_altered, is_gone;
};

static int take_judged_version(void *arg, const struct verdict_row *row) {
	struct made_of *origin = arg;
	origin->version = row->version;
	origin->node = row->node;
	origin->is_altered = row->outcome == VERDICT_PASSED &&
	                     memcmp(row->input_sha256, row->output_sha256, sizeof row->input_sha256) != 0;
	return 0;
}

static int find_origin(Meta *m, const struct node *node, struct made_of *ret_origin) {
	struct version shown, source;
	*ret_origin = (struct made_of){0};
	int rc = version_get(m, node->version, &shown);
	if (rc >= 0 && shown.verdict != 0)
		rc = verdict_get(m, shown.verdict, take_judged_version, ret_origin);
	if (rc >= 0 && ret_origin->is_altered)
		rc = version_get(m, ret_origin->version, &source);
	ret_origin->is_gone = rc == -ENOENT || (rc >= 0 && ret_origin->is_altered && source.state != VERSION_SEALED);
	return rc == -ENOENT ? 0 : rc;
}

/* What passed, as it would be published: which may not pass, and then the result says so. */
static int make_output(Gate *gate, struct judgement *j, uint64_t node, uint64_t version,
        struct verdict_content *ret_output, bool *ret_passes) {
	_cleanup_(altered_release) struct altered altered = {0};
	struct check_result *result = j->checked.result;
	*ret_output = (struct verdict_content){.size = j->checked.size};
	memcpy(ret_output->sha256, j->checked.sha256, sizeof ret_output->sha256);
	*ret_passes = true;
	int rc = altered_take(gate, j, result, &altered);
	if (rc < 0 || !altered_is_any(&altered))
		return rc;
	return altered_check(gate, j, result, node, version, &altered, ret_output, ret_passes);
}

static int say_anew(const struct rechecking *r, const struct judgement *j, enum outcome outcome, const char *reason) {
	char anew[QUEUE_ANEW_BYTES];
	queue_anew_words(r->policy, j->dataset, anew);
	return check_result_say(j->checked.result, outcome, "%s; %s", reason, anew);
}

/* Would it be published now as it stands there? */
static int compare_output(
        struct rechecking *r, struct judgement *j, const struct made_of *origin, const struct node *node) {
	struct verdict_content output;
	struct version shown;
	bool passes;
	Meta *m = store_meta(r->gate->store);
	int rc = make_output(r->gate, j, origin->node, origin->version, &output, &passes);
	if (rc < 0 || !passes)
		return rc;
	meta_begin(m);
	rc = meta_end(m, version_get(m, node->version, &shown));
	bool is_same = rc >= 0 && shown.has_sha256 && memcmp(shown.sha256, output.sha256, sizeof output.sha256) == 0;
	j->has_output = is_same;
	j->output = output;
	if (rc < 0 || is_same)
		return rc;
	return say_anew(r, j, OUTCOME_FAILED, "by this policy it would be published otherwise than it stands there");
}

/* Rules speak of what came, not of what was left of it: so that is judged again, and altered again. */
static int judge_origin(
        struct rechecking *r, struct judgement *j, const struct made_of *origin, const struct node *node) {
	j->leaves_out = true;
	if (origin->is_gone)
		return judge_version(r->gate, j, node->id, node->version,
		        "what it was made of was erased, so it can't be judged again; it stays as it is");
	int rc = judge_version(r->gate, j, origin->node, origin->version, NULL);
	if (rc < 0 || j->checked.result->outcome == OUTCOME_PASSED)
		return rc < 0 ? rc : compare_output(r, j, origin, node);
	if (j->checked.result->outcome == OUTCOME_FAILED && j->dataset->on_failure == POLICY_SPLIT)
		return say_anew(r, j, OUTCOME_ERROR,
		        "rows were withheld of it, and others changed, so it is not judged as it stands there");
	return 0;
}

/* Of what stands in Landing: rows that keep drops are out of what is published, and nobody asks about that again. */
static int foresee_output(Gate *gate, struct judgement *j, const struct node *node) {
	const struct check_result *result = j->checked.result;
	struct verdict_content output;
	bool passes;
	bool is_asked_again = result->edits || result->privacy.dropped > 0;
	return is_asked_again ? make_output(gate, j, node->id, node->version, &output, &passes) : 0;
}

/* What a check says, or that no dataset governs the file any more: nothing is then said of it. */
static int judge_again(struct rechecking *r, struct judgement *j, const struct node *node, struct node *ret_judged,
        enum outcome *ret_outcome) {
	struct made_of origin = {0};
	Meta *m = store_meta(r->gate->store);
	int rc = 0;
	*ret_outcome = OUTCOME_NONE;
	*ret_judged = *node;
	if (!j->dataset)
		return 0;
	if (node->zone == ZONE_TRUSTED && privacy_may_change(j->dataset->privacy)) {
		meta_begin(m);
		rc = meta_end(m, find_origin(m, node, &origin));
	}
	if (rc >= 0 && origin.is_altered && !origin.is_gone) {
		ret_judged->id = origin.node;
		ret_judged->version = origin.version;
	}
	if (rc >= 0)
		rc = origin.is_altered ? judge_origin(r, j, &origin, node)
		                       : judge_version(r->gate, j, node->id, node->version, NULL);
	bool is_to_be_made = rc >= 0 && node->zone == ZONE_LANDING && j->checked.result->outcome == OUTCOME_PASSED;
	if (is_to_be_made)
		rc = foresee_output(r->gate, j, node);
	if (rc >= 0)
		*ret_outcome = j->checked.result->outcome;
	return rc;
}

static int tell(struct rechecking *r, const struct judgement *j, enum outcome now, enum outcome then) {
	static const char ungoverned[] = "no dataset governs it";
	const struct check_result *result = j->checked.result;
	struct gate_rechecked told = {
	        .path = j->path,
	        .dataset = j->dataset ? j->dataset->name : NULL,
	        .now = now,
	        .then = then,
	        .reason = !j->dataset ? ungoverned
	                  : result    ? result->reason
	                              : NULL,
	        .done = r->done,
	        .total = r->total,
	};
	return r->each(r->arg, &told);
}

static int count_file(void *arg, const char *path, const struct node *node) {
	struct rechecking *r = arg;
	(void)path;
	r->total += node->version != 0;
	return 0;
}

/* ---- what would change ---- */

static int foresee_file(void *arg, const char *path, const struct node *node) {
	struct rechecking *r = arg;
	struct gate_watch watch = {.gate = r->gate, .path = path};
	Meta *m = store_meta(r->gate->store);
	enum outcome now = OUTCOME_NONE, then = OUTCOME_NONE;
	struct node judged;
	if (node->version == 0)
		return 0;
	meta_begin(m);
	int rc = meta_end(m, gate_outcome(m, path, node, &now, NULL));
	struct judgement j = judgement_of(r, path, &watch);
	/* What passed in Landing stands in Trusted, and is met there. */
	bool is_skipped = node->zone == ZONE_LANDING && (now == OUTCOME_PASSED || !j.dataset);
	if (rc >= 0 && !is_skipped)
		rc = judge_again(r, &j, node, &judged, &then);
	r->done++;
	if (rc >= 0)
		rc = tell(r, &j, now, is_skipped ? now : then);
	judgement_release(&j);
	return rc;
}

static int walk_all(struct rechecking *r, gate_file_fn *each) {
	int rc = gate_walk(r->gate->store, NODE_TRUSTED, zone_name(ZONE_TRUSTED), each, r);
	return rc < 0 ? rc : gate_walk(r->gate->store, NODE_LANDING, zone_name(ZONE_LANDING), each, r);
}

int gate_foresee(Gate *gate, struct bytes archive, const struct actor *actor, gate_rechecked_fn *each, void *arg) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = NULL;
	int rc = gate_policy_of_archive(archive, &policy);
	struct rechecking r = {.gate = gate, .policy = policy, .actor = actor, .each = each, .arg = arg};
	if (rc >= 0)
		rc = walk_all(&r, count_file);
	return rc < 0 ? rc : walk_all(&r, foresee_file);
}

/* ---- withdrawing ---- */

static int find_place(Meta *m, const char *path, struct withdrawn *ret) {
	const char *slash = strrchr(path, '/');
	int rc = tree_resolve(m, bytes_of(path, (size_t)(slash - path)), &ret->directory);
	snprintf(ret->name, sizeof ret->name, "%s", slash + 1);
	return rc < 0 ? rc : tree_lookup(m, ret->directory.id, bytes_of_string(ret->name), &ret->node);
}

struct made {
	uint64_t source;
	bool is_of_it;
};

static int take_judged(void *arg, const struct verdict_row *row) {
	((struct made *)arg)->source = row->version;
	return 0;
}

static int seek_judged(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	struct made *made = arg;
	(void)version;
	made->is_of_it |= role == LINEAGE_INPUT && source == made->source;
	return 0;
}

/* Of a file that was split, what is left of it is what stands there. */
static int shows_made_of_judged(Meta *m, uint64_t verdict, const struct node *node, bool *ret_shows) {
	struct made made = {0};
	int rc = verdict_get(m, verdict, take_judged, &made);
	if (rc >= 0 && made.source != 0)
		rc = lineage_sources(m, node->version, seek_judged, &made);
	*ret_shows = rc >= 0 && made.is_of_it;
	return rc == -ENOENT ? 0 : rc;
}

/* Does the name show the bytes that were judged? */
static int shows_judged(Meta *m, const struct judgement *j, const struct node *node, bool *ret_shows) {
	struct version version;
	int rc = node->version == 0 || !S_ISREG(node->mode) ? -ENOENT : version_get(m, node->version, &version);
	*ret_shows =
	        rc >= 0 && version.has_sha256 && memcmp(version.sha256, j->checked.sha256, sizeof version.sha256) == 0;
	return rc == -ENOENT ? 0 : rc;
}

/* What stands at the name, when it is what was judged or was made of it, and nobody answers for it. -ENOENT. */
static int find_judged(Meta *m, const struct judgement *j, uint64_t verdict, struct withdrawn *ret) {
	char path[TREE_PATH_MAX];
	bool shows = false;
	int64_t waived_ns = 0;
	snprintf(path, sizeof path, "Trusted/%s", j->below);
	int rc = find_place(m, path, ret);
	if (rc >= 0)
		rc = shows_judged(m, j, &ret->node, &shows);
	if (rc >= 0 && !shows && ret->node.version != 0)
		rc = shows_made_of_judged(m, verdict, &ret->node, &shows);
	if (rc >= 0 && shows)
		rc = gate_waived_until(m, ret->node.version, &waived_ns);
	shows = shows && waived_ns <= meta_now(m);
	return rc < 0 ? rc : shows ? 0 : -ENOENT;
}

int recheck_mark(Meta *m, const struct judgement *j, uint64_t verdict) {
	struct withdrawn place;
	bool is_new = false;
	int rc = find_judged(m, j, verdict, &place);
	if (rc >= 0)
		rc = stale_put(m, place.node.version, verdict, &is_new);
	if (rc < 0 || !is_new)
		return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
	char path[TREE_PATH_MAX], detail[AUDIT_DETAIL_MAX];
	snprintf(path, sizeof path, "Trusted/%s", j->below);
	snprintf(detail, sizeof detail, "it stays, as the dataset says; policy %" PRIu64 ", verdict %" PRIu64,
	        j->policy->number, verdict);
	struct audit_event event = {.event = "stale",
	        .actor = j->actor,
	        .path = path,
	        .node = place.node.id,
	        .version = place.node.version,
	        .detail = detail};
	return audit_record(m, &event, NULL);
}

struct held_seek {
	uint64_t version;
	bool is_there;
};

static int seek_held(void *arg, const struct quarantine_row *row) {
	struct held_seek *seek = arg;
	seek->is_there |= row->version == seek->version && !row->partial;
	return seek->is_there;
}

int recheck_is_held(Meta *m, uint64_t version, bool *ret_is_held) {
	struct held_seek seek = {.version = version};
	int rc = quarantine_list(m, 0, true, seek_held, &seek);
	*ret_is_held = seek.is_there;
	return rc < 0 ? rc : 0;
}

int recheck_withdraw(Meta *m, const struct judgement *j, uint64_t verdict, struct withdrawn *ret) {
	char path[TREE_PATH_MAX], detail[AUDIT_DETAIL_MAX];
	struct node left;
	snprintf(path, sizeof path, "Trusted/%s", j->below);
	int rc = find_judged(m, j, verdict, ret);
	if (rc >= 0)
		rc = stale_clear(m, ret->node.version);
	if (rc < 0)
		return rc;
	rc = tree_unlink(m, ret->directory.id, bytes_of_string(ret->name), &left);
	if (rc >= 0 && left.nlink == 0)
		rc = version_withdraw(m, ret->node.version, 0);
	snprintf(detail, sizeof detail, "policy %" PRIu64 ", verdict %" PRIu64, j->policy->number, verdict);
	struct audit_event event = {
	        .event = "withdraw",
	        .actor = j->actor,
	        .path = path,
	        .node = ret->node.id,
	        .version = ret->node.version,
	        .detail = detail,
	};
	return rc < 0 ? rc : audit_record(m, &event, NULL);
}

void recheck_withdrawn(Gate *gate, const struct withdrawn *withdrawn) {
	if (gate->options.changed)
		gate->options.changed(gate->options.changed_arg, withdrawn->directory.ino,
		        bytes_of_string(withdrawn->name), withdrawn->node.ino);
}

/* -EAGAIN: another policy came in between. */
static int still_in_force(Meta *m, const struct judgement *j) {
	uint64_t number;
	int rc = policy_current_number(m, &number);
	return rc >= 0 && number != j->policy->number ? -EAGAIN : rc;
}

/* What stands there passes. */
static int clear_mark(Meta *m, const struct judgement *j) {
	char path[TREE_PATH_MAX];
	struct node node;
	snprintf(path, sizeof path, "Trusted/%s", j->below);
	int rc = tree_resolve(m, bytes_of_string(path), &node);
	return rc < 0 ? rc : stale_clear(m, node.version);
}

/* A name that shows something else by now is looked at again. */
static int settle(Gate *gate, struct judgement *j, const struct node *node, enum outcome *ret_outcome) {
	Meta *m = store_meta(gate->store);
	struct withdrawn withdrawn;
	uint64_t verdict = 0;
	meta_begin(m);
	int rc = still_in_force(m, j);
	if (rc >= 0)
		rc = judge_record(gate, m, j, node->id, node->version, &verdict, ret_outcome);
	bool passed = *ret_outcome == OUTCOME_PASSED;
	if (rc >= 0 && !passed)
		rc = recheck_withdraw(m, j, verdict, &withdrawn);
	else if (rc >= 0)
		rc = clear_mark(m, j);
	rc = meta_end(m, rc);
	if (rc >= 0 && !passed)
		recheck_withdrawn(gate, &withdrawn);
	return rc == -ENOENT || rc == -ENOTDIR ? -EAGAIN : rc;
}

/* What a steward answers for stays until that ends. */
static int tell_waived(struct rechecking *r, const char *path) {
	const struct policy_dataset *dataset = policy_dataset_for(r->policy->policy, gate_below(path, NULL));
	struct gate_rechecked told = {
	        .path = path,
	        .dataset = dataset ? dataset->name : NULL,
	        .now = OUTCOME_PASSED,
	        .then = OUTCOME_PASSED,
	        .done = ++r->done,
	        .total = r->total,
	};
	return r->each(r->arg, &told);
}

static int recheck_held(struct rechecking *r, const char *path, const struct node *node) {
	struct gate_watch watch = {.gate = r->gate, .path = path};
	enum outcome outcome = OUTCOME_NONE;
	struct node judged;
	struct judgement j = judgement_of(r, path, &watch);
	int rc = judge_again(r, &j, node, &judged, &outcome);
	_cleanup_(freep) char *reason = NULL;
	/* What could not be decided is told and nothing else: a machine in trouble must not empty Trusted. */
	if (rc >= 0 && j.dataset) {
		reason = j.checked.result->reason ? strdup(j.checked.result->reason) : NULL;
		rc = outcome == OUTCOME_ERROR ? 0 : settle(r->gate, &j, &judged, &outcome);
	}
	judgement_release(&j);
	if (rc == -EAGAIN)
		return rc;
	struct gate_rechecked told = {
	        .path = path,
	        .dataset = j.dataset ? j.dataset->name : NULL,
	        .now = OUTCOME_PASSED,
	        .then = outcome,
	        .reason = j.dataset ? reason : "no dataset governs it",
	        .done = ++r->done,
	        .total = r->total,
	};
	return rc < 0 ? rc : r->each(r->arg, &told);
}

/* What it shows by now, judged by the policy that is in force by now. */
static int recheck_once(struct rechecking *r, const char *path) {
	const char *below = gate_below(path, NULL);
	struct node node;
	Meta *m = store_meta(r->gate->store);
	int rc = gate_path_take(r->gate, below);
	if (rc < 0)
		return rc;
	r->policy = gate_policy(r->gate);
	int64_t waived_ns = 0;
	meta_begin(m);
	rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc >= 0 && node.version != 0)
		rc = gate_waived_until(m, node.version, &waived_ns);
	rc = meta_end(m, rc);
	if (rc >= 0 && waived_ns > meta_now(m))
		rc = tell_waived(r, path);
	else if (rc >= 0 && node.version != 0)
		rc = recheck_held(r, path, &node);
	else if (rc == -ENOENT || rc == -ENOTDIR)
		rc = 0;
	gate_policy_done(r->policy);
	gate_path_done(r->gate, below);
	return rc;
}

static int recheck_file(void *arg, const char *path, const struct node *node) {
	struct rechecking *r = arg;
	int rc = node->version == 0 ? 0 : -EAGAIN;
	for (int turn = 0; rc == -EAGAIN && turn < RECHECK_TURNS; turn++) {
		if (turn > 0) /* a policy is stored a moment before it is handed out */
			nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
		rc = recheck_once(r, path);
	}
	return rc;
}

int gate_recheck(Gate *gate, const struct actor *actor, gate_rechecked_fn *each, void *arg) {
	struct rechecking r = {.gate = gate, .actor = actor, .each = each, .arg = arg};
	int rc = gate_walk(gate->store, NODE_TRUSTED, zone_name(ZONE_TRUSTED), count_file, &r);
	return rc < 0 ? rc : gate_walk(gate->store, NODE_TRUSTED, zone_name(ZONE_TRUSTED), recheck_file, &r);
}
