/*
 * content: the bytes of one file: what read(2) and write(2) reach.
 *
 *     content_write ──┬─ whole blocks ──────────────────────────────► segment_append ─► refs ─┐
 *                     └─ partial blocks ─► block cache (bounded) ──── seal when full, ────────┤
 *                                          read-modify-write           evicted or flushed     ▼
 *                                                                           map pages (bounded cache, dirty until
 * flushed) │ content_flush, content_seal: ▼ one meta operation the draft's rows
 *
 * The first change makes a draft on the version that stood. All dirty map pages, the size and the truncation point of a
 * file go into the draft's rows in one meta operation, so the rows always show a state that the file had between two
 * calls: what a crash recovers is never torn.
 *
 * Memory: blocks and map pages of all open contents share one bound (struct store_options); it does not grow with the
 * size of files nor with their number, except for some hundred bytes for each open content.
 *
 * There is ONE Content for a node that is open; the mount counts its users. Thread-safe. Lock order: content, then
 * meta, then segments: never call these between meta_begin and meta_end. Two contents are locked in the order of their
 * addresses (clone). Size limit: INT64_MAX bytes (-EFBIG).
 */
#pragma once

#include "backend/audit.h"
#include "backend/store.h"
#include "backend/version.h"
#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Content Content;

/*
 * Opens the content of `node`. version 0: the node's current version (an empty file if it has none yet), and it may be
 * changed. Any other: that version of the node, as it was; changes get -EROFS. -ENOENT: no such node or version.
 * -ESTALE: the version was erased.
 */
int content_open(Store *store, uint64_t node, uint64_t version, Content **ret);

/* Ends the use. A draft that was neither sealed nor dropped nor reverted is dropped. Accepts NULL. */
void content_close(Content *c);
DEFINE_CLEANUP(Content, content_close);

/* Frees without a word to the database, as a crash would: the draft's rows stay. For tests, and before store_abandon.
 * Accepts NULL. */
void content_abandon(Content *c);
DEFINE_CLEANUP(Content, content_abandon);

/* Reads up to `size` bytes at `offset`; *ret_got is less only at the end of the file. -EBADMSG: the vault's bytes were
 * changed. -ESTALE: the version was erased since it was opened; so for changes and as the source of a clone. */
int content_read(Content *c, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got);

/*
 * Uses of keys go into the log (store_keys.h) as those of the daemon, but for: what is read for somebody, whose handle
 * keeps one of these; and what a program wrote last is sealed in its name. attend: opening is somebody's, who records
 * it; so reading without a reader, to write a part of a block or to copy, adds nothing.
 */
struct content_reader {
	const struct actor *actor;
	_Atomic uint32_t segment; /* the last one that he read of; 0 at first */
	_Atomic uint64_t key;     /* key_uses_mark of the last one that was noted for him; 0: of none */
	_Atomic bool recorded;    /* a use of his was: store_audit_wait before the answer */
};
int content_read_for(
        Content *c, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got, struct content_reader *reader);
void content_attend(Content *c);
void content_written_by(Content *c, const struct actor *actor);

/*
 * Writes `data` at `offset`: all of it or nothing up to 1 MiB, in steps of 1 MiB beyond. A gap before it is a hole.
 * -ENOSPC before the vault's reserve is touched, -EFBIG, -EROFS, -EIO.
 */
int content_write(Content *c, uint64_t offset, struct bytes data);

/* Sets the size; what is cut off is gone from the draft, what is added is a hole. */
int content_truncate(Content *c, uint64_t size);

/*
 * Makes [offset, +length) a hole, as far as the file has it; its size stays. What is cut out is gone from the draft and
 * takes no room. Up to a map page's 4 MiB all of it or nothing, in such steps beyond. Errors of content_write.
 */
int content_punch(Content *c, uint64_t offset, uint64_t length);

/* Makes a draft although nothing changed: a new empty file, or O_TRUNC of an empty one, so that closing it seals a
 * version. One row, which the vault's reserve has room for: making the file was what asked for space. */
int content_touch(Content *c);

/* A draft that begins on nothing is sealed under this key beside its zone's, by its name in the keyring, ""; without a
 * word of it, or after NULL, the store's chooser is asked (store.h). One that goes on with what stands keeps the key of
 * that. */
void content_choose_key(Content *c, const char *own);

/* In an operation: whether the key of its own can be had that the version is sealed under, if it has one; words name it
 * as people do. -EKEYREVOKED, -EKEYEXPIRED, -ENOKEY, -EACCES. Version 0: it can. */
