/* What `assayfs quarantine show --rows`, `release` and `drop` ask: the rows that are held, and a steward's decisions.
 */
#include "fs/service/internal.h"

#include "backend/content.h"
#include "backend/record.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (256u << 10)

struct held {
	struct quarantine_row row;
	char path[TREE_PATH_MAX];
};

static int read_id(const json_t *arguments, uint64_t *ret_id) {
	json_int_t id = json_integer_value(json_object_get(arguments, "id"));
	if (id <= 0)
		return fault(ENOENT, "there is no such id; 'assayfs quarantine list --all' shows them");
	*ret_id = (uint64_t)id;
	return 0;
}

/* ---- rows ---- */

/* A JSON string holds whole characters: what is cut off comes with the next piece. */
static int send_piece(ControlReply *reply, const uint8_t *chunk, size_t size, size_t *ret_sent) {
	*ret_sent = utf8_valid_prefix((const char *)chunk, size);
	if (size - *ret_sent > 3 || *ret_sent == 0)
		return fault(EILSEQ, "the rows are not UTF-8 text; .assayfs/quarantine/ID/content has their bytes");
	return control_send(reply, json_pack("{s:o}", "text", json_stringn((const char *)chunk, *ret_sent)));
}

static int send_rows(Service *service, const struct held *held, const struct actor *actor, ControlReply *reply) {
	struct content_reader reader = {.actor = actor};
	idle_touch(service->idle, false);
	_cleanup_(content_closep) Content *content = NULL;
	_cleanup_(secret_heap_freep) uint8_t *chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return fault(ENOMEM, "reading the quarantine: out of memory");
	int rc = content_open(service->store, held->row.node, held->row.version, &content);
	uint64_t size = rc < 0 ? 0 : content_size(content);
	for (uint64_t offset = 0; rc >= 0 && offset < size;) {
		size_t got, sent = 0;
		rc = content_read_for(content, offset, chunk, CHUNK_BYTES, &got, &reader);
		if (rc >= 0 && reader.recorded)
			rc = store_audit_wait(service->store);
		if (rc >= 0)
			rc = send_piece(reply, chunk, got, &sent);
		offset += sent;
	}
	return rc;
}

/* Reading what is held is an access like any other. */
static int record_reading(Service *service, const struct control_peer *peer, uint64_t id, const struct held *held) {
	char detail[64];
	snprintf(detail, sizeof detail, "quarantine %" PRIu64 ", the rows", id);
	const struct audit_event event = {.event = "quarantine-show",
	        .actor = service_actor(peer),
	        .path = held->path,
	        .node = held->row.node,
	        .version = held->row.version,
	        .detail = detail};
	return service_record(service, &event);
}

int service_quarantine_rows(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) struct held *held = calloc(1, sizeof *held);
	uint64_t id = 0;
	int rc = service_require(service, peer, PLACE_QUARANTINE, POLICY_READ, "quarantine-show", NULL);
	if (rc >= 0)
		rc = held ? read_id(arguments, &id) : fault(ENOMEM, "reading the quarantine: out of memory");
	if (rc < 0)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, quarantine_get(service->meta, id, &held->row, held->path));
	if (rc == -ENOENT)
		return fault(ENOENT, "there is no such id; 'assayfs quarantine list --all' shows them");
	if (rc >= 0 && !held->row.partial)
		return fault(
		        EINVAL, "it is a whole file, not rows of one: .assayfs/quarantine/%" PRIu64 "/content", id);
	if (rc >= 0)
		rc = record_reading(service, peer, id, held);
	const struct actor actor = service_actor(peer);
	return rc < 0 ? rc : send_rows(service, held, &actor, reply);
}

/* ---- decisions ---- */

/* Who may decide, and what is decided. `memory` is for the steward's name. */
static int begin_decision(Service *service, const struct control_peer *peer, const json_t *arguments, const char *event,
        char memory[static 4096], struct gate_decision *ret_decision) {
	const char *reason = json_string_value(json_object_get(arguments, "reason"));
	struct gate_decision decision = {.reason = reason ? reason : "",
	        .waiver_until_ns = json_integer_value(json_object_get(arguments, "waiver_until_ns")),
	        .actor = service_actor(peer)};
	int rc = service_require(service, peer, PLACE_QUARANTINE, POLICY_WRITE, event, NULL);
	if (rc >= 0)
		rc = service_require_writable(service, peer, event, NULL);
	if (rc >= 0)
		rc = read_id(arguments, &decision.id);
	decision.by = service_user_name(peer->uid, memory, 4096);
	if (rc >= 0)
		*ret_decision = decision;
	return rc;
}

static int send_decided(Service *service, const struct gate_decision *decision, bool is_waived, ControlReply *reply) {
	_cleanup_(freep) struct held *held = calloc(1, sizeof *held);
	if (!held)
		return fault(ENOMEM, "deciding: out of memory");
	int rc = store_commit_wait(service->store); /* durable before the command says so */
	meta_begin(service->meta);
	int got = quarantine_get(service->meta, decision->id, &held->row, held->path);
	rc = meta_end(service->meta, rc < 0 ? rc : got);
	return rc < 0 ? rc
	              : control_send(reply, json_pack("{s:I, s:o, s:b, s:I}", "id", (json_int_t)decision->id, "path",
	                                            wire_path(held->path), "waived", (int)is_waived, "waiver_until_ns",
	                                            (json_int_t)(is_waived ? decision->waiver_until_ns : 0)));
}

int service_quarantine_release(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct gate_decision decision;
	char memory[4096];
	bool is_waived = false;
	int rc = begin_decision(service, peer, arguments, "quarantine-release", memory, &decision);
	if (rc >= 0)
		rc = gate_release(service->gate, &decision, &is_waived);
	return rc < 0 ? rc : send_decided(service, &decision, is_waived, reply);
}

int service_quarantine_drop(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct gate_decision decision;
	char memory[4096];
	int rc = begin_decision(service, peer, arguments, "quarantine-drop", memory, &decision);
	if (rc >= 0)
		rc = gate_drop(service->gate, &decision);
	return rc < 0 ? rc : send_decided(service, &decision, false, reply);
}
