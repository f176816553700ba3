/*
 * levels: how much lies in each zone just now, for samples and charges.
 *
 * What lies on the disk is summed from the segments' rows each time. Files and what they show are counted over all
 * nodes, some thousand in an operation, when something has changed: each time while there are few, else every five
 * minutes (LEVELS_COUNT_S). What waits in staging counts as Landing's, whose key it has; the database, which belongs to
 * no zone, as ZONE_NONE's.
 *
 * Of what is used on the disk, as much as the files show is theirs; the rest is what earlier versions add. Where blocks
 * are shared by clones, or files have holes, more is shown than lies there, and earlier versions seem to add less.
 */
#pragma once

#include "backend/charge.h"
#include "backend/store.h"
#include "fs/sampler.h"

#define LEVELS_COUNT_S 300
#define LEVELS_FEW_NODES 50000

struct levels {
	struct charge_levels charge;
	uint64_t files[CHARGE_ZONES];
	double shown[CHARGE_ZONES]; /* bytes of current files, as users see them */
	uint64_t stored[CHARGE_ZONES];
};

typedef struct Levels Levels;

/* The store must outlive it. -ENOMEM. */
int levels_new(Store *store, Levels **ret_levels);
/* Accepts NULL. */
void levels_free(Levels *levels);
DEFINE_CLEANUP(Levels, levels_free);

/* How it is at `now_s`. Any thread, in no operation. */
int levels_get(Levels *levels, int64_t now_s, struct levels *ret);

/* A collector: StoredBytes, CurrentBytes, NumberOfFiles by zone, FreeBytes, Waiting, Quarantined, StaleFiles. */
int levels_collect(void *levels, struct sampler_round *round);
