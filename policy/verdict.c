#include "policy/verdict.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/encoding.h"
#include "policy/check_json.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_S 1000000000LL

static int no_memory(void) {
	return fault(ENOMEM, "no memory for a verdict");
}

int verdict_new(struct verdict **ret_verdict) {
	struct verdict *verdict = calloc(1, sizeof *verdict);
	if (!verdict)
		return no_memory();
	*ret_verdict = verdict;
	return 0;
}

void verdict_free(struct verdict *verdict) {
	if (!verdict)
		return;
	for (size_t i = 0; i < verdict->reference_count; i++) {
		free(verdict->references[i].alias);
		free(verdict->references[i].path);
	}
	free(verdict->references);
	free(verdict->path);
	free(verdict->dataset);
	free(verdict->ruleset_file);
	free(verdict->engine);
	check_result_free(verdict->check);
	verdict_split_free(verdict->split);
	verdict_waiver_free(verdict->waiver);
	free(verdict);
}

void verdict_split_free(struct verdict_split *split) {
	if (!split)
		return;
	check_result_free(split->check);
	free(split);
}

void verdict_waiver_free(struct verdict_waiver *waiver) {
	if (!waiver)
		return;
	free(waiver->reason);
	free(waiver->by);
	free(waiver);
}

static int copy_dataset(struct verdict *verdict, const struct policy_dataset *dataset) {
	verdict->dataset = strdup(dataset->name);
	if (!verdict->dataset)
		return no_memory();
	if (!dataset->rules_file)
		return 0;
	verdict->ruleset_file = strdup(dataset->rules_file);
	sha256(dataset->rules, verdict->ruleset_sha256);
	return verdict->ruleset_file ? 0 : no_memory();
}

int verdict_make(const uint8_t vault[static VERDICT_VAULT_ID_BYTES], const char *path, const Policy *policy,
        uint64_t policy_version, const struct policy_dataset *dataset, struct check_result *result,
        struct verdict **ret_verdict) {
	_cleanup_(verdict_freep) struct verdict *verdict = calloc(1, sizeof *verdict);
	if (!verdict)
		return no_memory();
	memcpy(verdict->vault, vault, VERDICT_VAULT_ID_BYTES);
	verdict->policy_version = policy_version;
	memcpy(verdict->policy_sha256, policy_sha256(policy), VERDICT_HASH_BYTES);
	verdict->path = strdup(path);
	verdict->engine = strdup(ASSAYFS_VERSION);
	if (!verdict->path || !verdict->engine)
		return no_memory();
	int rc = dataset ? copy_dataset(verdict, dataset) : 0;
	if (rc < 0)
		return rc;
	verdict->check = result;
	*ret_verdict = steal_pointer(&verdict);
	return 0;
}

/* ---- times: RFC 3339 with microseconds, always UTC ---- */

static bool put_time(json_t *object, const char *key, int64_t ns) {
	int64_t seconds = ns / NS_PER_S - (ns % NS_PER_S < 0);
	int64_t rest = ns - seconds * NS_PER_S;
	time_t whole = (time_t)seconds;
	struct tm tm;
	char text[64];
	if (!gmtime_r(&whole, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099)
		return false;
	snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06" PRId64 "Z", tm.tm_year + 1900, tm.tm_mon + 1,
	        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, rest / 1000);
	return json_put_text(object, key, text);
}

static int read_time(const json_t *object, const char *key, int64_t *ret_ns) {
	_cleanup_(freep) char *text = NULL;
	int rc = json_strict_text(object, key, &text);
	if (rc < 0)
		return rc;
	struct tm tm = {0};
	int micros = 0, used = 0;
	if (strlen(text) != strlen("2026-01-01T00:00:00.000000Z") ||
	        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
	                &tm.tm_min, &tm.tm_sec, &micros, &used) != 7 ||
	        used != 27 || micros < 0)
		return fault(EBADMSG, "the time '%s' is not like 2026-01-01T00:00:00.000000Z", key);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	int64_t ns;
	if (__builtin_mul_overflow((int64_t)timegm(&tm), NS_PER_S, &ns) ||
	        __builtin_add_overflow(ns, (int64_t)micros * 1000, &ns))
		return fault(EBADMSG, "the time '%s' is too far away", key);
	*ret_ns = ns;
	return 0;
}

