#include "policy/cron.h"

#include "crypto/base/fault.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MINUTE_S 60
#define HOUR_S 3600
#define DAY_S 86400
/* 29 February can be eight years away: 1896 and 1904, 2096 and 2104. */
#define SEARCH_DAYS (9 * 366)
#define YEAR_9999_S INT64_C(253402300800)
#define COUNT_MOST 1000
/* As many minutes as are looked through at last for a schedule that is due more often than can be counted. */
#define COUNT_BACK_S (2 * DAY_S)

/* ---- reading ---- */

struct field {
	const char *name;
	unsigned least, most;
	const char *const *names; /* of least, least + 1, …; NULL: none */
};

static const char *const month_names[] = {
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
static const struct field fields[] = {{"minute", 0, 59, NULL}, {"hour", 0, 23, NULL}, {"day of the month", 1, 31, NULL},
        {"month", 1, 12, month_names}, {"day of the week", 0, 7, day_names}};
enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELD_COUNT };

static bool take_name(const char **at, const struct field *field, unsigned *ret_number) {
	for (unsigned i = 0; field->names && field->names[i]; i++)
		if (strncasecmp(*at, field->names[i], 3) == 0 && !isalpha((unsigned char)(*at)[3])) {
			*at += 3;
			*ret_number = field->least + i;
			return true;
		}
	return false;
}

static bool take_number(const char **at, const struct field *field, unsigned *ret_number) {
	size_t digits = strspn(*at, "0123456789");
	if (digits == 0)
		return field && take_name(at, field, ret_number);
	if (digits > 2)
		return false;
	*ret_number = (unsigned)strtoul(*at, NULL, 10);
	*at += digits;
	return true;
}

/* One of the comma-separated parts: a star, a number or a range, and a step. */
static bool take_part(const char **at, const struct field *field, uint64_t *bits) {
	unsigned low = field->least, high = field->most, step = 1;
	bool is_single = false;
	if (**at == '*') {
		(*at)++;
	} else {
		if (!take_number(at, field, &low))
			return false;
		high = low;
		is_single = **at != '-';
		if (!is_single && (++*at, !take_number(at, field, &high)))
			return false;
		if (field->most == 7 && high == 0 && low > 0) /* fri-sun */
			high = 7;
	}
	if (**at == '/' && (is_single || (++*at, !take_number(at, NULL, &step))))
		return false;
	if (low < field->least || high > field->most || low > high || step == 0)
		return false;
	for (unsigned i = low; i <= high; i += step)
		*bits |= UINT64_C(1) << i;
	return true;
}

static bool take_list(const char **at, const struct field *field, uint64_t *bits) {
	while (take_part(at, field, bits)) {
		if (**at != ',')
			return **at == ' ' || **at == '\t' || **at == '\0';
		(*at)++;
	}
	return false;
}

