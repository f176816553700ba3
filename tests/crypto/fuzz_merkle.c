/*
 * A stored frontier and proofs from outside. A frontier that parses must come back as the same bytes and take another
 * leaf; a proof must not verify against a root that it was not made for.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/merkle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_frontier(struct bytes bytes) {
	struct merkle_frontier frontier;
	uint8_t again[MERKLE_FRONTIER_BYTES_MAX];
	merkle_hash root = {0};
	if (merkle_frontier_parse(bytes, &frontier) < 0)
		return;
	if (merkle_frontier_serialize(&frontier, again) != bytes.size || memcmp(again, bytes.data, bytes.size) != 0)
		abort();
	if (merkle_frontier_append(&frontier, root, NULL, NULL) < 0 && frontier.size != MERKLE_SIZE_MAX)
		abort();
	merkle_frontier_root(&frontier, root);
}

static void try_proofs(struct bytes bytes) {
	const merkle_hash root = {1}, leaf = {2};
	struct merkle_proof proof = {0};
	if (bytes.size < 16)
		return;
	uint64_t one = le64_get(bytes.data), other = le64_get(bytes.data + 8);
	proof.count = (bytes.size - 16) / MERKLE_HASH_BYTES;
	size_t room = sizeof proof.hash, rest = proof.count * MERKLE_HASH_BYTES;
	memcpy(proof.hash, bytes.data + 16, rest < room ? rest : room);
	if (merkle_inclusion_verify(one, other, leaf, &proof, root) == 0)
		abort();
	if (one != other && one > 0 && merkle_consistency_verify(one, leaf, other, root, &proof) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	try_frontier(bytes_of(data, size));
	try_proofs(bytes_of(data, size));
	return 0;
}
