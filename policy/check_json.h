/* check_json: a check's result as a jansson value, for verdict.c, which puts it into its own; and check_job.c. */
#pragma once

#include "policy/check.h"
#include "policy/json_strict.h"

/* NULL without memory or when a text is not UTF-8. */
json_t *check_result_json(const struct check_result *result);

/* Types and bounds are checked; that nothing else stands there is for the caller to find by writing it again. */
int check_result_read_json(const json_t *object, struct check_result **ret_result);

/* A list of texts. NULL without memory or when one is not UTF-8. */
json_t *check_texts_json(const char *const *texts, size_t count);
