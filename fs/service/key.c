/*
 * What `assayfs key list`, `rotate`, `disable`, … ask; slot.c has what is about slots.
 *
 *     key-list    ─► {"locked", "idle_lock_ms", "keys": [{"alias", "id", …, "slots": [id]}],
 *                     "slots": [{"id", …, "keys": [alias]}]}
 *     key-rotate  ─► {"key"} or {"skipped", "why"} for each …
 *                    with "wait" {"old_segments", "old_bytes"} … until 0, then {"now": key} for each
 *
 * A steward by the policy decides, or who mounted, as he has what opens the vault; a lent role does not. What is
 * changed is recorded by store_keys, what is refused here.
 */
#include "fs/service/internal.h"

#include "backend/gc.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "fs/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 400
#define DAYS_MAX 36500

/* ---- who may ---- */

int service_key_steward(
        Service *service, const struct control_peer *peer, const char *event, const char *detail, bool changes) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(service->gate);
	int error = 0;
	if (!service_is_steward(service, held->policy, peer) && peer->uid != service->mounter)
		error = -fault(EACCES, "stewards by the policy decide on keys, and who mounted; a role that is lent "
		                       "does not");
	else if (changes && service->refuses_changes)
		error = -fault(EROFS, "%s", service_read_only_words(service));
	if (!error)
		return 0;
	struct actor actor = service_actor(peer);
	service_record_denied_detail(service, &actor, event, NULL, detail, error);
	return -error;
}

int service_key_locked(const Service *service, int rc) {
	return rc == -EACCES && store_is_locked(service->store) ? -EBUSY : rc;
}

/* What the arguments name under `name`, as the record of a refusal has it. */
static const char *text_of(const json_t *arguments, const char *name) {
	const char *text = json_string_value(json_object_get(arguments, name));
	return text ? text : "";
}

/* Both: who asks may, and there is the key that he names. */
static int find_key(Service *service, const struct control_peer *peer, const json_t *arguments, const char *event,
        char ret_name[static KEYRING_NAME_MAX + 1]) {
	const char *text = text_of(arguments, "key");
	int rc = service_key_steward(service, peer, event, text, true);
	return rc ? rc : store_key_find(service->store, text, ret_name);
}

/* ---- what is said of it ---- */

static bool goes_on(char c) {
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* The words of the fault of `rc` name the key as the keyring does. As it was typed, or as the list has it, they can be
 * followed, and so can the command that they tell. */
static int say_as(int rc, const char *name, const char *said) {
	const char *text = strncmp(said, "alias/", strlen("alias/")) == 0 ? said + strlen("alias/") : said;
	char own[KEYRING_NAME_MAX + sizeof "alias/"], from[FAULT_MESSAGE_BYTES], words[FAULT_MESSAGE_BYTES] = "";
	size_t used = 0;
	if (rc >= 0 || !*text || strcmp(text, name) == 0)
		return rc;
	(void)snprintf(own, sizeof own, "alias/%s", name);
	(void)snprintf(from, sizeof from, "%s", fault_message());
	for (const char *at = from; *at && used < sizeof words;) {
		const char *found = strstr(at, own);
		const char *end = found ? found + strlen(own) : at + strlen(at);
		const bool is_it = found && !goes_on(*end);
		const size_t before = is_it ? (size_t)(found - at) : (size_t)(end - at);
		used += (size_t)snprintf(words + used, sizeof words - used, "%.*s%s%s", (int)before, at,
		        is_it ? "alias/" : "", is_it ? text : "");
		at = end;
	}
	return fault(-rc, "%s", words);
}

/* ---- what there is ---- */

static const char *state_word(enum key_state state) {
	bool is_enabled = state == KEY_ACTIVE || state == KEY_RETIRED;
	return is_enabled ? "enabled" : key_state_name(state);
}

/* null: not known, or not so. */
static json_t *time_json(int64_t time_ns) {
	char words[WORDS_BYTES];
	return time_ns ? json_string(words_time_utc(time_ns, words)) : json_null();
}

/* null: it is not counted. */
static json_t *uses_json(const struct store_key *key, uint64_t uses) {
	return key->is_vital ? json_null() : json_integer((json_int_t)uses);
}

static int add_key(void *arg, const struct store_key *key) {
	json_t *item = json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:I}", "alias", key->alias, "id",
	        key->name, "version", (json_int_t)key->version, "kind", key->kind == KEY_SECRET ? "secret" : "ed25519",
	        "state", state_word(key->state), "vital", (int)key->is_vital, "here", (int)key->is_here, "created",
	        time_json(key->created_ns), "rotated", time_json(key->rotated_ns), "deletion",
	        time_json(key->deletion_ns), "rotate_every_days", (json_int_t)key->every_days);
	_cleanup_(json_decrefp) json_t *uses = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:I, s:b, s:[]}",
	        "uses", uses_json(key, key->seals + key->opens), "seals", uses_json(key, key->seals), "opens",
	        uses_json(key, key->opens), "segments", (json_int_t)key->segments, "bytes", (json_int_t)key->bytes,
	        "old_segments", (json_int_t)key->old_segments, "old_bytes", (json_int_t)key->old_bytes, "rewrapping",
	        (int)key->is_rewrapping, "waits_for_bytes", (json_int_t)key->waits_for_bytes, "own", (int)key->is_own,
	        "slots");
	if (item && uses)
		(void)json_object_update(item, uses);
	return json_array_append_new(arg, item) ? -ENOMEM : 0;
}

