/* Visiting the map pages in memory. Who is visited is pinned meanwhile, as by threads that make room. */
#include "backend/content_refs.h"
#include "backend/content_internal.h"

/* Contents that are pinned at once. */
#define SOME 32

void content_visit_begin(ContentCache *cache) {
	pthread_mutex_lock(&cache->lock);
	cache->visit++;
	pthread_mutex_unlock(&cache->lock);
}

/* Pins contents that have items and were not visited yet. */
static size_t pin_some(ContentCache *cache, Content *ret_contents[static SOME]) {
	size_t n = 0;
	pthread_mutex_lock(&cache->lock);
	for (struct item *item = cache->oldest; item && n < SOME; item = item->newer) {
		Content *owner = item->owner;
		if (owner->visited == cache->visit)
			continue;
		owner->visited = cache->visit;
		owner->pins++;
		ret_contents[n++] = owner;
	}
	pthread_mutex_unlock(&cache->lock);
	return n;
}

static void unpin(ContentCache *cache, Content *c) {
	pthread_mutex_lock(&cache->lock);
	c->pins--;
	pthread_cond_broadcast(&cache->unpinned);
	pthread_mutex_unlock(&cache->lock);
}

static int visit(Content *c, content_refs_fn *fn, void *arg) {
	pthread_mutex_lock(&c->lock);
	int rc = content_check_erased(c);
	rc = rc == -ESTALE ? 0 : rc; /* which lets go of what it had in memory */
	for (struct item *item = c->first; item && rc >= 0; item = item->after) {
		if (item->kind == ITEM_PAGE)
			rc = fn(arg, item->refs);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int content_visit_some(ContentCache *cache, content_refs_fn *fn, void *arg, bool *ret_done) {
	Content *contents[SOME];
	size_t n = pin_some(cache, contents);
	int rc = 0;
	for (size_t i = 0; i < n; i++) {
		if (rc >= 0)
			rc = visit(contents[i], fn, arg);
		unpin(cache, contents[i]);
	}
	*ret_done = n == 0;
	return rc < 0 ? rc : 0;
}