/* ---- writing ---- */

/* A name that is not UTF-8 can't stand in JSON: it is written as hexadecimal digits under another key. */
static bool put_path(json_t *object, const char *path) {
	size_t size = strlen(path);
	if (utf8_valid_prefix(path, size) == size)
		return json_put_text(object, "path", path);
	_cleanup_(freep) char *hex = malloc(HEX_TEXT_BYTES(size));
	if (!hex)
		return false;
	hex_encode(bytes_of(path, size), hex);
	return json_put_text(object, "path_hex", hex);
}

static json_t *content_json(const struct verdict_content *content) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_hex(object, "sha256", content->sha256, VERDICT_HASH_BYTES) &&
	            json_put_count(object, "size", content->size);
	return done ? steal_pointer(&object) : NULL;
}

static json_t *policy_json(const struct verdict *verdict) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_hex(object, "sha256", verdict->policy_sha256, VERDICT_HASH_BYTES) &&
	            json_put_count(object, "version", verdict->policy_version);
	return done ? steal_pointer(&object) : NULL;
}

static json_t *ruleset_json(const struct verdict *verdict) {
	if (!verdict->ruleset_file)
		return json_null();
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_text(object, "file", verdict->ruleset_file) &&
	            json_put_hex(object, "sha256", verdict->ruleset_sha256, VERDICT_HASH_BYTES);
	return done ? steal_pointer(&object) : NULL;
}

static json_t *reference_json(const struct verdict_reference *reference) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_text(object, "alias", reference->alias) && put_path(object, reference->path) &&
	            json_put_hex(object, "sha256", reference->sha256, VERDICT_HASH_BYTES);
	return done ? steal_pointer(&object) : NULL;
}

static json_t *references_json(const struct verdict *verdict) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < verdict->reference_count; i++)
		if (json_array_append_new(list, reference_json(&verdict->references[i])) != 0)
			return NULL;
	return steal_pointer(&list);
}

static json_t *split_json(const struct verdict_split *split) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_object_set_new(object, "check", check_result_json(split->check)) == 0 &&
	            json_object_set_new(object, "quarantine", content_json(&split->quarantine)) == 0 &&
	            json_put_count(object, "rows_in", split->rows_in) &&
	            json_put_count(object, "rows_out", split->rows_out) &&
	            json_put_count(object, "rows_quarantined", split->rows_quarantined);
	return done ? steal_pointer(&object) : NULL;
}

static json_t *waiver_json(const struct verdict_waiver *waiver) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_text(object, "by", waiver->by) &&
	            json_put_count(object, "quarantine", waiver->quarantine) &&
	            json_put_text(object, "reason", waiver->reason) && json_put_count(object, "uid", waiver->uid) &&
	            put_time(object, "until", waiver->until_ns);
	return done ? steal_pointer(&object) : NULL;
}

/* Keys that are there only when there is something to say: older verdicts stay the bytes that they are. */
static bool put_more(json_t *object, const struct verdict *verdict) {
	if (verdict->split && json_object_set_new(object, "split", split_json(verdict->split)) != 0)
		return false;
	return !verdict->waiver || json_object_set_new(object, "waiver", waiver_json(verdict->waiver)) == 0;
}