/* As it stands in vault.json: only the service can do anything with it. */
static json_t *wrapped_json(struct bytes wrapped) {
	char text[BASE64_TEXT_BYTES(HEADER_KMS_WRAPPED_MAX)];
	if (wrapped.size > HEADER_KMS_WRAPPED_MAX)
		return json_null();
	base64_encode(wrapped, text);
	return json_string(text);
}

static int add_slot(void *arg, const struct slot_info *slot, size_t index, bool is_ours) {
	(void)index;
	json_t *item = json_pack("{s:s, s:s, s:s, s:b, s:b, s:[]}", "id", slot->id, "type", slot_type_name(slot->type),
	        "label", slot->label, "limited", (int)slot->is_limited, "ours", (int)is_ours, "keys");
	if (item && slot->type == SLOT_RECIPIENT)
		json_object_set_new(item, "recipient", json_string(slot->recipient));
	if (item && slot->type == SLOT_KMS && slot->kms.key)
		json_object_set_new(item, "kms_key", json_string(slot->kms.key));
	if (item && slot->type == SLOT_KMS)
		json_object_set_new(item, "kms_wrapped", wrapped_json(slot->kms.wrapped));
	return json_array_append_new(arg, item) ? -ENOMEM : 0;
}

struct reaching {
	json_t *keys, *slot;
};

static bool has_text(const json_t *list, const char *text) {
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return true;
	return false;
}

/* Each name once, however many of its versions the slot has. */
static int add_reach(void *arg, const struct key_info *info) {
	const struct reaching *reaching = arg;
	json_t *slots = NULL;
	const char *alias = info->name;
	for (size_t i = 0; i < json_array_size(reaching->keys); i++) {
		const json_t *key = json_array_get(reaching->keys, i);
		if (strcmp(text_of(key, "id"), info->name) != 0)
			continue;
		alias = text_of(key, "alias");
		slots = json_object_get(key, "slots");
	}
	const char *id = text_of(reaching->slot, "id");
	json_t *names = json_object_get(reaching->slot, "keys");
	if (slots && !has_text(slots, id) && json_array_append_new(slots, json_string(id)))
		return -ENOMEM;
	return !has_text(names, alias) && json_array_append_new(names, json_string(alias)) ? -ENOMEM : 0;
}

static int list_all(Service *service, json_t *keys, json_t *slots) {
	int rc = keys && slots ? store_key_list(service->store, add_key, keys)
	                       : fault(ENOMEM, "listing keys: out of memory");
	if (!rc)
		rc = store_slot_list(service->store, add_slot, slots);
	for (size_t i = 0; !rc && i < json_array_size(slots); i++) {
		struct reaching reaching = {.keys = keys, .slot = json_array_get(slots, i)};
		rc = store_slot_keys(service->store, i, add_reach, &reaching);
	}
	return rc == -ENOENT ? 0 : rc; /* a slot was removed meanwhile */
}

