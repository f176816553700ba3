/*
 * lanes: the front's way to the daemon: questions wait in a queue, each lane carries one at a time, and no more than so
 * many a second are asked, however many come by HTTP.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Lanes Lanes;

/* The answer to what was asked with `arg`; NULL: the daemon is gone. Borrowed. */
typedef void lanes_answered(void *arg, const json_t *answer);

/* The descriptors stay the caller's. NULL: no memory. */
Lanes *lanes_new(const int *fds, size_t count, lanes_answered *answered);

/* Queues a question, taking the reference over. -EAGAIN: too many wait. */
int lanes_ask(Lanes *lanes, json_t *question, void *arg);

/* Who asked is gone: its answer is dropped. */
void lanes_forget(Lanes *lanes, void *arg);

/* For poll(): one entry a lane. */
void lanes_poll(const Lanes *lanes, struct pollfd *ret_fds);

/* Sends what may be sent at `now_ms`. False: the daemon is gone. */
bool lanes_send(Lanes *lanes, int64_t now_ms);

/* After poll(): takes what came, then as lanes_send. */
bool lanes_run(Lanes *lanes, const struct pollfd *fds, int64_t now_ms);

/* Whether something waits to be sent. */
bool lanes_wait(const Lanes *lanes);

/* Drops what waits. Accepts NULL. */
void lanes_free(Lanes *lanes);
DEFINE_CLEANUP(Lanes, lanes_free);
