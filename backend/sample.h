/*
 * sample: what is measured once a minute, kept for as long as CloudWatch keeps its metrics.
 *
 *      series "EstimatedCharges" "zone=Raw"
 *        60 s rows ── 2 days ──► 300 s rows ── 63 days ──► 3,600 s rows ── 455 days ──► gone
 *
 * A row sums up what was measured in its period as CloudWatch's statistic set does (count, sum, least, most), so that
 * each statistic of a longer period is exact. Names are letters, labels `key=value` joined by commas in order of
 * keys, "" for none. All between meta_begin and meta_end.
 */
#pragma once

#include <stdint.h>

#include "backend/meta.h"

#define SAMPLE_NAME_MAX 64
#define SAMPLE_LABELS_MAX 512
#define SAMPLE_SERIES_MAX \
	5000 /* more are refused (-ENOSPC): a policy with very many datasets must not fill the vault */

struct sample_point {
	int64_t time_s; /* the period's beginning, since 1970 */
	double count, sum, least, most;
};

/* Adds one measurement to the rows of all periods that `time_s` lies in. -EINVAL: not finite, or a bad name. */
int sample_add(Meta *m, const char *name, const char *labels, int64_t time_s, double value);

typedef int sample_point_fn(void *arg, const struct sample_point *point);

/*
 * Calls `each` for the periods of `period_s` seconds (a multiple of 60) that begin in [from_s, to_s), oldest first;
 * those without a measurement are left out. Taken from the finest rows that divide the period and still are there. A
 * series that is not there has no points. -EINVAL: the period.
 */
int sample_read(Meta *m, const char *name, const char *labels, int64_t from_s, int64_t to_s, unsigned period_s,
        sample_point_fn *each, void *arg);

typedef int sample_series_fn(void *arg, const char *name, const char *labels);

/* Calls `each` for every series, by name and labels. */
int sample_list(Meta *m, sample_series_fn *each, void *arg);

/* Removes rows whose time is over, at most `limit`. *ret_removed: how many. */
int sample_prune(Meta *m, int64_t now_s, unsigned limit, unsigned *ret_removed);
