/* Any bytes as what a worker answered, and as a job. */
#include "policy/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct check_result *result = NULL;
	char *again = NULL;
	size_t again_size = 0;
	as_job(data, size);
	if (check_result_from_json(bytes_of(data, size), &result) < 0)
		return 0;
	if (check_result_to_json(result, &again, &again_size) < 0 || again_size != size ||
	        memcmp(again, data, size) != 0)
		abort();
	if (result->outcome == OUTCOME_PASSED && result->rule_count == 0)
		abort();
	free(again);
	check_result_free(result);
	return 0;
}
