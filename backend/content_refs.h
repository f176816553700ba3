/*
 * content_refs: the block references that open contents hold in memory, which may stand in no row.
 *
 * A visit goes to each content that has map pages in memory, under that content's lock, a few contents at a time. All
 * that a content did before it was visited is seen; what is copied between contents afterwards is noted by who copies
 * (segment_note). Takes content locks, one at a time: not between meta_begin and meta_end, nor with a content locked.
 * Closing a content waits while its few are visited. What was erased has nothing in memory any more.
 */
#pragma once

#include "backend/block_ref.h"
#include "backend/version.h"

#include <stdbool.h>

struct ContentCache;

/* Begins a visit. One at a time. */
void content_visit_begin(struct ContentCache *cache);

/* May change references for others that lead to the same bytes in the same zone. A negative result ends the visit. */
typedef int content_refs_fn(void *arg, struct block_ref refs[static MAP_PAGE_REFS]);

/* Calls `fn` for each map page of some contents that were not visited yet. *ret_done: there was none left. */
int content_visit_some(struct ContentCache *cache, content_refs_fn *fn, void *arg, bool *ret_done);
