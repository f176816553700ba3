#include "fs/service/internal.h"

#include "backend/acl.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "fs/access.h"
#include "fs/roles.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

/* ---- who, and what they may ---- */

struct actor service_actor(const struct control_peer *peer) {
	struct actor actor = {.uid = peer->uid, .gid = peer->gid, .pid = peer->pid};
	memcpy(actor.exe, peer->exe, sizeof actor.exe);
	return actor;
}

const char *service_user_name(uid_t uid, char *buffer, size_t size) {
	struct passwd entry, *found = NULL;
	return getpwuid_r(uid, &entry, buffer, size, &found) == 0 && found ? found->pw_name : "";
}

struct policy_actor service_policy_actor(const Service *service, const struct control_peer *peer) {
	return (struct policy_actor){.uid = peer->uid,
	        .gid = peer->gid,
	        .groups = peer->groups,
	        .group_count = peer->group_count,
	        .lent = gate_lent_roles(service->gate, peer->uid),
	        .held = peer->token_roles,
	        .is_mounter = peer->uid == service->mounter};
}

bool service_is_steward(const Service *service, const Policy *policy, const struct control_peer *peer) {
	struct policy_actor actor = service_policy_actor(service, peer);
	actor.lent = actor.held = 0;
	return policy_permits(policy, PLACE_POLICY, POLICY_WRITE, &actor);
}

bool service_permits(const Service *service, const Policy *policy, const struct control_peer *peer,
        enum policy_place place, enum policy_access access) {
	struct policy_actor actor = service_policy_actor(service, peer);
	return policy_permits(policy, place, access, &actor);
}

int service_record(Service *service, const struct audit_event *event) {
	if (service->is_read_only)
		return 0;
	int rc = store_audit_check(service->store);
	if (rc < 0)
		return rc;
	meta_begin(service->meta);
	rc = meta_end(service->meta, audit_record(service->meta, event, NULL));
	return rc < 0 ? store_audit_refuse(service->store, rc) : store_audit_wait(service->store);
}

void service_record_denied(
        Service *service, const struct actor *actor, const char *event, const char *path, int error) {
	service_record_denied_detail(service, actor, event, path, "by command", error);
}

void service_record_denied_detail(Service *service, const struct actor *actor, const char *event, const char *path,
        const char *detail, int error) {
	if (service->is_read_only)
		return;
	const struct audit_event record = {
	        .event = event, .actor = *actor, .path = path, .outcome = "denied", .err = error, .detail = detail};
	char words[FAULT_MESSAGE_BYTES];
	memcpy(words, fault_message(), sizeof words);
	meta_begin(service->meta);
	(void)meta_end_denied(service->meta, -error, &record);
	(void)store_audit_wait(service->store); /* it is refused either way */
	(void)fault(error, "%s", words);
}

/* While no roles are named commands are who mounted's alone, and there are no grants. */
static bool grant_permits(Service *service, const Policy *policy, const struct control_peer *peer, const char *path,
        enum policy_access access) {
	struct gate_member member = {
	        .uid = peer->uid, .gid = peer->gid, .groups = peer->groups, .group_count = peer->group_count};
	struct gate_wish wish = {.zone = (uint8_t)zone_of_path(path),
	        .reach = access == POLICY_WRITE ? POLICY_REACH_WRITE : POLICY_REACH_READ,
	        .path = path};
	struct gate_permit permit;
	return policy_has_roles(policy) && roles_permit(service->gate, &member, &wish, &permit);
}

bool service_lets(Service *service, const struct control_peer *peer, enum policy_place place, enum policy_access access,
        const char *path) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	if (place < PLACE_COUNT && service_permits(service, held->policy, peer, place, access))
		return true;
	return path && place < PLACE_COUNT && place == service_place(path) &&
	       grant_permits(service, held->policy, peer, path, access);
}

