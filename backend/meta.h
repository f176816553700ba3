/*
 * meta: the vault's database: its schema, its one connection, operations and commits.
 *
 *     meta_begin ── tree_… version_… audit_record … ── meta_end        one operation: all of it or nothing
 *     meta_begin ── segment rows …                  ── meta_commit     many operations become durable together
 *
 * An operation runs inside an open transaction that the store's committer ends; a savepoint makes it undo alone. The
 * savepoint is opened by the first statement that writes, so that an operation which only reads costs a mutex and its
 * queries. The commit being filled has a number (meta_commit_id); rows are born and end in commits, and commit_log
 * gives each commit a time that never runs backwards. "The tree as of time T" is meta_commit_at and the …_at calls.
 *
 * Every tree_, version_, xattr_, audit_, job_ and record call takes a Meta and must be made between meta_begin and
 * meta_end by the thread that began (asserted). Unless a header says otherwise, a call that returns an error found in
 * its arguments or in the state of the tree (ENOENT, EEXIST, ENOTEMPTY, …) has changed nothing; an error of the
 * database itself (EIO, ENOSPC, ENOMEM) makes the operation undoable only as a whole: meta_end then refuses to keep it.
 *
 * Lock order: content locks, then meta_begin, then segment locks. Callbacks of list calls run inside the statement:
 * they may copy what they are given and stop the list, and call no function of the same Meta.
 *
 * A callback returns 0 to go on, a positive number to stop (the list call returns 0), -errno to fail the call with it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

typedef struct Meta Meta;
typedef struct MetaDb MetaDb; /* backend/metadb.h */
struct audit_event;           /* backend/audit.h */

/* The schema's version in kv; meta_open refuses newer ones, with words. One of the oldest is raised by what it lacks
 * when that is first needed: until then older programs read it. */
#define META_SCHEMA_VERSION 6
#define META_SCHEMA_OLDEST 1

#define META_VAULT_ID_MAX 32

/* Where the time comes from, in nanoseconds since 1970 (UTC). now == NULL: CLOCK_REALTIME. Injected by tests. */
struct meta_clock {
	int64_t (*now)(void *arg);
	void *arg;
};

/* What a new database is told. The fixed nodes (root, Landing, Raw, Trusted) belong to uid and gid. */
struct meta_init {
	struct bytes vault_id; /* 1..META_VAULT_ID_MAX bytes */
	uint32_t uid, gid;
};

/*
 * Makes the schema and the fixed nodes in an empty database and commits them as commit 1. -EEXIST when the database
 * already has a schema. `db` stays the caller's.
 */
int meta_create_handle(sqlite3 *db, const struct meta_init *init, const struct meta_clock *clock);
int meta_create(MetaDb *db, const struct meta_init *init, const struct meta_clock *clock);

/*
 * Opens the tables of a database made by meta_create. The handle stays the caller's and must outlive the Meta; nothing
 * else may run statements on it meanwhile. -EPROTONOSUPPORT for a schema of a version that it does not know, -EUCLEAN
 * when it is not ours or incomplete. The handle variant is for tests (`:memory:`) and tools. clock may be NULL.
 */
int meta_open_handle(sqlite3 *db, const struct meta_clock *clock, Meta **ret_meta);
int meta_open(MetaDb *db, const struct meta_clock *clock, Meta **ret_meta);

/* Rolls back what was not committed and frees; accepts NULL. No operation may be running. */
void meta_close(Meta *m);
DEFINE_CLEANUP(Meta, meta_close);

/* Locks and starts an operation. Operations don't nest. */
void meta_begin(Meta *m);

/* The same, unless another one is running: false, and nothing was started. */
bool meta_try_begin(Meta *m);

/*
 * Ends the operation: rc >= 0 keeps its effects, rc < 0 undoes them (others' stay). Unlocks. Returns rc; or, when rc
 * was >= 0 but the database failed under the operation, that error, with the effects undone. Once a COMMIT or an undo
 * has failed the Meta is failed for good: every later meta_end returns -EROFS and keeps nothing.
 */
int meta_end(Meta *m, int rc);

/* As meta_end with rc < 0, then keeps the audit record *event alone. Returns rc, or a worse error if the record can't
 * be written (the caller must then refuse the access all the same). */
