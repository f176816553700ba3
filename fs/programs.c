#include "fs/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kcmp.h>

#include "crypto/base/cleanup.h"

#define PROGRAM_PATH_MAX 4096

/* ---- names ---- */

size_t program_link_length(const char *link, size_t length) {
	static const char deleted[] = " (deleted)";
	size_t tail = sizeof deleted - 1;
	bool is_deleted = length > tail && memcmp(link + length - tail, deleted, tail) == 0;
	return is_deleted ? length - tail : length;
}

static bool read_name(int link, char ret_name[static PROGRAM_NAME_BYTES]) {
	_scratch_ char path[PROGRAM_PATH_MAX];
	ssize_t got = readlinkat(link, "", path, sizeof path);
	if (got <= 0)
		return false;
	size_t end = program_link_length(path, (size_t)got);
	const char *slash = memrchr(path, '/', end);
	const char *name = slash ? slash + 1 : path;
	size_t length = (size_t)(path + end - name);
	if (length > PROGRAM_NAME_BYTES - 1)
		length = PROGRAM_NAME_BYTES - 1;
	memcpy(ret_name, name, length);
	ret_name[length] = '\0';
	return true;
}

/* ---- memory ---- */

static int open_of(pid_t tid, const char *file, int flags) {
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", tid, file);
	return open(path, flags | O_CLOEXEC);
}

/* 1: it is in use; 0: it is gone; negative: neither. */
static int memory_state(int memory) {
	char byte;
	ssize_t got = pread(memory, &byte, 1, 0);
	if (got == 0)
		return 0;
	return got < 0 && errno == EINVAL ? 1 : -EIO;
}

/* 0 where it can't be told. */
static pid_t parent_of(pid_t pid) {
	char text[512];
	_cleanup_(closep) int stat = open_of(pid, "stat", O_RDONLY);
	ssize_t got = stat < 0 ? -1 : read(stat, text, sizeof text - 1);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	const char *state = strrchr(text, ')'); /* the name before it may hold anything */
	long parent = state && strlen(state) > 4 ? strtol(state + 4, NULL, 10) : 0;
	return parent > 0 ? (pid_t)parent : 0;
}

/* Whether the process's memory is its own, as far as one can ask. */
static bool has_own_memory(pid_t pid) {
	pid_t parent = parent_of(pid);
	return parent > 0 && syscall(SYS_kcmp, pid, parent, KCMP_VM, 0, 0) > 0;
}

static int open_memory(const struct programs *programs, pid_t tid, pid_t pid) {
	return programs->by_memory && has_own_memory(pid) ? open_of(tid, "pagemap", O_RDONLY) : -1;
}

/* The child waits until it is killed; should this process be, it goes, too. */
static pid_t start_child(void) {
	pid_t parent = getpid(), child = fork();
	if (child != 0)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

void programs_learn(struct programs *programs) {
	pid_t child = start_child();
	if (child < 0)
		return;
	_cleanup_(closep) int memory = open_of(child, "pagemap", O_RDONLY);
	bool shows_use = memory >= 0 && memory_state(memory) == 1 && has_own_memory(child);
	(void)kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	programs->by_memory = shows_use && memory_state(memory) == 0;
}

/* ---- places ---- */

/* Locked. */
static void let_go(struct program *program) {
	if (program->tid) {
		(void)close(program->link);
		closep(&program->memory);
	}
	program->tid = 0;
}

static struct program *place_of(struct programs *programs, pid_t tid) {
	return &programs->kept[(unsigned)tid % PROGRAMS];
}

/* The memory is opened before the name is read: should the program be another one in between, that memory is gone. */
static bool renew(const struct programs *programs, struct program *program) {
	closep(&program->memory);
	program->memory = open_memory(programs, program->tid, program->pid);
	return read_name(program->link, program->name);
}

/* Locked. Whether the name is that of now. */
static bool bring_up_to_date(const struct programs *programs, struct program *program) {
	if (program->memory >= 0)
		return memory_state(program->memory) == 1 || renew(programs, program);
	char name[PROGRAM_NAME_BYTES];
	if (!read_name(program->link, name))
		return false;
	return strcmp(name, program->name) == 0 || renew(programs, program);
}

bool programs_ask(struct programs *programs, pid_t tid, pid_t *ret_pid, char ret_name[static PROGRAM_NAME_BYTES]) {
	pthread_mutex_lock(&programs->lock);
	struct program *program = place_of(programs, tid);
	bool known = tid && program->tid == tid;
	if (known && !bring_up_to_date(programs, program)) {
		let_go(program);
		known = false;
	}
	if (known) {
		*ret_pid = program->pid;
		memcpy(ret_name, program->name, PROGRAM_NAME_BYTES);
	}
	pthread_mutex_unlock(&programs->lock);
	return known;
}

bool programs_keep(struct programs *programs, pid_t tid, pid_t pid, char ret_name[static PROGRAM_NAME_BYTES]) {
	struct program one = {.tid = tid, .pid = pid, .memory = -1};
	one.link = open_of(tid, "exe", O_PATH | O_NOFOLLOW);
	if (one.link < 0)
		return false;
	if (!renew(programs, &one)) {
		let_go(&one);
		return false;
	}
	memcpy(ret_name, one.name, sizeof one.name);
	pthread_mutex_lock(&programs->lock);
	struct program *program = place_of(programs, tid);
	let_go(program);
	*program = one;
	pthread_mutex_unlock(&programs->lock);
	return true;
}

void programs_clear(struct programs *programs) {
	pthread_mutex_lock(&programs->lock);
	for (size_t i = 0; i < PROGRAMS; i++)
		let_go(&programs->kept[i]);
	pthread_mutex_unlock(&programs->lock);
}
