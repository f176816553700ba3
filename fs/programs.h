/*
 * programs: which program a thread runs, for those that ask again and again.
 *
 *     asked ─► the memory that the thread had then ── is still in use ─► the name that was read then    0.2 us
 *                                    └─ is gone: it runs another program, or is another thread
 *                                           └─► /proc/TID/exe, walked to once and kept                  1.0
 *                                                   └─ says nothing: all anew                          some 10
 *
 * execve gives a process new memory, and so does its end; a file of /proc/TID/pagemap stands for the memory that was
 * there when it was opened, and tells so when that is gone: pread(2) of one byte, which no page table entry is, fails
 * with EINVAL while there is one, and is 0 bytes then. This is not documented, so programs_learn sees whether it is so.
 * (Also in Linux 6.1 and 6.18, fs/proc/task_mmu.c.) Memory that other processes use, too, says nothing of one of them:
 * a process that shares it with its parent, as between vfork and execve, is asked by its link each time. Two that share
 * it otherwise (clone with CLONE_VM alone, which no library does) and of which one runs another program afterwards keep
 * the old name. The process's number and user, which nobody can choose, stand in the record in any case.
 *
 * The descriptors stand for a process, not for its number: when that is gone they say nothing any more, and the number,
 * which may be another's by then, is looked up anew. What a thread's process is does not change while the thread is
 * there.
 *
 * Bounded: two descriptors for each of PROGRAMS places, one place for each remainder of the number. Thread-safe; the
 * lock is innermost.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROGRAMS 64
/* Of a program's name, with the NUL. */
#define PROGRAM_NAME_BYTES 64

struct program {
	pid_t tid, pid; /* tid 0: free */
	int link;
	int memory; /* -1: it can't be told by that */
	char name[PROGRAM_NAME_BYTES];
};

struct programs {
	pthread_mutex_t lock;
	bool by_memory; /* programs_learn found that it can be told by that */
	struct program kept[PROGRAMS];
};

/* Static initialiser. */
#define PROGRAMS_INIT \
	{ .lock = PTHREAD_MUTEX_INITIALIZER }

/* Finds out, by a process of its own that ends, whether the kernel tells that memory is gone. Without this, and where
 * it does not, links are read. Before there are threads, and before anything is in memory that a child must not have.
 */
void programs_learn(struct programs *programs);

/* Of thread `tid` that is kept: its process, and the base name of its program. False: it is not known, or not any more.
 */
bool programs_ask(struct programs *programs, pid_t tid, pid_t *ret_pid, char ret_name[static PROGRAM_NAME_BYTES]);

/* Keeps thread `tid` of process `pid`, in place of another, and gives the name of its program; false, and nothing is
 * kept, when that can't be read. Both were found out while the thread waited for a reply. */
bool programs_keep(struct programs *programs, pid_t tid, pid_t pid, char ret_name[static PROGRAM_NAME_BYTES]);

/* Closes all. */
void programs_clear(struct programs *programs);

/* Length of a link of /proc/PID, `length` bytes, without the " (deleted)" that stands behind a path which does not lead
 * there any more (for an open file of the mount also when its look-up was found to be out of date). */
size_t program_link_length(const char *link, size_t length);
