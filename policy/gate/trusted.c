/* trusted: the doors into Trusted that are no arrivals: direct writes, renames, restores; and what is known of a file.
 */
#include "policy/gate/internal.h"

#include "backend/acl.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum gate_name gate_name_of(Gate *gate, const char *below) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	return policy_dataset_for(policy->policy, below) ? GATE_GOVERNED : GATE_TEMPORARY;
}

/* How often a policy may be changed while a file is judged, before its writer is told to try again. */
enum { JUDGE_TURNS = 5 };

bool gate_reaches(Gate *gate, const char *below) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	return policy_reaches(policy->policy, below);
}

bool gate_ignores(Gate *gate, const char *below) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	return policy_ignored(policy->policy, below);
}

static int refuse(const struct judgement *j, enum outcome outcome, const char *reason) {
	return fault(EPERM, "%s %s the checks of dataset %s: %s (assayfs why '%s')", j->path,
	        outcome == OUTCOME_FAILED ? "did not pass" : "could not be judged by", j->dataset->name,
	        reason ? reason : "no reason given", j->path);
}

/* What is published, beyond what was judged: see struct publication. */
struct asked {
	uint64_t node, version;
	const uint64_t *only_over;
	uint64_t from_parent;
	struct bytes from_name;
};

static int judge_and_publish(Gate *gate, struct judgement *j, const struct asked *asked) {
	Meta *m = store_meta(gate->store);
	int rc = judge_version(gate, j, asked->node, asked->version, NULL);
	if (rc < 0)
		return rc;
	uint8_t sha256[32];
	memcpy(sha256, j->checked.sha256, sizeof sha256);
	_cleanup_(freep) char *reason = j->checked.result->reason ? strdup(j->checked.result->reason) : NULL;
	uint64_t verdict;
	enum outcome outcome;
	meta_begin(m);
	rc = meta_end(m, judge_record(gate, m, j, asked->node, asked->version, &verdict, &outcome));
	if (rc < 0)
		return rc;
	if (outcome != OUTCOME_PASSED)
		return refuse(j, outcome, reason);
	struct publication p = {
	        .source_node = asked->node,
	        .source_version = asked->version,
	        .below = j->below,
	        .verdict = verdict,
	        .policy = j->policy->number,
	        .sha256 = sha256,
	        .actor = j->actor,
	        .only_over = asked->only_over,
	        .from_parent = asked->from_parent,
	        .from_name = asked->from_name,
	};
	return publish(gate, &p);
}

static int judge_once(Gate *gate, const struct asked *asked, const char *below, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	char path[TREE_PATH_MAX];
	snprintf(path, sizeof path, "Trusted/%s", below);
	struct judgement j = {
	        .path = path,
	        .below = below,
	        .policy = policy,
	        .dataset = policy_dataset_for(policy->policy, below),
	        .actor = *actor,
	};
	if (!j.dataset)
		return fault(EPERM, "no dataset governs %s, so nothing can be published there (assayfs why '%s')", path,
		        path);
	int rc = gate_path_take(gate, below);
	if (rc < 0)
		return rc;
	rc = judge_and_publish(gate, &j, asked);
	judgement_release(&j);
	gate_path_done(gate, below);
	return rc;
}

static int judge(Gate *gate, const struct asked *asked, const char *below, const struct actor *actor) {
	int rc = -EAGAIN;
	for (int turn = 0; rc == -EAGAIN && turn < JUDGE_TURNS; turn++) {
		if (turn > 0) /* a policy is stored a moment before it is handed out */
			nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
		rc = judge_once(gate, asked, below, actor);
	}
	return rc;
}

int gate_judge_version(Gate *gate, uint64_t node, uint64_t version, const char *below, const struct actor *actor,
        uint64_t from_parent, struct bytes from_name) {
	struct asked asked = {.node = node, .version = version, .from_parent = from_parent, .from_name = from_name};
	return judge(gate, &asked, below, actor);
}

int judge_over(Gate *gate, uint64_t node, uint64_t version, const char *below, const struct actor *actor,
        const uint64_t *only_over) {
	struct asked asked = {.node = node, .version = version, .only_over = only_over};
	return judge(gate, &asked, below, actor);
}

static int closed(Meta *m, const struct version *sealed, void *arg) {
	(void)arg;
	return staged_closed(m, sealed->node, sealed->id);
}

int gate_judge_staged(Gate *gate, Content *staged, const char *below, const struct actor *actor) {
	struct version sealed;
	int rc = content_seal(staged, ORIGIN_WRITE, 0, NULL, closed, NULL, &sealed);
	if (rc == -ENODATA)
		return 0;
	if (rc < 0)
		return rc;
	return gate_judge_version(gate, sealed.node, sealed.id, below, actor, 0, (struct bytes){0});
}

