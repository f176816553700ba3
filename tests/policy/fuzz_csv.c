/* Any bytes as a CSV file, in small steps: the first bytes choose step and options. Every cell is touched. */
#include "policy/table/csv.h"

#include <stdint.h>
#include <string.h>

#include "tests/policy/pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size < 2)
		return 0;
	struct pieces source = {.data = data + 2, .size = size - 2, .step = (size_t)data[0] + 1};
	struct csv_options options = {.header = data[1] % 3u, .max_record_bytes = 1000, .max_columns = 50};
	if (data[1] & 0x40)
		options.delimiter = ';';
	if (data[1] & 0x20)
		options.escape = '\\';
	if ((data[1] & 0x18) == 0x18)
		options.quote = CSV_NONE;
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	if (csv_open(pieces_take, &source, &options, &reader) < 0)
		return 0;
	const struct table_cell *cells = csv_header_of(reader);
	volatile size_t sum = 0;
	struct table_rows rows = {.count = 1, .columns = csv_columns(reader), .cells = cells};
	bool many = data[1] & 4;
	do {
		for (size_t i = 0; i < rows.count * rows.columns; i++)
			for (size_t j = 0; j < rows.cells[i].size; j++)
				sum += (size_t)rows.cells[i].data[j];
	} while ((many ? csv_rows(reader, &rows) : csv_next(reader, &rows.cells)) == 1);
	(void)sum;
	return 0;
}
