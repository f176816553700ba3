/*
 * node_cache: nodes, entries, and names of directories, as the database has them, for the look-ups that each request
 * makes.
 *
 * A row by its id costs 1.3 us in SQLite, by its name 1.8, and creating a file asks for eleven of them, the same
 * directory and file again and again: a table in memory answers in some 20 ns. It holds copies only: whoever changes a
 * row of `node` calls node_cache_touch first, whoever changes one of `entry` node_cache_touch_entry, and when it is the
 * name of a directory that ends node_cache_touch_name, and may put what it wrote. An operation that is undone calls
 * node_cache_undo, which forgets all that it touched.
 *
 * Part of the metadata: guarded by the Meta's lock. Fixed size (1.7 MiB), one slot for each hash: what comes later
 * takes the place of what was there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/cache_counts.h"
#include "backend/tree.h"
#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

typedef struct NodeCache NodeCache;

/* -ENOMEM. */
int node_cache_new(NodeCache **ret);
/* Accepts NULL. */
void node_cache_free(NodeCache *cache);
DEFINE_CLEANUP(NodeCache, node_cache_free);

/* Whether node `id` is known; fills *ret if so. */
bool node_cache_get(NodeCache *cache, uint64_t id, struct node *ret);

/* A node as its row says now. */
void node_cache_put(NodeCache *cache, const struct node *node);

/* The directory that holds directory `id`, and the name it has there; the name is valid until the next call. */
bool node_cache_get_name(const NodeCache *cache, uint64_t id, uint64_t *ret_parent, struct bytes *ret_name);

/* The only name of a directory. */
void node_cache_put_name(NodeCache *cache, uint64_t id, uint64_t parent, struct bytes name);

/* A live name, or (node 0) that there is none. */
struct cached_entry {
	uint64_t id, born, node;
};

/* Whether it is known what `name` below `parent` shows; fills *ret if so. */
bool node_cache_get_entry(NodeCache *cache, uint64_t parent, struct bytes name, struct cached_entry *ret);

/* A name as its row says now; long ones are not kept. */
void node_cache_put_entry(NodeCache *cache, uint64_t parent, struct bytes name, const struct cached_entry *entry);

/* A name that shows the node, if one is known: of several any one. The name is valid until the next call. */
bool node_cache_get_name_of(const NodeCache *cache, uint64_t node, uint64_t *ret_parent, struct bytes *ret_name);

/* The running operation makes or ends the name: it is forgotten, now and if that is undone. */
void node_cache_touch_entry(NodeCache *cache, uint64_t parent, struct bytes name);

/* The running operation changes the node's row: it is forgotten, now and if that is undone. */
void node_cache_touch(NodeCache *cache, uint64_t id);

/* As touch, and the name of directory `id` ends. */
void node_cache_touch_name(NodeCache *cache, uint64_t id);

/* Of nodes and entries, since it was made. */
struct cache_counts node_cache_counts(const NodeCache *cache);

/* A new operation begins: what the last one touched was kept. */
void node_cache_begin(NodeCache *cache);

/* All is forgotten: a transaction is gone, and with it more than the running operation. */
void node_cache_clear(NodeCache *cache);

/* What the running operation touched is as it was before. */
void node_cache_undo(NodeCache *cache);
