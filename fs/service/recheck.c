/* What `assayfs policy apply --dry-run` and `--recheck` ask: the gate's answers, file by file. */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>

/* So many files that nothing is to be said of may pass between two answers, which tell how far it has come. */
#define TOLD_EVERY 16

static int send_one(void *arg, const struct gate_rechecked *rechecked) {
	ControlReply *reply = arg;
	bool is_changed = (rechecked->now == OUTCOME_PASSED) != (rechecked->then == OUTCOME_PASSED);
	if (!is_changed && rechecked->done % TOLD_EVERY != 0 && rechecked->done != rechecked->total)
		return 0;
	json_t *item =
	        json_pack("{s:I, s:I}", "done", (json_int_t)rechecked->done, "total", (json_int_t)rechecked->total);
	if (is_changed)
		json_object_update_new(
		        item, json_pack("{s:o, s:s?, s:s, s:s, s:s?}", "path", wire_path(rechecked->path), "dataset",
		                      rechecked->dataset, "now", outcome_word(rechecked->now), "then",
		                      outcome_word(rechecked->then), "reason", rechecked->reason));
	return control_send(reply, item);
}

int service_policy_foresee(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) uint8_t *archive = NULL;
	size_t size = 0;
	int rc = service_require(service, peer, PLACE_POLICY, POLICY_WRITE, "policy-foresee", NULL);
	if (rc == 0)
		rc = service_policy_archive(arguments, &archive, &size);
	struct actor actor = service_actor(peer);
	return rc < 0 ? rc : gate_foresee(service->gate, bytes_of(archive, size), &actor, send_one, reply);
}

int service_policy_recheck(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	(void)arguments;
	int rc = service_require(service, peer, PLACE_POLICY, POLICY_WRITE, "policy-recheck", NULL);
	if (rc == 0)
		rc = service_require_writable(service, peer, "policy-recheck", NULL);
	struct actor actor = service_actor(peer);
	if (rc == 0)
		rc = gate_recheck(service->gate, &actor, send_one, reply);
	return rc < 0 ? rc : store_commit_wait(service->store);
}
