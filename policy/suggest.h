/*
 * suggest: a first policy for a file that somebody has: `assayfs policy suggest FILE`.
 *
 * Profiles the file and writes a policy.yaml with one dataset (named after the file, matching it and its likely
 * successors) and a ruleset that the file passes, with comments that say why each rule is there. No cell in which
 * personal data may stand is copied into it; where there is some, a draft of `privacy` stands there as a comment.
 */
#pragma once

#include "policy/bundle.h"
#include "policy/check.h"

/*
 * `file_name` is the path of the file below its zone, as far as known (a bare name will do). Reads `input` to its end.
 * `clock_ns` (since 1970, UTC) is the day that the document says it was written on.
 * Gives policy.yaml and NAME.dqdl as a bundle that policy_parse accepts, whose first dataset governs `file_name`.
 * 1: personal data was found, 0: none.
 * -EINVAL with words for a file that no rules can be made for (empty, a format that is not supported, a broken row) or
 * whose name makes no pattern; -ENOMEM; the input's own error.
 */
int policy_suggest(const char *file_name, struct check_input *input, int64_t clock_ns, PolicyBundle **ret_bundle);
