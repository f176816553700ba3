/*
 * What `assayfs key add`, `key remove`, `lock` and `unlock` ask. Secrets come as base64 by the control socket alone,
 * and are wiped when the request ends: here, and by wire_wipe_json what they came in.
 */
#include "fs/service/internal.h"

#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"
#include "fs/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PASSES_MAX 1000000
#define DETAIL_BYTES (SLOT_WORDS_BYTES + HEADER_LABEL_BYTES)
#define SLOT_WORDS_BYTES 64
#define IDLE_MOST_MS (INT64_C(366) * 86400 * 1000)

/* "secret" of the arguments, in locked memory. */
static int read_secret(const json_t *arguments, uint8_t **ret_data, size_t *ret_size) {
	const json_t *value = json_object_get(arguments, "secret");
	const char *text = json_string_value(value);
	size_t room = json_string_length(value) / 4 * 3;
	_cleanup_(secret_freep) uint8_t *data = NULL;
	if (!text || room == 0 || room > HEADER_KEYFILE_MAX + 3)
		return fault(EPROTO, "'secret' is missing or too long");
	data = secret_alloc((room + 15) / 16 * 16);
	if (!data)
		return -ENOMEM;
	if (base64_decode(text, room, data, ret_size))
		return fault(EPROTO, "'secret' is no base64");
	*ret_data = steal_pointer(&data);
	return 0;
}

static int read_type(const json_t *arguments, enum slot_type *ret_type) {
	const char *word = json_string_value(json_object_get(arguments, "type"));
	for (enum slot_type type = SLOT_PASSPHRASE; word && type <= SLOT_KMS; type++)
		if (strcmp(slot_type_name(type), word) == 0) {
			*ret_type = type;
			return 0;
		}
	return fault(EPROTO, "'type' is no type of slot");
}

/* ---- adding ---- */

static int read_kdf(const json_t *arguments, struct header_kdf *kdf, const struct header_kdf **ret_kdf) {
	int64_t memory = 0, passes = 0;
	int rc = service_number(arguments, "argon_memory", (int64_t)HEADER_KDF_MEMORY_MAX, 0, &memory);
	if (!rc)
		rc = service_number(arguments, "argon_passes", PASSES_MAX, 0, &passes);
	if (rc || (!memory && !passes))
		return rc;
	*kdf = (struct header_kdf){.memory = memory ? (uint64_t)memory : HEADER_KDF_MEMORY_DEFAULT,
	        .passes = passes ? (uint64_t)passes : HEADER_KDF_PASSES_LEAST};
	*ret_kdf = kdf;
	return 0;
}

/* What the service answered whoever asks, and the KEK that it wrapped. */
static int read_kms(const json_t *arguments, struct store_slot_request *request, uint8_t **ret_wrapped) {
	const char *text = json_string_value(json_object_get(arguments, "wrapped"));
	size_t size = 0;
	request->id = json_string_value(json_object_get(arguments, "id"));
	request->kms.key = json_string_value(json_object_get(arguments, "arn"));
	request->kek = request->secret.data;
	if (!text || !request->id || !request->kms.key || request->secret.size != HEADER_KEK_BYTES)
		return fault(EPROTO, "'id', 'arn', 'wrapped' or 'secret' is missing, or is none");
	_cleanup_(freep) uint8_t *wrapped = malloc(HEADER_KMS_WRAPPED_MAX);
	if (!wrapped)
		return fault(ENOMEM, "adding a slot: out of memory");
	if (base64_decode(text, HEADER_KMS_WRAPPED_MAX, wrapped, &size))
		return fault(EPROTO, "'wrapped' is no base64, or too long");
	request->kms.wrapped = bytes_of(wrapped, size);
	*ret_wrapped = steal_pointer(&wrapped);
	return 0;
}

/* A label is in the record, whatever it holds, and so is for whom. */
static void say_what(const struct store_slot_request *request, char *ret, size_t size) {
	(void)snprintf(ret, size, "%s%s%s%s", slot_type_name(request->type), request->zones ? ", limited" : "",
	        *request->label ? " " : "", request->label);
}

