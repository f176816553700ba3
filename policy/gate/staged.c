/*
 * staged: what is being written into Trusted, as rows, and what becomes of it after a crash.
 *
 *      kv "staged.NODE" ─► writer (uid, gid, pid, program) │ path below Trusted
 *                          the version that its writer closed, 0: none yet
 *                          what the name showed then, 0: nothing
 *                          queued: a job has taken it over
 *
 * The row comes with the node and goes with its publication, its refusal or its end; only what is there at gate_start
 * was left by a crash, or by an unmount with files open.
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_PREFIX "staged."
enum { KEY_BYTES = 32 };

struct row {
	uint64_t closed, base, queued;
	struct actor actor;
	char below[TREE_PATH_MAX];
};

/* As stored: six integers of 8 bytes, the program's name, then the path without NUL. */
enum { ROW_NUMBERS = 6, ROW_EXE = 8 * ROW_NUMBERS, ROW_PATH = ROW_EXE + 64 };
enum { ROW_BYTES_MAX = ROW_PATH + TREE_PATH_MAX };

static void key_of(uint64_t node, char ret_key[static KEY_BYTES]) {
	snprintf(ret_key, KEY_BYTES, KEY_PREFIX "%" PRIu64, node);
}

static int row_unpack(const uint8_t *packed, size_t size, struct row *ret_row) {
	static_assert(sizeof ret_row->actor.exe == ROW_PATH - ROW_EXE, "the name's place is as long as the name");
	if (size < ROW_PATH || size - ROW_PATH >= sizeof ret_row->below)
		return fault(EUCLEAN, "a row of what is written into Trusted is malformed");
	ret_row->closed = le64_get(packed);
	ret_row->base = le64_get(packed + 8);
	ret_row->queued = le64_get(packed + 16);
	ret_row->actor.uid = (uint32_t)le64_get(packed + 24);
	ret_row->actor.gid = (uint32_t)le64_get(packed + 32);
	ret_row->actor.pid = (int32_t)le64_get(packed + 40);
	memcpy(ret_row->actor.exe, packed + ROW_EXE, sizeof ret_row->actor.exe);
	ret_row->actor.exe[sizeof ret_row->actor.exe - 1] = '\0';
	memcpy(ret_row->below, packed + ROW_PATH, size - ROW_PATH);
	ret_row->below[size - ROW_PATH] = '\0';
	return 0;
}

/* -ENOENT */
static int row_get(Meta *m, uint64_t node, struct row *ret_row) {
	char key[KEY_BYTES];
	uint8_t packed[ROW_BYTES_MAX];
	size_t size = 0;
	key_of(node, key);
	int rc = meta_kv_get(m, key, packed, sizeof packed, &size);
	return rc < 0 ? rc : row_unpack(packed, size, ret_row);
}

static int row_put(Meta *m, uint64_t node, const struct row *row) {
	char key[KEY_BYTES];
	uint8_t packed[ROW_BYTES_MAX] = {0};
	size_t length = strlen(row->below);
	key_of(node, key);
	const uint64_t numbers[ROW_NUMBERS] = {
	        row->closed, row->base, row->queued, row->actor.uid, row->actor.gid, (uint32_t)row->actor.pid};
	for (size_t i = 0; i < ROW_NUMBERS; i++)
		le64_put(packed + 8 * i, numbers[i]);
	memcpy(packed + ROW_EXE, row->actor.exe, sizeof row->actor.exe);
	memcpy(packed + ROW_PATH, row->below, length);
	return meta_kv_put(m, key, bytes_of(packed, ROW_PATH + length));
}

int staged_below_of(Meta *m, uint64_t node, char ret_below[static TREE_PATH_MAX]) {
	struct row row;
	int rc = row_get(m, node, &row);
	if (rc >= 0)
		memcpy(ret_below, row.below, sizeof row.below);
	return rc;
}

