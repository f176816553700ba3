#include "crypto/keyring.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/secret.h"

#define FIRST_CAPACITY 16

struct entry {
	struct key_info info;
	bool is_locked; /* wiped by keyring_drop() */
	uint8_t key[KEYRING_KEY_BYTES];
};

static_assert(sizeof(struct entry) % _Alignof(struct entry) == 0, "secret_alloc() aligns by the size");

struct Keyring {
	pthread_rwlock_t *lock; /* guards all below; nothing else is taken while it is held */
	struct entry *entries;  /* in locked memory, sorted by name and version */
	size_t count, capacity;
};

/* Writers first: else readers under load keep keyring_drop() waiting, 50 ms for each of its turns with three of them.
 * No reader takes the lock twice. */
static bool init_lock(pthread_rwlock_t *lock) {
	pthread_rwlockattr_t attributes;
	if (pthread_rwlockattr_init(&attributes) != 0)
		return false;
	bool good = pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0 &&
	            pthread_rwlock_init(lock, &attributes) == 0;
	(void)pthread_rwlockattr_destroy(&attributes);
	return good;
}

int keyring_new(Keyring **ret_keyring) {
	_cleanup_(keyring_freep) Keyring *keyring = calloc(1, sizeof *keyring);
	if (!keyring)
		return fault(ENOMEM, "making a keyring: out of memory");
	_cleanup_(freep) pthread_rwlock_t *lock = malloc(sizeof *lock);
	if (!lock || !init_lock(lock))
		return fault(ENOMEM, "making a keyring: out of memory");
	keyring->lock = steal_pointer(&lock);
	keyring->entries = secret_alloc(FIRST_CAPACITY * sizeof *keyring->entries);
	if (!keyring->entries)
		return -ENOMEM;
	keyring->capacity = FIRST_CAPACITY;
	*ret_keyring = steal_pointer(&keyring);
	return 0;
}

void keyring_free(Keyring *keyring) {
	if (!keyring)
		return;
	secret_free(keyring->entries);
	if (keyring->lock)
		(void)pthread_rwlock_destroy(keyring->lock);
	free(keyring->lock);
	free(keyring);
}

int keyring_check_name(const char *name) {
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
	if (length > 0 && length <= KEYRING_NAME_MAX && name[length] == '\0')
		return 0;
	return fault(EINVAL, "\"%.63s\" is no name for a key: use up to %d of a-z, 0-9, '.', '_', '-'", name,
	        KEYRING_NAME_MAX);
}

const char *key_state_name(enum key_state state) {
	switch (state) {
	case KEY_ACTIVE:
		return "active";
	case KEY_RETIRED:
		return "retired";
	case KEY_DISABLED:
		return "disabled";
	case KEY_PENDING_DELETION:
		return "pending-deletion";
	case KEY_DELETED:
		return "deleted";
	}
	return NULL;
}

bool keyring_is_vital(const char *name) {
	static const char *const vital[] = {"audit", "header", "meta", "verdict"};
	for (size_t i = 0; i < sizeof vital / sizeof *vital; i++)
		if (strcmp(name, vital[i]) == 0)
			return true;
	return false;
}

bool key_states_agree(enum key_state one, enum key_state other) {
	bool is_enabled = one == KEY_ACTIVE || one == KEY_RETIRED;
	return one == other || (is_enabled && (other == KEY_ACTIVE || other == KEY_RETIRED));
}

static int check_info(const struct key_info *info) {
	int rc = memchr(info->name, '\0', sizeof info->name) ? keyring_check_name(info->name)
	                                                     : fault(EINVAL, "a key's name is too long");
	if (rc < 0)
		return rc;
	if (info->version == 0)
		return fault(EINVAL, "key %s: versions count from 1", info->name);
	if ((info->kind != KEY_SECRET && info->kind != KEY_ED25519) || !key_state_name(info->state))
		return fault(EINVAL, "key %s version %u: unknown kind or state", info->name, info->version);
	return 0;
}

