/*
 * calendar: days of the proleptic Gregorian calendar as numbers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Days from 1970-01-01 to a date; false if there is no such date. Years 0 to 9999. */
bool date_days(int32_t year, unsigned int month, unsigned int day, int32_t *ret_days);
