/*
 * The ciphers of batches, least recently used out; and the buffers that batches are sealed in and read into, kept
 * because fresh memory of a MiB costs 256 page faults (0.1 ms) each time.
 */
#include "backend/segment_internal.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdlib.h>

int segment_cache_init(struct segment_cache *cache) {
	int rc = pthread_mutex_init(&cache->lock, NULL);
	return rc == 0 ? 0 : fault_errno(rc, "making a lock");
}

static void key_free(struct batch_key *key) {
	aead_free(key->aead);
	free(key);
}

void segment_cache_free(struct segment_cache *cache) {
	for (struct batch_key *key = cache->newest; key;) {
		struct batch_key *older = key->older;
		key_free(key);
		key = older;
	}
	for (unsigned i = 0; i < cache->buffer_count; i++)
		free(cache->buffers[i]);
	for (unsigned i = 0; i < cache->packer_count; i++)
		segment_packer_free(cache->packers[i]);
	pthread_mutex_destroy(&cache->lock);
}

struct cache_counts segment_cache_counts(SegmentStore *s) {
	pthread_mutex_lock(&s->cache.lock);
	struct cache_counts counts = s->cache.counts;
	pthread_mutex_unlock(&s->cache.lock);
	return counts;
}

static struct batch_key **bucket_of(struct segment_cache *cache, uint32_t segment, uint32_t batch) {
	uint64_t mixed = ((uint64_t)segment << 32 | batch) * UINT64_C(0x9e3779b97f4a7c15);
	return &cache->buckets[mixed >> 54];
}
static_assert(BATCH_BUCKETS == 1u << (64 - 54), "the hash fills the buckets");

static struct batch_key *find(struct segment_cache *cache, uint32_t segment, uint32_t batch) {
	struct batch_key *key = *bucket_of(cache, segment, batch);
	while (key && (key->segment != segment || key->batch != batch))
		key = key->next;
	return key;
}

static void unlink_lru(struct segment_cache *cache, struct batch_key *key) {
	*(key->newer ? &key->newer->older : &cache->newest) = key->older;
	*(key->older ? &key->older->newer : &cache->oldest) = key->newer;
	key->newer = key->older = NULL;
}

static void push_newest(struct segment_cache *cache, struct batch_key *key) {
	key->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = key;
	cache->newest = key;
}

/* Out of the lists. */
static void take_out(struct segment_cache *cache, struct batch_key *key) {
	struct batch_key **slot = bucket_of(cache, key->segment, key->batch);
	while (*slot != key)
		slot = &(*slot)->next;
	*slot = key->next;
	unlink_lru(cache, key);
	cache->keys--;
	key->cached = false;
}

static void evict_one(struct segment_cache *cache) {
	struct batch_key *key = cache->oldest;
	while (key && key->users > 0)
		key = key->newer;
	if (!key)
		return;
	take_out(cache, key);
	key_free(key);
}

void segment_batch_keys_drop(SegmentStore *s) {
	struct segment_cache *cache = &s->cache;
	pthread_mutex_lock(&cache->lock);
	for (struct batch_key *key; (key = cache->newest);) {
		take_out(cache, key);
		if (key->users == 0)
			key_free(key);
	}
	pthread_mutex_unlock(&cache->lock);
}

static void insert(struct segment_cache *cache, struct batch_key *key) {
	if (cache->keys >= BATCH_KEYS_MAX)
		evict_one(cache);
	struct batch_key **bucket = bucket_of(cache, key->segment, key->batch);
	key->next = *bucket;
	*bucket = key;
	key->cached = true;
	push_newest(cache, key);
	cache->keys++;
}

/* Reads (unless that was done), derives, authenticates. */
static int load(SegmentStore *s, struct segment *segment, uint32_t batch, const uint8_t *read, Aead **ret) {
	uint8_t bytes[SEGMENT_BATCH_BYTES];
	struct segment_batch header;
	_cleanup_(secret_key_wipe) struct secret_key key;
	_cleanup_(aead_freep) Aead *aead = NULL;
	if (read)
		memcpy(bytes, read, sizeof bytes);
	int rc = read ? 0 : vault_file_read_exactly(segment->file, batch, bytes, sizeof bytes);
	if (rc == 0)
		rc = segment_batch_parse(bytes_of(bytes, sizeof bytes), &header);
	if (rc == 0)
		rc = segment_key_of(s, segment, false, &key);
	if (rc == 0)
		rc = segment_batch_cipher(s->cipher, key.bytes, header.salt, &aead);
	if (rc == 0)
		rc = segment_batch_open(aead, segment->row.id, batch, bytes);
	if (rc < 0)
		return fault_while(rc, "%s: batch at %u", vault_file_name(segment->file), batch);
	*ret = steal_pointer(&aead);
	return 0;
}

