/*
 * worker: checks that run without keys, in processes that can do nothing but read one file and answer.
 *
 *     daemon (keys, threads)                spawner (no keys, one thread)         worker (one a job)
 *     spawner_check() ── job, descriptors ─> fork ───────────────────────────────> sandbox, check_function
 *        │  feeds plaintext ──────────────────────────────────────────────────>   input, references
 *        │  reads, as hostile bytes <──────────────────────────────────────────   result (JSON)
 *        └─ status <──────────────────────── wait status, or "time is up"
 *
 * spawner_start must be called before a key is unlocked, before any thread is made and before the mount: the spawner is
 * a copy of the process as it was then. It gives up privileges, mounts, network and names space where it may, and dies
 * with its parent. A worker has descriptors 0, 1 and 3, of a large file also that of a temporary file
 * (spawner_spill_into), limits on memory, time and size, and a system call list of a dozen; any other call kills it.
 *
 * Whatever happens to a worker, it ends as a result: a crash, a limit, silence or garbage is outcome `error` with words
 * that say which. If the spawner itself is gone, checks fail closed: `error`, "… mount again"; it is not started anew,
 * since by then the process holds keys that a copy of it would inherit.
 *
 * Two lanes, so that a small file (under SPAWNER_SMALL_BYTES) never waits behind large ones. In a lane users take
 * turns, and none has all of its workers while it has more than one: so whoever asks for the first time waits for no
 * longer than one check, whatever another has waiting.
 */
#pragma once

#include "policy/check.h"

#define SPAWNER_SMALL_BYTES (1u << 20)

typedef struct Spawner Spawner;

/* Zeros are the defaults. */
struct spawner_options {
	check_function *check;  /* default check_table */
	unsigned small_workers; /* at once in the lane of small files; default 4 */
	unsigned large_workers; /* at once in the other; default 2 */
	uint64_t memory_bytes;  /* a worker's address space for a small file; default 512 MiB, and four times the file
	                           and  its references on top, but no more than half of the machine's memory */
	unsigned seconds;       /* wall and processor time for a small file; default 60, and 1 s per MiB on top */
	bool lock_memory;       /* a worker that can't lock its memory answers `error` instead of risking swap */
	bool require_sandbox;   /* fail to start where namespaces are not to be had, instead of going without them */
};

/*
 * Forks the spawner. `options` may be NULL. Words name what failed. After 0, spawner_stop ends it and all its workers.
 * -EBUSY when the process has more than one thread.
 */
int spawner_start(const struct spawner_options *options, Spawner **ret_spawner);
void spawner_stop(Spawner *spawner);
DEFINE_CLEANUP(Spawner, spawner_stop);

/* Lets checks of large files put aside in that folder, in files without a name, what does not fit into their memory: up
 * to 1 GiB and 64 times the file, but no more than a quarter of what is free there. Till then they say that they can't.
 * Before the first check. -errno with words. */
int spawner_spill_into(Spawner *spawner, const char *folder);

/* What confines the workers here, in words ("user, mount and network namespaces, seccomp, limits"), for status. */
const char *spawner_confinement(const Spawner *spawner);

/* Is the spawner there? When not, every check is `error` until the vault is mounted again. */
bool spawner_alive(Spawner *spawner);

/* The spawner's process id, for status and tests. */
pid_t spawner_pid(const Spawner *spawner);

struct check_request {
	const struct check_job *job;
	/* Called in the caller's thread until it says 0; so are the job's references', as far as the worker takes what
	 * they give. With `again`, the worker may read all of it a second time to tell rows apart, and job->size must
	 * be how long it is; it does so for a file that fails only. */
	struct check_input input;
	uint32_t user; /* for whom: users take turns */
	/* NULL, or asked all the time that the check takes: a negative answer ends it, and is the call's. */
	int (*interrupted)(void *arg);
	void *interrupted_arg;
};

struct check_outcome {
	struct check_result *result; /* the caller's */
	uint8_t sha256[32];          /* of all that the input gave, the first time */
	uint64_t size;
};

/*
 * Runs one check and waits for it. Thread-safe; callers beyond the lane's workers wait their turn. Returns 0 with a
 * result (which may well be `error`), or -errno when the input could not be read (the reader's own error: nothing is
 * decided, the job may be tried again) or there is no memory.
 */
int spawner_check(Spawner *spawner, const struct check_request *request, struct check_outcome *ret_outcome);
