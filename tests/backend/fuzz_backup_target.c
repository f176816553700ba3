/* Feeds the rows of a backup's targets: what is taken is printed and taken again. */
#include "backend/backup/targets.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct backup_target target = {0}, again = {0};
	char *row = NULL, *row_again = NULL;
	size_t row_size = 0, size_again = 0;
	if (target_parse(bytes_of(data, size), &target) < 0)
		return 0;
	if (target_print(&target, &row, &row_size) < 0)
		return 0; /* too long once it is escaped */
	if (target_parse(bytes_of(row, row_size), &again) < 0 || target_print(&again, &row_again, &size_again) < 0 ||
	        size_again != row_size || memcmp(row, row_again, row_size) != 0)
		abort();
	free(row);
	free(row_again);
	return 0;
}
