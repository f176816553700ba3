#include "fs/aside.h"

#include "tests/fs/unit.h"

#include <stdatomic.h>
#include <stdbool.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	unsigned ended, in_callers_thread;
	pthread_t caller;
};

static void wait_at(void *arg) {
	struct gate *g = arg;
	pthread_mutex_lock(&g->lock);
	g->in_callers_thread += pthread_equal(pthread_self(), g->caller) != 0;
	while (!g->open && !pthread_equal(pthread_self(), g->caller))
		pthread_cond_wait(&g->changed, &g->lock);
	g->ended++;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void pass(void *arg) {
	struct gate *g = arg;
	pthread_mutex_lock(&g->lock);
	g->ended++;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void wait_for(struct gate *g, unsigned ended) {
	pthread_mutex_lock(&g->lock);
	while (g->ended < ended)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gate *g) {
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void set_up(struct gate *g) {
	*g = (struct gate){
	        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .caller = pthread_self()};
}

static void more_than_there_are_threads_wait_and_none_takes_the_callers(void **state) {
	(void)state;
	struct gate g;
	struct aside aside = ASIDE_INIT;
	enum { USERS = 5, EACH = 100 };
	set_up(&g);
	for (uint32_t i = 0; i < USERS * EACH; i++)
		aside_run(&aside, i % USERS, wait_at, &g);
	open_gate(&g);
	aside_wait(&aside);
	assert_int_equal(g.ended, USERS * EACH);
	assert_int_equal(g.in_callers_thread, 0);
	aside_run(&aside, 0, wait_at, &g); /* and it goes on */
	aside_wait(&aside);
	assert_int_equal(g.ended, USERS * EACH + 1);
}

/* Were others not let through, this would never come back. */
static void a_user_who_has_many_waiting_leaves_threads_to_others(void **state) {
	(void)state;
	struct gate slow, quick;
	struct aside aside = ASIDE_INIT;
	set_up(&slow);
	set_up(&quick);
	for (unsigned i = 0; i < 2 * ASIDE_RUNNING_MAX; i++)
		aside_run(&aside, 7, wait_at, &slow);
	for (unsigned i = 0; i < 10; i++)
		aside_run(&aside, 8, pass, &quick);
	wait_for(&quick, 10);
	assert_int_equal(slow.ended, 0);
	open_gate(&slow);
	aside_wait(&aside);
	assert_int_equal(slow.ended, 2 * ASIDE_RUNNING_MAX);
	assert_int_equal(slow.in_callers_thread, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(more_than_there_are_threads_wait_and_none_takes_the_callers),
	        cmocka_unit_test(a_user_who_has_many_waiting_leaves_threads_to_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
