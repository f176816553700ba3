/*
 * arrival: from a job's row to Raw, a verdict and Trusted.
 *
 *     job_take ─► is it still what stands at the path? ── no ─► superseded
 *                 │ yes
 *                 ▼
 *     read Landing ──┬─► Raw's draft ─► same bytes as Raw has: a delivery; else a version
 *                    └─► worker ──────► verdict ─► publish or quarantine ─► job_finish
 *                                  └──► some rows ─► split.c: quarantine ─► publish the rest ─► job_finish
 *
 * A crash anywhere leaves the job `running`, which recovery queues again; doing all of it twice ends the same.
 */
#include "policy/gate/internal.h"

#include "backend/acl.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a job waits for a key that is disabled or locked, unless that is hurried. */
#define WAIT_FOR_KEY_NS INT64_C(60000000000)

struct arrival {
	struct job job;
	char path[TREE_PATH_MAX];
	const char *below;
	struct actor actor;
	bool is_of_workflow; /* of a run, or of a file's many names */
	uint64_t size;
};

static int copy_job(void *arg, const struct job *job) {
	struct arrival *a = arg;
	a->job = *job;
	size_t length = job->path.size < sizeof a->path - 1 ? job->path.size : sizeof a->path - 1;
	memcpy(a->path, job->path.data, length);
	a->path[length] = '\0';
	a->is_of_workflow = job->workflow && *job->workflow;
	a->job.path = (struct bytes){0};
	a->job.dataset = a->job.workflow = NULL;
	a->actor = (struct actor){.uid = job->uid, .gid = job->gid, .pid = job->pid};
	snprintf(a->actor.exe, sizeof a->actor.exe, "%s", job->exe);
	return 0;
}

static int supersede(Meta *m, const struct arrival *a, const char *why) {
	struct audit_event event = {
	        .event = "supersede",
	        .actor = a->actor,
	        .path = a->path,
	        .node = a->job.node,
	        .version = a->job.version,
	        .detail = why,
	};
	int rc = audit_record(m, &event, NULL);
	return rc < 0 ? rc : job_finish(m, a->job.id, 0);
}

/* As if it had not been taken. */
static int give_back(Gate *gate, const struct arrival *a, int64_t delay_ns) {
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	int rc = job_put_back(m, a->job.id, meta_now(m) + delay_ns);
	return meta_end(m, rc == -ENOENT ? 0 : rc);
}

static int take_state(void *arg, const struct job *job) {
	*(uint8_t *)arg = job->state;
	return 0;
}

/* Its run ended before it (backend/run.h), which is no trouble of its own. */
static bool is_withdrawn(Gate *gate, const struct arrival *a) {
	uint8_t state = JOB_RUNNING;
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	int rc = meta_end(m, job_get(m, a->job.id, take_state, &state));
	return rc >= 0 && state == JOB_SUPERSEDED;
}

/* Somebody will enable or unlock it, or delete it. */
static bool waits_for_key(Gate *gate, int trouble) {
	return trouble == -EKEYREVOKED || (trouble == -EACCES && store_is_locked(gate->store));
}

/* A trouble that may pass (a full disk) is tried again, later each time; at last the file is given up as it is, in
 * Landing, with a record that says why. */
