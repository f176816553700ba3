#include "fs/command/log_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"
#include "fs/command/answer.h"

#define NAMES_KEY "alias/audit version "

/* A tile of a level, as the log has it. */
struct level {
	struct tile tile; /* width 0: none was read */
	uint8_t hashes[TILE_HASHES_BYTES];
};

struct check {
	Evidence *evidence;
	const struct key_chain *chain;
	const struct checkpoint *head, *older;
	size_t succession; /* the next one */
	bool is_told;      /* a record has named its key */
	struct merkle_frontier frontier;
	struct checkpoint next; /* the next head that was signed; size 0: none */
	uint8_t next_signature[SIGN_SIGNATURE_BYTES];
	uint64_t heads, pruned;
	log_check_fn *each;
	void *arg;
	uint64_t last_head; /* size of the last one that fits */
	uint64_t recorded;  /* so many records were archived, by the last record that says so */
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
	/* Those signed since the checkpoint was read wait for the next time. */
	int rc = evidence_next_head(
	        check->evidence, check->chain, check->head->size, &check->next, check->next_signature);
	if (rc == 0)
		check->next.size = 0;
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
	const struct note_key *key = key_chain_key(check->chain, key_chain_signer(check->chain, size));
	if (checkpoint_verify(key, &check->next, check->next_signature) < 0)
		return fault(EBADMSG, "the signature of the head of %" PRIu64 " records does not verify", size);
	check->heads++;
	check->last_head = size;
	return take_next_head(check);
}

/* Where the log's key was handed on: by the very log that is here, as one of its records says. (What was pruned may
 * have said so, from the head before on.) */
static int compare_succession(struct check *check) {
	const struct succession *succession = &check->chain->list[check->succession];
	const bool could_tell = check->last_head >= check->pruned && !succession->is_broken;
	if (!is_root(check, &succession->at))
		return fault(EBADMSG,
		        "the first %" PRIu64 " records are not those at which the log's key was handed on to version "
		        "%" PRIu32 ": the log is another one since",
		        succession->at.size, succession->version);
	if (could_tell && !check->is_told)
		return fault(EBADMSG,
		        "no record before %" PRIu64 " says that the log's key was handed on to version %" PRIu32,
		        succession->at.size, succession->version);
	check->succession++;
	check->is_told = false;
	return 0;
}

static bool is_at_succession(const struct check *check) {
	return check->succession < check->chain->count &&
	       check->chain->list[check->succession].at.size == check->frontier.size;
}

/* Whatever was signed of as many records as there are now. */
static int compare_heads(struct check *check) {
	uint64_t size = check->frontier.size;
	int rc = 0;
	while (rc == 0 && is_at_succession(check))
		rc = compare_succession(check);
	if (rc == 0 && check->next.size == size)
		rc = compare_next_head(check);
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

/* "records FIRST to LAST (…" of a record log-prune; others are passed over. */
static int note_pruning(struct check *check, struct bytes entry) {
	static const char word[] = "\"event\":\"log-prune\"";
	unsigned long long first, last;
	if (!memmem(entry.data, entry.size, word, sizeof word - 1))
		return 0;
	_cleanup_(json_decrefp) json_t *record = json_loadb((const char *)entry.data, entry.size, 0, NULL);
	if (strcmp(answer_text(record, "event"), "log-prune") != 0 || strcmp(answer_text(record, "outcome"), "ok") != 0)
		return 0;
	const char *detail = answer_text(record, "detail"); /* or, where the place has no UTF-8 name, escaped */
	if (sscanf(*detail ? detail : answer_text(record, "detail_escaped"), "records %llu to %llu ", &first, &last) !=
	        2)
		return fault(EBADMSG, "record %" PRIu64 " does not say what was pruned", check->frontier.size - 1);
	if (last + 1 > check->recorded)
		check->recorded = last + 1;
	return 0;
}

/* The record that names the key which is next, as the succession has it. */
static void note_handing(struct check *check, struct bytes entry) {
	char vkey[NOTE_VKEY_BYTES];
	if (check->is_told || check->succession == check->chain->count)
		return;
	note_key_format(&check->chain->list[check->succession].next, vkey);
	check->is_told = memmem(entry.data, entry.size, vkey, strlen(vkey)) != NULL;
}

/* The verifier key behind "alias/audit version N", and N: "…: VKEY", or "… is active: VKEY; …" among others. False: the
 * detail names none. */
static bool read_named(const char *detail, unsigned long *ret_version, struct note_key *ret_key) {
	char vkey[NOTE_VKEY_BYTES], *end = NULL;
	const char *at = strstr(detail, NAMES_KEY);
	if (!at || (at != detail && at[-1] != ' '))
		return false;
	*ret_version = strtoul(at + strlen(NAMES_KEY), &end, 10);
	at = strstr(end, ": ");
	if (!at || at > end + strcspn(end, ";"))
		return false;
	(void)snprintf(vkey, sizeof vkey, "%.*s", (int)strcspn(at + 2, ";"), at + 2);
	return note_key_parse(vkey, ret_key) == 0;
}

static bool is_in_chain(const struct key_chain *chain, const struct note_key *key) {
	size_t index;
	return key_chain_find(chain, key, &index) == 0;
}

/*
 * A record that names a key which the log is handed on to: by the head over it, at the latest. So that key must be
 * among those that the log shows; who stole one from before it would keep silent about it. What an older vault.json
 * brought back (key-found, of no later version than the one whose turn it is) signs nothing.
 */
static int compare_named(struct check *check, struct bytes entry) {
	if (!memmem(entry.data, entry.size, NAMES_KEY, strlen(NAMES_KEY)))
		return 0;
	_cleanup_(json_decrefp) json_t *record = json_loadb((const char *)entry.data, entry.size, 0, NULL);
	const char *event = answer_text(record, "event");
	const bool is_found = strcmp(event, "key-found") == 0;
	unsigned long version;
	struct note_key key;
	if ((!is_found && strcmp(event, "key-rotate") != 0) || strcmp(answer_text(record, "outcome"), "ok") != 0 ||
	        !read_named(answer_text(record, "detail"), &version, &key) || is_in_chain(check->chain, &key))
		return 0;
	const size_t turn = key_chain_signer(check->chain, check->frontier.size);
	if (is_found && turn > 0 && version <= key_chain_version(check->chain, turn))
		return 0;
	return fault(EBADMSG,
	        "record %" PRIu64 " says that the log's key was handed on to version %lu, and 'successions' does not: "
	        "who signed since may be who stole an earlier one",
	        check->frontier.size - 1, version);
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
			rc = note_pruning(check, check->entries[i]);
		if (rc == 0)
			rc = compare_named(check, check->entries[i]);
		note_handing(check, check->entries[i]);
		if (rc == 0 && check->each)
			check->each(check->arg, check->entries[i]);
		if (rc == 0)
			rc = compare_heads(check);
	}
	return rc;
}