int meta_end_denied(Meta *m, int rc, const struct audit_event *event);

/* The number of the commit being filled. */
uint64_t meta_commit_id(const Meta *m);

/* What one commit made durable (once the store has synced the log after it). */
struct meta_committed {
	bool changed;        /* false: there was nothing to commit, the rest describes the last commit */
	uint64_t commit;     /* its number */
	int64_t time_ns;     /* its time */
	uint64_t audit_size; /* number of audit records up to and with it: records [0, audit_size) are in it */
	uint64_t operations; /* how many operations it holds */
};

/*
 * Instead of meta_end, by the committer only: ends the operation (rc < 0: undoes it, commits nothing, returns rc),
 * seals the audit tree (audit_seal_commit), writes counters and the commit's row and time, COMMITs, unlocks. A failure
 * of COMMIT makes the Meta failed for good: -EIO now, -EROFS later. *ret may be NULL.
 */
int meta_commit(Meta *m, int rc, struct meta_committed *ret);

/*
 * As meta_commit; then, when that went well and still under the lock, calls `then` while no transaction is open: the
 * moment for a checkpoint. What it returns is returned.
 */
int meta_commit_then(Meta *m, int rc, struct meta_committed *ret, int (*then)(void *arg), void *arg);

/*
 * Calls `sealed` within each commit's transaction, once the audit tree has all its records, with the commit's time: the
 * moment to sign its head, which is then as durable as they are. What it writes belongs to the commit; an error fails
 * it. NULL: nobody. To be told before there are threads.
 */
void meta_on_seal(Meta *m, int (*sealed)(void *arg, int64_t time_ns), void *arg);

/* Calls `ended` at the end of each operation, still under the lock: it was kept, or all that it did was undone. Must
 * not use the Meta. NULL: nobody. To be told before there are threads. */
void meta_on_end(Meta *m, void (*ended)(void *arg, bool is_kept), void *arg);

/* Operations kept since the last commit that wrote something; those of them that wrote more than records of the audit
 * log. Any thread, without the lock. */
uint64_t meta_pending(const Meta *m);
uint64_t meta_pending_writes(const Meta *m);

/* Whether the Meta has failed for good. Any thread, without the lock. */
bool meta_failed(const Meta *m);

/* The clock's time, ns. Any thread. */
int64_t meta_now(const Meta *m);

/* The same, or the time of the last commit where the clock was set back behind it. In an operation. */
int64_t meta_now_after_commit(const Meta *m);

/* The time for a file's atime, mtime, ctime and btime: by the clock that the kernel stamps files with, which goes on
 * some hundred times a second and so is some milliseconds behind the finer one. What was cached the kernel stamps
 * itself: by two clocks, a file that was written after another was made would look older than that one. Any thread. */
int64_t meta_stamp(const Meta *m);

/* The last commit whose time is <= time_ns: what the tree was then. -ENOENT before the first commit. */
int meta_commit_at(Meta *m, int64_t time_ns, uint64_t *ret_commit);

/* The time of a past commit. -ENOENT. */
int meta_commit_time(Meta *m, uint64_t commit, int64_t *ret_time_ns);

/* The last commit that ended, and its time. */
int meta_last_commit(Meta *m, struct meta_committed *ret);

/* Copies the vault's id: up to META_VAULT_ID_MAX bytes; returns its length. */
size_t meta_vault_id(const Meta *m, uint8_t ret_id[static META_VAULT_ID_MAX]);

/*
 * Small named values that belong to the vault as a whole ("store.…", "replication.…": the module's name first; "meta."
 * and "audit." are this floor's own). get: -ENOENT; -ERANGE with *ret_size set when the buffer is short.
 */
int meta_kv_get(Meta *m, const char *key, void *ret_value, size_t capacity, size_t *ret_size);
int meta_kv_put(Meta *m, const char *key, struct bytes value);
int meta_kv_remove(Meta *m, const char *key);
/* The first key after `after` that begins with `prefix`, with its NUL, and what it names. -ENOENT: none is left;
 * -ERANGE as get. `after` may be `prefix` itself and `ret_key` the same buffer as `after`. */
int meta_kv_next(Meta *m, const char *prefix, const char *after, char *ret_key, size_t key_capacity, void *ret_value,
        size_t capacity, size_t *ret_size);
