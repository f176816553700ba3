/*
 * deadline: a moment that a condition variable waits for.
 */
#pragma once

#include <pthread.h>
#include <time.h>

/* Makes a condition variable that waits on CLOCK_MONOTONIC, which nobody sets. */
static inline void deadline_cond_init(pthread_cond_t *cond) {
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

/* The time `ms` from now, as pthread_cond_timedwait wants it of such a variable, and pthread_cond_clockwait of any. */
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
