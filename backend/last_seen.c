#include "backend/last_seen.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/base/cleanup.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"

#define ID_MAX 32
#define SINCE "since "
#define SINCE_BYTES (sizeof SINCE + 20 + 1 + BASE64_TEXT_BYTES(MERKLE_HASH_BYTES))
#define SIGNATURE "\xe2\x80\x94 " /* as its lines begin in a note */
#define LOCK_MS 2000

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

/* ---- the text ---- */

/* Without its newline. */
static void format_since(const struct checkpoint *since, char ret_line[static SINCE_BYTES]) {
	char root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)];
	base64_encode(bytes_of(since->root, MERKLE_HASH_BYTES), root);
	(void)snprintf(ret_line, SINCE_BYTES, SINCE "%" PRIu64 " %s", since->size, root);
}

/* Whatever other spelling got this far is found by spelling it again. */
static bool parse_since(struct bytes line, struct checkpoint *ret) {
	char text[SINCE_BYTES], again[SINCE_BYTES], *end;
	size_t size;
	if (line.size >= sizeof text)
		return false;
	memcpy(text, line.data, line.size);
	text[line.size] = '\0';
	ret->size = strtoull(text + sizeof SINCE - 1, &end, 10);
	if (*end != ' ' || ret->size == 0 || ret->size > MERKLE_SIZE_MAX ||
	        base64_decode(end + 1, MERKLE_HASH_BYTES, ret->root, &size) < 0 || size != MERKLE_HASH_BYTES)
		return false;
	format_since(ret, again);
	return strlen(again) == line.size && memcmp(again, line.data, line.size) == 0;
}

static bool starts_with(struct bytes line, const char *start) {
	return line.size >= strlen(start) && memcmp(line.data, start, strlen(start)) == 0;
}

/* Lines up to an empty one or the end, each of which begins so: how many, 0 too for any other. The empty line is taken,
 * and *ret_end is where it begins. */
static size_t take_lines(struct bytes *rest, const char *start, const uint8_t **ret_end) {
	size_t count = 0;
	struct bytes line;
	for (*ret_end = rest->data; rest->size > 0; *ret_end = rest->data, count++) {
		if (!bytes_take_line(rest, &line) || (line.size > 0 && !starts_with(line, start)))
			return 0;
		if (line.size == 0)
			return count;
	}
	return count;
}

/* With the empty line behind it, which has to be there if and only if another branch is. */
static bool take_branch(struct bytes *rest, struct last_seen_branch *ret) {
	struct bytes line;
	const uint8_t *end;
	*ret = (struct last_seen_branch){0};
	if (starts_with(*rest, SINCE) && !(bytes_take_line(rest, &line) && parse_since(line, &ret->since)))
		return false;
	const uint8_t *begin = rest->data;
	if (take_lines(rest, "", &end) == 0 || take_lines(rest, SIGNATURE, &end) == 0)
		return false;
	ret->note = bytes_of(begin, (size_t)(end - begin));
	return (rest->size > 0) == (end < rest->data);
}

int last_seen_parse(struct bytes text, struct last_seen *ret) {
	struct last_seen seen = {0};
	bool is_text = text.size == 0 || !memchr(text.data, '\0', text.size);
	while (text.size > 0)
		if (!is_text || seen.count == LAST_SEEN_BRANCHES || !take_branch(&text, &seen.branches[seen.count++]))
			return fault(EBADMSG, "these are no heads of a log that were kept here");
	if (seen.count == 0)
		return fault(EBADMSG, "no head of a log is kept here");
	*ret = seen;
	return 0;
}

size_t last_seen_format(const struct last_seen *seen, char *ret_text, size_t size) {
	size_t used = 0;
	for (size_t i = 0; i < seen->count; i++) {
		const struct last_seen_branch *branch = &seen->branches[i];
		char since[SINCE_BYTES] = "";
		if (branch->since.size > 0)
			format_since(&branch->since, since);
		int length = snprintf(ret_text + used, size - used, "%s%s%s%.*s", i > 0 ? "\n" : "", since,
		        since[0] ? "\n" : "", (int)branch->note.size, (const char *)branch->note.data);
		if (length < 0 || (size_t)length >= size - used)
			return 0;
		used += (size_t)length;
	}
	return used;
}

/* ---- reading ---- */

static int read_all(int fd, const char *path, char **ret_note, size_t *ret_size) {
	_cleanup_(freep) char *note = malloc(LAST_SEEN_BYTES_MAX + 2);
	size_t used = 0;
	ssize_t got;
	if (!note)
		return fault(ENOMEM, "no memory to read %s", path);
	while (used <= LAST_SEEN_BYTES_MAX && (got = read(fd, note + used, LAST_SEEN_BYTES_MAX + 1 - used)) != 0) {
		if (got < 0 && errno != EINTR)
			return fault_errno(errno, "reading %s", path);
		used += got > 0 ? (size_t)got : 0;
	}
	if (used == 0)
		return -ENOENT;
	if (used > LAST_SEEN_BYTES_MAX)
		return fault(EFBIG, "%s is too long for the heads of a log", path);
	note[used] = '\0';
	*ret_note = steal_pointer(&note);
	*ret_size = used;
	return 0;
}

