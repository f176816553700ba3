#include "fs/tell.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A process that waits, with `fd` as its standard error. */
static pid_t child_with_stderr(int fd) {
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(fd, 2);
		close(ready[1]);
		(void)!read(ready[0], &byte, 1);
		_exit(0);
	}
	close(ready[0]);
	/* the child's descriptors are in place when it has executed dup2: ask until /proc shows it */
	char mine[64], theirs[64], path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t size = readlink(path, mine, sizeof mine);
	snprintf(path, sizeof path, "/proc/%d/fd/2", child);
	while (readlink(path, theirs, sizeof theirs) != size || memcmp(mine, theirs, (size_t)size) != 0)
		usleep(1000);
	return child;
}

/* A FIFO in the place of the six X's. */
static char *mktemp_fifo(char *path) {
	int fd = mkstemp(path);
	if (fd < 0 || unlink(path) < 0 || mkfifo(path, 0600) < 0)
		return NULL;
	close(fd);
	return path;
}

static void end_child(pid_t child) {
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void a_pipe_gets_one_line_without_control_bytes(void **state) {
	(void)state;
	int ends[2];
	char text[256] = "";
	assert_int_equal(pipe(ends), 0);
	pid_t child = child_with_stderr(ends[1]);
	tell_process(child, "Trusted/a\033[2J\n.csv did not pass");
	assert_true(read(ends[0], text, sizeof text - 1) > 0);
	assert_string_equal(text, "assayfs: Trusted/a?[2J?.csv did not pass\n");
	end_child(child);
	close(ends[0]);
	close(ends[1]);
}

static void a_full_pipe_loses_the_line_and_no_time(void **state) {
	(void)state;
	int ends[2];
	static char filling[1 << 20];
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	while (write(ends[1], filling, sizeof filling) > 0)
		;
	pid_t child = child_with_stderr(ends[1]);
	tell_process(child, "words"); /* would hang here */
	end_child(child);
	close(ends[0]);
	close(ends[1]);
}

static void a_file_is_not_written_to(void **state) {
	(void)state;
	char path[] = "/tmp/assayfs-tell-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	pid_t child = child_with_stderr(fd);
	tell_process(child, "words");
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	end_child(child);
	close(fd);
	unlink(path);
}

static void what_the_process_may_not_write_to_is_not_written_to(void **state) {
	(void)state;
	char path[] = "/tmp/assayfs-tell-XXXXXX", text[64];
	assert_non_null(mktemp_fifo(path));
	int reader = open(path, O_RDONLY | O_NONBLOCK), writer = open(path, O_WRONLY);
	assert_true(reader >= 0 && writer >= 0);
	const int flags[] = {O_PATH, O_RDONLY | O_NONBLOCK};
	for (size_t i = 0; i < 2; i++) {
		int fd = open(path, flags[i]);
		pid_t child = child_with_stderr(fd);
		tell_process(child, "words");
		assert_int_equal(read(reader, text, sizeof text), -1);
		end_child(child);
		close(fd);
	}
	close(reader);
	close(writer);
	unlink(path);
}

static void only_a_refusal_is_told(void **state) {
	(void)state;
	int ends[2];
	char text[64];
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	pid_t child = child_with_stderr(ends[1]);
	assert_int_equal(tell_refusal(child, 0), 0);
	assert_int_equal(tell_refusal(child, fault(EIO, "trouble")), -EIO);
	assert_int_equal(read(ends[0], text, sizeof text), -1);
	assert_int_equal(tell_refusal(child, fault(EPERM, "no")), -EPERM);
	assert_int_equal(read(ends[0], text, sizeof text), strlen("assayfs: no\n"));
	end_child(child);
	close(ends[0]);
	close(ends[1]);
}

static void a_process_that_is_gone_is_no_trouble(void **state) {
	(void)state;
	tell_process(0, "words");
	tell_process(0x3fffffff, "words");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_pipe_gets_one_line_without_control_bytes),
	        cmocka_unit_test(a_full_pipe_loses_the_line_and_no_time),
	        cmocka_unit_test(a_file_is_not_written_to),
	        cmocka_unit_test(what_the_process_may_not_write_to_is_not_written_to),
	        cmocka_unit_test(only_a_refusal_is_told),
	        cmocka_unit_test(a_process_that_is_gone_is_no_trouble),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
