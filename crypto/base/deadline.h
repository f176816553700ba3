/*
 * deadline: a moment that a condition variable waits for.
 */
#pragma once

#include <time.h>

/* The time `ms` from now, as pthread_cond_timedwait wants it of a condition variable on CLOCK_MONOTONIC. */
static inline struct timespec deadline_after_ms(unsigned ms) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}
