/*
 * when: times as a person writes them.
 *
 *     now   today   yesterday   -1h   "90 min ago"   2d   @1764000000
 *     2026   2026-11   2026-11-22   2026-11-22T10   10:15   "2026-11-22 10:15"   2026-11-22T10:15:02.5Z   …+01:00
 *
 * What is written means a span: `2026-11-22` is that whole day, `10:15` that minute. --since takes its first
 * nanosecond and --until its last, so `--since yesterday --until yesterday` is one day. A zone is Z or an offset;
 * without one the time is local. A duration (with or without minus or "ago") counts backwards from now.
 */
#pragma once

#include <stdint.h>

struct when {
	int64_t first, last; /* nanoseconds since 1970 UTC, both inclusive */
};

/* Reads `text`. `now_ns` is what now means. 0; -EINVAL with fault() words that name a right form; -ERANGE outside the
 * years 1970 to 2261. Uses the process's time zone. Thread-safe. */
int when_parse(const char *text, int64_t now_ns, struct when *ret_when);

/* Reads how long something shall last: "90m", "1h", "2 days". -EINVAL with words. */
int when_duration(const char *text, int64_t *ret_ns);

/* The same of the time after which the vault locks itself, in milliseconds: "off" is 0, else a minute at least. */
int when_idle(const char *text, int64_t *ret_ms);

/* The current time in nanoseconds since 1970 UTC. */
int64_t when_now(void);
