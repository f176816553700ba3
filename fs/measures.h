/*
 * measures: the mount's sampler with the collectors of this floor, and what they count.
 *
 *     measures_new ─ sampler_add(measures_sampler(…), …) of others ─ measures_start … measures_stop
 */
#pragma once

#include "fs/costs.h"
#include "fs/sampler.h"

typedef struct Measures Measures;

/* Begins to count; nothing is measured yet. `is_read_only`: nor is anything kept, as a mount with -o ro must not make
 * the vault one that only this program reads. Store and gate must outlive it. -ENOMEM; errors of the database. */
int measures_new(Store *store, Gate *gate, bool is_read_only, Measures **ret_measures);

/* To add collectors and who is told each minute before measures_start; belongs to the measures. */
Sampler *measures_sampler(Measures *measures);

/* What the vault costs; belongs to the measures. */
Costs *measures_costs(Measures *measures);

/* Starts the thread. */
int measures_start(Measures *measures);

/* Ends it, and frees all. Accepts NULL. */
void measures_stop(Measures *measures);
DEFINE_CLEANUP(Measures, measures_stop);
