/*
 * meta_private: what the sources of the metadata share: the Meta itself and its statements. Not for other modules.
 *
 * A statement's text is a string of static lifetime; its address is the key of the cache, so that a look-up is one
 * probe. SQL_RUN, SQL_START bind in order; the values are built by v_u64, v_i64, v_bytes, v_null, so that no integer
 * goes through "..." with a wrong width.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "backend/audit.h"
#include "backend/draft_set.h"
#include "backend/meta.h"
#include "backend/node_cache.h"
#include "backend/tree.h"
#include "backend/usage.h"
#include "backend/version.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

/* What an operation may change in memory; restored when it is undone, written to kv at each commit. */
struct meta_state {
	uint64_t next_node; /* for node ids and inode numbers alike: no number is ever both */
	uint64_t next_entry;
	uint64_t next_version;
	uint64_t next_page;
	uint64_t next_job;
	uint64_t audit_size;
	int64_t audit_time; /* of the last record */
	struct tree_counts counts;
	uint64_t schema;       /* version; its own key in kv */
	uint64_t audit_pruned; /* the same: the records below are in archives only */
	bool drafts_counted;   /* this and the next are not written */
	uint64_t draft_rows;
};

/*
 * A draft on nothing whose row the running operation put; version.id 0: none. What is sealed right after need not be
 * asked for then. Whoever changes the draft's rows otherwise than is told here forgets it.
 */
struct fresh_draft {
	struct version version;
	bool has_page; /* one page, and no other */
	uint64_t page;
	uint8_t page_hash[VERSION_HASH_BYTES];
};

struct sql_slot {
	const char *sql;
	sqlite3_stmt *stmt;
	bool writes;
};

/* Static statements of this floor are about 150; a power of two well above. */
#define SQL_SLOTS 512

typedef struct AuditLog AuditLog; /* audit_private.h */

struct Meta {
	sqlite3 *db;
	MetaDb *metadb; /* NULL: opened on a handle */
	struct meta_clock clock;
	uint8_t vault_id[META_VAULT_ID_MAX];
	size_t vault_id_size;

	/* Guards everything below, and the connection. May be taken with content locks held; only segment locks are
	 * taken under it. */
	pthread_mutex_t lock;
	pthread_t holder;
	bool running; /* between begin and end */

	bool in_transaction;
	bool in_savepoint;
	uint64_t committed_schema; /* what is left when a transaction is taken back; and of the log: */
	uint64_t committed_pruned;
	bool changed; /* the transaction, or the audit log's memory, holds something that was kept */
	int op_errno; /* negative: the database failed under this operation */
	struct meta_committed last;
	struct meta_state state, before; /* now; when the operation began */
	struct sql_slot slots[SQL_SLOTS];
	AuditLog *audit;
	NodeCache *nodes;
	DraftSet *drafts;
	struct fresh_draft fresh;
	uint64_t first_node;                       /* nodes from here on were made since the opening */
	bool withdrew;                             /* since then a node may have versions and show none */
	int (*sealed)(void *arg, int64_t time_ns); /* of meta_on_seal; NULL: nobody is told */
	void *sealed_arg;
	void (*ended)(void *arg, bool is_kept); /* of meta_on_end; NULL: nobody is told */
	void *ended_arg;
	struct usage usage;
	audit_watch_fn *watch; /* NULL: nobody is told */
	void *watch_arg;
	map_put_fn *map_put; /* NULL: nobody is told */
	void *map_put_arg;

	_Atomic uint64_t pending, pending_writes;
	_Atomic uint64_t recorded;      /* see audit_recorded */
	_Atomic int64_t recorded_since; /* see audit_waits_since */
	_Atomic uint64_t let_go;        /* see version_let_go */
	_Atomic uint64_t erasures, map_moves;
	_Atomic bool failed;
};

