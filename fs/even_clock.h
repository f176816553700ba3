/*
 * even_clock: whether the wall clock went on as the machine did. What is old is only removed while it does: a clock
 * that is set ahead by a year would make a year's things old at once. How the clock stood before it was begun nobody
 * knows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* By so much the wall clock may differ from how long the machine ran; beyond, it was set. */
#define EVEN_CLOCK_SLACK_S 3600

struct even_clock {
	int64_t wall_s, boot_s; /* when it was begun */
};

/* How long the machine has run, seconds, sleep included. */
static inline int64_t even_clock_boot_s(void) {
	struct timespec t;
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec;
}

/* `now_s`: by the wall clock, seconds since 1970; so for both. */
static inline struct even_clock even_clock_begin(int64_t now_s) {
	return (struct even_clock){.wall_s = now_s, .boot_s = even_clock_boot_s()};
}

/* Whether both have gone on by as much since then. */
static inline bool even_clock_is_even(const struct even_clock *clock, int64_t now_s) {
	const int64_t drift = (now_s - clock->wall_s) - (even_clock_boot_s() - clock->boot_s);
	return drift < EVEN_CLOCK_SLACK_S && drift > -EVEN_CLOCK_SLACK_S;
}
