/*
 * intent: what a thread that looks a name up is about to do with it, where that is asked for nowhere else.
 *
 * Pipes, sockets and devices are opened by the kernel: it asks the daemon for the name (LOOKUP) and for nothing more,
 * as permissions are the daemon's (no default_permissions). So the look-up is where they are given. It is made in the
 * middle of the system call that needs the name, which /proc/TID/syscall tells, and what it tells can't change until
 * the look-up is answered.
 *
 *      open("pipe", O_RDONLY) ─► LOOKUP "pipe" ─► who may read and write it: found
 *                                                 others: /proc/TID/syscall ─► openat, read ─► may they read it?
 *
 * The kernel keeps no name of a special file (entry_fill), so that each walk to one is a look-up.
 *
 * Nor does it ask for anything else when somebody watches a directory (inotify, fanotify), which tells him its names as
 * others use them, or takes a descriptor of its path alone, from which he may. It keeps no names of directories that
 * not everybody may list, and none at all while roles are named.
 *
 *      open, openat, creat                       what their flags ask for
 *      connect, sendto, sendmsg, sendmmsg        write
 *      inotify_add_watch, fanotify_mark          read; a watch
 *      stat, access, unlink, rename, link,       nothing: what they need of the file itself is asked for elsewhere, or
 *      chmod, chown, utimes, xattr, …            is nothing
 *      all else                                  read and write: descriptors that may be opened anew through /proc
 *                                                (O_PATH, open_tree), bind mounts, openat2 (its flags lie in memory
 *                                                that the caller can make slow to read), io_uring, 32-bit programs
 *                                                where their numbers mean something else here, kernel threads, threads
 *                                                that /proc does not show: of another pid namespace, or of other users
 *                                                when the mount is an ordinary user's
 *
 * Not covered, and in docs/threat-model.md: who has a name by another way than the mount's (a bind mount that root made
 * of the file itself; a descriptor that was opened or passed on when it was allowed); a 32-bit program that bind-mounts
 * the file in a user namespace of its own (mount has the number of access); a program that has io_uring connect to a
 * socket by way of task work, at the end of a harmless call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct intent {
	unsigned mask;     /* ACCESS_READ, ACCESS_WRITE: what it needs of the file */
	const char *words; /* what it does, for the record; of static lifetime */
	bool watches;      /* it will be told what others do there */
	bool lasts;        /* it may get a descriptor of the path alone, or what it does is not known */
};

/* What the thread is doing. It must be waiting for the daemon's answer. Not to be called in a meta operation: it may
 * have to wait for the thread to have gone to sleep, some milliseconds at the worst. */
struct intent intent_of_thread(pid_t tid);

/* Whether the thread is setting a file's times; false also when it is not told. As above. */
bool intent_sets_times(pid_t tid);
bool intent_call_sets_times(long number);

/* What a call of this machine's own number asks for, by its arguments in registers. */
struct intent intent_of_call(long number, const uint64_t arguments[static 6]);

/* A line of /proc/TID/syscall. False when the thread was running, or in no call. */
bool intent_parse(const char *line, long *ret_number, uint64_t ret_arguments[static 6]);
