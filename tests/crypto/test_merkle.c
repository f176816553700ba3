#include "crypto/merkle.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/encoding.h"

#define LEAVES 130

/* A tree whose complete subtrees are stored as the frontier reports them. */
struct tree {
	merkle_hash stored[9][LEAVES];
	merkle_hash roots[LEAVES + 1];
	struct merkle_frontier frontier;
};

static int store(void *context, unsigned level, uint64_t index, const merkle_hash hash) {
	struct tree *tree = context;
	memcpy(tree->stored[level][index], hash, sizeof(merkle_hash));
	return 0;
}

static int fetch(void *context, unsigned level, uint64_t index, merkle_hash ret_hash) {
	struct tree *tree = context;
	memcpy(ret_hash, tree->stored[level][index], sizeof(merkle_hash));
	return 0;
}

static int make(void **state) {
	struct tree *tree = calloc(1, sizeof *tree);
	assert_non_null(tree);
	merkle_frontier_root(&tree->frontier, tree->roots[0]);
	for (uint8_t i = 0; i < LEAVES; i++) {
		merkle_hash leaf;
		merkle_leaf(bytes_of(&i, 1), leaf);
		assert_int_equal(merkle_frontier_append(&tree->frontier, leaf, store, tree), 0);
		merkle_frontier_root(&tree->frontier, tree->roots[i + 1]);
	}
	*state = tree;
	return 0;
}

static int unmake(void **state) {
	free(*state);
	return 0;
}