int service_require(Service *service, const struct control_peer *peer, enum policy_place place,
        enum policy_access access, const char *event, const char *path) {
	if (service_lets(service, peer, place, access, path))
		return 0;
	(void)fault(EACCES, "your user has no role that allows it; a steward can give one in policy.yaml, under roles");
	struct actor actor = service_actor(peer);
	service_record_denied(service, &actor, event, path, EACCES);
	return -EACCES;
}

const char *service_read_only_words(const Service *service) {
	return service->is_read_only
	               ? "the vault was unlocked by a slot that is limited to reading, so nothing is changed here"
	               : "the vault is mounted read-only (-o ro)";
}

int service_require_writable(Service *service, const struct control_peer *peer, const char *event, const char *path) {
	if (!service->refuses_changes)
		return 0;
	(void)fault(EROFS, "%s", service_read_only_words(service));
	struct actor actor = service_actor(peer);
	service_record_denied(service, &actor, event, path, EROFS);
	return -EROFS;
}

enum policy_place service_place(const char *path) {
	return roles_place_of((uint8_t)zone_of_path(path));
}

int service_check_zone(const char *path) {
	return service_place(path) < PLACE_COUNT
	               ? 0
	               : fault(EINVAL, "files with versions and verdicts are in Landing, Raw and Trusted");
}

struct asker {
	Meta *meta;
	const struct control_peer *peer;
	struct acl acl;
};

static bool is_in_group(void *arg, uint32_t gid) {
	const struct control_peer *peer = ((struct asker *)arg)->peer;
	for (size_t i = 0; i < peer->group_count; i++)
		if (peer->groups[i] == gid)
			return true;
	return false;
}

static int find_acl(void *arg, const struct node *node, const struct acl **ret) {
	struct asker *asker = arg;
	*ret = &asker->acl;
	return acl_get(asker->meta, node, ACL_TYPE_ACCESS, &asker->acl);
}

bool service_mode_allows(Meta *m, const struct node *node, const struct control_peer *peer, unsigned bits) {
	struct asker asker = {.meta = m, .peer = peer};
	struct access_subject who = {
	        .uid = peer->uid, .gid = peer->gid, .in_group = is_in_group, .acl = find_acl, .arg = &asker};
	return access_check(&who, node, bits) == 0;
}

struct node service_as_it_was(const struct version *version) {
	return (struct node){.id = version->node,
	        .xattrs = version->mode & VERSION_MODE_ACL ? 1 : 0,
	        .mode = version->mode,
	        .uid = version->uid,
	        .gid = version->gid};
}

int service_may_reach(Meta *m, const char *path, const struct control_peer *peer) {
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		struct node directory;
		int rc = tree_resolve_past(m, bytes_of(path, (size_t)(slash - path)), &directory, NULL);
		if (rc == -ENOENT || rc == -ENOTDIR)
			return 0; /* nothing was ever there: who asks will be told so */
		if (rc)
			return rc;
		if (!service_mode_allows(m, &directory, peer, 1))
			return fault(EACCES, "the mode of a directory on the way does not let your user pass");
	}
	return 0;
}

/* ---- values ---- */

int service_path(const json_t *arguments, char ret_path[static WIRE_PATH_MAX]) {
	return wire_vault_path_get(json_object_get(arguments, "path"), ret_path);
}

int service_uid(const json_t *arguments, uid_t self, uid_t *ret_uid) {
	const json_t *value = json_object_get(arguments, "uid");
	if (value && (!json_is_integer(value) || json_integer_value(value) < 0 ||
	                     json_integer_value(value) >= UINT32_MAX)) /* (uid_t)-1 is nobody's */
		return fault(EPROTO, "'uid' is no user's number");
	*ret_uid = value ? (uid_t)json_integer_value(value) : self;
	return 0;
}

int service_number(const json_t *arguments, const char *name, int64_t most, int64_t otherwise, int64_t *ret) {
	const json_t *value = json_object_get(arguments, name);
	if (value && (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > most))
		return fault(EPROTO, "'%s' is no number in its bounds", name);
	*ret = value ? json_integer_value(value) : otherwise;
	return 0;
}