static const char closed_by_another[] = "closed otherwise than by the process that opened it: what it holds may be a "
                                        "part; write it anew and close it";

int gate_refuse_staged(Gate *gate, Content *staged, const char *below, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	char path[TREE_PATH_MAX];
	snprintf(path, sizeof path, "Trusted/%s", below);
	struct judgement j = {
	        .path = path,
	        .below = below,
	        .policy = policy,
	        .dataset = policy_dataset_for(policy->policy, below),
	        .actor = *actor,
	};
	struct version sealed;
	int rc = content_seal(staged, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed);
	if (rc == -ENODATA || !j.dataset)
		return 0;
	if (rc >= 0) /* an empty one fails as what it is */
		rc = judge_version(gate, &j, sealed.node, sealed.id, sealed.size == 0 ? NULL : closed_by_another);
	Meta *m = store_meta(gate->store);
	uint64_t verdict;
	enum outcome outcome = OUTCOME_ERROR;
	if (rc >= 0) {
		meta_begin(m);
		rc = judge_record(gate, m, &j, sealed.node, sealed.id, &verdict, &outcome);
		if (rc >= 0)
			rc = gate_staged_forget(m, sealed.node);
		rc = meta_end(m, rc);
	}
	judgement_release(&j);
	return rc;
}

/* ---- restore ---- */

struct wanted_version {
	uint64_t ordinal, last;
	struct version version;
};

static int pick_version(void *arg, uint64_t ordinal, const struct version *version) {
	struct wanted_version *wanted = arg;
	wanted->last = ordinal;
	if (ordinal == wanted->ordinal)
		wanted->version = *version;
	return 0;
}

struct restoring {
	const char *path, *below;
	enum zone zone;
	const struct actor *actor;
	uint64_t parent;
	struct bytes name;
	gate_restore_allow *allow;
	void *allow_arg;
	struct wanted_version wanted;
	uint64_t old_ino, parent_ino;
};

static int find_version(Meta *m, struct restoring *r) {
	const char *slash = strrchr(r->path, '/');
	struct node parent;
	int rc = tree_resolve_past(m, bytes_of(r->path, (size_t)(slash - r->path)), &parent, NULL);
	if (rc < 0)
		return rc == -ENOENT ? fault(ENOENT, "%s has no versions", r->path) : rc;
	r->parent = parent.id;
	r->name = bytes_of_string(slash + 1);
	rc = version_list_path(m, parent.id, r->name, pick_version, &r->wanted);
	if (rc < 0)
		return rc;
	if (r->wanted.version.id != 0 && r->wanted.version.state == VERSION_WITHDRAWN)
		return fault(ENOENT,
		        "version %" PRIu64 " of %s was withdrawn from Trusted, and comes back by passing again: "
		        "'assayfs quarantine release', or copy the file into Landing again",
		        r->wanted.ordinal, r->path);
	if (r->wanted.version.id == 0 || r->wanted.version.state != VERSION_SEALED)
		return fault(ENOENT, "%s has no version %" PRIu64 "%s; assayfs versions '%s' lists them", r->path,
		        r->wanted.ordinal, r->wanted.version.id ? " any more" : "", r->path);
	return r->allow ? r->allow(r->allow_arg, m, &r->wanted.version) : 0;
}

/* The node that stands at the path; else the version's own with its name given back, when it has no other by now; else
 * a new one. */
static int restore_target(Meta *m, struct restoring *r, struct node *ret_node) {
	int rc = tree_resolve(m, bytes_of_string(r->path), ret_node);
	if (rc >= 0) {
		r->old_ino = ret_node->ino;
		return S_ISREG(ret_node->mode) ? 0 : fault(EISDIR, "%s is no regular file", r->path);
	}
	if (rc != -ENOENT)
		return rc;
	struct node owner;
	uint64_t parent;
	struct bytes name;
	rc = tree_get(m, r->wanted.version.node, &owner);
	if (rc >= 0)
		rc = gate_make_parents(m, r->zone, r->below, &owner, &parent, &name);
	if (rc < 0)
		return rc;
	if (owner.nlink == 0)
		return tree_link(m, owner.id, parent, name, ret_node);
	/* It lives on under another name, which must not change: a file of its own. */
	uint32_t permissions = 0;
	rc = acl_mode_of_copy(m, &owner, &permissions);
	if (rc < 0)
		return rc;
	struct node fresh = {.mode = S_IFREG | permissions, .uid = owner.uid, .gid = owner.gid};
	return tree_create(m, parent, name, &fresh, (struct bytes){0}, ret_node);
}