static int put_off(Gate *gate, const struct arrival *a, int trouble) {
	/* Nobody wants it any more, or not in this mount: the next look at the queue, or the next mount, says. */
	if (trouble == -ECANCELED)
		return give_back(gate, a, 0);
	if (trouble == -ENOENT && is_withdrawn(gate, a))
		return 0;
	/* Told once, and not each minute for as long as a key is away; gate_keys_back hurries it. */
	const bool is_away = waits_for_key(gate, trouble), is_of_run = a->job.kind == JOB_RECHECK;
	const bool waits = is_away && !is_of_run; /* a run ends, and says which it could not check */
	if (waits && a->job.attempts > 1)
		return give_back(gate, a, WAIT_FOR_KEY_NS);
	Meta *m = store_meta(gate->store);
	char detail[AUDIT_DETAIL_MAX];
	/* What a deleted key would seal, nobody could ever read. */
	bool given_up =
	        trouble == -EKEYEXPIRED || (is_away && is_of_run) || (a->job.attempts >= GATE_ATTEMPTS_MAX && !waits);
	snprintf(detail, sizeof detail, "attempt %" PRIu32 " %s: %s", a->job.attempts,
	        given_up ? "failed, given up" : "failed, will be tried again", fault_message());
	struct audit_event event = {
	        .event = "arrive",
	        .actor = a->actor,
	        .path = a->path,
	        .outcome = "error",
	        .err = -trouble,
	        .node = a->job.node,
	        .version = a->job.version,
	        .detail = detail,
	};
	meta_begin(m);
	int rc = audit_record(m, &event, NULL);
	int64_t delay = GATE_RETRY_NS * (int64_t)(a->job.attempts < 30 ? a->job.attempts : 30);
	if (rc >= 0)
		rc = given_up ? job_finish(m, a->job.id, 0) : job_requeue(m, a->job.id, meta_now(m) + delay);
	if (rc >= 0 && given_up)
		rc = run_job_given_up(m, a->job.id);
	return meta_end(m, rc);
}

enum taken { TAKEN_HELD_BACK, TAKEN_NOTHING, TAKEN_SETTLED, TAKEN_TO_RUN, TAKEN_TO_WALK, TAKEN_FROM_STAGING };

/* Takes the next job in turn, without a look at what it is about. */
static int take_in_turn(Gate *gate, Meta *m, struct arrival *a) {
	struct gate_turn turn;
	struct version version;
	bool held_back = false;
	gate_turn_next(gate, &turn);
	int rc = job_take_turn(m, &turn.turn, meta_now(m), copy_job, a, &held_back);
	if (rc == -ENOENT)
		return held_back ? TAKEN_HELD_BACK : TAKEN_NOTHING;
	if (rc >= 0 && a->job.version != 0 && version_get(m, a->job.version, &version) == 0)
		a->size = version.size;
	return rc < 0 ? rc : TAKEN_TO_RUN;
}

/* Whether what was taken needs a check (any more), with its path held if so: TAKEN_TO_RUN, TAKEN_FROM_STAGING; or else
 * TAKEN_TO_WALK for a directory; TAKEN_SETTLED. */
static int look_at(Gate *gate, Meta *m, struct arrival *a, int *ret_trouble) {
	struct node node = {0};
	a->below = gate_below(a->path, NULL);
	if (!a->below) {
		int rc = supersede(m, a, "its path lies in no zone");
		return rc < 0 ? rc : TAKEN_SETTLED;
	}
	if (a->job.kind == JOB_STAGED) /* which has no name to look at */
		return TAKEN_FROM_STAGING;
	if (a->job.kind == JOB_NAMES) /* nor this one: it looks at all */
		return TAKEN_TO_WALK;
	int rc = tree_resolve(m, bytes_of_string(a->path), &node);
	if (rc < 0 && rc != -ENOENT && rc != -ENOTDIR) {
		*ret_trouble = rc; /* a damaged row: the jobs behind this one must not wait for it */
		return TAKEN_SETTLED;
	}
	bool is_same = rc >= 0 && node.id == a->job.node && (a->job.kind == JOB_WALK || node.version == a->job.version);
	if (!is_same) {
		rc = supersede(m, a, rc < 0 ? "the name is gone" : "the name shows something newer");
		return rc < 0 ? rc : TAKEN_SETTLED;
	}
	if (a->job.kind == JOB_WALK)
		return TAKEN_TO_WALK;
	if (gate_path_try(gate, a->below))
		return TAKEN_TO_RUN;
	rc = job_put_back(m, a->job.id, meta_now(m) + GATE_RETRY_NS / 10);
	return rc < 0 ? rc : TAKEN_SETTLED;
}

static bool is_large(const struct arrival *a) {
	return a->size >= SPAWNER_SMALL_BYTES;
}

