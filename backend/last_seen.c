#include "backend/last_seen.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"

#define ID_MAX 32

int last_seen_path(const char *directory, struct bytes vault_id, char *ret_path, size_t size) {
	char id[HEX_TEXT_BYTES(ID_MAX)];
	if (vault_id.size > ID_MAX)
		return fault(EINVAL, "the id of a vault has at most %d bytes", ID_MAX);
	hex_encode(vault_id, id);
	int length = snprintf(ret_path, size, "%s/%s.checkpoint", directory, id);
	if (length < 0 || (size_t)length >= size)
		return fault(ENAMETOOLONG, "%.60s…: too long for a directory of the log's last heads", directory);
	return 0;
}

static int read_all(int fd, const char *path, char **ret_note, size_t *ret_size) {
	_cleanup_(freep) char *note = malloc(NOTE_BYTES_MAX + 2);
	size_t used = 0;
	ssize_t got;
	if (!note)
		return fault(ENOMEM, "no memory to read %s", path);
	while (used <= NOTE_BYTES_MAX && (got = read(fd, note + used, NOTE_BYTES_MAX + 1 - used)) != 0) {
		if (got < 0 && errno != EINTR)
			return fault_errno(errno, "reading %s", path);
		used += got > 0 ? (size_t)got : 0;
	}
	if (used == 0)
		return -ENOENT;
	if (used > NOTE_BYTES_MAX)
		return fault(EFBIG, "%s is too long for the head of a log", path);
	note[used] = '\0';
	*ret_note = steal_pointer(&note);
	*ret_size = used;
	return 0;
}

int last_seen_read(const char *directory, struct bytes vault_id, char **ret_note, size_t *ret_size) {
	char path[PATH_MAX];
	int rc = last_seen_path(directory, vault_id, path, sizeof path);
	if (rc < 0)
		return rc;
	/* A pipe that somebody has put there must not be waited for. */
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	struct stat about;
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fault_errno(errno, "opening the log's last head, %s", path);
	if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode))
		return fault(EUCLEAN, "the log's last head, %s, is no regular file", path);
	return read_all(fd, path, ret_note, ret_size);
}

static int write_all(int fd, struct bytes note) {
	while (note.size > 0) {
		ssize_t done = write(fd, note.data, note.size);
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0)
			note = bytes_of(note.data + done, note.size - (size_t)done);
	}
	return 0;
}

/* The new one beside the old one, then in its place. Its bytes come first: a power cut that kept the name alone would
 * lock an honest vault out. */
static int replace(const char *path, struct bytes note) {
	char temporary[PATH_MAX + 8];
	(void)snprintf(temporary, sizeof temporary, "%s.new", path);
	if (unlink(temporary) < 0 && errno != ENOENT)
		return fault_errno(errno, "removing %s", temporary);
	_cleanup_(closep) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return fault_errno(errno, "making %s", temporary);
	int rc = write_all(fd, note);
	if (rc == 0 && fdatasync(fd) < 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	if (rc < 0)
		(void)unlink(temporary);
	return rc < 0 ? fault_errno(-rc, "writing %s", path) : 0;
}

/* With those above it, as far as they are missing. */
static int make_directories(const char *directory) {
	char path[PATH_MAX];
	(void)snprintf(path, sizeof path, "%s", directory);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fault_errno(errno, "making %s", path);
	return 0;
}

static int sync_directory(const char *directory) {
	_cleanup_(closep) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? fault_errno(errno, "syncing %s", directory) : 0;
}

int last_seen_write(const char *directory, struct bytes vault_id, struct bytes note, bool durable) {
	char path[PATH_MAX];
	int rc = last_seen_path(directory, vault_id, path, sizeof path);
	if (rc < 0)
		return rc;
	rc = make_directories(directory);
	if (rc < 0)
		return rc;
	rc = replace(path, note);
	return rc < 0 || !durable ? rc : sync_directory(directory);
}
