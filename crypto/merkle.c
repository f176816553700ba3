#include "crypto/merkle.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "crypto/base/fault.h"
#include "crypto/digest.h"

static_assert(MERKLE_HASH_BYTES == DIGEST_BYTES, "");

void merkle_empty_root(merkle_hash ret_root) {
	sha256(bytes_of(NULL, 0), ret_root);
}

void merkle_leaf(struct bytes data, merkle_hash ret_hash) {
	struct sha256 hash;
	sha256_init(&hash);
	sha256_update(&hash, bytes_of("\x00", 1));
	sha256_update(&hash, data);
	sha256_final(&hash, ret_hash);
}

void merkle_node(const merkle_hash left, const merkle_hash right, merkle_hash ret_hash) {
	uint8_t input[1 + 2 * MERKLE_HASH_BYTES] = {0x01};
	memcpy(input + 1, left, MERKLE_HASH_BYTES);
	memcpy(input + 1 + MERKLE_HASH_BYTES, right, MERKLE_HASH_BYTES);
	sha256(bytes_of(input, sizeof input), ret_hash);
}

static unsigned lowest_bit(uint64_t value) {
	return (unsigned)__builtin_ctzll(value);
}

static unsigned highest_bit(uint64_t value) {
	return 63U - (unsigned)__builtin_clzll(value);
}

int merkle_frontier_append(
        struct merkle_frontier *frontier, const merkle_hash leaf, merkle_store_fn *store, void *context) {
	if (frontier->size >= MERKLE_SIZE_MAX)
		return fault(EOVERFLOW, "the Merkle tree is full");
	/* Like adding one in binary: each set bit is carried, joined with what comes from below. */
	merkle_hash carried;
	unsigned level = 0;
	uint64_t index = frontier->size;
	memcpy(carried, leaf, sizeof carried);
	for (;; level++, index >>= 1) {
		int rc = store ? store(context, level, index, carried) : 0;
		if (rc < 0)
			return rc;
		if (!(index & 1))
			break;
		merkle_node(frontier->hash[level], carried, carried);
	}
	memcpy(frontier->hash[level], carried, sizeof carried);
	frontier->size++;
	return 0;
}

void merkle_frontier_root(const struct merkle_frontier *frontier, merkle_hash ret_root) {
	uint64_t rest = frontier->size;
	if (rest == 0) {
		merkle_empty_root(ret_root);
		return;
	}
	merkle_hash root;
	memcpy(root, frontier->hash[lowest_bit(rest)], sizeof root);
	for (rest &= rest - 1; rest > 0; rest &= rest - 1)
		merkle_node(frontier->hash[lowest_bit(rest)], root, root);
	memcpy(ret_root, root, sizeof root);
}

size_t merkle_frontier_serialize(
        const struct merkle_frontier *frontier, uint8_t ret_bytes[static MERKLE_FRONTIER_BYTES_MAX]) {
	uint8_t *to = ret_bytes;
	le64_put(to, frontier->size);
	to += sizeof frontier->size;
	for (unsigned level = MERKLE_LEVELS; level-- > 0;)
		if (frontier->size >> level & 1) {
			memcpy(to, frontier->hash[level], MERKLE_HASH_BYTES);
			to += MERKLE_HASH_BYTES;
		}
	return (size_t)(to - ret_bytes);
}

int merkle_frontier_parse(struct bytes bytes, struct merkle_frontier *ret_frontier) {
	uint64_t size = bytes.size >= 8 ? le64_get(bytes.data) : UINT64_MAX;
	if (size > MERKLE_SIZE_MAX || bytes.size != 8 + (size_t)__builtin_popcountll(size) * MERKLE_HASH_BYTES)
		return fault(EINVAL, "%zu bytes are not the frontier of a Merkle tree", bytes.size);
	const uint8_t *from = bytes.data + 8;
	memset(ret_frontier, 0, sizeof *ret_frontier);
	ret_frontier->size = size;
	for (unsigned level = MERKLE_LEVELS; level-- > 0;)
		if (size >> level & 1) {
			memcpy(ret_frontier->hash[level], from, MERKLE_HASH_BYTES);
			from += MERKLE_HASH_BYTES;
		}
	return 0;
}

