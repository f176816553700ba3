/*
 * gate_stats: what the gate decided since the mount began: verdicts by dataset, findings of personal data by detector,
 * and how long checks took. Numbers alone: no path, no user, nothing of a file's content.
 *
 *     judge_check ─ gate_stats_checked          judge_record ─ gate_stats_decided (verdict and findings)
 *
 * Names come from policies and are bounded in number: those beyond GATE_STATS_NAMES are counted together under "". A
 * verdict whose operation fails in its last step is counted all the same.
 *
 * Thread-safe; its lock is a leaf.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "crypto/base/histogram.h"
#include "policy/check.h"

#define GATE_STATS_NAMES 256u

typedef struct GateStats GateStats;

/* -ENOMEM. */
int gate_stats_new(GateStats **ret);
/* Accepts NULL. */
void gate_stats_free(GateStats *stats);
DEFINE_CLEANUP(GateStats, gate_stats_free);

/* There is such a dataset: it is told of with zeros, so that its first verdict is seen as an increase. */
void gate_stats_know(GateStats *stats, const char *dataset);

/* A check in a worker took so long, whatever came of it. */
void gate_stats_checked(GateStats *stats, int64_t ns);

/* A verdict on a file of `dataset` (NULL: none governs it) was recorded, with what was found by the check. */
void gate_stats_decided(
        GateStats *stats, const char *dataset, enum outcome outcome, bool is_waived, const struct check_result *result);

/* What a verdict says, in the order of the counters. */
enum gate_decided { GATE_PASSED, GATE_FAILED, GATE_ERROR, GATE_WAIVED, GATE_DECISIONS };
const char *gate_decided_word(enum gate_decided decided);

struct gate_dataset_view {
	const char *dataset; /* "": none, or one of too many */
	uint64_t verdicts[GATE_DECISIONS];
};
typedef void gate_dataset_fn(void *arg, const struct gate_dataset_view *view);

struct gate_finding_view {
	const char *detector; /* the kind of personal data: EMAIL, …; COLUMN */
	const char *action;   /* what the policy says to do about it; "report" where it was too little to act on */
	uint64_t cells;
};
typedef void gate_finding_fn(void *arg, const struct gate_finding_view *view);

/* The datasets that are known or had a verdict, the one without a name always; and the findings. Both call `each` with
 * the lock held: it may not call back. */
void gate_stats_datasets(GateStats *stats, gate_dataset_fn *each, void *arg);
void gate_stats_findings(GateStats *stats, gate_finding_fn *each, void *arg);

/* How long checks took. */
void gate_stats_checks(GateStats *stats, struct histogram_view *ret);
