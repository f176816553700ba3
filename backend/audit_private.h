/*
 * audit_private: what the sources of the audit log share. Not for other modules.
 *
 *      audit.c        records: normalising, interning, recording
 *      audit_keep.c   what is not on the disk yet, its leaves, and its way into packs;  audit_pack.c  their bytes
 *      audit_read.c   records read back from wherever they are
 *      audit_line.c   a record as its leaf
 *      audit_tree.c   leaves as tiles
 *      audit_query.c  filters;  audit_index.h  which tiles to look at;  audit_glob.c  path patterns
 *      audit_prune.c  records that are in archives only
 *
 * The records of a log are one sequence in three places:
 *
 *      0 … pruned │ … rows  │ … kept.first │ … audit_size
 *      archives   │ `audit` │ `audit_pack` │ memory: what the running transaction has recorded
 *
 * Rows are there only in a vault that was begun with schema version 1.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/audit.h"
#include "backend/audit_pack.h"
#include "backend/meta_private.h"
#include "crypto/merkle.h"

enum audit_outcome { AUDIT_OK = 0, AUDIT_DENIED = 1, AUDIT_ERROR = 2 };
extern const char *const audit_outcome_names[3];

/* A path as a record holds it: directory and last name, either may be absent. */
struct audit_path {
	bool set;
	bool has_dir; /* there was a '/' */
	struct bytes dir, name;
	uint64_t cut; /* length it had; 0: whole */
};

/* A record with its texts: all that the leaf is made of. */
struct audit_row {
	struct audit_stored stored;
	struct bytes event, exe;
	struct audit_path path, path2;
};

/* Writes the leaf and a NUL; returns its length. `line` holds AUDIT_LINE_MAX + 1 bytes, which every row fits. */
size_t audit_line(const struct audit_row *row, char line[static AUDIT_LINE_MAX + 1]);

/* The path as one string into `buffer` (AUDIT_PATH_MAX + 1 bytes), NULL when the row has none. */
const char *audit_path_text(const struct audit_path *path, char buffer[static AUDIT_PATH_MAX + 1]);

/* Interned texts that were used lately. Forgotten when an operation that added some is undone. */
#define AUDIT_CACHE_SLOTS 1024
#define AUDIT_CACHE_TEXT 116
struct audit_cached {
	uint64_t id; /* 0: empty */
	uint8_t size;
	char text[AUDIT_CACHE_TEXT];
};

/* Tiles of level l hold hashes of 256^l leaves; 2^62 leaves need eight levels. */
#define AUDIT_TILE_LEVELS 8
#define AUDIT_TILE_BYTES (AUDIT_TILE_HASHES * AUDIT_HASH_BYTES)
struct audit_edge {
	uint64_t index; /* of the tile that is being filled */
	size_t count;
	bool dirty;
	uint8_t hashes[AUDIT_TILE_BYTES];
};

/* What the index (audit_index.h) has of a record; texts by their numbers. */
struct audit_keys {
	uint64_t event, exe, dir, dir2, node;
	uint32_t uid, gid;
	int32_t pid;
	uint8_t outcome;
	bool has_path, has_path2;
};

struct audit_mark {
	size_t end; /* of the record in the bytes that are kept */
	int64_t time_ns;
};

/* Records that are not on the disk yet, as packs have them: a pack begins with the first and with each tile. */
struct audit_kept {
	uint64_t first; /* sequence of the first one */
	size_t count;
	uint8_t *data;
	size_t size, room;
	struct audit_mark *marks; /* room for as many as there are leaves */
};
/* What is held of records at most, and besides what one operation records: more is written before its end, although the
 * commit comes later. (Of records alone a commit comes each second, so that this is reached at some 15,000 a second.)
 * Leaves, keys and marks, 110 bytes a record, are held until the commit: of a second's records. */
#define AUDIT_KEPT_MAX ((size_t)1 << 20)

struct AuditLog {
	struct merkle_frontier frontier; /* of the sealed records */
	uint64_t rows;                   /* so many records are rows of `audit`, all others in packs */
	bool is_open;
	bool reading;   /* audit_each is under way */
	bool read_only; /* the database is */
	struct audit_kept kept;
	merkle_hash *leaves; /* of the records since, in order: the first `hashed` of them */
	size_t hashed, room;
	_Atomic size_t unhashed; /* the rest of them, as any thread may know it */
	struct audit_keys *keys; /* of the records since tile keys_tile began; room for a tile more than `leaves` */
	uint64_t keys_tile;      /* the last one that is not full */
	bool interned;           /* this operation added strings */
	struct audit_cached cache[AUDIT_CACHE_SLOTS]; /* by text */
	struct audit_cached texts[AUDIT_CACHE_SLOTS]; /* by number */
	struct audit_edge edge[AUDIT_TILE_LEVELS];
	struct audit_stored pack[AUDIT_TILE_HASHES]; /* the one that is being read */
	char text[4][AUDIT_PATH_MAX];                /* event, exe, dir, dir2 of the record that is being read */
	char line[AUDIT_LINE_MAX + 1];
	char path[AUDIT_PATH_MAX + 1], path2[AUDIT_PATH_MAX + 1];
	char detail[AUDIT_DETAIL_MAX + 1];
};

/* Room for the leaf, keys and mark of one more record than so many that are not sealed. */
int audit_reserve(AuditLog *log, size_t waiting);

/* The numbers of a record that the index has. */
struct audit_keys audit_keys_of(const struct audit_stored *record);

/* How many records have no leaf, for audit_unhashed, too. */
size_t audit_count_unhashed(Meta *m);

/* Keeps the next record in memory; audit_reserve was called before. */
int audit_keep(Meta *m, const struct audit_stored *record);
/* Those from sequence `end` on vanish. */
void audit_kept_cut(struct audit_kept *kept, uint64_t end);
/* Writes all that is kept as packs, within the transaction. */
int audit_kept_write(Meta *m);

/* Gets a record; texts are valid during the call. 0 to go on; anything else ends it and is returned. */
typedef int audit_stored_fn(void *arg, const struct audit_stored *record);
/* All that there are of the records [first, end), in order of sequence or the other way round. Calls don't nest. */
int audit_each(Meta *m, uint64_t first, uint64_t end, bool downwards, audit_stored_fn *fn, void *arg);
/* The record with its texts, which are valid until the next one is asked for. -EUCLEAN when one is missing, or more
 * than a record can have. */
int audit_row_of(Meta *m, const struct audit_stored *record, struct audit_row *ret_row);
/* Numbers and texts are looked up in the database again. */
void audit_texts_forget(AuditLog *log);

/* Loads frontier and edge. */
int audit_tree_load(Meta *m);

/* audit_prune.c: reads what was pruned; before the sizes are checked. */
int audit_prune_load(Meta *m);
