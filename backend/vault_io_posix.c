#include "backend/vault_io_posix.h"

#include "crypto/base/fault.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

struct posix_vault {
	int fd;
	char *path;
};

struct posix_file {
	int fd;
	char name[];
};

static void posix_close(void *opaque) {
	struct posix_vault *vault = opaque;
	closep(&vault->fd);
	free(vault->path);
	free(vault);
}

static int vault_from_fd(int *fd, const char *path, void **ret_vault) {
	_cleanup_(freep) struct posix_vault *vault = calloc(1, sizeof *vault);
	if (!vault || !(vault->path = strdup(path)))
		return fault(ENOMEM, "no memory to open vault %s", path);
	vault->fd = steal_fd(fd);
	*ret_vault = steal_pointer(&vault);
	return 0;
}

int vault_io_posix_open(const char *path, void **ret_vault) {
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(errno, "opening vault %s", path);
	return vault_from_fd(&fd, path, ret_vault);
}

static int is_empty(int fd, const char *path) {
	_cleanup_(closep) int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir)
		return fault_errno(errno, "listing %s", path);
	(void)steal_fd(&copy);
	int entries = 0;
	errno = 0;
	while (entries <= 2 && readdir(dir))
		entries++;
	int failed = errno;
	(void)closedir(dir);
	if (failed)
		return fault_errno(failed, "listing %s", path);
	return entries <= 2 ? 0 : fault(ENOTEMPTY, "%s is not empty; a vault needs a directory of its own", path);
}

static int sync_parent(const char *path) {
	char copy[PATH_MAX];
	size_t size = strlen(path) + 1;
	if (size > sizeof copy)
		return fault(ENAMETOOLONG, "path of the vault is too long: %.40s…", path);
	memcpy(copy, path, size);
	_cleanup_(closep) int parent = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || fsync(parent) < 0)
		return fault_errno(errno, "syncing the directory above %s", path);
	return 0;
}

int vault_io_posix_create(const char *path, void **ret_vault) {
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return fault_errno(errno, "making vault directory %s", path);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(errno, "opening vault %s", path);
	int rc = is_empty(fd, path);
	if (rc == 0 && fchmod(fd, 0700) < 0)
		rc = fault_errno(errno, "making %s private", path);
	if (rc == 0)
		rc = sync_parent(path);
	return rc < 0 ? rc : vault_from_fd(&fd, path, ret_vault);
}

/* The pid that holds the flock on this directory, 0 if /proc/locks does not tell (other PID namespace, no /proc). */
static long lock_holder(int fd) {
	struct stat st;
	FILE *locks = fstat(fd, &st) == 0 ? fopen("/proc/locks", "re") : NULL;
	if (!locks)
		return 0;
	char line[256];
	long holder = 0;
	while (!holder && fgets(line, sizeof line, locks)) {
		long pid = 0;
		unsigned major_number = 0;
		unsigned minor_number = 0;
		unsigned long inode = 0;
		if (sscanf(line, "%*s FLOCK %*s %*s %ld %x:%x:%lu", &pid, &major_number, &minor_number, &inode) == 4 &&
		        inode == st.st_ino && makedev(major_number, minor_number) == st.st_dev && pid > 0)
			holder = pid;
	}
	(void)fclose(locks);
	return holder;
}