int service_zones(const json_t *list, uint32_t *ret_zones) {
	uint32_t zones = 0;
	if (list && !json_is_array(list))
		return fault(EPROTO, "'zones' is no list");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		enum zone zone = name && !strchr(name, '/') ? zone_of_path(name) : ZONE_NONE;
		if (zone == ZONE_NONE)
			return fault(EINVAL, "there is no zone '%.40s': Landing, Raw, Trusted", name ? name : "");
		zones |= 1u << zone;
	}
	*ret_zones = zones;
	return 0;
}

json_t *service_json_path(struct bytes path) {
	char text[WIRE_PATH_MAX];
	size_t size = path.size < sizeof text ? path.size : sizeof text - 1;
	if (size)
		memcpy(text, path.data, size);
	text[size] = '\0';
	return wire_path(text);
}

json_t *service_json_hex(const uint8_t *data, size_t size) {
	char text[HEX_TEXT_BYTES(64)];
	if (size > 64)
		return NULL;
	hex_encode(bytes_of(data, size), text);
	return json_string(text);
}

/* ---- the smallest handlers ---- */

int service_sync(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	(void)peer;
	(void)arguments;
	(void)reply;
	return service->is_read_only ? 0 : store_commit_wait(service->store);
}

/* ---- life ---- */

static const struct {
	const char *name;
	control_handler *handler;
} requests[] = {
        {"versions", service_versions},
        {"restore", service_restore},
        {"log", service_log},
        {"log-summary", service_log_summary},
        {"log-archive", service_log_archive},
        {"log-archive-read", service_log_archive_read},
        {"log-archives", service_log_archives},
        {"log-prune", service_log_prune},
        {"log-ship", service_log_ship},
        {"status", service_status},
        {"metrics", service_metrics},
        {"policy-show", service_policy_show},
        {"policy-apply", service_policy_apply},
        {"policy-foresee", service_policy_foresee},
        {"policy-recheck", service_policy_recheck},
        {"why", service_why},
        {"run", service_run},
        {"runs", service_runs},
        {"quarantine-list", service_quarantine_list},
        {"quarantine-show", service_quarantine_show},
        {"quarantine-rows", service_quarantine_rows},
        {"quarantine-release", service_quarantine_release},
        {"quarantine-drop", service_quarantine_drop},
        {"erase", service_erase},
        {"gc", service_gc},
        {"find-subject", service_find_subject},
        {"sync", service_sync},
        {"grant", service_grant},
        {"grant-list", service_grant_list},
        {"grant-revoke", service_grant_revoke},
        {"access", service_access},
        {"alarm-list", service_alarm_list},
        {"alarm-history", service_alarm_history},
        {"alarm-dead", service_alarm_dead},
        {"alarm-test", service_alarm_test},
        {"alarm-silence", service_alarm_silence},
        {"alarm-retry", service_alarm_retry},
        {"alarm-drop", service_alarm_drop},
        {"alarm-key", service_alarm_key},
        {"backup-add", service_backup_add},
        {"backup-status", service_backup_status},
        {"backup-verify", service_backup_verify},
        {"backup-remove", service_backup_remove},
        {"backup-sync", service_backup_sync},
        {"lineage", service_lineage},
        {"costs", service_costs},
        {"samples", service_samples},
        {"refusals", service_refusals},
        {"datasets", service_datasets},
        {"pulse", service_pulse},
        {"token-add", service_token_add},
        {"token-list", service_token_list},
        {"token-remove", service_token_remove},
        {"key-list", service_key_list},
        {"key-rotate", service_key_rotate},
        {"key-disable", service_key_disable},
        {"key-enable", service_key_enable},
        {"key-schedule-deletion", service_key_schedule_deletion},
        {"key-cancel-deletion", service_key_cancel_deletion},
        {"key-alias", service_key_alias},
        {"slot-add", service_slot_add},
        {"slot-remove", service_slot_remove},
        {"lock", service_lock},
        {"lock-after", service_lock_after},
        {"unlock", service_unlock},
};