/* Whether the version is the draft that the running operation put, as m->fresh has it. */
static inline bool meta_is_fresh(const Meta *m, uint64_t version) {
	return version != 0 && version == m->fresh.version.id;
}

struct sql_value {
	enum { SQL_VALUE_NULL, SQL_VALUE_INTEGER, SQL_VALUE_BLOB, SQL_VALUE_TEXT, SQL_VALUE_REAL } kind;
	union {
		int64_t integer;
		double real;
		struct bytes bytes;
		const char *text;
	};
};

/* Values to bind, by kind. Bytes and text are borrowed until the statement has run. */
static inline struct sql_value v_i64(int64_t value) {
	return (struct sql_value){.kind = SQL_VALUE_INTEGER, .integer = value};
}
static inline struct sql_value v_u64(uint64_t value) {
	return v_i64((int64_t)value);
}
static inline struct sql_value v_null(void) {
	return (struct sql_value){.kind = SQL_VALUE_NULL};
}
/* 0 stands for "none" and is stored as NULL, for columns that refer to other rows. */
static inline struct sql_value v_ref(uint64_t id) {
	return id ? v_u64(id) : v_null();
}
static inline struct sql_value v_bytes(struct bytes bytes) {
	return (struct sql_value){.kind = SQL_VALUE_BLOB, .bytes = bytes};
}
static inline struct sql_value v_blob(const void *data, size_t size) {
	return v_bytes(bytes_of(data, size));
}
/* For names of ours (kv keys); the column is TEXT. */
static inline struct sql_value v_text(const char *text) {
	return (struct sql_value){.kind = SQL_VALUE_TEXT, .text = text};
}
static inline struct sql_value v_real(double value) {
	return (struct sql_value){.kind = SQL_VALUE_REAL, .real = value};
}

/* Prepares (or finds), binds; the caller steps with sql_step and gives back with sql_done. A statement that writes
 * opens the operation's savepoint first. */
int sql_start(Meta *m, const char *sql, const struct sql_value *values, size_t count, sqlite3_stmt **ret_stmt);

/* 1: a row, 0: done, negative: failed, and the operation with it. */
int sql_step(Meta *m, sqlite3_stmt *stmt);

/* Runs to the end; *ret_changed (may be NULL): rows that were changed. */
int sql_run(Meta *m, const char *sql, const struct sql_value *values, size_t count, uint64_t *ret_changed);

/* Resets the statement, which stays in the cache; for _cleanup_. */
static inline void sql_donep(sqlite3_stmt **stmt) {
	if (*stmt)
		sqlite3_reset(*stmt);
	*stmt = NULL;
}

