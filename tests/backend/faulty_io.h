/*
 * faulty_io: a vault on a real directory whose disk fails when the test says so.
 */
#pragma once

#include "backend/vault_io.h"

/* What a call is asked before it is carried out. */
enum faulty_call {
	FAULTY_WRITE,
	FAULTY_SYNC,
	FAULTY_SYNC_DIR,
	FAULTY_TRUNCATE,
	FAULTY_OPEN,
	FAULTY_UNLINK,
	FAULTY_EXPECT, /* a hint, which can't fail: the answer counts nothing */
	FAULTY_FREE,   /* how much is free: *ret_written is what is, and what will be told; nor does the answer count */
};

/*
 * Decides over a call on file `name`: 0 lets it go on, -errno fails it with that. For FAULTY_WRITE *ret_written (preset
 * to 0) says how many of `size` bytes reach the disk before the failure. Called from any thread.
 */
typedef int faulty_fn(
        void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written);

/* Opens the directory `path`; `fail` may be NULL. Close with vault_io_close. */
int faulty_io_open(const char *path, faulty_fn *fail, void *arg, VaultIo **ret_io);
