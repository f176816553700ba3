/* What open contents have in memory, when a key is taken away. */
#include "backend/content_internal.h"
#include "backend/store_keys.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys of a folder's own ---- */

void content_choose_key(Content *c, const char *own) {
	pthread_mutex_lock(&c->lock);
	c->has_wish = own != NULL;
	(void)snprintf(c->wish, sizeof c->wish, "%s", own ? own : "");
	pthread_mutex_unlock(&c->lock);
}

struct finding_own {
	SegmentStore *segments;
	char *own;
};

static int take_own(void *arg, uint32_t segment) {
	const struct finding_own *finding = arg;
	segment_own(finding->segments, segment, finding->own);
	return 1;
}

/* All blocks of a version are under the same. */
int content_own_of(
        SegmentStore *segments, Meta *m, uint64_t version, char ret_own[static OWN_KEY_BYTES], bool *ret_has_blocks) {
	struct finding_own finding = {.segments = segments, .own = ret_own};
	uint64_t page = 0;
	int rc = 0;
	while (rc == 0)
		rc = version_some_segments(m, version, &page, 1, take_own, &finding);
	*ret_has_blocks = rc > 0;
	return rc == -ENXIO || rc > 0 ? 0 : rc;
}

int content_own_check(SegmentStore *segments, Meta *m, const char *own) {
	int rc = segment_own_check(segments, own);
	return rc < 0 ? store_key_own_words(m, own, rc) : 0;
}

int content_zone_check(Content *c) {
	SegmentStore *segments = store_segments(c->store);
	int rc = segment_zone_check(segments, c->zone);
	return rc < 0 ? rc : segment_own_check(segments, c->own);
}

int content_key_check(Store *store, Meta *m, uint64_t version) {
	SegmentStore *segments = store_segments(store);
	char own[OWN_KEY_BYTES] = "";
	bool has_blocks;
	if (!version || !segment_any_own(segments))
		return 0;
	int rc = content_own_of(segments, m, version, own, &has_blocks);
	return rc < 0 ? rc : content_own_check(segments, m, own);
}

int content_own_key(Store *store, Meta *m, uint64_t version, char ret_own[static OWN_KEY_BYTES], bool *ret_has) {
	ret_own[0] = '\0';
	return content_own_of(store_segments(store), m, version, ret_own, ret_has);
}

int content_begin_check(Store *store, Meta *m, const struct node *node) {
	char own[OWN_KEY_BYTES] = "";
	int rc = store_choose_key(store, node, own);
	return rc < 0 ? rc : content_own_check(store_segments(store), m, own);
}

/* ---- what open contents have ---- */

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

/* Those of these zones, and those under this key of a folder's own. */
struct those {
	unsigned zones;
	const char *own; /* "": none */
};

typedef int visit_fn(Content *c, const struct those *those);

static int visit_all(Store *store, visit_fn *visit, const struct those *those) {
	ContentCache *cache = store_content_cache(store);
	struct some some = {0};
	int rc = 0;
	for (size_t bucket = 0; bucket < CONTENT_OPEN_BUCKETS && rc == 0; bucket++) {
		rc = pin_bucket(cache, bucket, &some);
		for (size_t i = 0; i < some.count; i++) {
			Content *c = some.list[i];
			pthread_mutex_lock(&c->lock);
			if (rc == 0)
				rc = visit(c, those);
			pthread_mutex_unlock(&c->lock);
			unpin(cache, c);
		}
	}
	free(some.list);
	return rc;
}

static int flush(Content *c, const struct those *those) {
	const bool is_own = those->own[0] && strcmp(c->own, those->own) == 0;
	return c->draft && (is_own || those->zones & 1u << c->zone) ? content_flush_locked(c) : 0;
}

int content_flush_keys(Store *store, unsigned zones, const char *own) {
	const struct those those = {.zones = zones, .own = own};
	return fault_while(visit_all(store, flush, &those), "putting what was written into the vault");
}

static int drop_clean(Content *c, const struct those *those) {
	(void)those;
	for (struct item *item = c->first, *after; item; item = after) {
		after = item->after;
		if (item->kind == ITEM_BLOCK && !item->dirty)
			item_drop(c, item);
	}
	return 0;
}

/* Without memory for the list it is tried again: what was promised is that nothing is left. */
void content_drop_blocks(Store *store) {
	while (visit_all(store, drop_clean, NULL) < 0)
		;
}
