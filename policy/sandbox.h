/*
 * sandbox: taking away from a process all that it does not need.
 *
 * Two steps, because what a worker may not do any more (namespaces, another root), its spawner has to do before it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What sandbox_enter_spawner reached. */
enum {
	SANDBOX_NAMESPACES = 1, /* own mounts, network, IPC; an empty root */
	SANDBOX_OTHER_USER = 2, /* no longer root */
};

/*
 * For the spawner: dies with `parent`, ignores the terminal, no dump, no new privileges, no capabilities (but that of
 * locking memory, for `lock_memory`); empty root and no network where the kernel lets it; where it is root, becomes
 * `nobody`. Returns the bits above, or -ESRCH when the parent is gone already.
 */
int sandbox_enter_spawner(pid_t parent, bool lock_memory);

struct sandbox_limits {
	uint64_t memory_bytes; /* address space */
	unsigned seconds;      /* of processor time */
	bool lock_memory;
	uint64_t spill_bytes; /* the most that its temporary file may have; 0: it has none */
	bool has_helpers; /* threads that were made before, and are confined with the one that asks; none is made later
	                   */
};

/* Exit statuses of a worker that say more than "crashed". */
enum { WORKER_EXIT_MEMORY = 66, WORKER_EXIT_LOCK = 67, WORKER_EXIT_SANDBOX = 68, WORKER_EXIT_PIPE = 69 };

/* A worker's third descriptor, behind input and output; there is no 2. And the fourth, which it may read and write at
 * any place, where it has one. */
#define SANDBOX_WORKER_FD 3u
#define SANDBOX_SPILL_FD 4u

/*
 * For a worker, as the last thing before it reads untrusted bytes; descriptors 0, 1, 3 and the spill's stay, all others
 * are closed. From here on it may read, write, manage memory, tell the time and exit. Any other system call ends it
 * with SIGSYS (a few that the C library tries without need get an error instead). Ends the process with one of the
 * statuses above when a step fails.
 */
void sandbox_enter_worker(pid_t parent, const struct sandbox_limits *limits);
