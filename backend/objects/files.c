#include "backend/objects/files.h"

#include "crypto/base/array.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

struct files {
	char *directory;
	atomic_bool is_stopped;
};

/* "~" and 16 hexadecimal digits. */
#define BESIDE_BYTES 18
#define WRITE_BYTES ((size_t)4 << 20)
/* Another process may remove a directory that is empty right before we write into it. */
#define ATTEMPTS 8

int files_open(const char *directory, void **ret_place) {
	_cleanup_(freep) struct files *files = calloc(1, sizeof *files);
	if (!files || !(files->directory = strdup(directory)))
		return fault(ENOMEM, "no memory to open %s", directory);
	*ret_place = steal_pointer(&files);
	return 0;
}

static void files_close(void *place) {
	struct files *files = place;
	free(files->directory);
	free(files);
}

static void files_stop(void *place) {
	atomic_store(&((struct files *)place)->is_stopped, true);
}

static int check_running(const struct files *files) {
	return atomic_load(&files->is_stopped) ? fault(ECANCELED, "%s was stopped", files->directory) : 0;
}

/* Errors of the file system as those of objects.h. */
static int of_place(int error) {
	switch (error) {
	case ENOSPC:
		return EDQUOT;
	case EROFS:
		return EACCES;
	case ELOOP:
	case ENOTDIR:
		return EIO;
	default:
		return error;
	}
}

/* A failed system call, in words. */
#define failed(files, what, name)                                                                                 \
	__extension__({                                                                                           \
		int error_ = errno;                                                                               \
		fault(of_place(error_), "%s %s/%s: %s", what, (files)->directory, name, strerrordesc_np(error_)); \
	})

static int open_top(const struct files *files, int *ret_fd) {
	int fd = open(files->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fault(of_place(errno), "opening %s: %s", files->directory, strerrordesc_np(errno));
	*ret_fd = fd;
	return 0;
}

static int make_directory(const struct files *files, int parent, const char *part) {
	if (mkdirat(parent, part, 0700) == 0)
		return fsync(parent) < 0 ? failed(files, "syncing the directory of", part) : 0;
	return errno == EEXIST ? 0 : failed(files, "making directory", part);
}

/* Opens the directory that holds `name`; missing ones on the way are made, or are -ENOENT. No symbolic link is
 * followed, component by component: openat2 is missing under the seccomp filters of older container engines. */
static int walk_to_parent(
        const struct files *files, const char *name, bool create, int *ret_fd, const char **ret_base) {
	_cleanup_(closep) int fd = -1;
	int rc = open_top(files, &fd);
	const char *rest = name;
	for (const char *slash = strchr(rest, '/'); rc == 0 && slash; slash = strchr(rest, '/')) {
		char part[OBJECT_NAME_MAX + 1];
		(void)snprintf(part, sizeof part, "%.*s", (int)(slash - rest), rest);
		int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && errno == ENOENT && create) {
			rc = make_directory(files, fd, part);
			if (rc < 0)
				return rc;
			next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		if (next < 0)
			return failed(files, "opening the directory of", name);
		closep(&fd);
		fd = next;
		rest = slash + 1;
	}
	if (rc < 0)
		return rc;
	*ret_fd = steal_fd(&fd);
	*ret_base = rest;
	return 0;
}

/* ---- put ---- */

static void name_beside(char ret_name[static BESIDE_BYTES]) {
	uint64_t chance = 0;
	/* Up to 256 bytes are never cut short; were it to fail, O_EXCL would find the name taken. */
	if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance)
		chance = (uint64_t)getpid();
	(void)snprintf(ret_name, BESIDE_BYTES, "~%016" PRIx64, chance);
}

static int write_all(const struct files *files, int fd, const char *name, struct bytes data) {
	for (size_t done = 0; done < data.size;) {
		int rc = check_running(files);
		if (rc < 0)
			return rc;
		size_t part = data.size - done < WRITE_BYTES ? data.size - done : WRITE_BYTES;
		ssize_t put = write(fd, data.data + done, part);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return failed(files, "writing", name);
		done += (size_t)put;
	}
	return fsync(fd) < 0 ? failed(files, "syncing", name) : 0;
}

