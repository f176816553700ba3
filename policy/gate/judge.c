#include "policy/gate/internal.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/keyring.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hash_all(struct check_input input, struct verdict_content *ret_content) {
	_cleanup_(secret_heap_freep) uint8_t *chunk = malloc(GATE_CHUNK_BYTES);
	if (!chunk)
		return fault(ENOMEM, "reading the file to be judged");
	struct sha256 sha256;
	sha256_init(&sha256);
	struct verdict_content content = {0};
	ssize_t got;
	while ((got = input.read(input.context, chunk, GATE_CHUNK_BYTES)) > 0) {
		sha256_update(&sha256, bytes_of(chunk, (size_t)got));
		content.size += (uint64_t)got;
	}
	if (got < 0)
		return (int)got;
	sha256_final(&sha256, content.sha256);
	*ret_content = content;
	return 0;
}

int judge_unchecked(struct judgement *j, struct check_input input, const char *words) {
	struct verdict_content content;
	int rc = hash_all(input, &content);
	if (rc < 0)
		return rc;
	memcpy(j->checked.sha256, content.sha256, sizeof j->checked.sha256);
	j->checked.size = content.size;
	return check_result_error(&j->checked.result, "%s", words);
}

int judge_output(Gate *gate, struct judgement *j, uint64_t node, uint64_t version, const struct altered *altered) {
	_cleanup_(content_closep) Content *content = NULL;
	_cleanup_(altered_end) struct altered_reader reader = {0};
	int rc = content_open(gate->store, node, version, &content);
	if (rc >= 0) {
		altered_begin(&reader, altered, content, j->watch);
		rc = hash_all(altered_input(&reader), &j->output);
	}
	j->has_output = rc >= 0;
	return fault_while(rc, "reading what is published of %s", j->path);
}

int judge_unread(Gate *gate, struct judgement *j, uint64_t size, const char *words) {
	j->started_ns = meta_now(store_meta(gate->store));
	j->checked.size = size;
	memset(j->checked.sha256, 0, sizeof j->checked.sha256);
	return check_result_error(&j->checked.result, "%s", words);
}

int judge_time(Gate *gate, struct judgement *j, uint64_t version) {
	Meta *m = store_meta(gate->store);
	struct version judged;
	meta_begin(m);
	int rc = meta_end(m, version_get(m, version, &judged));
	if (rc >= 0)
		j->mtime_ns = judged.mtime;
	return rc;
}

int judge_version(Gate *gate, struct judgement *j, uint64_t node, uint64_t version, const char *words) {
	_cleanup_(content_closep) Content *content = NULL;
	char unfit[GATE_WORDS_BYTES];
	int rc = content_open(gate->store, node, version, &content);
	if (rc >= 0)
		rc = judge_time(gate, j, version);
	if (rc >= 0)
		rc = gate_unfit(content, j->watch, unfit);
	if (rc < 0)
		return rc;
	uint64_t size = content_size(content);
	if (unfit[0])
		return judge_unread(gate, j, size, words ? words : unfit);
	if (!words && (rc = judge_reuse(gate, j, version)) != 0)
		return rc < 0 ? rc : 0;
	struct gate_reader reader = {.source = content, .watch = j->watch};
	bool is_altered = j->leaves_out && privacy_may_change(j->dataset ? j->dataset->privacy : NULL);
	struct check_input input = {
	        .read = gate_read, .context = &reader, .again = is_altered ? gate_read_again : NULL};
	if (!words)
		return judge_check(gate, j, input, size);
	j->started_ns = meta_now(store_meta(gate->store));
	return judge_unchecked(j, input, words);
}

/* What is to be published as it stands can have no rows that the dataset does not keep. */
static int refuse_dropped(struct judgement *j) {
	struct check_result *result = j->checked.result;
	if (j->leaves_out || !result->withheld || result->outcome != OUTCOME_PASSED)
		return 0;
	row_list_freep(&result->withheld);
	if (result->privacy.dropped > 0)
		return check_result_say(result, OUTCOME_FAILED,
		        "%" PRIu64 " of its rows would have to be left out for their personal data",
		        result->privacy.dropped);
	return check_result_say(result, OUTCOME_FAILED,
	        "the dataset's keep drops %" PRIu64 " of its rows; a file is published without them that comes by way "
	        "of Landing",
	        result->dropped);
}

int judge_check(Gate *gate, struct judgement *j, struct check_input input, uint64_t size) {
	_cleanup_(prepared_drop) struct prepared prepared = {.words = ""};
	j->started_ns = meta_now(store_meta(gate->store));
	if (j->dataset->unsupported) /* told apart from `failed` */
		return judge_unchecked(j, input, j->dataset->unsupported);
	int rc = judge_prepare(gate, j, size, &prepared);
	if (rc < 0)
		return fault_while(rc, "preparing the check of %s", j->path);
	if (prepared.words[0])
		return judge_unchecked(j, input, prepared.words);
	struct check_request request = {
	        .job = &prepared.job,
	        .input = input,
	        .user = j->actor.uid,
	        .interrupted = j->watch ? gate_watch_look : NULL,
	        .interrupted_arg = j->watch,
	};
	const int64_t began = monotonic_ns();
	rc = spawner_check(gate->spawner, &request, &j->checked);
	gate_stats_checked(gate->stats, monotonic_ns() - began);
	return rc < 0 ? fault_while(rc, "checking %s", j->path) : refuse_dropped(j);
}

