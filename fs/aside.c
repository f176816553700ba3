#include "fs/aside.h"

#include <stdbool.h>
#include <stdlib.h>

/* Each waits for a worker or for its path: more than the kernel's requests of a busy machine, less than would matter
 * for memory. */
#define RUNNING_MAX 256u
/* The gate's paths and SQLite; a sanitizer's build needs more than the 256 KiB that would do. */
#define STACK_BYTES ((size_t)1 << 20)

struct errand {
	struct aside *aside;
	void (*work)(void *arg);
	void *arg;
};

static bool enter(struct aside *aside) {
	pthread_mutex_lock(&aside->lock);
	bool has_room = aside->running < RUNNING_MAX;
	aside->running += has_room;
	pthread_mutex_unlock(&aside->lock);
	return has_room;
}

static void leave(struct aside *aside) {
	pthread_mutex_lock(&aside->lock);
	if (--aside->running == 0)
		pthread_cond_broadcast(&aside->ended);
	pthread_mutex_unlock(&aside->lock);
}

static void *run(void *arg) {
	struct errand errand = *(struct errand *)arg;
	free(arg);
	errand.work(errand.arg);
	leave(errand.aside);
	return NULL;
}

static bool start(struct aside *aside, void (*work)(void *arg), void *arg) {
	struct errand *errand = malloc(sizeof *errand);
	if (!errand)
		return false;
	*errand = (struct errand){.aside = aside, .work = work, .arg = arg};
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int error = pthread_create(&thread, &attributes, run, errand);
	pthread_attr_destroy(&attributes);
	if (error)
		free(errand);
	return error == 0;
}

void aside_run(struct aside *aside, void (*work)(void *arg), void *arg) {
	if (enter(aside)) {
		if (start(aside, work, arg))
			return;
		leave(aside);
	}
	work(arg);
}

void aside_wait(struct aside *aside) {
	pthread_mutex_lock(&aside->lock);
	while (aside->running > 0)
		pthread_cond_wait(&aside->ended, &aside->lock);
	pthread_mutex_unlock(&aside->lock);
}
