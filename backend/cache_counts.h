/*
 * cache_counts: how often a cache had what was asked of it.
 */
#pragma once

#include <stdint.h>

struct cache_counts {
	uint64_t hits, misses;
};

/* One more question. Guarded as the cache is. */
static inline void cache_count(struct cache_counts *counts, int had) {
	*(had ? &counts->hits : &counts->misses) += 1;
}
