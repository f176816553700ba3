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
	actor_of_process(NULL, 1, 2, gettid(), arg);
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
	actor_of_process(NULL, 3, 4, 0, &actor);
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
	actor_of_process(NULL, 0, 0, child, &actor);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(actor.pid, child);
	assert_string_equal(actor.exe, "[test_fs_actor]");
}

static void wait_for_program(struct programs *programs, pid_t pid, const char *name) {
	struct actor actor;
	for (int i = 0; i < 1000; i++) {
		actor_of_process(programs, 0, 0, pid, &actor);
		if (strcmp(actor.exe, name) == 0)
			return;
		usleep(10000);
	}
	assert_string_equal(actor.exe, name);
}

static void a_kept_process_tells_its_next_program(void **state) {
	(void)state;
	struct programs programs = PROGRAMS_INIT;
	struct actor actor;
	int go[2];
	char byte;
	assert_int_equal(pipe(go), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)!read(go[0], &byte, 1);
		execlp("sleep", "sleep", "60", (char *)NULL);
		_exit(1);
	}
	for (int i = 0; i < 2; i++) {
		actor_of_process(&programs, 5, 6, child, &actor);
		assert_string_equal(actor.exe, "test_fs_actor");
		assert_int_equal(actor.pid, child);
		assert_int_equal(actor.uid, 5);
	}
	assert_int_equal(programs.kept[(unsigned)child % PROGRAMS].tid, child);
	assert_int_equal(write(go[1], "x", 1), 1);
	wait_for_program(&programs, child, "sleep");
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(go[0]);
	close(go[1]);
	programs_clear(&programs);
}

static void a_process_that_is_gone_is_not_taken_for_the_next(void **state) {
	(void)state;
	struct programs programs = PROGRAMS_INIT;
	struct actor actor;
	char path[64];
	pid_t pid;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pause();
		_exit(0);
	}
	actor_of_process(&programs, 0, 0, child, &actor);
	assert_string_equal(actor.exe, "test_fs_actor");
	assert_int_equal(programs_ask(&programs, child, &pid, path, sizeof path) > 0, true);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	/* The number might be somebody else's by now; what was kept says nothing of them. */
	assert_int_equal(programs_ask(&programs, child, &pid, path, sizeof path), 0);
	assert_int_equal(programs.kept[(unsigned)child % PROGRAMS].tid, 0);
	programs_clear(&programs);
}

static void *ask_twice_as_thread(void *arg) {
	struct programs *programs = arg;
	struct actor actor;
	for (int i = 0; i < 2; i++) {
		actor_of_process(programs, 0, 0, gettid(), &actor);
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

static void the_place_of_one_is_taken_by_another(void **state) {
	(void)state;
	struct programs programs = PROGRAMS_INIT;
	char path[4096];
	pid_t pid;
	programs_keep(&programs, getpid(), getpid());
	assert_true(programs_ask(&programs, getpid(), &pid, path, sizeof path) > 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(programs_ask(&programs, getpid() + PROGRAMS, &pid, path, sizeof path), 0);
	int link = programs.kept[(unsigned)getpid() % PROGRAMS].link;
	programs_keep(&programs, getpid(), getpid());
	assert_int_equal(fcntl(link, F_GETFD), -1); /* no descriptor is left behind */
	programs_clear(&programs);
	assert_int_equal(programs_ask(&programs, getpid(), &pid, path, sizeof path), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_daemon_knows_itself),
	        cmocka_unit_test(a_thread_is_recorded_as_its_process),
	        cmocka_unit_test(no_process_has_no_name),
	        cmocka_unit_test(a_process_without_a_program_is_named_by_its_thread),
	        cmocka_unit_test(a_kept_process_tells_its_next_program),
	        cmocka_unit_test(a_process_that_is_gone_is_not_taken_for_the_next),
	        cmocka_unit_test(a_kept_thread_is_recorded_as_its_process),
	        cmocka_unit_test(the_place_of_one_is_taken_by_another),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