/* First entry not before (name, version). */
static size_t lower_bound(const Keyring *keyring, const char *name, uint32_t version) {
	size_t low = 0, high = keyring->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct key_info *info = &keyring->entries[middle].info;
		int order = strcmp(info->name, name);
		if (order < 0 || (order == 0 && info->version < version))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct entry *find(const Keyring *keyring, const char *name, uint32_t version) {
	size_t at = lower_bound(keyring, name, version);
	if (at == keyring->count || strcmp(keyring->entries[at].info.name, name) != 0)
		return NULL;
	return version == 0 || keyring->entries[at].info.version == version ? &keyring->entries[at] : NULL;
}

/* The highest version of `name`, active or not. */
static struct entry *find_last(const Keyring *keyring, const char *name) {
	size_t at = lower_bound(keyring, name, UINT32_MAX);
	if (at < keyring->count && strcmp(keyring->entries[at].info.name, name) == 0)
		return &keyring->entries[at];
	return at > 0 && strcmp(keyring->entries[at - 1].info.name, name) == 0 ? &keyring->entries[at - 1] : NULL;
}

static struct entry *find_current(const Keyring *keyring, const char *name) {
	for (struct entry *entry = find_last(keyring, name);
	        entry && entry >= keyring->entries && strcmp(entry->info.name, name) == 0; entry--)
		if (entry->info.state == KEY_ACTIVE)
			return entry;
	return NULL;
}

static int reserve_one(Keyring *keyring) {
	if (keyring->count >= KEYRING_KEYS_MAX)
		return fault(ENOSPC, "the keyring is full: it holds %d keys", KEYRING_KEYS_MAX);
	if (keyring->count < keyring->capacity)
		return 0;
	struct entry *larger = secret_alloc(2 * keyring->capacity * sizeof *larger);
	if (!larger)
		return -ENOMEM;
	memcpy(larger, keyring->entries, keyring->count * sizeof *larger);
	secret_free(keyring->entries);
	keyring->entries = larger;
	keyring->capacity *= 2;
	return 0;
}

static int add_locked(Keyring *keyring, const struct key_info *info, const uint8_t key[static KEYRING_KEY_BYTES]) {
	const struct entry *sibling = find_last(keyring, info->name);
	if (find(keyring, info->name, info->version))
		return fault(EEXIST, "key %s version %u is there already", info->name, info->version);
	if (sibling && sibling->info.kind != info->kind)
		return fault(EINVAL, "key %s: all its versions must be of one kind", info->name);
	if (sibling && !key_states_agree(sibling->info.state, info->state))
		return fault(EINVAL, "key %s: one version is %s, another %s", info->name,
		        key_state_name(sibling->info.state), key_state_name(info->state));
	int rc = reserve_one(keyring);
	if (rc < 0)
		return rc;
	size_t at = lower_bound(keyring, info->name, info->version);
	struct entry *entry = &keyring->entries[at];
	memmove(entry + 1, entry, (keyring->count - at) * sizeof *entry);
	*entry = (struct entry){.info = *info};
	if (info->state != KEY_DELETED)
		memcpy(entry->key, key, sizeof entry->key);
	keyring->count++;
	return 0;
}

int keyring_add(Keyring *keyring, const struct key_info *info, const uint8_t key[static KEYRING_KEY_BYTES]) {
	int rc = check_info(info);
	if (rc < 0)
		return rc;
	(void)pthread_rwlock_wrlock(keyring->lock);
	rc = add_locked(keyring, info, key);
	(void)pthread_rwlock_unlock(keyring->lock);
	return rc;
}

static void set_name(struct key_info *info, const char *name) {
	/* One byte more than is allowed, so that a name too long is refused and not cut. */
	size_t length = strnlen(name, sizeof info->name);
	memcpy(info->name, name, length);
}

int keyring_create(Keyring *keyring, const char *name, enum key_kind kind) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	struct key_info info = {.version = 1, .kind = kind, .state = KEY_ACTIVE};
	crypto_ready();
	randombytes_buf(key.bytes, sizeof key.bytes);
	set_name(&info, name);
	return keyring_add(keyring, &info, key.bytes);
}

int keyring_new_vault(Keyring **ret_keyring) {
	static const struct {
		const char *name;
		enum key_kind kind;
	} keys[] = {
	        {"landing", KEY_SECRET},
	        {"raw", KEY_SECRET},
	        {"trusted", KEY_SECRET},
	        {"meta", KEY_SECRET},
	        {"audit", KEY_ED25519},
	        {"verdict", KEY_ED25519},
	        {"header", KEY_ED25519},
	};
	_cleanup_(keyring_freep) Keyring *keyring = NULL;
	int rc = keyring_new(&keyring);
	for (size_t i = 0; rc == 0 && i < sizeof keys / sizeof *keys; i++)
		rc = keyring_create(keyring, keys[i].name, keys[i].kind);
	if (rc < 0)
		return rc;
	*ret_keyring = steal_pointer(&keyring);
	return 0;
}

