/*
 * fnv: FNV-1a, 64 bits, for tables in memory: of names that nobody chooses to collide, or where that only costs time.
 * draft-eastlake-fnv-21.
 */
#pragma once

#include <stdint.h>

#include "crypto/base/bytes.h"

/* The hash of the bytes; `seed` sets tables of the same bytes apart. Folded, so that any of its bits may be used. */
static inline uint64_t fnv1a(uint64_t seed, struct bytes bytes) {
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;
	for (size_t i = 0; i < bytes.size; i++)
		hash = (hash ^ bytes.data[i]) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}
