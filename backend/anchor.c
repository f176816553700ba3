#include "backend/anchor.h"

#include "crypto/base/fault.h"

#include <string.h>

#define PLAIN_BYTES (ANCHOR_BYTES - META_RECORD_OVERHEAD)
#define FORMAT 1

enum anchor_offsets {
	AT_FORMAT = 0,
	AT_OPEN = 4,
	AT_TURN = 8,
	AT_SEQUENCE = 16,
	AT_PAGES = 24,
	AT_FRAMES = 28,
	AT_ROOT = 32,
	AT_GENERATION = 64,
	AT_TAG = 96,
	AT_END = 112,
};
_Static_assert((int)AT_END <= (int)PLAIN_BYTES, "an anchor fits its block");

static const char *const names[ANCHOR_COUNT] = {"meta/anchor-1", "meta/anchor-2"};

struct record {
	bool there;        /* a file of this name */
	bool sound;        /* of the right size, and it authenticates */
	bool whole;        /* of the right size */
	uint8_t hint;      /* of the version */
	VaultFile *file;   /* NULL: to be made anew before it is written */
	const char *words; /* what was wrong with it when it was read; NULL: nothing */
	uint64_t turn;
	struct anchor anchor;
};

struct Anchors {
	VaultIo *io;
	const struct meta_keys *keys;
	bool read_only;
	struct record records[ANCHOR_COUNT];
};

void anchor_seal(const struct meta_keys *keys, unsigned which, uint64_t turn, const struct anchor *anchor,
        uint8_t ret_block[static ANCHOR_BYTES]) {
	uint8_t plain[PLAIN_BYTES] = {0};
	uint8_t ad = (uint8_t)which;
	le32_put(plain + AT_FORMAT, FORMAT);
	le32_put(plain + AT_OPEN, anchor->log_open);
	le64_put(plain + AT_TURN, turn);
	le64_put(plain + AT_SEQUENCE, anchor->pack_sequence);
	le32_put(plain + AT_PAGES, anchor->pages);
	le32_put(plain + AT_FRAMES, anchor->log.frames);
	memcpy(plain + AT_ROOT, anchor->root, META_HASH_BYTES);
	memcpy(plain + AT_GENERATION, anchor->log.generation, 32);
	memcpy(plain + AT_TAG, anchor->log.tag, META_TAG_BYTES);
	meta_record_seal(keys, META_PACK, 0, "anchor", bytes_of(&ad, 1), bytes_of(plain, sizeof plain), ret_block);
}

int anchor_unseal(const struct meta_keys *keys, unsigned which, const uint8_t block[static ANCHOR_BYTES],
        uint64_t *ret_turn, struct anchor *ret_anchor) {
	uint8_t plain[PLAIN_BYTES];
	uint8_t ad = (uint8_t)which;
	int rc = meta_record_open(
	        keys, META_PACK, 0, "anchor", bytes_of(&ad, 1), bytes_of(block, ANCHOR_BYTES), plain, NULL);
	if (rc < 0)
		return rc;
	if (le32_get(plain + AT_FORMAT) != FORMAT)
		return -EBADMSG;
	*ret_turn = le64_get(plain + AT_TURN);
	*ret_anchor = (struct anchor){
	        .pack_sequence = le64_get(plain + AT_SEQUENCE),
	        .pages = le32_get(plain + AT_PAGES),
	        .log_open = le32_get(plain + AT_OPEN) != 0,
	        .log = {.frames = le32_get(plain + AT_FRAMES)},
	};
	memcpy(ret_anchor->root, plain + AT_ROOT, META_HASH_BYTES);
	memcpy(ret_anchor->log.generation, plain + AT_GENERATION, 32);
	memcpy(ret_anchor->log.tag, plain + AT_TAG, META_TAG_BYTES);
	return 0;
}

void anchors_close(Anchors *anchors) {
	if (!anchors)
		return;
	for (unsigned i = 0; i < ANCHOR_COUNT; i++)
		vault_file_close(anchors->records[i].file);
	free(anchors);
}

static int unsound(struct record *record, const char *words) {
	record->words = words;
	return 0;
}

/* Fills in everything but `file`; an error is only one of the system's. */
static int read_record(const Anchors *anchors, unsigned i, VaultFile *file, struct record *ret) {
	uint8_t block[ANCHOR_BYTES];
	uint64_t size = 0;
	int rc = vault_file_size(file, &size);
	ret->there = true;
	if (rc < 0)
		return rc;
	if (size != ANCHOR_BYTES)
		return unsound(ret, "it was cut or extended");
	rc = vault_file_read_exactly(file, 0, block, sizeof block);
	if (rc < 0)
		return rc;
	ret->whole = true;
	ret->hint = meta_record_hint(block);
	if (anchor_unseal(anchors->keys, i + 1, block, &ret->turn, &ret->anchor) < 0)
		return unsound(ret, "it does not authenticate");
	ret->sound = true;
	ret->words = NULL;
	return 0;
}

static int load(const Anchors *anchors, unsigned i, struct record *ret) {
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	*ret = (struct record){.words = "it is missing"};
	int rc = vault_file_open(anchors->io, names[i], anchors->read_only ? VAULT_FILE_READ : VAULT_FILE_WRITE, &file);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	rc = read_record(anchors, i, file, ret);
	if (rc == 0 && ret->sound)
		ret->file = steal_pointer(&file);
	return rc;
}

