#include "fs/command/input.h"

#include "crypto/base/fault.h"
#include "fs/command/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct Input {
	int fd;
	off_t begin; /* negative: it can't be read again */
	struct timespec changed;
	uint64_t size, done;
	Progress *progress;
};

int input_open(const char *path, const char *label, Input **ret_input) {
	_cleanup_(input_closep) Input *input = calloc(1, sizeof *input);
	struct stat about;
	if (!input)
		return fault(ENOMEM, "out of memory");
	input->fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
	                                   : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (input->fd < 0)
		return fault_errno(errno, "opening it");
	if (fstat(input->fd, &about) < 0)
		return fault_errno(errno, "looking at it");
	if (S_ISDIR(about.st_mode))
		return fault(EISDIR, "it is a directory; give a file");
	input->size = S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0;
	input->begin = S_ISREG(about.st_mode) || S_ISBLK(about.st_mode) ? lseek(input->fd, 0, SEEK_CUR) : -1;
	input->changed = about.st_mtim;
	(void)posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	input->progress = progress_begin(label, PROGRESS_BYTES, input->size);
	*ret_input = steal_pointer(&input);
	return 0;
}

void input_close(Input *input) {
	if (!input)
		return;
	progress_end(input->progress);
	closep(&input->fd);
	free(input);
}

uint64_t input_size(const Input *input) {
	return input->size;
}

int64_t input_mtime(const Input *input) {
	return input->changed.tv_sec;
}

static ssize_t read_some(void *context, void *buffer, size_t size) {
	Input *input = context;
	ssize_t got;
	do
		got = read(input->fd, buffer, size);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return fault_errno(errno, "reading it");
	input->done += (uint64_t)got;
	progress_set(input->progress, input->done, input->size);
	return got;
}

static int again(void *context) {
	struct check_input input;
	return input_again(context, &input);
}

struct check_input input_source(Input *input) {
	return (struct check_input){
	        .read = read_some, .context = input, .again = input_is_lasting(input) ? again : NULL};
}

bool input_is_lasting(const Input *input) {
	return input->begin >= 0;
}

int input_again(Input *input, struct check_input *ret_input) {
	struct stat about;
	if (fstat(input->fd, &about) < 0)
		return fault_errno(errno, "looking at it");
	if (about.st_mtim.tv_sec != input->changed.tv_sec || about.st_mtim.tv_nsec != input->changed.tv_nsec)
		return fault(EBUSY, "it was changed while it was checked");
	if (lseek(input->fd, input->begin, SEEK_SET) < 0)
		return fault_errno(errno, "reading it a second time");
	input->done = 0;
	*ret_input = input_source(input);
	return 0;
}

void input_done(Input *input) {
	progress_hide(input->progress);
}
