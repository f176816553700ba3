/*
 * census: how much lies in each zone, by queries that have a bound.
 *
 *      segment rows ─► bytes on the disk, and how many of them nothing needs any more     one row for some 10 MiB
 *      node rows    ─► files and the bytes that they show                                 so many rows at a time
 *
 * All between meta_begin and meta_end.
 */
#pragma once

#include "backend/meta.h"
#include "backend/usage.h"

#define CENSUS_ZONES USAGE_ZONES

/* Of segments. What no walk of the collector has looked at yet counts as used. */
struct census_stored {
	uint64_t bytes, dead;
};

/* By zone. */
int census_stored(Meta *m, struct census_stored ret_zones[static CENSUS_ZONES]);

/* Regular files with a name. */
struct census_files {
	uint64_t files, bytes;
};

/*
 * Adds the files among the next `limit` nodes behind *after (0: from the first), and moves it on. 1: there may be more;
 * 0: that was the last. What changes between two calls may be counted or not. [measured: 0.14 µs a node]
 */
int census_count(Meta *m, uint64_t *after, unsigned limit, struct census_files zones[static CENSUS_ZONES]);

/* The number of the last verdict; 0: none. */
int census_last_verdict(Meta *m, uint64_t *ret_id);

/* How many files are published and did not pass when they were judged again. */
int census_stale(Meta *m, uint64_t *ret_count);
