/* Any bytes as a file that is looked through for personal data: as a table and as text, also with patterns of one's own
 * and allowed findings. Findings lie within their cells. */
#include "policy/privacy/scan_file.h"

#include <stdlib.h>
#include <string.h>

#include "tests/policy/pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *context, const struct scan_finding *finding) {
	const struct scan_about *about = context;
	if (finding->start >= finding->end || finding->from >= finding->to || finding->start > finding->from ||
	        finding->end - finding->start > finding->to - finding->from || finding->score < 1 ||
	        finding->score > 100 || (about->is_table && finding->column >= about->columns))
		abort();
	return 0;
}

/* Hinted at, with a keyword, with a check and exceptions, asked of every cell. */
static Scanner *make_scanner(void) {
	static const char *const keywords[] = {"staff number", "id"}, *const ignore[] = {"AA-11"};
	static const struct scan_pattern patterns[] = {
	        {.name = "A", .regex = "(?<![a-z])[A-Z]{2}-\\d\\d$", .ignore = ignore, .ignore_count = 1},
	        {.name = "B", .regex = "\\d{4}", .keywords = keywords, .keyword_count = 2, .distance = 20},
	        {.name = "C", .regex = "\\b[0-9 ]+\\b", .validator = "luhn"},
	        {.name = "D", .regex = "[\\p{L}é]{3,}\\K."}, {.name = "EMAIL", .regex = "(a|b)@\\1"}};
	static const struct scan_allow allow[] = {{.text = "a@a"}, {.text = "[0-9]{5}", .is_regex = true}};
	const struct scan_options options = {
	        .sensitivity = SCAN_HIGH, .patterns = patterns, .pattern_count = 5, .allow = allow, .allow_count = 2};
	Scanner *scanner = NULL;
	if (scanner_new(&options, &scanner) < 0)
		abort();
	return scanner;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static Scanner *scanner;
	if (!scanner)
		scanner = make_scanner();
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
