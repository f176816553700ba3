/*
 * idle: locks the vault when no program has used content for so long.
 *
 *     open, read, write, … ─► idle_touch: when it was                        by CLOCK_BOOTTIME: no clock that is set
 *                                  │                                         counts, and time asleep does
 *     thread: so long ago? ─► what programs wrote is written back ─► still so long ago? ─► locked, and recorded why
 *
 * Whoever comes after the time, but before the thread has seen it (the machine was asleep), does not begin it anew.
 * What the kernel answers from its own memory comes to nobody here: who only ever reads that is idle.
 *
 * Any thread.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdint.h>

/* The least that a person may set, in milliseconds: a minute. (A function, so that a test's program has another.) */
int64_t idle_least_ms(void);

typedef struct Idle Idle;

struct idle_hooks {
	/* Has the kernel write back what programs wrote. Its writes touch, too. */
	void (*write_back)(void *arg);
	/* Locks, with these words as the reason; 0 or -errno. */
	int (*lock)(void *arg, const char *why);
	void *arg;
};

/* Starts the thread, with nothing to wait for. -EAGAIN, -ENOMEM. */
int idle_start(const struct idle_hooks *hooks, Idle **ret_idle);
/* Waits for a lock under way. Accepts NULL. */
void idle_stop(Idle *idle);
DEFINE_CLEANUP(Idle, idle_stop);

/* Locks after so long, counted from now; 0: never. */
void idle_set(Idle *idle, int64_t after_ms);
/* 0: never. */
int64_t idle_after_ms(const Idle *idle);

/* Begins anew: the vault was unlocked. Accepts NULL. */
void idle_restart(Idle *idle);

/* A program used content. Costs a look at the clock. Accepts NULL. `by_kernel`: it writes back what a program wrote
 * before. */
void idle_touch(Idle *idle, int by_kernel);
