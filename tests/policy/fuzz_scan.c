/* Any bytes as a file that is looked through for personal data: as a table and as text. Findings lie within their
 * cells. */
#include "policy/privacy/scan_file.h"

#include <stdlib.h>
#include <string.h>

#include "tests/policy/pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *context, const struct scan_finding *finding) {
	const struct scan_about *about = context;
	if (finding->start >= finding->end || finding->score < 1 || finding->score > 100 ||
	        (about->is_table && finding->column >= about->columns))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static Scanner *scanner;
	if (!scanner && scanner_new(&(struct scan_options){.sensitivity = SCAN_HIGH}, &scanner) < 0)
		abort();
	if (size < 1)
		return 0;
	struct pieces source = {.data = data + 1, .size = size - 1, .step = (size_t)data[0] * 4 + 1};
	struct scan_about about;
	const struct scan_file file = {.form = data[0] & 1 ? SCAN_TABLE : SCAN_TEXT,
	        .table = {.csv = {.max_record_bytes = 3000, .max_columns = 50},
	                .jsonl = {.max_line_bytes = 3000, .max_columns = 50},
	                .unpack = {.max_bytes = 1u << 20, .max_ratio = 50, .free_bytes = 1000}}};
	(void)scan_file(
	        scanner, &file, (struct table_source){.read = pieces_take, .ctx = &source}, take, &about, &about);
	return 0;
}
