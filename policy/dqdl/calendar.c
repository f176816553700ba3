#include "policy/dqdl/calendar.h"

static bool is_leap(int32_t year) {
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

bool date_days(int32_t year, unsigned int month, unsigned int day, int32_t *ret_days) {
	static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	if (month < 1 || month > 12 || day < 1 || year < 0 || year > 9999)
		return false;
	unsigned int length = lengths[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
	if (day > length)
		return false;
	/* Whole years since year 0, leap days among them counted up to the year before. */
	int32_t past = year - 1;
	int32_t leaps = year > 0 ? past / 4 - past / 100 + past / 400 + 1 : 0;
	int32_t days = year * 365 + leaps + before[month - 1] + (int32_t)day - 1;
	if (month > 2 && is_leap(year))
		days++;
	*ret_days = days - 719528; /* 1970-01-01 counted like this */
	return true;
}
