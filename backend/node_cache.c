#include "backend/node_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"
#include "crypto/base/fnv.h"

#define NODES 8192u
#define NAMES 512u
#define ENTRIES 4096u
/* Longer names are rare, and looked up each time. */
#define ENTRY_NAME_MAX 87u
/* An operation that touches more (few do) costs the whole table when it is undone. */
#define TOUCHED_MAX 32u

struct directory_name {
	uint64_t id, parent; /* id 0: free */
	uint8_t size;
	uint8_t name[TREE_NAME_MAX];
};

struct entry_slot {
	uint64_t parent; /* 0: free */
	struct cached_entry entry;
	uint8_t size;
	uint8_t name[ENTRY_NAME_MAX];
};

struct touched {
	uint64_t what[TOUCHED_MAX];
	size_t count; /* TOUCHED_MAX + 1: more than that */
};

struct NodeCache {
	struct node nodes[NODES]; /* id 0: free */
	struct directory_name names[NAMES];
	struct entry_slot entries[ENTRIES];
	uint16_t by_node[ENTRIES]; /* where in `entries` a name of the node was put last, if it is still there */
	struct cache_counts counts;
	struct touched touched_nodes;
	struct touched touched_entries; /* places in `entries` */
};
static_assert(ENTRIES <= UINT16_MAX + 1u, "by_node holds any place");

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

struct cache_counts node_cache_counts(const NodeCache *cache) {
	return cache->counts;
}

/* Ids come from one counter, so neighbours in time lie side by side. */
bool node_cache_get(NodeCache *cache, uint64_t id, struct node *ret) {
	const struct node *slot = &cache->nodes[id % NODES];
	const bool has = id != 0 && slot->id == id;
	cache_count(&cache->counts, has);
	if (!has)
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

/* ---- entries ---- */

static size_t place_of(uint64_t parent, struct bytes name) {
	return fnv1a(parent, name) % ENTRIES;
}

bool node_cache_get_entry(NodeCache *cache, uint64_t parent, struct bytes name, struct cached_entry *ret) {
	const struct entry_slot *slot = &cache->entries[place_of(parent, name)];
	const bool has = parent != 0 && slot->parent == parent && slot->size == name.size &&
	                 memcmp(slot->name, name.data, name.size) == 0;
	cache_count(&cache->counts, has);
	if (!has)
		return false;
	*ret = slot->entry;
	return true;
}

void node_cache_put_entry(NodeCache *cache, uint64_t parent, struct bytes name, const struct cached_entry *entry) {
	if (name.size == 0 || name.size > ENTRY_NAME_MAX)
		return;
	size_t place = place_of(parent, name);
	struct entry_slot *slot = &cache->entries[place];
	slot->parent = parent;
	slot->entry = *entry;
	slot->size = (uint8_t)name.size;
	memcpy(slot->name, name.data, name.size);
	if (entry->node)
		cache->by_node[entry->node % ENTRIES] = (uint16_t)place;
}

bool node_cache_get_name_of(const NodeCache *cache, uint64_t node, uint64_t *ret_parent, struct bytes *ret_name) {
	const struct entry_slot *slot = &cache->entries[cache->by_node[node % ENTRIES]];
	if (node == 0 || slot->parent == 0 || slot->entry.node != node)
		return false;
	*ret_parent = slot->parent;
	*ret_name = bytes_of(slot->name, slot->size);
	return true;
}

/* ---- changes ---- */

static void touch(struct touched *touched, uint64_t what) {
	for (size_t i = 0; i < touched->count && i < TOUCHED_MAX; i++)
		if (touched->what[i] == what)
			return;
	if (touched->count < TOUCHED_MAX)
		touched->what[touched->count] = what;
	if (touched->count <= TOUCHED_MAX)
		touched->count++;
}

static void forget_node(NodeCache *cache, uint64_t id) {
	if (cache->nodes[id % NODES].id == id)
		cache->nodes[id % NODES].id = 0;
}

static void forget_name(NodeCache *cache, uint64_t id) {
	if (cache->names[id % NAMES].id == id)
		cache->names[id % NAMES].id = 0;
}

void node_cache_touch(NodeCache *cache, uint64_t id) {
	forget_node(cache, id);
	touch(&cache->touched_nodes, id);
}

void node_cache_touch_name(NodeCache *cache, uint64_t id) {
	forget_name(cache, id);
	node_cache_touch(cache, id);
}

void node_cache_touch_entry(NodeCache *cache, uint64_t parent, struct bytes name) {
	size_t place = place_of(parent, name);
	cache->entries[place].parent = 0;
	touch(&cache->touched_entries, place);
}

void node_cache_begin(NodeCache *cache) {
	cache->touched_nodes.count = cache->touched_entries.count = 0;
}

void node_cache_clear(NodeCache *cache) {
	memset(cache->nodes, 0, sizeof cache->nodes);
	memset(cache->names, 0, sizeof cache->names);
	memset(cache->entries, 0, sizeof cache->entries);
}

void node_cache_undo(NodeCache *cache) {
	const struct touched *nodes = &cache->touched_nodes, *entries = &cache->touched_entries;
	if (nodes->count > TOUCHED_MAX || entries->count > TOUCHED_MAX)
		node_cache_clear(cache);
	for (size_t i = 0; i < nodes->count && i < TOUCHED_MAX; i++) {
		forget_node(cache, nodes->what[i]);
		forget_name(cache, nodes->what[i]);
	}
	for (size_t i = 0; i < entries->count && i < TOUCHED_MAX; i++)
		cache->entries[entries->what[i]].parent = 0;
	node_cache_begin(cache);
}
