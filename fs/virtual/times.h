/*
 * times: how points in time and days are written in names below .assayfs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.5Z" (a whole second counts to its end, a commit in it belongs to it),
 * "2026-11-22" (its first instant, UTC) or "@SECONDS" since 1970. False for anything else. *ret in ns since 1970.
 */
bool virtual_parse_time(const char *text, int64_t *ret);

/* "2026-11-22" exactly: the first ns of that day (UTC). */
bool virtual_parse_day(const char *text, int64_t *ret);

/* The day of a time as "2026-11-22". */
void virtual_day_name(int64_t time_ns, char ret_name[static 16]);

#define VIRTUAL_DAY_NS (INT64_C(86400) * 1000000000)
