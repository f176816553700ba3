/* What open contents have in memory, when a key is taken away. */
#include "backend/content_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <stdlib.h>

/* Those of one bucket, pinned: so many are open in it at least. */
struct some {
	Content **list;
	size_t count, room;
};

static int pin_bucket(ContentCache *cache, size_t bucket, struct some *some) {
	int rc = 0;
	some->count = 0;
	pthread_mutex_lock(&cache->open_lock);
	for (Content *c = cache->opened[bucket]; c && rc == 0; c = c->opened_next) {
		Content **grown = array_room(some->list, &some->room, some->count + 1, sizeof(Content *));
		if (!grown) {
			rc = fault(ENOMEM, "no memory to go through the open files");
			break;
		}
		some->list = grown;
		pthread_mutex_lock(&cache->lock);
		c->pins++;
		pthread_mutex_unlock(&cache->lock);
		some->list[some->count++] = c;
	}
	pthread_mutex_unlock(&cache->open_lock);
	return rc;
}

static void unpin(ContentCache *cache, Content *c) {
	pthread_mutex_lock(&cache->lock);
	c->pins--;
	pthread_cond_broadcast(&cache->unpinned);
	pthread_mutex_unlock(&cache->lock);
}

typedef int visit_fn(Content *c, unsigned zones);

static int visit_all(Store *store, visit_fn *visit, unsigned zones) {
	ContentCache *cache = store_content_cache(store);
	struct some some = {0};
	int rc = 0;
	for (size_t bucket = 0; bucket < CONTENT_OPEN_BUCKETS && rc == 0; bucket++) {
		rc = pin_bucket(cache, bucket, &some);
		for (size_t i = 0; i < some.count; i++) {
			Content *c = some.list[i];
			pthread_mutex_lock(&c->lock);
			if (rc == 0)
				rc = visit(c, zones);
			pthread_mutex_unlock(&c->lock);
			unpin(cache, c);
		}
	}
	free(some.list);
	return rc;
}

static int flush(Content *c, unsigned zones) {
	return c->draft && (zones & 1u << c->zone) ? content_flush_locked(c) : 0;
}

int content_flush_zones(Store *store, unsigned zones) {
	return fault_while(visit_all(store, flush, zones), "putting what was written into the vault");
}

static int drop_clean(Content *c, unsigned zones) {
	(void)zones;
	for (struct item *item = c->first, *after; item; item = after) {
		after = item->after;
		if (item->kind == ITEM_BLOCK && !item->dirty)
			item_drop(c, item);
	}
	return 0;
}

/* Without memory for the list it is tried again: what was promised is that nothing is left. */
void content_drop_blocks(Store *store) {
	while (visit_all(store, drop_clean, 0) < 0)
		;
}