static int register_all(Service *service) {
	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		int rc =
		        control_register(service->control, requests[i].name, CONTROL_ANY, requests[i].handler, service);
		if (rc)
			return rc;
	}
	return 0;
}

/* Who is refused by the socket itself is in the log like who is refused by a handler. */
static void record_refused(void *context, const struct control_peer *peer, const char *command) {
	struct actor actor = service_actor(peer);
	service_record_denied(context, &actor, command, NULL, EACCES);
}

static int open_socket(Service *service, const struct service_options *options, const struct store_info *info) {
	char id[HEX_TEXT_BYTES(STORE_VAULT_ID_BYTES)];
	hex_encode(bytes_of(info->vault_id, sizeof info->vault_id), id);
	struct control_options control = {.vault_id = id,
	        .owner = options->mounter,
	        .others = options->others,
	        .directory = options->directory,
	        .denied = record_refused,
	        .denied_context = service};
	int rc = control_open(&control, &service->control);
	if (!rc)
		rc = register_all(service);
	return rc ? rc : control_start(service->control);
}

int service_start(const struct service_options *options, Service **ret_service) {
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	Service *service = calloc(1, sizeof *service);
	if (service)
		pthread_mutex_init(&service->http_lock, NULL);
	if (!service || !info) {
		free(service);
		return fault(ENOMEM, "starting the mount's service: out of memory");
	}
	store_info(options->store, info);
	service->store = options->store;
	service->meta = store_meta(options->store);
	service->gate = options->gate;
	service->spawner = options->spawner;
	service->trusted = options->trusted;
	service->metrics = options->metrics;
	service->alarms = options->alarms;
	service->costs = options->costs;
	service->backup = options->backup;
	service->lifecycle = options->lifecycle;
	service->idle = options->idle;
	service->kms = options->kms;
	service->closed = options->closed;
	service->closed_arg = options->closed_arg;
	service->mounter = options->mounter;
	service->is_read_only = info->read_only;
	service->refuses_changes = options->read_only || info->read_only;
	service->started_ns = meta_now(service->meta);
	int rc = open_socket(service, options, info);
	if (rc) {
		control_close(service->control, rc, fault_message());
		free(service);
		return rc;
	}
	*ret_service = service;
	return 0;
}

int service_ask(void *service, const struct control_peer *peer, const char *command, const json_t *arguments,
        size_t limit, json_t **ret_items) {
	return control_call(((Service *)service)->control, peer, command, arguments, limit, ret_items);
}

unsigned service_rights(void *context, const struct control_peer *peer) {
	Service *service = context;
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	struct policy_actor actor = service_policy_actor(service, peer);
	unsigned rights = peer->uid == 0 || peer->uid == service->mounter;
	for (enum policy_role role = ROLE_STEWARD; role < ROLE_COUNT; role++)
		rights |= policy_role_holds(held->policy, role, &actor) ? 2u << role : 0;
	for (enum policy_place place = PLACE_LANDING; rights && place < PLACE_COUNT; place++)
		rights |= service_permits(service, held->policy, peer, place, POLICY_READ) ? 0x100u << place : 0;
	return rights;
}

void service_tell_http(Service *service, const struct address *address, const atomic_bool *is_alive) {
	pthread_mutex_lock(&service->http_lock);
	service->http = address;
	service->http_is_alive = is_alive;
	pthread_mutex_unlock(&service->http_lock);
}

void service_record_http_denied(void *service, const struct control_peer *peer, const char *detail) {
	struct actor actor = service_actor(peer);
	service_record_denied_detail(service, &actor, "http", NULL, detail, EACCES);
}

void service_stop(Service *service) {
	if (service)
		control_stop(service->control);
}

void service_end(Service *service, int outcome, const char *words) {
	if (!service)
		return;
	control_close(service->control, outcome, words);
	pthread_mutex_destroy(&service->http_lock);
	free(service);
}