static bool put_parts(json_t *object, const struct verdict *verdict) {
	json_t *output = verdict->has_output ? content_json(&verdict->output) : json_null();
	return json_object_set_new(object, "output", output) == 0 &&
	       json_object_set_new(object, "input", content_json(&verdict->input)) == 0 &&
	       json_object_set_new(object, "policy", policy_json(verdict)) == 0 &&
	       json_object_set_new(object, "ruleset", ruleset_json(verdict)) == 0 &&
	       json_object_set_new(object, "references", references_json(verdict)) == 0 &&
	       (!verdict->has_job || json_put_hex(object, "job", verdict->job_sha256, VERDICT_HASH_BYTES)) &&
	       json_object_set_new(object, "check", check_result_json(verdict->check)) == 0;
}

int verdict_to_json(const struct verdict *verdict, char **ret_json, size_t *ret_size) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_int(object, "format", VERDICT_FORMAT) &&
	            json_put_hex(object, "vault", verdict->vault, VERDICT_VAULT_ID_BYTES) &&
	            put_path(object, verdict->path) && json_put_text(object, "dataset", verdict->dataset) &&
	            json_put_text(object, "engine", verdict->engine) &&
	            json_put_text(object, "outcome", verdict_word(verdict)) && put_parts(object, verdict) &&
	            put_more(object, verdict) && put_time(object, "clock", verdict->clock_ns) &&
	            put_time(object, "started", verdict->started_ns) &&
	            put_time(object, "finished", verdict->finished_ns);
	if (!done)
		return fault(EINVAL,
		        "the verdict can't be written: a text is not UTF-8, a number is too large, or no memory");
	return json_strict_write(object, ret_json, ret_size);
}

/* ---- reading ---- */

static int read_path(const json_t *object, char **ret_path) {
	if (json_object_get(object, "path"))
		return json_strict_text(object, "path", ret_path);
	_cleanup_(freep) char *hex = NULL;
	int rc = json_strict_text(object, "path_hex", &hex);
	if (rc < 0)
		return rc;
	size_t size = strlen(hex) / 2;
	_cleanup_(freep) char *path = calloc(1, size + 1);
	if (!path)
		return no_memory();
	if (hex_decode(hex, size, (uint8_t *)path) < 0 || memchr(path, '\0', size))
		return fault(EBADMSG, "the path is not hexadecimal");
	*ret_path = steal_pointer(&path);
	return 0;
}

static int read_content(const json_t *object, const char *key, struct verdict_content *ret_content) {
	const json_t *content;
	int rc = json_strict_object(object, key, &content);
	if (rc < 0 || (rc = json_strict_hex(content, "sha256", ret_content->sha256, VERDICT_HASH_BYTES)) < 0)
		return rc;
	return json_strict_count(content, "size", &ret_content->size);
}

static int read_policy(const json_t *object, struct verdict *verdict) {
	const json_t *policy;
	int rc = json_strict_object(object, "policy", &policy);
	if (rc < 0 || (rc = json_strict_hex(policy, "sha256", verdict->policy_sha256, VERDICT_HASH_BYTES)) < 0)
		return rc;
	return json_strict_count(policy, "version", &verdict->policy_version);
}

static int read_ruleset(const json_t *object, struct verdict *verdict) {
	if (json_strict_is_null(object, "ruleset"))
		return 0;
	const json_t *ruleset;
	int rc = json_strict_object(object, "ruleset", &ruleset);
	if (rc < 0 || (rc = json_strict_text(ruleset, "file", &verdict->ruleset_file)) < 0)
		return rc;
	return json_strict_hex(ruleset, "sha256", verdict->ruleset_sha256, VERDICT_HASH_BYTES);
}

static int read_references(const json_t *object, struct verdict *verdict) {
	const json_t *list;
	int rc = json_strict_array(object, "references", VERDICT_REFERENCES_MAX, &list);
	if (rc < 0)
		return rc;
	verdict->references = calloc(json_array_size(list) + 1, sizeof *verdict->references);
	if (!verdict->references)
		return no_memory();
	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		struct verdict_reference *reference = &verdict->references[verdict->reference_count++];
		if ((rc = json_strict_text(item, "alias", &reference->alias)) == 0 &&
		        (rc = read_path(item, &reference->path)) == 0)
			rc = json_strict_hex(item, "sha256", reference->sha256, VERDICT_HASH_BYTES);
	}
	return rc;
}

