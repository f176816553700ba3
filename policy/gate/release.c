/*
 * release: what a steward decides about what is held.
 *
 *     release ─► checked now ── passes ───────────────────► verdict ─► published, row released  (one operation)
 *                    │ does not                                 ▲
 *                    ├── with a waiver ─► verdict that names it ┘     kv "gate.waiver.VERDICT" ─► until when
 *                    └── without ─► refused, the row is held on
 *
 * The kv row is there to be found; that a waiver was given, by whom and why, stands in the signed verdict.
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_PREFIX "gate.waiver."
enum { KEY_BYTES = 40 };

/* What is held, and where it would go. */
struct held {
	struct quarantine_row row;
	uint64_t node, version; /* of the whole file */
	char path[TREE_PATH_MAX];
	const char *below;
	uint64_t shown; /* what Trusted/below shows; 0: nothing */
};

static int take_source(void *arg, const struct verdict_row *row) {
	struct held *held = arg;
	held->node = row->node;
	held->version = row->version;
	return 0;
}

static int get_held(Meta *m, uint64_t id, struct held *held) {
	int rc = quarantine_get(m, id, &held->row, held->path);
	if (rc == -ENOENT)
		return fault(ENOENT, "there is no such id; 'assayfs quarantine list --all' shows them");
	if (rc >= 0 && held->row.state != QUARANTINE_HELD)
		return fault(
		        EALREADY, "it was %s before", held->row.state == QUARANTINE_RELEASED ? "released" : "dropped");
	held->node = held->row.node;
	held->version = held->row.version;
	return rc;
}

int release_check_reason(const char *reason) {
	size_t size = strlen(reason);
	if (size == 0 || strspn(reason, " \t\n") == size)
		return fault(EINVAL, "a reason is needed; it stands in the audit log");
	if (size > GATE_REASON_BYTES_MAX || utf8_valid_prefix(reason, size) < size)
		return fault(EINVAL, "the reason must be UTF-8 text of at most %d bytes", GATE_REASON_BYTES_MAX);
	return 0;
}

static struct audit_event event_of(
        const struct gate_decision *d, const char *path, char detail[static AUDIT_DETAIL_MAX]) {
	return (struct audit_event){.actor = d->actor, .path = path, .detail = detail};
}

/* ---- dropping ---- */

int gate_drop(Gate *gate, const struct gate_decision *d) {
	Meta *m = store_meta(gate->store);
	_cleanup_(freep) struct held *held = calloc(1, sizeof *held);
	char detail[AUDIT_DETAIL_MAX];
	if (!held)
		return fault(ENOMEM, "dropping from quarantine");
	int rc = release_check_reason(d->reason);
	if (rc < 0)
		return rc;
	snprintf(detail, sizeof detail, "quarantine %" PRIu64 ": %s", d->id, d->reason);
	struct audit_event event = event_of(d, held->path, detail);
	event.event = "quarantine-drop";
	meta_begin(m);
	rc = get_held(m, d->id, held);
	if (rc >= 0)
		rc = quarantine_decide(m, d->id, QUARANTINE_DROPPED, d->actor.uid);
	if (rc >= 0)
		rc = audit_record(m, &event, NULL);
	return meta_end(m, rc);
}

/* ---- waivers ---- */

static void key_of(uint64_t verdict, char ret_key[static KEY_BYTES]) {
	snprintf(ret_key, KEY_BYTES, KEY_PREFIX "%" PRIu64, verdict);
}

int gate_waived_until(Meta *m, uint64_t version, int64_t *ret_until_ns) {
	char key[KEY_BYTES];
	uint8_t packed[8];
	size_t size = 0;
	struct version sealed;
	*ret_until_ns = 0;
	int rc = version_get(m, version, &sealed);
	if (rc < 0 || sealed.verdict == 0)
		return rc;
	key_of(sealed.verdict, key);
	rc = meta_kv_get(m, key, packed, sizeof packed, &size);
	if (rc >= 0 && size == sizeof packed)
		*ret_until_ns = (int64_t)le64_get(packed);
	return rc == -ENOENT ? 0 : rc;
}

