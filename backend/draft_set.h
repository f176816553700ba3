/*
 * draft_set: nodes whose draft somebody holds in memory, and which may have no row of it yet.
 *
 * A content makes its draft's row with the first flush, which is most often the sealing itself. Until then this set
 * keeps what the row would: that a node has one draft, and is not forgotten. Thread-safe; its lock is a leaf.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/base/cleanup.h"

typedef struct DraftSet DraftSet;

/* -ENOMEM. */
int draft_set_new(DraftSet **ret);
/* Accepts NULL. */
void draft_set_free(DraftSet *set);
DEFINE_CLEANUP(DraftSet, draft_set_free);

/* -EEXIST: it is there already; -ENOMEM. */
int draft_set_add(DraftSet *set, uint64_t node);
bool draft_set_has(DraftSet *set, uint64_t node);
/* No effect if it is not there. */
void draft_set_remove(DraftSet *set, uint64_t node);