/* The hash of the subtree over leaves [begin, end), where begin is a multiple of the smallest power of two that is not
 * below end - begin: its complete parts, joined from the right. */
static int range_hash(uint64_t begin, uint64_t end, merkle_fetch_fn *fetch, void *context, merkle_hash ret_hash) {
	merkle_hash joined = {0};
	bool any = false;
	while (begin < end) {
		unsigned level = lowest_bit(end - begin);
		merkle_hash part;
		int rc = fetch(context, level, (end >> level) - 1, part);
		if (rc < 0)
			return rc;
		if (any)
			merkle_node(part, joined, joined);
		else
			memcpy(joined, part, sizeof joined);
		any = true;
		end -= UINT64_C(1) << level;
	}
	memcpy(ret_hash, joined, sizeof joined);
	return 0;
}

int merkle_root(uint64_t size, merkle_fetch_fn *fetch, void *context, merkle_hash ret_root) {
	if (size > MERKLE_SIZE_MAX)
		return fault(EINVAL, "a Merkle tree cannot have %" PRIu64 " leaves", size);
	if (size > 0)
		return range_hash(0, size, fetch, context, ret_root);
	merkle_empty_root(ret_root);
	return 0;
}

static void reverse(struct merkle_proof *proof) {
	for (size_t i = 0; i < proof->count / 2; i++) {
		merkle_hash swap;
		memcpy(swap, proof->hash[i], sizeof swap);
		memcpy(proof->hash[i], proof->hash[proof->count - 1 - i], sizeof swap);
		memcpy(proof->hash[proof->count - 1 - i], swap, sizeof swap);
	}
}

/* Largest power of two below `count` (which is at least 2): where RFC 6962 splits a tree. */
static uint64_t split(uint64_t count) {
	return UINT64_C(1) << highest_bit(count - 1);
}

/* PATH of RFC 6962 from the root down; the proof is wanted the other way round. */
static int path_down(uint64_t index, uint64_t size, merkle_fetch_fn *fetch, void *context, struct merkle_proof *proof) {
	uint64_t begin = 0, end = size;
	while (end - begin > 1) {
		uint64_t middle = begin + split(end - begin);
		bool left = index < middle;
		int rc = range_hash(
		        left ? middle : begin, left ? end : middle, fetch, context, proof->hash[proof->count]);
		if (rc < 0)
			return rc;
		proof->count++;
		if (left)
			end = middle;
		else
			begin = middle;
	}
	return 0;
}

int merkle_inclusion_prove(
        uint64_t index, uint64_t size, merkle_fetch_fn *fetch, void *context, struct merkle_proof *ret_proof) {
	struct merkle_proof proof = {0};
	if (index >= size || size > MERKLE_SIZE_MAX)
		return fault(EINVAL, "no leaf %" PRIu64 " in a Merkle tree of %" PRIu64, index, size);
	int rc = path_down(index, size, fetch, context, &proof);
	if (rc < 0)
		return rc;
	reverse(&proof);
	*ret_proof = proof;
	return 0;
}

/* SUBPROOF of RFC 6962 from the root down. */
static int subproof_down(
        uint64_t old_size, uint64_t new_size, merkle_fetch_fn *fetch, void *context, struct merkle_proof *proof) {
	uint64_t begin = 0, end = new_size;
	while (end != old_size) {
		uint64_t middle = begin + split(end - begin);
		bool left = old_size <= middle;
		int rc = range_hash(
		        left ? middle : begin, left ? end : middle, fetch, context, proof->hash[proof->count]);
		if (rc < 0)
			return rc;
		proof->count++;
		if (left)
			end = middle;
		else
			begin = middle;
	}
	if (begin == 0) /* the old tree itself, which the verifier knows */
		return 0;
	int rc = range_hash(begin, end, fetch, context, proof->hash[proof->count]);
	if (rc == 0)
		proof->count++;
	return rc;
}

