#include "policy/alarm/evaluate.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Named in a reason; of more only the newest. */
#define SHOWN_MAX 5

int alarm_rule_check(const struct alarm_rule *rule) {
	if (rule->of == 0 || rule->datapoints == 0 || rule->datapoints > rule->of)
		return fault(EINVAL, "'datapoints: %u' of 'of: %u' periods: it is from 1 to as many as there are",
		        rule->datapoints, rule->of);
	if (rule->period_s == 0 || rule->period_s % 60 != 0)
		return fault(EINVAL, "a period of %u s is no whole number of minutes", rule->period_s);
	if (rule->of > ALARM_PERIODS_MAX || (uint64_t)rule->of * rule->period_s > ALARM_WINDOW_SECONDS_MAX)
		return fault(EINVAL, "%u periods of %u s are longer than a day", rule->of, rule->period_s);
	return 0;
}

bool alarm_breaches(const struct alarm_rule *rule, double value) {
	switch (rule->comparison) {
	case ALARM_ABOVE:
		return value > rule->threshold;
	case ALARM_AT_LEAST:
		return value >= rule->threshold;
	case ALARM_BELOW:
		return value < rule->threshold;
	case ALARM_AT_MOST:
		return value <= rule->threshold;
	}
	return false;
}

const char *alarm_comparison_word(enum alarm_comparison comparison) {
	static const char *const words[] = {"GreaterThanThreshold", "GreaterThanOrEqualToThreshold",
	        "LessThanThreshold", "LessThanOrEqualToThreshold"};
	return words[comparison];
}

const char *alarm_missing_word(enum alarm_missing missing) {
	static const char *const words[] = {"missing", "ignore", "breaching", "notBreaching"};
	return words[missing];
}

/* ---- counting ---- */

struct tally {
	size_t real, breaching;                     /* of those that decide */
	size_t oldest_breaching;                    /* in periods, the newest is 1 */
	const struct alarm_point *shown[SHOWN_MAX]; /* newest first */
	size_t shown_count;
};

static struct tally count_points(const struct alarm_rule *rule, const struct alarm_point *points, size_t count) {
	struct tally tally = {0};
	for (size_t i = count; i-- > 0 && tally.real < rule->of;) {
		if (!points[i].is_there || !isfinite(points[i].value))
			continue;
		tally.real++;
		if (alarm_breaches(rule, points[i].value)) {
			tally.breaching++;
			tally.oldest_breaching = count - i;
		}
		if (tally.shown_count < SHOWN_MAX)
			tally.shown[tally.shown_count++] = &points[i];
	}
	return tally;
}

static enum alarm_state decide(const struct alarm_rule *rule, const struct tally *t, enum alarm_state former) {
	size_t filled = rule->of - t->real;
	if (t->breaching >= rule->datapoints)
		return ALARM_STATE_ALARM;
	if (filled == 0)
		return ALARM_STATE_OK;
	if (rule->missing == ALARM_BREACHING)
		return t->breaching + filled >= rule->datapoints ? ALARM_STATE_ALARM : ALARM_STATE_OK;
	if (rule->missing == ALARM_NOT_BREACHING || t->real > t->breaching)
		return ALARM_STATE_OK;
	/* All data that is there breaches, or there is none. */
	if (rule->missing == ALARM_IGNORE)
		return former;
	if (t->real == 0)
		return ALARM_STATE_INSUFFICIENT_DATA;
	return t->oldest_breaching >= rule->datapoints ? ALARM_STATE_ALARM : ALARM_STATE_OK;
}

/* ---- words ---- */

static __attribute__((format(printf, 2, 3))) void add(struct alarm_decision *decision, const char *format, ...) {
	size_t used = strlen(decision->reason);
	va_list list;
	va_start(list, format);
	(void)vsnprintf(decision->reason + used, sizeof decision->reason - used, format, list);
	va_end(list);
}

/* With a point, so that it reads as CloudWatch's: 38.0, 40.5. */
static void add_number(struct alarm_decision *decision, double value) {
	char text[40];
	(void)snprintf(text, sizeof text, "%.10g", value);
	add(decision, "%s%s", text, strpbrk(text, ".en") ? "" : ".0");
}

