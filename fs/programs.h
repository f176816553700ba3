/*
 * programs: which program a thread runs, for those that ask again and again.
 *
 *     asked ─► the process is there, and the memory that it had then is in use ─► the name that was read then    0.5 us
 *                     └─ one of both is gone: it runs another program, or is another process
 *                             └─► /proc/TID/exe, walked to once and kept                                        0.9
 *                                     └─ says nothing: all anew                                         some 10 to 20
 *
 * execve gives a process new memory, and a file of /proc/TID/pagemap stands for the memory that was there when it was
 * opened, and tells so when that is gone: pread(2) of one byte, which no page table entry is, fails with EINVAL while
 * there is one, and is 0 bytes then. This is not documented (it is so in Linux 6.1 and 6.18, fs/proc/task_mmu.c), so
 * programs_learn sees whether it is, and where not, links are read.
 *
 * Memory that others use, too, says nothing of one of them. So it is asked for first threads alone (another thread's
 * number may be a stranger's while its process goes on), with a descriptor of the process, and not of one that has its
 * parent's, as between vfork and execve. A program that gives its memory to a process of its own making in other ways
 * (clone with CLONE_VM and CLONE_PARENT, or one that goes on while it runs another itself) can keep its own old name in
 * its records: of its own program, it could as well choose the name. Number and user it can't choose.
 *
 * To ask by memory is to hold it for that moment. Should its process be killed just then, the last of it is cleared
 * away by who asks, and that may write back what the process had mapped, of this very mount. So no lock is held
 * meanwhile: who holds the metadata's (in an operation) has the link read.
 *
 * All descriptors stand for a process, not for its number: when that is gone they say nothing any more, and the number,
 * which may be another's by then, is looked up anew. What a thread's process is does not change while the thread is
 * there.
 *
 * Bounded: three descriptors for each of PROGRAMS places, one place for each remainder of the number. Thread-safe; the
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
	bool taken;     /* somebody asks by its descriptors just now */
	int link;
	int process, memory; /* both -1: it can't be told by them */
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

/* Of thread `tid` that is kept: its process, and the base name of its program. False: it is not known, or not any more,
 * or another one asks for it just now. in_operation: between meta_begin and meta_end. */
bool programs_ask(struct programs *programs, pid_t tid, bool in_operation, pid_t *ret_pid,
        char ret_name[static PROGRAM_NAME_BYTES]);

/* Keeps thread `tid` of process `pid`, in place of another, and gives the name of its program; false, and nothing is
 * kept, when that can't be read. Both were found out while the thread waited for a reply. */
bool programs_keep(
        struct programs *programs, pid_t tid, pid_t pid, bool in_operation, char ret_name[static PROGRAM_NAME_BYTES]);

/* The name alone, without a place to keep it. False: it can't be read. */
bool program_name(pid_t tid, char ret_name[static PROGRAM_NAME_BYTES]);

/* Closes all. */
void programs_clear(struct programs *programs);

/* Length of a link of /proc/PID, `length` bytes, without the " (deleted)" that stands behind a path which does not lead
 * there any more (for an open file of the mount also when its look-up was found to be out of date). */
size_t program_link_length(const char *link, size_t length);
