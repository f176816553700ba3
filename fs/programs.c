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

/* Whether the process's memory is its own, as far as one can ask. Memory that is gone is nobody's: a parent whose first
 * thread has ended, while others go on, shares theirs. */
static bool has_own_memory(pid_t pid) {
	pid_t parent = parent_of(pid);
	_cleanup_(closep) int parents = parent > 0 ? open_of(parent, "pagemap", O_RDONLY) : -1;
	return parents >= 0 && memory_state(parents) == 1 && syscall(SYS_kcmp, pid, parent, KCMP_VM, 0, 0) > 0;
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

bool program_name(pid_t tid, char ret_name[static PROGRAM_NAME_BYTES]) {
	_cleanup_(closep) int link = open_of(tid, "exe", O_PATH | O_NOFOLLOW);
	return link >= 0 && read_name(link, ret_name);
}

/* ---- one program ---- */

static void unbind(struct program *program) {
	closep(&program->process);
	closep(&program->memory);
}

/* Of a process's first thread only: the number of another one may be a stranger's while its process goes on. */
static void bind(const struct programs *programs, struct program *program) {
	unbind(program);
	if (!programs->by_memory || program->tid != program->pid || !has_own_memory(program->pid))
		return;
	program->process = (int)syscall(SYS_pidfd_open, program->pid, 0);
	program->memory = open_of(program->tid, "pagemap", O_RDONLY);
	if (program->process < 0 || program->memory < 0)
		unbind(program);
}

/* The memory is opened before the name is read: should the program be another one in between, that memory is gone. */
static bool learn_name(const struct programs *programs, struct program *program) {
	bind(programs, program);
	return read_name(program->link, program->name);
}

static bool is_unchanged(const struct program *program) {
	return program->memory >= 0 && syscall(SYS_pidfd_send_signal, program->process, 0, NULL, 0) == 0 &&
	       memory_state(program->memory) == 1;
}

/* Whether the name is that of now. */
static bool bring_up_to_date(const struct programs *programs, bool in_operation, struct program *program) {
	if (!in_operation && is_unchanged(program))
		return true;
	char before[PROGRAM_NAME_BYTES];
	memcpy(before, program->name, sizeof before);
	if (!read_name(program->link, program->name))
		return false;
	bool is_another = program->memory >= 0 || strcmp(before, program->name) != 0;
	return in_operation || !is_another || learn_name(programs, program);
}

static void let_go(struct program *program) {
	if (program->tid) {
		(void)close(program->link);
		unbind(program);
	}
	program->tid = 0;
}

/* ---- places ---- */

static struct program *place_of(struct programs *programs, pid_t tid) {
	return &programs->kept[(unsigned)tid % PROGRAMS];
}

/* False: it is not there, or used just now. */
static bool take(struct programs *programs, pid_t tid, struct program *ret) {
	pthread_mutex_lock(&programs->lock);
	struct program *place = place_of(programs, tid);
	bool taken = tid && place->tid == tid && !place->taken;
	if (taken) {
		*ret = *place;
		place->taken = true;
	}
	pthread_mutex_unlock(&programs->lock);
	return taken;
}

static void put_back(struct programs *programs, pid_t tid, const struct program *program) {
	pthread_mutex_lock(&programs->lock);
	*place_of(programs, tid) = *program;
	pthread_mutex_unlock(&programs->lock);
}

bool programs_ask(struct programs *programs, pid_t tid, bool in_operation, pid_t *ret_pid,
        char ret_name[static PROGRAM_NAME_BYTES]) {
	struct program program;
	if (!take(programs, tid, &program))
		return false;
	bool known = bring_up_to_date(programs, in_operation, &program);
	if (known) {
		*ret_pid = program.pid;
		memcpy(ret_name, program.name, PROGRAM_NAME_BYTES);
	} else {
		let_go(&program);
	}
	put_back(programs, tid, &program);
	return known;
}

/* Gives what was in the place. */
static void exchange(struct programs *programs, struct program *program) {
	pthread_mutex_lock(&programs->lock);
	struct program *place = place_of(programs, program->tid), before = *place;
	if (!before.taken) {
		*place = *program;
		*program = before;
	}
	pthread_mutex_unlock(&programs->lock);
}

bool programs_keep(
        struct programs *programs, pid_t tid, pid_t pid, bool in_operation, char ret_name[static PROGRAM_NAME_BYTES]) {
	struct program program = {.tid = tid, .pid = pid, .memory = -1, .process = -1};
	program.link = open_of(tid, "exe", O_PATH | O_NOFOLLOW);
	if (program.link < 0)
		return false;
	bool named = in_operation ? read_name(program.link, program.name) : learn_name(programs, &program);
	if (named) {
		memcpy(ret_name, program.name, PROGRAM_NAME_BYTES);
		exchange(programs, &program);
	}
	let_go(&program);
	return named;
}

void programs_clear(struct programs *programs) {
	pthread_mutex_lock(&programs->lock);
	for (size_t i = 0; i < PROGRAMS; i++)
		let_go(&programs->kept[i]);
	pthread_mutex_unlock(&programs->lock);
}
