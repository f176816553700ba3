/* What `assayfs restore` asks: an earlier version as a new one, through the gate. */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <string.h>

/* Who may write the name: the file that bears it, or the directory where it would be made. In an operation. */
static int may_write(Meta *m, const char *path, const struct control_peer *peer) {
	struct node node;
	int rc = service_may_reach(m, path, peer);
	if (rc)
		return rc;
	rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc == 0)
		return service_mode_allows(m, &node, peer, 2)
		               ? 0
		               : fault(EACCES, "its mode does not let your user write it");
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;
	if (rc != -ENOENT && rc != -ENOTDIR)
		return rc;
	rc = tree_resolve(m, bytes_of(path, length), &node);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return fault(ENOENT, "its directory %.*s is gone: make it first (mkdir -p)", (int)length, path);
	if (rc)
		return rc;
	return service_mode_allows(m, &node, peer, 3)
	               ? 0
	               : fault(EACCES, "the mode of its directory does not let your user make it");
}

static int check_rights(Service *service, const struct control_peer *peer, const char *path) {
	enum policy_place place = service_place(path);
	if (place == PLACE_COUNT || !strchr(path, '/'))
		return fault(EISDIR, "it is no file of Landing or Trusted");
	struct actor actor = service_actor(peer);
	if (place == PLACE_RAW) {
		(void)fault(EPERM, "Raw is immutable; restore it in Landing, from where it arrives anew");
		service_record_denied(service, &actor, "restore", path, EPERM);
		return -EPERM;
	}
	int rc = service_require(service, peer, place, POLICY_WRITE, "restore", path);
	if (!rc)
		rc = service_require_writable(service, peer, "restore", path);
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, may_write(service->meta, path, peer));
	if (rc == -EACCES)
		service_record_denied(service, &actor, "restore", path, EACCES);
	return rc;
}

struct asking {
	const char *path;
	const struct control_peer *peer;
};

/* In the operation that restores. The file that stands there now speaks for what may be written to it; what an earlier
 * version holds may be another user's, and its own mode says who may have it (as in .assayfs/versions). */
static int allow(void *arg, Meta *m, const struct version *version) {
	const struct asking *asking = arg;
	const struct node as_it_was = service_as_it_was(version);
	if (!service_mode_allows(m, &as_it_was, asking->peer, 4))
		return fault(EACCES, "the mode of that version does not let your user read it");
	return may_write(m, asking->path, asking->peer);
}

/* Whether the restored file waits for its check. In an operation. */
static int outcome_now(Meta *m, const char *path, enum outcome *ret_outcome) {
	struct node node;
	int rc = tree_resolve(m, bytes_of_string(path), &node);
	return rc ? rc : gate_outcome(m, path, &node, ret_outcome, NULL);
}

int service_restore(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	char path[WIRE_PATH_MAX];
	json_int_t number = json_integer_value(json_object_get(arguments, "number"));
	int rc = service_path(arguments, path);
	if (!rc && number <= 0)
		rc = fault(EINVAL, "a version's number is missing");
	if (!rc)
		rc = check_rights(service, peer, path);
	if (rc)
		return rc;
	struct actor actor = service_actor(peer);
	uint64_t made = 0;
	struct asking asking = {.path = path, .peer = peer};
	rc = gate_restore(service->gate, path, (uint64_t)number, &actor, allow, &asking, &made);
	if (rc == -EACCES)
		service_record_denied(service, &actor, "restore", path, EACCES);
	if (rc == 0)
		rc = store_audit_wait(service->store);
	if (rc)
		return rc;
	enum outcome outcome = OUTCOME_NONE;
	meta_begin(service->meta);
	(void)meta_end(service->meta, outcome_now(service->meta, path, &outcome));
	return control_send(reply, json_pack("{s:o, s:I, s:s}", "path", wire_path(path), "number", (json_int_t)made,
	                                   "outcome", outcome_word(outcome)));
}
