/*
 * What `assayfs backup` asks: targets added, looked at, removed, waited for.
 *
 *     sync ─► {"waits_for", "pending", "pending_bytes", "lag_seconds"} … until all is there
 */
#include "fs/service/backup.h"

#include "backend/backup/recall.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"
#include "fs/backups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 400
#define LOCK_DAYS_MAX 36500
#define TIMEOUT_MAX_MS INT64_C(604800000)

/* ---- rights ---- */

int service_backup_steward(Service *service, const struct control_peer *peer, const char *event, bool changes) {
	int rc = service_require(service, peer, PLACE_POLICY, POLICY_WRITE, event, NULL);
	if (!rc && changes)
		rc = service_require_writable(service, peer, event, NULL);
	if (!rc && !service->backup)
		rc = fault(ENOTSUP, "this mount makes no backups");
	return rc;
}

/* What the place refused is no refusal of ours: the caller's role would do. */
int service_backup_refused(int rc) {
	return rc == -EACCES || rc == -EPERM ? fault(EREMOTEIO, "%s", fault_message()) : rc;
}

/* ---- arguments ---- */

static int read_text(const json_t *arguments, const char *name, size_t size, char *ret) {
	const json_t *value = json_object_get(arguments, name);
	const char *text = json_is_string(value) ? json_string_value(value) : "";
	if (value && !json_is_null(value) && !json_is_string(value))
		return fault(EPROTO, "'%s' is no text", name);
	if (strlen(text) >= size)
		return fault(EINVAL, "%s is longer than %zu bytes", name, size - 1);
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

/* What is not given stays as it was. */
static uint32_t kept_of(const json_t *arguments) {
	static const struct {
		const char *name;
		uint32_t bit;
	} rows[] = {{"zones", BACKUP_KEEP_ZONES}, {"lock_days", BACKUP_KEEP_LOCK_DAYS},
	        {"endpoint", BACKUP_KEEP_ENDPOINT}, {"access_key", BACKUP_KEEP_CREDENTIALS},
	        {"prefix", BACKUP_KEEP_PREFIX}};
	uint32_t kept = 0;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const json_t *value = json_object_get(arguments, rows[i].name);
		kept |= value && !json_is_null(value) ? 0 : rows[i].bit;
	}
	return kept;
}

static int read_target(const json_t *arguments, struct backup_target *target) {
	const struct {
		const char *name;
		char *text;
		size_t size;
	} rows[] = {{"url", target->url, sizeof target->url}, {"endpoint", target->endpoint, sizeof target->endpoint},
	        {"prefix", target->prefix, sizeof target->prefix},
	        {"access_key", target->access_key, sizeof target->access_key},
	        {"secret_key", target->secret_key, sizeof target->secret_key},
	        {"session_token", target->session_token, sizeof target->session_token},
	        {"region", target->region, sizeof target->region}};
	int64_t days = 0;
	int rc = 0;
	for (size_t i = 0; !rc && i < sizeof rows / sizeof rows[0]; i++)
		rc = read_text(arguments, rows[i].name, rows[i].size, rows[i].text);
	if (!rc && !target->url[0])
		rc = fault(EPROTO, "'url' is missing");
	if (!rc)
		rc = objects_check_url(target->url);
	if (!rc)
		rc = service_zones(json_object_get(arguments, "zones"), &target->zones);
	if (!rc)
		rc = service_number(arguments, "lock_days", LOCK_DAYS_MAX, 0, &days);
	target->lock_days = (uint32_t)days;
	target->kept = kept_of(arguments);
	return rc;
}

