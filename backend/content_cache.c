#include "backend/content_internal.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdlib.h>

/* How many dirty blocks are sealed at once to make room. */
#define SEAL_AT_ONCE SEGMENT_BATCH_BLOCKS
/* How many items that are in use are passed over before it is given up for now. */
#define PASS_OVER 256

static size_t payload(enum item_kind kind) {
	return kind == ITEM_BLOCK ? SEGMENT_BLOCK_BYTES : MAP_PAGE_REFS * sizeof(struct block_ref);
}

int content_cache_new(size_t bound, ContentCache **ret) {
	ContentCache *cache = calloc(1, sizeof *cache);
	size_t buckets = 1024;
	while (buckets < bound / SEGMENT_BLOCK_BYTES * 2)
		buckets *= 2;
	if (cache)
		cache->buckets = calloc(buckets, sizeof *cache->buckets);
	if (!cache || !cache->buckets) {
		free(cache);
		return fault(ENOMEM, "no memory for the cache of blocks");
	}
	cache->bucket_mask = buckets - 1;
	cache->bound = bound;
	pthread_mutex_init(&cache->lock, NULL);
	pthread_cond_init(&cache->unpinned, NULL);
	pthread_mutex_init(&cache->open_lock, NULL);
	*ret = cache;
	return 0;
}

struct cache_counts content_cache_counts(ContentCache *cache) {
	pthread_mutex_lock(&cache->lock);
	struct cache_counts counts = cache->counts;
	pthread_mutex_unlock(&cache->lock);
	return counts;
}

void content_cache_free(ContentCache *cache) {
	if (!cache)
		return;
	pthread_mutex_destroy(&cache->open_lock);
	pthread_cond_destroy(&cache->unpinned);
	pthread_mutex_destroy(&cache->lock);
	free(cache->buckets);
	free(cache);
}

static struct item **bucket_of(Content *c, enum item_kind kind, uint64_t index) {
	uint64_t mixed = (c->node * 2 + kind) * UINT64_C(0x9e3779b97f4a7c15) ^ index * UINT64_C(0xc2b2ae3d27d4eb4f);
	mixed ^= mixed >> 29;
	return &c->cache->buckets[mixed & c->cache->bucket_mask];
}

static void lru_remove(ContentCache *cache, struct item *item) {
	*(item->newer ? &item->newer->older : &cache->newest) = item->older;
	*(item->older ? &item->older->newer : &cache->oldest) = item->newer;
	item->newer = item->older = NULL;
}

static void lru_push(ContentCache *cache, struct item *item) {
	item->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = item;
	cache->newest = item;
}

struct item *item_find(Content *c, enum item_kind kind, uint64_t index) {
	pthread_mutex_lock(&c->cache->lock);
	struct item *item = *bucket_of(c, kind, index);
	while (item && (item->owner != c || item->kind != kind || item->index != index))
		item = item->next;
	cache_count(&c->cache->counts, item != NULL);
	if (item && c->cache->newest != item) {
		lru_remove(c->cache, item);
		lru_push(c->cache, item);
	}
	pthread_mutex_unlock(&c->cache->lock);
	return item;
}

int item_add(Content *c, enum item_kind kind, uint64_t index, struct item **ret_item) {
	uint8_t *data = calloc(1, payload(kind));
	int rc =
	        data ? item_add_data(c, kind, index, data, ret_item) : fault(ENOMEM, "no memory for a block of a file");
	if (rc < 0)
		free(data);
	return rc;
}

int item_add_data(Content *c, enum item_kind kind, uint64_t index, uint8_t *data, struct item **ret_item) {
	struct item *item = calloc(1, sizeof *item);
	if (!item)
		return fault(ENOMEM, "no memory for a block of a file");
	item->data = data;
	item->owner = c;
	item->kind = kind;
	item->index = index;
	pthread_mutex_lock(&c->cache->lock);
	struct item **bucket = bucket_of(c, kind, index);
	item->next = *bucket;
	*bucket = item;
	lru_push(c->cache, item);
	item->before = c->last;
	*(c->last ? &c->last->after : &c->first) = item;
	c->last = item;
	c->blocks += kind == ITEM_BLOCK;
	c->cache->bytes += payload(kind);
	pthread_mutex_unlock(&c->cache->lock);
	*ret_item = item;
	return 0;
}

