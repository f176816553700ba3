/* turns: whose job is taken next, so that nobody's many or slow files hold up everybody else's. */
#include "policy/gate/internal.h"

/* With the lock held. */
static struct gate_share *share_of(Gate *gate, uint32_t uid) {
	struct gate_share *spare = NULL;
	for (size_t i = 0; i < GATE_THREADS_MAX; i++) {
		if (gate->shares[i].running > 0 && gate->shares[i].uid == uid)
			return &gate->shares[i];
		if (gate->shares[i].running == 0)
			spare = &gate->shares[i];
	}
	return spare; /* there are as many as threads, so one is free for a thread that asks */
}

static unsigned part_of_threads(const Gate *gate, unsigned divisor) {
	unsigned part = gate->thread_limit / divisor;
	return part > 0 ? part : 1;
}

void gate_turn_next(Gate *gate, struct gate_turn *ret_turn) {
	pthread_mutex_lock(&gate->lock);
	ret_turn->turn = (struct job_turn){.after_uid = gate->last_uid, .full_uids = ret_turn->full_uids};
	for (size_t i = 0; i < GATE_THREADS_MAX; i++)
		if (gate->shares[i].running >= part_of_threads(gate, 2))
			ret_turn->full_uids[ret_turn->turn.full_count++] = gate->shares[i].uid;
	if (gate->large_running >= part_of_threads(gate, 4))
		ret_turn->turn.size_below = SPAWNER_SMALL_BYTES;
	pthread_mutex_unlock(&gate->lock);
}

void gate_turn_begin(Gate *gate, uint32_t uid, bool is_large) {
	pthread_mutex_lock(&gate->lock);
	struct gate_share *share = share_of(gate, uid);
	share->uid = uid;
	share->running++;
	gate->large_running += is_large;
	gate->last_uid = uid;
	pthread_mutex_unlock(&gate->lock);
}

void gate_turn_end(Gate *gate, uint32_t uid, bool is_large) {
	pthread_mutex_lock(&gate->lock);
	share_of(gate, uid)->running--;
	gate->large_running -= is_large;
	pthread_cond_broadcast(&gate->wake);
	pthread_mutex_unlock(&gate->lock);
}
