#include "policy/time_zone.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#define HOUR_S 3600

/* No clock is further from UTC; some were for a day, when a date was left out. */
#define OFFSET_MOST_S (16 * HOUR_S)

struct TimeZone {
	GTimeZone *zone;
};

/* GLib also takes "+01:00", "EST5EDT,M3.2.0,M11.1.0" and paths: names alone are meant. */
static bool is_name(const char *name) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
	size_t length = strlen(name);
	bool begins = (name[0] >= 'A' && name[0] <= 'Z') || (name[0] >= 'a' && name[0] <= 'z');
	return length > 0 && length <= TIME_ZONE_NAME_MAX && begins && name[strspn(name, letters)] == '\0' &&
	       name[length - 1] != '/' && !strstr(name, "//");
}

int time_zone_open(const char *name, TimeZone **ret_zone) {
	if (!is_name(name))
		return fault(EINVAL, "'%.64s' is no time zone's name; write one like America/Vancouver", name);
	TimeZone *made = calloc(1, sizeof *made);
	if (!made)
		return fault(ENOMEM, "reading a time zone");
	made->zone = g_time_zone_new_identifier(strcmp(name, "UTC") == 0 ? "UTC" : name);
	if (!made->zone) {
		free(made);
		return fault(EINVAL, "this machine knows no time zone '%.64s'; write one like America/Vancouver", name);
	}
	*ret_zone = made;
	return 0;
}

void time_zone_free(TimeZone *zone) {
	if (!zone)
		return;
	g_time_zone_unref(zone->zone);
	free(zone);
}

int32_t time_zone_offset(const TimeZone *zone, int64_t at_s) {
	int interval = g_time_zone_find_interval(zone->zone, G_TIME_TYPE_UNIVERSAL, at_s);
	return interval < 0 ? 0 : g_time_zone_get_offset(zone->zone, interval);
}

/* The first second in (`from`, `to`] whose offset is that of `to`, which that of `from` is not. */
static int64_t find_change(const TimeZone *zone, int64_t from, int64_t to) {
	int32_t after = time_zone_offset(zone, to);
	while (to - from > 1) {
		int64_t middle = from + (to - from) / 2;
		if (time_zone_offset(zone, middle) == after)
			to = middle;
		else
			from = middle;
	}
	return to;
}

/* Steps of an hour: no clocks were ever changed twice in one. */
int64_t time_zone_first(const TimeZone *zone, int64_t local_s) {
	int64_t from = local_s - OFFSET_MOST_S;
	int32_t before = time_zone_offset(zone, from);
	for (int64_t to = from + HOUR_S; to <= local_s + OFFSET_MOST_S + 24 * HOUR_S; from = to, to += HOUR_S) {
		int32_t offset = time_zone_offset(zone, to);
		int64_t at = local_s - before;
		int64_t change = offset == before ? to : find_change(zone, from, to);
		if (at < change)
			return at;
		if (offset != before && change + offset >= local_s)
			return change;
		before = offset;
	}
	return local_s - before; /* not reached: the clock would have to stand still */
}

const char *time_zone_text(const TimeZone *zone, int64_t at_s, char ret_text[static TIME_ZONE_TEXT_BYTES]) {
	int32_t offset = time_zone_offset(zone, at_s);
	time_t local = (time_t)(at_s + offset);
	struct tm tm;
	char date[24];
	if (!gmtime_r(&local, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099 ||
	        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
		(void)snprintf(ret_text, TIME_ZONE_TEXT_BYTES, "@%" PRId64, at_s);
		return ret_text;
	}
	int minutes = abs(offset) / 60;
	if (offset == 0)
		(void)snprintf(ret_text, TIME_ZONE_TEXT_BYTES, "%sZ", date);
	else
		(void)snprintf(ret_text, TIME_ZONE_TEXT_BYTES, "%s%c%02d:%02d", date, offset < 0 ? '-' : '+',
		        minutes / 60 % 100, minutes % 60);
	return ret_text;
}
