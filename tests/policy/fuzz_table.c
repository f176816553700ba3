/* Any bytes as a table: unpacked, decoded, told apart and read, with small limits. Every cell is touched. */
#include "policy/table/table.h"

#include <stdlib.h>
#include <string.h>

#include "tests/policy/pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size < 1)
		return 0;
	struct pieces source = {.data = data + 1, .size = size - 1, .step = (size_t)data[0] * 4 + 1};
	struct table_options options = {.csv = {.max_record_bytes = 3000, .max_columns = 50},
	        .jsonl = {.max_line_bytes = 3000, .max_columns = 50},
	        .unpack = {.max_bytes = 1u << 20, .max_ratio = 50, .free_bytes = 1000}};
	_cleanup_(table_closep) TableReader *reader = NULL;
	const struct table_cell *cells;
	if (table_open(pieces_take, &source, &options, &reader) < 0)
		return 0;
	volatile size_t sum = 0;
	while (table_next(reader, &cells) == 1) {
		for (size_t i = 0; i < table_columns(reader); i++)
			for (size_t j = 0; j < cells[i].size; j++)
				sum += (size_t)cells[i].data[j];
		struct table_place place = table_place(reader);
		if (table_is_plain(reader) && place.offset + place.size > size - 1)
			abort();
	}
	for (size_t i = 0; table_warning(reader, i); i++)
		sum += strlen(table_warning(reader, i));
	(void)sum;
	return 0;
}
