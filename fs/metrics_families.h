/*
 * metrics_families: the families of metrics.h that tell of the mount itself: what was asked of it, its store and disk,
 * its gate. docs/metrics.md says what each means.
 */
#pragma once

#include <stdint.h>

#include "backend/store.h"
#include "fs/metrics.h"
#include "fs/operation_stats.h"
#include "policy/gate/gate.h"

struct metrics_sources {
	Store *store;
	Gate *gate;
	Spawner *spawner;
	OperationStats *operations;
	int64_t mounted_ns; /* since 1970 */
};

/* Adds them; `sources` must live until metrics_forget. -ENOSPC. */
int metrics_add_families(Metrics *metrics, const struct metrics_sources *sources);