static void add_points(struct alarm_decision *decision, const struct tally *t) {
	for (size_t i = 0; i < t->shown_count; i++) {
		time_t time = t->shown[i]->time_s;
		struct tm tm;
		char when[80];
		if (!gmtime_r(&time, &tm))
			tm = (struct tm){.tm_mday = 1};
		(void)snprintf(when, sizeof when, "%02d/%02d/%02d %02d:%02d:%02d", tm.tm_mday, tm.tm_mon + 1,
		        tm.tm_year % 100, tm.tm_hour, tm.tm_min, tm.tm_sec);
		add(decision, i ? ", " : " [");
		add_number(decision, t->shown[i]->value);
		add(decision, " (%s)", when);
	}
	add(decision, t->real > t->shown_count ? ", …]" : t->shown_count ? "]" : "");
}

static const char *compared(enum alarm_comparison comparison) {
	static const char *const words[] = {
	        "greater than", "greater than or equal to", "less than", "less than or equal to"};
	return words[comparison];
}

/* "3 out of the last 3 datapoints [40.0 (28/11/26 04:15:00), …] were greater than the threshold (38.0) (minimum 1
 * datapoint for OK -> ALARM transition)." */
static void say_crossed(const struct alarm_rule *rule, const struct tally *t, struct alarm_decision *decision) {
	bool is_alarm = decision->state == ALARM_STATE_ALARM;
	size_t counted = is_alarm ? t->breaching : t->real - t->breaching;
	size_t least = is_alarm ? rule->datapoints : rule->of - rule->datapoints + 1;
	add(decision, "%zu out of the last %zu datapoint%s", counted, t->real, t->real == 1 ? "" : "s");
	add_points(decision, t);
	add(decision, " %s %s the threshold (",
	        counted == 1 ? is_alarm ? "was" : "was not"
	        : is_alarm   ? "were"
	                     : "were not",
	        compared(rule->comparison));
	add_number(decision, rule->threshold);
	add(decision, ") (minimum %zu datapoint%s for %s transition).", least, least == 1 ? "" : "s",
	        is_alarm ? "OK -> ALARM" : "ALARM -> OK");
}

/* All data there is breaches, and is too little or too young for an alarm. */
static void say_too_few(const struct alarm_rule *rule, const struct tally *t, struct alarm_decision *decision) {
	add(decision, "only %zu datapoint%s received", t->real, t->real == 1 ? " was" : "s were");
	add_points(decision, t);
	add(decision, " and %s the threshold (", compared(rule->comparison));
	add_number(decision, rule->threshold);
	add(decision, "), where %u are needed for OK -> ALARM transition.", rule->datapoints);
}

static void explain(const struct alarm_rule *rule, const struct tally *t, struct alarm_decision *decision) {
	size_t filled = rule->of - t->real;
	decision->reason[0] = '\0';
	if (t->real == 0 && (rule->missing == ALARM_MISSING || rule->missing == ALARM_IGNORE)) {
		add(decision, "Insufficient Data: %u datapoint%s unknown.", rule->of,
		        rule->of == 1 ? " was" : "s were");
		return;
	}
	add(decision, "Threshold Crossed: ");
	if (t->real == 0)
		add(decision, "no datapoints were received for %u period%s", rule->of, rule->of == 1 ? "" : "s");
	else if (decision->state == ALARM_STATE_OK && t->real == t->breaching)
		say_too_few(rule, t, decision);
	else
		say_crossed(rule, t, decision);
	if (filled == 0 || rule->missing == ALARM_MISSING || rule->missing == ALARM_IGNORE)
		return;
	add(decision, " and %zu missing datapoint%s treated as [%s].", filled, filled == 1 ? " was" : "s were",
	        rule->missing == ALARM_BREACHING ? "Breaching" : "NonBreaching");
}

void alarm_evaluate(const struct alarm_rule *rule, const struct alarm_point *points, size_t count,
        enum alarm_state former, struct alarm_decision *ret_decision) {
	struct tally tally = count_points(rule, points, count);
	ret_decision->state = decide(rule, &tally, former);
	explain(rule, &tally, ret_decision);
}
