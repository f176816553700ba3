/*
 * check_files: the files that rules about files name, on their way into a job.
 *
 * A FileTellings collects, for each path that a ruleset names, what stands there; the list goes with the job to the
 * worker. Bounded: DQDL_FILES_MAX files and CHECK_FILES_TEXT bytes of paths; what is more is told as cut.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/arena.h"
#include "policy/dqdl/files.h"

#include <jansson.h>

#define CHECK_FILES_TEXT (2u << 20)

typedef struct FileTellings FileTellings;

/* -ENOMEM. */
int file_tellings_new(FileTellings **ret_tellings);
void file_tellings_free(FileTellings *tellings);
DEFINE_CLEANUP(FileTellings, file_tellings_free);

/* Begins with the next path that a rule names; files that follow stand there. -ENOMEM. */
int file_tellings_path(FileTellings *tellings, const char *path);

/* One more file there; its path is copied. Bytes that are not UTF-8 become '?'. -ENOMEM. */
int file_tellings_add(FileTellings *tellings, const struct dqdl_file *file);

/* What was told, valid until the next call. */
const struct dqdl_files *file_tellings_lists(FileTellings *tellings, size_t *ret_count);

/* As JSON (a new reference; NULL without memory), and back into memory of the arena: -EBADMSG, -ENOMEM. */
json_t *check_files_json(const struct dqdl_files *lists, size_t count);
int check_files_read(struct arena *arena, const json_t *array, const struct dqdl_files **ret_lists, size_t *ret_count);
