/* Any bytes as what a worker answered, and as a job. */
#include "policy/edit_reader.h"
#include "policy/worker_answer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_job(const uint8_t *data, size_t size) {
	struct check_job job;
	CheckJobMemory *memory = NULL;
	char *json = NULL;
	size_t json_size = 0;
	if (check_job_from_json(bytes_of(data, size), &job, &memory) < 0)
		return;
	if (check_job_to_json(&job, &json, &json_size) < 0)
		abort();
	free(json);
	check_job_free(memory);
}

/* What is taken of an answer lies in the file, and means what the policy says. */
static void as_answer(const uint8_t *data, size_t size) {
	static const struct privacy_detect detects[] = {{.entity = "EMAIL", .treatment = {.action = PRIVACY_REDACT}}};
	static const struct privacy privacy = {.detects = detects, .detect_count = 1};
	const struct check_job job = {.privacy = &privacy, .keep = "x", .may_split = true};
	struct check_result *result = NULL;
	struct edit_meaning *meanings = NULL;
	struct row_cursor rows = {0};
	struct listed_row row;
	struct edit_cursor places = {0};
	struct edit edit;
	if (worker_answer_read(&job, true, FILE_BYTES, bytes_of(data, size), &result) < 0)
		return;
	while (result->withheld && row_list_next(result->withheld, &rows, &row))
		if (row.offset + row.length > FILE_BYTES)
			abort();
	if (result->edits && edit_meanings(&privacy, &result->privacy, &meanings) < 0)
		abort();
	while (result->edits && edit_list_next(result->edits, &places, &edit))
		if (edit.offset + edit.length > FILE_BYTES || edit.finding >= result->privacy.finding_count)
			abort();
	free(meanings);
	check_result_free(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct check_result *result = NULL;
	char *again = NULL;
	size_t again_size = 0;
	as_job(data, size);
	as_answer(data, size);
	if (check_result_from_json(bytes_of(data, size), &result) < 0)
		return 0;
	if (check_result_to_json(result, &again, &again_size) < 0 || again_size != size ||
	        memcmp(again, data, size) != 0)
		abort();
	if (result->outcome == OUTCOME_PASSED && result->rule_count == 0 && !result->has_privacy)
		abort();
	free(again);
	check_result_free(result);
	return 0;
}