static int restore_here(Gate *gate, Meta *m, struct restoring *r) {
	struct node node, directory;
	struct version draft, sealed;
	int rc = restore_target(m, r, &node);
	if (rc < 0)
		return rc;
	rc = version_draft(m, node.id, r->wanted.version.id, (enum zone)r->wanted.version.zone, &draft);
	if (rc == -EEXIST)
		return fault(EBUSY, "%s is open for writing; close it first", r->path);
	struct node attributes = {.mtime = meta_stamp(m)};
	if (rc >= 0)
		rc = tree_setattr(m, node.id, &attributes, TREE_MTIME, &node);
	if (rc >= 0)
		rc = version_seal(m, draft.id, ORIGIN_RESTORE, 0,
		        r->wanted.version.has_sha256 ? r->wanted.version.sha256 : NULL, &sealed);
	uint64_t ino;
	if (rc >= 0)
		rc = tree_new_ino(m, node.id, &ino);
	if (rc >= 0)
		rc = tree_get(m, r->parent, &directory);
	if (rc < 0)
		return rc;
	r->parent_ino = directory.ino;
	if (rc >= 0)
		rc = lineage_put(m, sealed.id, r->wanted.version.id, LINEAGE_RESTORED);
	char detail[64];
	snprintf(detail, sizeof detail, "version %" PRIu64, r->wanted.ordinal);
	struct audit_event event = {
	        .event = "restore",
	        .actor = *r->actor,
	        .path = r->path,
	        .node = node.id,
	        .version = sealed.id,
	        .bytes = sealed.size,
	        .detail = detail,
	};
	if (rc >= 0)
		rc = audit_record(m, &event, NULL);
	if (rc >= 0)
		rc = gate_arrived_everywhere(gate, m, node.id, sealed.id, r->actor);
	return rc;
}

static int check_unwritten(Gate *gate, Meta *m, const char *path) {
	struct node node;
	meta_begin(m);
	int rc = meta_end(m, tree_resolve(m, bytes_of_string(path), &node));
	if (rc < 0 || !gate->options.is_written || !gate->options.is_written(gate->options.changed_arg, node.ino))
		return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
	return fault(EBUSY, "%s is open for writing; close it first", path);
}

int gate_restore(Gate *gate, const char *path, uint64_t ordinal, const struct actor *actor, gate_restore_allow *allow,
        void *allow_arg, uint64_t *ret_ordinal) {
	struct restoring r = {
	        .path = path, .actor = actor, .allow = allow, .allow_arg = allow_arg, .wanted.ordinal = ordinal};
	r.below = gate_below(path, &r.zone);
	if (!r.below)
		return fault(EINVAL, "%s lies in no zone; name a path below Landing/ or Trusted/", path);
	if (r.zone == ZONE_RAW)
		return fault(EPERM, "%s: nothing in Raw is changed; copy the version out of .assayfs/versions/", path);
	Meta *m = store_meta(gate->store);
	int rc = r.zone == ZONE_LANDING ? check_unwritten(gate, m, path) : 0;
	if (rc < 0)
		return fault_while(rc, "restoring %s@%" PRIu64, path, ordinal);
	meta_begin(m);
	rc = find_version(m, &r);
	if (rc >= 0 && r.zone == ZONE_LANDING)
		rc = restore_here(gate, m, &r);
	rc = meta_end(m, rc);
	if (rc < 0)
		return fault_while(rc, "restoring %s@%" PRIu64, path, ordinal);
	*ret_ordinal = r.wanted.last + 1;
	if (r.zone == ZONE_TRUSTED)
		return gate_judge_version(
		        gate, r.wanted.version.node, r.wanted.version.id, r.below, actor, 0, (struct bytes){0});
	if (gate->options.changed)
		gate->options.changed(gate->options.changed_arg, r.parent_ino, r.name, r.old_ino);
	return 0;
}

/* ---- what is known of a file ---- */

struct found_verdict {
	uint64_t id, version;
	uint8_t outcome;
};

static int take_verdict(void *arg, const struct verdict_row *row) {
	struct found_verdict *found = arg;
	found->id = row->id;
	found->version = row->version;
	found->outcome = row->outcome;
	return 0;
}

static int has_job(void *arg, const struct job *job) {
	(void)job;
	*(bool *)arg = true;
	return 1;
}

static enum outcome outcome_of(const struct found_verdict *found) {
	switch (found->outcome) {
	case VERDICT_PASSED:
		return OUTCOME_PASSED;
	case VERDICT_FAILED:
		return OUTCOME_FAILED;
	case VERDICT_ERROR:
		return OUTCOME_ERROR;
	default:
		return OUTCOME_NONE;
	}
}

