#include "backend/node_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"

#define NODES 8192u
#define NAMES 512u
/* An operation that touches more (few do) costs the whole table when it is undone. */
#define TOUCHED_MAX 32u

struct directory_name {
	uint64_t id, parent; /* id 0: free */
	uint8_t size;
	uint8_t name[TREE_NAME_MAX];
};

struct NodeCache {
	struct node nodes[NODES]; /* id 0: free */
	struct directory_name names[NAMES];
	uint64_t touched[TOUCHED_MAX];
	size_t touched_count; /* TOUCHED_MAX + 1: more than that */
};

int node_cache_new(NodeCache **ret) {
	NodeCache *cache = calloc(1, sizeof *cache);
	if (!cache)
		return fault(ENOMEM, "no memory for the cache of nodes");
	*ret = cache;
	return 0;
}

void node_cache_free(NodeCache *cache) {
	free(cache);
}

/* Ids come from one counter, so neighbours in time lie side by side. */
bool node_cache_get(const NodeCache *cache, uint64_t id, struct node *ret) {
	const struct node *slot = &cache->nodes[id % NODES];
	if (id == 0 || slot->id != id)
		return false;
	*ret = *slot;
	return true;
}

void node_cache_put(NodeCache *cache, const struct node *node) {
	cache->nodes[node->id % NODES] = *node;
}

bool node_cache_get_name(const NodeCache *cache, uint64_t id, uint64_t *ret_parent, struct bytes *ret_name) {
	const struct directory_name *slot = &cache->names[id % NAMES];
	if (id == 0 || slot->id != id)
		return false;
	*ret_parent = slot->parent;
	*ret_name = bytes_of(slot->name, slot->size);
	return true;
}

void node_cache_put_name(NodeCache *cache, uint64_t id, uint64_t parent, struct bytes name) {
	struct directory_name *slot = &cache->names[id % NAMES];
	if (name.size == 0 || name.size > sizeof slot->name)
		return;
	slot->id = id;
	slot->parent = parent;
	slot->size = (uint8_t)name.size;
	memcpy(slot->name, name.data, name.size);
}

static void forget(NodeCache *cache, uint64_t id) {
	if (cache->nodes[id % NODES].id == id)
		cache->nodes[id % NODES].id = 0;
	if (cache->names[id % NAMES].id == id)
		cache->names[id % NAMES].id = 0;
}

static bool is_touched(const NodeCache *cache, uint64_t id) {
	for (size_t i = 0; i < cache->touched_count && i < TOUCHED_MAX; i++)
		if (cache->touched[i] == id)
			return true;
	return false;
}

void node_cache_touch(NodeCache *cache, uint64_t id) {
	forget(cache, id);
	if (is_touched(cache, id) || cache->touched_count > TOUCHED_MAX)
		return;
	if (cache->touched_count < TOUCHED_MAX)
		cache->touched[cache->touched_count] = id;
	cache->touched_count++;
}

void node_cache_begin(NodeCache *cache) {
	cache->touched_count = 0;
}

void node_cache_clear(NodeCache *cache) {
	memset(cache->nodes, 0, sizeof cache->nodes);
	memset(cache->names, 0, sizeof cache->names);
}

void node_cache_undo(NodeCache *cache) {
	if (cache->touched_count > TOUCHED_MAX)
		node_cache_clear(cache);
	for (size_t i = 0; i < cache->touched_count && i < TOUCHED_MAX; i++)
		forget(cache, cache->touched[i]);
	cache->touched_count = 0;
}
