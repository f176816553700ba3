/*
 * anchor: what the metadata's files must be at least, said in two files beside them, so that none of them can be taken
 * away or put back unnoticed, and none of them is needed to trust the others. Internal to metadb.
 *
 *     VAULT/meta/anchor-1    512 bytes: record {number and root of the last checkpoint pack, pages of the database,
 *     VAULT/meta/anchor-2    whether a log is open, its generation, frames known to be durable, the last one's tag}
 *
 * Both are written and synced when a generation of the log begins (before its first frame) and when one ends (before
 * the log is emptied); so a mount costs four small syncs more, a commit none. After each sync of the log the number of
 * durable frames is written to one of the two by turns, unsynced. They are never ahead of what is on the disk. A record
 * has a turn number; the higher one counts. The file's number is in the associated data, so they can't change places.
 *
 * With one of them damaged or gone the other counts; with both gone nothing says what is newest, and the vault does not
 * open.
 */
#pragma once

#include "backend/metaseal.h"
#include "backend/vault_io.h"

#include <stdbool.h>
#include <stdint.h>

#define ANCHOR_BYTES 512
#define ANCHOR_COUNT 2

/* A place in the log's history: `frames` frames of generation `generation`, the last of them tagged `tag`. */
struct wal_position {
	uint8_t generation[32];
	uint8_t tag[META_TAG_BYTES];
	uint32_t frames;
};

struct anchor {
	uint64_t pack_sequence; /* of the last checkpoint pack; there may be one more while the log is open */
	uint32_t pages;
	uint8_t root[META_HASH_BYTES];
	/*
	 * Open: the log must be there, of this generation, with at least so many frames. Else: the pack has all that
	 * this generation had; it may still stand there, and nothing but it.
	 */
	bool log_open;
	struct wal_position log;
};

typedef struct Anchors Anchors;

/* Reads both. What is missing or does not authenticate is no error: anchors_now says what is left. */
int anchors_open(VaultIo *io, const struct meta_keys *keys, bool read_only, Anchors **ret_anchors);
void anchors_close(Anchors *anchors);

/* What is read and written from now on is under these. */
void anchors_set_keys(Anchors *anchors, const struct meta_keys *keys);

/*
 * Of anchors of which none authenticates: the low byte of the version of the key under which they say that they are, if
 * both say so and it is a newer one than the newest of `keys` by no more than ANCHOR_VERSIONS_AHEAD; else 0. A guess,
 * for words.
 */
#define ANCHOR_VERSIONS_AHEAD 16
uint8_t anchors_version_ahead(const Anchors *anchors);
DEFINE_CLEANUP(Anchors, anchors_close);

/* The newest, NULL when none authenticates. Belongs to `anchors`. */
const struct anchor *anchors_now(const Anchors *anchors);

/* Whether neither of the two files is there. */
bool anchors_none(const Anchors *anchors);

/* Whether both are sound and name the same pack and the same state of the same generation. */
bool anchors_agree(const Anchors *anchors, const struct anchor *anchor);

/* Writes both, one after the other, durably; makes them if need be. */
int anchors_put(Anchors *anchors, const struct anchor *anchor);

/* Writes the number of durable frames of the open log to one of them, without a sync. */
int anchors_note(Anchors *anchors, const struct wal_position *log);

/* Whether `name` (within meta/) is theirs, or what a crash left of one. */
bool anchors_own(const char *name);

/* `place` is -1. A return other than 0 ends what calls it, and is returned. */
typedef int anchor_finding_fn(void *user, const char *file, int64_t place, const char *words);

/* Tells which of them was missing or damaged when they were opened. */
int anchors_each_damage(const Anchors *anchors, anchor_finding_fn *finding, void *user);

/*
 * Reads both again and tells what is wrong. `at_rest`: the log is empty, so that both must say the same; a difference
 * means that an older one was put back.
 */
int anchors_verify(const Anchors *anchors, bool at_rest, anchor_finding_fn *finding, void *user);

/* The record as bytes; `which` from 1. For the fuzz target too. */
void anchor_seal(const struct meta_keys *keys, unsigned which, uint64_t turn, const struct anchor *anchor,
        uint8_t ret_block[static ANCHOR_BYTES]);
int anchor_unseal(const struct meta_keys *keys, unsigned which, const uint8_t block[static ANCHOR_BYTES],
        uint64_t *ret_turn, struct anchor *ret_anchor);
