/*
 * access_counts: how many accesses were refused, and how many came at unusual hours, counted as their records are made.
 *
 *      audit_record ─► denied: +1
 *                   ─► its user's hour of the day: seldom used ─► unusual: +1
 *
 * Reading a minute's records back would take a second for 100,000 of them; counting them here takes less than 80 ns
 * each. [measured]
 *
 * An hour of the day is unusual as audit_summary.h has it: for a user of whom 100 records over at least 14 days were
 * seen, one that has less than one in a hundred of them; of whom less was seen, from 22:00 to 06:00. Hours are those of
 * the machine's time zone. What was seen is in memory: it begins anew with each mount. Openings, changes and refusals
 * count, and who lends himself a right (breaks the glass) at any hour; what the mount does by itself never does.
 */
#pragma once

#include "backend/store.h"
#include "fs/sampler.h"

typedef struct AccessCounts AccessCounts;

/* Begins to count; the store must outlive it. -ENOMEM. */
int access_counts_new(Store *store, AccessCounts **ret_counts);
/* Counts no more. Accepts NULL. */
void access_counts_free(AccessCounts *counts);
DEFINE_CLEANUP(AccessCounts, access_counts_free);

/* Since the beginning. Any thread. */
uint64_t access_counts_denied(const AccessCounts *counts);
uint64_t access_counts_unusual(const AccessCounts *counts);

/* Seconds east of UTC that hours are reckoned by from now on; the collector sets it to the machine's. Any thread. */
void access_counts_zone(AccessCounts *counts, int32_t offset_s);

/* A collector: DeniedAccesses, UnusualAccesses, AuditFailures since the round before. */
int access_counts_collect(void *counts, struct sampler_round *round);