/* "url" of the arguments: a target that there is, or NULL for all of them. -ENOENT */
int service_backup_url(const Service *service, const json_t *arguments, const char **ret_url) {
	_cleanup_(freep) struct backup_status *list = NULL;
	const char *url = json_string_value(json_object_get(arguments, "url"));
	size_t count;
	bool is_known = url == NULL;
	int rc = backups_status(service->backup, &list, &count);
	for (size_t i = 0; !rc && i < count; i++)
		is_known = is_known || strcmp(list[i].target.url, url) == 0;
	if (!rc && count == 0)
		rc = fault(ENOENT, "the vault has no backup: 'assayfs backup add URL' begins one");
	if (!rc && !is_known)
		rc = fault(ENOENT, "nothing is backed up to %.200s: 'assayfs backup status' lists the targets", url);
	*ret_url = url;
	return rc;
}

/* ---- status ---- */

static int targets_json(Service *service, bool tells_paths, json_t **ret_list) {
	_cleanup_(freep) struct backup_status *list = NULL;
	_cleanup_(json_decrefp) json_t *targets = json_array();
	size_t count;
	int rc = targets ? backups_status(service->backup, &list, &count)
	                 : fault(ENOMEM, "looking at backups: out of memory");
	for (size_t i = 0; !rc && i < count; i++)
		if (json_array_append_new(targets, backups_target_json(&list[i], tells_paths)))
			rc = fault(ENOMEM, "looking at backups: out of memory");
	if (!rc)
		*ret_list = steal_pointer(&targets);
	return rc;
}

json_t *service_backup_json(Service *service) {
	_cleanup_(freep) struct backup_status *list = NULL;
	size_t count = 0;
	(void)backups_status(service->backup, &list, &count);
	return backups_summary_json(list, count);
}

json_t *service_recall_json(Service *service) {
	_cleanup_(freep) struct recall_status *status = calloc(1, sizeof *status);
	Recall *recall = store_recall(service->store);
	if (!status || !recall)
		return json_null();
	recall_status(recall, status);
	if (status->missing_segments == 0)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}", "url", status->url, "segments", (json_int_t)status->segments,
	        "bytes", (json_int_t)status->bytes, "missing_segments", (json_int_t)status->missing_segments,
	        "missing_bytes", (json_int_t)status->missing_bytes, "trouble", status->trouble);
}

/* Who may ask for the status may know it; the prefix is a name. */
int service_backup_status(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	json_t *targets = NULL;
	(void)arguments;
	bool tells_paths = service_lets(service, peer, PLACE_LANDING, POLICY_READ, NULL) ||
	                   service_lets(service, peer, PLACE_AUDIT, POLICY_READ, NULL);
	int rc = targets_json(service, tells_paths, &targets);
	return rc ? rc : control_send(reply, json_pack("{s:o}", "targets", targets));
}

/* ---- add, remove ---- */

/* How the target with that URL stands; number 0: there is none. */
static int find_status(const Service *service, const char *url, struct backup_status *ret) {
	_cleanup_(freep) struct backup_status *list = NULL;
	size_t count, length = strlen(url);
	while (length > strlen("file:///") && url[length - 1] == '/')
		length--;
	int rc = backups_status(service->backup, &list, &count);
	ret->target.number = 0;
	for (size_t i = 0; !rc && i < count; i++)
		if (strlen(list[i].target.url) == length && strncmp(list[i].target.url, url, length) == 0)
			*ret = list[i];
	return rc;
}

/* A directory is written by the daemon's rights, and a bucket by its credentials, which may be more than those of a
 * steward. */
static int check_rights(Service *service, const struct control_peer *peer, const struct backup_target *target,
        const struct backup_status *before) {
	bool is_directory = strncmp(target->url, "file:", strlen("file:")) == 0;
	bool brings = target->access_key[0] || (before->target.number && before->has_credentials);
	if (peer->uid == 0 || peer->uid == service->mounter || (!is_directory && brings))
		return 0;
	struct actor actor = service_actor(peer);
	if (is_directory)
		(void)fault(EACCES, "a directory is named by root or by whoever mounted, as the mount writes there by "
		                    "its own rights; a bucket by any steward");
	else
		(void)fault(EACCES, "the daemon's own credentials are used for root and for whoever mounted; bring "
		                    "yours: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE");
	service_record_denied(service, &actor, "backup-add", NULL, EACCES);
	return -EACCES;
}