int content_key_check(Store *store, Meta *m, uint64_t version);
/* In an operation: which key of its own the version is sealed under, "" for none; *ret_has false: it has no blocks, and
 * so is under none. */
int content_own_key(Store *store, Meta *m, uint64_t version, char ret_own[static OWN_KEY_BYTES], bool *ret_has);
/* As content_key_check, of the key that what is written anew into the node gets. Errors of the store's chooser, too. */
int content_begin_check(Store *store, Meta *m, const struct node *node);

/* Bytes that read(2) reaches, what is not sealed yet included. */
uint64_t content_size(Content *c);

/* The next content_seal gives the node these times first (ns since 1970), in the same operation; so does
 * content_sync. */
void content_set_times(Content *c, int64_t mtime, int64_t ctime);

/* Gives the node the times that wait, now: whoever sets others by himself must not be overtaken by them. */
int content_settle_times(Content *c);

/* Whether an open content shows the version of the node, or its draft was begun on it; also when that can't be told
 * just now, as somebody is using it. Any thread, in an operation, too. */
bool content_may_show(Store *store, uint64_t node, uint64_t version);

/* The node this is the content of. */
uint64_t content_node(const Content *c);

/* The version that reads see: the draft's id if there is one, else the sealed one's, 0 for a node without any. */
uint64_t content_version(Content *c);

/* True if there is a draft (something changed since open or since the last seal or drop). */
bool content_is_dirty(Content *c);

#define CONTENT_COPY_MAX (4u << 20)
/*
 * Makes [dst_offset, +length) of `dst` show what [src_offset, +length) of `src` shows. Blocks are shared, without
 * reading them, where both offsets are multiples of SEGMENT_BLOCK_BYTES and the keys are the same; the rest is copied.
 * *ret_done may be short of `length` at the end of `src`, and once CONTENT_COPY_MAX bytes were copied: one call must
 * not keep its thread for minutes. Within one content the ranges must not overlap (-EINVAL).
 */
int content_clone_range(
        Content *src, uint64_t src_offset, Content *dst, uint64_t dst_offset, uint64_t length, uint64_t *ret_done);

/*
 * The next data at or after `offset`: [*ret_start, *ret_end). It begins with a block and ends to 4 KiB. -ENXIO when
 * only a hole is left. The data may go on at *ret_end: only if the next call from there starts later does a hole begin
 * there.
 */
int content_next_data(Content *c, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end);

/* Seals the partial blocks and writes the draft's rows, in one meta operation: not durable before the next commit. */
int content_flush(Content *c);

/*
 * fsync: flush, mark the draft so that recovery keeps it, and wait until all that is durable, with the node's times as
 * content_set_times gave them. The rest of fsync(2) for a file without a draft, too. Where a synced draft changed by a
 * few bytes and nothing else waits for a commit, they go to the log of small fsyncs (synclog.h), and into the rows
 * before the next commit.
 *
 * In two steps: begin, while whatever keeps the content from being closed is held; then wait, with nothing held that a
 * commit may need (store.h).
 */
struct content_wait {
	uint64_t log_ticket; /* 0: a commit */
};
int content_sync(Content *c);
int content_sync_begin(Content *c, struct content_wait *ret_wait);
int content_sync_wait(Store *store, const struct content_wait *wait);

/*
 * Runs in the meta operation of content_seal, after the version was sealed: the audit record, the job's row, the
 * entry's change. A negative result undoes all, the sealing too. Must not call content_….
 */
typedef int content_sealed_fn(Meta *m, const struct version *sealed, void *arg);

/*
 * Makes the draft a sealed version and the node's current one: flush and version_seal and `then` (or NULL) in ONE meta
 * operation. `verdict` 0: none; `sha256` NULL: not known. On failure the draft is as before, and may be sealed or
 * dropped later. -ENODATA: there is no draft; `then` is not called. The next change begins a new draft on the sealed
 * version.
 */
int content_seal(Content *c, enum origin origin, uint64_t verdict, const uint8_t sha256[32], content_sealed_fn *then,
        void *arg, struct version *ret_version);

/* Throws the draft away: the file is again as it was sealed. */
int content_drop(Content *c);

/*
 * Goes back to what the last content_sync acknowledged: changes since are thrown away, the draft stays and can be
 * sealed without room for more blocks. From now on content_close leaves its rows alone, so that the end of the mount or
 * recovery seals it if nobody else could. -ENODATA: no sync acknowledged anything of this draft.
 */
int content_revert(Content *c);
