/* Disabling, enabling and deleting keys; what is due. */
#include "backend/gc.h"
#include "backend/segment_watch.h"
#include "backend/store_keys_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DAYS_LEAST 7u
#define DAYS_MOST 30u
/* How often reads under way are waited for, a second each: one that waits for a backup may take any time. */
#define WAITS_MOST 10

/* ---- what was derived from a key ---- */

int key_leaving(Store *store, unsigned zones, const char *own) {
	if (zones & 1u << ZONE_LANDING && store->synclog)
		atomic_store(&store->log_wish, LOG_RESTS);
	int rc = store_commit_wait(store);
	if (rc == 0)
		rc = content_flush_keys(store, zones, own);
	return rc < 0 ? rc : store_commit_wait(store);
}

void key_left(Store *store) {
	segment_keys_changed(store->segments);
	for (int i = 0; i < WAITS_MOST && segment_uses_wait(store->segments) == -EAGAIN; i++)
		;
	content_drop_blocks(store);
}

void key_is_back(Store *store, unsigned zones) {
	segment_keys_changed(store->segments);
	if (zones & 1u << ZONE_LANDING && store->synclog)
		atomic_store(&store->log_wish, LOG_TAKES_KEY);
	if (store->gc) /* it may go on with what it could not read */
		gc_purge(store->gc);
}

/* ---- states ---- */

/* As people are told of it; no longer than a word. */
static const char *state_words(enum key_state state) {
	return state == KEY_ACTIVE || state == KEY_RETIRED ? "enabled"
	       : state == KEY_PENDING_DELETION             ? "to be deleted"
	                                                   : key_state_name(state);
}

static int refuse_deleted(const struct key_info *info) {
	return info->state == KEY_DELETED ? fault(EKEYEXPIRED, "the key alias/%s was deleted", info->name) : 0;
}

/* The change's row goes with it. Only who takes away what could be used has anything to leave behind. */
static int set_state(struct key_change *change, enum key_state state) {
	Store *store = change->store;
	const unsigned zones = key_zones(change->name);
	struct key_info info = {0};
	const bool was_enabled = key_find_listed(change->header, change->name, &info) && info.state == KEY_ACTIVE;
	int rc = keyring_set_state(change->keyring, change->name, state);
	if (rc == 0)
		rc = header_update(change->header, change->keyring);
	if (rc == 0 && was_enabled && !keyring_is_locked(store->keyring))
		rc = key_leaving(store, zones, key_is_own(change->name) ? change->name : "");
	if (rc == 0)
		rc = key_change_write(change);
	if (rc == 0)
		keyring_take(store->keyring, change->keyring);
	if (rc == 0 && state != KEY_ACTIVE)
		key_left(store);
	else
		key_is_back(store, zones);
	change->row.state = state;
	return rc;
}

static int change_state(Store *store, const char *name, enum key_state from, enum key_state to, const char *event,
        const char *words, const struct actor *actor) {
	struct key_change change = {0};
	struct key_info info = {0};
	char detail[256];
	int rc = key_refuse_vital(name);
	if (rc == 0)
		rc = key_change_begin(store, name, &change);
	if (rc < 0)
		return rc;
	(void)key_find_listed(change.header, name, &info);
	(void)snprintf(detail, sizeof detail, "alias/%s", name);
	rc = refuse_deleted(&info);
	const bool is_so = rc == 0 && info.state == to && from != KEY_PENDING_DELETION;
	if (rc == 0 && !is_so && info.state != from)
		rc = fault(from == KEY_PENDING_DELETION ? ENOENT : EKEYREVOKED, "%s: the key alias/%s is %s", words,
		        name, state_words(info.state));
	if (rc == 0 && !is_so) {
		change.row.deletion_ns = 0;
		rc = set_state(&change, to);
	}
	if (rc == 0 && !is_so)
		rc = key_change_record(&change, event, actor, detail);
	key_change_end(&change);
	return rc;
}

int store_key_disable(Store *store, const char *name, const struct actor *actor) {
	return change_state(
	        store, name, KEY_ACTIVE, KEY_DISABLED, "key-disable", "it can't be disabled any more", actor);
}

int store_key_enable(Store *store, const char *name, const struct actor *actor) {
	return change_state(
	        store, name, KEY_DISABLED, KEY_ACTIVE, "key-enable", "its deletion is to be cancelled first", actor);
}

int store_key_cancel_deletion(Store *store, const char *name, const struct actor *actor) {
	return change_state(store, name, KEY_PENDING_DELETION, KEY_DISABLED, "key-cancel-deletion",
	        "there is no deletion to be cancelled", actor);
}

int store_key_schedule_deletion(
        Store *store, const char *name, unsigned days, const struct actor *actor, int64_t *ret_deletion_ns) {
	struct key_change change = {0};
	struct key_info info = {0};
	char detail[256];
	int rc = key_refuse_vital(name);
	if (rc == 0 && (days < DAYS_LEAST || days > DAYS_MOST))
		rc = fault(EINVAL, "a key is deleted in %u to %u days, not in %u", DAYS_LEAST, DAYS_MOST, days);
	if (rc == 0)
		rc = key_change_begin(store, name, &change);
	if (rc < 0)
		return rc;
	(void)key_find_listed(change.header, name, &info);
	rc = refuse_deleted(&info);
	if (rc == 0 && info.state == KEY_PENDING_DELETION)
		rc = fault(EEXIST, "the key alias/%s is to be deleted already: cancel that first to set another day",
		        name);
	const int64_t deletion_ns = meta_now(store->meta) + (int64_t)days * DAY_NS;
	change.row.deletion_ns = deletion_ns;
	if (rc == 0)
		rc = set_state(&change, KEY_PENDING_DELETION);
	(void)snprintf(detail, sizeof detail, "alias/%s in %u days", name, days);
	if (rc == 0)
		rc = key_change_record(&change, "key-schedule-deletion", actor, detail);
	key_change_end(&change);
	if (rc == 0 && ret_deletion_ns)
		*ret_deletion_ns = deletion_ns;
	return fault_while(rc, "scheduling the deletion of the key alias/%s", name);
}

