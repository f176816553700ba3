/*
 * verdict_counts: what was judged since the round before, by dataset: Verdicts by outcome, VerdictPassRate (percent)
 * and QualityScore, the fraction of its rules that passed × 100, on average of those verdicts. From the rows of
 * verdicts, whose numbers only grow; begins with those that come after the mount.
 */
#pragma once

#include "backend/store.h"
#include "fs/sampler.h"

/* So many datasets are told apart in a round; verdicts of further ones wait for the next. */
#define VERDICT_COUNTS_DATASETS 512

typedef struct VerdictCounts VerdictCounts;

/* The store must outlive it. -ENOMEM; errors of the database. */
int verdict_counts_new(Store *store, VerdictCounts **ret_counts);
/* Accepts NULL. */
void verdict_counts_free(VerdictCounts *counts);
DEFINE_CLEANUP(VerdictCounts, verdict_counts_free);

/* Checks that were carried out, and not answered by an earlier one, in rounds since the beginning. Any thread. */
uint64_t verdict_counts_checks(const VerdictCounts *counts);

/* The collector. */
int verdict_counts_collect(void *counts, struct sampler_round *round);

/* Of the canonical JSON of a verdict: the fraction of rules that passed × 100; -1 where it has no rules. */
double verdict_counts_score(struct bytes body);
