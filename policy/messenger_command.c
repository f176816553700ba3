/* messenger_command: the process of one delivery to a program of this machine. */
#include "policy/courier_private.h"

#include "crypto/base/deadline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NOT_RUN 126

static void say(struct courier_answer *ret, const char *name, const char *words) {
	(void)snprintf(ret->words, sizeof ret->words, "command %.100s: %s", name, words);
}

/* Root's or our own, and nobody else may write to it. */
static bool is_trusted(const struct stat *st) {
	return (st->st_uid == 0 || st->st_uid == getuid()) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The directory's descriptor, or -1 after saying what is wrong. */
static int find(const struct messenger *messenger, const char *name, struct courier_answer *ret) {
	struct stat st;
	int directory = open(messenger->actions, O_PATH | O_DIRECTORY);
	if (directory < 0 || fstat(directory, &st) < 0)
		say(ret, name, "there is no directory of actions");
	else if (!is_trusted(&st))
		say(ret, name, "others may write to the directory of actions");
	else if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		say(ret, name, "it is not in the directory of actions");
	else if (!S_ISREG(st.st_mode) || (st.st_mode & S_IXUSR) == 0)
		say(ret, name, "it is no program");
	else if (!is_trusted(&st))
		say(ret, name, "others may write to it, or own it");
	else
		return directory;
	closep(&directory);
	return -1;
}

static _Noreturn void run(int directory, const char *name, int input, const json_t *delivery, pid_t parent) {
	char id[128];
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C.UTF-8";
	char *argv[] = {strdup(name), NULL}, *envp[] = {path, lang, id, NULL};
	(void)snprintf(id, sizeof id, "ASSAYFS_DELIVERY=%.80s", messenger_text(delivery, "id"));
	(void)setpgid(0, 0);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent && dup2(input, 0) == 0)
		(void)syscall(SYS_execveat, directory, name, argv, envp, 0);
	_exit(NOT_RUN);
}

/* It fits into a pipe, so nobody has to wait for the reader. */
static int input_of(const json_t *delivery) {
	const char *body = messenger_text(delivery, "body");
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	ssize_t put = write(ends[1], body, strlen(body));
	(void)close(ends[1]);
	if (put == (ssize_t)strlen(body))
		return ends[0];
	(void)close(ends[0]);
	return -1;
}

static void wait_for(pid_t pid, unsigned seconds, const char *name, struct courier_answer *ret) {
	int status = 0, ready = 0;
	char words[80];
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	const int64_t end = monotonic_ms() + (int64_t)seconds * 1000;
	for (int64_t left = (int64_t)seconds * 1000; ready == 0 && left > 0; left = end - monotonic_ms())
		ready = pidfd < 0 ? -1 : poll(&fd, 1, (int)left);
	(void)kill(-pid, SIGKILL); /* also what it left behind */
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	ret->is_delivered = ready > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (ready <= 0)
		(void)snprintf(words, sizeof words, "it ran for more than %u s and was killed", seconds);
	else if (WIFEXITED(status))
		(void)snprintf(words, sizeof words, "exit code %d%s", WEXITSTATUS(status),
		        WEXITSTATUS(status) == NOT_RUN ? ", perhaps it could not be run" : "");
	else
		(void)snprintf(words, sizeof words, "it was ended by signal %d", WTERMSIG(status));
	say(ret, name, words);
	closep(&pidfd);
}

void messenger_command(const struct messenger *messenger, const char *name, const json_t *delivery,
        struct courier_answer *ret_answer) {
	_cleanup_(closep) int directory = find(messenger, name, ret_answer);
	if (directory < 0)
		return;
	_cleanup_(closep) int input = input_of(delivery);
	const pid_t self = getpid();
	pid_t pid = input < 0 ? -1 : fork();
	if (pid == 0)
		run(directory, name, input, delivery, self);
	if (pid < 0)
		say(ret_answer, name, "it could not be started");
	else
		wait_for(pid, messenger->seconds, name, ret_answer);
}
