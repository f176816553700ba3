/*
 * audit_private: what the sources of the audit log share. Not for other modules.
 *
 *      audit.c        records: normalising, interning, rows, reading rows back
 *      audit_line.c   a row as its leaf
 *      audit_tree.c   leaves as tiles
 *      audit_query.c  filters;  audit_glob.c  path patterns
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/audit.h"
#include "backend/meta_private.h"
#include "crypto/merkle.h"

enum audit_outcome { AUDIT_OK = 0, AUDIT_DENIED = 1, AUDIT_ERROR = 2 };
extern const char *const audit_outcome_names[3];

/* A path as a row holds it: directory and last name, either may be absent. */
struct audit_path {
	bool set;
	bool has_dir; /* there was a '/' */
	struct bytes dir, name;
	uint64_t cut; /* length it had; 0: whole */
};

/* A record as its row says it: all that the leaf is made of. */
struct audit_row {
	uint64_t seq;
	int64_t time_ns;
	struct bytes event;
	unsigned outcome;
	int32_t err;
	uint32_t uid, gid;
	int32_t pid;
	struct bytes exe;
	struct audit_path path, path2;
	uint64_t node, version, bytes;
	bool has_detail;
	struct bytes detail;
	uint64_t detail_cut;
};

/* Columns of AUDIT_FROM, for audit_row_read. */
#define AUDIT_COLUMNS                                                                                               \
	"a.seq, a.time_ns, e.text, a.outcome, a.errno, a.uid, a.gid, a.pid, x.text, a.dir, d.text, a.name, a.cut, " \
	"a.dir2, d2.text, a.name2, a.cut2, a.node, a.version, a.bytes, a.detail, a.detail_cut"
#define AUDIT_FROM                                                                              \
	" FROM audit a LEFT JOIN string e ON e.id = a.event LEFT JOIN string x ON x.id = a.exe" \
	" LEFT JOIN string d ON d.id = a.dir LEFT JOIN string d2 ON d2.id = a.dir2 "
/* Pointers are valid until the statement's next step. -EUCLEAN when a string is missing. */
int audit_row_read(sqlite3_stmt *stmt, struct audit_row *ret_row);

/* Writes the leaf and a NUL; returns its length. `line` holds AUDIT_LINE_MAX + 1 bytes, which every row fits. */
size_t audit_line(const struct audit_row *row, char line[static AUDIT_LINE_MAX + 1]);

/* The path as one string into `buffer` (AUDIT_PATH_MAX + 1 bytes), NULL when the row has none. */
const char *audit_path_text(const struct audit_path *path, char buffer[static AUDIT_PATH_MAX + 1]);

/* Interned strings that were used lately. Emptied when an operation that added some is undone. */
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

/* What the index of audit_query.c has of a record; ids of strings as the row has them. */
struct audit_keys {
	uint64_t event, exe, dir, dir2, node;
	uint32_t uid, gid;
	int32_t pid;
	uint8_t outcome;
	bool has_path, has_path2;
};

struct AuditLog {
	struct merkle_frontier frontier; /* of the sealed records */
	merkle_hash *pending;            /* leaves recorded since, in order */
	size_t pending_count, pending_room;
	struct audit_keys *keys; /* of the records since tile keys_tile began; room for a tile more than `pending` */
	uint64_t keys_tile;      /* the last one that is not full */
	bool interned;           /* this operation added strings */
	struct audit_cached cache[AUDIT_CACHE_SLOTS];
	struct audit_edge edge[AUDIT_TILE_LEVELS];
	char line[AUDIT_LINE_MAX + 1];
	char path[AUDIT_PATH_MAX + 1], path2[AUDIT_PATH_MAX + 1];
	char detail[AUDIT_DETAIL_MAX + 1];
};

/* Room for one more leaf, and its keys. */
int audit_pending_reserve(AuditLog *log);

/* Where the keys of the next record go. */
struct audit_keys *audit_keys_next(AuditLog *log);

/* Loads frontier and edge. */
int audit_tree_load(Meta *m);

/* Puts the values of full tile `tile`, whose records have these keys, into the index of audit_query.c. */
int audit_index_tile(Meta *m, uint64_t tile, const struct audit_keys keys[static AUDIT_TILE_HASHES]);

/* Reads the keys of records [from, end) back, at most a tile's. */
int audit_keys_load(Meta *m, uint64_t from, uint64_t end, struct audit_keys *ret_keys);
