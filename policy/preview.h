/*
 * preview: a check of a file with what comes behind it: what would be published otherwise than it came is made, and
 * looked through as a vault does before it publishes. In this process, for files that need no vault.
 *
 *     file ─▶ check ─▶ without rows, places changed ─▶ check as an output ─▶ result
 *
 * Hashes are made with a key of its own: they are those of no vault.
 */
#pragma once

#include "policy/check.h"

typedef struct Preview Preview;

/* The input must live as long, and so must what the job points at. Of one that can't be read again (`again`) nothing is
 * made: a warning of the result says so where something would be. Errors as check_run(). */
int preview_new(const struct check_job *job, const struct check_input *input, Preview **ret_preview);
void preview_free(Preview *preview);
DEFINE_CLEANUP(Preview, preview_free);

/* The preview's. */
struct check_result *preview_result(const Preview *preview);

/* Of a file that passed and can be read again: what would be published, from its first byte; one at a time. The input's
 * errors, edit_read()'s; -ESPIPE with words of one that can't. */
int preview_input(Preview *preview, struct check_input *ret_input);
