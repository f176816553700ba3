/*
 * audit_index: which tiles of 256 records may hold what a filter wants. Of the audit log alone.
 *
 *      audit_value (kind, value, tile)      a row: the value occurs in that full tile
 *
 *      conditions      uid 1000   AND   event 3 or 7   AND   directory 12 or 13 or 90
 *      window          1 1 1 1 1  ──►   0 1 1 0 1      ──►   0 1 0 0 0                   a bit a tile
 *
 * Each condition in turn takes away the tiles that hold none of its values. A window is 8,192 tiles, 2 million records:
 * what is read of the index at a time, and held of it, has a bound however long the log is. A condition whose values
 * turn out to be everywhere costs more than it saves; it is then left to whoever looks at the records.
 *
 * Why tiles and not records: a tenth of the rows and a fraction of the time that an index on each column would take,
 * and what is rare is found as fast. [measured: tests/backend/bench_meta.c, tests/fs/bench_audit.c]
 *
 * All calls are made between meta_begin and meta_end, but for those that have no Meta.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/audit_private.h"

/* On disk. */
enum audit_value_kind {
	AUDIT_VALUE_EVENT = 1,
	AUDIT_VALUE_OUTCOME = 2, /* other than ok */
	AUDIT_VALUE_UID = 3,
	AUDIT_VALUE_GID = 4,
	AUDIT_VALUE_PID = 5,
	AUDIT_VALUE_EXE = 6,
	AUDIT_VALUE_DIR = 7,        /* of path or path2; 0: a path without '/' */
	AUDIT_VALUE_NODE = 8,       /* in tiles of schema version 1 */
	AUDIT_VALUE_NODE_GROUP = 9, /* node / AUDIT_NODE_GROUP */
};

/* Files that are made together are used together, so neighbours share their tiles: a row of the index for 16 of them
 * takes 6,000 instructions off the two records of a file that is made, and a search for one file reads a few tiles
 * more. */
#define AUDIT_NODE_GROUP 16

/* Puts the values of full tile `tile`, whose records have these keys, into the index. */
int audit_index_tile(Meta *m, uint64_t tile, const struct audit_keys keys[static AUDIT_TILE_HASHES]);
/* Takes them out again, so far as tiles of this version of the schema have them. */
int audit_unindex_tile(Meta *m, uint64_t tile, const struct audit_keys keys[static AUDIT_TILE_HASHES]);

#define AUDIT_INDEX_WINDOW 8192

typedef struct AuditIndex AuditIndex;

/* No condition, no window. NULL when memory is out. */
AuditIndex *audit_index_new(void);
void audit_index_free(AuditIndex *index);
DEFINE_CLEANUP(AuditIndex, audit_index_free);

/* Begins one more condition, and gives the last one another value that satisfies it; one without values is satisfied by
 * no tile. Before the first audit_index_load. -ENOMEM, -ENOSPC. */
int audit_index_begin(AuditIndex *index);
int audit_index_add(AuditIndex *index, enum audit_value_kind kind, int64_t value);

/* Whether there is any condition; without one there is nothing to load. */
bool audit_index_is_used(const AuditIndex *index);

/*
 * Goes on to have the tiles [first, end) ready, which lie in one window (first / AUDIT_INDEX_WINDOW). 1: they are; 0:
 * it became late (`deadline_ns`, monotonic), call again with the same tiles; -errno. Each call comes some way.
 */
int audit_index_load(Meta *m, AuditIndex *index, uint64_t first, uint64_t end, int64_t deadline_ns);

/* Whether a tile of those that are ready may hold what is wanted. */
bool audit_index_names(const AuditIndex *index, uint64_t tile);
