/*
 * spill: blocks of a check's own that do not fit into its memory, in a temporary file.
 *
 *     | sealed bytes | tag | sealed bytes | tag | …      a block is named by where it begins
 *
 * The file has no name and is gone with its last descriptor. What stands in it is sealed under a key that is drawn for
 * this spill and never leaves the process, each block at its own position, written once: nobody reads it from the disk,
 * and a block that was changed or swapped is noticed. Several threads may use one spill at once.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdint.h>

/* The most bytes of a block. */
#define SPILL_BLOCK_MAX (8u << 10)

typedef struct Spill Spill;

/* Into an empty file that is open for reading and writing, which stays the caller's. -ENOMEM, -EIO. */
int spill_new(int fd, Spill **ret_spill);
void spill_free(Spill *spill);
DEFINE_CLEANUP(Spill, spill_free);

/* Writes a block; *ret_at names it. -ENOSPC and whatever else the file says, with words. */
int spill_put(Spill *spill, struct bytes block, uint64_t *ret_at);

/* Reads the block of that size. -EBADMSG with words when it is not what was written. */
int spill_get(Spill *spill, uint64_t at, void *ret_block, size_t size);

/* What the libraries open on first use they open now: for who is confined afterwards. */
void spill_warm_up(void);

/* A file without a name in the folder that is open, for spill_new(): its descriptor. -errno with words. */
int spill_open_file(int folder);

/* "no memory for a check" in words: -ENOMEM, for spill, spilled and distinct. */
int spill_out_of_memory(void);