static int read_file(const char *path, char **ret_text, size_t *ret_size) {
	/* A pipe that somebody has put there must not be waited for. */
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	struct stat about;
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fault_errno(errno, "opening the log's last heads, %s", path);
	if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode))
		return fault(EUCLEAN, "the log's last heads, %s, are no regular file", path);
	return read_all(fd, path, ret_text, ret_size);
}

int last_seen_read(const char *directory, struct bytes vault_id, struct last_seen *ret) {
	char path[PATH_MAX];
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	int rc = last_seen_path(directory, vault_id, path, sizeof path);
	if (rc == 0)
		rc = read_file(path, &text, &size);
	if (rc == 0)
		rc = last_seen_parse(bytes_of(text, size), ret);
	if (rc == 0)
		ret->text = steal_pointer(&text);
	return rc;
}

void last_seen_free(struct last_seen *seen) {
	free(seen->text);
	*seen = (struct last_seen){0};
}

/* ---- writing ---- */

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

/* Who gets it is the only one to write. A process that was stopped while it had it must not stop all others. Where the
 * file system knows no locks it goes without. */
static int lock(const char *path, int *ret_fd) {
	char name[PATH_MAX + 8];
	const int64_t until = monotonic_ms() + LOCK_MS;
	const struct timespec pause = {.tv_nsec = 2000000};
	(void)snprintf(name, sizeof name, "%s.lock", path);
	_cleanup_(closep) int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0)
		return fault_errno(errno, "opening %s", name);
	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
		if (monotonic_ms() >= until)
			return fault(EBUSY, "%s is locked by another process", name);
		(void)nanosleep(&pause, NULL);
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int sync_directory(const char *directory) {
	_cleanup_(closep) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? fault_errno(errno, "syncing %s", directory) : 0;
}

static bool is_same(const struct checkpoint *a, const struct checkpoint *b) {
	return a->size == b->size && (a->size == 0 || memcmp(a->root, b->root, sizeof a->root) == 0);
}

/* Before those that are kept, as many of them as there is room for. */
static size_t put_first(
        const struct last_seen_branch *branch, const struct last_seen *kept, char *ret_text, size_t size) {
	struct last_seen seen = {.count = 1, .branches = {*branch}};
	size_t used = 0;
	for (size_t i = 0; i < kept->count && seen.count < LAST_SEEN_BRANCHES; i++)
		if (!is_same(&kept->branches[i].since, &branch->since))
			seen.branches[seen.count++] = kept->branches[i];
	while (seen.count > 0 && (used = last_seen_format(&seen, ret_text, size)) == 0)
		seen.count--;
	return used;
}

bool last_seen_is_other(int rc) {
	return rc == -ELOOP || rc == -EUCLEAN || rc == -EFBIG || rc == -EBADMSG;
}

/* The lock is held. */
static int merge(
        const char *directory, struct bytes vault_id, const char *path, const struct last_seen_branch *branch) {
	_cleanup_(freep) char *text = malloc(LAST_SEEN_BYTES_MAX + 1);
	struct last_seen kept = {0};
	if (!text)
		return fault(ENOMEM, "no memory to write %s", path);
	int rc = last_seen_read(directory, vault_id, &kept);
	/* What was not written here has no branch that could be lost; what can't be read might. */
	if (rc < 0 && rc != -ENOENT && !last_seen_is_other(rc))
		return rc;
	size_t size = put_first(branch, &kept, text, LAST_SEEN_BYTES_MAX + 1);
	last_seen_free(&kept);
	return size > 0 ? replace(path, bytes_of(text, size))
	                : fault(EFBIG, "the head of a log has no room in %s", path);
}

int last_seen_remember(
        const char *directory, struct bytes vault_id, const struct last_seen_branch *branch, bool durable) {
	char path[PATH_MAX];
	_cleanup_(closep) int fd = -1;
	int rc = last_seen_path(directory, vault_id, path, sizeof path);
	if (rc == 0)
		rc = make_directories(directory);
	if (rc == 0)
		rc = lock(path, &fd);
	if (rc == 0)
		rc = merge(directory, vault_id, path, branch);
	if (rc == 0 && durable)
		rc = sync_directory(directory);
	if (fd >= 0)
		(void)flock(fd, LOCK_UN); /* a child that was made meanwhile has the descriptor as well */
	return rc;
}
