/*
 * audit: the log of what was done and refused, as leaves of an RFC 6962 hash tree.
 *
 *      audit_record ─► record seq (dense from 0), in memory ─► leaf: one line of JSON, the same bytes for ever
 *                                    │                           │ SHA-256(00 ‖ leaf)
 *                        packs of up to 256, before the commit   │
 *      commit ─► audit_seal_commit ─► audit_tile (level, index): up to 256 hashes ─► root, size
 *
 * A record belongs to the operation it tells of and is written in its transaction, so both become durable together or
 * neither does. All calls tell of those that wait in memory, too. Packs and tiles are only added: the database refuses
 * UPDATE and DELETE on them. Times in the log never run backwards.
 *
 * The leaf's fields and their order are in docs/audit-log.md: seq, time, event, outcome, errno, uid, gid, pid, exe,
 * path, path2, node, version, bytes, detail; those that are not set are left out. At most AUDIT_LINE_MAX bytes, without
 * a newline. Bytes that are not UTF-8 (names may be anything) are rendered reversibly there. Over-long paths and
 * details are cut in a way that the record itself says.
 *
 * The daemon serves and signs records only up to the durable sequence (store_durable_seq), never what a crash could
 * take back. All calls are made between meta_begin and meta_end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/meta.h"
#include "crypto/base/bytes.h"
#include "crypto/merkle.h"

/* Longest leaf in bytes, all of it escaped: below the 65535 that an entry of a tlog-tiles bundle may have. */
#define AUDIT_LINE_MAX 64000
/* What is kept of a path and of a detail, in bytes; see docs/audit-log.md for what happens to longer ones. */
#define AUDIT_PATH_MAX 4096
#define AUDIT_DETAIL_MAX 2048
#define AUDIT_EVENT_MAX 32
#define AUDIT_HASH_BYTES 32
#define AUDIT_TILE_HASHES 256

/* Who did it. exe: the program's name only, never its arguments, which may be personal data. */
struct actor {
	uint32_t uid, gid;
	int32_t pid; /* 0: unknown, or the daemon by itself */
	char exe[64];
};

/* What happened. Strings end with NUL and are the caller's; NULL and 0 mean "does not apply". */
struct audit_event {
	const char *event; /* [a-z][a-z-]*: open, create, write, read, close, unlink, rename, mkdir, …, arrive, capture,
	                      verdict, publish, refuse, restore, policy-apply, mount, unmount, recover, damage, repair,
	                      gc; at most AUDIT_EVENT_MAX bytes */
	struct actor actor;
	const char *path;  /* bytes, as tree_path gives them */
	const char *path2; /* rename, link: the other one */
	uint64_t path_bytes,
	        path2_bytes; /* whole length of one that is given by its first AUDIT_PATH_MAX bytes; else 0 */
	const char *outcome; /* "ok", "denied" or "error"; NULL: ok */
	int err;             /* errno given to the caller, positive; 0: none */
	uint64_t node, version;
	uint64_t bytes;
	const char *detail; /* UTF-8 words or JSON text as a string; never content of files */
};

/*
 * Adds a record to the running operation. -EINVAL for an event or outcome that is malformed, -EROFS when the database
 * is open for reading only. *ret_seq (may be NULL). What was recorded vanishes with the operation when meta_end undoes
 * it.
 */
int audit_record(Meta *m, const struct audit_event *event, uint64_t *ret_seq);

/* Calls `watch` for each record that is made, within its operation, which may still be undone; it is not called for any
 * other Meta, calls none itself, and takes little time. NULL: nobody. To be told before there are threads, or within an
 * operation. */
typedef void audit_watch_fn(void *arg, const struct audit_event *event, int64_t time_ns);
void audit_watch(Meta *m, audit_watch_fn *watch, void *arg);

/* How many records there are, those of the running operation with them: the next one's sequence. */
uint64_t audit_size(Meta *m);