static int name_it(int parent, const char *beside, const char *base, bool if_absent) {
	if (!if_absent)
		return renameat(parent, beside, parent, base) < 0 ? -errno : 0;
	if (renameat2(parent, beside, parent, base, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* NFS and others know no RENAME_NOREPLACE. */
	if (linkat(parent, beside, parent, base, 0) < 0)
		return -errno;
	(void)unlinkat(parent, beside, 0);
	return 0;
}

static int is_there(int parent, const char *base) {
	struct stat st;
	return fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int put_in(const struct files *files, int parent, const char *base, const struct object_request *request) {
	if (request->if_absent && is_there(parent, base)) {
		/* Who put it may have been cut before this. */
		if (fsync(parent) < 0)
			return failed(files, "syncing the directory of", request->name);
		return fault(EEXIST, "%s/%s is there", files->directory, request->name);
	}
	char beside[BESIDE_BYTES];
	name_beside(beside);
	_cleanup_(closep) int fd = openat(parent, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(files, "making", request->name);
	int rc = write_all(files, fd, request->name, request->data);
	if (rc == 0) {
		errno = -name_it(parent, beside, base, request->if_absent);
		if (errno)
			rc = failed(files, "naming", request->name);
	}
	if (rc < 0) {
		(void)unlinkat(parent, beside, 0);
		return rc;
	}
	return fsync(parent) < 0 ? failed(files, "syncing the directory of", request->name) : 0;
}

static int put(const struct files *files, const struct object_request *request) {
	int rc = 0;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		_cleanup_(closep) int parent = -1;
		const char *base = NULL;
		rc = walk_to_parent(files, request->name, true, &parent, &base);
		if (rc == 0)
			rc = put_in(files, parent, base, request);
		_cleanup_(closep) int top = -1;
		if (rc != -ENOENT || open_top(files, &top) < 0)
			break;
	}
	return rc;
}

/* ---- get and remove ---- */

static int get(const struct files *files, struct object_request *request) {
	_cleanup_(closep) int parent = -1;
	const char *base = NULL;
	int rc = walk_to_parent(files, request->name, false, &parent, &base);
	if (rc < 0)
		return rc;
	/* A fifo in a file's place must not hang us before the check that it is a regular file. */
	_cleanup_(closep) int fd = openat(parent, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return failed(files, "opening", request->name);
	if (!S_ISREG(st.st_mode))
		return fault(ENOENT, "%s/%s is no regular file", files->directory, request->name);
	if (request->offset > INT64_MAX - request->size)
		return 0;
	while (rc == 0 && request->got < request->size) {
		ssize_t got = pread(fd, request->into + request->got, request->size - request->got,
		        (off_t)(request->offset + request->got));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return failed(files, "reading", request->name);
		if (got == 0)
			break;
		request->got += (size_t)got;
		rc = check_running(files);
	}
	return rc;
}

/* Removes the directories above `name` that are empty now. */
static void prune(const struct files *files, const char *name) {
	char above[OBJECT_NAME_MAX + 1];
	(void)snprintf(above, sizeof above, "%s", name);
	for (char *slash = strrchr(above, '/'); slash; slash = strrchr(above, '/')) {
		*slash = '\0';
		_cleanup_(closep) int parent = -1;
		const char *base = NULL;
		if (walk_to_parent(files, above, false, &parent, &base) < 0 || unlinkat(parent, base, AT_REMOVEDIR) < 0)
			return;
	}
}

static int take_away(const struct files *files, const struct object_request *request) {
	_cleanup_(closep) int top = -1;
	int rc = open_top(files, &top);
	if (rc < 0)
		return rc;
	_cleanup_(closep) int parent = -1;
	const char *base = NULL;
	rc = walk_to_parent(files, request->name, false, &parent, &base);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (unlinkat(parent, base, 0) < 0)
		return errno == ENOENT ? 0 : failed(files, "removing", request->name);
	prune(files, request->name);
	return 0;
}

static int files_carry_out(void *place, struct object_request *requests, size_t count) {
	const struct files *files = place;
	for (size_t i = 0; i < count; i++) {
		struct object_request *request = &requests[i];
		int rc = check_running(files);
		if (rc == 0 && request->what == OBJECT_PUT)
			rc = put(files, request);
		else if (rc == 0 && request->what == OBJECT_GET)
			rc = get(files, request);
		else if (rc == 0)
			rc = take_away(files, request);
		request->rc = rc;
		if (rc < 0)
			(void)snprintf(request->words, sizeof request->words, "%s", fault_message());
	}
	return 0;
}

/* ---- listing ---- */

struct found {
	char *name;
	uint64_t size;
	int64_t modified_s;
};

struct listing {
	const struct files *files;
	struct found *found;
	size_t count, room;
	const char *prefix;
	bool is_of_temporaries;
};

static void listing_clear(struct listing *listing) {
	for (size_t i = 0; i < listing->count; i++)
		free(listing->found[i].name);
	free(listing->found);
}

static int add(struct listing *listing, const char *name, const struct stat *st) {
	struct found *found = array_room(listing->found, &listing->room, listing->count + 1, sizeof *found);
	if (found)
		listing->found = found;
	char *copy = found ? strdup(name) : NULL;
	if (!copy)
		return fault(ENOMEM, "no memory for the list of %s", listing->files->directory);
	found[listing->count++] =
	        (struct found){.name = copy, .size = (uint64_t)st->st_size, .modified_s = st->st_mtim.tv_sec};
	return 0;
}

static bool can_be_named_so(const char *part) {
	return part[strspn(part, "abcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0' && strcmp(part, ".") != 0 &&
	       strcmp(part, "..") != 0;
}

/* Whether something that is named so, or lies in a directory that is, can begin with the prefix. */
static bool can_match(const char *path, bool is_directory, const char *prefix) {
	size_t path_length = strlen(path);
	size_t prefix_length = strlen(prefix);
	if (!is_directory || path_length >= prefix_length)
		return strncmp(path, prefix, prefix_length) == 0;
	return strncmp(path, prefix, path_length) == 0 && prefix[path_length] == '/';
}

static int walk(struct listing *listing, int fd, const char *above);

static int look_at(struct listing *listing, int fd, const char *above, const char *part) {
	bool is_temporary = part[0] == '~';
	char path[OBJECT_NAME_MAX + 1];
	int length = snprintf(path, sizeof path, "%s%s%s", above, above[0] ? "/" : "", part);
	if ((!can_be_named_so(part) && !(is_temporary && listing->is_of_temporaries)) || length >= (int)sizeof path)
		return 0;
	struct stat st;
	if (fstatat(fd, part, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(listing->files, "looking at", path);
	if (S_ISREG(st.st_mode) && is_temporary == listing->is_of_temporaries &&
	        can_match(path, false, listing->prefix))
		return add(listing, path, &st);
	if (!S_ISDIR(st.st_mode) || !can_match(path, true, listing->prefix))
		return 0;
	_cleanup_(closep) int below = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0)
		return errno == ENOENT ? 0 : failed(listing->files, "opening", path);
	return walk(listing, steal_fd(&below), path);
}

/* Takes `fd`. Not deeper than a name has slashes: look_at cuts longer ones off. */
static int walk(struct listing *listing, int fd, const char *above) {
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int rc = failed(listing->files, "listing", above);
		closep(&fd);
		return rc;
	}
	int rc = 0;
	while (rc == 0) {
		errno = 0;
		const struct dirent *entry = readdir(dir);
		if (!entry) {
			rc = errno ? failed(listing->files, "listing", above) : 0;
			break;
		}
		rc = check_running(listing->files);
		if (rc == 0)
			rc = look_at(listing, fd, above, entry->d_name);
	}
	(void)closedir(dir);
	return rc;
}

static int by_name(const void *one, const void *other) {
	return strcmp(((const struct found *)one)->name, ((const struct found *)other)->name);
}

static int fill(struct listing *listing) {
	_cleanup_(closep) int top = -1;
	int rc = open_top(listing->files, &top);
	if (rc == 0)
		rc = walk(listing, steal_fd(&top), "");
	if (rc == 0 && listing->count > 1)
		qsort(listing->found, listing->count, sizeof *listing->found, by_name);
	return rc;
}

static int files_list(void *place, const char *prefix, object_fn *object, void *arg) {
	_cleanup_(listing_clear) struct listing listing = {.files = place, .prefix = prefix};
	int rc = fill(&listing);
	for (size_t i = 0; rc == 0 && i < listing.count; i++) {
		const struct found *found = &listing.found[i];
		struct object_info info = {.name = found->name,
		        .version = "",
		        .size = found->size,
		        .modified_s = found->modified_s,
		        .is_latest = true};
		rc = object(arg, &info);
	}
	return rc;
}

static int files_tidy(void *place, int64_t before_s) {
	const struct files *files = place;
	_cleanup_(listing_clear) struct listing listing = {.files = files, .prefix = "", .is_of_temporaries = true};
	int rc = fill(&listing);
	for (size_t i = 0; rc == 0 && i < listing.count; i++) {
		_cleanup_(closep) int parent = -1;
		const char *base = NULL;
		if (listing.found[i].modified_s >= before_s)
			continue;
		rc = walk_to_parent(files, listing.found[i].name, false, &parent, &base);
		if (rc == 0 && unlinkat(parent, base, 0) < 0 && errno != ENOENT)
			rc = failed(files, "removing", listing.found[i].name);
		if (rc == -ENOENT)
			rc = 0;
		if (rc == 0)
			prune(files, listing.found[i].name);
	}
	return rc;
}

/* ---- the place ---- */

/* Only the last directory is made: what is missing above may be a disk that is not mounted. */
static int tell_missing(const struct files *files) {
	char path[PATH_MAX];
	size_t length = (size_t)snprintf(path, sizeof path, "%s", files->directory);
	for (size_t i = 1; i < length && i < sizeof path; i++) {
		if (path[i] != '/')
			continue;
		path[i] = '\0';
		if (access(path, F_OK) < 0)
			return fault(ENOENT, "making %s: %s is missing, and only the last directory is made",
			        files->directory, path);
		path[i] = '/';
	}
	return fault(ENOENT, "making %s: it can't be made there", files->directory);
}

static int make_top(const struct files *files) {
	if (mkdir(files->directory, 0700) < 0 && errno != EEXIST)
		return errno == ENOENT ? tell_missing(files) : failed(files, "making", "");
	char above[PATH_MAX];
	(void)snprintf(above, sizeof above, "%s/..", files->directory);
	_cleanup_(closep) int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? failed(files, "syncing the directory above", "") : 0;
}

static int files_prepare(void *place, bool create, bool locks) {
	(void)locks; /* objects_prepare has refused it */
	const struct files *files = place;
	int rc = create ? make_top(files) : 0;
	_cleanup_(closep) int top = -1;
	if (rc == 0)
		rc = open_top(files, &top);
	if (rc < 0)
		return rc;
	char beside[BESIDE_BYTES];
	name_beside(beside);
	_cleanup_(closep) int fd = openat(top, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(files, "trying to write in", "");
	if (write(fd, "", 1) != 1 || fsync(fd) < 0)
		rc = failed(files, "trying to write in", "");
	(void)unlinkat(top, beside, 0);
	return rc;
}

const struct objects_ops files_ops = {
        .close = files_close,
        .carry_out = files_carry_out,
        .list = files_list,
        .prepare = files_prepare,
        .tidy = files_tidy,
        .stop = files_stop,
};
