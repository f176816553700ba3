/*
 * cron: when a schedule of five fields is due.
 *
 *      59 23 * * 0          minute hour day-of-month month day-of-week
 *      *  1,5  2-6  * /10   all, a list, a range, a step (without the blank)
 *
 * Months and weekdays have names too (jan, sun); Sunday is 0 and 7. @hourly, @daily, @midnight, @weekly, @monthly,
 * @yearly and @annually stand for what they say. Where both days are restricted (neither begins with a star) either
 * makes a day one of the schedule's, else both have to: as in Vixie's cron, which Debian's is.
 *
 * Clocks that are changed, as Debian's cron treats them:
 *
 *                          a time that is skipped             a time that comes twice
 *      at fixed times      once, at the end of the gap        once, the first time
 *      minute or hour      not: there is no such minute       each time: it goes by the clock's face,
 *      begins with a star                                     whatever that was before
 *
 * So `30 2 * * *` is due every day of the year, once, and `*` in the hour each real hour.
 */
#pragma once

#include "policy/time_zone.h"

#include <stdbool.h>
#include <stdint.h>

struct cron {
	uint64_t minutes; /* bits 0 to 59 */
	uint32_t hours;   /* 0 to 23 */
	uint32_t days;    /* 1 to 31 */
	uint16_t months;  /* 1 to 12 */
	uint8_t weekdays; /* 0 to 6 */
	bool days_star, weekdays_star;
	bool is_fixed; /* at fixed times of the day */
};

/* -EINVAL with words that name the field, and for a schedule that is never due (30 February). */
int cron_parse(const char *text, struct cron *ret_cron);

/* The first time it is due after `after_s` (seconds since 1970). -ENOENT: not before the year 9999. */
int cron_next(const struct cron *cron, const TimeZone *zone, int64_t after_s, int64_t *ret_s);

/*
 * The last time it was due after `after_s` and not after `now_s`, and how many those are: beyond 1,000 of them some are
 * left out of the count. -ENOENT: none.
 */
int cron_last(const struct cron *cron, const TimeZone *zone, int64_t after_s, int64_t now_s, int64_t *ret_s,
        uint64_t *ret_count);