/*
 * A record's leaf is made and hashed by whoever comes first: a moment in which there is nothing else to do, or the
 * commit. Half of what a record costs is that, and nobody waits for it.
 *
 * audit_hash: of at most `most` records, those of the running operation with them. audit_unhashed: how many have none,
 * for any thread without the lock.
 */
int audit_hash(Meta *m, size_t most);
size_t audit_unhashed(const Meta *m);

/*
 * For any thread without the lock. audit_recorded: how many records were kept by operations that have ended.
 * audit_waits_since: when the first of them came that no COMMIT has written, ns by CLOCK_MONOTONIC; 0: there is none.
 */
uint64_t audit_recorded(const Meta *m);
int64_t audit_waits_since(const Meta *m);

/*
 * Takes the leaves recorded since the last call into the tree's rows. Called by meta_commit; nobody else needs to.
 */
int audit_seal_commit(Meta *m);

/* The tree's head as of the last audit_seal_commit: what may be signed once that commit is durable. Size 0: the hash of
 * the empty string. */
int audit_root(Meta *m, uint64_t *ret_size, uint8_t ret_root[static AUDIT_HASH_BYTES]);

/* The root that the tree had at an earlier size (<= the present one, else -EINVAL), from the tiles. */
int audit_root_at(Meta *m, uint64_t size, uint8_t ret_root[static AUDIT_HASH_BYTES]);

/* Hash of the complete subtree (level, index) of merkle.h, from the tiles: a merkle_fetch_fn with a Meta as context,
 * for merkle_inclusion_prove and merkle_consistency_prove. -ENOENT when the tree is not that large. */
int audit_fetch(void *meta, unsigned level, uint64_t index, uint8_t ret_hash[static AUDIT_HASH_BYTES]);

/* Tile (level, index) of the tree: 256 levels of merkle.h's tree are 8 levels here (level l holds hashes of 256^l
 * leaves). *ret_count: how many hashes of 32 bytes, 1..256. -ENOENT. */
int audit_tile(Meta *m, unsigned level, uint64_t index, uint8_t ret_hashes[static AUDIT_TILE_HASHES * AUDIT_HASH_BYTES],
        size_t *ret_count);

/* The leaf of record `seq`: exactly the bytes that were hashed. No newline; ends with NUL. -ENOENT; -ERANGE when the
 * buffer is short (AUDIT_LINE_MAX + 1 always is enough). *ret_length (may be NULL) is without the NUL. */
int audit_render(Meta *m, uint64_t seq, char *ret_line, size_t capacity, size_t *ret_length);

/*
 * Retention (audit_retain.h): the records below audit_pruned are in archives only; their hashes in the tree stay, so
 * that it goes on to be verified and to prove. audit_prune takes those below `end` away, which is a multiple of
 * AUDIT_TILE_HASHES, sealed, and not below what was pruned already (-EINVAL). The one caller has held their archive
 * against the tree before.
 */
uint64_t audit_pruned(const Meta *m);
int audit_prune(Meta *m, uint64_t end);

/* The frontier that the tree had at an earlier size: from there on leaves lead to its later roots. -EINVAL: it is not
 * that large. */
int audit_frontier_at(Meta *m, uint64_t size, struct merkle_frontier *ret_frontier);

/* The first record whose time is >= time_ns; audit_size when there is none. By bisection. */
int audit_first_since(Meta *m, int64_t time_ns, uint64_t *ret_seq);

/* The time of record `seq`, ns. -ENOENT. */
int audit_time(Meta *m, uint64_t seq, int64_t *ret_time_ns);

