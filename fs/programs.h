/*
 * programs: which program a thread runs, for those that ask again and again.
 *
 * /proc/TID/exe is walked to once and kept as a descriptor of the link itself; to read the link through it takes 1.0
 * us, where tgkill and a look-up by name take 1.5 to 2.1. What it says is never kept: a program that is replaced
 * (execve) is told with the next request. The descriptor stands for the process, not for its number: when that is gone
 * it says nothing any more, and the number, which may be another's by then, is looked up anew. What a thread's process
 * is does not change while the thread is there.
 *
 * Bounded: PROGRAMS descriptors, one for each remainder of the number. Thread-safe; the lock is innermost.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROGRAMS 64

struct program {
	pid_t tid, pid; /* tid 0: free */
	int link;
};

struct programs {
	pthread_mutex_t lock;
	struct program kept[PROGRAMS];
};

/* Static initialiser. */
#define PROGRAMS_INIT \
	{ .lock = PTHREAD_MUTEX_INITIALIZER }

/* Of thread `tid` that is kept: its process, and the path of its program as readlink(2) gives it, without a NUL.
 * Returns its length; 0: it is not known, or not any more. */
size_t programs_ask(struct programs *programs, pid_t tid, pid_t *ret_pid, char *ret_path, size_t size);

/* Keeps thread `tid` of process `pid`, in place of another. Nothing is kept when the link can't be opened. Both were
 * found out while the thread waited for a reply. */
void programs_keep(struct programs *programs, pid_t tid, pid_t pid);

/* Closes all. */
void programs_clear(struct programs *programs);
