/*
 * activity: what was asked of the mount and what its workflows did, since the round before: collectors of the sampler.
 *
 *     Operations, ReadBytes, WrittenBytes                        from the counters of operation_stats.h
 *     WorkflowSucceeded, WorkflowFailed, WorkflowMissed          from the rows of runs; timed out counts as failed
 *
 * Each round gives a value, 0 too, so that an alarm can tell "nothing" from "nobody was there".
 */
#pragma once

#include "fs/operation_stats.h"
#include "fs/sampler.h"
#include "policy/gate/gate.h"

/* The collectors' own; one thread. */
struct activity {
	Store *store;
	Gate *gate;
	const OperationStats *operations;
	struct operation_totals before;
	int64_t looked_ns; /* runs that ended up to then are told */
};

/* From now on. Store, gate and stats must outlive it. */
void activity_begin(struct activity *activity, Store *store, Gate *gate, const OperationStats *operations);

/* Collectors; `activity` is a struct activity. */
int activity_collect_operations(void *activity, struct sampler_round *round);
/* The same of the policy's workflows, all in one operation. */
int activity_collect_workflows(void *activity, struct sampler_round *round);