/* Which records are wanted; all that are set must hold. All zero: every record. */
struct audit_filter {
	bool has_since, has_until;
	int64_t since, until; /* ns; since <= time < until */
	bool has_uid, has_gid, has_pid;
	uint32_t uid, gid;
	int32_t pid;
	const char *path_at; /* path or path2 is this one or below it, as "a/b" has "a/b" and "a/b/c" but not "a/bc" */
	const char *path_prefix; /* path or path2 begins with these bytes */
	const char *path_glob;   /* path or path2 matches: '*' and '?' within a name, '**' across '/', [a-z] and [!a-z];
	                            see   audit_glob_match */
	const char *event;       /* exactly */
	const char *const *events; /* one of these (or `event`), so many; 0: any */
	size_t event_count;
	const char *outcome; /* exactly */
	const char *exe;     /* exactly */
	bool has_node;
	uint64_t node;
	uint64_t from_seq;   /* first sequence that counts */
	uint64_t before_seq; /* first that does not, e.g. the durable sequence; 0: to the end */
	size_t limit;        /* at most so many; 0: all */
	bool newest_first;
	bool without_line; /* entries have no `line`, which takes most of an entry's time */
};
#define AUDIT_FILTER_EVENTS_MAX 64

/* A record as it stands: for formats other than the leaf. Pointers are valid during the call. */
struct audit_entry {
	uint64_t seq;
	int64_t time_ns;
	struct audit_event event; /* outcome never NULL; path, path2, detail as kept, possibly cut */
	const char *line;         /* the leaf; NULL when the filter has without_line */
	size_t line_length;
};

/* Calls no function of this header: they share what it was given. */
typedef int (*audit_fn)(void *arg, const struct audit_entry *entry);

/*
 * Gives the records that the filter wants, in order of sequence. Time is a range of sequences (times never run
 * backwards), found by bisection. All else but the end of a path is looked up in an index that tells which tiles of 256
 * records hold such a value at all; only those that hold all that is wanted are read. So what is rare is found at once
 * in a log of any length, what is frequent costs what it yields, and values that are frequent but never meet cost a
 * look at each record where they could. [measured: tests/fs/bench_audit.c] A callback's positive answer ends it.
 */
int audit_query(Meta *m, const struct audit_filter *filter, audit_fn callback, void *arg);

/*
 * The same in slices, so that over a long log the lock is not held for long: each audit_search_next is made in an
 * operation of its own. What is to be searched is settled in the first (before_seq 0: the records of that moment).
 *
 * `filter` is copied, its strings are borrowed until audit_search_free.
 */
typedef struct AuditSearch AuditSearch;
int audit_search_new(const struct audit_filter *filter, AuditSearch **ret_search);
void audit_search_free(AuditSearch *search);
DEFINE_CLEANUP(AuditSearch, audit_search_free);

/* Goes on for some slice_ns (0: to the end), at least by a tile. A callback's positive answer ends the slice behind
 * that record. 1: all was given; 0: call again; -errno. */
#define AUDIT_SLICE_NS INT64_C(5000000)
int audit_search_next(Meta *m, AuditSearch *search, int64_t slice_ns, audit_fn callback, void *arg);

/* How many records are behind it, of how many; 0 of 0 before the first slice. */
void audit_search_progress(const AuditSearch *search, uint64_t *ret_done, uint64_t *ret_all);

/* The next record that a search with the oldest first looks at; 0 before the first slice. */
uint64_t audit_search_at(const AuditSearch *search);

/*
 * Whether a path matches a pattern of audit_filter. In linear time times the number of stars (no recursion): '*' any
 * bytes but '/', '?' one byte but '/', "**" any bytes, [abc], [a-z], [!a-z] one byte but '/', '\' makes the next one
 * literal. A pattern that ends with '/' means everything below; an unclosed '[' is literal.
 */
bool audit_glob_match(const char *pattern, const char *path);

/*
 * Reads every record and tile of [from, size) and holds them against each other: leaves against level 0, tiles against
 * those below, the frontier against all. -EBADMSG with words that name the first record or tile that is not what was
 * sealed; -EUCLEAN for gaps, other than of what was pruned. *ret_checked (may be NULL): records that were read. For
 * fsck and `log verify`.
 */
int audit_verify(Meta *m, uint64_t from, uint64_t *ret_checked);
