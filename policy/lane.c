#include "policy/lane.h"

#include <stddef.h>

/* Who waits, on the stack of the thread that does. */
struct waiter {
	struct waiter *next;
	uint32_t user;
	bool has_turn;
};

void lane_init(struct lane *lane, unsigned most) {
	*lane = (struct lane){.most = most};
	lane->last = &lane->first;
	(void)pthread_mutex_init(&lane->lock, NULL);
	(void)pthread_cond_init(&lane->turn, NULL);
}

void lane_destroy(struct lane *lane) {
	(void)pthread_mutex_destroy(&lane->lock);
	(void)pthread_cond_destroy(&lane->turn);
}

/* NULL: not served of late. All of these with the lock held. */
static struct lane_share *share_of(struct lane *lane, uint32_t user) {
	for (size_t i = 0; i < LANE_MOST; i++)
		if (lane->shares[i].served > 0 && lane->shares[i].user == user)
			return &lane->shares[i];
	return NULL;
}

/* The place of who was served longest ago and has nothing running: there is one, as no more run than there are places.
 */
static struct lane_share *take_share(struct lane *lane, uint32_t user) {
	struct lane_share *oldest = NULL;
	for (size_t i = 0; i < LANE_MOST; i++)
		if (lane->shares[i].running == 0 && (!oldest || lane->shares[i].served < oldest->served))
			oldest = &lane->shares[i];
	*oldest = (struct lane_share){.user = user};
	return oldest;
}

/* Whose turn it is: of those who may have one more, who has fewest running, then who was served longest ago. */
static struct waiter **next_waiter(struct lane *lane) {
	static const struct lane_share none = {.running = 0};
	unsigned cap = lane->most > 1 ? lane->most - 1 : 1;
	const struct lane_share *best = NULL;
	struct waiter **chosen = NULL;
	for (struct waiter **slot = &lane->first; *slot; slot = &(*slot)->next) {
		const struct lane_share *share = share_of(lane, (*slot)->user);
		share = share ? share : &none;
		bool is_better = !best || share->running < best->running ||
		                 (share->running == best->running && share->served < best->served);
		if (share->running >= cap || !is_better)
			continue;
		best = share;
		chosen = slot;
	}
	return chosen;
}

static void give_turns(struct lane *lane) {
	struct waiter **slot;
	while (lane->running < lane->most && (slot = next_waiter(lane))) {
		struct waiter *waiter = *slot;
		struct lane_share *share = share_of(lane, waiter->user);
		share = share ? share : take_share(lane, waiter->user);
		share->running++;
		share->served = ++lane->turns;
		lane->running++;
		*slot = waiter->next;
		if (!*slot)
			lane->last = slot;
		waiter->has_turn = true;
	}
	(void)pthread_cond_broadcast(&lane->turn);
}

void lane_enter(struct lane *lane, uint32_t user) {
	struct waiter waiter = {.user = user};
	(void)pthread_mutex_lock(&lane->lock);
	*lane->last = &waiter;
	lane->last = &waiter.next;
	give_turns(lane);
	while (!waiter.has_turn)
		(void)pthread_cond_wait(&lane->turn, &lane->lock);
	(void)pthread_mutex_unlock(&lane->lock);
}

void lane_leave(struct lane *lane, uint32_t user) {
	(void)pthread_mutex_lock(&lane->lock);
	struct lane_share *share = share_of(lane, user);
	if (share) /* there is one for each that runs */
		share->running--;
	lane->running--;
	give_turns(lane);
	(void)pthread_mutex_unlock(&lane->lock);
}
