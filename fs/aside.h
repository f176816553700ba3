/*
 * aside: answers that may take minutes, given by threads of their own, so that those who wait for a verdict don't take
 * the threads that serve everybody else.
 */
#pragma once

#include <pthread.h>

struct aside {
	pthread_mutex_t lock; /* guards `running`; innermost */
	pthread_cond_t ended;
	unsigned running;
};

/* Static initialiser. */
#define ASIDE_INIT \
	{ .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER }

/* Runs work(arg) in a thread of its own; in the caller's when there are too many, or none is to be had. */
void aside_run(struct aside *aside, void (*work)(void *arg), void *arg);

/* Waits until all that was begun has ended. */
void aside_wait(struct aside *aside);
