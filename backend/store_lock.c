/* Locking: the keys of content leave memory, and what was opened with them. */
#include "backend/store_keys_internal.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALL_ZONES (1u << ZONE_LANDING | 1u << ZONE_RAW | 1u << ZONE_TRUSTED | 1u << ZONE_STAGING)

bool store_is_locked(Store *store) {
	return keyring_is_locked(store->keyring);
}

/* A read-only vault records nothing. */
static int record_alone(Store *store, struct audit_event e, const struct actor *actor) {
	if (store->read_only)
		return 0;
	meta_begin(store->meta);
	int rc = strcmp(e.event, "lock") == 0 ? key_uses_tell(store, true) : 0;
	if (rc == 0)
		rc = key_record(store, e, actor);
	rc = meta_end(store->meta, rc);
	return rc < 0 ? rc : store_commit_wait(store);
}

static bool is_content(const struct key_info *info, const void *data) {
	(void)data;
	return info->kind == KEY_SECRET && !keyring_is_vital(info->name);
}

static int lock(Store *store, const struct actor *actor, const char *why) {
	int rc = keyring_is_locked(store->keyring) ? 1 : 0;
	if (rc == 0 && !store->read_only)
		rc = key_leaving(store, ALL_ZONES, "");
	if (rc < 0)
		key_is_back(store, ALL_ZONES);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	keyring_drop(store->keyring, is_content, NULL);
	key_left(store);
	return record_alone(store, (struct audit_event){.event = "lock", .detail = why}, actor);
}

int store_lock(Store *store, const struct actor *actor) {
	return store_lock_for(store, actor, NULL);
}

int store_lock_for(Store *store, const struct actor *actor, const char *why) {
	int rc = store_audit_check(store);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->keys.changing);
	rc = lock(store, actor, why);
	pthread_mutex_unlock(&store->keys.changing);
	return fault_while(rc, "locking the vault");
}

/* ---- unlocking ---- */

/* Of what the slot holds the keys that this mount had, and in the states that they have. */
static int pick(const Keyring *live, const Keyring *slot, Keyring *picked) {
	struct key_info info;
	int rc = 0;
	for (size_t i = 0; rc == 0 && keyring_info(live, i, &info) == 0; i++) {
		_cleanup_(secret_key_wipe) struct secret_key key = {0};
		if (info.state != KEY_DELETED)
			rc = keyring_get_any(slot, info.name, info.version, key.bytes);
		if (rc == 0)
			rc = keyring_add(picked, &info, key.bytes);
	}
	return rc;
}

/* The slot that opens takes the place of the one that opened before. */
static int try(Store *store, const struct slot_secret *secret) {
	_cleanup_(header_freep) VaultHeader *header = NULL;
	_cleanup_(keyring_freep) Keyring *slot = NULL, *picked = NULL;
	struct slot_info info = {0};
	size_t at = 0;
	int rc = key_header_copy(store->keys.header, &header);
	if (rc == 0)
		rc = header_unlock_slot(header, secret, &slot, &at);
	if (rc == 0)
		rc = keyring_new(&picked);
	if (rc == 0)
		rc = pick(store->keyring, slot, picked);
	if (rc == -ENOKEY)
		rc = fault(EPERM,
		        "this is the right secret of a slot that is limited: it lacks keys that slot %.8s, by which "
		        "the vault was opened, has; unlock by that one, or by one that reaches all keys",
		        store->keys.slot);
	if (rc == 0)
		rc = header_slot(header, at, &info);
	if (rc < 0)
		return rc;
	keyring_take(store->keyring, picked);
	memcpy(store->keys.slot, info.id, sizeof store->keys.slot);
	key_is_back(store, ALL_ZONES);
	return 0;
}

static int unlock(Store *store, const struct slot_secret *secret, const struct actor *actor) {
	char words[FAULT_MESSAGE_BYTES], slot[STORE_SLOT_WORDS_BYTES];
	if (!keyring_is_locked(store->keyring))
		return 0;
	int rc = try(store, secret);
	if (rc == 0) {
		store_slot_words(store, slot);
		return record_alone(store, (struct audit_event){.event = "unlock", .detail = slot}, actor);
	}
	(void)snprintf(words, sizeof words, "%s", fault_message());
	int recorded = record_alone(store,
	        (struct audit_event){.event = "unlock", .outcome = "denied", .err = -rc, .detail = words}, actor);
	return recorded < 0 ? recorded : fault(-rc, "%s", words);
}

int store_unlock(Store *store, const struct store_secret *secret, const struct actor *actor) {
	const struct slot_secret slot = store_slot_secret(secret);
	int rc = store_audit_check(store);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->keys.changing);
	rc = unlock(store, &slot, actor);
	pthread_mutex_unlock(&store->keys.changing);
	return fault_while(rc, "unlocking the vault");
}
