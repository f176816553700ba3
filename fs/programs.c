#include "fs/programs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Locked. */
static void let_go(struct program *program) {
	if (program->tid)
		(void)close(program->link);
	program->tid = 0;
}

static struct program *place_of(struct programs *programs, pid_t tid) {
	return &programs->kept[(unsigned)tid % PROGRAMS];
}

size_t programs_ask(struct programs *programs, pid_t tid, pid_t *ret_pid, char *ret_path, size_t size) {
	ssize_t length = 0;
	pthread_mutex_lock(&programs->lock);
	struct program *program = place_of(programs, tid);
	if (program->tid == tid && tid) {
		length = readlinkat(program->link, "", ret_path, size);
		*ret_pid = program->pid;
		if (length <= 0)
			let_go(program);
	}
	pthread_mutex_unlock(&programs->lock);
	return length > 0 ? (size_t)length : 0;
}

void programs_keep(struct programs *programs, pid_t tid, pid_t pid) {
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/exe", tid);
	int link = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (link < 0)
		return;
	pthread_mutex_lock(&programs->lock);
	struct program *program = place_of(programs, tid);
	let_go(program);
	*program = (struct program){.tid = tid, .pid = pid, .link = link};
	pthread_mutex_unlock(&programs->lock);
}

void programs_clear(struct programs *programs) {
	pthread_mutex_lock(&programs->lock);
	for (size_t i = 0; i < PROGRAMS; i++)
		let_go(&programs->kept[i]);
	pthread_mutex_unlock(&programs->lock);
}
