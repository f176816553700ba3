/*
 * synclog: the log of small fsyncs: what an fsync has to make durable, when that is a few bytes, written and flushed
 * once instead of as blocks, map pages and rows with a flush for each of the two.
 *
 *     fsync ─ synclog_put ─┐ (sealed into memory)           ┌─ one write, one flush ─ synclog_wait returns
 *     fsync ─ synclog_put ─┴─ synclog_wait: who comes first ┘
 *     commit: synclog_hold ─ the contents put what they logged into their rows ─ COMMIT, sync ─ synclog_resume
 *
 * VAULT/synclog is one file of at most SYNCLOG_BYTES (synclog_format.h has its bytes). It is made with the first record
 * of a mount under a key of its own (a random salt), is filled with zeros ahead as segments are, begins from the front
 * after each commit, and is removed by a clean unmount.
 *
 * A record stands on a base: the last commit of the database. It counts until the next commit is durable, which holds
 * all that was logged (synclog_hold); then the file's records are of no base that matters any more. So what was
 * acknowledged is at any moment: the base, and the records of it in their order.
 *
 *     commit 7 ── record 1, 2, 3 on 7 ── hold ── commit 8 has what they said ── durable ── record 1 on 8, over the old
 *
 * After a crash the records of the base are read in order up to the first that is not genuine. That is where the crash
 * cut, unless something says that it was durable: each record, and a mark that is written (not flushed) behind the last
 * one after each flush, says how many were. Then it is damage, -EBADMSG. Records behind the bad one never count, as the
 * writes of one flush may reach the disk in any order. A log of an earlier moment of the same base looks like one that
 * a crash cut; one of another base, mount or vault has nothing that counts.
 *
 * Thread-safe; a leaf of the lock order, though it reads and writes its file.
 */
#pragma once

#include "backend/synclog_format.h"
#include "crypto/base/cleanup.h"

typedef struct SyncLog SyncLog;
typedef struct VaultIo VaultIo;
typedef struct Keyring Keyring;

#define SYNCLOG_NAME "synclog"
/* What is taken between two commits makes at most so many blocks that have to be sealed before the next one, whatever
 * room there is by then. */
#define SYNCLOG_BLOCKS_ON_BASE 512u

/*
 * A log for this mount, whose records stand on commit `base`; nothing is written yet. The pointers stay the caller's
 * and must outlive it. -ENOKEY: the keyring has no key of Landing, so none can be kept; where that key can't be used
 * just now, the log rests until synclog_rekey.
 */
int synclog_open(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static SYNCLOG_VAULT_ID_BYTES],
        uint64_t base, SyncLog **ret);

/* Frees; the file stays. No other thread may be using it. Accepts NULL. */
void synclog_close(SyncLog *log);
DEFINE_CLEANUP(SyncLog, synclog_close);

/* Removes the file, durably: once a commit holds all that it says. 0 if there is none. */
int synclog_remove(VaultIo *io);

/*
 * Takes the record; *ret_ticket is for synclog_wait. -EAGAIN: held, full, too large, not enough room on the disk, or
 * the log failed: the caller commits instead. Whoever puts must make sure that synclog_hold's caller finds what was
 * put.
 */
int synclog_put(SyncLog *log, const struct synclog_record *record, uint64_t *ret_ticket);

/*
 * Returns when the record of `ticket` is durable, by the log or by a commit. -EAGAIN: the log failed; a commit that
 * begins from now on makes it durable. No lock may be held that the holder of the log needs.
 */
int synclog_wait(SyncLog *log, uint64_t ticket);

/* Something was put since the last commit. Takes no lock. */
bool synclog_waits(const SyncLog *log);

/* From now on, and once it returns, nothing is put or written. */
void synclog_hold(SyncLog *log);

/*
 * After the commit: all that was put is durable, and the log goes on from its beginning on commit `base`. Not
 * `committed`: it takes nothing any more. When there was nothing to commit the base is the same, and so is what stands
 * on it.
 */
void synclog_resume(SyncLog *log, bool committed, uint64_t base);

/*
 * Cuts off what earlier records left in the file behind the headers. For who holds the log, after the commit that has
 * all that it says: nothing that counts is in it then.
 */
int synclog_scrub(SyncLog *log);

/*
 * For who holds the log, after the commit that has all that it says: its file goes, and the next record begins one
 * under Landing's present key. Where there is none to be had, or `keyring` is NULL, the log rests: it takes nothing
 * until the next call, and has no key in memory.
 */
void synclog_rekey(SyncLog *log, const Keyring *keyring);

/* Gets a record, its data only during the call; a negative result ends the reading and is returned. */
typedef int synclog_fn(void *arg, const struct synclog_record *record);

/* The records of this base that were written, in order: what a crash would bring back. */
int synclog_each(SyncLog *log, synclog_fn *fn, void *arg);

/*
 * What a crash left: the records on commit `base`, in order. *ret_count (may be NULL): how many there are; with `fn`
 * NULL only that. 0 too when there is no such file, or Landing's key was disabled or deleted, as the log rested and was
 * empty before that. -EBADMSG: one that was durable is damaged (before the first call
 * of `fn`). -ENOKEY.
 */
int synclog_read(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static SYNCLOG_VAULT_ID_BYTES],
        uint64_t base, synclog_fn *fn, void *arg, uint64_t *ret_count);
