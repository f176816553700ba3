/*
 * spilled: counts of values that did not fit into memory, shared out by their hashes so that each share fits again.
 *
 *     table full ─▶ each count to its share (first byte of the hash) ─▶ blocks of the spill
 *     at the end:   share 0: block, block, … ─▶ all counts of a value stand in one share, in the order of rows
 *
 * Partitioning by hash before aggregating: Graefe, "Query evaluation techniques for large databases" (1993), 4.3.
 */
#pragma once

#include "policy/dqdl/spill.h"

#include <stddef.h>

#define SPILLED_SHARES 256u

/* How often a value occurred in one run of rows. */
struct spilled_count {
	uint64_t hash[2];
	uint64_t count;
	uint64_t line; /* on which it occurred first in that run */
};

typedef struct Spilled Spilled;

/* It keeps no more than `memory_bytes` of blocks that are not full. NULL without memory. The spill must outlive it. */
Spilled *spilled_new(Spill *spill, size_t memory_bytes);
void spilled_free(Spilled *spilled);
DEFINE_CLEANUP(Spilled, spilled_free);

/* Adds one. spill_put's errors, -ENOMEM; after any, it can but be freed. */
int spilled_add(Spilled *spilled, const struct spilled_count *count);

/* Calls for each of a share in the order in which they were added, until it returns a negative value, which is then
 * returned. spill_get's errors. */
typedef int spilled_function(void *context, const struct spilled_count *count);
int spilled_each(Spilled *spilled, unsigned share, spilled_function *function, void *context);
