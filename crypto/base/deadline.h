/*
 * deadline: the clock that nobody sets, and moments on it that a condition variable waits for.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC. */
static inline int64_t monotonic_ns(void) {
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The same in milliseconds. */
static inline int64_t monotonic_ms(void) {
	return monotonic_ns() / 1000000;
}

/* CLOCK_BOOTTIME, in milliseconds: as the same, but time asleep counts. */
static inline int64_t boottime_ms(void) {
	struct timespec t;
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Makes a condition variable that waits on CLOCK_MONOTONIC, which nobody sets. */
static inline void deadline_cond_init(pthread_cond_t *cond) {
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

/* The time `ns` from now, as pthread_cond_timedwait wants it of such a variable, and pthread_cond_clockwait of any. */
static inline struct timespec deadline_after_ns(int64_t ns) {
	int64_t at = monotonic_ns() + ns;
	return (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
}

/* The time `ms` from now. */
static inline struct timespec deadline_after_ms(unsigned ms) {
	return deadline_after_ns((int64_t)ms * 1000000);
}
