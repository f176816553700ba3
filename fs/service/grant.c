/* What `assayfs grant` asks: something lent for hours, by a steward to anybody, or by who may break the glass to
 * himself.
 */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"
#include "fs/log.h"
#include "policy/gate/grant.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- who may ---- */

/* Who mounted has the passphrase, and with it all there is: that he may lend himself what he needs only shows it. */
static bool breaks_glass(const Service *service, const Policy *policy, const struct control_peer *peer) {
	struct policy_actor actor = service_policy_actor(service, peer);
	return actor.is_mounter || policy_breaks_glass(policy, &actor);
}

/* With all that was wished: who reads of it later has nothing else. */
static int refuse_giving(Service *service, const struct control_peer *peer, const struct grant *wish, int error) {
	char detail[AUDIT_DETAIL_MAX];
	struct actor actor = service_actor(peer);
	gate_grant_words(wish, detail, sizeof detail);
	service_record_denied_detail(service, &actor, "grant", *wish->path ? wish->path : NULL, detail, error);
	return -error;
}

/* A lent role gives no right to lend: else it could be renewed for ever, and what was lent by it would outlive it. */
static int may_give(Service *service, const struct control_peer *peer, const struct grant *wish) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	bool may = service_is_steward(service, held->policy, peer) ||
	           (wish->uid == peer->uid && breaks_glass(service, held->policy, peer));
	if (!may) {
		(void)fault(EACCES,
		        "stewards by the policy grant, a lent role does not; who is listed under break_glass in "
		        "policy.yaml, and who mounted, may grant himself something (without --user)");
		return refuse_giving(service, peer, wish, EACCES);
	}
	if (!service->refuses_changes)
		return 0;
	(void)fault(EROFS, "%s", service_read_only_words(service));
	return refuse_giving(service, peer, wish, EROFS);
}

/* ---- giving ---- */

static int read_role(const json_t *arguments, enum policy_role *ret_role) {
	const char *word = json_string_value(json_object_get(arguments, "role"));
	*ret_role = word ? policy_role_named(word) : ROLE_COUNT;
	if (word && *ret_role == ROLE_COUNT)
		return fault(
		        EINVAL, "there is no role '%.40s'; there are steward, ingester, analyst and auditor", word);
	return 0;
}

static json_t *grant_json(const struct grant *grant) {
	json_t *item = json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:s}", "number", (json_int_t)grant->number, "uid",
	        (json_int_t)grant->uid, "by", (json_int_t)grant->by, "made_ns", (json_int_t)grant->made_ns, "until_ns",
	        (json_int_t)grant->until_ns, "write", (int)grant->write, "reason", grant->reason);
	if (item && grant->role < ROLE_COUNT)
		json_object_set_new(item, "role", json_string(policy_role_name(grant->role)));
	else if (item)
		json_object_set_new(item, "path", wire_path(grant->path));
	return item;
}

int service_grant(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	char path[WIRE_PATH_MAX] = "";
	const char *reason = json_string_value(json_object_get(arguments, "reason"));
	struct grant grant = {.path = path,
	        .reason = reason ? reason : "",
	        .until_ns = json_integer_value(json_object_get(arguments, "for_ns")),
	        .write = json_is_true(json_object_get(arguments, "write"))};
	int rc = service_uid(arguments, peer->uid, &grant.uid);
	if (!rc)
		rc = read_role(arguments, &grant.role);
	if (!rc && json_object_get(arguments, "path"))
		rc = service_path(arguments, path);
	if (!rc)
		rc = may_give(service, peer, &grant);
	if (rc)
		return rc;
	struct actor actor = service_actor(peer);
	rc = gate_grant(service->gate, &grant, &actor, &grant);
	if (!rc) /* whoever looks after the machine hears of it, too */
		log_message(MESSAGE_GRANT, "grant %" PRIu64 " beside the roles: to uid %u by uid %u", grant.number,
		        grant.uid, grant.by);
	if (!rc && grant.uid == grant.by) /* the glass was broken: who has an alarm on it hears of it now */
		alarms_event(service->alarms, "BreakGlassUses");
	if (!rc) /* durable before the command says that it counts */
		rc = store_commit_wait(service->store);
	return rc ? rc : control_send(reply, grant_json(&grant));
}

/* ---- what there is ---- */

struct listing {
	json_t *list;
	const uid_t *uid; /* NULL: everybody's */
};