#define SQL_VALUES(...) \
	(const struct sql_value[]){__VA_ARGS__}, sizeof((struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value)
#define SQL_RUN(m, sql, ...) sql_run(m, sql, SQL_VALUES(__VA_ARGS__), NULL)
#define SQL_RUN_CHANGED(m, sql, ret_changed, ...) sql_run(m, sql, SQL_VALUES(__VA_ARGS__), ret_changed)
#define SQL_START(m, sql, ret_stmt, ...) sql_start(m, sql, SQL_VALUES(__VA_ARGS__), ret_stmt)

/* The first column of the first row as a number; -ENOENT when there is no row (NULL gives 0). */
int sql_number(Meta *m, const char *sql, const struct sql_value *values, size_t count, uint64_t *ret_value);
#define SQL_NUMBER(m, sql, ret_value, ...) sql_number(m, sql, SQL_VALUES(__VA_ARGS__), ret_value)

/* A column of the present row; numbers were stored by v_u64. */
static inline uint64_t column_u64(sqlite3_stmt *stmt, int column) {
	return (uint64_t)sqlite3_column_int64(stmt, column);
}
static inline uint32_t column_u32(sqlite3_stmt *stmt, int column) {
	return (uint32_t)sqlite3_column_int64(stmt, column);
}
/* Valid until the next step. */
static inline struct bytes column_bytes(sqlite3_stmt *stmt, int column) {
	const void *data = sqlite3_column_blob(stmt, column);
	return bytes_of(data, (size_t)sqlite3_column_bytes(stmt, column));
}
/* A column that must hold exactly `size` bytes: -EUCLEAN otherwise. */
int column_exact(sqlite3_stmt *stmt, int column, void *ret_data, size_t size, const char *what);

/* Maps what sqlite3 answered last to a negative errno with words; a transaction that is gone makes m failed. */
int sql_failure(Meta *m, int code, const char *what);
/* As fault() does, so that the compiler sees that it is an error. */
#define sql_failure(...)                                   \
	__extension__({                                    \
		int failure_ = (sql_failure)(__VA_ARGS__); \
		failure_ < 0 ? failure_ : -EIO;            \
	})

/* Asserts that the calling thread is between meta_begin and meta_end. */
void meta_assert_running(const Meta *m);

/* A guard of the database is opened for what a steward or a lifecycle rule does on purpose, and closed again. */
int meta_open_door(Meta *m);
int meta_close_door(Meta *m);

/* Refuses to write after a commit has failed; the operation fails with it. */
int sql_refuse_failed(Meta *m);

/* schema.c: what each version of the schema, from META_SCHEMA_OLDEST on, has more than the one before: statements,
 * NULL at the end. */
extern const char *const *const meta_schemas[META_SCHEMA_VERSION + 1 - META_SCHEMA_OLDEST];

/* Of the schema, since which there is */
#define META_SCHEMA_AUDIT_PACK 2
#define META_SCHEMA_MAP_BASE 3
#define META_SCHEMA_AUDIT_HEAD 4
#define META_SCHEMA_WATCHED 5 /* samples, charges, alarms, runs */
#define META_SCHEMA_OWN_KEYS 6

/* Has the database what came with that version of the schema? */
static inline bool meta_has(const Meta *m, uint64_t since) {
	return (m->failed ? m->committed_schema : m->state.schema) >= since;
}

/* meta.c: makes what `needed` and the versions before it have more than the vault's, in the running operation. */
int meta_raise_schema(Meta *m, uint64_t needed);

/* tree.c, for history.c, rename.c, version.c */
#define NODE_COLUMNS                                                                                               \
	"n.id, n.ino, n.zone, n.mode, n.uid, n.gid, n.nlink, n.rdev, n.size, n.atime, n.mtime, n.ctime, n.btime, " \
	"n.version, n.parent, n.xattrs"
#define NODE_COLUMN_COUNT 16
void node_read(sqlite3_stmt *stmt, int first_column, struct node *ret_node);

/* A live entry with the node it shows. */
struct entry {
	uint64_t id, born, parent;
	struct bytes name; /* the caller's */
	struct node node;
};
int tree_check_name(struct bytes name);
struct bytes tree_next_component(struct bytes *rest);                                      /* size 0 at the end */
int tree_directory(Meta *m, uint64_t id, struct node *ret_node);                           /* -ESTALE, -ENOTDIR */
int tree_find_entry(Meta *m, uint64_t parent, struct bytes name, struct entry *ret_entry); /* -ENOENT */
int tree_insert_entry(Meta *m, uint64_t parent, struct bytes name, uint64_t node);         /* -EEXIST */
/* Ends a live name. `renamed`: the node goes on under another name. */
int tree_end_entry(Meta *m, const struct entry *entry, bool renamed);
/* Directory times, and links that came or went. */
int tree_touch_directory(Meta *m, uint64_t dir, int64_t now, int links);

/* audit.c */
int audit_log_open(Meta *m);
void audit_log_close(Meta *m);
void audit_log_undo(Meta *m); /* after state was restored */
int audit_log_spill(Meta *m); /* before the running operation is kept: writes what is too much to hold */
void audit_log_kept(Meta *m); /* it was kept: undoing a later one takes no text away that it added */