static int add(Service *service, const struct control_peer *peer, struct store_slot_request *request,
        const json_t *arguments, ControlReply *reply) {
	const struct actor actor = service_actor(peer);
	_cleanup_(secret_freep) uint8_t *secret = NULL;
	struct header_kdf kdf;
	size_t size = 0;
	char id[HEADER_ID_TEXT_BYTES], recovery[RECOVERY_TEXT_BYTES] = "";
	_cleanup_(freep) uint8_t *wrapped = NULL;
	bool has_secret = request->type != SLOT_RECOVERY && request->type != SLOT_RECIPIENT;
	int rc = has_secret ? read_secret(arguments, &secret, &size) : 0;
	request->secret = bytes_of(secret, size);
	if (!rc && request->type == SLOT_KMS)
		rc = read_kms(arguments, request, &wrapped);
	if (!rc)
		rc = read_kdf(arguments, &kdf, &request->kdf);
	if (!rc)
		rc = service_key_locked(service, store_slot_add(service->store, request, &actor, id,
		                                         request->type == SLOT_RECOVERY ? recovery : NULL));
	if (!rc)
		rc = store_commit_wait(service->store);
	if (!rc)
		rc = control_send(
		        reply, json_pack("{s:s, s:s, s:s, s:s?}", "id", id, "type", slot_type_name(request->type),
		                       "label", request->label, "recovery_key", *recovery ? recovery : NULL));
	secret_wipe(recovery, sizeof recovery);
	return rc;
}

/* "keys" of the arguments: what people call folders' own keys. */
struct named_keys {
	char (*names)[KEYRING_NAME_MAX + 1];
	const char **list;
};

static void named_keys_free(struct named_keys *keys) {
	free(keys->names);
	free(keys->list);
}

static int read_keys(
        Service *service, const json_t *list, struct named_keys *keys, struct store_slot_request *request) {
	const size_t count = json_array_size(list);
	if (!list || count == 0)
		return 0;
	keys->names = calloc(count, sizeof *keys->names);
	keys->list = calloc(count, sizeof *keys->list);
	if (!keys->names || !keys->list)
		return fault(ENOMEM, "adding a slot: out of memory");
	int rc = 0;
	for (size_t i = 0; i < count && !rc; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		rc = text ? store_key_find(service->store, text, keys->names[i]) : fault(EPROTO, "'keys' are texts");
		keys->list[i] = keys->names[i];
	}
	request->keys = keys->list;
	request->key_count = count;
	return rc;
}

int service_slot_add(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const char *label = json_string_value(json_object_get(arguments, "label"));
	struct store_slot_request request = {
	        .label = label ? label : "", .recipient = json_string_value(json_object_get(arguments, "recipient"))};
	char detail[DETAIL_BYTES];
	const json_t *zones = json_object_get(arguments, "zones");
	_cleanup_(named_keys_free) struct named_keys keys = {0};
	int rc = read_type(arguments, &request.type);
	if (!rc)
		rc = service_zones(zones, &request.zones);
	if (rc)
		return rc;
	say_what(&request, detail, sizeof detail);
	rc = service_key_steward(service, peer, "slot-add", detail, true);
	if (!rc && request.type == SLOT_RECIPIENT && !request.recipient)
		rc = fault(EPROTO, "'recipient' is missing");
	if (!rc && zones && request.zones == 0)
		rc = fault(EINVAL, "a limited slot names one zone at least: Landing, Raw, Trusted");
	if (!rc && request.type == SLOT_RECOVERY && request.zones)
		rc = fault(EINVAL, "a recovery key is for all keys, not for some zones");
	if (!rc)
		rc = read_keys(service, json_object_get(arguments, "keys"), &keys, &request);
	return rc ? rc : add(service, peer, &request, arguments, reply);
}

struct seeking {
	const char *id;
	json_t *found;
};

static int seek_slot(void *arg, const struct slot_info *slot, size_t index, bool is_ours) {
	struct seeking *seeking = arg;
	(void)index, (void)is_ours;
	if (strncmp(slot->id, seeking->id, strlen(seeking->id)) != 0)
		return 0;
	json_decref(seeking->found);
	seeking->found =
	        json_pack("{s:s, s:s, s:s}", "id", slot->id, "type", slot_type_name(slot->type), "label", slot->label);
	return 0;
}