static int sign(Gate *gate, struct bytes json, uint8_t ret_signature[static SIGN_SIGNATURE_BYTES],
        char ret_key_name[static 32]) {
	uint8_t seed[KEYRING_KEY_BYTES];
	uint32_t version;
	int rc = keyring_get(store_keyring(gate->store), "verdict", 0, seed, &version);
	if (rc < 0)
		return fault_while(rc, "taking the key that signs verdicts");
	rc = verdict_sign(json, seed, ret_signature);
	sodium_memzero(seed, sizeof seed);
	snprintf(ret_key_name, 32, "verdict/%" PRIu32, version);
	return rc;
}

static enum verdict_outcome row_outcome(enum outcome outcome) {
	switch (outcome) {
	case OUTCOME_PASSED:
		return VERDICT_PASSED;
	case OUTCOME_FAILED:
		return VERDICT_FAILED;
	case OUTCOME_NONE:
	case OUTCOME_PENDING:
	case OUTCOME_ERROR:
		break;
	}
	return VERDICT_ERROR;
}

/* How it differs from what came; 0 and nothing where it does not. */
static int summarise_altered(const struct verdict *verdict, char **ret_words) {
	const struct check_result *check = verdict->check;
	uint64_t changed = 0;
	for (size_t i = 0; i < check->privacy.finding_count; i++) {
		const struct check_finding *finding = &check->privacy.findings[i];
		changed += finding->acts && privacy_takes_column(finding->action) ? finding->cells : 0;
	}
	if (check->dropped == 0 && check->privacy.dropped == 0 && changed == 0)
		return 0;
	char rows[80] = "", dropped[80] = "", cells[80] = "";
	if (check->dropped > 0)
		snprintf(rows, sizeof rows, " without %" PRIu64 " rows that keep drops", check->dropped);
	if (check->privacy.dropped > 0)
		snprintf(dropped, sizeof dropped, " without %" PRIu64 " rows with personal data",
		        check->privacy.dropped);
	if (changed > 0)
		snprintf(cells, sizeof cells, " with personal data changed in %" PRIu64 " cells", changed);
	return asprintf(ret_words, "published%s%s%s%s%s", rows, rows[0] && dropped[0] ? "," : "", dropped,
	        (rows[0] || dropped[0]) && cells[0] ? "," : "", cells);
}

/* In a few words, for the audit log; NULL where the outcome says all. */
static int summarise(const struct verdict *verdict, char **ret_words) {
	const char *reason = verdict->check->reason;
	int length = 0;
	if (verdict->split)
		length = asprintf(ret_words, "%" PRIu64 " of %" PRIu64 " rows withheld, in quarantine",
		        verdict->split->rows_quarantined, verdict->split->rows_in);
	else if (verdict->waiver)
		length = asprintf(ret_words, "waived: %s; %s", verdict->waiver->reason, reason ? reason : "");
	else if (verdict->check->outcome == OUTCOME_PASSED && verdict->has_output)
		length = summarise_altered(verdict, ret_words);
	else if (reason)
		length = (*ret_words = strdup(reason)) ? 0 : -1;
	return length < 0 ? fault(ENOMEM, "writing the verdict on %s", verdict->path) : 0;
}

static int record_audit(Meta *m, const struct judgement *j, uint64_t node, uint64_t version, uint64_t verdict,
        enum outcome outcome, const char *reason) {
	char detail[AUDIT_DETAIL_MAX];
	snprintf(detail, sizeof detail, "%s: %s%s, policy %" PRIu64 ", verdict %" PRIu64 "%s%s", outcome_word(outcome),
	        j->dataset ? "dataset " : "no dataset", j->dataset ? j->dataset->name : "", j->policy->number, verdict,
	        reason ? ": " : "", reason ? reason : "");
	struct audit_event event = {
	        .event = "verdict",
	        .actor = j->actor,
	        .path = j->path,
	        .outcome = outcome == OUTCOME_PASSED   ? "ok"
	                   : outcome == OUTCOME_FAILED ? "denied"
	                                               : "error",
	        .node = node,
	        .version = version,
	        .bytes = j->checked.size,
	        .detail = detail,
	};
	return audit_record(m, &event, NULL);
}

static int quarantine(Meta *m, const struct judgement *j, uint64_t node, uint64_t version, uint64_t verdict) {
	struct quarantine_row row = {
	        .time_ns = meta_now(m),
	        .path = bytes_of_string(j->path),
	        .node = node,
	        .version = version,
	        .verdict = verdict,
	        .uid = j->actor.uid,
	};
	uint64_t id;
	return quarantine_put(m, &row, &id);
}

