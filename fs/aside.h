/*
 * aside: answers that may take minutes, given by threads of their own, so that those who wait for a verdict don't take
 * the threads that serve everybody else.
 *
 *      aside_run ─► fewer than 256 run, and fewer than 64 of this user's ── yes ─► a thread
 *                                                                        └─ no ─► waits until one ends
 *
 * Never in the caller's thread, as long as any other is to be had: a mount whose threads all waited would hang.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#define ASIDE_RUNNING_MAX 256u
#define ASIDE_OF_ONE_USER 64u

struct errand;

struct aside {
	pthread_mutex_t lock; /* guards what follows; innermost */
	pthread_cond_t ended;
	unsigned count;         /* of those that run */
	struct errand *running; /* no order */
	struct errand *waiting; /* in the order they came */
};

/* Static initialiser. */
#define ASIDE_INIT \
	{ .lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER }

/* Runs work(arg) for user `uid` in a thread of its own, at once or when there is room. */
void aside_run(struct aside *aside, uint32_t uid, void (*work)(void *arg), void *arg);

/* Waits until all that was begun has ended. */
void aside_wait(struct aside *aside);