int gate_staged_note(Meta *m, uint64_t node, const char *below, const struct actor *actor) {
	struct row row = {.actor = *actor};
	int length = snprintf(row.below, sizeof row.below, "%s", below);
	if (length < 0 || (size_t)length >= sizeof row.below)
		return fault(ENAMETOOLONG, "the path of a file in Trusted is longer than %d bytes", TREE_PATH_MAX);
	return row_put(m, node, &row);
}

int gate_staged_forget(Meta *m, uint64_t node) {
	char key[KEY_BYTES];
	key_of(node, key);
	return meta_kv_remove(m, key);
}

/* What Trusted/below shows: its version, 0 for nothing. */
static int shown(Meta *m, const char *below, uint64_t *ret_version) {
	char path[TREE_PATH_MAX + 8];
	struct node node;
	snprintf(path, sizeof path, "Trusted/%s", below);
	int rc = tree_resolve(m, bytes_of_string(path), &node);
	*ret_version = rc < 0 ? 0 : node.version;
	return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
}

int staged_closed(Meta *m, uint64_t node, uint64_t version) {
	struct row row;
	int rc = row_get(m, node, &row);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	row.closed = version;
	rc = shown(m, row.below, &row.base);
	return rc < 0 ? rc : row_put(m, node, &row);
}

/* Its writer may write on, so the row stays; but what was closed has come to where it was meant for. */
int staged_published(Meta *m, uint64_t node) {
	struct row row;
	int rc = row_get(m, node, &row);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	row.closed = row.base = 0;
	return row_put(m, node, &row);
}

/* ---- after a crash ---- */

static int take_outcome(void *arg, const struct verdict_row *row) {
	*(uint8_t *)arg = row->outcome;
	return 0;
}

/* Whether somebody was promised what the node holds, and no verdict has put it into quarantine yet. */
static int is_owed(Meta *m, const struct row *row, const struct node *node, bool *ret_owed) {
	struct version version;
	uint8_t outcome = VERDICT_NONE;
	*ret_owed = false;
	if (node->version == 0)
		return 0;
	int rc = version_get(m, node->version, &version);
	if (rc >= 0)
		rc = verdict_latest_for_version(m, version.id, take_outcome, &outcome);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	bool is_judged = outcome == VERDICT_FAILED || outcome == VERDICT_ERROR;
	bool is_promised = version.fsynced || version.origin == ORIGIN_RECOVERED || row->closed == version.id;
	*ret_owed = is_promised && version.size > 0 && !is_judged;
	return 0;
}

/* Of one row: a job, or its end. The job's workflow tells the jobs of one path apart, or one would supersede the other.
 */
static int recover_row(Meta *m, uint64_t id, struct row *row) {
	struct node node;
	bool is_owed_for = false;
	int rc = tree_get(m, id, &node);
	if (rc == -ESTALE)
		return gate_staged_forget(m, id);
	if (rc >= 0)
		rc = is_owed(m, row, &node, &is_owed_for);
	if (rc < 0)
		return rc;
	if (!is_owed_for)
		return gate_staged_forget(m, id);
	char path[TREE_PATH_MAX + 8], recovery[48];
	snprintf(path, sizeof path, "Trusted/%s", row->below);
	snprintf(recovery, sizeof recovery, "recovery of node %" PRIu64, id);
	struct job job = {
	        .kind = JOB_STAGED,
	        .node = id,
	        .version = node.version,
	        .path = bytes_of_string(path),
	        .workflow = recovery,
	        .due_ns = meta_now(m),
	        .uid = row->actor.uid,
	        .gid = row->actor.gid,
	        .pid = row->actor.pid,
	};
	memcpy(job.exe, row->actor.exe, sizeof job.exe);
	uint64_t queued;
	rc = job_put(m, &job, &queued, NULL, NULL);
	row->queued = 1;
	return rc < 0 ? rc : row_put(m, id, row);
}

int gate_staged_judge(Gate *gate, Meta *m, uint64_t node) {
	struct row row;
	struct node staged;
	int rc = row_get(m, node, &row);
	if (rc >= 0)
		rc = tree_get(m, node, &staged);
	if (rc < 0)
		return rc == -ENOENT || rc == -ESTALE ? 0 : rc;
	row.closed = staged.version;
	rc = shown(m, row.below, &row.base);
	if (rc >= 0)
		rc = recover_row(m, node, &row);
	if (rc >= 0)
		gate_wake(gate);
	return rc;
}

