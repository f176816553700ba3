/* privacy_job: what a dataset wants of personal data, as JSON on its way to a worker; for check_job.c. */
#pragma once

#include "policy/arena.h"
#include "policy/json_strict.h"
#include "policy/privacy/privacy.h"

/* NULL: null. What is allowed no longer at that time (seconds since 1970, UTC) is left out. NULL without memory, or
 * when a text is not UTF-8. */
json_t *privacy_job_json(const struct privacy *privacy, int64_t clock_s);
json_t *privacy_groups_json(const struct privacy_groups *groups, size_t count);

/* Fields of an object, read back into the arena: -EBADMSG with words, -ENOMEM. Patterns are not tried here. */
int privacy_job_read(struct arena *arena, const json_t *object, const char *key,
        const struct privacy **ret_privacy /* NULL: null */);
int privacy_groups_read(struct arena *arena, const json_t *object, const char *key,
        const struct privacy_groups **ret_groups, size_t *ret_count);