/* What was taken counts among its user's until gate_turn_end. */
static int take(Gate *gate, struct arrival *a) {
	Meta *m = store_meta(gate->store);
	int trouble = 0;
	meta_begin(m);
	int taken = take_in_turn(gate, m, a);
	if (taken != TAKEN_TO_RUN)
		return meta_end(m, taken);
	gate_turn_begin(gate, a->job.uid, is_large(a));
	taken = look_at(gate, m, a, &trouble);
	int rc = meta_end(m, taken < 0 ? taken : 0);
	if (rc < 0 && taken == TAKEN_TO_RUN)
		gate_path_done(gate, a->below);
	if (rc >= 0 && trouble < 0)
		rc = put_off(gate, a, trouble);
	if (rc < 0 || taken == TAKEN_SETTLED)
		gate_turn_end(gate, a->job.uid, is_large(a));
	return rc < 0 ? rc : taken;
}

/* ---- capture ---- */

/* Where the file goes in Raw. */
struct raw_place {
	uint64_t node, version;
	bool is_new;
	uint8_t sha256[32];
	bool has_sha256;
	uint64_t old_ino, parent_ino;
	char name[TREE_NAME_MAX + 1];
};

static int raw_prepare(Meta *m, const struct arrival *a, struct raw_place *place) {
	struct node source, node;
	char path[TREE_PATH_MAX];
	snprintf(path, sizeof path, "Raw/%s", a->below);
	int rc = tree_get(m, a->job.node, &source);
	if (rc < 0)
		return rc;
	rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc == -ENOENT) {
		uint32_t permissions = 0;
		rc = acl_mode_of_copy(m, &source, &permissions);
		source.zone = ZONE_RAW;
		source.mode = S_IFREG | (permissions & 0444);
		place->is_new = true;
		if (rc >= 0)
			rc = tree_create_orphan(m, &source, &node);
	} else if (rc >= 0 && !S_ISREG(node.mode)) {
		rc = fault(EEXIST, "%s is not a regular file", path);
	}
	if (rc < 0)
		return rc;
	place->node = node.id;
	place->version = node.version;
	place->old_ino = place->is_new ? 0 : node.ino;
	struct version version;
	if (node.version == 0)
		return 0;
	rc = version_get(m, node.version, &version);
	if (rc >= 0) {
		place->has_sha256 = version.has_sha256;
		memcpy(place->sha256, version.sha256, sizeof place->sha256);
		rc = tree_setattr(m, node.id, &source, TREE_MTIME, &node);
	}
	return rc;
}

struct captured {
	const struct arrival *a;
	struct raw_place *place;
};

static int capture_show(Meta *m, const struct version *sealed, void *arg) {
	struct captured *c = arg;
	struct raw_place *place = c->place;
	struct node source, node;
	uint64_t parent;
	struct bytes name;
	int rc = gate_check_there(m, c->a->job.version);
	if (rc >= 0)
		rc = tree_get(m, c->a->job.node, &source);
	if (rc >= 0)
		rc = gate_make_parents(m, ZONE_RAW, c->a->below, &source, &parent, &name);
	if (rc < 0)
		return rc;
	memcpy(place->name, name.data, name.size);
	place->name[name.size] = '\0';
	rc = tree_get(m, parent, &node);
	place->parent_ino = node.ino;
	struct node raw = {0};
	if (rc >= 0)
		rc = tree_get(m, place->node, &raw);
	if (rc >= 0 && raw.nlink == 0) /* new, or its name ended as what it showed was erased meanwhile */
		rc = tree_link(m, place->node, parent, name, &node);
	else if (rc >= 0) {
		uint64_t ino;
		rc = tree_new_ino(m, place->node, &ino);
	}
	if (rc >= 0)
		rc = lineage_put(m, sealed->id, c->a->job.version, LINEAGE_INPUT);
	char path[TREE_PATH_MAX];
	snprintf(path, sizeof path, "Raw/%s", c->a->below);
	struct audit_event event = {
	        .event = "capture",
	        .actor = c->a->actor,
	        .path = path,
	        .path2 = c->a->path,
	        .node = place->node,
	        .version = sealed->id,
	        .bytes = sealed->size,
	};
	return rc < 0 ? rc : audit_record(m, &event, NULL);
}

