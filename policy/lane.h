/*
 * lane: lets so many threads do a thing at once, and the users that wait take turns. For worker.c.
 *
 *     lane_enter ── as many as may run it already, or this user has all of them but one ──► waits ─► lane_leave
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LANE_MOST 64

/* A user who has checks running, or was served not long ago. */
struct lane_share {
	uint32_t user;
	unsigned running;
	uint64_t served; /* the lane's count of turns at the last one; 0: free */
};

/* The fields are lane.c's. A lane lets `most` checks run and the others wait: users in turn, of one user in the order
 * they came. */
struct lane {
	pthread_mutex_t lock; /* guards what follows; nothing else is locked while it is held */
	pthread_cond_t turn;
	unsigned running, most;
	uint64_t turns;
	struct waiter *first, **last;
	struct lane_share shares[LANE_MOST];
};

/* `most` up to LANE_MOST. */
void lane_init(struct lane *lane, unsigned most);
/* Nobody runs or waits any more. */
void lane_destroy(struct lane *lane);

/* Waits for the user's turn; lane_leave ends it. Thread-safe. */
void lane_enter(struct lane *lane, uint32_t user);
void lane_leave(struct lane *lane, uint32_t user);
