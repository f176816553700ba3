/*
 * Any bytes as a file of a dataset that changes personal data: what the check says of it is read as a worker's answer
 * is, and what would be published is made of it, of which nothing is refused.
 */
#include "crypto/base/fault.h"
#include "policy/edit_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
	struct bytes file;
	size_t at;
};

static ssize_t read_source(void *context, void *buffer, size_t size) {
	struct source *source = context;
	size_t left = source->file.size - source->at, got = left < size ? left : size;
	if (got > 0)
		memcpy(buffer, source->file.data + source->at, got);
	source->at += got;
	return (ssize_t)got;
}

static int again(void *context) {
	((struct source *)context)->at = 0;
	return 0;
}

static const struct privacy_detect detects[] = {{.entity = "EMAIL", .treatment = {.action = PRIVACY_REDACT}},
        {.entity = "PHONE_NUMBER", .treatment = {.action = PRIVACY_MASK, .keep_last = 2}},
        {.entity = "IP_ADDRESS", .treatment = {.action = PRIVACY_GENERALISE}},
        {.entity = "CREDIT_CARD", .treatment = {.action = PRIVACY_DROP_ROW}},
        {.entity = "NUMBER", .treatment = {.action = PRIVACY_HASH}}};
static const struct scan_pattern pattern = {.name = "NUMBER", .regex = "#\\d+|\"x\"|\\\\+"};
static const struct privacy_column columns[] = {{.name = "a", .treatment = {.action = PRIVACY_DROP_COLUMN}},
        {.name = "b", .treatment = {.action = PRIVACY_HASH}}};
static const struct privacy privacy = {.detects = detects,
        .detect_count = 5,
        .columns = columns,
        .patterns = &pattern,
        .pattern_count = 1,
        .sensitivity = SCAN_HIGH,
        .sample = 10};

static struct check_result *check(uint8_t form, struct bytes file) {
	static const enum policy_file_type types[] = {POLICY_FILE_CSV, POLICY_FILE_JSONL, POLICY_FILE_TEXT};
	struct privacy asked = privacy;
	asked.column_count = form % 3 == 2 ? 0 : form / 3 % 3;
	const struct policy_dataset dataset = {.name = "d", .privacy = &asked, .format = {.type = types[form % 3]}};
	struct source source = {.file = file};
	struct check_input input = {.read = read_source, .context = &source, .again = again};
	struct check_job job = check_job_for(&dataset, "a", file.size, 0);
	struct check_result *result = NULL;
	if (check_run(check_table, &job, &input, NULL, &result) < 0)
		abort();
	return result;
}

/* What is left without rows. */
static uint8_t *leave_out(struct bytes file, const RowList *rows, size_t *ret_size) {
	struct row_cursor cursor = {0};
	struct listed_row row;
	uint8_t *rest = malloc(file.size + 1);
	size_t at = 0, kept = 0;
	while (rest && rows && row_list_next(rows, &cursor, &row)) {
		memcpy(rest + kept, file.data + at, row.offset - at);
		kept += row.offset - at;
		at = row.offset + row.length;
	}
	if (!rest)
		abort();
	if (file.size > at)
		memcpy(rest + kept, file.data + at, file.size - at);
	*ret_size = kept + file.size - at;
	return rest;
}

static void read_edited(const struct check_result *result, uint8_t form, uint8_t *rest, size_t size) {
	static const struct treat_key key = {.version = 1};
	struct privacy asked = privacy;
	EditList *list = NULL;
	struct edit_meaning *meanings = NULL;
	char out[1000];
	asked.column_count = form % 3 == 2 ? 0 : form / 3 % 3;
	if (edit_list_parse(edit_list_packed(result->edits), size, result->privacy.finding_count, &list) < 0 ||
	        edit_meanings(&asked, &result->privacy, &meanings) < 0)
		abort();
	struct source source = {.file = bytes_of(rest, size)};
	struct edit_reader reader = {
	        .from = {.read = read_source, .context = &source}, .list = list, .meanings = meanings, .key = &key};
	ssize_t got;
	while ((got = edit_read(&reader, out, sizeof out)) > 0)
		;
	if (got < 0)
		abort();
	edit_reader_release(&reader);
	edit_list_free(list);
	free(meanings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	if (size == 0)
		return 0;
	struct bytes file = bytes_of(data + 1, size - 1);
	struct check_result *result = check(data[0], file);
	RowList *rows = NULL;
	char *json = NULL;
	size_t length, rest_size;
	struct check_result *back = NULL;
	if (check_result_to_json(result, &json, &length) < 0 ||
	        check_result_from_json(bytes_of(json, length), &back) < 0)
		abort();
	if (result->withheld &&
	        row_list_parse(row_list_packed(result->withheld), file.size, check_result_reasons(result), &rows) < 0)
		abort();
	uint8_t *rest = leave_out(file, rows, &rest_size);
	if (result->edits)
		read_edited(result, data[0], rest, rest_size);
	free(rest);
	free(json);
	row_list_free(rows);
	check_result_free(back);
	check_result_free(result);
	return 0;
}