/* Aliases and labels are names: for who decides, and who reads the log. */
int service_key_list(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(json_decrefp) json_t *keys = json_array();
	_cleanup_(json_decrefp) json_t *slots = json_array();
	(void)arguments;
	int rc = service_lets(service, peer, PLACE_AUDIT, POLICY_READ, NULL)
	                 ? 0
	                 : service_key_steward(service, peer, "key-list", "", false);
	if (rc == -EACCES)
		rc = fault(EACCES, "keys are for stewards and auditors by the policy to see, and for who mounted");
	if (!rc)
		rc = list_all(service, keys, slots);
	return rc ? rc
	          : control_send(
	                    reply, json_pack("{s:b, s:o, s:O, s:O}", "locked", (int)store_is_locked(service->store),
	                                   "idle_lock_ms", service_idle_json(service), "keys", keys, "slots", slots));
}

/* ---- one key, as the answers of what changed it have it ---- */

/* With its slots, as the list has it. */
static json_t *key_json(Service *service, const char *name) {
	_cleanup_(json_decrefp) json_t *keys = json_array();
	_cleanup_(json_decrefp) json_t *slots = json_array();
	if (list_all(service, keys, slots))
		return json_pack("{s:s}", "id", name);
	for (size_t i = 0; i < json_array_size(keys); i++)
		if (strcmp(text_of(json_array_get(keys, i), "id"), name) == 0)
			return json_incref(json_array_get(keys, i));
	return json_pack("{s:s}", "id", name);
}

/* Durable before the command says that it counts. */
static int answer_key(Service *service, int rc, const char *name, ControlReply *reply) {
	if (!rc)
		rc = store_commit_wait(service->store);
	return rc ? rc : control_send(reply, json_pack("{s:o}", "key", key_json(service, name)));
}

/* ---- rotating ---- */

struct rotation {
	Service *service;
	struct actor actor;
	ControlReply *reply;
	int64_t every_days; /* -1: it is rotated now */
	bool is_all, rewraps;
	const char *said; /* what was typed; "": all */
	size_t count;
	char (*names)[KEYRING_NAME_MAX + 1];
};

static int take_name(void *arg, const struct store_key *key) {
	struct rotation *rotation = arg;
	if (key->state == KEY_DELETED)
		return 0;
	void *longer = realloc(rotation->names, (rotation->count + 1) * sizeof *rotation->names);
	if (!longer)
		return fault(ENOMEM, "rotating keys: out of memory");
	rotation->names = longer;
	memcpy(rotation->names[rotation->count++], key->name, sizeof key->name);
	return 0;
}

static int rotate_one(const struct rotation *rotation, const char *name) {
	Store *store = rotation->service->store;
	uint32_t version;
	if (rotation->every_days >= 0)
		return store_key_every(store, name, (unsigned)rotation->every_days, &rotation->actor);
	int rc = store_key_rotate(store, name, &rotation->actor, &version);
	if (rc || !rotation->rewraps)
		return rc;
	rc = store_key_rewrap(store, name, &rotation->actor);
	/* Of all keys some hold no content, so that there is nothing to be sealed anew. */
	return rc == -ENOTSUP && rotation->is_all ? 0 : rc;
}

/* Of all keys some can't be rotated, and that is told; of one it is an error. */
static bool is_skipped(int rc) {
	return rc == -ENOTSUP || rc == -EKEYREVOKED || rc == -EKEYEXPIRED;
}

/* Why the fault's words tell. */
static int tell_skipped(const struct rotation *rotation, int rc, const char *name) {
	char words[FAULT_MESSAGE_BYTES];
	(void)snprintf(words, sizeof words, "%s", fault_message());
	_cleanup_(json_decrefp) json_t *key = key_json(rotation->service, name);
	const char *alias = text_of(key, "alias");
	(void)say_as(fault(-rc, "%s", words), name, alias);
	(void)snprintf(words, sizeof words, "%s", fault_message());
	return control_send(rotation->reply,
	        json_pack("{s:s, s:s, s:s}", "skipped", *alias ? alias : name, "id", name, "why", words));
}

