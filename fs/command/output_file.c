#include "fs/command/output_file.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct OutputFile {
	FILE *out;
	char path[PATH_MAX];
	char temporary[PATH_MAX + 16]; /* "": the file is written in place */
};

/* A device or a pipe can't be replaced by a file, nor should it; nor what the shell has open behind /dev/stdout. */
static int open_in_place(OutputFile *file, const char *path) {
	bool is_stdout = strcmp(path, "-") == 0;
	int fd = is_stdout ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
	                   : open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fault_errno(errno, "opening %s", path);
	file->out = fdopen(fd, "w");
	if (!file->out)
		(void)close(fd);
	return file->out ? 0 : fault(ENOMEM, "out of memory");
}

static int open_temporary(OutputFile *file, mode_t mode) {
	if (snprintf(file->temporary, sizeof file->temporary, "%s.XXXXXX", file->path) >= (int)sizeof file->temporary)
		return fault(ENAMETOOLONG, "the path %s is too long", file->path);
	int fd = mkostemp(file->temporary, O_CLOEXEC);
	if (fd < 0) {
		file->temporary[0] = '\0';
		return fault_errno(errno, "making a file beside %s", file->path);
	}
	if (fchmod(fd, mode) < 0 || !(file->out = fdopen(fd, "w"))) {
		int rc = fault_errno(errno, "making a file beside %s", file->path);
		(void)close(fd);
		return rc;
	}
	return 0;
}

static int open_output(OutputFile *file, const char *path) {
	struct stat about;
	bool is_there = stat(path, &about) == 0;
	_cleanup_(freep) char *real = is_there ? realpath(path, NULL) : NULL;
	if (snprintf(file->path, sizeof file->path, "%s", real ? real : path) >= (int)sizeof file->path)
		return fault(ENAMETOOLONG, "the path %s is too long", path);
	if (is_there && S_ISDIR(about.st_mode))
		return fault(EISDIR, "%s is a directory; give a file", path);
	/* what is open already, by a name of it */
	bool is_open = is_there && (strncmp(path, "/dev/std", 8) == 0 || strncmp(path, "/dev/fd/", 8) == 0 ||
	                                   strncmp(path, "/proc/", 6) == 0);
	if (is_open || strcmp(path, "-") == 0 || (is_there && !S_ISREG(about.st_mode)))
		return open_in_place(file, path);
	mode_t mask = umask(0);
	(void)umask(mask);
	return open_temporary(file, is_there ? about.st_mode & 0777 : 0666 & ~mask);
}

int output_file_open(const char *path, OutputFile **ret_file) {
	_cleanup_(output_file_closep) OutputFile *file = calloc(1, sizeof *file);
	if (!file)
		return fault(ENOMEM, "out of memory");
	int rc = open_output(file, path);
	if (rc < 0)
		return rc;
	*ret_file = steal_pointer(&file);
	return 0;
}

FILE *output_file_stream(const OutputFile *file) {
	return file->out;
}

int output_file_finish(OutputFile *file) {
	if (fflush(file->out) != 0 || (*file->temporary && fsync(fileno(file->out)) < 0))
		return fault_errno(errno, "writing to %s", file->path);
	if (ferror(file->out))
		return fault(EIO, "writing to %s failed", file->path);
	if (*file->temporary && rename(file->temporary, file->path) < 0)
		return fault_errno(errno, "giving it its name %s", file->path);
	file->temporary[0] = '\0';
	return 0;
}

void output_file_close(OutputFile *file) {
	if (!file)
		return;
	if (file->out)
		(void)fclose(file->out);
	if (*file->temporary)
		(void)unlink(file->temporary);
	free(file);
}
