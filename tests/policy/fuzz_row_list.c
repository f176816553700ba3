/* Any bytes as a worker's list of rows: what is taken lies in the file, ascends, and is read without a fault. */
#include "policy/row_list.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BYTES 5000u
#define RULES 70u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_rule(void *arg, size_t rule) {
	size_t *least = arg;
	if (rule < *least || rule >= RULES)
		abort();
	*least = rule + 1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	RowList *list = NULL;
	struct row_cursor cursor = {0};
	struct listed_row row;
	if (row_list_parse(bytes_of(data, size), FILE_BYTES, RULES, &list) < 0)
		return 0;
	uint64_t end = row_list_header(list), line = 0, count = 0;
	while (row_list_next(list, &cursor, &row)) {
		size_t least = 0;
		if (row.offset < end || row.length == 0 || row.line <= line || row.offset + row.length > FILE_BYTES)
			abort();
		(void)row_list_rules(list, &row, check_rule, &least);
		end = row.offset + row.length;
		line = row.line;
		count++;
	}
	if (count != row_list_count(list) || row_list_packed(list).size != size ||
	        (size > 0 && memcmp(row_list_packed(list).data, data, size) != 0))
		abort();
	row_list_free(list);
	return 0;
}