/* ---- deletion ---- */

/* A snapshot made of links has the very file: it is somebody's copy, and all that unlocks it. */
static bool is_linked(const Store *store) {
	char path[sizeof((struct store_info *)0)->path + sizeof STORE_HEADER_NAME];
	struct stat info;
	(void)snprintf(path, sizeof path, "%s/" STORE_HEADER_NAME, store->path);
	return stat(path, &info) == 0 && info.st_nlink > 1;
}

/* The file that was vault.json has the key's boxes, wherever its blocks are now. */
static void wipe_former(VaultFile *former) {
	uint64_t size = 0;
	if (!former || vault_file_size(former, &size) < 0 || size > HEADER_BYTES_MAX)
		return;
	_cleanup_(freep) uint8_t *zeros = calloc(1, size);
	if (zeros && vault_file_write_at(former, 0, bytes_of(zeros, size)) == 0)
		(void)vault_file_sync(former);
}

void store_keys_tidy(Store *store) {
	_cleanup_(vault_file_closep) VaultFile *left = NULL;
	if (vault_file_open(store->io, STORE_HEADER_LEFT, VAULT_FILE_WRITE, &left) < 0)
		return;
	wipe_former(left);
	(void)vault_io_unlink(store->io, STORE_HEADER_LEFT);
}

static int delete_key(struct key_change *change) {
	Store *store = change->store;
	_cleanup_(vault_file_closep) VaultFile *former = NULL;
	char detail[256];
	const bool is_kept = is_linked(store);
	int rc = header_delete_key(change->header, change->keyring, change->name);
	if (rc == 0 && !is_kept)
		rc = vault_file_open(store->io, STORE_HEADER_NAME, VAULT_FILE_WRITE, &former);
	if (rc == 0)
		rc = key_change_write(change);
	if (rc == 0)
		rc = keyring_forget(store->keyring, change->name);
	if (rc < 0)
		return rc;
	wipe_former(former);
	key_left(store);
	change->row.deletion_ns = 0;
	change->row.state = KEY_DELETED;
	(void)snprintf(detail, sizeof detail, "alias/%s, %u version%s%s", change->name, change->row.version,
	        change->row.version == 1 ? "" : "s",
	        is_kept ? "; the former vault.json has another name, and is left there as it was" : "");
	return key_change_record(change, "key-delete", NULL, detail);
}

static int delete_due(Store *store, const char *name, int64_t now_ns) {
	struct key_change change = {0};
	struct key_info info = {0};
	int rc = key_change_begin(store, name, &change);
	if (rc < 0)
		return rc;
	bool is_due = key_find_listed(change.header, name, &info) && info.state == KEY_PENDING_DELETION &&
	              change.row.deletion_ns != 0 && change.row.deletion_ns <= now_ns;
	if (is_due)
		rc = delete_key(&change);
	key_change_end(&change);
	return fault_while(rc, "deleting the key alias/%s", name);
}

/* ---- what is due ---- */

struct due {
	int64_t now_ns;
	bool deletes;
	struct due_key {
		char name[KEYRING_NAME_MAX + 1];
		bool is_deleted;
	} * keys;
	size_t count, room;
};

static int gather_due(void *arg, const struct store_key *key) {
	struct due *due = arg;
	const int64_t since_ns = key->rotated_ns ? key->rotated_ns : key->created_ns;
	const bool is_deleted = due->deletes && key->state == KEY_PENDING_DELETION && key->deletion_ns != 0 &&
	                        key->deletion_ns <= due->now_ns;
	const bool is_rotated = key->state == KEY_ACTIVE && key->is_here && key->every_days > 0 &&
	                        (due->now_ns - since_ns) / DAY_NS >= key->every_days;
	if (!is_deleted && !is_rotated)
		return 0;
	struct due_key *grown = array_room(due->keys, &due->room, due->count + 1, sizeof *grown);
	if (!grown)
		return fault(ENOMEM, "no memory to list the keys");
	due->keys = grown;
	memcpy(grown[due->count].name, key->name, sizeof grown->name);
	grown[due->count++].is_deleted = is_deleted;
	return 0;
}

/* One that can't be done does not keep the others. */
int store_key_tick(Store *store, int64_t now_ns, bool is_clock_even) {
	struct due due = {.now_ns = now_ns, .deletes = is_clock_even};
	if (store->read_only)
		return 0;
	int rc = key_list(store, false, gather_due, &due);
	for (size_t i = 0; i < due.count; i++) {
		const char *name = due.keys[i].name;
		int one = due.keys[i].is_deleted              ? delete_due(store, name, now_ns)
		          : keyring_is_locked(store->keyring) ? 0
		                                              : store_key_rotate(store, name, NULL, NULL);
		rc = rc < 0 ? rc : one;
	}
	free(due.keys);
	return rc;
}
