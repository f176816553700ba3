/*
 * metrics: the series that the mount measures once a minute, as alarms name them, and what is sensible for each.
 */
#pragma once

#include "policy/policy.h"

struct alarm_metric {
	const char *name;
	enum alarm_statistic statistic; /* where an alarm gives none */
	enum alarm_missing missing;
	unsigned period_s;
	const char *keys; /* of its labels, with a blank around each; "" for none */
};

/* The one of that name; NULL: there is none. */
const struct alarm_metric *alarm_metric_named(const char *name);

/* The name nearest to what was typed; NULL: none is near. */
const char *alarm_metric_nearest(const char *typed);
