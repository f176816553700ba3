/*
 * turn: which thread of the session reads the next request, and how it waits for it.
 *
 *     threads of the loop
 *        A  has the turn: reads; it polls for some 50 us before it sleeps in read(2)
 *        B  is the deputy: looks each half millisecond, while requests come, whether A is still at the same one
 *        C, D, …  wait until the turn is passed on
 *
 * The thread that has read a request serves it and keeps the turn: it reads next. So nobody has to be woken, and mostly
 * the next request is found while polling; a program that does one thing after the other costs no sleeping and waking
 * in the daemon, which on a virtual processor is most of what a request costs. For a request that takes long
 * (turn_pass) another thread gets the turn, unless a single program has been asking lately. Whatever else waits (for a
 * lock, a commit, another request) loses the turn to the deputy after one to two of its looks.
 *
 * Polling yields the processor at each look. If another thread had it for long, it is needed: the reader sleeps, and
 * does not poll again soon. Nor does it where requests come so seldom that polling is in vain.
 *
 * Meanwhile it does what there is to do in idle moments, some microseconds at a time, before it yields the processor.
 *
 * Where there are more processors than two and requests come beside each other most of the time, everybody reads, in
 * the order in which the kernel wakes them, until that is over.
 *
 * On 2 virtual processors, medians of three in turns, one thread reading as here and all of them in read(2):
 *     files of 1 KiB made by one process 7,400 and 6,000 a second, by two 10,900 and 7,900, by four 9,200 and 7,000;
 *     read cold by one 13,200 and 9,600, by two 17,500 and 14,000, by four 16,800 and 11,800;
 *     4 KiB appended and fsync by one 8,700 and 7,900 (7,600 with the turn passed for each fsync), by eight no
 * difference.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "crypto/base/cleanup.h"

typedef struct Turn Turn;

/*
 * For a process that may use so many processors. `idle` is called, by the thread that polls, when there was no request
 * at a look; it returns whether there is more to do. NULL: nothing. NULL is returned: out of memory.
 */
typedef bool turn_idle_fn(void *arg);
Turn *turn_new(int processors, turn_idle_fn *idle, void *arg);

/* When no thread is in a call any more, nor comes. Accepts NULL. */
void turn_free(Turn *turn);
DEFINE_CLEANUP(Turn, turn_free);

/*
 * Waits until this thread may read, and reads as read(2) does; also what it returns. `fd` is made non-blocking and
 * blocking again. A thread serves what it has read until it calls this again; it must, or be cancelled, which it may be
 * within this. A thread is in one Turn in its life.
 */
ssize_t turn_read(Turn *turn, int fd, void *buffer, size_t capacity);

/* What this thread has just read takes long to serve: another one may read meanwhile. */
void turn_pass(Turn *turn);
