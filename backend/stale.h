/*
 * stale: what is published and did not pass when it was judged again. The file stays; a later pass, another version or
 * a withdrawal ends it.
 *
 * All calls are made between meta_begin and meta_end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backend/meta.h"

struct stale {
	uint64_t version; /* that Trusted shows */
	uint64_t verdict; /* that it did not pass by */
	int64_t time_ns;  /* since when: of the first such verdict in a row */
};

/* Marks the version; one that is marked keeps its time and gets the verdict. *ret_is_new (may be NULL). */
int stale_put(Meta *m, uint64_t version, uint64_t verdict, bool *ret_is_new);
/* Nothing when it is not marked. */
int stale_clear(Meta *m, uint64_t version);
int stale_get(Meta *m, uint64_t version, struct stale *ret_stale); /* -ENOENT: it is not */

/* How many of the files that have a name are marked. */
int stale_count(Meta *m, uint64_t *ret_count);