/* Before anything is done: else some keys would be rotated, and nothing sealed anew. */
static int check_rewrap(const struct rotation *rotation) {
	int rc = 0;
	for (size_t i = 0; !rc && rotation->rewraps && i < rotation->count; i++)
		rc = store_key_rewrap_check(rotation->service->store, rotation->names[i]);
	return rc ? fault_while(rc, "nothing was rotated") : 0;
}

static int rotate_each(struct rotation *rotation) {
	int rc = check_rewrap(rotation);
	for (size_t i = 0; !rc && i < rotation->count; i++) {
		const char *name = rotation->names[i];
		rc = rotate_one(rotation, name);
		if (rotation->is_all && is_skipped(rc))
			rc = tell_skipped(rotation, rc, name);
		else
			rc = answer_key(rotation->service,
			        say_as(service_key_locked(rotation->service, rc), name, rotation->said), name,
			        rotation->reply);
	}
	return rc;
}

struct remaining {
	const struct rotation *rotation;
	uint64_t segments, bytes, waits_for_bytes;
	bool goes_on;
};

static int add_remaining(void *arg, const struct store_key *key) {
	struct remaining *remaining = arg;
	for (size_t i = 0; i < remaining->rotation->count; i++) {
		if (strcmp(remaining->rotation->names[i], key->name) != 0 || !key->is_rewrapping)
			continue;
		remaining->goes_on = true; /* also of what is nearly done: a base pack of the metadata */
		remaining->segments += key->old_segments;
		remaining->bytes += key->old_bytes;
		remaining->waits_for_bytes += key->waits_for_bytes;
	}
	return 0;
}

/* After the rewrap, in the place of what was told before it. */
static int tell_how_it_is(const struct rotation *rotation) {
	int rc = 0;
	for (size_t i = 0; !rc && i < rotation->count; i++)
		rc = control_send(
		        rotation->reply, json_pack("{s:o}", "now", key_json(rotation->service, rotation->names[i])));
	return rc;
}

/* Waiting is of no use for what a key is needed for that can't be had. */
static int check_reachable(Service *service) {
	struct gc_purging purging;
	int rc = gc_purging(store_gc(service->store), &purging);
	if (rc || purging.keyless == 0 || purging.keyless < purging.wanted)
		return rc;
	return fault(EKEYREVOKED,
	        "the other segments need a key that is disabled, or the vault is locked: they are sealed anew when it "
	        "can be had again");
}

/* Nor for room that somebody has to make. */
static int check_room(const struct remaining *remaining) {
	if (remaining->waits_for_bytes == 0)
		return 0;
	return fault(ENOSPC,
	        "sealing the metadata anew waits until the vault's file system has %" PRIu64
	        " MiB of room; it goes on by itself then",
	        (remaining->waits_for_bytes + (UINT64_C(1) << 20) - 1) >> 20);
}

static int wait_for_rewrap(const struct rotation *rotation) {
	for (;;) {
		struct remaining remaining = {.rotation = rotation};
		int rc = store_key_list(rotation->service->store, add_remaining, &remaining);
		if (!rc)
			rc = control_send(
			        rotation->reply, json_pack("{s:I, s:I}", "old_segments", (json_int_t)remaining.segments,
			                                 "old_bytes", (json_int_t)remaining.bytes));
		if (!rc && !remaining.goes_on)
			return tell_how_it_is(rotation);
		if (!rc)
			rc = check_room(&remaining);
		if (!rc)
			rc = check_reachable(rotation->service);
		if (rc)
			return rc;
		rc = control_wait(rotation->reply, LOOK_MS);
		if (rc)
			return rc;
	}
}

