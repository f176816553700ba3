/* Any bytes as the lines of a history. */
#include "policy/history_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	_cleanup_(history_file_freep) HistoryFile *history = NULL;
	struct check_job job = {0};
	if (history_file_new(bytes_of_string("Rules = [ RowCount > avg(last(3)) ]"), &history) < 0)
		abort();
	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t length = end ? (size_t)(end - data) : size;
		(void)history_file_line(history, bytes_of(data, length));
		data += length + (end != NULL);
		size -= length + (end != NULL);
	}
	if (history_file_give(history, &job) < 0 || job.history[0].count > 3)
		abort();
	for (size_t i = 0; i < job.history[0].count; i++)
		if (job.history[0].values[i] - job.history[0].values[i] != 0) /* neither NaN nor infinite */
			abort();
	return 0;
}
