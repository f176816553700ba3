/* `assayfs check --rows`: for each row of the FILE, the rules that it passes, breaks, and that say nothing about it. */
#include "fs/command/check.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct RowsFile {
	struct check_rows asks;
	Input *input;
	FILE *out;
	char path[PATH_MAX];
	char temporary[PATH_MAX + 16]; /* "": the file is written in place */
	char **texts;                  /* the rules' as JSON, made with the first row */
	size_t text_count;
	bool is_complete;
};

/* ---- where they go ---- */

/* A device or a pipe can't be replaced by a file, nor should it; nor what the shell has open behind /dev/stdout. */
static int open_in_place(RowsFile *file, const char *path) {
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

static int open_temporary(RowsFile *file, mode_t mode) {
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

/* Modes as if the file had been created or written by its name; where a link leads, not the link, is replaced. */
static int open_output(RowsFile *file, const char *path) {
	struct stat about;
	bool is_there = stat(path, &about) == 0;
	_cleanup_(freep) char *real = is_there ? realpath(path, NULL) : NULL;
	if (snprintf(file->path, sizeof file->path, "%s", real ? real : path) >= (int)sizeof file->path)
		return fault(ENAMETOOLONG, "the path %s is too long", path);
	if (is_there && S_ISDIR(about.st_mode))
		return fault(EISDIR, "%s is a directory; give a file", path);
	bool is_open = is_there && (strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0);
	if (is_open || strcmp(path, "-") == 0 || (is_there && !S_ISREG(about.st_mode)))
		return open_in_place(file, path);
	mode_t mask = umask(0);
	(void)umask(mask);
	return open_temporary(file, is_there ? about.st_mode & 0777 : 0666 & ~mask);
}

/* ---- a row ---- */

static int make_texts(RowsFile *file, const struct check_result *result) {
	file->texts = calloc(result->rule_count + 1, sizeof(char *));
	if (!file->texts)
		return fault(ENOMEM, "out of memory");
	for (; file->text_count < result->rule_count; file->text_count++) {
		json_t *text = json_string(result->rules[file->text_count].text);
		file->texts[file->text_count] = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
		json_decref(text);
		if (!file->texts[file->text_count])
			return fault(ENOMEM, "out of memory");
	}
	return 0;
}

static void write_list(RowsFile *file, const char *name, const enum outcome *outcomes, enum outcome wanted) {
	const char *before = "";
	(void)fprintf(file->out, ",\"%s\":[", name);
	for (size_t i = 0; i < file->text_count; i++) {
		if (outcomes[i] != wanted)
			continue;
		(void)fputs(before, file->out);
		(void)fputs(file->texts[i], file->out);
		before = ",";
	}
	(void)fputc(']', file->out);
}

static int write_row(void *context, uint64_t number, const struct check_result *result, const enum outcome *outcomes) {
	RowsFile *file = context;
	bool failed = false;
	int rc = file->texts ? 0 : make_texts(file, result);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < file->text_count; i++)
		failed |= outcomes[i] == OUTCOME_FAILED;
	(void)fprintf(file->out, "{\"row\":%" PRIu64 ",\"result\":\"%s\"", number, failed ? "Failed" : "Passed");
	write_list(file, "pass", outcomes, OUTCOME_PASSED);
	write_list(file, "fail", outcomes, OUTCOME_FAILED);
	write_list(file, "skip", outcomes, OUTCOME_NONE);
	errno = 0;
	if (fputs("}\n", file->out) == EOF || ferror(file->out))
		return fault_errno(errno ? errno : EIO, "writing the rows to %s", file->path);
	return 0;
}

static int read_again(void *context, struct check_input *ret_input) {
	RowsFile *file = context;
	return input_again(file->input, ret_input);
}

static int all_told(void *context) {
	RowsFile *file = context;
	file->is_complete = true;
	return 0;
}

/* ---- the whole ---- */

int rows_file_new(const char *path, Input *input, RowsFile **ret_file) {
	_cleanup_(rows_file_closep) RowsFile *file = calloc(1, sizeof *file);
	if (!file)
		return fault(ENOMEM, "out of memory");
	file->asks = (struct check_rows){.again = read_again, .row = write_row, .end = all_told, .context = file};
	file->input = input;
	if (!input_is_lasting(input))
		return fault(ESPIPE,
		        "--rows reads it twice, and a pipe or terminal gives its bytes once: put them into a file");
	int rc = open_output(file, path);
	if (rc < 0)
		return rc;
	*ret_file = steal_pointer(&file);
	return 0;
}

const struct check_rows *rows_file_asks(const RowsFile *file) {
	return &file->asks;
}

int rows_file_finish(RowsFile *file, bool *ret_done) {
	*ret_done = file->is_complete;
	if (!file->is_complete)
		return 0;
	if (fflush(file->out) != 0 || (*file->temporary && fsync(fileno(file->out)) < 0))
		return fault_errno(errno, "writing the rows to %s", file->path);
	if (*file->temporary && rename(file->temporary, file->path) < 0)
		return fault_errno(errno, "giving the rows their name %s", file->path);
	file->temporary[0] = '\0';
	return 0;
}

void rows_file_close(RowsFile *file) {
	if (!file)
		return;
	if (file->out)
		(void)fclose(file->out);
	if (*file->temporary)
		(void)unlink(file->temporary);
	for (size_t i = 0; i < file->text_count; i++)
		free(file->texts[i]);
	free(file->texts);
	free(file);
}
