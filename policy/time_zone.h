/*
 * time_zone: what the clocks of a place show at a moment, by this machine's tz database.
 *
 * Behind it is GLib's GTimeZone: kept well, on every Debian machine, safe for threads, it reads TZif files itself and
 * needs neither TZ nor tzset(), which hold for a whole process. libical weighs as much and is for calendars; the C
 * library has no call for a zone that is not the process's own. GLib is linked for this alone.
 *
 * [measured, GLib 2.74] The files of Debian 12's tzdata list every change until 2037, and GLib reads these; of years
 * behind them it takes the rule at the end of the file.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdint.h>

typedef struct TimeZone TimeZone;

#define TIME_ZONE_NAME_MAX 64

/*
 * The zone of a name as "America/Vancouver". -EINVAL with words: no such name, or this machine does not know it.
 * It does not change afterwards, whatever becomes of the file; any number of threads may ask it.
 */
int time_zone_open(const char *name, TimeZone **ret_zone);
void time_zone_free(TimeZone *zone);
DEFINE_CLEANUP(TimeZone, time_zone_free);

/* How far its clocks are ahead of UTC at `at_s`, seconds since 1970. */
int32_t time_zone_offset(const TimeZone *zone, int64_t at_s);

/*
 * The first moment at which its clocks show `local_s` (as seconds since 1970 by those clocks) or later, counted from
 * half a day before: of a time that comes twice the first, of one that is skipped the end of the gap.
 */
int64_t time_zone_first(const TimeZone *zone, int64_t local_s);

/* "2026-11-29T23:59:00-08:00" (RFC 3339). Returns the buffer. */
#define TIME_ZONE_TEXT_BYTES 48
const char *time_zone_text(const TimeZone *zone, int64_t at_s, char ret_text[static TIME_ZONE_TEXT_BYTES]);
