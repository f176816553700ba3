/*
 * guard: a process beside the mount's that has the kernel answer whoever waits, once the mount's process was killed.
 *
 *     guard_start ── fork ─► guard ◄─ socket ─ guard_watch: the number of the connection to the kernel
 *                              │
 *                              ├─ the first thread of the mount's process has died ─► writes to
 *                              │     /sys/fs/fuse/connections/NUMBER/abort: each request is answered with an error
 *                              └─ the socket closes: the end of the mount, or of its process ─► exits
 *
 * A thread that notifies (notify.h) waits in the kernel for a lock that a client may hold while it waits for an answer
 * of ours, and no signal wakes it. When the process is killed then, the thread waits for the client and the client for
 * an answer that nobody gives any more. The kernel ends a connection by itself with the last thread alone, so both
 * would wait for ever, and the lock of the vault with them. (Of 47 kills under link(2), 36 ended so.) It is the death
 * of the *first* thread that counts, since that one serves nothing and so never waits there: PR_SET_PDEATHSIG tells it
 * to children of that very thread, whatever the others do.
 *
 * The guard has no key (it is forked before one is unlocked), no file of the vault, and closes its standard output. It
 * does not help when it is killed together with the mount's process; then `assayfs umount --force` does the same.
 */
#pragma once

#include "crypto/base/cleanup.h"

typedef struct Guard Guard;

/* To be called in the process's first thread, which must live as long as the mount, while it is the only one. */
int guard_start(Guard **ret);

/* When it returns 0, the connection is watched. -errno with words: the guard is not there, or can't open the file: it
 * takes root, or that /sys/fs/fuse/connections is mounted. The mount is as good as without a guard then. */
int guard_watch(Guard *guard, unsigned connection);

/* Waits until the guard has ended. Accepts NULL. */
void guard_stop(Guard *guard);
DEFINE_CLEANUP(Guard, guard_stop);
