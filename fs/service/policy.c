/* What `assayfs policy apply` and `policy show` ask. */
#include "fs/service/internal.h"

#include "backend/job.h"
#include "backend/record.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "fs/command/policy_notes.h"
#include "fs/compression.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- show ---- */

struct shown {
	json_t *item;
};

static int take_shown(void *arg, const struct policy_row *row) {
	struct shown *shown = arg;
	_cleanup_(freep) char *archive = malloc(BASE64_TEXT_BYTES(row->bundle.size));
	if (!archive)
		return fault(ENOMEM, "reading the policy: out of memory");
	base64_encode(row->bundle, archive);
	shown->item = json_pack("{s:I, s:I, s:I, s:o, s:s}", "number", (json_int_t)row->number, "time_ns",
	        (json_int_t)row->time_ns, "uid", (json_int_t)row->uid, "sha256",
	        service_json_hex(row->sha256, sizeof row->sha256), "archive", archive);
	return 0;
}

int service_policy_show(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct shown shown = {0};
	(void)arguments;
	int rc = service_require(service, peer, PLACE_POLICY, POLICY_READ, "policy-show", NULL);
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, policy_current(service->meta, take_shown, &shown));
	if (rc == -ENOENT)
		return fault(ENOENT, "no policy is in force");
	return rc ? rc : control_send(reply, shown.item);
}

/* ---- apply ---- */

int service_policy_archive(const json_t *arguments, uint8_t **ret_archive, size_t *ret_size) {
	const json_t *value = json_object_get(arguments, "archive");
	const char *text = json_string_value(value);
	if (!text)
		return fault(EPROTO, "the policy's archive is missing");
	size_t room = json_string_length(value);
	_cleanup_(freep) uint8_t *archive = malloc(room + 1);
	if (!archive)
		return fault(ENOMEM, "reading the policy: out of memory");
	if (base64_decode(text, room, archive, ret_size) < 0)
		return fault(EPROTO, "the policy's archive is malformed");
	*ret_archive = steal_pointer(&archive);
	return 0;
}

/* The keys that it made, by alias. */
static json_t *made_keys(const struct gate_policy *held) {
	json_t *list = json_array();
	char alias[STORE_ALIAS_BYTES];
	for (size_t i = 0; held->new_keys && i < policy_key_count(held->policy); i++) {
		if (!held->new_keys[i])
			continue;
		(void)snprintf(alias, sizeof alias, "alias/%s", policy_key(held->policy, i)->name);
		(void)json_array_append_new(list, json_string(alias));
	}
	return list;
}

static json_t *applied_json(Service *service, uint64_t number, bool is_changed, uint64_t queued) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	const Policy *policy = held->policy;
	return json_pack("{s:I, s:o, s:i, s:i, s:I, s:b, s:o, s:o}", "number", (json_int_t)number, "sha256",
	        service_json_hex(policy_sha256(policy), BUNDLE_HASH_BYTES), "datasets",
	        (int)policy_dataset_count(policy), "workflows", (int)policy_workflow_count(policy), "arrivals",
	        (json_int_t)queued, "unchanged", (int)!is_changed, "warnings", policy_notes(policy), "keys_made",
	        is_changed ? made_keys(held) : json_array());
}

static void compress_as_said(Service *service) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	compression_apply(service->store, held->policy);
}

int service_policy_apply(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) uint8_t *archive = NULL;
	char memory[4096];
	size_t size = 0;
	uint64_t number = 0, queued = 0, running = 0;
	bool is_changed = false;
	int rc = service_require(service, peer, PLACE_POLICY, POLICY_WRITE, "policy-apply", NULL);
	if (!rc)
		rc = service_require_writable(service, peer, "policy-apply", NULL);
	if (!rc)
		rc = service_policy_archive(arguments, &archive, &size);
	if (rc)
		return rc;
	struct actor actor = service_actor(peer);
	struct policy_actor steward = service_policy_actor(service, peer);
	steward.lent = 0; /* what is lent ends, and he could not take it back then */
	rc = gate_apply(service->gate, bytes_of(archive, size), &actor,
	        service_user_name(peer->uid, memory, sizeof memory),
	        json_is_true(json_object_get(arguments, "hand_over")) ? NULL : &steward, &number, &is_changed);
	if (rc == -EPERM) /* roles under which nobody, or not he, would be a steward */
		service_record_denied(service, &actor, "policy-apply", NULL, EPERM);
	if (!rc)
		compress_as_said(service);
	if (!rc && service->trusted)
		trusted_policy_changed(service->trusted);
	if (!rc)
		alarms_wake(service->alarms);
	if (!rc) /* durable before the command says that it is in force */
		rc = store_commit_wait(service->store);
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, job_counts(service->meta, &queued, &running));
	return rc ? rc : control_send(reply, applied_json(service, number, is_changed, queued + running));
}
