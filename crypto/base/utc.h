/*
 * utc: points in time as text, in UTC. Independent of locale and time zone.
 */
#pragma once

#include <stdint.h>

/* Room for either, with the NUL. */
#define UTC_TEXT_BYTES 40

/* "2026-11-22T10:00:00Z" (RFC 3339): nanoseconds since 1970, the fraction left out. "@SECONDS" for a year that a date
 * can't have. Returns the buffer. */
const char *utc_stamp(int64_t time_ns, char ret_text[static UTC_TEXT_BYTES]);

/* "2026-11-22 10:00:00 UTC", for people. */
const char *utc_words(int64_t time_ns, char ret_text[static UTC_TEXT_BYTES]);