int anchors_open(VaultIo *io, const struct meta_keys *keys, bool read_only, Anchors **ret_anchors) {
	_cleanup_(anchors_closep) Anchors *anchors = calloc(1, sizeof *anchors);
	if (!anchors)
		return fault(ENOMEM, "no memory for the metadata's anchors");
	anchors->io = io;
	anchors->keys = keys;
	anchors->read_only = read_only;
	for (unsigned i = 0; i < ANCHOR_COUNT; i++) {
		int rc = load(anchors, i, &anchors->records[i]);
		if (rc < 0)
			return rc;
	}
	*ret_anchors = steal_pointer(&anchors);
	return 0;
}

void anchors_set_keys(Anchors *anchors, const struct meta_keys *keys) {
	anchors->keys = keys;
}

uint8_t anchors_version_ahead(const Anchors *anchors) {
	const struct record *one = &anchors->records[0], *other = &anchors->records[1];
	uint8_t ahead = (uint8_t)(one->hint - meta_keys_newest(anchors->keys));
	bool is_said = one->whole && other->whole && !one->sound && !other->sound && one->hint == other->hint;
	return is_said && ahead > 0 && ahead <= ANCHOR_VERSIONS_AHEAD ? one->hint : 0;
}

static const struct record *newest(const Anchors *anchors) {
	const struct record *found = NULL;
	for (unsigned i = 0; i < ANCHOR_COUNT; i++) {
		const struct record *record = &anchors->records[i];
		if (record->sound && (!found || record->turn > found->turn))
			found = record;
	}
	return found;
}

const struct anchor *anchors_now(const Anchors *anchors) {
	const struct record *record = newest(anchors);
	return record ? &record->anchor : NULL;
}

bool anchors_none(const Anchors *anchors) {
	return !anchors->records[0].there && !anchors->records[1].there;
}

static bool same(const struct anchor *a, const struct anchor *b) {
	return a->pack_sequence == b->pack_sequence && a->pages == b->pages && a->log_open == b->log_open &&
	       memcmp(a->root, b->root, sizeof a->root) == 0 &&
	       memcmp(a->log.generation, b->log.generation, sizeof a->log.generation) == 0;
}

bool anchors_agree(const Anchors *anchors, const struct anchor *anchor) {
	for (unsigned i = 0; i < ANCHOR_COUNT; i++)
		if (!anchors->records[i].sound || !same(&anchors->records[i].anchor, anchor))
			return false;
	return true;
}

/* In place where the file is sound (a sector is written whole or not at all), by replacing it otherwise. */
static int write_record(Anchors *anchors, unsigned i, uint64_t turn, const struct anchor *anchor, bool durable) {
	struct record *record = &anchors->records[i];
	uint8_t block[ANCHOR_BYTES];
	anchor_seal(anchors->keys, i + 1, turn, anchor, block);
	int rc = 0;
	if (record->file) {
		rc = vault_file_write_at(record->file, 0, bytes_of(block, sizeof block));
		if (rc == 0 && durable)
			rc = vault_file_sync(record->file);
	} else {
		rc = vault_io_replace(anchors->io, names[i], bytes_of(block, sizeof block));
		if (rc == 0)
			rc = vault_file_open(anchors->io, names[i], VAULT_FILE_WRITE, &record->file);
	}
	if (rc < 0)
		return rc;
	record->there = true;
	record->sound = true;
	record->turn = turn;
	record->anchor = *anchor;
	return 0;
}

int anchors_put(Anchors *anchors, const struct anchor *anchor) {
	const struct record *before = newest(anchors);
	uint64_t turn = before ? before->turn + 1 : 1;
	int rc = 0;
	for (unsigned i = 0; i < ANCHOR_COUNT && rc == 0; i++)
		rc = write_record(anchors, i, turn, anchor, true);
	return rc;
}

int anchors_note(Anchors *anchors, const struct wal_position *log) {
	const struct record *before = newest(anchors);
	if (!before || !before->anchor.log_open)
		return 0;
	struct anchor anchor = before->anchor;
	uint64_t turn = before->turn + 1;
	anchor.log = *log;
	return write_record(anchors, (unsigned)(turn % ANCHOR_COUNT), turn, &anchor, false);
}

bool anchors_own(const char *name) {
	static const char prefix[] = "anchor-";
	if (strncmp(name, prefix, sizeof prefix - 1) != 0)
		return false;
	name += sizeof prefix - 1;
	return (*name == '1' || *name == '2') && (name[1] == '\0' || strcmp(name + 1, ".tmp") == 0);
}

int anchors_each_damage(const Anchors *anchors, anchor_finding_fn *finding, void *user) {
	int rc = 0;
	for (unsigned i = 0; i < ANCHOR_COUNT && rc == 0; i++)
		if (anchors->records[i].words)
			rc = finding(user, names[i], -1, anchors->records[i].words);
	return rc;
}

int anchors_verify(const Anchors *anchors, bool at_rest, anchor_finding_fn *finding, void *user) {
	struct record records[ANCHOR_COUNT];
	int rc = 0;
	for (unsigned i = 0; i < ANCHOR_COUNT && rc == 0; i++) {
		rc = load(anchors, i, &records[i]);
		vault_file_close(records[i].file);
		if (rc == 0 && records[i].words)
			rc = finding(user, names[i], -1, records[i].words);
	}
	if (rc != 0 || !at_rest || !records[0].sound || !records[1].sound)
		return rc;
	if (same(&records[0].anchor, &records[1].anchor))
		return 0;
	return finding(user, names[records[0].turn > records[1].turn], -1,
	        "it is older than the other one: an old copy was put back");
}
