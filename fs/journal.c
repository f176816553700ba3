#include "fs/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "crypto/base/cleanup.h"

static void add(struct journal_entry *entry, const void *data, size_t size) {
	if (size)
		memcpy(entry->bytes + entry->size, data, size);
	entry->size += size;
}

void journal_put(struct journal_entry *entry, const char *name, struct bytes value) {
	bool is_line =
	        value.size == 0 || (!memchr(value.data, '\n', value.size) && !memchr(value.data, '\0', value.size));
	size_t name_size = strlen(name);
	if (name_size + value.size + 10 > sizeof entry->bytes - entry->size) {
		entry->is_full = true;
		return;
	}
	add(entry, name, name_size);
	if (is_line) {
		add(entry, "=", 1);
	} else {
		unsigned char length[8];
		for (unsigned i = 0; i < sizeof length; i++)
			length[i] = (unsigned char)((uint64_t)value.size >> 8 * i);
		add(entry, "\n", 1);
		add(entry, length, sizeof length);
	}
	add(entry, value.data, value.size);
	add(entry, "\n", 1);
}

int journal_send(const char *path, const struct journal_entry *entry) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(path);
	_cleanup_(closep) int to = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (to < 0)
		return -errno;
	if (size >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, size + 1);
	ssize_t sent =
	        sendto(to, entry->bytes, entry->size, MSG_NOSIGNAL, (const struct sockaddr *)&address, sizeof address);
	return sent < 0 ? -errno : 0;
}

bool journal_is_behind(int fd) {
	const char *stream = getenv("JOURNAL_STREAM");
	char *end = NULL;
	struct stat about;
	if (!stream || fstat(fd, &about) < 0)
		return false;
	uint64_t device = strtoull(stream, &end, 10);
	if (*end != ':')
		return false;
	return device == about.st_dev && strtoull(end + 1, NULL, 10) == about.st_ino;
}