static int take_path(void *arg, const struct verdict_row *row) {
	char *path = arg;
	size_t size = row->path.size < TREE_PATH_MAX ? row->path.size : TREE_PATH_MAX - 1;
	memcpy(path, row->path.data, size);
	path[size] = '\0';
	return 0;
}

/* Where Trusted shows what that verdict let out: "" when it does no more. */
static int find_shown(Meta *m, uint64_t verdict, char ret_path[static TREE_PATH_MAX + 8]) {
	char judged[TREE_PATH_MAX];
	struct node node;
	struct version version = {0};
	ret_path[0] = '\0';
	int rc = verdict_get(m, verdict, take_path, judged);
	const char *below = rc >= 0 ? gate_below(judged, NULL) : NULL;
	if (rc < 0 || !below)
		return rc;
	snprintf(ret_path, TREE_PATH_MAX + 8, "Trusted/%s", below);
	rc = tree_resolve(m, bytes_of_string(ret_path), &node);
	if (rc >= 0 && node.version != 0)
		rc = version_get(m, node.version, &version);
	if (version.verdict != verdict)
		ret_path[0] = '\0';
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

static int walk_waivers(Meta *m, gate_waiver_fn *each, void *arg, bool sweeps) {
	char key[KEY_BYTES] = KEY_PREFIX, path[TREE_PATH_MAX + 8];
	uint8_t packed[8];
	size_t size = 0;
	int rc;
	while ((rc = meta_kv_next(m, KEY_PREFIX, key, key, sizeof key, packed, sizeof packed, &size)) >= 0) {
		rc = find_shown(m, strtoull(key + strlen(KEY_PREFIX), NULL, 10), path);
		if (rc >= 0 && path[0] && each)
			rc = each(arg, path, (int64_t)le64_get(packed));
		else if (rc >= 0 && !path[0] && sweeps)
			rc = meta_kv_remove(m, key);
		if (rc < 0)
			return rc;
	}
	return rc == -ENOENT ? 0 : rc;
}

int gate_waivers(Meta *m, gate_waiver_fn *each, void *arg) {
	return walk_waivers(m, each, arg, false);
}

/* Those of files that Trusted does not show any more go, so that there are never many. */
static int put_waiver(Meta *m, uint64_t verdict, int64_t until_ns) {
	char key[KEY_BYTES];
	uint8_t packed[8];
	int rc = walk_waivers(m, NULL, NULL, true);
	key_of(verdict, key);
	le64_put(packed, (uint64_t)until_ns);
	return rc < 0 ? rc : meta_kv_put(m, key, bytes_of(packed, sizeof packed));
}

/* ---- releasing ---- */

int release_record(Meta *m, const struct release *release, uint64_t verdict) {
	const struct gate_decision *d = release->decision;
	char detail[AUDIT_DETAIL_MAX];
	snprintf(detail, sizeof detail, "quarantine %" PRIu64 ", %s, verdict %" PRIu64 ": %s", d->id,
	        release->is_waived ? "waived" : "passed", verdict, d->reason);
	struct audit_event event = event_of(d, release->path, detail);
	event.event = "quarantine-release";
	int rc = quarantine_decide(m, d->id, QUARANTINE_RELEASED, d->actor.uid);
	if (rc >= 0 && release->is_waived)
		rc = put_waiver(m, verdict, d->waiver_until_ns);
	return rc < 0 ? rc : audit_record(m, &event, NULL);
}

struct same {
	Meta *meta;
	const struct version *version;
	uint64_t found;
	bool is_part; /* of what it was made of */
};

static int take_same(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	struct same *same = arg;
	struct version candidate;
	(void)version;
	if (role != LINEAGE_INPUT || version_get(same->meta, source, &candidate) < 0)
		return 0;
	if (candidate.state != VERSION_SEALED || !candidate.has_sha256 || !same->version->has_sha256)
		return 0;
	if (memcmp(candidate.sha256, same->version->sha256, sizeof candidate.sha256) == 0)
		same->found = source;
	else
		same->is_part = true;
	return 0;
}

/* What was withdrawn from Trusted is shown no more; what it was made of has the same bytes. */
static int find_readable(Meta *m, struct held *held) {
	struct version version;
	int rc = version_get(m, held->version, &version);
	if (rc < 0 || version.state == VERSION_SEALED)
		return rc;
	struct same same = {.meta = m, .version = &version};
	rc = lineage_sources(m, version.id, take_same, &same);
	if (rc >= 0 && same.found == 0)
		return fault(ESTALE, same.is_part
		                             ? "what was withdrawn is a part of a file, without the rows that were "
		                               "left out of it; copy the whole file, which Raw has, into "
		                               "Landing again"
		                             : "its version was withdrawn; copy the file in again");
	if (rc >= 0)
		rc = version_get(m, same.found, &version);
	held->node = version.node;
	held->version = version.id;
	return rc;
}

/* Monday's file must not come over Tuesday's unseen; the rest of the very file that was split may. */
static int check_shown(Meta *m, struct held *held) {
	char path[TREE_PATH_MAX + 8];
	struct node node;
	struct version version;
	snprintf(path, sizeof path, "Trusted/%s", held->below);
	int rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return 0;
	held->shown = node.version;
	if (rc >= 0 && node.version != 0)
		rc = version_get(m, node.version, &version);
	if (rc < 0 || node.version == 0)
		return rc;
	bool is_own = held->row.partial && version.verdict == held->row.verdict;
	return is_own || version.sealed_time <= held->row.time_ns
	               ? 0
	               : fault(EBUSY, "%s shows something newer than what is held; drop this one", path);
}

static int find_held(Meta *m, uint64_t id, struct held *held) {
	int rc = get_held(m, id, held);
	if (rc >= 0 && held->row.partial)
		rc = verdict_get(m, held->row.verdict, take_source, held);
	if (rc < 0)
		return rc;
	held->below = gate_below(held->path, NULL);
	if (!held->below)
		return fault(EPERM, "%s lies in no zone, so it can't be published", held->path);
	rc = find_readable(m, held);
	return rc < 0 ? rc : check_shown(m, held);
}

static int add_waiver(Gate *gate, struct judgement *j, const struct gate_decision *d) {
	if (d->waiver_until_ns <= meta_now(store_meta(gate->store)))
		return fault(EINVAL, "the waiver's time is over already; give a date to come");
	if (sodium_is_zero(j->checked.sha256, sizeof j->checked.sha256))
		return fault(EPERM, "it was never read, so no waiver can say which bytes it is about: %s",
		        j->checked.result->reason);
	struct verdict_waiver *waiver = j->waiver = calloc(1, sizeof *waiver);
	if (!waiver)
		return fault(ENOMEM, "writing a waiver");
	waiver->reason = strdup(d->reason);
	waiver->by = strdup(d->by);
	waiver->uid = d->actor.uid;
	waiver->quarantine = d->id;
	waiver->until_ns = d->waiver_until_ns;
	return waiver->reason && waiver->by ? 0 : fault(ENOMEM, "writing a waiver");
}

/* The row stays held; that somebody tried, and why it was not let out, is recorded. */
static int refuse(Gate *gate, struct judgement *j, const struct held *held, const struct gate_decision *d) {
	Meta *m = store_meta(gate->store);
	char detail[AUDIT_DETAIL_MAX];
	const char *reason = j->checked.result->reason;
	snprintf(detail, sizeof detail, "quarantine %" PRIu64 ": it does not pass: %s", d->id, reason ? reason : "");
	struct audit_event event = event_of(d, held->path, detail);
	event.event = "quarantine-release";
	event.outcome = "denied";
	event.err = EPERM;
	meta_begin(m);
	int rc = meta_end(m, audit_record(m, &event, NULL));
	bool is_waivable = !privacy_may_change(j->dataset->privacy) && j->checked.result->dropped == 0;
	return rc < 0 ? rc
	              : fault(EPERM, "it still does not pass: %s; %s", reason ? reason : "no reason given",
	                        is_waivable ? "--waiver-until DATE lets it through on your word"
	                                    : "copy it into Landing again, corrected where a rule is broken");
}

static int let_out(
        Gate *gate, struct judgement *j, const struct held *held, const struct gate_decision *d, bool is_waived) {
	Meta *m = store_meta(gate->store);
	struct release release = {.decision = d, .path = held->path, .is_waived = is_waived};
	uint8_t sha256[32];
	struct publication p = {
	        .source_node = held->node,
	        .source_version = held->version,
	        .below = held->below,
	        .policy = j->policy->number,
	        .sha256 = sha256,
	        .actor = d->actor,
	        .only_over = &held->shown,
	        .release = &release,
	};
	enum outcome outcome;
	memcpy(sha256, j->checked.sha256, sizeof sha256);
	meta_begin(m);
	int rc = meta_end(m, judge_record(gate, m, j, held->node, held->version, &p.verdict, &outcome));
	return rc < 0 ? rc : publish(gate, &p);
}

/* What a dataset does with personal data nobody waives by letting the file out as it stands; of one that could not be
 * read it is not known what it holds. */
static bool is_to_be_changed(const struct policy_dataset *dataset, const struct check_result *result) {
	bool may = privacy_may_change(dataset->privacy), is = result->outcome == OUTCOME_ERROR || !result->has_privacy;
	for (size_t i = 0; i < result->privacy.finding_count; i++) {
		const struct check_finding *finding = &result->privacy.findings[i];
		is = is || (finding->acts && privacy_changes(finding->action) && finding->matches > 0);
	}
	return may && is;
}

static int judge_and_let_out(
        Gate *gate, struct judgement *j, const struct held *held, const struct gate_decision *d, bool *ret_waived) {
	int rc = judge_version(gate, j, held->node, held->version, NULL);
	if (rc < 0)
		return rc;
	const struct check_result *result = j->checked.result;
	bool passes = result->outcome == OUTCOME_PASSED;
	if (!passes && d->waiver_until_ns == 0)
		return refuse(gate, j, held, d);
	if (!passes && is_to_be_changed(j->dataset, result))
		return fault(EPERM,
		        "a waiver lets a file out as it stands, and the dataset's privacy would change what it holds; "
		        "copy it into Landing again, corrected where a rule is broken");
	if (!passes && result->dropped > 0)
		return fault(EPERM,
		        "a waiver lets a file out as it stands, and the dataset's keep drops %" PRIu64
		        " of its rows; take those out and copy the file in again",
		        result->dropped);
	if (!passes)
		rc = add_waiver(gate, j, d);
	if (rc >= 0)
		rc = let_out(gate, j, held, d, !passes);
	*ret_waived = !passes;
	return rc;
}

static int release_held(Gate *gate, const struct gate_decision *d, struct held *held, bool *ret_waived) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	Meta *m = store_meta(gate->store);
	struct judgement j = {.path = held->path,
	        .below = held->below,
	        .policy = policy,
	        .dataset = policy_dataset_for(policy->policy, held->below),
	        .actor = d->actor,
	        .is_held = true};
	if (!j.dataset)
		return fault(EPERM, "no dataset governs Trusted/%s any more, so nothing can be published there",
		        held->below);
	meta_begin(m); /* once more: with the path held, nothing changes under the decision */
	int rc = meta_end(m, find_held(m, d->id, held));
	if (rc >= 0)
		rc = judge_and_let_out(gate, &j, held, d, ret_waived);
	judgement_release(&j);
	return rc;
}

int gate_release(Gate *gate, const struct gate_decision *d, bool *ret_waived) {
	Meta *m = store_meta(gate->store);
	_cleanup_(freep) struct held *held = calloc(1, sizeof *held);
	char below[TREE_PATH_MAX];
	if (!held)
		return fault(ENOMEM, "releasing from quarantine");
	int rc = release_check_reason(d->reason);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = meta_end(m, find_held(m, d->id, held));
	if (rc < 0)
		return rc;
	snprintf(below, sizeof below, "%s", held->below);
	rc = gate_path_take(gate, below);
	if (rc < 0)
		return rc;
	rc = release_held(gate, d, held, ret_waived);
	gate_path_done(gate, below);
	return rc == -EAGAIN ? fault(EAGAIN, "another policy came into force meanwhile; try again") : rc;
}
