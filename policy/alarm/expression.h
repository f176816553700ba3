/*
 * expression: metric math over several series, for alarms.
 *
 *     m1 / (m1 + m2) * 100            IF(m1 > 0, m2 / m1, 0)            RATE(FILL(m1, REPEAT))
 *
 * A series has one point a period, all series the same periods. As in CloudWatch, what is computed with a missing point
 * is missing, and so is what is no finite number (a division by 0). Names are letters, digits and '_', beginning with a
 * small letter. Functions in capital letters:
 *
 *     SUM(a, …) AVG(a, …) MIN(a, …) MAX(a, …)   of one series: over its periods, a single number; of several: each
 *                                               period by itself, over those that are not missing
 *     FILL(a, number | REPEAT)                  in the place of missing points
 *     IF(condition, then, else)                 condition: not 0, missing is missing; else may be left out
 *     RATE(a)                                   change a second since the last point that is there
 *     ABS(a), DIFF(a)                           size; change since the point before
 *
 * Comparisons (> >= < <= == !=), AND and OR give 1 or 0. Lengths, depth and counts are bounded, so that any text may be
 * parsed.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/alarm/evaluate.h"

#define ALARM_EXPRESSION_MAX 1024u /* bytes, as in CloudWatch */
#define ALARM_EXPRESSION_DEPTH 32u
#define ALARM_METRICS_MAX 10u /* series, as in CloudWatch */

typedef struct AlarmExpression AlarmExpression;

/*
 * Parses `text`, whose names have to be among `names`. -EINVAL with words "column N: what is wrong"; *ret_column (may
 * be NULL) is that column, from 1. The names must outlive nothing: the expression keeps their places.
 */
int alarm_expression_parse(const char *text, const char *const *names, size_t name_count, unsigned *ret_column,
        AlarmExpression **ret_expression);
void alarm_expression_free(AlarmExpression *expression);
DEFINE_CLEANUP(AlarmExpression, alarm_expression_free);

/* Computes the `count` points of the periods: series[i] has `count` points of name i. ret_points' times are those of
 * series[0]. -ENOMEM. */
int alarm_expression_compute(const AlarmExpression *expression, const struct alarm_point *const *series, size_t count,
        unsigned period_s, struct alarm_point *ret_points);
