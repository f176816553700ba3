/* Many checks at once: whom the spawner lets wait, and what is left when it or its parent dies. */
#include "tests/policy/misbehave.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void without_the_spawner_checks_fail_closed(void **state) {
	(void)state;
	Spawner *s = start();
	assert_true(spawner_alive(s));
	assert_int_equal(kill(spawner_pid(s), SIGKILL), 0);
	expect_error(s, "pass", "is gone");
	assert_false(spawner_alive(s));
	expect_error(s, "pass", "is gone");
	spawner_stop(s);
}

static void *ask_to_sleep(void *context) {
	struct check_outcome outcome = {0};
	(void)ask(context, "sleep", 2u << 20, 0, &outcome);
	return outcome.result;
}

static void a_spawner_killed_during_a_check_ends_it_as_error(void **state) {
	(void)state;
	Spawner *s = start();
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, ask_to_sleep, s), 0);
	expect_pass(s, 10); /* the small lane goes on; and by now the large one is probably under way */
	assert_int_equal(kill(spawner_pid(s), SIGKILL), 0);
	void *result = NULL;
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_non_null(result);
	assert_int_equal(((struct check_result *)result)->outcome, OUTCOME_ERROR);
	check_result_free(result);
	spawner_stop(s);
}

static void small_files_do_not_wait_behind_large_ones(void **state) {
	(void)state;
	struct spawner_options options = {.check = misbehave, .seconds = 600};
	Spawner *s = NULL;
	assert_int_equal(spawner_start(&options, &s), 0);
	pthread_t threads[3];
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_to_sleep, s), 0);
	/* One large check hangs for ten minutes and two wait for it; were there one lane, this would never come back.
	 */
	for (size_t i = 0; i < 5; i++)
		expect_pass(s, 10);
	assert_int_equal(kill(spawner_pid(s), SIGKILL), 0);
	for (size_t i = 0; i < 3; i++) {
		void *result = NULL;
		assert_int_equal(pthread_join(threads[i], &result), 0);
		check_result_free(result);
	}
	spawner_stop(s);
}

static void *ask_to_sleep_as_seven(void *context) {
	struct check_outcome outcome = {0};
	user_who_asks = 7;
	(void)ask(context, "sleep", 10, 0, &outcome);
	return outcome.result;
}

/* One user's checks hang for ten minutes, and more of them wait; were others not let through, this would never come
 * back. */
static void a_user_can_not_starve_others(void **state) {
	(void)state;
	struct spawner_options options = {.check = misbehave, .seconds = 600, .small_workers = 2};
	Spawner *s = NULL;
	pthread_t threads[5];
	assert_int_equal(spawner_start(&options, &s), 0);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_to_sleep_as_seven, s), 0);
	for (uint32_t i = 0; i < 100; i++) { /* more users than are remembered */
		user_who_asks = 1000 + i;
		expect_pass(s, 10);
	}
	user_who_asks = 0;
	assert_int_equal(kill(spawner_pid(s), SIGKILL), 0);
	for (size_t i = 0; i < 5; i++) {
		void *result = NULL;
		assert_int_equal(pthread_join(threads[i], &result), 0);
		check_result_free(result);
	}
	spawner_stop(s);
}

static void *ask_many(void *context) {
	for (size_t i = 0; i < 20; i++) {
		struct check_outcome outcome = {0};
		if (ask(context, i % 4 == 0 ? "exit" : "pass", i * 100000, 0, &outcome) < 0)
			return context;
		bool is_right = (outcome.result->outcome == OUTCOME_ERROR) == (i % 4 == 0);
		check_result_free(outcome.result);
		if (!is_right)
			return context;
	}
	return NULL;
}

static void many_threads_may_ask_at_once(void **state) {
	(void)state;
	Spawner *s = start();
	pthread_t threads[6];
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_many, s), 0);
	for (size_t i = 0; i < 6; i++) {
		void *failed = s;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	spawner_stop(s);
}

static void *do_nothing(void *context) {
	(void)syscall(SYS_futex, context, FUTEX_WAIT, 0, NULL, NULL, 0);
	return NULL;
}

static void a_process_with_threads_can_not_start_one(void **state) {
	(void)state;
	uint32_t word = 0;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, do_nothing, &word), 0);
	Spawner *s = NULL;
	assert_int_equal(spawner_start(NULL, &s), -EBUSY);
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	(void)syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* A daemon that has two checks under way, and is then killed. */
static void daemon_to_be_killed(int ready) {
	struct spawner_options options = {.check = misbehave, .seconds = 600};
	Spawner *s = NULL;
	pthread_t thread;
	if (spawner_start(&options, &s) < 0 || pthread_create(&thread, NULL, ask_to_sleep, s) != 0)
		_exit(1);
	struct check_outcome outcome;
	if (ask(s, "pass", 10, 0, &outcome) < 0)
		_exit(1);
	(void)!write(ready, "x", 1);
	(void)ask(s, "sleep", 10, 0, &outcome);
	_exit(1);
}

static void a_dead_parent_leaves_no_process(void **state) {
	(void)state;
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	/* Whoever loses its parent becomes ours, so that waiting for all children finds those that live on. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	pid_t child = fork();
	if (child == 0)
		daemon_to_be_killed(ready[1]);
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	assert_int_equal(kill(child, SIGKILL), 0);
	alarm(60); /* one that lives on would be waited for until then */
	size_t ended = 0;
	while (waitpid(-1, NULL, 0) > 0)
		ended++;
	alarm(0);
	assert_int_equal(errno, ECHILD);
	assert_true(ended >= 2); /* the daemon and the spawner at least */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(without_the_spawner_checks_fail_closed),
	        cmocka_unit_test(a_spawner_killed_during_a_check_ends_it_as_error),
	        cmocka_unit_test(small_files_do_not_wait_behind_large_ones),
	        cmocka_unit_test(a_user_can_not_starve_others),
	        cmocka_unit_test(many_threads_may_ask_at_once),
	        cmocka_unit_test(a_process_with_threads_can_not_start_one),
	        cmocka_unit_test(a_dead_parent_leaves_no_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