struct products {
	uint64_t versions[8];
	size_t count;
};

static int take_product(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	(void)source;
	struct products *products = arg;
	if (role == LINEAGE_INPUT && products->count < sizeof products->versions / sizeof products->versions[0])
		products->versions[products->count++] = version;
	return 0;
}

/* Landing's version was judged as the version of Raw that was made of it, or itself when Raw got nothing. */
static int verdict_of_version(Meta *m, enum zone zone, uint64_t version, struct found_verdict *found) {
	if (zone == ZONE_TRUSTED) {
		struct version sealed;
		int rc = version_get(m, version, &sealed);
		return rc < 0 || sealed.verdict == 0 ? rc : verdict_get(m, sealed.verdict, take_verdict, found);
	}
	struct products products = {.versions = {version}, .count = 1};
	int rc = zone == ZONE_LANDING ? lineage_products(m, version, take_product, &products) : 0;
	for (size_t i = products.count; rc >= 0 && found->id == 0 && i-- > 0;) {
		rc = verdict_latest_for_version(m, products.versions[i], take_verdict, found);
		if (rc == -ENOENT)
			rc = 0;
	}
	return rc;
}

struct sought {
	uint64_t source;
	bool is_there;
};

static int seek_source(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	(void)version;
	struct sought *sought = arg;
	sought->is_there = sought->is_there || (role == LINEAGE_INPUT && source == sought->source);
	return 0;
}

/* Of a file with several names each has its own verdict: what one dataset let pass under one says nothing of another.
 */
static int verdict_of_name(Meta *m, const char *path, uint64_t version, struct found_verdict *found) {
	struct found_verdict latest = {0};
	struct sought sought = {.source = version};
	int rc = verdict_latest_for_path(m, bytes_of_string(path), take_verdict, &latest);
	if (rc >= 0)
		rc = lineage_sources(m, latest.version, seek_source, &sought);
	if (rc >= 0 && (sought.is_there || latest.version == version))
		*found = latest;
	return rc == -ENOENT ? 0 : rc;
}

int gate_version_outcome(Meta *m, const struct version *version, enum outcome *ret_outcome) {
	struct found_verdict found = {0};
	int rc = verdict_of_version(m, (enum zone)version->zone, version->id, &found);
	if (rc < 0)
		return rc;
	*ret_outcome = outcome_of(&found);
	return 0;
}

int gate_outcome(Meta *m, const char *path, const struct node *node, enum outcome *ret_outcome, uint64_t *ret_verdict) {
	struct found_verdict found = {0};
	bool pending = false;
	enum zone zone = (enum zone)node->zone;
	int rc = 0;
	if (zone == ZONE_LANDING)
		rc = job_list_path(m, bytes_of_string(path), has_job, &pending);
	if (rc >= 0 && node->version != 0)
		rc = zone == ZONE_LANDING && node->nlink > 1 ? verdict_of_name(m, path, node->version, &found)
		                                             : verdict_of_version(m, zone, node->version, &found);
	if (rc < 0)
		return rc;
	*ret_outcome = pending ? OUTCOME_PENDING : outcome_of(&found);
	if (ret_verdict)
		*ret_verdict = found.id;
	return 0;
}

/* Is that verdict of what is published, which was judged again, and not of something that came after it? */
static int is_of_shown(Meta *m, const char *below, uint64_t verdict, bool *ret_is) {
	char path[TREE_PATH_MAX];
	struct node node;
	struct stale stale;
	*ret_is = false;
	snprintf(path, sizeof path, "Trusted/%s", below);
	int rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc >= 0)
		rc = stale_get(m, node.version, &stale);
	*ret_is = rc >= 0 && stale.verdict == verdict;
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

int gate_newer(Meta *m, const char *below, enum outcome *ret_outcome) {
	char path[TREE_PATH_MAX];
	struct node node;
	uint64_t verdict = 0;
	bool is_shown = false;
	*ret_outcome = OUTCOME_NONE;
	snprintf(path, sizeof path, "Landing/%s", below);
	int rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return 0;
	if (rc >= 0)
		rc = gate_outcome(m, path, &node, ret_outcome, &verdict);
	if (rc >= 0 && *ret_outcome == OUTCOME_FAILED)
		rc = is_of_shown(m, below, verdict, &is_shown);
	if (rc >= 0 && (*ret_outcome == OUTCOME_PASSED || is_shown))
		*ret_outcome = OUTCOME_NONE;
	return rc;
}