static int read_check(const json_t *object, struct verdict *verdict) {
	const json_t *check;
	int rc = json_strict_object(object, "check", &check);
	return rc < 0 ? rc : check_result_read_json(check, &verdict->check);
}

static int read_split(const json_t *object, struct verdict *verdict) {
	const json_t *split, *check;
	if (!json_object_get(object, "split"))
		return 0;
	struct verdict_split *to = verdict->split = calloc(1, sizeof *to);
	if (!to)
		return no_memory();
	int rc = json_strict_object(object, "split", &split);
	if (rc < 0 || (rc = json_strict_object(split, "check", &check)) < 0 ||
	        (rc = check_result_read_json(check, &to->check)) < 0 ||
	        (rc = read_content(split, "quarantine", &to->quarantine)) < 0 ||
	        (rc = json_strict_count(split, "rows_in", &to->rows_in)) < 0 ||
	        (rc = json_strict_count(split, "rows_out", &to->rows_out)) < 0)
		return rc;
	return json_strict_count(split, "rows_quarantined", &to->rows_quarantined);
}

static int read_waiver(const json_t *object, struct verdict *verdict) {
	const json_t *waiver;
	uint64_t uid;
	if (!json_object_get(object, "waiver"))
		return 0;
	struct verdict_waiver *to = verdict->waiver = calloc(1, sizeof *to);
	if (!to)
		return no_memory();
	int rc = json_strict_object(object, "waiver", &waiver);
	if (rc < 0 || (rc = json_strict_text(waiver, "by", &to->by)) < 0 ||
	        (rc = json_strict_count(waiver, "quarantine", &to->quarantine)) < 0 ||
	        (rc = json_strict_text(waiver, "reason", &to->reason)) < 0 ||
	        (rc = json_strict_count(waiver, "uid", &uid)) < 0)
		return rc;
	if (uid > UINT32_MAX)
		return fault(EBADMSG, "the waiver's uid is none");
	to->uid = (uint32_t)uid;
	return read_time(waiver, "until", &to->until_ns);
}

/* What speaks against itself is no verdict. */
static int check_more(const struct verdict *verdict) {
	const struct verdict_split *split = verdict->split;
	if (split &&
	        (verdict->check->outcome != OUTCOME_PASSED || split->check->outcome != OUTCOME_FAILED ||
	                !verdict->has_output || split->rows_quarantined == 0 ||
	                split->rows_quarantined > split->rows_in ||
	                split->check->privacy.dropped > split->rows_in - split->rows_quarantined ||
	                split->rows_out != split->rows_in - split->rows_quarantined - split->check->privacy.dropped))
		return fault(EBADMSG, "what it says of withheld rows does not add up");
	if (verdict->waiver && (verdict->check->outcome == OUTCOME_PASSED || !verdict->has_output || split))
		return fault(EBADMSG, "it waives what needs no waiver, or lets nothing out");
	return 0;
}

