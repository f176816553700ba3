/* Whose close it is, held against processes that live, end, or are killed. */
#include "fs/closer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A child that has ended, but is still there to be looked at: as a task is while its files are closed. */
static pid_t ended_child(int sig, int code) {
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (sig)
			raise(sig);
		_exit(code);
	}
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	return child;
}

static void the_opener_who_goes_on_is_done(void **state) {
	(void)state;
	struct actor opener = {.pid = getpid()};
	assert_int_equal(closer_word(&opener, getpid()), CLOSER_DONE);
}

static void another_process_waits_while_the_opener_lives(void **state) {
	(void)state;
	struct actor opener = {.pid = getppid()};
	assert_int_equal(closer_word(&opener, getpid()), CLOSER_WAITS);
	opener.pid = getpid();
	pid_t child = ended_child(SIGKILL, 0);
	assert_int_equal(closer_word(&opener, child), CLOSER_WAITS);
	waitpid(child, NULL, 0);
}

static void who_is_left_when_the_opener_is_gone_may_be_the_last(void **state) {
	(void)state;
	struct actor opener = {.pid = ended_child(0, 0)};
	waitpid(opener.pid, NULL, 0);
	assert_int_equal(closer_word(&opener, getpid()), CLOSER_EXITS);
}

static void an_end_by_a_signal_is_told_from_any_exit_code(void **state) {
	(void)state;
	static const int signals[] = {SIGKILL, SIGTERM, SIGINT, SIGPIPE};
	for (size_t i = 0; i < 4; i++) {
		struct actor opener = {.pid = ended_child(signals[i], 0)};
		assert_int_equal(closer_word(&opener, opener.pid), CLOSER_KILLED);
		waitpid(opener.pid, NULL, 0);
	}
	for (int code = 0; code < 256; code += 5) {
		struct actor opener = {.pid = ended_child(0, code)};
		assert_int_equal(closer_word(&opener, opener.pid), CLOSER_EXITS);
		waitpid(opener.pid, NULL, 0);
	}
}

/* A child that has `path` open until it is killed. */
static pid_t holding_child(const char *path, int flags) {
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (open(path, flags) >= 0 && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void end_child(pid_t child) {
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void a_process_that_has_it_open_for_writing_is_found(void **state) {
	(void)state;
	char path[] = "/tmp/assayfs-closer-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	struct stat info;
	assert_int_equal(fstat(fd, &info), 0);
	const char *name = strrchr(path, '/') + 1;
	assert_true(closer_is_last(getpid(), info.st_ino, name));
	close(fd);
	pid_t reader = holding_child(path, O_RDONLY), writer;
	assert_true(closer_is_last(getpid(), info.st_ino, name));
	writer = holding_child(path, O_WRONLY | O_APPEND);
	assert_false(closer_is_last(getpid(), info.st_ino, name));
	assert_true(closer_is_last(writer, info.st_ino, name));
	assert_true(closer_is_last(getpid(), info.st_ino + 1, name));
	assert_true(closer_is_last(getpid(), info.st_ino, "another"));
	unlink(path); /* the name may lead elsewhere by now */
	assert_false(closer_is_last(getpid(), info.st_ino, name));
	end_child(writer);
	end_child(reader);
	assert_true(closer_is_last(getpid(), info.st_ino, name));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_opener_who_goes_on_is_done),
	        cmocka_unit_test(another_process_waits_while_the_opener_lives),
	        cmocka_unit_test(who_is_left_when_the_opener_is_gone_may_be_the_last),
	        cmocka_unit_test(an_end_by_a_signal_is_told_from_any_exit_code),
	        cmocka_unit_test(a_process_that_has_it_open_for_writing_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
