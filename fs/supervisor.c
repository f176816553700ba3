#include "fs/supervisor.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "crypto/base/fault.h"
#include "fs/log.h"

/* Of the time that the manager gives: one beat may be late without harm. */
#define BEATS 3

struct Supervisor {
	struct sockaddr_un address;
	socklen_t address_size; /* 0: nobody listens */
	uint64_t beat_us;       /* 0: no heartbeat is asked for */
	supervisor_prove *prove;
	void *arg;
	pthread_t thread;
	bool has_thread;
	atomic_bool ends, is_faulty;
	pthread_mutex_t lock; /* for `wake` */
	pthread_cond_t wake;
};

/* ---- words ---- */

static void tell(Supervisor *s, const char *text) {
	if (!supervisor_listens(s))
		return;
	_cleanup_(closep) int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (to < 0)
		return;
	(void)sendto(to, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&s->address, s->address_size);
}

/* Words are one line, whatever stands in them. */
static void tell_with(Supervisor *s, const char *what, const char *words) {
	char text[1024];
	int start = snprintf(text, sizeof text, "%sSTATUS=", what);
	snprintf(text + start, sizeof text - (size_t)start, "%s", words);
	for (char *at = text + start; *at; at++)
		if ((unsigned char)*at < ' ')
			*at = ' ';
	tell(s, text);
}

void supervisor_ready(Supervisor *s, const char *words) {
	char what[64];
	snprintf(what, sizeof what, "READY=1\nMAINPID=%d\n", (int)getpid());
	tell_with(s, what, words);
}

void supervisor_status(Supervisor *s, const char *words) {
	tell_with(s, "", words);
}

static void end_beats(Supervisor *s) {
	pthread_mutex_lock(&s->lock);
	atomic_store(&s->ends, true);
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void supervisor_stopping(Supervisor *s, const char *words) {
	if (!s)
		return;
	end_beats(s);
	tell_with(s, "STOPPING=1\n", words);
}

/* ---- the heartbeat ---- */

static void wait_for_beat(Supervisor *s) {
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	uint64_t ns = (uint64_t)until.tv_nsec + s->beat_us * 1000;
	until.tv_sec += (time_t)(ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
	pthread_mutex_lock(&s->lock);
	while (!atomic_load(&s->ends) && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
		;
	pthread_mutex_unlock(&s->lock);
}

static void beat(Supervisor *s) {
	fault_clear();
	int rc = s->prove(s->arg);
	if (atomic_load(&s->ends))
		return;
	if (rc == 0) {
		if (atomic_exchange(&s->is_faulty, false))
			supervisor_status(s, "The mount works again");
		tell(s, "WATCHDOG=1");
	} else if (!atomic_exchange(&s->is_faulty, true)) {
		log_message_fault(MESSAGE_HEARTBEAT, rc, "the mount does not work any more");
		supervisor_status(s, "The mount does not work any more; see the journal");
	}
}

static void *run(void *arg) {
	Supervisor *s = arg;
	while (!atomic_load(&s->ends)) {
		beat(s);
		wait_for_beat(s);
	}
	return NULL;
}

int supervisor_watch(Supervisor *s, supervisor_prove *prove, void *arg) {
	if (!supervisor_listens(s) || s->beat_us == 0)
		return 0;
	s->prove = prove;
	s->arg = arg;
	int error = pthread_create(&s->thread, NULL, run, s);
	if (error)
		return fault_errno(error, "starting the thread of the heartbeat");
	s->has_thread = true;
	return 0;
}

/* ---- life ---- */

/* "/run/…", or "@name" in the abstract space. */
static void take_address(Supervisor *s, const char *text) {
	size_t size = text ? strlen(text) : 0;
	if (size < 2 || size >= sizeof s->address.sun_path || (text[0] != '/' && text[0] != '@'))
		return;
	s->address.sun_family = AF_UNIX;
	memcpy(s->address.sun_path, text, size);
	if (text[0] == '@')
		s->address.sun_path[0] = '\0';
	s->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (text[0] == '/'));
}

/* WATCHDOG_PID names another process when the manager watches that one. A fork of it is as good: it tells MAINPID. */
static void take_watchdog(Supervisor *s, const char *usec, const char *pid) {
	char *end = NULL;
	unsigned long long us = usec ? strtoull(usec, &end, 10) : 0;
	bool is_ours = !pid || strtoull(pid, NULL, 10) == (unsigned long long)getpid() ||
	               strtoull(pid, NULL, 10) == (unsigned long long)getppid();
	if (us >= BEATS && end && *end == '\0' && us < UINT64_MAX / 1000 && is_ours)
		s->beat_us = us / BEATS;
}

int supervisor_new(Supervisor **ret_supervisor) {
	Supervisor *s = calloc(1, sizeof *s);
	pthread_condattr_t attributes;
	if (!s)
		return fault(ENOMEM, "mounting: out of memory");
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	take_address(s, getenv("NOTIFY_SOCKET"));
	take_watchdog(s, getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	*ret_supervisor = s;
	return 0;
}

void supervisor_free(Supervisor *s) {
	if (!s)
		return;
	end_beats(s);
	if (s->has_thread)
		pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

bool supervisor_listens(const Supervisor *s) {
	return s && s->address_size > 0;
}