static int read_fields(const json_t *object, struct verdict *verdict) {
	int64_t format;
	int rc = json_strict_int(object, "format", &format);
	if (rc < 0)
		return rc;
	if (format != VERDICT_FORMAT)
		return fault(EBADMSG, "format %" PRId64 ", but this assayfs reads %d", format, VERDICT_FORMAT);
	verdict->has_output = !json_strict_is_null(object, "output");
	verdict->has_job = json_object_get(object, "job") != NULL;
	if ((rc = json_strict_hex(object, "vault", verdict->vault, VERDICT_VAULT_ID_BYTES)) < 0 ||
	        (rc = read_path(object, &verdict->path)) < 0 ||
	        (rc = json_strict_text_or_null(object, "dataset", &verdict->dataset)) < 0 ||
	        (rc = json_strict_text(object, "engine", &verdict->engine)) < 0 ||
	        (rc = read_policy(object, verdict)) < 0 || (rc = read_ruleset(object, verdict)) < 0 ||
	        (rc = read_content(object, "input", &verdict->input)) < 0 ||
	        (verdict->has_output && (rc = read_content(object, "output", &verdict->output)) < 0) ||
	        (rc = read_references(object, verdict)) < 0 ||
	        (verdict->has_job &&
	                (rc = json_strict_hex(object, "job", verdict->job_sha256, VERDICT_HASH_BYTES)) < 0) ||
	        (rc = read_time(object, "clock", &verdict->clock_ns)) < 0 ||
	        (rc = read_time(object, "started", &verdict->started_ns)) < 0 ||
	        (rc = read_time(object, "finished", &verdict->finished_ns)) < 0)
		return rc;
	if ((rc = read_check(object, verdict)) < 0 || (rc = read_split(object, verdict)) < 0 ||
	        (rc = read_waiver(object, verdict)) < 0)
		return rc;
	return check_more(verdict);
}

int verdict_from_json(struct bytes json, struct verdict **ret_verdict) {
	static const char what[] = "the verdict";
	_cleanup_(json_decrefp) json_t *object = NULL;
	_cleanup_(verdict_freep) struct verdict *verdict = NULL;
	_cleanup_(freep) char *again = NULL;
	size_t size;
	int rc = verdict_new(&verdict);
	if (rc < 0)
		return rc;
	if ((rc = json_strict_parse(json, what, VERDICT_JSON_MAX, 2 * CHECK_ELEMENTS_MAX + 1000, &object)) < 0 ||
	        (rc = read_fields(object, verdict)) < 0 || (rc = verdict_to_json(verdict, &again, &size)) < 0 ||
	        (rc = json_strict_same(json, again, size, what)) < 0)
		return rc == -ENOMEM ? rc : fault_while(-EBADMSG, "%s", what);
	*ret_verdict = steal_pointer(&verdict);
	return 0;
}

/* ---- signature ---- */

static const char prefix[] = "assayfs verdict 1\n";

static int with_prefix(struct bytes json, uint8_t **ret_message, size_t *ret_size) {
	uint8_t *message = malloc(sizeof prefix - 1 + json.size);
	if (!message)
		return no_memory();
	memcpy(message, prefix, sizeof prefix - 1);
	if (json.size > 0)
		memcpy(message + sizeof prefix - 1, json.data, json.size);
	*ret_message = message;
	*ret_size = sizeof prefix - 1 + json.size;
	return 0;
}

int verdict_sign(struct bytes json, const uint8_t seed[static SIGN_SEED_BYTES],
        uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]) {
	_cleanup_(freep) uint8_t *message = NULL;
	size_t size;
	int rc = with_prefix(json, &message, &size);
	if (rc < 0)
		return rc;
	sign_make(seed, bytes_of(message, size), ret_signature);
	return 0;
}

int verdict_verify(struct bytes json, const uint8_t signature[static SIGN_SIGNATURE_BYTES],
        const uint8_t public_key[static SIGN_PUBLIC_BYTES]) {
	_cleanup_(freep) uint8_t *message = NULL;
	size_t size;
	int rc = with_prefix(json, &message, &size);
	if (rc < 0)
		return rc;
	rc = sign_verify(public_key, bytes_of(message, size), signature);
	return rc < 0 ? fault_while(rc, "the verdict's signature") : 0;
}

const char *verdict_word(const struct verdict *verdict) {
	if (!verdict || !verdict->check)
		return outcome_word(OUTCOME_NONE);
	if (verdict->waiver)
		return "waived";
	return outcome_word(verdict->check->outcome);
}
