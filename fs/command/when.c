#include "fs/command/when.h"

#include "crypto/base/fault.h"
#include "fs/idle.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NS INT64_C(1000000000)
#define SECONDS_MAX INT64_C(9223372035) /* the last whole second that nanoseconds in 63 bits can tell */

static int not_a_time(const char *text) {
	return fault(EINVAL,
	        "'%s' is no time: write 2026-11-22, \"2026-11-22 10:15\", 10:15, 2026-11-22T10:15:02Z, today, "
	        "yesterday, now, -90min, -2h, -3d or @SECONDS",
	        text);
}

static int out_of_range(const char *text) {
	return fault(ERANGE, "'%s' is not between the years 1970 and 2261", text);
}

int64_t when_now(void) {
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * NS + now.tv_nsec;
}

/* Up to `most` digits; moves *at beyond them. -1 when there is none. */
static int64_t take_number(const char **at, int most) {
	int64_t number = 0;
	int taken = 0;
	while (taken < most && isdigit((unsigned char)**at)) {
		number = number * 10 + (*(*at)++ - '0');
		taken++;
	}
	return taken ? number : -1;
}

static bool take_char(const char **at, const char *any_of) {
	if (**at == '\0' || !strchr(any_of, **at))
		return false;
	(*at)++;
	return true;
}

/* ---- durations ---- */

static int64_t unit_seconds(const char *unit) {
	static const struct {
		const char *names;
		int64_t seconds;
	} units[] = {
	        {" s sec secs second seconds ", 1},
	        {" m min mins minute minutes ", 60},
	        {" h hour hours ", 3600},
	        {" d day days ", 86400},
	        {" w week weeks ", 7 * 86400},
	};
	char wanted[16];
	size_t length = strlen(unit);
	if (length == 0 || length + 3 > sizeof wanted)
		return 0;
	wanted[0] = ' ';
	for (size_t i = 0; i < length; i++)
		wanted[i + 1] = (char)tolower((unsigned char)unit[i]);
	memcpy(wanted + length + 1, " ", 2);
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strstr(units[i].names, wanted))
			return units[i].seconds;
	return 0;
}

/* "-1h", "90 min ago", "2d": an instant before now. -EINVAL without words when it is nothing of the kind. */
static int parse_duration(const char *text, int64_t now_ns, struct when *ret_when) {
	const char *at = text;
	(void)take_char(&at, "-");
	int64_t number = take_number(&at, 9);
	at += strspn(at, " ");
	char unit[16];
	size_t length = strcspn(at, " ");
	if (number < 0 || length == 0 || length >= sizeof unit)
		return -EINVAL;
	memcpy(unit, at, length);
	unit[length] = '\0';
	at += length;
	at += strspn(at, " ");
	int64_t seconds = unit_seconds(unit);
	if (seconds == 0 || (*at && strcasecmp(at, "ago") != 0))
		return -EINVAL;
	if (number > now_ns / NS / seconds)
		return out_of_range(text);
	ret_when->first = ret_when->last = now_ns - number * seconds * NS;
	return 0;
}

int when_duration(const char *text, int64_t *ret_ns) {
	struct when when;
	bool is_span = *text >= '0' && *text <= '9' && !strcasestr(text, "ago");
	if (!is_span || parse_duration(text, INT64_MAX, &when) < 0)
		return fault(EINVAL, "'%.60s' is no span of time; write it like 90m, 1h or 2d", text);
	*ret_ns = INT64_MAX - when.first;
	return 0;
}

int when_idle(const char *text, int64_t *ret_ms) {
	int64_t ns = 0;
	const bool is_off = strcmp(text, "off") == 0;
	int rc = is_off ? 0 : when_duration(text, &ns);
	if (rc < 0)
		return rc;
	if (!is_off && ns / 1000000 < idle_least_ms())
		return fault(EINVAL, "'%.60s' is too short: a minute (1m) at least, or off", text);
	*ret_ms = ns / 1000000;
	return 0;
}

/* ---- dates ---- */

enum precision { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, FRACTION };

struct stamp {
	struct tm tm;
	int64_t fraction, fraction_unit; /* ns */
	enum precision precision;
	bool has_zone;
	int64_t zone; /* seconds east of UTC */
};

static bool take_field(const char **at, int digits, int least, int most, int *ret_field) {
	const char *start = *at;
	int64_t number = take_number(at, digits);
	if (*at - start != digits || number < least || number > most)
		return false;
	*ret_field = (int)number;
	return true;
}

static void take_fraction(const char **at, struct stamp *stamp) {
	stamp->fraction_unit = NS;
	stamp->precision = FRACTION;
	while (isdigit((unsigned char)**at)) {
		if (stamp->fraction_unit > 1) {
			stamp->fraction_unit /= 10;
			stamp->fraction += (**at - '0') * stamp->fraction_unit;
		}
		(*at)++;
	}
}

/* HH[:MM[:SS[.fraction]]] */
static bool take_clock(const char **at, struct stamp *stamp) {
	stamp->precision = HOUR;
	if (!take_field(at, 2, 0, 23, &stamp->tm.tm_hour))
		return false;
	if (!take_char(at, ":"))
		return true;
	stamp->precision = MINUTE;
	if (!take_field(at, 2, 0, 59, &stamp->tm.tm_min))
		return false;
	if (!take_char(at, ":"))
		return true;
	stamp->precision = SECOND;
	if (!take_field(at, 2, 0, 60, &stamp->tm.tm_sec))
		return false;
	if (take_char(at, ".,")) {
		if (!isdigit((unsigned char)**at))
			return false;
		take_fraction(at, stamp);
	}
	return true;
}

