/*
 * unusual: which hours are not a user's: said in one place, as `assayfs log summary` and the series UnusualAccesses
 * have to mean the same.
 *
 * Of a user who is known, those in which less than a hundredth of his records lie; of one who is not, the night.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define UNUSUAL_HOURS 24
#define UNUSUAL_KNOWN_NS (INT64_C(14) * 86400 * 1000000000)
#define UNUSUAL_KNOWN_RECORDS 100
#define UNUSUAL_PART 100
#define UNUSUAL_NIGHT_BEGINS 22
#define UNUSUAL_NIGHT_ENDS 6

/* 0 to 23, by clocks that are `offset_s` ahead of UTC. */
static inline unsigned unusual_hour_of(int64_t time_ns, int64_t offset_s) {
	const int64_t local_s = time_ns / 1000000000 + offset_s;
	return (unsigned)((local_s / 3600 % UNUSUAL_HOURS + UNUSUAL_HOURS) % UNUSUAL_HOURS);
}

/* Is there enough of him to know his hours? */
static inline bool unusual_knows(uint64_t records, int64_t span_ns) {
	return records >= UNUSUAL_KNOWN_RECORDS && span_ns >= UNUSUAL_KNOWN_NS;
}

/* `in_hour` of his `records` lie in that hour. */
static inline bool unusual_is(bool is_known, uint64_t in_hour, uint64_t records, unsigned hour) {
	return is_known ? in_hour * UNUSUAL_PART < records : hour >= UNUSUAL_NIGHT_BEGINS || hour < UNUSUAL_NIGHT_ENDS;
}
