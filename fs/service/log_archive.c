/* What `assayfs log archive` asks: old records sealed, given out to be shipped, and pruned. */
#include "fs/service/internal.h"

#include "backend/audit_retain.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a file, in one message. */
#define PIECE_BYTES ((size_t)1 << 20)

/* ---- the request ---- */

static int read_number(const json_t *arguments, const char *name, json_int_t *ret) {
	const json_t *value = json_object_get(arguments, name);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return fault(EPROTO, "'%s' is no number in its bounds", name);
	*ret = json_integer_value(value);
	return 0;
}

static int require_reader(Service *service, const struct control_peer *peer) {
	return service_require(service, peer, PLACE_AUDIT, POLICY_READ, "read-log", NULL);
}

/* How long records are kept is a steward's to decide. */
static int require_steward(Service *service, const struct control_peer *peer, const char *event) {
	int rc = service_require(service, peer, PLACE_POLICY, POLICY_WRITE, event, NULL);
	return rc ? rc : service_require_writable(service, peer, event, NULL);
}

/* ---- the answer ---- */

static json_t *archived_json(const struct audit_archived *a) {
	char name[AUDIT_RETAIN_NAME_BYTES];
	audit_retain_name(a->first, name);
	json_t *item = json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:b}", "first", (json_int_t)a->first, "last",
	        (json_int_t)(a->end - 1), "oldest", (json_int_t)a->oldest, "newest", (json_int_t)a->newest, "bytes",
	        (json_int_t)a->bytes, "sha256", service_json_hex(a->sha256, sizeof a->sha256), "file", name, "pruned",
	        (int)a->pruned);
	if (item && a->shipped_ns) {
		json_object_set_new(item, "shipped", json_integer((json_int_t)a->shipped_ns));
		json_object_set_new(item, "place", wire_path(a->place));
	}
	return item;
}

static int gather(void *arg, const struct audit_archived *archived) {
	return json_array_append_new(arg, archived_json(archived)) ? -ENOMEM : 0;
}

int service_log_archives(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	(void)arguments;
	int rc = require_reader(service, peer);
	if (rc)
		return rc;
	_cleanup_(json_decrefp) json_t *list = json_array();
	meta_begin(service->meta);
	rc = meta_end(service->meta, list ? audit_retain_list(service->meta, gather, list) : -ENOMEM);
	for (size_t i = 0; !rc && i < json_array_size(list); i++)
		rc = control_send(reply, json_incref(json_array_get(list, i)));
	return rc;
}

/* One archive after the other, each of them told. */
typedef int retain_step(Store *store, int64_t before_ns, const struct actor *actor, struct audit_archived *ret);

static int each_step(Service *service, const struct control_peer *peer, const json_t *arguments, ControlReply *reply,
        retain_step *step) {
	json_int_t before;
	const struct actor actor = service_actor(peer);
	struct audit_archived archived;
	int rc = read_number(arguments, "before", &before);
	if (!rc)
		rc = store_commit_wait(service->store); /* what was done before the question counts */
	if (rc)
		return rc;
	while ((rc = step(service->store, before, &actor, &archived)) > 0) {
		rc = control_send(reply, archived_json(&archived));
		if (rc)
			return rc;
	}
	return rc;
}

int service_log_archive(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	int rc = require_steward(context, peer, "log-archive");
	return rc ? rc : each_step(context, peer, arguments, reply, audit_retain_archive);
}

int service_log_prune(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	int rc = require_steward(context, peer, "log-prune");
	return rc ? rc : each_step(context, peer, arguments, reply, audit_retain_prune);
}

static int send_piece(ControlReply *reply, struct bytes piece) {
	_cleanup_(freep) char *text = malloc(BASE64_TEXT_BYTES(piece.size));
	if (!text)
		return fault(ENOMEM, "reading an archive of the log: out of memory");
	base64_encode(piece, text);
	return control_send(reply, json_pack("{s:s}", "data", text));
}

int service_log_archive_read(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) uint8_t *file = NULL;
	size_t size = 0;
	json_int_t first;
	int rc = require_reader(service, peer);
	if (!rc)
		rc = read_number(arguments, "first", &first);
	if (!rc)
		rc = audit_retain_read(service->store, (uint64_t)first, &file, &size);
	for (size_t at = 0; !rc && at < size; at += PIECE_BYTES)
		rc = send_piece(reply, bytes_of(file + at, size - at < PIECE_BYTES ? size - at : PIECE_BYTES));
	return rc;
}

int service_log_ship(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	uint8_t digest[DIGEST_BYTES];
	char place[WIRE_PATH_MAX];
	json_int_t first;
	const char *hex = json_string_value(json_object_get(arguments, "sha256"));
	const struct actor actor = service_actor(peer);
	(void)reply;
	int rc = require_steward(service, peer, "log-ship");
	if (!rc)
		rc = read_number(arguments, "first", &first);
	if (!rc)
		rc = wire_path_get(json_object_get(arguments, "place"), place);
	if (!rc && (!hex || hex_decode(hex, sizeof digest, digest)))
		rc = fault(EPROTO, "'sha256' is no digest");
	return rc ? rc : audit_retain_shipped(service->store, (uint64_t)first, digest, place, &actor);
}

int service_log_pruned(Service *service, const struct audit_filter *filter, uint64_t next, json_t **ret_item) {
	int64_t time = 0;
	*ret_item = NULL;
	meta_begin(service->meta);
	uint64_t pruned = audit_pruned(service->meta);
	int rc = meta_end(service->meta, pruned ? audit_time(service->meta, pruned, &time) : 0);
	if (!rc && next < pruned && (!filter->has_since || filter->since < time))
		*ret_item = json_pack("{s:I, s:I}", "pruned", (json_int_t)pruned, "pruned_before", (json_int_t)time);
	return rc == -ENOENT ? 0 : rc;
}