static int days_in_month(int year, int month) {
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month] + (month == 1 && is_leap);
}

/* YYYY[-MM[-DD]] */
static bool take_date(const char **at, struct stamp *stamp) {
	int year;
	stamp->precision = YEAR;
	stamp->tm.tm_mday = 1;
	if (!take_field(at, 4, 1970, 2261, &year))
		return false;
	stamp->tm.tm_year = year - 1900;
	if (!take_char(at, "-"))
		return true;
	stamp->precision = MONTH;
	if (!take_field(at, 2, 1, 12, &stamp->tm.tm_mon))
		return false;
	stamp->tm.tm_mon--;
	if (!take_char(at, "-"))
		return true;
	stamp->precision = DAY;
	return take_field(at, 2, 1, days_in_month(year, stamp->tm.tm_mon), &stamp->tm.tm_mday);
}

/* Z, +HH:MM, +HHMM or +HH */
static bool take_zone(const char **at, struct stamp *stamp) {
	if (**at == '\0')
		return true;
	stamp->has_zone = true;
	if (take_char(at, "Zz"))
		return **at == '\0';
	int sign = **at == '-' ? -1 : 1;
	int hours, minutes = 0;
	if (!take_char(at, "+-") || !take_field(at, 2, 0, 14, &hours))
		return false;
	bool has_colon = take_char(at, ":");
	if ((has_colon || **at) && !take_field(at, 2, 0, 59, &minutes))
		return false;
	stamp->zone = sign * (hours * 3600 + minutes * 60);
	return **at == '\0';
}

static int64_t seconds_of(const struct stamp *stamp, const struct tm *tm) {
	struct tm copy = *tm;
	copy.tm_isdst = -1;
	return stamp->has_zone ? (int64_t)timegm(&copy) - stamp->zone : (int64_t)mktime(&copy);
}

static int span_of(const char *text, const struct stamp *stamp, struct when *ret_when) {
	struct tm next = stamp->tm;
	int *const fields[] = {&next.tm_year, &next.tm_mon, &next.tm_mday, &next.tm_hour, &next.tm_min, &next.tm_sec};
	if (stamp->precision < FRACTION)
		++*fields[stamp->precision];
	int64_t from = seconds_of(stamp, &stamp->tm);
	int64_t to = seconds_of(stamp, &next);
	if (from < 0 || to < from || to > SECONDS_MAX)
		return out_of_range(text);
	ret_when->first = from * NS + stamp->fraction;
	ret_when->last = (stamp->precision == FRACTION ? ret_when->first + stamp->fraction_unit : to * NS) - 1;
	return 0;
}

static int parse_day(const char *text, int days_ago, int64_t now_ns, struct when *ret_when) {
	struct stamp stamp = {.precision = DAY};
	time_t now = (time_t)(now_ns / NS);
	struct tm local;
	if (!localtime_r(&now, &local))
		return out_of_range(text);
	stamp.tm.tm_year = local.tm_year;
	stamp.tm.tm_mon = local.tm_mon;
	stamp.tm.tm_mday = local.tm_mday - days_ago;
	return span_of(text, &stamp, ret_when);
}

static int parse_epoch(const char *text, struct when *ret_when) {
	const char *at = text + 1;
	struct stamp stamp = {.precision = SECOND};
	int64_t seconds = take_number(&at, 10);
	if (*at == '.' && isdigit((unsigned char)at[1])) {
		at++;
		take_fraction(&at, &stamp);
	}
	if (seconds < 0 || *at)
		return not_a_time(text);
	if (seconds >= SECONDS_MAX)
		return out_of_range(text);
	ret_when->first = seconds * NS + stamp.fraction;
	ret_when->last = ret_when->first + (stamp.precision == FRACTION ? stamp.fraction_unit : NS) - 1;
	return 0;
}

static int parse_clock(const char *text, int64_t now_ns, struct when *ret_when) {
	struct stamp stamp = {.precision = DAY};
	struct when today;
	const char *at = text;
	int rc = parse_day(text, 0, now_ns, &today);
	if (rc)
		return rc;
	time_t midnight = (time_t)(today.first / NS);
	(void)localtime_r(&midnight, &stamp.tm);
	if (!take_clock(&at, &stamp) || *at)
		return not_a_time(text);
	return span_of(text, &stamp, ret_when);
}

static int parse_stamp(const char *text, struct when *ret_when) {
	struct stamp stamp = {0};
	const char *at = text;
	if (!take_date(&at, &stamp))
		return not_a_time(text);
	if (stamp.precision == DAY && take_char(&at, "Tt ") && !take_clock(&at, &stamp))
		return not_a_time(text);
	if (*at && stamp.precision < DAY)
		return not_a_time(text);
	if (!take_zone(&at, &stamp))
		return not_a_time(text);
	return span_of(text, &stamp, ret_when);
}

int when_parse(const char *text, int64_t now_ns, struct when *ret_when) {
	tzset();
	if (strcasecmp(text, "now") == 0) {
		ret_when->first = ret_when->last = now_ns;
		return 0;
	}
	if (strcasecmp(text, "today") == 0)
		return parse_day(text, 0, now_ns, ret_when);
	if (strcasecmp(text, "yesterday") == 0)
		return parse_day(text, 1, now_ns, ret_when);
	if (*text == '@')
		return parse_epoch(text, ret_when);
	int rc = parse_duration(text, now_ns, ret_when);
	if (rc != -EINVAL)
		return rc;
	bool is_clock = strlen(text) >= 5 && text[2] == ':';
	return is_clock ? parse_clock(text, now_ns, ret_when) : parse_stamp(text, ret_when);
}
