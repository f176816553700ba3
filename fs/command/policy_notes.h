/* policy_notes: what a steward is told of a policy that is accepted all the same. For commands and the service. */
#pragma once

#include "policy/policy.h"

#include <jansson.h>

/* An array of sentences: what is not run yet, and what counts no more by now, and whether the directory for records of
 * the log is there. NULL when memory is out. */
json_t *policy_notes(const Policy *policy);
