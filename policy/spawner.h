/*
 * spawner: the process that forks workers, and how the daemon talks to it. For worker.c only.
 *
 * A request is one packet on the control socket with descriptors: the worker's input, its result, its references,
 * where its end is told, and of large files a temporary file (dqdl/spill.h). The input begins with a u32 length and
 * that many bytes of job (JSON); then comes the file; then, for a job that says so, the file again, as long as the
 * worker reads. The references are those of the job, one behind the other and each just as long as the job says. The
 * result is three u32 lengths and that many bytes: JSON, a packed list of rows (row_list.h), one of edits
 * (edit_list.h); of each list perhaps none. All integers are the machine's own: both ends are one program.
 *
 * Files and references have channels of their own because the worker reads them in an order that only it knows: the
 * file's header, however long, then the references, then the file's rows. The daemon gives each what it takes.
 */
#pragma once

#include "policy/check.h"
#include "policy/lane.h"

#include <sys/types.h>

#define SPAWN_MAGIC 0x57415359u
#define SPAWN_WORKERS_MAX LANE_MOST

struct spawn_hello {
	uint32_t magic;
	int32_t reached; /* bits of sandbox.h, or -errno */
};

struct spawn_request {
	uint32_t magic;
	uint32_t seconds; /* wall and processor */
	uint64_t memory_bytes;
	uint32_t lock_memory;
	uint32_t may_have_crew; /* where one is of use */
	uint64_t bytes;         /* of the file */
	uint64_t spill_bytes;   /* the most for its temporary file, whose descriptor is the last; 0: there is none */
};

enum {
	SPAWN_FD_INPUT = 0,
	SPAWN_FD_RESULT = 1,
	SPAWN_FD_STATUS = 2,
	SPAWN_FD_REFERENCES = 3,
	SPAWN_FD_SPILL = 4,
	SPAWN_FDS = 5, /* one fewer without a spill */
};

/* What an answer begins with. */
struct spawn_lengths {
	uint32_t json, rows, edits;
};

enum spawn_end { SPAWN_ENDED = 1, SPAWN_TIMED_OUT = 2, SPAWN_NOT_STARTED = 3 };

struct spawn_status {
	uint32_t magic;
	uint32_t end;  /* enum spawn_end */
	int32_t value; /* wait status, or errno when not started */
};

/* The spawner's whole life, in the forked process: never returns. `control` is its only descriptor worth keeping. */
_Noreturn void spawner_main(int control, pid_t parent, check_function *check, bool lock_memory);
