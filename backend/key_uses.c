#include "backend/key_uses.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256u

struct entry {
	struct key_use use;
	int64_t since_s;
	uint64_t more;
	bool is_new, is_told; /* in an operation that has not ended */
	struct entry *next;
};

struct KeyUses {
	pthread_mutex_t lock;
	struct entry *buckets[BUCKETS];
	size_t count;
	atomic_bool is_pending; /* an entry is new or told */
};

int key_uses_new(KeyUses **ret) {
	KeyUses *uses = calloc(1, sizeof *uses);
	if (!uses)
		return fault(ENOMEM, "no memory for the uses of keys");
	pthread_mutex_init(&uses->lock, NULL);
	*ret = uses;
	return 0;
}

void key_uses_free(KeyUses *uses) {
	if (!uses)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct entry *entry = uses->buckets[i], *next; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	pthread_mutex_destroy(&uses->lock);
	free(uses);
}

/* FNV-1a, which spreads these few well enough: nobody gains by a long chain of 256 at most. */
static uint32_t mix(uint32_t hash, const void *data, size_t size) {
	const uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT32_C(16777619);
	return hash;
}

uint64_t key_uses_mark(const char *key, uint32_t version) {
	return (uint64_t)mix(UINT32_C(2166136261), key, strlen(key)) << 32 | version;
}

static struct entry **bucket_of(KeyUses *uses, const struct key_use *use) {
	uint32_t hash = mix(UINT32_C(2166136261), &use->actor.uid, sizeof use->actor.uid);
	hash = mix(hash, use->actor.exe, strnlen(use->actor.exe, sizeof use->actor.exe));
	hash = mix(hash, use->key, strlen(use->key));
	hash = mix(hash, &use->version, sizeof use->version);
	return &uses->buckets[(hash ^ use->seals) % BUCKETS];
}

static bool is_same(const struct key_use *one, const struct key_use *other) {
	return one->actor.uid == other->actor.uid && one->seals == other->seals && one->version == other->version &&
	       strcmp(one->key, other->key) == 0 &&
	       strncmp(one->actor.exe, other->actor.exe, sizeof one->actor.exe) == 0;
}

static struct entry *find(KeyUses *uses, const struct key_use *use) {
	struct entry *entry = *bucket_of(uses, use);
	while (entry && (entry->is_told || !is_same(&entry->use, use)))
		entry = entry->next;
	return entry;
}

bool key_uses_count(KeyUses *uses, const struct key_use *use) {
	pthread_mutex_lock(&uses->lock);
	struct entry *entry = find(uses, use);
	const bool is_counted = entry && !entry->is_new;
	if (is_counted)
		entry->more++;
	pthread_mutex_unlock(&uses->lock);
	return is_counted;
}

static size_t count_of_user(const KeyUses *uses, uint32_t uid) {
	size_t count = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct entry *entry = uses->buckets[i]; entry; entry = entry->next)
			count += entry->use.actor.uid == uid;
	return count;
}

void key_uses_add(KeyUses *uses, const struct key_use *use, int64_t now_s) {
	struct entry *entry = calloc(1, sizeof *entry);
	if (!entry)
		return;
	*entry = (struct entry){.use = *use, .since_s = now_s, .is_new = true};
	pthread_mutex_lock(&uses->lock);
	struct entry **bucket = bucket_of(uses, use);
	const bool has_place = uses->count < KEY_USES_MOST && count_of_user(uses, use->actor.uid) < KEY_USES_OF_USER;
	if (has_place && !find(uses, use)) {
		entry->next = *bucket;
		*bucket = entry;
		uses->count++;
		uses->is_pending = true;
		entry = NULL;
	}
	pthread_mutex_unlock(&uses->lock);
	free(entry);
}

static int tell_some(KeyUses *uses, struct entry *entry, int64_t until_s, key_uses_fn *tell, void *arg) {
	int rc = 0;
	for (; entry && rc >= 0; entry = entry->next) {
		if (entry->since_s > until_s || entry->is_told)
			continue;
		rc = entry->more > 0 ? tell(arg, &entry->use, entry->more) : 0;
		entry->is_told = rc >= 0;
		uses->is_pending = true;
	}
	return rc < 0 ? rc : 0;
}

static void settle_some(KeyUses *uses, struct entry **slot, bool is_kept) {
	while (*slot) {
		struct entry *entry = *slot;
		if (is_kept ? entry->is_told : entry->is_new) {
			*slot = entry->next;
			free(entry);
			uses->count--;
			continue;
		}
		entry->is_new = entry->is_told = false;
		slot = &entry->next;
	}
}

void key_uses_settle(KeyUses *uses, bool is_kept) {
	if (!uses->is_pending)
		return;
	pthread_mutex_lock(&uses->lock);
	for (size_t i = 0; i < BUCKETS; i++)
		settle_some(uses, &uses->buckets[i], is_kept);
	uses->is_pending = false;
	pthread_mutex_unlock(&uses->lock);
}

int key_uses_end(KeyUses *uses, int64_t until_s, key_uses_fn *tell, void *arg) {
	int rc = 0;
	pthread_mutex_lock(&uses->lock);
	for (size_t i = 0; i < BUCKETS && rc == 0; i++)
		rc = tell_some(uses, uses->buckets[i], until_s, tell, arg);
	pthread_mutex_unlock(&uses->lock);
	return rc;
}