/* Content that Raw has already: a delivery, not a version. */
static int record_delivery(Gate *gate, const struct arrival *a, const struct raw_place *place) {
	Meta *m = store_meta(gate->store);
	struct delivery_row row = {
	        .node = place->node,
	        .version = place->version,
	        .path = bytes_of_string(a->path),
	        .uid = a->actor.uid,
	        .pid = a->actor.pid,
	};
	memcpy(row.sha256, place->sha256, sizeof row.sha256);
	struct audit_event event = {
	        .event = "deliver",
	        .actor = a->actor,
	        .path = a->path,
	        .node = place->node,
	        .version = place->version,
	        .detail = "Raw has these bytes already",
	};
	meta_begin(m);
	row.time_ns = meta_now(m);
	uint64_t id;
	int rc = gate_check_there(m, a->job.version);
	if (rc >= 0)
		rc = gate_check_there(m, place->version);
	if (rc >= 0)
		rc = delivery_put(m, &row, &id);
	if (rc >= 0)
		rc = lineage_put(m, place->version, a->job.version, LINEAGE_INPUT);
	if (rc == -EEXIST)
		rc = 0; /* the same job, run again after a crash */
	if (rc >= 0)
		rc = audit_record(m, &event, NULL);
	return meta_end(m, rc);
}

static int keep_in_raw(
        Gate *gate, const struct arrival *a, struct raw_place *place, Content *raw, const uint8_t sha256[static 32]) {
	bool is_same = place->has_sha256 && memcmp(place->sha256, sha256, sizeof place->sha256) == 0;
	int rc = is_same ? gate_key_is_same(gate, place->version, a->below, &is_same) : 0;
	if (rc < 0)
		return rc;
	if (is_same) {
		rc = content_drop(raw);
		return rc < 0 ? rc : record_delivery(gate, a, place);
	}
	struct captured captured = {.a = a, .place = place};
	struct version sealed;
	rc = content_seal(raw, ORIGIN_CAPTURE, 0, sha256, capture_show, &captured, &sealed);
	if (rc < 0)
		return rc;
	place->version = sealed.id;
	if (gate->options.changed)
		gate->options.changed(
		        gate->options.changed_arg, place->parent_ino, bytes_of_string(place->name), place->old_ino);
	return 0;
}

/* Reads the source once, into Raw and into the check. */
static int capture_and_check(Gate *gate, const struct arrival *a, struct judgement *j, struct raw_place *place) {
	_cleanup_(content_closep) Content *source = NULL;
	_cleanup_(content_closep) Content *raw = NULL;
	int rc = judge_time(gate, j, a->job.version);
	if (rc >= 0 && a->job.kind != JOB_ARRIVE && (rc = judge_reuse(gate, j, a->job.version)) > 0)
		return 0;
	if (rc >= 0)
		rc = content_open(gate->store, a->job.node, a->job.version, &source);
	if (rc >= 0 && a->job.kind == JOB_ARRIVE)
		rc = content_open(gate->store, place->node, 0, &raw);
	if (rc >= 0 && raw)
		rc = gate_key_content(gate, raw, a->below);
	if (rc >= 0 && raw)
		rc = content_truncate(raw, 0);
	if (rc >= 0 && raw)
		rc = content_touch(raw);
	struct gate_reader reader = {.source = source, .copy = raw, .watch = j->watch};
	j->may_split = j->dataset->on_failure == POLICY_SPLIT;
	bool is_read_twice = j->may_split || privacy_may_change(j->dataset->privacy);
	struct check_input input = {
	        .read = gate_read, .context = &reader, .again = is_read_twice ? gate_read_again : NULL};
	if (rc >= 0)
		rc = judge_check(gate, j, input, a->size);
	if (rc >= 0 && raw)
		rc = keep_in_raw(gate, a, place, raw, j->checked.sha256);
	if (rc < 0 && raw)
		(void)content_drop(raw);
	return rc;
}

/* ---- the whole job ---- */

