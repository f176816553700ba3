/*
 * histogram: how long something took, counted into buckets that everybody uses alike, without a lock.
 *
 *     50 us   100 us   250 us   500 us   1 ms   2.5   5   10   25   50   100   250   500   1 s   2.5   5   10   longer
 *       │        │        │        │       │      │     │   │    │    │     │     │     │    │    │    │    │     │
 *     a time goes into the first bucket whose bound it does not exceed
 *
 * The bounds span what is asked about: a request that the cache answers takes some 10 us, a commit a few ms, a check of
 * a file seconds. All histograms have the same ones, so that their sums mean something.
 *
 * All zero is an empty one: it needs no making and no freeing. Any thread may add and read at any time; a read that
 * meets additions has each of them wholly in its buckets or not at all, its sum may be some additions behind.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 17

struct histogram {
	_Atomic uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* the last: longer than the last bound */
	_Atomic uint64_t sum_ns;
};

struct histogram_view {
	uint64_t up_to[HISTOGRAM_BOUNDS]; /* how many took no longer than the bound */
	uint64_t count;                   /* all */
	uint64_t sum_ns;
};

/* Bound `i`, in nanoseconds; they rise. */
uint64_t histogram_bound_ns(size_t i);

/* The same in seconds, as both formats of Prometheus want to see it in `le`. */
const char *histogram_bound_text(size_t i);

/* Negative times, of a clock that was asked twice at once, count as 0. */
void histogram_add(struct histogram *histogram, int64_t ns);

/* What was counted so far, each bucket with those below it. */
void histogram_read(const struct histogram *histogram, struct histogram_view *ret);
