#include "fs/turn.h"
#include "crypto/base/deadline.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS 50000
/* Another thread had the processor: a round of polling takes a microsecond. */
#define YIELDED_NS 20000
/* Pieces of idle work before it goes on to yield the processor: others may wait for what they take. */
#define MOMENTS_MAX 64
/* How many more polls in vain than others until it rests; and requests until it polls again. */
#define VAIN_MAX 4
#define REST_REQUESTS 64
/* Requests after which it is looked how many of them came beside others: so many that all shall read, or shall go on
 * to, or so few in two windows that there is one program. (Of one that reads or makes one file after the other a sixth
 * does: a RELEASE, which it does not wait for, and what it asks next.) */
#define WINDOW 64
#define MANY 32
#define STILL_MANY 24
#define FEW 8
#define TICK_NS 500000
/* Ticks while nothing comes after which the deputy is none: the next request to be served calls for one. */
#define IDLE_TICKS 4

struct Turn {
	pthread_mutex_t lock; /* guards all up to `until` */
	sem_t wake;
	bool parallel;      /* more than two processors: all may read at once */
	bool everybody;     /* does: nobody has the turn */
	const void *holder; /* of the turn: the address of its thread's `self`; NULL: nobody */
	bool kept;          /* the holder serves a request, and may lose the turn */
	bool deputy;        /* there is one */
	unsigned waiting;   /* threads, with the deputy */
	unsigned woken;     /* of those, not yet running */
	unsigned serving;   /* threads */
	uint64_t served;    /* requests */
	unsigned window;    /* requests of this window */
	unsigned beside;    /* of the requests of this window: came while others were served or waited */
	unsigned before;    /* the same of the last window */

	struct timespec until; /* the deputy's tick */
	turn_idle_fn *idle;    /* may be NULL */
	void *arg;

	/* The holder's alone. */
	bool at_once;  /* the request was there at the first look */
	unsigned vain; /* polls */
	unsigned rest; /* requests until polling is tried again */
};

static _Thread_local char self;
/* This thread is counted among those that serve. */
static _Thread_local bool is_serving;
/* This thread's descriptor does not block. (If the threads had to share one, another may have changed it: a read that
 * blocks is none the worse, and one that does not, but should, is seen by its EAGAIN.) */
static _Thread_local bool polls;

Turn *turn_new(int processors, turn_idle_fn *idle, void *arg) {
	Turn *turn = calloc(1, sizeof *turn);
	if (!turn)
		return NULL;
	turn->parallel = processors > 2;
	turn->idle = idle;
	turn->arg = arg;
	pthread_mutex_init(&turn->lock, NULL);
	sem_init(&turn->wake, 0, 0);
	return turn;
}

void turn_free(Turn *turn) {
	if (!turn)
		return;
	sem_destroy(&turn->wake);
	pthread_mutex_destroy(&turn->lock);
	free(turn);
}

/* ---- who has it ---- */

static void wake_one(Turn *turn) {
	if (turn->woken < turn->waiting) {
		turn->woken++;
		sem_post(&turn->wake);
	}
}

/*
 * With the lock, which is let go meanwhile. A thread is cancelled only where none goes on, so that what it was counted
 * for does not matter; the lock is not held then, and nothing that its stack would have to be cleared of.
 */
static void wait_change(Turn *turn) {
	turn->waiting++;
	pthread_mutex_unlock(&turn->lock);
	while (sem_wait(&turn->wake) < 0)
		;
	pthread_mutex_lock(&turn->lock);
	turn->waiting--;
	turn->woken--;
}

/* The same for a tick at most. True: it was woken. */
static bool wait_tick(Turn *turn) {
	turn->until = deadline_after_ns(TICK_NS);
	turn->waiting++;
	pthread_mutex_unlock(&turn->lock);
	int rc;
	while ((rc = sem_clockwait(&turn->wake, CLOCK_MONOTONIC, &turn->until)) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&turn->lock);
	turn->waiting--;
	turn->woken -= rc == 0;
	return rc == 0;
}

/* Until the turn is free, or the holder has been at one request for a tick (then it is free), or nothing comes. */
static void watch(Turn *turn) {
	turn->deputy = true;
	for (unsigned idle = 0; turn->holder && idle < IDLE_TICKS;) {
		uint64_t served = turn->served;
		bool kept = turn->kept;
		if (wait_tick(turn))
			continue;
		bool same = turn->served == served;
		if (same && kept && turn->kept) {
			turn->holder = NULL;
			turn->kept = false;
		}
		idle = same ? idle + 1 : 0;
	}
	turn->deputy = false;
}