static int add_lent(void *arg, const struct grant *grant) {
	const struct listing *listing = arg;
	if (!listing->uid || *listing->uid == grant->uid)
		json_array_append_new(listing->list, grant_json(grant));
	return 0;
}

json_t *service_lent_json(Service *service, const uid_t *uid) {
	struct listing listing = {.list = json_array(), .uid = uid};
	if (listing.list)
		(void)gate_grants(service->gate, add_lent, &listing);
	return listing.list;
}

/* Those of the policy, that have not ended; of `actor` alone unless NULL. */
static void add_of_policy(Service *service, const struct policy_actor *actor, json_t *list) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	int64_t now_s = gate_grant_now(service->gate) / 1000000000;
	for (size_t i = 0; i < policy_grant_count(held->policy); i++) {
		const struct policy_grant *grant = policy_grant(held->policy, i);
		char who[POLICY_GRANTEES_BYTES];
		if (grant->until_s <= now_s || (actor && !policy_grant_is_of(held->policy, i, actor)))
			continue;
		json_array_append_new(
		        list, json_pack("{s:i, s:s, s:s*, s:s*, s:b, s:I, s:s}", "line", (int)grant->line, "who",
		                      policy_grant_words(held->policy, i, who), "dataset", grant->dataset, "path",
		                      grant->path, "write", (int)grant->write, "until_ns",
		                      (json_int_t)grant->until_s * 1000000000, "reason", grant->reason));
	}
}

/* Whoever reads the log sees all of them; others what is theirs. */
int service_grant_list(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	(void)arguments;
	struct gate_policy *held = gate_policy(service->gate);
	bool sees_all = service_permits(service, held->policy, peer, PLACE_AUDIT, POLICY_READ);
	gate_policy_done(held);
	struct policy_actor actor = service_policy_actor(service, peer);
	_cleanup_(json_decrefp) json_t *list = service_lent_json(service, sees_all ? NULL : &peer->uid);
	if (!list)
		return fault(ENOMEM, "listing grants: out of memory");
	add_of_policy(service, sees_all ? NULL : &actor, list);
	int rc = 0;
	for (size_t i = 0; !rc && i < json_array_size(list); i++)
		rc = control_send(reply, json_incref(json_array_get(list, i)));
	return rc;
}

/* ---- taking back ---- */

struct finding {
	uint64_t number;
	uid_t uid; /* of whom it is, when there is one */
	json_t *item;
	char words[AUDIT_DETAIL_MAX];
};

static int find_number(void *arg, const struct grant *grant) {
	struct finding *finding = arg;
	if (grant->number != finding->number)
		return 0;
	finding->uid = grant->uid;
	finding->item = grant_json(grant);
	size_t used = strlen(finding->words);
	snprintf(finding->words + used, sizeof finding->words - used, ": ");
	gate_grant_words(grant, finding->words + used + 2, sizeof finding->words - used - 2);
	return 1;
}

static int refuse_revoking(
        Service *service, const struct control_peer *peer, const struct finding *finding, int error) {
	struct actor actor = service_actor(peer);
	service_record_denied_detail(service, &actor, "grant-revoke", NULL, finding->words, error);
	return -error;
}

static int may_revoke(Service *service, const struct control_peer *peer, const struct finding *finding) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	bool may = (finding->item && finding->uid == peer->uid) ||
	           service_permits(service, held->policy, peer, PLACE_POLICY, POLICY_WRITE);
	if (!may) {
		(void)fault(EACCES, "a steward revokes, or whose grant it is");
		return refuse_revoking(service, peer, finding, EACCES);
	}
	if (!service->refuses_changes)
		return 0;
	(void)fault(EROFS, "%s", service_read_only_words(service));
	return refuse_revoking(service, peer, finding, EROFS);
}

/* A steward, and who gives up his own. */
int service_grant_revoke(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	json_int_t number = json_integer_value(json_object_get(arguments, "number"));
	struct finding finding = {.number = number > 0 ? (uint64_t)number : 0};
	snprintf(finding.words, sizeof finding.words, "grant %" PRIu64, finding.number);
	(void)gate_grants(service->gate, find_number, &finding);
	_cleanup_(json_decrefp) json_t *item = finding.item;
	struct actor actor = service_actor(peer);
	int rc = may_revoke(service, peer, &finding);
	if (!rc)
		rc = gate_grant_revoke(service->gate, finding.number, &actor);
	if (!rc)
		rc = store_commit_wait(service->store);
	return rc ? rc : control_send(reply, item ? json_incref(item) : json_pack("{s:I}", "number", number));
}
