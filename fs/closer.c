#include "fs/closer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/base/cleanup.h"
#include "fs/actor.h"

/* PF_EXITING of the kernel's include/linux/sched.h: set before a task's files are closed. */
#define FLAG_EXITING 0x4u

static bool is_alive(pid_t pid) {
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/* A task that exits gives its memory up before its files, and with it the link to its program. Reading the link costs a
 * quarter of what the flags do (2.5 us of 10, at each close of a file that was written). */
static bool has_program(pid_t tid) {
	char path[64], target[1];
	snprintf(path, sizeof path, "/proc/%d/exe", tid);
	return readlink(path, target, sizeof target) > 0;
}

/* proc_pid_stat(5): flags is field 9, exit_code the last one, in the form of waitpid. The name in field 2 may hold
 * anything, so it is passed over from the right. */
static enum closer_word word_of_task(pid_t tid) {
	char path[64], text[1024];
	unsigned flags = 0;
	if (has_program(tid))
		return CLOSER_DONE;
	snprintf(path, sizeof path, "/proc/%d/stat", tid);
	if (!actor_read_proc(AT_FDCWD, path, text, sizeof text))
		return CLOSER_EXITS;
	const char *fields = strrchr(text, ')');
	if (!fields || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1 || !(flags & FLAG_EXITING))
		return CLOSER_DONE;
	const char *last = strrchr(fields, ' ');
	return last && strtol(last, NULL, 10) & 0x7f ? CLOSER_KILLED : CLOSER_EXITS;
}

enum closer_word closer_word(const struct actor *opener, pid_t tid) {
	pid_t process = actor_process(tid);
	if (process == (pid_t)opener->pid)
		return word_of_task(tid);
	if (is_alive((pid_t)opener->pid))
		return CLOSER_WAITS;
	return word_of_task(tid) == CLOSER_KILLED ? CLOSER_KILLED : CLOSER_EXITS;
}

/* ---- who else has it ---- */

struct sought {
	uint64_t ino;
	const char *name;
};

/* The link of a descriptor is looked at first: reading it asks nobody, and hardly any has the name. */
static bool is_sought(int directory, const char *fd, const struct sought *sought) {
	char path[64], link[4097], text[512];
	snprintf(path, sizeof path, "fd/%.20s", fd);
	ssize_t length = readlinkat(directory, path, link, sizeof link - 1);
	if (length <= 0)
		return false;
	link[program_link_length(link, (size_t)length)] = '\0';
	const char *slash = strrchr(link, '/');
	if (!slash || strcmp(slash + 1, sought->name) != 0)
		return false;
	snprintf(path, sizeof path, "fdinfo/%.20s", fd);
	if (!actor_read_proc(directory, path, text, sizeof text))
		return false;
	const char *flags = strstr(text, "flags:"), *ino = strstr(text, "\nino:");
	if (!flags || (strtoul(flags + 6, NULL, 8) & O_ACCMODE) == O_RDONLY)
		return false;
	return !ino || strtoull(ino + 5, NULL, 10) == sought->ino;
}

static bool has_sought(const char *process, const struct sought *sought) {
	char path[64];
	snprintf(path, sizeof path, "/proc/%.20s", process);
	_cleanup_(closep) int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds = directory < 0 ? -1 : openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fds < 0 ? NULL : fdopendir(fds);
	if (!list) {
		closep(&fds);
		return false;
	}
	bool found = false;
	for (const struct dirent *entry; !found && (entry = readdir(list));)
		found = entry->d_name[0] != '.' && is_sought(directory, entry->d_name, sought);
	closedir(list);
	return found;
}

bool closer_is_last(pid_t tid, uint64_t ino, const char *name) {
	struct sought sought = {.ino = ino, .name = name};
	pid_t but = actor_process(tid), self = getpid();
	DIR *processes = opendir("/proc");
	if (!processes)
		return true;
	bool found = false;
	for (const struct dirent *entry; !found && (entry = readdir(processes));) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		if (*end == '\0' && pid > 0 && pid != but && pid != self)
			found = has_sought(entry->d_name, &sought);
	}
	closedir(processes);
	return !found;
}
