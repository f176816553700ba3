#include "fs/tell.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "fs/actor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Whether the process itself may write there: anybody can hold a terminal of another's by O_PATH, or by a descriptor
 * for reading, and opening it anew would be done with our rights. */
static bool may_write_itself(pid_t pid) {
	char path[64], text[256];
	snprintf(path, sizeof path, "/proc/%d/fdinfo/2", pid);
	if (!actor_read_proc(AT_FDCWD, path, text, sizeof text))
		return false;
	const char *at = strstr(text, "flags:");
	unsigned long flags = at ? strtoul(at + strlen("flags:"), NULL, 8) : O_PATH;
	return !(flags & O_PATH) && ((flags & O_ACCMODE) == O_WRONLY || (flags & O_ACCMODE) == O_RDWR);
}

/* A regular file might lie in this very mount: to write there could wait for ourselves. */
static int open_stderr(pid_t pid) {
	char path[64];
	struct stat named, opened;
	if (!may_write_itself(pid))
		return -1;
	snprintf(path, sizeof path, "/proc/%d/fd/2", pid);
	/* what the link names is looked at without opening it: opening alone could wait, or have an effect */
	_cleanup_(closep) int handle = open(path, O_PATH | O_CLOEXEC);
	if (handle < 0 || fstat(handle, &named) < 0 || !(S_ISCHR(named.st_mode) || S_ISFIFO(named.st_mode)))
		return -1;
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &opened) < 0 || opened.st_dev != named.st_dev || opened.st_ino != named.st_ino ||
	                       (S_ISCHR(opened.st_mode) && !isatty(fd)) || !may_write_itself(pid)))
		closep(&fd);
	return fd;
}

void tell_process(pid_t pid, const char *words) {
	if (pid <= 0)
		return;
	_cleanup_(closep) int fd = open_stderr(pid);
	if (fd < 0)
		return;
	char line[FAULT_MESSAGE_BYTES + 16];
	int length = snprintf(line, sizeof line - 1, "assayfs: %s", words);
	if (length < 0)
		return;
	size_t size = (size_t)length < sizeof line - 1 ? (size_t)length : sizeof line - 2;
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)line[i], before = i ? (unsigned char)line[i - 1] : 0;
		if (byte < 0x20 || byte == 0x7f || (before == 0xc2 && byte < 0xa0)) /* C0, DEL, C1 */
			line[i] = '?';
	}
	line[size++] = '\n';
	(void)!write(fd, line, size);
}

int tell_refusal(pid_t pid, int rc) {
	if (rc == -EPERM)
		tell_process(pid, fault_message());
	return rc;
}
