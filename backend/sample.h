/*
 * sample: what is measured once a minute, kept for as long as CloudWatch keeps its metrics.
 *
 *      series "EstimatedCharges" "zone=Raw"
 *           60 s rows    kept for 2 days    (CloudWatch: 15)
 *          300 s rows            63 days
 *        3,600 s rows           455 days
 *
 * A row sums up what was measured in its period as CloudWatch's statistic set does (count, sum, least, most), so that
 * each statistic of a longer period is exact. A measurement goes into the rows of all three periods at once: nothing is
 * rolled up later, and what is old just ends. Where the clock is set back, measurements join the rows that are there.
 *
 * Names are letters and digits, labels `key=value` joined by commas in order of keys, "" for none. All calls between
 * meta_begin and meta_end.
 */
#pragma once

#include <stdint.h>

#include "backend/meta.h"

#define SAMPLE_NAME_MAX 64
#define SAMPLE_LABELS_MAX 512
#define SAMPLE_SERIES_MAX 5000 /* a policy with very many datasets must not fill the vault */
#define SAMPLE_VALUE_MAX 1e200 /* so that no sum leaves what a double holds */

struct sample_point {
	int64_t time_s; /* the period's beginning, since 1970 */
	double count, sum, least, most;
};

/*
 * Adds one measurement. -EINVAL: a bad name or labels, a time before 1970, a value that is no number or beyond
 * SAMPLE_VALUE_MAX either way; -EDQUOT: it would begin a series above SAMPLE_SERIES_MAX. Neither has changed anything.
 * [measured: 3.4 µs]
 */
int sample_add(Meta *m, const char *name, const char *labels, int64_t time_s, double value);

typedef int sample_point_fn(void *arg, const struct sample_point *point);

/*
 * Calls `each` for the periods of `period_s` seconds (a multiple of 60; they begin at multiples of it since 1970, in
 * UTC) that begin in [from_s, to_s), oldest first; those without a measurement are left out. Taken from the rows of the
 * longest period that divides it, which go back furthest: a period of 60 s two days, of 300 s 63, of an hour 455. A
 * series that is not there has no points. Costs about 3 µs for each moment that anything was measured at: who wants
 * months asks in parts. -EINVAL: the period.
 */
int sample_read(Meta *m, const char *name, const char *labels, int64_t from_s, int64_t to_s, unsigned period_s,
        sample_point_fn *each, void *arg);

typedef int sample_series_fn(void *arg, const char *name, const char *labels);

/* Calls `each` for every series, by name and labels. One whose last row has ended may still be among them. */
int sample_list(Meta *m, sample_series_fn *each, void *arg);

/*
 * Removes rows whose time is over, the oldest first, and series that have none left; at most `limit` of both.
 * *ret_removed: how many. What is dated after `now_s` stays.
 */
int sample_prune(Meta *m, int64_t now_s, unsigned limit, unsigned *ret_removed);