/* {"removed": {"id", "type", "label"}} */
int service_slot_remove(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const char *id = json_string_value(json_object_get(arguments, "slot"));
	const struct actor actor = service_actor(peer);
	struct seeking seeking = {.id = id ? id : ""};
	int rc = service_key_steward(service, peer, "slot-remove", seeking.id, true);
	if (!rc)
		rc = store_slot_list(service->store, seek_slot, &seeking);
	if (!rc)
		rc = service_key_locked(service, store_slot_remove(service->store, seeking.id, &actor));
	if (!rc)
		rc = store_commit_wait(service->store);
	if (!rc)
		rc = control_send(reply, json_pack("{s:O?}", "removed", seeking.found));
	json_decref(seeking.found);
	return rc;
}

/* ---- locking: also where nothing else is changed ---- */

void service_content_closed(const Service *service) {
	if (service->closed)
		service->closed(service->closed_arg);
}

int service_lock(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	const struct actor actor = service_actor(peer);
	(void)arguments;
	(void)reply;
	int rc = service_key_steward(service, peer, "lock", "", false);
	if (!rc)
		rc = store_lock(service->store, &actor);
	if (!rc)
		service_content_closed(service);
	return rc;
}

json_t *service_idle_json(const Service *service) {
	const int64_t after_ms = service->idle ? idle_after_ms(service->idle) : 0;
	return after_ms > 0 ? json_integer((json_int_t)after_ms) : json_null();
}

/* "ms": after so long without use; 0: never. */
int service_lock_after(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	char time[WORDS_BYTES], detail[WORDS_BYTES + 32] = "never";
	int64_t after_ms = 0;
	(void)reply;
	int rc = service_number(arguments, "ms", IDLE_MOST_MS, 0, &after_ms);
	if (!rc && after_ms > 0 && after_ms < idle_least_ms())
		rc = fault(EINVAL, "the vault locks itself after a minute at the earliest");
	if (!rc && after_ms > 0)
		(void)snprintf(detail, sizeof detail, "after %s without use",
		        words_duration(after_ms * INT64_C(1000000), time));
	if (!rc)
		rc = service_key_steward(service, peer, "lock-after", detail, false);
	if (rc || !service->idle)
		return rc;
	const struct audit_event event = {.event = "lock-after", .actor = service_actor(peer), .detail = detail};
	rc = service->is_read_only ? 0 : service_record(service, &event);
	if (!rc)
		idle_set(service->idle, after_ms);
	return rc;
}

/* {"was_locked": false}: nothing was done, and the secret not looked at. */
int service_unlock(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	static const int kinds[] = {[SLOT_PASSPHRASE] = STORE_PASSPHRASE,
	        [SLOT_RECOVERY] = STORE_RECOVERY_KEY,
	        [SLOT_KEYFILE] = STORE_KEYFILE,
	        [SLOT_RECIPIENT] = STORE_RECIPIENT,
	        [SLOT_KMS] = STORE_KEK};
	Service *service = context;
	const struct actor actor = service_actor(peer);
	_cleanup_(secret_freep) uint8_t *data = NULL;
	enum slot_type type;
	const char *slot = json_string_value(json_object_get(arguments, "slot"));
	size_t size = 0;
	int rc = service_key_steward(service, peer, "unlock", "", false);
	if (!rc)
		rc = read_type(arguments, &type);
	if (!rc)
		rc = read_secret(arguments, &data, &size);
	if (!rc && type == SLOT_KMS && (!slot || size != HEADER_KEK_BYTES))
		rc = fault(EPROTO, "'slot' is missing, or 'secret' is no key of one");
	if (rc)
		return rc;
	struct store_secret secret = {.bytes = bytes_of(data, size), .slot = slot};
	secret.kind = kinds[type];
	if (!store_is_locked(service->store))
		return control_send(reply, json_pack("{s:b}", "was_locked", 0));
	rc = store_unlock(service->store, &secret, &actor);
	if (!rc) {
		idle_restart(service->idle);
		kms_watch_restart(service->kms);
	}
	return rc || service->refuses_changes ? rc : gate_keys_back(service->gate);
}
