/*
 * recorder: a disk for tests. It stands behind vault_io, passes everything on to a real directory, and
 *
 *   - records each change (content included) and each sync, and builds afterwards the states in which a power loss
 * could have left the directory at any moment of the run;
 *   - fails on demand, and can be small.
 *
 * The model of a power loss. A crash happens between two recorded calls. What was done before is
 *   - kept for certain: a write, truncate or allocate followed by a finished sync of that file that began after it; a
 *     create, rename, unlink, mkdir or rmdir followed by a finished sync_dir of its directory (for a rename: of the
 *     target's directory) that began after it;
 *   - otherwise each call by itself is kept, lost, or (writes) torn: any of its 512-byte sectors, by file offset, are
 * the old bytes. Where a lost or torn write would have made the file longer, the hole reads as zeros, and the file ends
 *     where the last byte kept ends.
 * This is weaker than any journalling file system (ext4, XFS, btrfs keep namespace changes in their order, and a file's
 * size with its allocation), so what survives here survives there. Sectors are taken to be atomic, as disks promise.
 * Not modelled: disks that lie about flushing, and damage (bits that flip); that is what the tamper tests are for.
 *
 * All of that applies to files by identity, not name: a synced file whose rename was lost is there under its old name.
 */
#pragma once

#include "backend/vault_io.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Recorder Recorder;

/* Records what happens to the directory `path`, which must exist; what is in it now is taken for durable. */
int recorder_open(const char *path, Recorder **ret_recorder);

/* Frees the recording; the VaultIo must have been closed. The directory stays. NULL is allowed. */
void recorder_close(Recorder *recorder);
DEFINE_CLEANUP(Recorder, recorder_close);

/* A VaultIo on the recorder; the caller closes it. Several may exist one after another (a remount). */
int recorder_io(Recorder *recorder, VaultIo **ret_io);

/* Says that all up to what `n` stands for has now been acknowledged as durable to somebody. `n` should rise. */
void recorder_mark(Recorder *recorder, uint64_t n);

/* Calls recorded so far; marks are not counted. */
size_t recorder_count(Recorder *recorder);

/*
 * `directory` holds a crash state, to be opened, changed and judged at will; it is removed afterwards. `acknowledged`
 * is the last mark before the crash, 0 if none. A return other than 0 ends the replay and is passed on.
 */
typedef int recorder_state_fn(void *user, const char *directory, uint64_t acknowledged);

/*
 * Calls `fn` for crash states: for every moment of the run the one in which all was kept and the one in which nothing
 * unsynced was, and, as far as about `limit` states allow, every combination of kept, lost and torn, or a sample drawn
 * from `seed` where they are too many. Of a run with more than limit / 2 calls, the moments after writes are sampled
 * too. When `fn` ends the replay, the moment and choices are printed, so that the state can be understood. ret_states
 * (may be NULL) is how many were shown.
 */
int recorder_each_crash_state(
        Recorder *recorder, size_t limit, uint64_t seed, recorder_state_fn *fn, void *user, size_t *ret_states);

/* The changing call number `countdown` from now (1 is the next) and all later ones fail with -errnum; 0 ends that. */
void recorder_fail_after(Recorder *recorder, size_t countdown, int errnum);

/* The disk has room for so many bytes of file content; beyond that writes fail with -ENOSPC. UINT64_MAX: no limit. */
void recorder_set_capacity(Recorder *recorder, uint64_t bytes);

/* Bytes of file content there now. */
uint64_t recorder_used(Recorder *recorder);