static void roots_are_the_published_ones(void **state) {
	(void)state;
	static const char *const leaves[] = {
	        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
	static const char *const roots[] = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
	struct merkle_frontier frontier = {0};
	merkle_hash root;
	char hex[HEX_TEXT_BYTES(MERKLE_HASH_BYTES)];
	merkle_frontier_root(&frontier, root);
	hex_encode(bytes_of(root, sizeof root), hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
		uint8_t data[16];
		merkle_hash leaf;
		size_t size = strlen(leaves[i]) / 2;
		assert_int_equal(hex_decode(leaves[i], size, data), 0);
		merkle_leaf(bytes_of(data, size), leaf);
		assert_int_equal(merkle_frontier_append(&frontier, leaf, NULL, NULL), 0);
		merkle_frontier_root(&frontier, root);
		hex_encode(bytes_of(root, sizeof root), hex);
		assert_string_equal(hex, roots[i]);
	}
}

/* MTH as RFC 6962 section 2.1 writes it down, without any of our shortcuts. */
static void plain_root(uint8_t begin, uint8_t end, merkle_hash ret_root) {
	merkle_hash left, right;
	if (end - begin == 1) {
		merkle_leaf(bytes_of(&begin, 1), ret_root);
		return;
	}
	int half = 1;
	while (half * 2 < end - begin)
		half *= 2;
	plain_root(begin, (uint8_t)(begin + half), left);
	plain_root((uint8_t)(begin + half), end, right);
	merkle_node(left, right, ret_root);
}

static void every_root_equals_the_definition(void **state) {
	struct tree *tree = *state;
	for (uint8_t size = 1; size <= LEAVES; size++) {
		merkle_hash root;
		plain_root(0, size, root);
		assert_memory_equal(tree->roots[size], root, sizeof root);
		assert_int_equal(merkle_root(size, fetch, tree, root), 0);
		assert_memory_equal(tree->roots[size], root, sizeof root);
	}
	merkle_hash root;
	assert_int_equal(merkle_root(0, fetch, tree, root), 0);
	assert_memory_equal(tree->roots[0], root, sizeof root);
}

static void every_leaf_is_proved_and_no_other(void **state) {
	struct tree *tree = *state;
	for (uint64_t size = 1; size <= LEAVES; size++)
		for (uint64_t index = 0; index < size; index++) {
			struct merkle_proof proof;
			const uint8_t *leaf = tree->stored[0][index], *root = tree->roots[size];
			assert_int_equal(merkle_inclusion_prove(index, size, fetch, tree, &proof), 0);
			assert_int_equal(merkle_inclusion_verify(index, size, leaf, &proof, root), 0);
			for (uint64_t other = 0; other < size; other++)
				if (other != index)
					assert_int_equal(merkle_inclusion_verify(
					                         index, size, tree->stored[0][other], &proof, root),
					        -EBADMSG);
			assert_int_equal(
			        merkle_inclusion_verify(index, size, leaf, &proof, tree->roots[size - 1]), -EBADMSG);
			assert_int_equal(merkle_inclusion_verify(size, size, leaf, &proof, root), -EBADMSG);
			proof.count++;
			assert_int_equal(merkle_inclusion_verify(index, size, leaf, &proof, root), -EBADMSG);
			if (--proof.count > 0) {
				proof.hash[proof.count / 2][7] ^= 1;
				assert_int_equal(merkle_inclusion_verify(index, size, leaf, &proof, root), -EBADMSG);
				proof.hash[proof.count / 2][7] ^= 1;
				proof.count--;
				assert_int_equal(merkle_inclusion_verify(index, size, leaf, &proof, root), -EBADMSG);
			}
		}
}

static void growth_is_proved_and_forks_are_not(void **state) {
	struct tree *tree = *state;
	for (uint64_t size = 0; size <= LEAVES; size++)
		for (uint64_t old = 0; old <= size; old++) {
			struct merkle_proof proof;
			merkle_hash forked;
			const uint8_t *old_root = tree->roots[old], *root = tree->roots[size];
			assert_int_equal(merkle_consistency_prove(old, size, fetch, tree, &proof), 0);
			assert_true((proof.count == 0) == (old == 0 || old == size));
			assert_int_equal(merkle_consistency_verify(old, old_root, size, root, &proof), 0);
			memcpy(forked, old_root, sizeof forked);
			forked[31] ^= 1;
			assert_int_equal(merkle_consistency_verify(old, forked, size, root, &proof), -EBADMSG);
			memcpy(forked, root, sizeof forked);
			forked[0] ^= 1;
			/* Anything grows out of nothing. */
			if (old > 0)
				assert_int_equal(
				        merkle_consistency_verify(old, old_root, size, forked, &proof), -EBADMSG);
			proof.count++;
			assert_int_equal(merkle_consistency_verify(old, old_root, size, root, &proof), -EBADMSG);
			if (--proof.count > 0) {
				proof.hash[proof.count - 1][0] ^= 1;
				assert_int_equal(
				        merkle_consistency_verify(old, old_root, size, root, &proof), -EBADMSG);
				proof.hash[proof.count - 1][0] ^= 1;
				proof.count--;
				assert_int_equal(
				        merkle_consistency_verify(old, old_root, size, root, &proof), -EBADMSG);
			}
			assert_int_equal(merkle_consistency_verify(size + 1, root, size, root, &proof), -EBADMSG);
		}
}

/* PROOF(3, D[7]) = c, d, g, l and PROOF(4, D[7]) = l in RFC 6962 section 2.1.3. */
static void consistency_proofs_are_those_of_the_rfc(void **state) {
	struct tree *tree = *state;
	struct merkle_proof proof;
	merkle_hash l;
	assert_int_equal(merkle_consistency_prove(3, 7, fetch, tree, &proof), 0);
	assert_int_equal(proof.count, 4);
	assert_memory_equal(proof.hash[0], tree->stored[0][2], 32);
	assert_memory_equal(proof.hash[1], tree->stored[0][3], 32);
	assert_memory_equal(proof.hash[2], tree->stored[1][0], 32);
	merkle_node(tree->stored[1][2], tree->stored[0][6], l);
	assert_memory_equal(proof.hash[3], l, 32);
	assert_int_equal(merkle_consistency_prove(4, 7, fetch, tree, &proof), 0);
	assert_int_equal(proof.count, 1);
	assert_memory_equal(proof.hash[0], l, 32);
}

static void a_frontier_comes_back_from_its_bytes(void **state) {
	(void)state;
	struct merkle_frontier frontier = {0}, back;
	uint8_t bytes[MERKLE_FRONTIER_BYTES_MAX + 1];
	for (uint8_t i = 0; i < LEAVES; i++) {
		merkle_hash leaf, root, back_root;
		size_t size = merkle_frontier_serialize(&frontier, bytes);
		assert_int_equal(merkle_frontier_parse(bytes_of(bytes, size), &back), 0);
		merkle_leaf(bytes_of(&i, 1), leaf);
		assert_int_equal(merkle_frontier_append(&back, leaf, NULL, NULL), 0);
		assert_int_equal(merkle_frontier_append(&frontier, leaf, NULL, NULL), 0);
		merkle_frontier_root(&frontier, root);
		merkle_frontier_root(&back, back_root);
		assert_memory_equal(root, back_root, sizeof root);
		assert_int_equal(merkle_frontier_parse(bytes_of(bytes, size + 1), &back), -EINVAL);
		assert_int_equal(merkle_frontier_parse(bytes_of(bytes, size - 1), &back), -EINVAL);
	}
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(merkle_frontier_parse(bytes_of(bytes, sizeof bytes), &back), -EINVAL);
	assert_int_equal(merkle_frontier_parse(bytes_of(NULL, 0), &back), -EINVAL);
}

static int refuse(void *context, unsigned level, uint64_t index, const merkle_hash hash) {
	(void)context, (void)index, (void)hash;
	return level == 1 ? -EIO : 0;
}

static int refuse_fetch(void *context, unsigned level, uint64_t index, merkle_hash ret_hash) {
	(void)context, (void)level, (void)index, (void)ret_hash;
	return -EIO;
}

static void errors_of_the_store_are_passed_on_and_change_nothing(void **state) {
	struct tree *tree = *state;
	struct merkle_frontier frontier = {0};
	struct merkle_proof proof;
	merkle_hash before, after;
	assert_int_equal(merkle_frontier_append(&frontier, tree->roots[1], refuse, NULL), 0);
	merkle_frontier_root(&frontier, before);
	assert_int_equal(merkle_frontier_append(&frontier, tree->roots[2], refuse, NULL), -EIO);
	merkle_frontier_root(&frontier, after);
	assert_int_equal(frontier.size, 1);
	assert_memory_equal(before, after, sizeof before);
	assert_int_equal(merkle_inclusion_prove(3, 9, refuse_fetch, NULL, &proof), -EIO);
	assert_int_equal(merkle_consistency_prove(3, 9, refuse_fetch, NULL, &proof), -EIO);
	assert_int_equal(merkle_root(3, refuse_fetch, NULL, before), -EIO);
}

static void sizes_out_of_range_are_refused(void **state) {
	struct tree *tree = *state;
	struct merkle_frontier full = {.size = MERKLE_SIZE_MAX};
	struct merkle_proof proof;
	merkle_hash root;
	assert_int_equal(merkle_frontier_append(&full, tree->roots[1], NULL, NULL), -EOVERFLOW);
	assert_int_equal(merkle_inclusion_prove(9, 9, fetch, tree, &proof), -EINVAL);
	assert_int_equal(merkle_consistency_prove(10, 9, fetch, tree, &proof), -EINVAL);
	assert_int_equal(merkle_root(MERKLE_SIZE_MAX + 1, fetch, tree, root), -EINVAL);
	proof.count = SIZE_MAX;
	assert_int_equal(merkle_inclusion_verify(0, 9, root, &proof, root), -EBADMSG);
	assert_int_equal(merkle_consistency_verify(3, root, 9, root, &proof), -EBADMSG);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(roots_are_the_published_ones),
	        cmocka_unit_test_setup_teardown(every_root_equals_the_definition, make, unmake),
	        cmocka_unit_test_setup_teardown(every_leaf_is_proved_and_no_other, make, unmake),
	        cmocka_unit_test_setup_teardown(growth_is_proved_and_forks_are_not, make, unmake),
	        cmocka_unit_test_setup_teardown(consistency_proofs_are_those_of_the_rfc, make, unmake),
	        cmocka_unit_test(a_frontier_comes_back_from_its_bytes),
	        cmocka_unit_test_setup_teardown(errors_of_the_store_are_passed_on_and_change_nothing, make, unmake),
	        cmocka_unit_test_setup_teardown(sizes_out_of_range_are_refused, make, unmake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
