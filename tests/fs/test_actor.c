/* Who makes a request, as /proc tells it. */
#include "fs/actor.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void the_daemon_knows_itself(void **state) {
	(void)state;
	struct actor actor;
	actor_of_daemon(&actor);
	assert_int_equal(actor.uid, getuid());
	assert_int_equal(actor.gid, getgid());
	assert_int_equal(actor.pid, getpid());
	assert_string_equal(actor.exe, "test_fs_actor");
}

static void *ask_as_thread(void *arg) {
	actor_of_process(NULL, false, 1, 2, gettid(), arg);
	return NULL;
}

static void a_thread_is_recorded_as_its_process(void **state) {
	(void)state;
	struct actor actor;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, ask_as_thread, &actor), 0);
	pthread_join(thread, NULL);
	assert_int_equal(actor.pid, getpid());
	assert_int_equal(actor.uid, 1);
	assert_int_equal(actor.gid, 2);
	assert_string_equal(actor.exe, "test_fs_actor");
}

static void no_process_has_no_name(void **state) {
	(void)state;
	struct actor actor;
	memset(&actor, 0x55, sizeof actor);
	actor_of_process(NULL, false, 3, 4, 0, &actor);
	assert_int_equal(actor.pid, 0);
	assert_string_equal(actor.exe, "");
}

static void a_process_without_a_program_is_named_by_its_thread(void **state) {
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0); /* dead, but still there */
	struct actor actor;
	actor_of_process(NULL, false, 0, 0, child, &actor);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(actor.pid, child);
	assert_string_equal(actor.exe, "[test_fs_actor]");
}

static void *ask_twice_as_thread(void *arg) {
	struct programs *programs = arg;
	struct actor actor;
	for (int i = 0; i < 2; i++) {
		actor_of_process(programs, false, 0, 0, gettid(), &actor);
		assert_int_equal(actor.pid, getpid());
		assert_string_equal(actor.exe, "test_fs_actor");
	}
	assert_int_equal(programs->kept[(unsigned)gettid() % PROGRAMS].tid, gettid());
	return NULL;
}

static void a_kept_thread_is_recorded_as_its_process(void **state) {
	(void)state;
	struct programs programs = PROGRAMS_INIT;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, ask_twice_as_thread, &programs), 0);
	pthread_join(thread, NULL);
	programs_clear(&programs);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_daemon_knows_itself),
	        cmocka_unit_test(a_thread_is_recorded_as_its_process),
	        cmocka_unit_test(no_process_has_no_name),
	        cmocka_unit_test(a_process_without_a_program_is_named_by_its_thread),
	        cmocka_unit_test(a_kept_thread_is_recorded_as_its_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
