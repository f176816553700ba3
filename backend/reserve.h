/*
 * reserve: disk space kept ahead, so that a full disk never undoes what was acknowledged.
 *
 *     VAULT/reserve      a file of zeros, really allocated, as large as everything that may still have to be written
 * for what is already acknowledged: the largest WAL, the growth of the database by it, its pack
 *
 * Measured: SQLITE_FULL rolls back a whole transaction, in which operations of many callers are gathered. So operations
 * of users ask reserve_check() first and get -ENOSPC while there is still room, and the metadata's own writes, when
 * they meet a full disk all the same (other users of the file system), take room from the ballast in steps and try
 * again. The ballast is filled up again when there is room (reserve_refill, best after each checkpoint).
 *
 * A clean unmount removes the file, so that a resting vault holds nothing for nothing. Its content is never read except
 * by reserve_verify: a byte other than zero there is tampering. It tells nothing: its size is a setting.
 *
 * Thread-safe.
 */
#pragma once

#include "backend/vault_io.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Reserve Reserve;

#define RESERVE_NAME "reserve"

/* The ballast goes in this many steps. */
#define RESERVE_STEPS 8

/*
 * The ballast that a WAL of at most `wal_bytes` needs: the WAL itself, once more for the pages it adds to the database,
 * once more for the pack, and something for directories and headers. A base pack is as large as the database; it is not
 * counted, since a checkpoint that finds no room for it writes an ordinary pack instead.
 */
uint64_t reserve_bytes_for_wal(uint64_t wal_bytes);

/*
 * Makes the ballast of `bytes` (also from what a crash left of an earlier one). On a disk that has no room for it the
 * reserve opens with what could be had, and reserve_check refuses users' operations until it is whole: a full vault
 * must still open, or nobody could delete from it.
 */
int reserve_open(VaultIo *io, uint64_t bytes, Reserve **ret_reserve);

/* Removes the ballast file (a clean unmount) and frees. */
int reserve_close(Reserve *reserve);

/* Frees and leaves the file, as a crash does. NULL is allowed. */
void reserve_abandon(Reserve *reserve);
DEFINE_CLEANUP(Reserve, reserve_abandon);

/*
 * Whether an operation that will write about `bytes` may begin: -ENOSPC if it would have to touch the ballast, or if
 * the ballast is not whole. Asks the file system once every few milliseconds and counts in between, so it costs little.
 */
int reserve_check(Reserve *reserve, uint64_t bytes);

/* Whether less than half of the ballast is left, and there is no room to fill it up: what may still be written then is
 * what was acknowledged. As cheap as reserve_check. */
bool reserve_is_low(Reserve *reserve);

/* Gives one step of the ballast up. 0 if there was one, -ENOSPC if nothing is left. */
int reserve_give(Reserve *reserve);

/* Fills the ballast up again as far as there is room. 0 when it is whole, -ENOSPC when not. */
int reserve_refill(Reserve *reserve);

/* Bytes that may be written beside the ballast: what is free, less what the ballast lacks. Asks the file system. */
int reserve_room(Reserve *reserve, uint64_t *ret_bytes);

/* Bytes the ballast holds now. */
uint64_t reserve_held(Reserve *reserve);

/* vault_file_write_at and vault_io_replace that take room from the ballast when the disk is full. `reserve` may be
 * NULL. */
int reserve_write_at(Reserve *reserve, VaultFile *file, uint64_t offset, struct bytes data);
int reserve_replace(Reserve *reserve, VaultIo *io, const char *name, struct bytes data);

/* Checks a ballast file left by a crash: 0 if there is none or it is all zero, -EBADMSG naming the first other byte. */
int reserve_verify(VaultIo *io);
