#include "fs/idle.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "fs/log.h"
#include "fs/words.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* How often is looked: a part of the time, within these. */
#define PARTS 8
#define SELDOM_MS 10000
#define OFTEN_MS 50
/* Passes of writing back, until one brings nothing. */
#define PASSES 4

struct Idle {
	struct idle_hooks hooks;
	pthread_t thread;
	pthread_mutex_t lock; /* guards `stop`; taken alone */
	pthread_cond_t wake;
	bool stop;
	_Atomic int64_t after_ms, used_ms; /* 0: never; when content was used last */
	_Atomic uint64_t written;          /* how often the kernel has written back */
	_Atomic bool is_done;              /* it has locked, and nobody has unlocked since */
};

int64_t idle_least_ms(void) {
	return 60000;
}

static bool is_over(const Idle *idle, int64_t now_ms) {
	const int64_t after_ms = idle->after_ms;
	return after_ms > 0 && now_ms - idle->used_ms >= after_ms;
}

void idle_touch(Idle *idle, int by_kernel) {
	if (!idle || idle->after_ms == 0)
		return;
	const int64_t now_ms = boottime_ms();
	if (by_kernel)
		idle->written++;
	if (!is_over(idle, now_ms))
		idle->used_ms = now_ms;
}

static void wake(Idle *idle) {
	pthread_mutex_lock(&idle->lock);
	pthread_cond_signal(&idle->wake);
	pthread_mutex_unlock(&idle->lock);
}

void idle_restart(Idle *idle) {
	if (!idle)
		return;
	idle->used_ms = boottime_ms();
	idle->is_done = false;
	wake(idle);
}

void idle_set(Idle *idle, int64_t after_ms) {
	idle->used_ms = boottime_ms();
	idle->after_ms = after_ms;
	idle->is_done = false;
	wake(idle);
}

int64_t idle_after_ms(const Idle *idle) {
	return idle->after_ms;
}

/* What was written up to a moment ago stays: passes until one has brought nothing. */
static void write_back(Idle *idle) {
	uint64_t before;
	int passes = 0;
	do {
		before = idle->written;
		idle->hooks.write_back(idle->hooks.arg);
	} while (idle->written != before && ++passes < PASSES);
}

static void look(Idle *idle) {
	char time[WORDS_BYTES], why[WORDS_BYTES + 64];
	if (idle->is_done || !is_over(idle, boottime_ms()))
		return;
	write_back(idle);
	if (!is_over(idle, boottime_ms())) /* it was set anew meanwhile */
		return;
	(void)snprintf(
	        why, sizeof why, "no content was used for %s", words_duration(idle->after_ms * INT64_C(1000000), time));
	idle->is_done = true; /* before: who unlocks it at once begins anew */
	int rc = idle->hooks.lock(idle->hooks.arg, why);
	if (rc < 0) {
		log_fault(rc, "locking the vault, as no content is used");
		idle->is_done = false;
	}
}

/* With the lock held. */
static void wait_a_part(Idle *idle) {
	const int64_t after_ms = idle->after_ms, part_ms = after_ms / PARTS;
	const unsigned ms = (unsigned)(part_ms > SELDOM_MS ? SELDOM_MS : part_ms < OFTEN_MS ? OFTEN_MS : part_ms);
	const struct timespec at = deadline_after_ms(ms);
	if (after_ms == 0)
		pthread_cond_wait(&idle->wake, &idle->lock);
	else
		pthread_cond_timedwait(&idle->wake, &idle->lock, &at);
}

static void *watch(void *arg) {
	Idle *idle = arg;
	pthread_mutex_lock(&idle->lock);
	while (!idle->stop) {
		wait_a_part(idle);
		if (idle->stop)
			break;
		pthread_mutex_unlock(&idle->lock);
		look(idle);
		pthread_mutex_lock(&idle->lock);
	}
	pthread_mutex_unlock(&idle->lock);
	return NULL;
}

int idle_start(const struct idle_hooks *hooks, Idle **ret_idle) {
	Idle *idle = calloc(1, sizeof *idle);
	if (!idle)
		return fault(ENOMEM, "no memory to watch whether content is used");
	idle->hooks = *hooks;
	pthread_mutex_init(&idle->lock, NULL);
	deadline_cond_init(&idle->wake);
	int error = pthread_create(&idle->thread, NULL, watch, idle);
	if (error) {
		pthread_cond_destroy(&idle->wake);
		pthread_mutex_destroy(&idle->lock);
		free(idle);
		return fault_errno(error, "starting the thread that watches whether content is used");
	}
	*ret_idle = idle;
	return 0;
}

void idle_stop(Idle *idle) {
	if (!idle)
		return;
	pthread_mutex_lock(&idle->lock);
	idle->stop = true;
	pthread_cond_signal(&idle->wake);
	pthread_mutex_unlock(&idle->lock);
	pthread_join(idle->thread, NULL);
	pthread_cond_destroy(&idle->wake);
	pthread_mutex_destroy(&idle->lock);
	free(idle);
}
