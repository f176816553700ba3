#include "fs/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

struct report {
	int rc;
	char words[FAULT_MESSAGE_BYTES];
};

static int wait_for_child(int pipe_end, pid_t child) {
	struct report report;
	ssize_t got;
	do
		got = read(pipe_end, &report, sizeof report);
	while (got < 0 && errno == EINTR);
	if (got == (ssize_t)sizeof report) {
		report.words[sizeof report.words - 1] = '\0';
		return report.rc < 0 ? fault(-report.rc, "%s", report.words) : 0;
	}
	int status = 0;
	(void)waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		return fault(EIO, "the mount's process was killed by signal %d while it started", WTERMSIG(status));
	return fault(EIO, "the mount's process ended while it started (status %d)", WEXITSTATUS(status));
}

int background_fork(bool foreground, struct background *ret) {
	ret->report = -1;
	if (foreground)
		return 1;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_errno(errno, "making a pipe");
	(void)fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		(void)close(ends[0]);
		ret->report = ends[1];
		return 1;
	}
	int error = errno;
	(void)close(ends[1]);
	_cleanup_(closep) int from_child = ends[0];
	return child < 0 ? fault_errno(error, "forking") : wait_for_child(from_child, child);
}

static void leave_terminal(void) {
	(void)setsid();
	if (chdir("/") < 0)
		return;
	_cleanup_(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
}

void background_report(struct background *background, int rc) {
	if (background->report < 0)
		return;
	struct report report = {.rc = rc};
	snprintf(report.words, sizeof report.words, "%s", rc < 0 ? fault_message() : "");
	if (rc == 0)
		leave_terminal();
	while (write(background->report, &report, sizeof report) < 0 && errno == EINTR)
		;
	closep(&background->report);
}
