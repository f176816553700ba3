#include "fs/aside.h"

#include <stdbool.h>
#include <stdlib.h>

/* The gate's paths and SQLite; a sanitizer's build needs more than the 256 KiB that would do. */
#define STACK_BYTES ((size_t)1 << 20)

struct errand {
	struct errand *next;
	struct aside *aside;
	uint32_t uid;
	void (*work)(void *arg);
	void *arg;
};

/* All of these with the lock held. */
static unsigned running_of(const struct aside *aside, uint32_t uid) {
	unsigned count = 0;
	for (const struct errand *e = aside->running; e; e = e->next)
		count += e->uid == uid;
	return count;
}

static bool has_room(const struct aside *aside, uint32_t uid) {
	return aside->count < ASIDE_RUNNING_MAX && running_of(aside, uid) < ASIDE_OF_ONE_USER;
}

static void enter(struct aside *aside, struct errand *errand) {
	errand->next = aside->running;
	aside->running = errand;
	aside->count++;
}

static void leave(struct aside *aside, const struct errand *errand) {
	struct errand **slot = &aside->running;
	while (*slot != errand)
		slot = &(*slot)->next;
	*slot = errand->next;
	aside->count--;
}

static void wait_in_line(struct aside *aside, struct errand *errand) {
	struct errand **slot = &aside->waiting;
	while (*slot)
		slot = &(*slot)->next;
	errand->next = NULL;
	*slot = errand;
}

/* The first in line whose user may; it runs from here on. */
static struct errand *next_in_line(struct aside *aside) {
	for (struct errand **slot = &aside->waiting; *slot; slot = &(*slot)->next)
		if (has_room(aside, (*slot)->uid)) {
			struct errand *errand = *slot;
			*slot = errand->next;
			enter(aside, errand);
			return errand;
		}
	return NULL;
}

static void *run(void *arg) {
	struct errand *errand = arg;
	struct aside *aside = errand->aside;
	while (errand) {
		errand->work(errand->arg);
		pthread_mutex_lock(&aside->lock);
		leave(aside, errand);
		free(errand);
		errand = next_in_line(aside);
		if (aside->count == 0)
			pthread_cond_broadcast(&aside->ended);
		pthread_mutex_unlock(&aside->lock);
	}
	return NULL;
}

static bool start(struct errand *errand) {
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int error = pthread_create(&thread, &attributes, run, errand);
	pthread_attr_destroy(&attributes);
	return error == 0;
}

/* Who is in line is taken by a thread that ends its errand; without any, nobody would. */
static bool join(struct aside *aside, struct errand *errand) {
	pthread_mutex_lock(&aside->lock);
	bool runs = has_room(aside, errand->uid);
	if (runs)
		enter(aside, errand);
	if (runs && !start(errand)) {
		leave(aside, errand);
		runs = false;
	}
	bool waits = !runs && aside->count > 0;
	if (waits)
		wait_in_line(aside, errand);
	pthread_mutex_unlock(&aside->lock);
	return runs || waits;
}

void aside_run(struct aside *aside, uint32_t uid, void (*work)(void *arg), void *arg) {
	struct errand *errand = malloc(sizeof *errand);
	if (errand) {
		*errand = (struct errand){.aside = aside, .uid = uid, .work = work, .arg = arg};
		if (join(aside, errand))
			return;
		free(errand);
	}
	work(arg);
}

void aside_wait(struct aside *aside) {
	pthread_mutex_lock(&aside->lock);
	while (aside->count > 0)
		pthread_cond_wait(&aside->ended, &aside->lock);
	pthread_mutex_unlock(&aside->lock);
}
