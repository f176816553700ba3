#include "policy/crew.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What runs here is shallow; a sanitizer's frames are not. */
#define STACK_BYTES (1u << 20)

/* Two milliseconds of work. */
#define WORTH_BYTES (1u << 20)

struct Crew {
	pthread_mutex_t lock; /* guards what follows; nothing else is locked while it is held */
	pthread_cond_t begun, ended;
	crew_function *function;
	void *context;
	size_t next, count; /* parts that were taken, and all */
	unsigned busy;      /* helpers that are at one, or have not come yet */
	int error;
	char words[FAULT_MESSAGE_BYTES];
	bool is_over;
	unsigned helpers;
	pthread_t threads[];
};

/* Takes one part and does it, with the lock held before and behind. */
static void take_part(Crew *crew) {
	size_t part = crew->next++;
	(void)pthread_mutex_unlock(&crew->lock);
	int rc = crew->function(crew->context, part);
	(void)pthread_mutex_lock(&crew->lock);
	if (rc >= 0 || crew->error)
		return;
	crew->error = rc;
	(void)strncpy(crew->words, fault_message(), sizeof crew->words - 1);
	crew->next = crew->count;
}

static void *help(void *argument) {
	Crew *crew = argument;
	(void)pthread_mutex_lock(&crew->lock);
	for (;;) {
		while (crew->next < crew->count)
			take_part(crew);
		if (--crew->busy == 0)
			(void)pthread_cond_signal(&crew->ended);
		while (crew->next >= crew->count && !crew->is_over)
			(void)pthread_cond_wait(&crew->begun, &crew->lock);
		if (crew->is_over)
			break;
		crew->busy++;
	}
	(void)pthread_mutex_unlock(&crew->lock);
	return NULL;
}

static int make_threads(Crew *crew, unsigned helpers) {
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);
	if (error)
		return fault_errno(error, "making a thread");
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	crew->busy = helpers;
	while (crew->helpers < helpers && error == 0) {
		error = pthread_create(&crew->threads[crew->helpers], &attributes, help, crew);
		crew->helpers += error == 0;
	}
	(void)pthread_attr_destroy(&attributes);
	return error ? fault_errno(error, "making a thread") : 0;
}

int crew_new(unsigned helpers, Crew **ret_crew) {
	_cleanup_(crew_freep) Crew *crew = calloc(1, sizeof *crew + helpers * sizeof *crew->threads);
	if (!crew)
		return fault(ENOMEM, "no memory for threads");
	(void)pthread_mutex_init(&crew->lock, NULL);
	(void)pthread_cond_init(&crew->begun, NULL);
	(void)pthread_cond_init(&crew->ended, NULL);
	int rc = make_threads(crew, helpers);
	if (rc < 0 || (rc = crew_end(crew)) < 0) /* all that a thread's beginning needs of the system is done then */
		return rc;
	*ret_crew = steal_pointer(&crew);
	return 0;
}

void crew_free(Crew *crew) {
	if (!crew)
		return;
	(void)pthread_mutex_lock(&crew->lock);
	crew->is_over = true;
	(void)pthread_cond_broadcast(&crew->begun);
	(void)pthread_mutex_unlock(&crew->lock);
	for (unsigned i = 0; i < crew->helpers; i++)
		(void)pthread_join(crew->threads[i], NULL);
	(void)pthread_cond_destroy(&crew->begun);
	(void)pthread_cond_destroy(&crew->ended);
	(void)pthread_mutex_destroy(&crew->lock);
	free(crew);
}

void crew_begin(Crew *crew, crew_function *function, void *context, size_t count) {
	(void)pthread_mutex_lock(&crew->lock);
	crew->function = function;
	crew->context = context;
	crew->next = 0;
	crew->count = count;
	crew->error = 0;
	(void)pthread_cond_broadcast(&crew->begun);
	(void)pthread_mutex_unlock(&crew->lock);
}

int crew_end(Crew *crew) {
	(void)pthread_mutex_lock(&crew->lock);
	while (crew->next < crew->count)
		take_part(crew);
	while (crew->busy > 0)
		(void)pthread_cond_wait(&crew->ended, &crew->lock);
	int rc = crew->error ? fault(-crew->error, "%s", crew->words) : 0;
	(void)pthread_mutex_unlock(&crew->lock);
	return rc;
}

Crew *crew_for(uint64_t bytes) {
	cpu_set_t set;
	Crew *crew = NULL;
	bool is_useful = bytes >= WORTH_BYTES && sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 1;
	return is_useful && crew_new(1, &crew) == 0 ? crew : NULL;
}
