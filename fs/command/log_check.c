#include "fs/command/log_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"

/* A tile of a level, as the log has it. */
struct level {
	struct tile tile; /* width 0: none was read */
	uint8_t hashes[TILE_HASHES_BYTES];
};

struct check {
	Evidence *evidence;
	const struct note_key *key;
	const struct checkpoint *head, *older;
	struct merkle_frontier frontier;
	struct checkpoint next; /* the next head that was signed; size 0: none */
	uint8_t next_signature[SIGN_SIGNATURE_BYTES];
	uint64_t heads;
	struct level levels[TILE_LEVELS];
	struct bytes entries[TILE_WIDTH];
};

/* ---- hashes ---- */

static int load_level(struct check *check, unsigned number, uint64_t index) {
	struct level *level = &check->levels[number];
	if (level->tile.width > 0 && level->tile.index == index)
		return 0;
	level->tile =
	        (struct tile){.level = number, .index = index, .width = tile_width(check->head->size, number, index)};
	return evidence_hashes(check->evidence, &level->tile, level->hashes);
}

/* A merkle_store_fn: a subtree is complete, and the log has its hash if a level of tiles has it. */
static int compare_hash(void *context, unsigned depth, uint64_t index, const merkle_hash hash) {
	struct check *check = context;
	char path[TILE_PATH_BYTES];
	unsigned number = depth / 8;
	if (depth % 8 != 0 || number >= TILE_LEVELS)
		return 0;
	int rc = load_level(check, number, index / TILE_WIDTH);
	const struct level *level = &check->levels[number];
	if (rc < 0 || memcmp(level->hashes + index % TILE_WIDTH * MERKLE_HASH_BYTES, hash, MERKLE_HASH_BYTES) == 0)
		return rc;
	if (number == 0)
		return fault(EBADMSG, "record %" PRIu64 " is not the one that was logged", index);
	tile_path(&level->tile, path);
	return fault(EBADMSG, "%s does not fit the tiles below it", path);
}

/* ---- heads ---- */

static int take_next_head(struct check *check) {
	uint64_t before = check->next.size;
	int rc = evidence_next_head(check->evidence, check->key, &check->next, check->next_signature);
	if (rc == 0 || (rc > 0 && check->next.size > check->head->size)) {
		check->next.size = 0; /* those signed since the checkpoint was read wait for the next time */
		return 0;
	}
	if (rc > 0 && check->next.size <= before)
		return fault(EBADMSG, "the signed heads are not in order: %" PRIu64 " records after %" PRIu64,
		        check->next.size, before);
	return rc < 0 ? rc : 0;
}

static bool is_root(const struct check *check, const struct checkpoint *head) {
	merkle_hash root;
	merkle_frontier_root(&check->frontier, root);
	return memcmp(root, head->root, sizeof root) == 0;
}

static int compare_next_head(struct check *check) {
	uint64_t size = check->frontier.size;
	if (!is_root(check, &check->next))
		return fault(EBADMSG, "the first %" PRIu64 " records are not those that were signed", size);
	if (checkpoint_verify(check->key, &check->next, check->next_signature) < 0)
		return fault(EBADMSG, "the signature of the head of %" PRIu64 " records does not verify", size);
	check->heads++;
	return take_next_head(check);
}

/* Whatever was signed of as many records as there are now. */
static int compare_heads(struct check *check) {
	uint64_t size = check->frontier.size;
	int rc = check->next.size == size ? compare_next_head(check) : 0;
	if (rc == 0 && check->older && check->older->size == size && !is_root(check, check->older))
		rc = fault(EBADMSG,
		        "the first %" PRIu64 " records are not those of the checkpoint that was given: the log is "
		        "another one since",
		        size);
	if (rc == 0 && check->head->size == size && !is_root(check, check->head))
		rc = fault(EBADMSG, "the log's %" PRIu64 " records are not those of its checkpoint", size);
	return rc;
}

/* ---- records ---- */

/* A record says which one it is; the time is held by who wrote it. */
static int compare_number(struct bytes entry, uint64_t number) {
	char start[40];
	int length = snprintf(start, sizeof start, "{\"seq\":%" PRIu64 ",", number);
	if (entry.size > (size_t)length && memcmp(entry.data, start, (size_t)length) == 0)
		return 0;
	return fault(EBADMSG, "record %" PRIu64 " says that it is another one", number);
}

static int check_entries(struct check *check, const struct tile *tile) {
	int rc = evidence_entries(check->evidence, tile, check->entries);
	for (unsigned i = 0; rc == 0 && i < tile->width; i++) {
		merkle_hash leaf;
		merkle_leaf(check->entries[i], leaf);
		rc = merkle_frontier_append(&check->frontier, leaf, compare_hash, check);
		if (rc == 0)
			rc = compare_number(check->entries[i], check->frontier.size - 1);
		if (rc == 0)
			rc = compare_heads(check);
	}
	return rc;
}

static int check_all(struct check *check, Progress *progress) {
	int rc = check->older && check->older->size > check->head->size
	                 ? fault(EBADMSG, "the log has %" PRIu64 " records, the checkpoint that was given has %" PRIu64,
	                           check->head->size, check->older->size)
	                 : take_next_head(check);
	struct tile tile = {.is_entries = true};
	while (rc == 0 && (tile.width = tile_width(check->head->size, 0, tile.index)) > 0) {
		rc = check_entries(check, &tile);
		tile.index++;
		progress_set(progress, check->frontier.size, check->head->size);
	}
	return rc;
}

int log_check(Evidence *evidence, const struct note_key *key, const struct checkpoint *head,
        const struct checkpoint *older, Progress *progress, struct log_check_result *ret) {
	_cleanup_(freep) struct check *check = calloc(1, sizeof *check);
	if (!check)
		return fault(ENOMEM, "no memory to verify the log");
	*check = (struct check){.evidence = evidence, .key = key, .head = head, .older = older};
	int rc = check_all(check, progress);
	*ret = (struct log_check_result){.records = check->frontier.size, .heads = check->heads};
	if (older)
		ret->older = *older;
	return rc;
}