static const char *spelled_out(const char *text) {
	static const char *const words[][2] = {{"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
	        {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},
	        {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"}};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(text, words[i][0]) == 0)
			return words[i][1];
	return text;
}

/* Has one of its months one of its days? */
static bool is_ever(const struct cron *cron) {
	static const unsigned lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (!cron->days_star && !cron->weekdays_star)
		return true;
	for (unsigned month = 1; month <= 12; month++)
		for (unsigned day = 1; day <= lengths[month - 1]; day++)
			if ((cron->months >> month & 1) && (cron->days >> day & 1))
				return true;
	return false;
}

int cron_parse(const char *text, struct cron *ret_cron) {
	uint64_t bits[FIELD_COUNT] = {0};
	bool stars[FIELD_COUNT];
	const char *at = spelled_out(text);
	at += strspn(at, " \t");
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const struct field *field = &fields[i];
		if (*at == '\0')
			return fault(EINVAL, "'cron: %.60s' has %zu fields, not five: minute hour day month weekday",
			        text, i);
		stars[i] = *at == '*';
		if (!take_list(&at, field, &bits[i]))
			return fault(EINVAL,
			        "'cron: %.60s': the %s (field %zu of five) must be *, numbers from %u to %u, ranges or "
			        "steps",
			        text, field->name, i + 1, field->least, field->most);
		at += strspn(at, " \t");
	}
	if (*at != '\0')
		return fault(EINVAL, "'cron: %.60s' has more than five fields", text);
	struct cron cron = {.minutes = bits[MINUTE],
	        .hours = (uint32_t)bits[HOUR],
	        .days = (uint32_t)bits[DAY],
	        .months = (uint16_t)bits[MONTH],
	        .weekdays = (uint8_t)((bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f),
	        .days_star = stars[DAY],
	        .weekdays_star = stars[WEEKDAY],
	        .is_fixed = !stars[MINUTE] && !stars[HOUR]};
	if (!is_ever(&cron))
		return fault(EINVAL, "'cron: %.60s' never runs: none of its months has such a day", text);
	*ret_cron = cron;
	return 0;
}

/* ---- days ---- */

static int64_t floor_to(int64_t value, int64_t step) {
	int64_t rest = value % step;
	return value - (rest < 0 ? rest + step : rest);
}

static bool is_day(const struct cron *cron, int64_t local_s) {
	time_t at = (time_t)local_s;
	struct tm tm;
	if (!gmtime_r(&at, &tm) || !(cron->months >> (tm.tm_mon + 1) & 1))
		return false;
	bool day = cron->days >> tm.tm_mday & 1, weekday = cron->weekdays >> tm.tm_wday & 1;
	return cron->days_star || cron->weekdays_star ? day && weekday : day || weekday;
}

/* ---- at fixed times ---- */

/* The first of that day's times behind `after_s`. */
static bool fixed_of_day(
        const struct cron *cron, const TimeZone *zone, int64_t midnight, int64_t after_s, int64_t *ret_s) {
	for (unsigned hour = 0; hour < 24; hour++) {
		if (!(cron->hours >> hour & 1))
			continue;
		for (unsigned minute = 0; minute < 60; minute++) {
			if (!(cron->minutes >> minute & 1))
				continue;
			int64_t at = time_zone_first(zone, midnight + hour * HOUR_S + minute * MINUTE_S);
			if (at > after_s) {
				*ret_s = at;
				return true;
			}
		}
	}
	return false;
}

/* From the day before on: its clock may have been behind, and a time in a gap that ends a day is due in the next. */
static int next_fixed(const struct cron *cron, const TimeZone *zone, int64_t after_s, int64_t *ret_s) {
	int64_t midnight = floor_to(after_s + time_zone_offset(zone, after_s), DAY_S) - DAY_S;
	for (int i = 0; i < SEARCH_DAYS; i++, midnight += DAY_S)
		if (is_day(cron, midnight) && fixed_of_day(cron, zone, midnight, after_s, ret_s))
			return 0;
	return -ENOENT;
}

/* ---- by the clock's face ---- */

/* On, at most to `local_s` by the clock as it goes now; by a minute where it is changed on the way. */
static int64_t skip_to(const TimeZone *zone, int64_t at_s, int32_t offset, int64_t local_s) {
	int64_t there = local_s - offset;
	if (time_zone_offset(zone, there - 1) == offset)
		return there;
	int64_t next_hour = at_s + HOUR_S;
	return there > next_hour && time_zone_offset(zone, next_hour) == offset ? next_hour : at_s + MINUTE_S;
}

static int next_running(const struct cron *cron, const TimeZone *zone, int64_t after_s, int64_t *ret_s) {
	int64_t at = floor_to(after_s, MINUTE_S) + MINUTE_S;
	const int64_t end = at + (int64_t)SEARCH_DAYS * DAY_S;
	while (at < end) {
		int32_t offset = time_zone_offset(zone, at);
		int64_t local = at + offset, midnight = floor_to(local, DAY_S), hour = floor_to(local, HOUR_S);
		if (local % MINUTE_S != 0) /* a clock of a hundred years ago */
			at += MINUTE_S - (local - floor_to(local, MINUTE_S));
		else if (!is_day(cron, midnight))
			at = skip_to(zone, at, offset, midnight + DAY_S);
		else if (!(cron->hours >> ((local - midnight) / HOUR_S) & 1))
			at = skip_to(zone, at, offset, hour + HOUR_S);
		else if (!(cron->minutes >> ((local - hour) / MINUTE_S) & 1))
			at += MINUTE_S;
		else {
			*ret_s = at;
			return 0;
		}
	}
	return -ENOENT;
}

int cron_next(const struct cron *cron, const TimeZone *zone, int64_t after_s, int64_t *ret_s) {
	if (after_s < -YEAR_9999_S || after_s >= YEAR_9999_S)
		return -ENOENT;
	int64_t found = 0;
	int rc = cron->is_fixed ? next_fixed(cron, zone, after_s, &found) : next_running(cron, zone, after_s, &found);
	if (rc == 0)
		*ret_s = found;
	return rc;
}

int cron_last(const struct cron *cron, const TimeZone *zone, int64_t after_s, int64_t now_s, int64_t *ret_s,
        uint64_t *ret_count) {
	uint64_t count = 0;
	int64_t at = after_s, last = 0;
	while (cron_next(cron, zone, at, &at) == 0 && at <= now_s) {
		last = at;
		if (++count == COUNT_MOST && at < now_s - COUNT_BACK_S)
			at = now_s - COUNT_BACK_S;
	}
	if (count == 0)
		return -ENOENT;
	*ret_s = last;
	*ret_count = count;
	return 0;
}
