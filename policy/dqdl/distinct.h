/*
 * distinct: how often each value of a column (or tuple of columns) occurs, exactly, without keeping the values.
 *
 *     slot:  | 128-bit keyed hash of the value | count |      24 bytes; open addressing, at most 3/4 full
 *
 * The hash is SipHash-2-4-128 under a key of this run, so no file can be made to collide, and two values are taken for
 * one with probability 2^-64 only after 2^32 values. The table starts small and doubles, within a budget of memory that
 * tables may share. One that would exceed it stops counting; or, if it has a spill, puts its counts there (spilled.h)
 * and begins anew, and the counts are brought together at the end, share by share. Two tables may be used by two
 * threads at once; of those that share a budget it is then chance which one gets the last of it.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/dqdl/spill.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISTINCT_KEY_BYTES 16

struct distinct_budget {
	size_t limit; /* bytes */
	_Atomic size_t used;
};

typedef struct Distinct Distinct;

/* `budget` must outlive it, and so must `spill`, which may be NULL. NULL when memory is short. */
Distinct *distinct_new(const uint8_t key[static DISTINCT_KEY_BYTES], struct distinct_budget *budget, Spill *spill);
void distinct_free(Distinct *distinct);
DEFINE_CLEANUP(Distinct, distinct_free);

/* Counts a value once more; *ret_count is how often it has occurred now, as far as that is in memory: after a spill a
 * value that occurred before may be 1 again. `line` is where it stands. -E2BIG over the budget, -ENOMEM; what the
 * spill says, with words. After any error it can but be freed. */
int distinct_add(Distinct *distinct, const void *value, size_t size, uint64_t line, uint64_t *ret_count);

/* The same in two steps, so that the places of many values are fetched at once: most lie in no cache. */
struct distinct_hash {
	uint64_t words[2];
};
struct distinct_hash distinct_look(const Distinct *distinct, const void *value, size_t size);
int distinct_add_looked(Distinct *distinct, struct distinct_hash hash, uint64_t line, uint64_t *ret_count);

/* Has the value occurred? Of one that has no spill. */
bool distinct_has(const Distinct *distinct, const void *value, size_t size);

/* How often a value has occurred. After a spill, of one that has occurred, and not before distinct_total(). -E2BIG with
 * words: so many values occurred more than once that it can't be told any more. */
int distinct_count(const Distinct *distinct, const void *value, size_t size, uint64_t *ret_count);

/* What all counts come to. */
struct distinct_totals {
	uint64_t total;      /* of all counts */
	uint64_t values;     /* different ones */
	uint64_t once;       /* values that occur once */
	uint64_t duplicated; /* occurrences of values that occur more than once */
	long double logs;    /* the sum of c ln c over all counts c */
};

/* Told, in no order, the lines on which a value came again that seemed to be new when it was counted. */
typedef void distinct_again(void *context, uint64_t line);

/* Brings all together; nothing can be counted afterwards. -E2BIG: a share does not fit into the budget; -ENOMEM; the
 * spill's errors. */
int distinct_total(Distinct *distinct, distinct_again *again, void *context, struct distinct_totals *ret_totals);

/* One more value that was counted elsewhere, so often. */
void distinct_totals_add(struct distinct_totals *totals, uint64_t count);

/* The entropy of the values' distribution, natural logarithm; there must be one. */
double distinct_entropy(const struct distinct_totals *totals);