static int find_keys(struct rotation *rotation, const struct control_peer *peer, const json_t *arguments) {
	char name[KEYRING_NAME_MAX + 1];
	if (rotation->is_all) {
		int rc = service_key_steward(rotation->service, peer, "key-rotate", "all", true);
		if (!rc && store_is_locked(rotation->service->store))
			rc = fault(EBUSY, "the vault is locked: 'assayfs unlock' comes first");
		return rc ? rc : store_key_list(rotation->service->store, take_name, rotation);
	}
	int rc = find_key(rotation->service, peer, arguments, "key-rotate", name);
	if (rc)
		return rc;
	rotation->names = calloc(1, sizeof *rotation->names);
	if (!rotation->names)
		return fault(ENOMEM, "rotating a key: out of memory");
	memcpy(rotation->names[rotation->count++], name, sizeof name);
	return 0;
}

int service_key_rotate(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	struct rotation rotation = {.service = context,
	        .actor = service_actor(peer),
	        .reply = reply,
	        .said = text_of(arguments, "key"),
	        .is_all = json_is_true(json_object_get(arguments, "all")),
	        .rewraps = json_is_true(json_object_get(arguments, "rewrap"))};
	int rc = service_number(arguments, "every_days", DAYS_MAX, -1, &rotation.every_days);
	if (!rc)
		rc = find_keys(&rotation, peer, arguments);
	if (!rc)
		rc = rotate_each(&rotation);
	if (!rc && rotation.rewraps && json_is_true(json_object_get(arguments, "wait")))
		rc = wait_for_rewrap(&rotation);
	free(rotation.names);
	return rc;
}

/* ---- states and names ---- */

struct request {
	Service *service;
	const struct control_peer *peer;
	const json_t *arguments;
	ControlReply *reply;
};

typedef int change_fn(Store *store, const char *name, const struct actor *actor);

/* A key is put into another state, which needs no more than its name. */
static int change_state(const struct request *request, const char *event, change_fn *change, bool closes_content) {
	const struct actor actor = service_actor(request->peer);
	char name[KEYRING_NAME_MAX + 1];
	int rc = find_key(request->service, request->peer, request->arguments, event, name);
	if (!rc)
		rc = say_as(service_key_locked(request->service, change(request->service->store, name, &actor)), name,
		        text_of(request->arguments, "key"));
	if (!rc && closes_content)
		service_content_closed(request->service);
	return rc ? rc : answer_key(request->service, rc, name, request->reply);
}

int service_key_disable(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	const struct request request = {context, peer, arguments, reply};
	return change_state(&request, "key-disable", store_key_disable, true);
}

int service_key_enable(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	const struct request request = {context, peer, arguments, reply};
	int rc = change_state(&request, "key-enable", store_key_enable, false);
	return rc ? rc : gate_keys_back(request.service->gate);
}

int service_key_cancel_deletion(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	const struct request request = {context, peer, arguments, reply};
	return change_state(&request, "key-cancel-deletion", store_key_cancel_deletion, false);
}

int service_key_schedule_deletion(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const struct actor actor = service_actor(peer);
	char name[KEYRING_NAME_MAX + 1];
	int64_t days = 0, deletion_ns;
	int rc = find_key(service, peer, arguments, "key-schedule-deletion", name);
	if (!rc)
		rc = service_number(arguments, "days", DAYS_MAX, 0, &days);
	if (!rc)
		rc = say_as(service_key_locked(service, store_key_schedule_deletion(service->store, name,
		                                                (unsigned)days, &actor, &deletion_ns)),
		        name, text_of(arguments, "key"));
	if (!rc)
		service_content_closed(service);
	return rc ? rc : answer_key(service, rc, name, reply);
}

int service_key_alias(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const struct actor actor = service_actor(peer);
	char name[KEYRING_NAME_MAX + 1];
	int rc = find_key(service, peer, arguments, "key-alias", name);
	if (!rc)
		rc = say_as(service_key_locked(service,
		                    store_key_alias(service->store, name, text_of(arguments, "alias"), &actor)),
		        name, text_of(arguments, "key"));
	return rc ? rc : answer_key(service, rc, name, reply);
}
