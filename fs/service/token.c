/* What `assayfs token` asks. A steward by the policy decides; every decision and every refusal is in the log. */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"
#include "fs/http/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DAY_S INT64_C(86400)

/* Who is asked for, as the record has it. */
static int may_decide(Service *service, const struct control_peer *peer, const char *event, const char *detail) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	int error = 0;
	if (!service_is_steward(service, held->policy, peer))
		error = -fault(EACCES, "stewards by the policy decide on tokens; a role that is lent does not");
	else if (service->refuses_changes)
		error = -fault(EROFS, "%s", service_read_only_words(service));
	if (!error)
		return 0;
	struct actor actor = service_actor(peer);
	service_record_denied_detail(service, &actor, event, NULL, detail, error);
	return -error;
}

/* The change and its record in one operation; durable before the answer. */
static int end_recorded(Service *service, struct audit_event *record, const struct control_peer *peer, int rc) {
	record->actor = service_actor(peer);
	if (!rc)
		rc = audit_record(service->meta, record, NULL);
	rc = meta_end(service->meta, rc);
	return rc ? rc : store_commit_wait(service->store);
}

static int read_wish(const json_t *arguments, int64_t now_s, struct token *ret) {
	const char *name = json_string_value(json_object_get(arguments, "name"));
	const char *role = json_string_value(json_object_get(arguments, "role"));
	const json_t *days = json_object_get(arguments, "days");
	json_int_t count = days ? json_integer_value(days) : TOKEN_DAYS_DEFAULT;
	if (!name || strlen(name) >= sizeof ret->name)
		return fault(EINVAL, "a token's name has at most %zu letters", sizeof ret->name - 1);
	snprintf(ret->name, sizeof ret->name, "%s", name);
	ret->role = role ? token_role_named(role) : TOKEN_ROLES;
	if (ret->role == TOKEN_ROLES)
		return fault(EINVAL, "a token's role is viewer, auditor or steward");
	if (count < 1 || count > TOKEN_DAYS_MAX)
		return fault(EINVAL, "a token lives from 1 to %d days", TOKEN_DAYS_MAX);
	ret->made_s = now_s;
	ret->until_s = now_s + count * DAY_S;
	return 0;
}

static json_t *token_json(const struct token *token) {
	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "name", token->name, "role", token_role_word(token->role), "by",
	        (json_int_t)token->by, "made_s", (json_int_t)token->made_s, "until_s", (json_int_t)token->until_s);
}

int service_token_add(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct token token = {.by = peer->uid};
	char text[TOKEN_TEXT_BYTES], detail[96];
	int rc = read_wish(arguments, meta_now(service->meta) / 1000000000, &token);
	if (rc)
		return rc;
	snprintf(detail, sizeof detail, "%s %s", token_role_word(token.role), token.name);
	rc = may_decide(service, peer, "token-add", detail);
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = token_add(service->meta, &token, text);
	struct audit_event record = {.event = "token-add", .detail = detail};
	rc = end_recorded(service, &record, peer, rc);
	if (rc)
		return rc;
	json_t *item = token_json(&token);
	json_object_set_new(item, "token", json_string(text));
	return control_send(reply, item);
}

static int add_to_list(void *arg, const struct token *token) {
	return json_array_append_new(arg, token_json(token)) ? -ENOMEM : 0;
}

int service_token_list(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	(void)arguments;
	_cleanup_(json_decrefp) json_t *list = json_array();
	int rc = service_require(service, peer, PLACE_AUDIT, POLICY_READ, "token-list", NULL);
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, token_list(service->meta, add_to_list, list));
	for (size_t i = 0; !rc && i < json_array_size(list); i++)
		rc = control_send(reply, json_incref(json_array_get(list, i)));
	return rc;
}

int service_token_remove(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const char *name = json_string_value(json_object_get(arguments, "name"));
	char detail[TOKEN_NAME_BYTES];
	(void)reply;
	snprintf(detail, sizeof detail, "%s", name ? name : "");
	int rc = may_decide(service, peer, "token-remove", detail);
	if (rc)
		return rc;
	meta_begin(service->meta);
	rc = token_remove(service->meta, name ? name : "");
	struct audit_event record = {.event = "token-remove", .detail = detail};
	return end_recorded(service, &record, peer, rc);
}