static struct batch_key *key_new(uint32_t segment, uint32_t batch, Aead *aead) {
	struct batch_key *key = calloc(1, sizeof *key);
	if (key)
		*key = (struct batch_key){.segment = segment, .batch = batch, .aead = aead};
	return key;
}

bool segment_batch_key_known(SegmentStore *s, uint32_t segment, uint32_t batch) {
	pthread_mutex_lock(&s->cache.lock);
	bool known = find(&s->cache, segment, batch);
	pthread_mutex_unlock(&s->cache.lock);
	return known;
}

static struct batch_key *take_known(struct segment_cache *cache, uint32_t segment, uint32_t batch) {
	pthread_mutex_lock(&cache->lock);
	struct batch_key *key = find(cache, segment, batch);
	cache_count(&cache->counts, key != NULL);
	if (key) {
		key->users++;
		unlink_lru(cache, key);
		push_newest(cache, key);
	}
	pthread_mutex_unlock(&cache->lock);
	return key;
}

/* If another thread was faster, this one lives until it is put. */
static void keep(SegmentStore *s, const struct segment *segment, struct batch_key *key) {
	struct segment_cache *cache = &s->cache;
	pthread_mutex_lock(&cache->lock);
	if (!segment_is_shut(s, segment) && !find(cache, key->segment, key->batch))
		insert(cache, key);
	pthread_mutex_unlock(&cache->lock);
}

int segment_batch_key_get(SegmentStore *s, struct segment *segment, uint32_t batch, bool alone, const uint8_t *header,
        struct batch_key **ret_key) {
	struct batch_key *key =
	        alone || segment_is_shut(s, segment) ? NULL : take_known(&s->cache, segment->row.number, batch);
	if (!key) {
		Aead *aead = NULL;
		int rc = load(s, segment, batch, header, &aead);
		if (rc < 0)
			return rc;
		key = key_new(segment->row.number, batch, aead);
		if (!key) {
			aead_free(aead);
			return fault(ENOMEM, "no memory for the key of a batch");
		}
		key->users = 1;
		if (!alone)
			keep(s, segment, key);
	}
	*ret_key = key;
	return 0;
}

void segment_batch_key_add(SegmentStore *s, enum zone zone, uint32_t segment, uint32_t batch, Aead *aead) {
	struct segment_cache *cache = &s->cache;
	struct batch_key *key = key_new(segment, batch, aead);
	if (!key) {
		aead_free(aead);
		return;
	}
	pthread_mutex_lock(&cache->lock);
	bool known = segment_zone_is_closed(s, zone) || find(cache, segment, batch);
	if (!known)
		insert(cache, key);
	pthread_mutex_unlock(&cache->lock);
	if (known)
		key_free(key);
}

void segment_batch_key_put(SegmentStore *s, struct batch_key *key) {
	pthread_mutex_lock(&s->cache.lock);
	key->users--;
	bool last = !key->cached && key->users == 0;
	pthread_mutex_unlock(&s->cache.lock);
	if (last)
		key_free(key);
}

uint8_t *segment_buffer_get(struct segment_cache *cache) {
	uint8_t *buffer = NULL;
	pthread_mutex_lock(&cache->lock);
	if (cache->buffer_count > 0)
		buffer = cache->buffers[--cache->buffer_count];
	pthread_mutex_unlock(&cache->lock);
	return buffer ? buffer : malloc(BUFFER_BYTES);
}

void segment_buffer_put(struct segment_cache *cache, uint8_t *buffer) {
	if (!buffer)
		return;
	pthread_mutex_lock(&cache->lock);
	if (cache->buffer_count < BUFFERS_MAX) {
		cache->buffers[cache->buffer_count++] = buffer;
		buffer = NULL;
	}
	pthread_mutex_unlock(&cache->lock);
	free(buffer);
}

SegmentPacker *segment_packer_get(struct segment_cache *cache) {
	SegmentPacker *packer = NULL;
	pthread_mutex_lock(&cache->lock);
	if (cache->packer_count > 0)
		packer = cache->packers[--cache->packer_count];
	pthread_mutex_unlock(&cache->lock);
	if (!packer && segment_packer_new(&packer) < 0)
		return NULL;
	return packer;
}

void segment_packer_put(struct segment_cache *cache, SegmentPacker *packer) {
	if (!packer)
		return;
	pthread_mutex_lock(&cache->lock);
	if (cache->packer_count < BUFFERS_MAX) {
		cache->packers[cache->packer_count++] = packer;
		packer = NULL;
	}
	pthread_mutex_unlock(&cache->lock);
	segment_packer_free(packer);
}