/* 0 when the key of `entry`, which may be NULL, is there and may be used; `is_any`: in whatever state. */
static int check_usable(const struct entry *entry, const char *name, bool is_any) {
	if (!entry)
		return fault(ENOKEY, "the slot that was unlocked does not hold the key alias/%s", name);
	if (entry->info.state == KEY_DELETED)
		return fault(EKEYEXPIRED, "key alias/%s was deleted: nobody can read its data any more", name);
	if (entry->is_locked)
		return fault(EACCES, "the vault is locked: 'assayfs unlock' opens it again");
	if (entry->info.state == KEY_DISABLED && !is_any)
		return fault(
		        EKEYREVOKED, "key alias/%s is disabled ('assayfs key enable alias/%s' enables it)", name, name);
	if (entry->info.state == KEY_PENDING_DELETION && !is_any)
		return fault(EKEYREVOKED,
		        "key alias/%s is to be deleted ('assayfs key cancel-deletion alias/%s' and 'assayfs key enable "
		        "alias/%s' bring it back)",
		        name, name, name);
	return 0;
}

static int get_locked(const Keyring *keyring, const char *name, uint32_t version, bool is_any,
        uint8_t ret_key[static KEYRING_KEY_BYTES], uint32_t *ret_version) {
	const struct entry *last = find_last(keyring, name);
	const struct entry *entry = version != 0 ? find(keyring, name, version) : find_current(keyring, name);
	/* Of a version that is not there the others tell why nothing can be had of this key, if so. */
	int rc = check_usable(entry ? entry : last, name, is_any);
	if (rc < 0)
		return rc;
	if (!entry && version == 0)
		return fault(ENOKEY, "no version of the key alias/%s is active", name);
	if (!entry)
		return fault(
		        ENOKEY, "the slot that was unlocked does not hold the key alias/%s version %u", name, version);
	memcpy(ret_key, entry->key, KEYRING_KEY_BYTES);
	if (ret_version)
		*ret_version = entry->info.version;
	return 0;
}

int keyring_get(const Keyring *keyring, const char *name, uint32_t version, uint8_t ret_key[static KEYRING_KEY_BYTES],
        uint32_t *ret_version) {
	(void)pthread_rwlock_rdlock(keyring->lock);
	int rc = get_locked(keyring, name, version, false, ret_key, ret_version);
	(void)pthread_rwlock_unlock(keyring->lock);
	return rc;
}

int keyring_get_any(
        const Keyring *keyring, const char *name, uint32_t version, uint8_t ret_key[static KEYRING_KEY_BYTES]) {
	(void)pthread_rwlock_rdlock(keyring->lock);
	int rc = get_locked(keyring, name, version, true, ret_key, NULL);
	(void)pthread_rwlock_unlock(keyring->lock);
	return rc;
}

static int rotate_locked(
        Keyring *keyring, const char *name, const uint8_t key[static KEYRING_KEY_BYTES], uint32_t *ret_version) {
	const struct entry *last = find_last(keyring, name);
	int usable = last ? check_usable(last, name, false) : fault(ENOKEY, "there is no key %s to rotate", name);
	if (usable < 0)
		return usable;
	if (last->info.version == UINT32_MAX)
		return fault(EOVERFLOW, "key %s has no versions left", name);
	struct key_info info = last->info;
	info.version++;
	info.state = KEY_ACTIVE;
	int rc = add_locked(keyring, &info, key);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < keyring->count; i++) {
		struct key_info *other = &keyring->entries[i].info;
		if (strcmp(other->name, info.name) == 0 && other->version < info.version)
			other->state = KEY_RETIRED;
	}
	if (ret_version)
		*ret_version = info.version;
	return 0;
}

int keyring_rotate(Keyring *keyring, const char *name, uint32_t *ret_version) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	crypto_ready();
	randombytes_buf(key.bytes, sizeof key.bytes);
	(void)pthread_rwlock_wrlock(keyring->lock);
	int rc = rotate_locked(keyring, name, key.bytes, ret_version);
	(void)pthread_rwlock_unlock(keyring->lock);
	return rc;
}

static int set_state_locked(Keyring *keyring, const char *name, enum key_state state) {
	const struct entry *last = find_last(keyring, name);
	if (!last)
		return fault(ENOKEY, "there is no key alias/%s", name);
	if (last->info.state == KEY_DELETED)
		return check_usable(last, name, true);
	uint32_t highest = last->info.version;
	for (size_t i = 0; i < keyring->count; i++) {
		struct key_info *info = &keyring->entries[i].info;
		if (strcmp(info->name, name) == 0)
			info->state = state == KEY_ACTIVE && info->version < highest ? KEY_RETIRED : state;
	}
	return 0;
}