void item_drop(Content *c, struct item *item) {
	pthread_mutex_lock(&c->cache->lock);
	struct item **slot = bucket_of(c, item->kind, item->index);
	while (*slot != item)
		slot = &(*slot)->next;
	*slot = item->next;
	lru_remove(c->cache, item);
	*(item->before ? &item->before->after : &c->first) = item->after;
	*(item->after ? &item->after->before : &c->last) = item->before;
	c->blocks -= item->kind == ITEM_BLOCK;
	c->cache->bytes -= payload(item->kind);
	pthread_mutex_unlock(&c->cache->lock);
	if (item->kind == ITEM_BLOCK) /* behind what counts are zeros */
		secret_wipe(item->data, item->plain);
	free(item->data);
	free(item);
}

void items_drop_from(Content *c, uint64_t block, uint64_t page) {
	for (struct item *item = c->first, *after; item; item = after) {
		after = item->after;
		if (item->index >= (item->kind == ITEM_BLOCK ? block : page))
			item_drop(c, item);
	}
}

/* ---- what is open ---- */

static Content **opened_bucket(ContentCache *cache, uint64_t node) {
	return &cache->opened[node * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (CONTENT_OPEN_BUCKETS - 1)];
}

void content_tell_open(Content *c) {
	pthread_mutex_lock(&c->cache->open_lock);
	Content **bucket = opened_bucket(c->cache, c->node);
	c->opened_next = *bucket;
	*bucket = c;
	pthread_mutex_unlock(&c->cache->open_lock);
}

void content_tell_closed(Content *c) {
	pthread_mutex_lock(&c->cache->open_lock);
	Content **slot = opened_bucket(c->cache, c->node);
	while (*slot && *slot != c)
		slot = &(*slot)->opened_next;
	if (*slot)
		*slot = c->opened_next;
	pthread_mutex_unlock(&c->cache->open_lock);
}

bool content_may_show(Store *store, uint64_t node, uint64_t version) {
	ContentCache *cache = store_content_cache(store);
	bool shows = false;
	pthread_mutex_lock(&cache->open_lock);
	for (Content *c = *opened_bucket(cache, node); c && !shows; c = c->opened_next) {
		if (c->node != node)
			continue;
		shows = pthread_mutex_trylock(&c->lock) != 0;
		if (shows)
			break;
		shows = c->base == version || c->rows == version;
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_unlock(&cache->open_lock);
	return shows;
}

/* ---- making room ---- */

/*
 * The rows of a draft that was synced are what a crash would bring back: pages changed since wait for the next sync or
 * the sealing, lest a part of them be there and a part not. A page stands for 4 MiB; only past twice the bound memory
 * matters more.
 */
static bool must_wait(const ContentCache *cache, const struct item *item) {
	return item->kind == ITEM_PAGE && item->dirty && item->owner->synced && cache->bytes <= 2 * cache->bound;
}

/* The oldest item whose owner nobody is using; its owner is then locked and pinned. Cache lock held. */
static struct item *take_victim(ContentCache *cache) {
	struct item *item = cache->oldest;
	for (int i = 0; item && i < PASS_OVER; i++) {
		struct item *newer = item->newer;
		if (pthread_mutex_trylock(&item->owner->lock) == 0) {
			if (!must_wait(cache, item)) {
				item->owner->pins++;
				return item;
			}
			pthread_mutex_unlock(&item->owner->lock);
			lru_remove(cache, item);
			lru_push(cache, item);
		}
		item = newer;
	}
	return NULL;
}

static int throw_out(struct item *item) {
	Content *c = item->owner;
	if (!item->dirty) {
		item_drop(c, item);
		return 0;
	}
	if (item->kind == ITEM_BLOCK)
		return content_seal_oldest(c, SEAL_AT_ONCE);
	return content_flush_locked(c);
}

int content_make_room(ContentCache *cache, bool changing) {
	int rc = 0;
	pthread_mutex_lock(&cache->lock);
	while (cache->bytes > cache->bound && rc == 0) {
		struct item *item = take_victim(cache);
		if (!item)
			break;
		Content *owner = item->owner;
		pthread_mutex_unlock(&cache->lock);
		rc = throw_out(item);
		pthread_mutex_unlock(&owner->lock);
		pthread_mutex_lock(&cache->lock);
		owner->pins--;
		pthread_cond_broadcast(&cache->unpinned);
	}
	pthread_mutex_unlock(&cache->lock);
	return changing ? fault_while(rc, "making room in memory") : 0;
}
