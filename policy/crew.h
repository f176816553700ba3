/*
 * crew: a thread or more that help with work that comes in parts.
 *
 *     crew_begin(parts) ─▶ helpers take parts …  (the caller does something else meanwhile)
 *     crew_end()        ─▶ the caller takes parts, too, until none is left, and waits for those that were taken
 *
 * Each part is done once, in any order and by whoever is free. What was written before crew_begin() is seen by all
 * parts, and what they wrote after crew_end(). A worker makes its crew before it is confined, as it can't make threads
 * later.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Crew Crew;

/* Makes so many threads, which have come and wait when this returns. -EAGAIN with words if there can't be so many,
 * -ENOMEM. */
int crew_new(unsigned helpers, Crew **ret_crew);

/* Ends them; nothing may have been begun that was not ended. NULL is allowed. */
void crew_free(Crew *crew);
DEFINE_CLEANUP(Crew, crew_free);

/* Does one part. 0, or a negative errno with words: parts that nobody has taken yet are then left out. */
typedef int crew_function(void *context, size_t part);

/* Begins parts 0 … count-1. */
void crew_begin(Crew *crew, crew_function *function, void *context, size_t count);

/* Waits until all are done. The first error of any, with its words. */
int crew_end(Crew *crew);

/* One with a helper for a check of so many bytes; NULL where that is of no use (one processor, or work that is done
 * before a thread has begun) or can't be had: then it is done alone. */
Crew *crew_for(uint64_t bytes);
