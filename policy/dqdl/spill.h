/*
 * spill: blocks of a check's own that do not fit into its memory, in a temporary file.
 *
 *     block n:  | sealed bytes | tag |   at n · (SPILL_BLOCK_BYTES + tag)
 *
 * The file has no name and is gone with its last descriptor. What stands in it is sealed under a key that is drawn for
 * this spill and never leaves the process, each block at its own position, written once: nobody reads it from the disk,
 * and a block that was changed or swapped is noticed. Several threads may use one spill at once.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdint.h>

#define SPILL_BLOCK_BYTES (8u << 10)

typedef struct Spill Spill;

/* Into an empty file that is open for reading and writing, which stays the caller's. -ENOMEM, -EIO. */
int spill_new(int fd, Spill **ret_spill);
void spill_free(Spill *spill);
DEFINE_CLEANUP(Spill, spill_free);

/* Writes a block of SPILL_BLOCK_BYTES; *ret_number names it. -ENOSPC and whatever else the file says, with words. */
int spill_put(Spill *spill, const void *block, uint64_t *ret_number);

/* Reads one. -EBADMSG with words when it is not what was written. */
int spill_get(Spill *spill, uint64_t number, void *ret_block);

/* What the libraries open on first use they open now: for who is confined afterwards. */
void spill_warm_up(void);

/* A file without a name in the folder that is open, for spill_new(): its descriptor. -errno with words. */
int spill_open_file(int folder);
