/*
 * access_times: when files were read last, until their rows are told.
 *
 *      close of a reader ──► access_times_note ──► memory ──► rows: when there is no room left, after half a day,
 *                                                     │        and at the end of the mount
 *                                                     └──► stat
 *
 * A row that is changed for each file that is read is a statement and a savepoint of its own, in the order in which
 * they are read, and its page is sealed with the next commit. Here the times wait, and are written many at a time in
 * the order of the table: 27,800 instructions a close are 17,100, and 9,000 of the sweep. [measured: callgrind, 3,000
 * files of 1 KiB read cold] So a crash may cost a file the time of its last reading, much as on a file system mounted
 * with lazytime (which a sync writes, while here it does not); nothing else is told late, and a clean end loses none.
 *
 * Bounded: ACCESS_TIMES_MAX places of 16 bytes, of which memory is taken as they are used. Thread-safe. The lock is
 * innermost and never held during a statement: all but write may be called in a meta operation.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/meta.h"
#include "crypto/base/cleanup.h"

/* Files that can wait. */
#define ACCESS_TIMES_MAX 32768u

typedef struct AccessTimes AccessTimes;

/* Over metadata that outlives it. -ENOMEM. */
int access_times_new(Meta *m, AccessTimes **ret);
/* Forgets what was not written. Accepts NULL. */
void access_times_free(AccessTimes *times);
DEFINE_CLEANUP(AccessTimes, access_times_free);

/* The file was read at `now`. True: all that wait are due (among them, perhaps, this one; where there was no room for
 * it, it is not kept): access_times_write, when the operation has ended. */
bool access_times_note(AccessTimes *times, uint64_t node, int64_t now);

/* The time that waits; 0: none, what the row says is so. */
int64_t access_times_of(AccessTimes *times, uint64_t node);

/* The row has been given another: for utimensat(2), in its operation. */
void access_times_drop(AccessTimes *times, uint64_t node);

/* Writes all that wait into the rows, in operations of some hundred each, without an audit record: each reading has its
 * own. Between operations only. What could not be written goes on waiting. */
int access_times_write(AccessTimes *times);