/* Stores the verdict; a refusal ends the job. */
static int record(Gate *gate, const struct arrival *a, struct judgement *j, const struct raw_place *place,
        uint64_t *ret_verdict, enum outcome *ret_outcome) {
	Meta *m = store_meta(gate->store);
	struct withdrawn withdrawn;
	bool is_again = a->job.kind == JOB_RECHECK;
	meta_begin(m);
	int rc = is_again ? recheck_is_held(m, place->version, &j->is_held) : 0;
	if (rc >= 0)
		rc = judge_record(gate, m, j, place->node, place->version, ret_verdict, ret_outcome);
	bool fails_again = rc >= 0 && *ret_outcome == OUTCOME_FAILED && is_again;
	bool takes_out = fails_again && j->dataset->withdraw;
	if (fails_again && !takes_out)
		rc = recheck_mark(m, j, *ret_verdict);
	if (takes_out) {
		rc = recheck_withdraw(m, j, *ret_verdict, &withdrawn);
		takes_out = rc >= 0;
		rc = rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
	}
	if (rc >= 0 && *ret_outcome != OUTCOME_PASSED)
		rc = job_finish(m, a->job.id, *ret_verdict);
	rc = meta_end(m, rc);
	if (rc >= 0 && takes_out)
		recheck_withdrawn(gate, &withdrawn);
	return rc;
}

/* What passed is published altered; what that comes to stands in the verdict. Where places were changed, or rows left
 * out that rules have seen, it has to be such as may be published. */
static int alter(Gate *gate, struct judgement *j, const struct raw_place *place, struct split *part) {
	struct check_result *result = j->checked.result;
	bool passes = true;
	int rc = altered_take(gate, j, result, &part->altered);
	if (rc >= 0 && (part->altered.edits || result->privacy.dropped > 0)) {
		rc = altered_check(gate, j, result, place->node, place->version, &part->altered, &j->output, &passes);
		j->has_output = rc >= 0 && passes;
	} else if (rc >= 0) {
		rc = judge_output(gate, j, place->node, place->version, &part->altered);
	}
	memcpy(part->sha256, j->output.sha256, sizeof part->sha256);
	return rc;
}

static int decide(Gate *gate, struct arrival *a, struct judgement *j, const struct raw_place *place) {
	_cleanup_(split_release) struct split part = {0};
	uint8_t sha256[32];
	enum outcome outcome = OUTCOME_PASSED;
	memcpy(sha256, j->checked.sha256, sizeof sha256);
	int rc = 0;
	bool passed = j->checked.result->outcome == OUTCOME_PASSED;
	if (j->checked.result->withheld || j->checked.result->edits)
		rc = passed ? alter(gate, j, place, &part) : split(gate, j, place->node, place->version, &part);
	bool is_altered = altered_is_any(&part.altered);
	if (rc >= 0 && (passed || !is_altered))
		rc = record(gate, a, j, place, &part.verdict, &outcome);
	if (rc < 0 || outcome != OUTCOME_PASSED)
		return rc;
	struct publication p = {
	        .source_node = place->node,
	        .source_version = place->version,
	        .like_node = a->job.node, /* Raw's mode says that nobody writes there */
	        .below = a->below,
	        .verdict = part.verdict,
	        .policy = j->policy->number,
	        .altered = &part.altered,
	        .sha256 = is_altered ? part.sha256 : sha256,
	        .actor = a->actor,
	        .job = a->job.id,
	        .watch = j->watch,
	};
	return publish(gate, &p);
}

/* Why the file is not even read: what it is, or what stands where it would come. */
static int find_hindrance(
        Gate *gate, const struct arrival *a, struct gate_watch *watch, char ret_words[static GATE_WORDS_BYTES]) {
	_cleanup_(content_closep) Content *content = NULL;
	Meta *m = store_meta(gate->store);
	int rc = content_open(gate->store, a->job.node, a->job.version, &content);
	if (rc >= 0)
		rc = gate_unfit(content, watch, ret_words);
	if (rc < 0 || ret_words[0])
		return rc;
	meta_begin(m);
	if (a->job.kind == JOB_ARRIVE)
		rc = gate_blocked(m, ZONE_RAW, a->below, ret_words);
	if (rc >= 0 && !ret_words[0])
		rc = gate_blocked(m, ZONE_TRUSTED, a->below, ret_words);
	return meta_end(m, rc);
}