/* False: it has no turn, everybody reads. */
static bool take(Turn *turn) {
	pthread_mutex_lock(&turn->lock);
	if (is_serving)
		turn->serving--;
	is_serving = false;
	while (!turn->everybody && turn->holder && turn->holder != &self) {
		if (turn->kept && !turn->deputy)
			watch(turn);
		else
			wait_change(turn);
	}
	bool taken = !turn->everybody;
	if (taken) {
		turn->holder = &self;
		turn->kept = false;
	}
	pthread_mutex_unlock(&turn->lock);
	return taken;
}

/* Not by a thread that reads without the turn while another has it. */
static void judge_window(Turn *turn) {
	bool everybody = turn->parallel && turn->beside >= (turn->everybody ? STILL_MANY : MANY);
	turn->before = turn->beside;
	turn->beside = 0;
	turn->window = 0;
	if (everybody && !turn->everybody) {
		turn->holder = NULL;
		turn->kept = false;
		while (turn->woken < turn->waiting)
			wake_one(turn);
	}
	turn->everybody = everybody;
}

/* From now on the deputy may take the turn; where there is none, one who waits is told to be. */
static void begin_serving(Turn *turn) {
	pthread_mutex_lock(&turn->lock);
	bool holds = turn->holder == &self; /* else it had begun to read when everybody did */
	turn->kept = turn->kept || holds;
	turn->beside += (holds && turn->at_once) || turn->serving > 0;
	turn->serving++;
	is_serving = true;
	turn->served++;
	if (++turn->window >= WINDOW && (holds || turn->everybody))
		judge_window(turn);
	if (turn->kept && !turn->deputy)
		wake_one(turn);
	pthread_mutex_unlock(&turn->lock);
}

void turn_pass(Turn *turn) {
	pthread_mutex_lock(&turn->lock);
	bool lone = turn->before + turn->beside < FEW;
	if (turn->holder == &self && !lone) {
		turn->holder = NULL;
		turn->kept = false;
		wake_one(turn);
	}
	pthread_mutex_unlock(&turn->lock);
}

/* ---- how it waits ---- */

/* A thread that were cancelled within could hold a lock. */
static bool use_moment(Turn *turn) {
	int error = errno, state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	bool more = turn->idle(turn->arg);
	pthread_setcancelstate(state, &state);
	errno = error;
	return more;
}

/* -1 with EAGAIN: nothing came while it was worth looking. */
static ssize_t poll_request(Turn *turn, int fd, void *buffer, size_t capacity) {
	ssize_t got = read(fd, buffer, capacity);
	turn->at_once = got >= 0;
	for (int i = 0; i < MOMENTS_MAX && got < 0 && errno == EAGAIN && turn->idle && use_moment(turn); i++)
		got = read(fd, buffer, capacity);
	int64_t begun = monotonic_ns(), last = begun, now = begun;
	while (got < 0 && errno == EAGAIN && now - begun < POLL_NS && now - last < YIELDED_NS) {
		sched_yield();
		got = read(fd, buffer, capacity);
		last = now;
		now = monotonic_ns();
	}
	if (got >= 0 || errno != EAGAIN) {
		turn->vain -= turn->vain > 0;
		return got;
	}
	turn->vain = now - last < YIELDED_NS && turn->vain < VAIN_MAX ? turn->vain + 1 : VAIN_MAX;
	if (turn->vain >= VAIN_MAX)
		turn->rest = REST_REQUESTS;
	return -1;
}

static bool set_polls(int fd, bool nonblocking) {
	int flags = fcntl(fd, F_GETFL);
	polls = nonblocking;
	return fcntl(fd, F_SETFL, nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0;
}

static ssize_t sleep_request(int fd, void *buffer, size_t capacity) {
	if (polls)
		(void)set_polls(fd, false);
	ssize_t got = read(fd, buffer, capacity);
	while (got < 0 && errno == EAGAIN && set_polls(fd, false))
		got = read(fd, buffer, capacity);
	return got;
}

static ssize_t wait_request(Turn *turn, int fd, void *buffer, size_t capacity) {
	turn->at_once = false;
	if (turn->rest > 0) {
		turn->rest--;
		return sleep_request(fd, buffer, capacity);
	}
	if (!polls)
		(void)set_polls(fd, true);
	ssize_t got = poll_request(turn, fd, buffer, capacity);
	return got < 0 && errno == EAGAIN ? sleep_request(fd, buffer, capacity) : got;
}

ssize_t turn_read(Turn *turn, int fd, void *buffer, size_t capacity) {
	ssize_t got = take(turn) ? wait_request(turn, fd, buffer, capacity) : sleep_request(fd, buffer, capacity);
	int error = errno;
	begin_serving(turn);
	errno = error;
	return got;
}
