/* Who can unlock: slots of an open vault. */
#include "backend/store_keys_internal.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_DIGITS_LEAST 4u
#define KDF_MILLISECONDS 1000u
/* To see whether a passphrase opens a slot that is there costs an Argon2id of it: so many slots are tried, and none
 * that takes more memory. */
#define TRIED_MOST 8u
#define TRIED_MEMORY_MOST ((uint64_t)1 << 30)

/* ---- what there is ---- */

static int copy_present(Store *store, VaultHeader **ret, char ret_ours[static HEADER_ID_TEXT_BYTES]) {
	pthread_mutex_lock(&store->keys.changing);
	int rc = key_header_copy(store->keys.header, ret);
	memcpy(ret_ours, store->keys.slot, HEADER_ID_TEXT_BYTES);
	pthread_mutex_unlock(&store->keys.changing);
	return rc;
}

int store_slot_list(Store *store, store_slot_fn *fn, void *arg) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	char ours[HEADER_ID_TEXT_BYTES];
	struct slot_info info;
	int rc = copy_present(store, &header, ours);
	for (size_t i = 0; rc == 0 && header_slot(header, i, &info) == 0; i++)
		rc = fn(arg, &info, i, strcmp(info.id, ours) == 0);
	return rc < 0 ? rc : 0;
}

int store_slot_keys(Store *store, size_t index, store_slot_key_fn *fn, void *arg) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	char ours[HEADER_ID_TEXT_BYTES];
	struct key_info info;
	int rc = copy_present(store, &header, ours);
	if (rc == 0 && index >= header_slot_count(header))
		rc = fault(ENOENT, "the vault has no slot number %zu", index);
	for (size_t i = 0; rc == 0 && header_slot_key(header, index, i, &info) == 0; i++)
		rc = fn(arg, &info);
	return rc < 0 ? rc : 0;
}

/* ---- adding ---- */

/* Which keys a slot for reading these zones gets. */
struct wants {
	const char **names;
	struct slot_wants wants;
};

static void wants_clear(struct wants *wants) {
	free(wants->names);
}

static bool has_name(const struct wants *wants, const char *name) {
	for (size_t i = 0; i < wants->wants.count; i++)
		if (strcmp(wants->names[i], name) == 0)
			return true;
	return false;
}

static int choose_wants(const struct store_slot_request *request, struct wants *ret) {
	uint32_t zones = request->zones;
	ret->names = calloc(ZONE_STAGING + 1 + request->key_count, sizeof(const char *));
	if (!ret->names)
		return fault(ENOMEM, "no memory for the names of keys");
	ret->names[ret->wants.count++] = "meta";
	ret->wants.names = ret->names;
	for (size_t i = 0; i < request->key_count; i++) {
		if (!key_is_own(request->keys[i]))
			return fault(EINVAL, "alias/%s is no key of a folder's own", request->keys[i]);
		if (!has_name(ret, request->keys[i]))
			ret->names[ret->wants.count++] = request->keys[i];
	}
	for (int zone = ZONE_LANDING; zone <= ZONE_STAGING; zone++) {
		if (!(zones & UINT32_C(1) << zone))
			continue;
		const char *name = zone_key_name((enum zone)zone);
		if (!has_name(ret, name))
			ret->names[ret->wants.count++] = name;
		zones &= ~(UINT32_C(1) << zone);
	}
	return zones ? fault(EINVAL, "a slot is for zones that there are") : 0;
}

/* Whether the secret opens this slot; *ret: it does. Where there is no memory to try it, that is no reason to refuse.
 */
static int try_slot(const VaultHeader *header, const struct store_slot_request *request, const char *id, bool *ret) {
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	const struct slot_secret secret = {.type = request->type, .value = request->secret, .slot = id};
	int rc = header_unlock(header, &secret, &keyring);
	*ret = rc == 0;
	return rc == -EKEYREJECTED || rc == -ENOMEM ? 0 : rc;
}

/* A second slot of the same secret looks like another way in: who removes one of them believes that the secret opens
 * nothing any more. Of two that come at once neither sees the other. */
static int refuse_double(Store *store, const struct store_slot_request *request) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	char ours[HEADER_ID_TEXT_BYTES];
	struct slot_info info;
	unsigned tried = 0;
	if (request->type != SLOT_PASSPHRASE && request->type != SLOT_KEYFILE)
		return 0;
	int rc = request->secret.size > 0 ? copy_present(store, &header, ours) : 0; /* else that is told by who adds */
	for (size_t i = 0; rc == 0 && header && header_slot(header, i, &info) == 0; i++) {
		bool is_it = false;
		if (info.type != request->type || info.kdf.memory > TRIED_MEMORY_MOST)
			continue;
		if (info.type == SLOT_PASSPHRASE && tried++ == TRIED_MOST)
			break;
		rc = try_slot(header, request, info.id, &is_it);
		if (is_it)
			rc = fault(EEXIST,
			        "this %s opens slot %.8s already%s%.128s: remove that one first, or take another",
			        info.type == SLOT_KEYFILE ? "key file" : "passphrase", info.id,
			        info.label[0] ? ", " : "", info.label);
	}
	return rc;
}