static json_t *rule_json(const struct backup_target *target) {
	return json_pack("{s:o, s:s, s:I, s:s}", "zones", backups_zones_json(target->zones), "prefix", target->prefix,
	        "lock_days", (json_int_t)target->lock_days, "endpoint", target->endpoint);
}

static int add_target(Service *service, const struct control_peer *peer, const json_t *arguments,
        struct backup_target *target, struct backup_status *before) {
	int rc = read_target(arguments, target);
	if (!rc)
		rc = find_status(service, target->url, before);
	if (!rc)
		rc = check_rights(service, peer, target, before);
	if (rc)
		return rc;
	const struct actor actor = service_actor(peer);
	target->uid = peer->uid;
	target->added_ns = meta_now(service->meta);
	rc = backup_add(service->backup, target, json_is_true(json_object_get(arguments, "create")), &actor);
	return rc ? service_backup_refused(rc) : store_commit_wait(service->store);
}

int service_backup_add(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) struct backup_status *before = NULL;
	struct backup_target *target = NULL;
	int rc = service_backup_steward(service, peer, "backup-add", true);
	if (rc)
		return rc;
	target = calloc(1, sizeof *target);
	before = calloc(1, sizeof *before);
	rc = target && before ? add_target(service, peer, arguments, target, before)
	                      : fault(ENOMEM, "adding a backup: out of memory");
	if (!rc)
		rc = control_send(
		        reply, json_pack("{s:s, s:I, s:b, s:b, s:o, s:o}", "url", target->url, "number",
		                       (json_int_t)target->number, "has_credentials",
		                       (int)(target->access_key[0] != '\0'), "keeps_credentials",
		                       (int)((target->kept & BACKUP_KEEP_CREDENTIALS) != 0), "rule", rule_json(target),
		                       "before", before->target.number ? rule_json(&before->target) : json_null()));
	if (target)
		secret_wipe(target, sizeof *target);
	free(target);
	return rc;
}

int service_backup_remove(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const char *url = NULL;
	const struct actor actor = service_actor(peer);
	int rc = service_backup_steward(service, peer, "backup-remove", true);
	if (!rc)
		rc = service_backup_url(service, arguments, &url);
	if (!rc && !url)
		rc = fault(EPROTO, "'url' is missing");
	if (!rc)
		rc = backup_remove(service->backup, url, &actor);
	if (!rc)
		rc = store_commit_wait(service->store);
	return rc ? rc : control_send(reply, json_pack("{s:s}", "url", url));
}

/* ---- sync ---- */

/* What is waited for, and how it stands, over all targets that are meant. */
struct waiting {
	const char *url; /* NULL: all */
	uint64_t goal;   /* the commit that shall be there */
	struct {
		uint32_t number;
		uint64_t retries; /* when the waiting began */
	} before[BACKUP_TARGETS_MAX];
	size_t before_count;
	uint64_t pending, bytes;
	int64_t lag_ns;
	bool is_done;
	char first[BACKUP_TEXT_BYTES + FAULT_MESSAGE_BYTES]; /* of them that is not there yet, and its trouble */
};

static uint64_t retries_before(const struct waiting *waiting, uint32_t number) {
	for (size_t i = 0; i < waiting->before_count; i++)
		if (waiting->before[i].number == number)
			return waiting->before[i].retries;
	return 0;
}

/* Words that begin with the URL already say it. */
static const char *named(const struct backup_status *status, size_t size, char *ret) {
	const char *url = status->target.url;
	bool is_named = strncmp(status->trouble, url, strlen(url)) == 0;
	(void)snprintf(ret, size, "%s%s%.900s", is_named ? "" : url, is_named || !*status->trouble ? "" : ": ",
	        status->trouble);
	return ret;
}

/* What a person must mend is not waited for; but an attempt that began before the call may have failed of what is
 * mended now. */
