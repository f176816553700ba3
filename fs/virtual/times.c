#include "fs/virtual/times.h"
#include "crypto/base/utc.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND_NS INT64_C(1000000000)

/* Digits where `shape` has 9, else the same byte. */
static bool has_shape(const char *text, const char *shape) {
	for (; *shape; shape++, text++)
		if (*shape == '9' ? !isdigit((unsigned char)*text) : *text != *shape)
			return false;
	return true;
}

static bool seconds_of(int year, int month, int day, int hour, int minute, int second, int64_t *ret) {
	struct tm parts = {.tm_year = year - 1900,
	        .tm_mon = month - 1,
	        .tm_mday = day,
	        .tm_hour = hour,
	        .tm_min = minute,
	        .tm_sec = second};
	struct tm given = parts;
	time_t seconds = timegm(&parts);
	/* timegm takes the 31st of February for the 3rd of March: such a day does not exist here. */
	bool same = given.tm_mday == parts.tm_mday && given.tm_mon == parts.tm_mon && given.tm_hour == parts.tm_hour &&
	            given.tm_min == parts.tm_min && given.tm_sec == parts.tm_sec;
	*ret = (int64_t)seconds;
	return same && year >= 1970 && year < 2262;
}

bool virtual_parse_day(const char *text, int64_t *ret) {
	int year, month, day;
	int64_t seconds;
	if (strlen(text) != 10 || !has_shape(text, "9999-99-99") ||
	        sscanf(text, "%4d-%2d-%2d", &year, &month, &day) != 3 ||
	        !seconds_of(year, month, day, 0, 0, 0, &seconds))
		return false;
	*ret = seconds * SECOND_NS;
	return true;
}

/* ".5Z" or "Z": what is added to the second. */
static bool parse_fraction(const char *text, int64_t *ret) {
	if (strcmp(text, "Z") == 0) {
		*ret = SECOND_NS - 1;
		return true;
	}
	if (*text++ != '.')
		return false;
	int64_t value = 0, unit = SECOND_NS / 10;
	const char *start = text;
	for (; isdigit((unsigned char)*text); text++, unit /= 10)
		value += (*text - '0') * unit;
	*ret = value;
	return text > start && strcmp(text, "Z") == 0;
}

static bool parse_since_epoch(const char *text, int64_t *ret) {
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 10 || text[digits] != '\0')
		return false;
	*ret = strtoll(text, NULL, 10);
	if (*ret > INT64_MAX / SECOND_NS - 1)
		return false;
	*ret = *ret * SECOND_NS + SECOND_NS - 1;
	return true;
}

bool virtual_parse_time(const char *text, int64_t *ret) {
	if (text[0] == '@')
		return parse_since_epoch(text + 1, ret);
	if (virtual_parse_day(text, ret))
		return true;
	int year, month, day, hour, minute, second;
	int64_t seconds, fraction;
	if (!has_shape(text, "9999-99-99T99:99:99") ||
	        sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &year, &month, &day, &hour, &minute, &second) != 6 ||
	        !seconds_of(year, month, day, hour, minute, second, &seconds) || !parse_fraction(text + 19, &fraction))
		return false;
	*ret = seconds * SECOND_NS + fraction;
	return true;
}

/* What a stamp begins with. */
void virtual_day_name(int64_t time_ns, char ret_name[static 16]) {
	char stamp[UTC_TEXT_BYTES];
	snprintf(ret_name, 16, "%.10s", utc_stamp(time_ns, stamp));
}