static int refuse_vital(const char *name) {
	if (!keyring_is_vital(name))
		return 0;
	return fault(EPERM, "the vault cannot do without its key alias/%s: it can only be rotated", name);
}

int keyring_set_state(Keyring *keyring, const char *name, enum key_state state) {
	if (state != KEY_ACTIVE && state != KEY_DISABLED && state != KEY_PENDING_DELETION)
		return fault(EINVAL, "a key can be enabled, disabled, or wait to be deleted");
	int rc = refuse_vital(name);
	if (rc < 0)
		return rc;
	(void)pthread_rwlock_wrlock(keyring->lock);
	rc = set_state_locked(keyring, name, state);
	(void)pthread_rwlock_unlock(keyring->lock);
	return rc;
}

int keyring_forget(Keyring *keyring, const char *name) {
	bool found = false;
	int rc = refuse_vital(name);
	if (rc < 0)
		return rc;
	(void)pthread_rwlock_wrlock(keyring->lock);
	for (size_t i = 0; i < keyring->count; i++) {
		struct entry *entry = &keyring->entries[i];
		if (strcmp(entry->info.name, name) != 0)
			continue;
		secret_wipe(entry->key, sizeof entry->key);
		entry->info.state = KEY_DELETED;
		entry->is_locked = false;
		found = true;
	}
	(void)pthread_rwlock_unlock(keyring->lock);
	return found ? 0 : fault(ENOKEY, "there is no key alias/%s", name);
}

void keyring_drop(
        Keyring *keyring, bool (*is_dropped)(const struct key_info *info, const void *data), const void *data) {
	(void)pthread_rwlock_wrlock(keyring->lock);
	for (size_t i = 0; i < keyring->count; i++) {
		struct entry *entry = &keyring->entries[i];
		if (entry->info.state == KEY_DELETED || !is_dropped(&entry->info, data))
			continue;
		secret_wipe(entry->key, sizeof entry->key);
		entry->is_locked = true;
	}
	(void)pthread_rwlock_unlock(keyring->lock);
}

bool keyring_is_locked(const Keyring *keyring) {
	bool is_locked = false;
	(void)pthread_rwlock_rdlock(keyring->lock);
	for (size_t i = 0; i < keyring->count; i++)
		is_locked = is_locked || keyring->entries[i].is_locked;
	(void)pthread_rwlock_unlock(keyring->lock);
	return is_locked;
}

int keyring_copy(const Keyring *keyring, Keyring **ret_copy) {
	_cleanup_(keyring_freep) Keyring *copy = NULL;
	int rc = keyring_new(&copy);
	if (rc < 0)
		return rc;
	(void)pthread_rwlock_rdlock(keyring->lock);
	struct entry *entries = secret_alloc(keyring->capacity * sizeof *entries);
	if (entries) {
		memcpy(entries, keyring->entries, keyring->count * sizeof *entries);
		secret_free(copy->entries);
		copy->entries = entries;
		copy->count = keyring->count;
		copy->capacity = keyring->capacity;
	}
	(void)pthread_rwlock_unlock(keyring->lock);
	if (!entries)
		return -ENOMEM;
	*ret_copy = steal_pointer(&copy);
	return 0;
}

void keyring_take(Keyring *live, Keyring *from) {
	(void)pthread_rwlock_wrlock(live->lock);
	struct entry *entries = live->entries;
	size_t capacity = live->capacity;
	live->entries = from->entries;
	live->count = from->count;
	live->capacity = from->capacity;
	(void)pthread_rwlock_unlock(live->lock);
	secret_wipe(entries, capacity * sizeof *entries);
	from->entries = entries;
	from->count = 0;
	from->capacity = capacity;
}

size_t keyring_count(const Keyring *keyring) {
	(void)pthread_rwlock_rdlock(keyring->lock);
	size_t count = keyring->count;
	(void)pthread_rwlock_unlock(keyring->lock);
	return count;
}

int keyring_info(const Keyring *keyring, size_t index, struct key_info *ret_info) {
	(void)pthread_rwlock_rdlock(keyring->lock);
	bool there = index < keyring->count;
	if (there)
		*ret_info = keyring->entries[index].info;
	(void)pthread_rwlock_unlock(keyring->lock);
	return there ? 0 : -ENOENT;
}