static int add_target_to(struct waiting *waiting, const struct backup_status *status) {
	char words[sizeof waiting->first];
	if (waiting->url && strcmp(status->target.url, waiting->url) != 0)
		return 0;
	if (status->commit >= waiting->goal && status->lost_segments == 0)
		return 0;
	if (status->lost_segments > 0 && (status->commit >= waiting->goal || status->state == BACKUP_FAILED))
		return fault(EREMOTEIO, "%s", named(status, sizeof words, words));
	if (!waiting->first[0])
		(void)named(status, sizeof waiting->first, waiting->first);
	waiting->is_done = false;
	waiting->pending += status->pending_versions;
	waiting->bytes += status->pending_bytes;
	waiting->lag_ns = status->lag_ns > waiting->lag_ns ? status->lag_ns : waiting->lag_ns;
	if (status->state == BACKUP_PAUSED)
		return fault(EREMOTEIO, "%s", named(status, sizeof words, words));
	if (status->state == BACKUP_FAILED && status->retries > retries_before(waiting, status->target.number) + 1)
		return fault(EREMOTEIO, "%s", named(status, sizeof words, words));
	return 0;
}

static int look_at(Service *service, struct waiting *waiting, bool is_first) {
	_cleanup_(freep) struct backup_status *list = NULL;
	size_t count;
	int rc = backups_status(service->backup, &list, &count);
	for (size_t i = 0; is_first && i < count && i < BACKUP_TARGETS_MAX; i++) {
		waiting->before[waiting->before_count].number = list[i].target.number;
		waiting->before[waiting->before_count++].retries = list[i].retries;
	}
	waiting->pending = waiting->bytes = 0;
	waiting->lag_ns = 0;
	waiting->first[0] = '\0';
	waiting->is_done = true;
	for (size_t i = 0; !rc && i < count; i++)
		rc = add_target_to(waiting, &list[i]);
	return rc;
}

static int tell_waiting(const struct waiting *waiting, ControlReply *reply) {
	return control_send(reply,
	        json_pack("{s:s, s:I, s:I, s:f}", "waits_for", waiting->first, "pending", (json_int_t)waiting->pending,
	                "pending_bytes", (json_int_t)waiting->bytes, "lag_seconds", (double)waiting->lag_ns / 1e9));
}

/* backup_sync has it hurry, a little at a time, so that the client can go away; since it waits for what is committed
 * when it is called, what was committed when all of this began is looked for here. */
static int wait_for(Service *service, struct waiting *waiting, int64_t timeout_ms, ControlReply *reply) {
	const int64_t begun_ms = monotonic_ms();
	int rc = look_at(service, waiting, true);
	if (!rc && !waiting->is_done)
		rc = tell_waiting(waiting, reply);
	while (!rc && !waiting->is_done) {
		rc = backup_sync(service->backup, waiting->url, LOOK_MS);
		if (rc == -ETIME && timeout_ms && monotonic_ms() - begun_ms >= timeout_ms)
			return rc;
		if (rc == -ETIME || rc == 0)
			rc = control_wait(reply, 0);
		if (!rc)
			rc = look_at(service, waiting, false);
		if (!rc && !waiting->is_done)
			rc = tell_waiting(waiting, reply);
	}
	return rc ? service_backup_refused(rc) : 0;
}

int service_backup_sync(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	struct waiting waiting = {.url = NULL};
	int64_t timeout_ms = 0;
	int rc = service_backup_steward(service, peer, "backup-sync", false);
	if (!rc)
		rc = service_number(arguments, "timeout_ms", TIMEOUT_MAX_MS, 0, &timeout_ms);
	if (!rc)
		rc = service_backup_url(service, arguments, &waiting.url);
	if (!rc)
		rc = store_commit_wait(service->store);
	waiting.goal = store_durable_commit(service->store);
	return rc ? rc : wait_for(service, &waiting, timeout_ms, reply);
}