void judgement_release(struct judgement *j) {
	check_result_freep(&j->checked.result);
	verdict_split_free(j->split);
	verdict_waiver_free(j->waiver);
	j->split = NULL;
	j->waiver = NULL;
}

/* What it comes to: a waiver lets pass what did not. */
static enum outcome decided_by(const struct verdict *verdict) {
	return verdict->waiver ? OUTCOME_PASSED : verdict->check->outcome;
}

/* What lets the file, or a part of it, out. */
static void fill_output(struct verdict *verdict, const struct judgement *j, enum outcome outcome) {
	verdict->input.size = j->checked.size;
	memcpy(verdict->input.sha256, j->checked.sha256, VERDICT_HASH_BYTES);
	verdict->has_output = outcome == OUTCOME_PASSED;
	if (verdict->has_output)
		verdict->output = j->has_output ? j->output : verdict->input;
}

static int make_verdict(Gate *gate, struct judgement *j, struct verdict **ret_verdict) {
	_cleanup_(verdict_freep) struct verdict *verdict = NULL;
	int rc = verdict_make(
	        gate->vault_id, j->path, j->policy->policy, j->policy->number, j->dataset, j->checked.result, &verdict);
	if (rc < 0)
		return rc;
	j->checked.result = NULL;
	verdict->split = steal_pointer(&j->split);
	verdict->waiver = steal_pointer(&j->waiver);
	fill_output(verdict, j, decided_by(verdict));
	verdict->has_job = j->has_job;
	memcpy(verdict->job_sha256, j->job_sha256, VERDICT_HASH_BYTES);
	verdict->clock_ns = verdict->started_ns = j->started_ns;
	verdict->finished_ns = meta_now(store_meta(gate->store));
	rc = gate_references_tell(j, verdict);
	if (rc < 0)
		return rc;
	*ret_verdict = steal_pointer(&verdict);
	return 0;
}

/* What was found good came of these, too. */
static int record_lineage(Meta *m, const struct judgement *j, uint64_t version) {
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < j->reference_count; i++) {
		rc = lineage_put(m, version, j->references[i].version, LINEAGE_REFERENCE);
		if (rc == -EEXIST) /* it was judged before, or two aliases are one file */
			rc = 0;
	}
	return rc;
}

int judge_record(Gate *gate, Meta *m, struct judgement *j, uint64_t node, uint64_t version, uint64_t *ret_verdict,
        enum outcome *ret_outcome) {
	_cleanup_(verdict_freep) struct verdict *made = NULL;
	_cleanup_(freep) char *json = NULL;
	_cleanup_(freep) char *reason = NULL;
	size_t size = 0;
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	char key_name[32];
	int rc = gate_check_there(m, version);
	if (rc >= 0)
		rc = make_verdict(gate, j, &made);
	if (rc >= 0)
		rc = summarise(made, &reason);
	if (rc >= 0)
		rc = verdict_to_json(made, &json, &size);
	if (rc >= 0)
		rc = sign(gate, bytes_of(json, size), signature, key_name);
	if (rc < 0)
		return fault_while(rc, "writing the verdict on %s", j->path);
	enum outcome outcome = decided_by(made);
	struct verdict_row row = {
	        .time_ns = meta_now(m),
	        .path = bytes_of_string(j->path),
	        .node = node,
	        .version = version,
	        .outcome = (uint8_t)row_outcome(outcome),
	        .fresh = !j->is_reused,
	        .dataset = bytes_of_string(j->dataset ? j->dataset->name : ""),
	        .policy = j->policy->number,
	        .body = bytes_of(json, size),
	        .signature = bytes_of(signature, sizeof signature),
	        .key_name = bytes_of_string(key_name),
	};
	memcpy(row.input_sha256, j->checked.sha256, sizeof row.input_sha256);
	if (outcome == OUTCOME_PASSED)
		memcpy(row.output_sha256, j->has_output ? j->output.sha256 : j->checked.sha256,
		        sizeof row.output_sha256);
	uint64_t verdict = 0;
	rc = verdict_put(m, &row, &verdict);
	if (rc >= 0)
		rc = history_keep(m, j, made->check, verdict);
	if (rc >= 0)
		rc = record_audit(m, j, node, version, verdict, outcome, reason);
	if (rc >= 0 && outcome == OUTCOME_PASSED)
		rc = record_lineage(m, j, version);
	else if (rc >= 0 && !j->is_held)
		rc = quarantine(m, j, node, version, verdict);
	if (rc < 0)
		return fault_while(rc, "storing the verdict on %s", j->path);
	gate_stats_decided(
	        gate->stats, j->dataset ? j->dataset->name : NULL, outcome, made->waiver != NULL, made->check);
	*ret_verdict = verdict;
	*ret_outcome = outcome;
	return 0;
}