/* Of records that are in archives only: their hashes. */
static int check_leaves(struct check *check, const struct tile *tile) {
	const struct tile leaves = {.index = tile->index, .width = tile->width};
	uint8_t hashes[TILE_HASHES_BYTES];
	int rc = evidence_hashes(check->evidence, &leaves, hashes);
	for (unsigned i = 0; rc == 0 && i < tile->width; i++) {
		rc = merkle_frontier_append(
		        &check->frontier, hashes + (size_t)i * MERKLE_HASH_BYTES, compare_hash, check);
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
	if (rc == 0)
		rc = evidence_pruned(check->evidence, &check->pruned);
	if (rc == 0 && check->pruned > check->head->size)
		rc = fault(EBADMSG, "%" PRIu64 " records are said to be in archives, the log has fewer", check->pruned);
	while (rc == 0 && (tile.width = tile_width(check->head->size, 0, tile.index)) > 0) {
		rc = tile.index * TILE_WIDTH < check->pruned ? check_leaves(check, &tile) : check_entries(check, &tile);
		tile.index++;
		progress_set(progress, check->frontier.size, check->head->size);
	}
	/* Some programs copy nothing of a file whose size they don't know; and a list may be cut. */
	if (rc == 0 && evidence_has_heads(check->evidence) && check->last_head != check->head->size)
		rc = fault(EBADMSG,
		        "'checkpoints' does not have the head of %" PRIu64
		        " records that 'checkpoint' is; copy a log by cp -r",
		        check->head->size);
	/* Whoever takes records away may say that they were pruned; the log says what was. */
	if (rc == 0 && check->pruned > check->recorded)
		rc = fault(EBADMSG,
		        "records from %" PRIu64 " to %" PRIu64
		        " are missing, and no record says that they were archived",
		        check->recorded, check->pruned - 1);
	return rc;
}

int log_check(Evidence *evidence, const struct key_chain *chain, const struct checkpoint *head,
        const struct checkpoint *older, Progress *progress, log_check_fn *each, void *arg,
        struct log_check_result *ret) {
	_cleanup_(freep) struct check *check = calloc(1, sizeof *check);
	if (!check)
		return fault(ENOMEM, "no memory to verify the log");
	*check = (struct check){
	        .evidence = evidence, .chain = chain, .head = head, .older = older, .each = each, .arg = arg};
	int rc = check_all(check, progress);
	*ret = (struct log_check_result){
	        .records = check->frontier.size, .heads = check->heads, .pruned = check->pruned};
	if (older)
		ret->older = *older;
	return rc;
}
