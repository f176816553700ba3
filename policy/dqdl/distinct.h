/*
 * distinct: how often each value of a column (or tuple of columns) occurs, exactly, without keeping the values.
 *
 *     slot:  | 128-bit keyed hash of the value | count |      24 bytes; open addressing, at most 3/4 full
 *
 * The hash is SipHash-2-4-128 under a key of this run, so no file can be made to collide, and two values are taken for
 * one with probability 2^-64 only after 2^32 values. The table starts small and doubles; all tables of a run share one
 * budget of memory, and one that would exceed it stops counting. Two tables may be used by two threads at once.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISTINCT_KEY_BYTES 16

struct distinct_budget {
	size_t limit; /* bytes */
	_Atomic size_t used;
};

typedef struct Distinct Distinct;

/* `budget` must outlive it. NULL when memory is short. */
Distinct *distinct_new(const uint8_t key[static DISTINCT_KEY_BYTES], struct distinct_budget *budget);
void distinct_free(Distinct *distinct);
DEFINE_CLEANUP(Distinct, distinct_free);

/* Counts a value once more; *ret_count is how often it has occurred now. -ENOSPC over the budget, -ENOMEM. */
int distinct_add(Distinct *distinct, const void *value, size_t size, uint64_t *ret_count);

/* How often a value has occurred. */
uint64_t distinct_count(const Distinct *distinct, const void *value, size_t size);

struct distinct_summary {
	uint64_t total;      /* of all counts */
	uint64_t values;     /* different ones */
	uint64_t once;       /* values that occur once */
	uint64_t duplicated; /* occurrences of values that occur more than once */
	double entropy;      /* natural logarithm, over `total` + `others` */
};

/* `others`: occurrences of one more value that was counted elsewhere (0: none); it is part of the summary. */
struct distinct_summary distinct_summarize(const Distinct *distinct, uint64_t others);
