/* Who reads the next request: once each, whoever waits, and by the same thread while that is possible. */
#include "fs/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fs/unit.h"

#define THREADS 6
#define FLOOD 20000

enum { PLAIN, LONG, SLOW, WAITS, WAKES };

struct world {
	Turn *turn;
	int requests, client; /* a pair of sockets: one packet is one request */
	pthread_t threads[THREADS];
	unsigned running;
	sem_t served, may_go_on;
	atomic_uint count;
	_Atomic pthread_t last; /* who served one */
	atomic_uint moments;    /* that were used */
	atomic_uint waiting;    /* pieces of work for such */
};

static void serve(struct world *world, char request) {
	if (request == LONG)
		turn_pass(world->turn);
	if (request == SLOW)
		usleep(300);
	if (request == WAITS)
		sem_wait(&world->may_go_on);
	if (request == WAKES)
		sem_post(&world->may_go_on);
	world->count++;
	world->last = pthread_self();
	sem_post(&world->served);
}

/* Where it is cancelled, nothing of its own may lie on the stack: the address sanitizer would not learn of its end. */
static void *loop(void *arg) {
	struct world *world = arg;
	static _Thread_local char request;
	while (turn_read(world->turn, world->requests, &request, 1) == 1)
		serve(world, request);
	return NULL;
}

static void start(struct world *world, unsigned threads) {
	for (; world->running < threads; world->running++)
		assert_int_equal(pthread_create(&world->threads[world->running], NULL, loop, world), 0);
}

static void ask(struct world *world, char request) {
	assert_int_equal(send(world->client, &request, 1, 0), 1);
}

static void await(struct world *world, unsigned requests) {
	while (requests-- > 0)
		sem_wait(&world->served);
}

/* Leaves errno as something that went wrong does. */
static bool use_moment(void *arg) {
	struct world *world = arg;
	errno = ENOENT;
	world->moments++;
	if (world->waiting > 0)
		world->waiting--;
	return world->waiting > 0;
}

static int set_up_for(void **state, int processors) {
	struct world *world = calloc(1, sizeof *world);
	int pair[2];
	assert_non_null(world);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	world->requests = pair[0];
	world->client = pair[1];
	sem_init(&world->served, 0, 0);
	sem_init(&world->may_go_on, 0, 0);
	world->turn = turn_new(processors, use_moment, world);
	assert_non_null(world->turn);
	*state = world;
	return 0;
}

static int set_up(void **state) {
	return set_up_for(state, 2);
}

static int set_up_of_many(void **state) {
	return set_up_for(state, 8);
}

/* As the session's loop ends: cancelled wherever they wait. */
static int tear_down(void **state) {
	struct world *world = *state;
	for (unsigned i = 0; i < world->running; i++)
		pthread_cancel(world->threads[i]);
	for (unsigned i = 0; i < world->running; i++)
		pthread_join(world->threads[i], NULL);
	turn_free(world->turn);
	close(world->requests);
	close(world->client);
	sem_destroy(&world->served);
	sem_destroy(&world->may_go_on);
	free(world);
	return 0;
}

static void test_who_served_one_request_reads_the_next(void **state) {
	struct world *world = *state;
	start(world, THREADS);
	ask(world, PLAIN);
	await(world, 1);
	unsigned others = 0;
	for (int i = 0; i < 200; i++) {
		pthread_t before = world->last;
		ask(world, PLAIN);
		await(world, 1);
		others += !pthread_equal(world->last, before);
	}
	assert_in_range(others, 0, 50); /* the deputy may take it from one that was kept from its processor */
}

static void test_a_request_that_waits_for_another_does_not_hold_it_up(void **state) {
	struct world *world = *state;
	start(world, 2);
	for (int i = 0; i < 20; i++) {
		ask(world, WAITS);
		ask(world, WAKES);
		await(world, 2);
	}
}

static void test_nor_does_it_when_it_comes_after_a_pause(void **state) {
	struct world *world = *state;
	start(world, 2);
	ask(world, PLAIN);
	await(world, 1);
	usleep(300000); /* there is no deputy any more */
	ask(world, WAITS);
	ask(world, WAKES);
	await(world, 2);
}

static void test_as_many_can_wait_as_there_are_threads_but_one(void **state) {
	struct world *world = *state;
	start(world, THREADS);
	for (int i = 0; i < THREADS - 1; i++)
		ask(world, WAITS);
	for (int i = 0; i < THREADS - 1; i++)
		ask(world, WAKES);
	await(world, 2 * (THREADS - 1));
}

static void flood(struct world *world) {
	start(world, THREADS);
	for (unsigned i = 0; i < FLOOD; i++)
		ask(world, i % 7 == 0 ? LONG : PLAIN);
	await(world, FLOOD);
	assert_int_equal(world->count, FLOOD);
	for (unsigned i = 0; i < 200; i++) { /* one after the other again */
		ask(world, i % 2 ? LONG : PLAIN);
		await(world, 1);
	}
	assert_int_equal(world->count, FLOOD + 200);
}

static void test_each_of_a_flood_is_served_once(void **state) {
	flood(*state);
}

static void test_so_it_is_where_everybody_reads(void **state) {
	flood(*state);
}

/* Requests beside each other make everybody read, and so the threads sleep in read(2) when there is one again that
 * has the turn. What they read meanwhile must not hide that it waits. */
static void test_nor_are_those_in_the_way_who_read_without_the_turn(void **state) {
	struct world *world = *state;
	start(world, THREADS);
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 192; i++)
			ask(world, SLOW);
		await(world, 192);
		for (int i = 0; i < 129 + round; i++) { /* somewhere here everybody does not any more */
			ask(world, PLAIN);
			await(world, 1);
		}
		ask(world, WAITS);
		for (int i = 0; i < 2 * THREADS; i++) {
			usleep(100);
			ask(world, PLAIN);
		}
		ask(world, WAKES);
		await(world, 2 * THREADS + 2);
	}
}

static void test_idle_moments_are_used(void **state) {
	struct world *world = *state;
	start(world, THREADS);
	ask(world, PLAIN);
	await(world, 1);
	for (int i = 0; i < 200; i++) {
		world->waiting = 5;
		ask(world, PLAIN);
		await(world, 1);
	}
	/* Where polling is in vain, it is not done for a while. */
	for (int i = 0; i < 1000 && world->waiting > 0; i++) {
		ask(world, PLAIN);
		await(world, 1);
	}
	assert_int_equal(world->waiting, 0);
	unsigned before = world->moments;
	usleep(50000);
	assert_in_range(world->moments - before, 0, 3); /* they end when there is nothing to do */
}

static void test_what_fails_is_told_as_read_tells_it(void **state) {
	struct world *world = *state;
	char request;
	errno = 0;
	assert_int_equal(turn_read(world->turn, -1, &request, 1), -1);
	assert_int_equal(errno, EBADF);
	ask(world, PLAIN);
	assert_int_equal(turn_read(world->turn, world->requests, &request, 1), 1);
	close(world->client);
	world->client = -1;
	assert_int_equal(turn_read(world->turn, world->requests, &request, 1), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_who_served_one_request_reads_the_next, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_request_that_waits_for_another_does_not_hold_it_up, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_nor_does_it_when_it_comes_after_a_pause, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_as_many_can_wait_as_there_are_threads_but_one, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_each_of_a_flood_is_served_once, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_so_it_is_where_everybody_reads, set_up_of_many, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_nor_are_those_in_the_way_who_read_without_the_turn, set_up_of_many, tear_down),
	        cmocka_unit_test_setup_teardown(test_idle_moments_are_used, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_what_fails_is_told_as_read_tells_it, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
