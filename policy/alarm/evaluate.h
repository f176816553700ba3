/*
 * evaluate: which state an alarm is in, as Amazon CloudWatch decides it.
 *
 * Pure. The rules are those of the CloudWatch user guide, "Using Amazon CloudWatch alarms", sections "Evaluating an
 * alarm", "Configuring how CloudWatch alarms treat missing data" and "Avoiding premature transitions to alarm state"
 * (docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html):
 *
 *     - More periods are looked at than the N that decide (the evaluation range; here N + 2, as in the guide's tables).
 *     - N or more of them have data: the newest N of these decide, and how missing data is treated does not matter.
 *     - Fewer have: all of these decide, and what is missing up to N is filled in as the alarm says.
 *     - ALARM when at least M of the N breach.
 *     - `missing` and `ignore` fill in nothing. None has data: INSUFFICIENT_DATA for `missing`; `ignore` keeps the
 * state.
 *     - The premature alarm: all data there is breaches, and its oldest point is at least M periods old. `missing` then
 *       gives ALARM although fewer than M breach; `ignore` keeps the state. A younger one alone gives no ALARM, since
 *       the next may be within the threshold: `missing` gives OK then, `ignore` keeps the state.
 *
 * The guide's words on the last point and its table "2 out of 3" (row `0 - X - -`, which is OK) fit together only so,
 * that a point within the threshold anywhere in the range ends the prematurity.
 */
#pragma once

#include "backend/alarm_row.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum alarm_comparison { ALARM_ABOVE, ALARM_AT_LEAST, ALARM_BELOW, ALARM_AT_MOST };
enum alarm_missing { ALARM_MISSING, ALARM_IGNORE, ALARM_BREACHING, ALARM_NOT_BREACHING };

#define ALARM_PERIODS_MAX 1440u         /* N, of one minute */
#define ALARM_WINDOW_SECONDS_MAX 86400u /* N periods are a day at most */
#define ALARM_RANGE_EXTRA 2u            /* periods looked at beside the N */

struct alarm_rule {
	unsigned of;         /* N, "Evaluation Periods" */
	unsigned datapoints; /* M, "Datapoints to Alarm", 1 to N */
	unsigned period_s;   /* 60 and multiples */
	enum alarm_comparison comparison;
	double threshold;
	enum alarm_missing missing;
};

struct alarm_point {
	bool is_there;
	double value;
	int64_t time_s; /* the period's beginning */
};

struct alarm_decision {
	enum alarm_state state;
	char reason[ALARM_REASON_MAX + 1]; /* like CloudWatch's StateReason */
};

/* Can it be evaluated at all? -EINVAL with words: M of N, the period, N periods in a day. */
int alarm_rule_check(const struct alarm_rule *rule);

/* Of a rule that is right: how many points it is to be given. */
static inline size_t alarm_rule_range(const struct alarm_rule *rule) {
	return (size_t)rule->of + ALARM_RANGE_EXTRA;
}

/* Does the value breach the threshold? */
bool alarm_breaches(const struct alarm_rule *rule, double value);

/* "GreaterThanThreshold" …, as CloudWatch spells it. */
const char *alarm_comparison_word(enum alarm_comparison comparison);
/* "missing", "ignore", "breaching", "notBreaching". */
const char *alarm_missing_word(enum alarm_missing missing);

/* The state after `former`, by the points of the evaluation range, the newest last. A value that is not finite counts
 * as missing. */
void alarm_evaluate(const struct alarm_rule *rule, const struct alarm_point *points, size_t count,
        enum alarm_state former, struct alarm_decision *ret_decision);
