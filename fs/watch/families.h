/*
 * families: the families of metrics.h that tell of what is watched: alarms, workflows, costs,
 * backups. docs/metrics.md says what
 * each means.
 */
#pragma once

#include "backend/backup/backup.h"
#include "fs/alarm/alarms.h"
#include "fs/costs.h"
#include "fs/metrics.h"
#include "policy/gate/gate.h"

struct watch_sources {
	Meta *meta;
	Gate *gate;
	Alarms *alarms; /* NULL: they are not watched */
	Costs *costs;
	Backup *backup; /* NULL: none is made */
};

/* Adds them; `sources` must live until metrics_forget. -ENOSPC. */
int watch_add_families(Metrics *metrics, const struct watch_sources *sources);

/* When the workflow is due next, or was if nothing has begun it: behind the last time that it has a row of, and behind
 * when the policy came into force; seconds since 1970. -ENOENT: not by itself. */
int watch_due(Meta *m, const struct policy_workflow *workflow, int64_t policy_ns, int64_t *ret_s);