int staged_recover(Gate *gate) {
	char key[KEY_BYTES] = KEY_PREFIX;
	uint8_t packed[ROW_BYTES_MAX];
	size_t size = 0;
	struct row row = {0};
	Meta *m = store_meta(gate->store);
	int rc;
	meta_begin(m);
	while ((rc = meta_kv_next(m, KEY_PREFIX, key, key, sizeof key, packed, sizeof packed, &size)) >= 0) {
		rc = row_unpack(packed, size, &row);
		if (rc >= 0 && !row.queued)
			rc = recover_row(m, strtoull(key + strlen(KEY_PREFIX), NULL, 10), &row);
		if (rc < 0)
			break;
	}
	rc = meta_end(m, rc == -ENOENT ? 0 : rc);
	return fault_while(rc, "finding what was being written into Trusted");
}

/* Why it is not even checked; NULL: it is. */
static int why_not(Meta *m, const struct job *job, const struct row *row, bool is_governed, const char **ret_words) {
	uint64_t now;
	int rc = shown(m, row->below, &now);
	if (rc < 0)
		return rc;
	*ret_words = NULL;
	if (!is_governed)
		*ret_words = "found after a crash under a name that no dataset governs, so nothing can be said of it; "
		             "copy it out of quarantine and write it anew";
	else if (row->closed != job->version)
		*ret_words =
		        "found after a crash as it was last synced, not closed by its writer: what it holds may be "
		        "a part; write it anew and close it";
	else if (row->base != now)
		*ret_words = "found after a crash, and its name shows something newer by now; write it anew if it is "
		             "still wanted";
	return 0;
}

static int keep_unpublished(Gate *gate, struct judgement *j, const struct job *job, const char *words) {
	Meta *m = store_meta(gate->store);
	uint64_t verdict;
	enum outcome outcome;
	int rc = judge_version(gate, j, job->node, job->version, words);
	if (rc >= 0) {
		meta_begin(m);
		rc = judge_record(gate, m, j, job->node, job->version, &verdict, &outcome);
		if (rc >= 0)
			rc = job_finish(m, job->id, verdict);
		if (rc >= 0)
			rc = gate_staged_forget(m, job->node);
		rc = meta_end(m, rc);
	}
	judgement_release(j);
	return rc;
}

static int finish(Gate *gate, const struct job *job) {
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	int rc = job_finish(m, job->id, 0);
	if (rc >= 0)
		rc = gate_staged_forget(m, job->node);
	return meta_end(m, rc);
}

static bool has_verdict(Meta *m, uint64_t version) {
	uint8_t outcome;
	meta_begin(m);
	return meta_end(m, verdict_latest_for_version(m, version, take_outcome, &outcome)) == 0;
}

int staged_run(Gate *gate, const struct job *job, const char *path, const struct actor *actor) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(gate);
	struct row row;
	const char *words = NULL;
	Meta *m = store_meta(gate->store);
	struct judgement j = {.path = path, .below = gate_below(path, NULL), .policy = policy, .actor = *actor};
	j.dataset = policy_dataset_for(policy->policy, j.below);
	meta_begin(m);
	int rc = row_get(m, job->node, &row);
	if (rc >= 0)
		rc = why_not(m, job, &row, j.dataset != NULL, &words);
	rc = meta_end(m, rc);
	if (rc == -ENOENT)
		return finish(gate, job); /* done before a second crash */
	if (rc < 0)
		return rc;
	if (words)
		return keep_unpublished(gate, &j, job, words);
	rc = judge_over(gate, job->node, job->version, j.below, actor, &row.base);
	if (rc == -EPERM && !has_verdict(m, job->version))
		return fault_while(
		        rc, "judging what a crash left"); /* its dataset went meanwhile: the next turn sees */
	return rc == 0 || rc == -EPERM ? finish(gate, job) : rc;
}