/* The verdict is on what stands in Landing itself: Raw gets nothing of it. */
static int refuse_unread(Gate *gate, const struct arrival *a, struct judgement *j, const char *words) {
	Meta *m = store_meta(gate->store);
	uint64_t verdict;
	enum outcome outcome;
	int rc = judge_unread(gate, j, a->size, words);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = judge_record(gate, m, j, a->job.node, a->job.version, &verdict, &outcome);
	if (rc >= 0)
		rc = job_finish(m, a->job.id, verdict);
	return meta_end(m, rc);
}

static int check_and_decide(Gate *gate, struct arrival *a, struct judgement *j) {
	struct raw_place place = {.node = a->job.node, .version = a->job.version};
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	int rc = meta_end(m, a->job.kind == JOB_ARRIVE ? raw_prepare(m, a, &place) : 0);
	if (rc >= 0)
		rc = capture_and_check(gate, a, j, &place);
	if (rc >= 0)
		rc = decide(gate, a, j, &place);
	if (rc < 0 && place.is_new) {
		/* the node has no name yet; once it has, this changes nothing */
		meta_begin(m);
		(void)meta_end(m, tree_forget(m, place.node));
	}
	return rc;
}

static int run(Gate *gate, struct arrival *a) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	Meta *m = store_meta(gate->store);
	struct gate_watch watch = {.gate = gate, .job = &a->job, .path = a->path};
	struct judgement j = {
	        .path = a->path,
	        .below = a->below,
	        .policy = policy,
	        .dataset = policy_dataset_for(policy->policy, a->below),
	        .actor = a->actor,
	        .watch = &watch,
	        .leaves_out = true,
	};
	if (!j.dataset) {
		meta_begin(m);
		return meta_end(m, supersede(m, a, "no dataset governs it any more"));
	}
	char words[GATE_WORDS_BYTES];
	int rc = find_hindrance(gate, a, &watch, words);
	if (rc >= 0)
		rc = words[0] ? refuse_unread(gate, a, &j, words) : check_and_decide(gate, a, &j);
	judgement_release(&j);
	return rc;
}

/* Done twice after a crash, it ends the same: queued jobs of a path are superseded by the next. */
static int walk(Gate *gate, const struct arrival *a) {
	int rc = a->job.kind == JOB_NAMES ? queue_names(gate, a->job.node, &a->actor)
	                                  : queue_below(gate, a->job.node, a->path, &a->actor);
	if (rc < 0)
		return put_off(gate, a, rc);
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	return meta_end(m, job_finish(m, a->job.id, 0));
}

static int run_taken(Gate *gate, struct arrival *a, int taken) {
	if (taken == TAKEN_TO_WALK)
		return walk(gate, a);
	int rc = taken == TAKEN_FROM_STAGING ? staged_run(gate, &a->job, a->path, &a->actor) : run(gate, a);
	if (rc < 0)
		rc = put_off(gate, a, rc);
	if (taken == TAKEN_TO_RUN)
		gate_path_done(gate, a->below);
	return rc;
}

int gate_run_due_job(Gate *gate, bool *ret_held_back) {
	struct arrival a = {0};
	fault_clear(); /* no words of the job before go into this one's records */
	int rc = take(gate, &a);
	*ret_held_back = rc == TAKEN_HELD_BACK;
	if (rc < 0 || rc == TAKEN_HELD_BACK || rc == TAKEN_NOTHING)
		return rc < 0 ? rc : 0;
	if (rc == TAKEN_SETTLED && a.is_of_workflow)
		gate_run_noted(gate, a.job.id, &a.actor);
	if (rc == TAKEN_SETTLED)
		return 1;
	rc = run_taken(gate, &a, rc);
	gate_turn_end(gate, a.job.uid, is_large(&a));
	if (a.is_of_workflow)
		gate_run_noted(gate, a.job.id, &a.actor);
	return rc < 0 ? rc : 1;
}
