/*
 * merkle: the hash tree of RFC 6962 (section 2.1), as transparency logs use it, with SHA-256.
 *
 *     level 2            n(2,0)                     leaf  = SHA-256(00 ‖ data)
 *     level 1      n(1,0)      n(1,1)               node  = SHA-256(01 ‖ left ‖ right)
 *     level 0     l0    l1    l2    l3    l4        empty = SHA-256("")
 *
 * n(level, index) is the hash of the complete subtree over the 2^level leaves from index · 2^level on. Once written it
 * never changes, so those are what a log stores. The root of five leaves is node(n(2,0), l4): the complete subtrees
 * along the right edge (the frontier), joined from the right.
 *
 * Nothing here allocates. All functions are thread-safe on different structs.
 */
#pragma once

#include <stdint.h>

#include "crypto/base/bytes.h"

#define MERKLE_HASH_BYTES 32
/* Trees have at most 2^62 leaves. */
#define MERKLE_LEVELS 63
#define MERKLE_SIZE_MAX (UINT64_C(1) << (MERKLE_LEVELS - 1))

typedef uint8_t merkle_hash[MERKLE_HASH_BYTES];

/* The root of the tree without leaves. */
void merkle_empty_root(merkle_hash ret_root);
/* The hash of a leaf that holds `data`. */
void merkle_leaf(struct bytes data, merkle_hash ret_hash);
/* The hash of the node above `left` and `right`. `ret_hash` may be `left` or `right`. */
void merkle_node(const merkle_hash left, const merkle_hash right, merkle_hash ret_hash);

/* The right edge of a tree of `size` leaves: all that appending and the root need. Zeroed, it is the empty tree.
 * hash[level] counts where bit `level` of size is set. */
struct merkle_frontier {
	uint64_t size;
	merkle_hash hash[MERKLE_LEVELS];
};

/* Called for each subtree that becomes complete, the new leaf itself first (level 0). A negative answer stops it. */
typedef int merkle_store_fn(void *context, unsigned level, uint64_t index, const merkle_hash hash);

/* Appends a leaf's hash; tells `store` (may be NULL) the 1 to 63 subtrees that this completes. -EOVERFLOW: the tree is
 * full. What `store` answers when negative; the frontier is then as before. */
int merkle_frontier_append(
        struct merkle_frontier *frontier, const merkle_hash leaf, merkle_store_fn *store, void *context);

/* The root of the whole tree; that of the empty tree when it has no leaf. */
void merkle_frontier_root(const struct merkle_frontier *frontier, merkle_hash ret_root);

/* As bytes: size (u64 LE), then the hashes of the set bits from the highest level down. */
#define MERKLE_FRONTIER_BYTES_MAX (8 + MERKLE_LEVELS * MERKLE_HASH_BYTES)

/* Writes at most MERKLE_FRONTIER_BYTES_MAX bytes and returns how many. */
size_t merkle_frontier_serialize(
        const struct merkle_frontier *frontier, uint8_t ret_bytes[static MERKLE_FRONTIER_BYTES_MAX]);

/* -EINVAL: not exactly what merkle_frontier_serialize() gives for some tree. Whether the hashes are true only a
 * comparison of the root with an authentic one tells. */
int merkle_frontier_parse(struct bytes bytes, struct merkle_frontier *ret_frontier);

struct merkle_proof {
	size_t count;
	merkle_hash hash[MERKLE_LEVELS + 1];
};

/* Yields the stored hash of the complete subtree (level, index); 0 or a negative error, which is passed on. */
typedef int merkle_fetch_fn(void *context, unsigned level, uint64_t index, merkle_hash ret_hash);

/* The root of the first `size` leaves. -EINVAL: size above MERKLE_SIZE_MAX. What `fetch` answers when negative. */
int merkle_root(uint64_t size, merkle_fetch_fn *fetch, void *context, merkle_hash ret_root);

/* The proof (RFC 6962 section 2.1.1) that leaf `index` is in the tree of the first `size` leaves, leaf side first.
 * -EINVAL: no such leaf. What `fetch` answers when negative. Asks `fetch` O(log² size) times at most. */
int merkle_inclusion_prove(
        uint64_t index, uint64_t size, merkle_fetch_fn *fetch, void *context, struct merkle_proof *ret_proof);

/* The proof (section 2.1.2) that the tree of `new_size` leaves begins with that of `old_size` (empty when they are
 * equal or the old tree is empty). -EINVAL: old_size above new_size. */
int merkle_consistency_prove(
        uint64_t old_size, uint64_t new_size, merkle_fetch_fn *fetch, void *context, struct merkle_proof *ret_proof);

/* -EBADMSG: does not prove it; so does a proof of the wrong length. RFC 9162 sections 2.1.3.2 and 2.1.4.2. */
int merkle_inclusion_verify(uint64_t index, uint64_t size, const merkle_hash leaf, const struct merkle_proof *proof,
        const merkle_hash root);
int merkle_consistency_verify(uint64_t old_size, const merkle_hash old_root, uint64_t new_size,
        const merkle_hash new_root, const struct merkle_proof *proof);
