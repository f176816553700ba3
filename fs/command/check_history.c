#include "fs/command/check_history.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void close_filep(FILE **file) {
	if (*file)
		(void)fclose(*file);
}

static int read_lines(FILE *file, HistoryFile *history) {
	_cleanup_(freep) char *line = malloc(HISTORY_LINE_MAX + 2);
	int rc = line ? 0 : fault(ENOMEM, "out of memory");
	/* A line that is longer comes in parts, and is refused with the first. */
	while (rc >= 0 && fgets(line, HISTORY_LINE_MAX + 2, file)) {
		size_t size = strlen(line);
		size -= size > 0 && line[size - 1] == '\n';
		rc = history_file_line(history, bytes_of(line, size));
	}
	return rc >= 0 && ferror(file) ? fault(EIO, "reading it") : rc;
}

int check_history_read(
        const struct invocation *call, struct bytes rules, struct check_job *job, HistoryFile **ret_history) {
	const char *path = command_value(call, "history");
	_cleanup_(history_file_freep) HistoryFile *history = NULL;
	_cleanup_(close_filep) FILE *file = NULL;
	if (!path)
		return 0;
	int rc = history_file_new(rules, &history);
	if (rc >= 0 && !(file = fopen(path, "re")))
		rc = fault_errno(errno, "opening it");
	if (rc >= 0)
		rc = read_lines(file, history);
	if (rc >= 0)
		rc = history_file_give(history, job);
	if (rc < 0)
		return fault_while(rc, "the history %s", path);
	*ret_history = steal_pointer(&history);
	return 0;
}