static int add(struct key_change *change, const struct store_slot_request *request, const struct header_kdf *kdf,
        const struct slot_wants *wants, char *ret_recovery) {
	VaultHeader *header = change->header;
	const Keyring *keyring = change->keyring;
	switch (request->type) {
	case SLOT_PASSPHRASE:
		return header_add_slot_passphrase(header, keyring, request->secret, request->label, kdf, wants);
	case SLOT_RECOVERY:
		return header_add_slot_recovery(header, keyring, request->label, ret_recovery);
	case SLOT_KEYFILE:
		return header_add_slot_keyfile(header, keyring, request->secret, request->label, wants);
	case SLOT_RECIPIENT:
		return header_add_slot_recipient(header, keyring, request->recipient, request->label, wants);
	case SLOT_KMS:
		return header_add_slot_kms(
		        header, keyring, request->id, &request->kms, request->kek, request->label, wants);
	}
	return fault(EINVAL, "there is no such kind of slot");
}

static int add_and_record(struct key_change *change, const struct store_slot_request *request,
        const struct header_kdf *kdf, const struct slot_wants *wants, const struct actor *actor,
        struct slot_info *ret_info, char *ret_recovery) {
	char detail[256];
	int rc = add(change, request, kdf, wants, ret_recovery);
	if (rc == 0)
		rc = header_slot(change->header, header_slot_count(change->header) - 1, ret_info);
	if (rc == 0)
		rc = key_change_write(change);
	if (rc < 0)
		return rc;
	(void)snprintf(detail, sizeof detail, "slot %s, %s%s%s%.128s", ret_info->id, slot_type_name(request->type),
	        wants ? ", for reading only" : "", request->label[0] ? ": " : "", request->label);
	return key_change_record(change, "slot-add", actor, detail);
}

int store_slot_add(Store *store, const struct store_slot_request *request, const struct actor *actor,
        char ret_id[static HEADER_ID_TEXT_BYTES], char ret_recovery[RECOVERY_TEXT_BYTES]) {
	struct key_change change = {0};
	struct slot_info info = {0};
	_cleanup_(wants_clear) struct wants wants = {0};
	struct header_kdf kdf = {0};
	_cleanup_(secret_key_wipe) struct secret_key key = {0};
	char text[RECOVERY_TEXT_BYTES] = "";
	const bool is_limited = request->zones != 0;
	int rc = is_limited ? choose_wants(request, &wants) : 0;
	if (rc == 0 && !is_limited && request->key_count > 0)
		rc = fault(EINVAL, "a slot that is not limited to zones holds every key");
	if (rc == 0 && request->type == SLOT_RECOVERY && (is_limited || !ret_recovery))
		rc = fault(EINVAL, "a recovery key opens all of the vault");
	/* Both take seconds: before the lock. */
	if (rc == 0)
		rc = keyring_get(store->keyring, "header", 0, key.bytes, NULL); /* for who may not, nothing is tried */
	if (rc == 0)
		rc = refuse_double(store, request);
	if (rc == 0 && request->type == SLOT_PASSPHRASE && !request->kdf)
		rc = header_kdf_calibrate(HEADER_KDF_MEMORY_DEFAULT, KDF_MILLISECONDS, &kdf);
	if (rc == 0 && kdf.passes < HEADER_KDF_PASSES_LEAST)
		kdf.passes = HEADER_KDF_PASSES_LEAST;
	if (rc == 0)
		rc = key_change_begin(store, NULL, &change);
	if (rc == 0)
		rc = add_and_record(&change, request, request->kdf ? request->kdf : &kdf,
		        is_limited ? &wants.wants : NULL, actor, &info, text);
	key_change_end(&change);
	if (rc == 0) {
		memcpy(ret_id, info.id, HEADER_ID_TEXT_BYTES);
		if (request->type == SLOT_RECOVERY)
			memcpy(ret_recovery, text, sizeof text);
	}
	secret_wipe(text, sizeof text);
	return fault_while(rc, "adding a slot");
}

/* ---- removing ---- */

static int find_slot(const VaultHeader *header, const char *id, struct slot_info *ret) {
	struct slot_info info;
	size_t found = 0;
	if (strlen(id) < ID_DIGITS_LEAST)
		return fault(EINVAL, "\"%.40s\" is too short for a slot's id: at least its first %u digits are needed",
		        id, ID_DIGITS_LEAST);
	for (size_t i = 0; header_slot(header, i, &info) == 0; i++)
		if (strncmp(info.id, id, strlen(id)) == 0) {
			*ret = info;
			found++;
		}
	if (found > 1)
		return fault(EINVAL, "the ids of %zu slots begin with %.40s", found, id);
	return found == 1 ? 0 : fault(ENOENT, "the vault has no slot %.40s", id);
}

static int remove_and_record(struct key_change *change, const char *id, const struct actor *actor) {
	struct slot_info info = {0};
	char detail[256];
	int rc = find_slot(change->header, id, &info);
	if (rc < 0)
		return rc;
	(void)snprintf(detail, sizeof detail, "slot %s, %s%s%.128s", info.id, slot_type_name(info.type),
	        info.label[0] ? ": " : "", info.label);
	rc = header_remove_slot(change->header, change->keyring, info.id);
	if (rc == 0)
		rc = key_change_write(change);
	return rc < 0 ? rc : key_change_record(change, "slot-remove", actor, detail);
}

int store_slot_remove(Store *store, const char *id, const struct actor *actor) {
	struct key_change change = {0};
	int rc = key_change_begin(store, NULL, &change);
	if (rc == 0)
		rc = remove_and_record(&change, id, actor);
	key_change_end(&change);
	return fault_while(rc, "removing a slot");
}
