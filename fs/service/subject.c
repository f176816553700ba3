/* What `assayfs find-subject` asks: where texts occur. No text is in an answer, nor in a record. */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>

/* So many versions of which nothing is to be said may pass between two answers, which tell how far it has come. */
#define TOLD_EVERY 16

static json_t *lines_json(const struct gate_subject *subject) {
	json_t *list = json_array();
	for (size_t i = 0; i < subject->line_count; i++)
		json_array_append_new(list, json_integer((json_int_t)subject->lines[i]));
	return list;
}

static json_t *subject_json(const struct gate_subject *subject) {
	return json_pack("{s:o, s:s, s:I, s:I, s:I, s:b, s:b, s:b, s:b, s:s?, s:I, s:o}", "path",
	        wire_path(subject->path), "zone", zone_name(subject->zone), "version", (json_int_t)subject->version,
	        "number", (json_int_t)subject->number, "quarantine", (json_int_t)subject->quarantine, "current",
	        subject->is_current, "found", subject->is_found, "in_name", subject->is_in_name, "bytes_only",
	        subject->is_bytes, "column", subject->column, "cells", (json_int_t)subject->cells, "lines",
	        lines_json(subject));
}

json_t *service_subject_policy(const struct gate_subject *subject) {
	return json_pack("{s:s, s:I, s:s, s:I, s:o}", "kind", "policy", "policy", (json_int_t)subject->policy, "file",
	        subject->path, "count", (json_int_t)subject->cells, "lines", lines_json(subject));
}

static int send_one(void *arg, const struct gate_subject *subject) {
	ControlReply *reply = arg;
	if (subject->policy != 0)
		return control_send(reply, service_subject_policy(subject));
	if (subject->version != 0)
		return control_send(reply, subject_json(subject));
	if (subject->done % TOLD_EVERY != 0 && subject->done != subject->total)
		return 0;
	return control_send(
	        reply, json_pack("{s:I, s:I}", "done", (json_int_t)subject->done, "total", (json_int_t)subject->total));
}

int service_subject_values(const json_t *list, struct service_subjects *ret) {
	size_t count = json_array_size(list);
	if (count == 0 || count > GATE_SUBJECTS_MAX)
		return fault(EPROTO, "what to look for is missing, or too much");
	for (size_t i = 0; i < count; i++)
		if (!(ret->values[i] = json_string_value(json_array_get(list, i))))
			return fault(EPROTO, "what to look for is no text");
	ret->count = count;
	return 0;
}

int service_find_subject(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct service_subjects whom = {.count = 0};
	struct gate_subjects sum;
	int rc = service_require(service, peer, PLACE_QUARANTINE, POLICY_WRITE, "find-subject", NULL);
	if (rc == 0)
		rc = service_require_writable(service, peer, "find-subject", NULL);
	if (rc == 0)
		rc = store_audit_check(service->store); /* what is found is told before its record is made */
	if (rc == 0)
		rc = service_subject_values(json_object_get(arguments, "values"), &whom);
	struct actor actor = service_actor(peer);
	if (rc == 0)
		rc = gate_find_subject(service->gate, whom.values, whom.count, &actor, send_one, reply, &sum);
	return rc < 0 ? rc : store_audit_wait(service->store);
}