int merkle_consistency_prove(
        uint64_t old_size, uint64_t new_size, merkle_fetch_fn *fetch, void *context, struct merkle_proof *ret_proof) {
	struct merkle_proof proof = {0};
	if (old_size > new_size || new_size > MERKLE_SIZE_MAX)
		return fault(
		        EINVAL, "a Merkle tree of %" PRIu64 " does not begin with one of %" PRIu64, new_size, old_size);
	if (old_size > 0) {
		int rc = subproof_down(old_size, new_size, fetch, context, &proof);
		if (rc < 0)
			return rc;
	}
	reverse(&proof);
	*ret_proof = proof;
	return 0;
}

static int disproved(const char *what) {
	return fault(EBADMSG, "the %s proof does not verify", what);
}

/* Where a verifier stands: the node on the way to the root and the last one of its level, as numbers within the level.
 */
struct climb {
	uint64_t node, last;
};

static void climb_up(struct climb *climb) {
	climb->node >>= 1;
	climb->last >>= 1;
}

/* Whether the next hash of the proof is the left sibling. Goes up the levels on which a node without a right sibling
 * stands unchanged. */
static bool climb_from_right(struct climb *climb) {
	if (!(climb->node & 1) && climb->node != climb->last)
		return false;
	while (!(climb->node & 1) && climb->node != 0)
		climb_up(climb);
	return true;
}

int merkle_inclusion_verify(uint64_t index, uint64_t size, const merkle_hash leaf, const struct merkle_proof *proof,
        const merkle_hash root) {
	if (index >= size || size > MERKLE_SIZE_MAX || proof->count > MERKLE_LEVELS + 1)
		return disproved("inclusion");
	struct climb climb = {.node = index, .last = size - 1};
	merkle_hash computed;
	memcpy(computed, leaf, sizeof computed);
	for (size_t i = 0; i < proof->count; i++) {
		if (climb.last == 0)
			return disproved("inclusion");
		if (climb_from_right(&climb))
			merkle_node(proof->hash[i], computed, computed);
		else
			merkle_node(computed, proof->hash[i], computed);
		climb_up(&climb);
	}
	return climb.last == 0 && digest_equal(computed, root) ? 0 : disproved("inclusion");
}

/* The loop of RFC 9162 section 2.1.4.2: `first` grows into the old root, `second` into the new one. */
static int consistency_walk(uint64_t old_size, const merkle_hash old_root, uint64_t new_size,
        const merkle_hash new_root, const struct merkle_proof *proof) {
	struct climb climb = {.node = old_size - 1, .last = new_size - 1};
	merkle_hash first, second;
	size_t next = 0;
	while (climb.node & 1)
		climb_up(&climb);
	/* A power of two is a complete subtree, whose hash (the old root) the proof leaves out. */
	const uint8_t *seed = climb.node == 0 ? old_root : proof->count > 0 ? proof->hash[next++] : NULL;
	if (!seed)
		return disproved("consistency");
	memcpy(first, seed, sizeof first);
	memcpy(second, seed, sizeof second);
	for (; next < proof->count; next++) {
		if (climb.last == 0)
			return disproved("consistency");
		if (climb_from_right(&climb)) {
			merkle_node(proof->hash[next], first, first);
			merkle_node(proof->hash[next], second, second);
		} else {
			merkle_node(second, proof->hash[next], second);
		}
		climb_up(&climb);
	}
	bool proved = climb.last == 0 && digest_equal(first, old_root) && digest_equal(second, new_root);
	return proved ? 0 : disproved("consistency");
}

int merkle_consistency_verify(uint64_t old_size, const merkle_hash old_root, uint64_t new_size,
        const merkle_hash new_root, const struct merkle_proof *proof) {
	if (old_size > new_size || new_size > MERKLE_SIZE_MAX || proof->count > MERKLE_LEVELS + 1)
		return disproved("consistency");
	if (old_size == 0) {
		merkle_hash empty;
		merkle_empty_root(empty);
		bool none = proof->count == 0 && digest_equal(old_root, empty);
		return none && (new_size > 0 || digest_equal(new_root, empty)) ? 0 : disproved("consistency");
	}
	if (old_size == new_size)
		return proof->count == 0 && digest_equal(old_root, new_root) ? 0 : disproved("consistency");
	return consistency_walk(old_size, old_root, new_size, new_root, proof);
}