static int posix_lock(void *opaque) {
	struct posix_vault *vault = opaque;
	if (flock(vault->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return fault_errno(errno, "locking vault %s", vault->path);
	long pid = lock_holder(vault->fd);
	if (pid)
		return fault(EBUSY,
		        "vault %s is in use by process %ld; unmount it there first (assayfs umount; --force if that "
		        "process is dead and does not go)",
		        vault->path, pid);
	return fault(EBUSY,
	        "vault %s is in use by another process; unmount it there first (`fuser -v %s` may tell which)",
	        vault->path, vault->path);
}

/*
 * Walks to the directory that holds `name`, refusing symbolic links on the way. openat2(RESOLVE_NO_SYMLINKS) would do
 * it in one call, but is missing under the seccomp filters of older container engines; names have at most three parts.
 */
static int walk_to_parent(const struct posix_vault *vault, const char *name, int *ret_fd, const char **ret_base) {
	_cleanup_(closep) int fd = openat(vault->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(errno, "opening vault %s", vault->path);
	for (const char *slash = strchr(name, '/'); slash; slash = strchr(name, '/')) {
		char part[VAULT_NAME_MAX + 1];
		size_t length = (size_t)(slash - name);
		memcpy(part, name, length);
		part[length] = '\0';
		int next = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return fault_errno(errno, "opening directory %s in vault %s", part, vault->path);
		closep(&fd);
		fd = next;
		name = slash + 1;
	}
	*ret_fd = steal_fd(&fd);
	*ret_base = name;
	return 0;
}

static int open_directory(const struct posix_vault *vault, const char *name, int *ret_fd) {
	_cleanup_(closep) int parent = -1;
	const char *base = ".";
	int rc = name[0] ? walk_to_parent(vault, name, &parent, &base) : 0;
	if (rc < 0)
		return rc;
	int fd = openat(name[0] ? parent : vault->fd, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fault_errno(errno, "opening directory %s/%s", vault->path, name);
	*ret_fd = fd;
	return 0;
}

static int posix_mkdir(void *opaque, const char *name) {
	struct posix_vault *vault = opaque;
	_cleanup_(closep) int parent = -1;
	const char *base = NULL;
	int rc = walk_to_parent(vault, name, &parent, &base);
	if (rc < 0)
		return rc;
	return mkdirat(parent, base, 0700) < 0 ? fault_errno(errno, "making directory %s/%s", vault->path, name) : 0;
}

static int remove_name(struct posix_vault *vault, const char *name, int flags) {
	_cleanup_(closep) int parent = -1;
	const char *base = NULL;
	int rc = walk_to_parent(vault, name, &parent, &base);
	if (rc < 0)
		return rc;
	return unlinkat(parent, base, flags) < 0 ? fault_errno(errno, "removing %s/%s", vault->path, name) : 0;
}

static int posix_rmdir(void *opaque, const char *name) {
	return remove_name(opaque, name, AT_REMOVEDIR);
}

static int posix_unlink(void *opaque, const char *name) {
	return remove_name(opaque, name, 0);
}

static int posix_rename(void *opaque, const char *from, const char *to) {
	struct posix_vault *vault = opaque;
	_cleanup_(closep) int from_parent = -1;
	_cleanup_(closep) int to_parent = -1;
	const char *from_base = NULL;
	const char *to_base = NULL;
	int rc = walk_to_parent(vault, from, &from_parent, &from_base);
	if (rc == 0)
		rc = walk_to_parent(vault, to, &to_parent, &to_base);
	if (rc < 0)
		return rc;
	if (renameat(from_parent, from_base, to_parent, to_base) < 0)
		return fault_errno(errno, "renaming %s to %s in vault %s", from, to, vault->path);
	return 0;
}

static int posix_sync_dir(void *opaque, const char *name) {
	struct posix_vault *vault = opaque;
	_cleanup_(closep) int fd = -1;
	int rc = open_directory(vault, name, &fd);
	if (rc < 0)
		return rc;
	return fsync(fd) < 0 ? fault_errno(errno, "syncing directory %s/%s", vault->path, name) : 0;
}

static int entry_is_directory(int fd, const struct dirent *entry, bool *ret_is) {
	if (entry->d_type != DT_UNKNOWN) {
		*ret_is = entry->d_type == DT_DIR;
		return 0;
	}
	struct stat st;
	if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret_is = S_ISDIR(st.st_mode);
	return 0;
}

static int list_entries(DIR *dir, vault_io_entry_fn *entry, void *user, const char *path, const char *name) {
	for (;;) {
		errno = 0;
		const struct dirent *found = readdir(dir);
		if (!found)
			return errno ? fault_errno(errno, "listing %s/%s", path, name) : 0;
		if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
			continue;
		bool is_directory = false;
		int rc = entry_is_directory(dirfd(dir), found, &is_directory);
		if (rc == -ENOENT)
			continue;
		if (rc < 0)
			return fault_errno(-rc, "listing %s/%s", path, name);
		rc = entry(user, found->d_name, is_directory);
		if (rc != 0)
			return rc;
	}
}

static int posix_list(void *opaque, const char *name, vault_io_entry_fn *entry, void *user) {
	struct posix_vault *vault = opaque;
	_cleanup_(closep) int fd = -1;
	int rc = open_directory(vault, name, &fd);
	if (rc < 0)
		return rc;
	DIR *dir = fdopendir(fd);
	if (!dir)
		return fault_errno(errno, "listing %s/%s", vault->path, name);
	(void)steal_fd(&fd);
	rc = list_entries(dir, entry, user, vault->path, name);
	(void)closedir(dir);
	return rc;
}

static int posix_stat_size(void *opaque, const char *name, uint64_t *ret_size) {
	struct posix_vault *vault = opaque;
	_cleanup_(closep) int parent = -1;
	const char *base = NULL;
	int rc = walk_to_parent(vault, name, &parent, &base);
	if (rc < 0)
		return rc;
	struct stat st;
	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fault_errno(errno, "looking at %s/%s", vault->path, name);
	if (!S_ISREG(st.st_mode))
		return fault(S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s/%s is not a regular file", vault->path, name);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int posix_free_space(void *opaque, uint64_t *ret_bytes) {
	struct posix_vault *vault = opaque;
	struct statvfs st;
	if (fstatvfs(vault->fd, &st) < 0)
		return fault_errno(errno, "asking for the free space of vault %s", vault->path);
	*ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

static int open_flags(unsigned flags) {
	int result = O_CLOEXEC | O_NOFOLLOW | (flags & VAULT_FILE_WRITE ? O_RDWR : O_RDONLY);
	if (flags & VAULT_FILE_CREATE)
		result |= O_CREAT;
	if (flags & VAULT_FILE_EXCLUSIVE)
		result |= O_EXCL;
	/* A fifo in a file's place must not hang the daemon before the check that it is a regular file. */
	return result | O_NONBLOCK;
}

static int posix_file_open(void *opaque, const char *name, unsigned flags, void **ret_file) {
	struct posix_vault *vault = opaque;
	_cleanup_(closep) int parent = -1;
	const char *base = NULL;
	int rc = walk_to_parent(vault, name, &parent, &base);
	if (rc)
		return rc;
	_cleanup_(closep) int fd = openat(parent, base, open_flags(flags), 0600);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_errno(errno, "opening %s/%s", vault->path, name);
	if (!S_ISREG(st.st_mode))
		return fault(S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s/%s is not a regular file", vault->path, name);
	size_t name_bytes = strlen(name) + 1;
	struct posix_file *file = calloc(1, sizeof *file + name_bytes);
	if (!file)
		return fault(ENOMEM, "no memory to open %s", name);
	memcpy(file->name, name, name_bytes);
	file->fd = steal_fd(&fd);
	*ret_file = file;
	return 0;
}

static void posix_file_close(void *opaque) {
	struct posix_file *file = opaque;
	closep(&file->fd);
	free(file);
}

static int posix_read_at(void *opaque, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	struct posix_file *file = opaque;
	size_t done = 0;
	while (done < size) {
		ssize_t got = pread(file->fd, ret_data + done, size - done, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno(errno, "reading %s at %" PRIu64, file->name, offset + done);
		if (got == 0)
			break;
		done += (size_t)got;
	}
	*ret_read = done;
	return 0;
}

static void posix_expect(void *opaque, uint64_t offset, size_t size) {
	struct posix_file *file = opaque;
	(void)posix_fadvise(file->fd, (off_t)offset, (off_t)size, POSIX_FADV_WILLNEED);
}

static int posix_write_at(void *opaque, uint64_t offset, struct bytes data) {
	struct posix_file *file = opaque;
	size_t done = 0;
	while (done < data.size) {
		ssize_t put = pwrite(file->fd, data.data + done, data.size - done, (off_t)(offset + done));
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return fault_errno(put < 0 ? errno : EIO, "writing %s at %" PRIu64, file->name, offset + done);
		done += (size_t)put;
	}
	return 0;
}

static int posix_truncate(void *opaque, uint64_t size) {
	struct posix_file *file = opaque;
	int rc = 0;
	do
		rc = ftruncate(file->fd, (off_t)size);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? fault_errno(errno, "setting the size of %s to %" PRIu64, file->name, size) : 0;
}

static int posix_size(void *opaque, uint64_t *ret_size) {
	struct posix_file *file = opaque;
	struct stat st;
	if (fstat(file->fd, &st) < 0)
		return fault_errno(errno, "asking for the size of %s", file->name);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int fill_with_zeros(struct posix_file *file, uint64_t end) {
	static const uint8_t zeros[65536];
	uint64_t at = 0;
	int rc = posix_size(file, &at);
	while (rc == 0 && at < end) {
		size_t part = end - at < sizeof zeros ? (size_t)(end - at) : sizeof zeros;
		rc = posix_write_at(file, at, bytes_of(zeros, part));
		at += part;
	}
	return rc;
}

static int posix_allocate(void *opaque, uint64_t offset, uint64_t size) {
	struct posix_file *file = opaque;
	int rc = 0;
	do
		rc = fallocate(file->fd, 0, (off_t)offset, (off_t)size);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return 0;
	if (errno == EOPNOTSUPP || errno == ENOSYS)
		return fill_with_zeros(file, offset + size);
	return fault_errno(errno, "reserving %" PRIu64 " bytes for %s", size, file->name);
}

static int posix_sync(void *opaque) {
	struct posix_file *file = opaque;
	int rc = 0;
	do
		rc = fdatasync(file->fd);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? fault_errno(errno, "syncing %s", file->name) : 0;
}

const struct vault_io_ops vault_io_posix_ops = {
        .close = posix_close,
        .lock = posix_lock,
        .mkdir = posix_mkdir,
        .rmdir = posix_rmdir,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .sync_dir = posix_sync_dir,
        .list = posix_list,
        .stat_size = posix_stat_size,
        .free_space = posix_free_space,
        .open = posix_file_open,
        .file_close = posix_file_close,
        .read_at = posix_read_at,
        .write_at = posix_write_at,
        .truncate = posix_truncate,
        .allocate = posix_allocate,
        .sync = posix_sync,
        .size = posix_size,
        .expect = posix_expect,
};
