#include "backend/backup/apart.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_URL "file://"

static bool is_same(struct apart_id a, struct apart_id b) {
	return a.inode != 0 && a.device == b.device && a.inode == b.inode;
}

static struct apart_id id_of_fd(int fd) {
	struct stat st;
	if (fstat(fd, &st) < 0)
		return (struct apart_id){0};
	return (struct apart_id){.device = st.st_dev, .inode = st.st_ino};
}

struct apart_id apart_id_of(const char *path) {
	_cleanup_(closep) int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? (struct apart_id){0} : id_of_fd(fd);
}

/* The nearest that is there: what is missing would be made below it. */
static int open_nearest(const char *directory, int *ret_fd) {
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s", directory) >= (int)sizeof path)
		return fault(EINVAL, "%.100s… is too long for a directory", directory);
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd < 0 && errno == ENOENT) {
		char *slash = strrchr(path, '/');
		if (!slash)
			break;
		slash[slash == path] = '\0';
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return fault_errno(errno, "opening %s", path);
	*ret_fd = fd;
	return 0;
}

/* 1: `directory`, or the one above it where it would be made, is `id` or below it. */
static int is_below(const char *directory, struct apart_id id) {
	_cleanup_(closep) int fd = -1;
	int rc = open_nearest(directory, &fd);
	while (rc == 0) {
		struct apart_id here = id_of_fd(fd);
		if (is_same(id, here))
			return 1;
		int above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (above < 0)
			return fault_errno(errno, "looking above %s", directory);
		closep(&fd);
		fd = above;
		if (is_same(here, id_of_fd(fd)))
			return 0; /* the root */
	}
	return rc;
}

static const char *directory_of(const char *url) {
	return strncmp(url, FILE_URL, strlen(FILE_URL)) == 0 ? url + strlen(FILE_URL) : NULL;
}

int apart_from_vault(const char *url, const struct apart_id *vault) {
	const char *directory = directory_of(url);
	if (!directory || vault->inode == 0)
		return 0;
	int rc = is_below(directory, *vault);
	if (rc == 1)
		return fault(
		        EINVAL, "%s is in the vault itself, and would be lost with it: take another disk", directory);
	return rc;
}

static bool is_url_below(const char *url, const char *other) {
	size_t length = strlen(other);
	return strncmp(url, other, length) == 0 && (url[length] == '/' || url[length] == '\0');
}

/* 1: the one is below the other, either way. */
static int overlap(const char *directory, const char *other) {
	int rc = is_below(directory, apart_id_of(other));
	/* That the other can't be looked at is no fault of this one. */
	return rc == 0 ? is_below(other, apart_id_of(directory)) == 1 : rc;
}

int apart_from_target(const char *url, const char *endpoint, const char *other, const char *other_endpoint) {
	const char *directory = directory_of(url), *other_directory = directory_of(other);
	int rc = 0;
	if (directory && other_directory)
		rc = overlap(directory, other_directory);
	else if (!directory && !other_directory && strcmp(endpoint, other_endpoint) == 0)
		rc = is_url_below(url, other) || is_url_below(other, url);
	return rc == 1 ? fault(EINVAL, "%s and the target %s are in one another: take another place", url, other) : rc;
}
