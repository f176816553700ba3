/*
 * output_file: a file that a command writes, which gets its name when all is in it.
 *
 * Written beside its place and renamed; what is there and no regular file (a device, a pipe, "-" for standard output)
 * is written as it is. Modes are as if the file had been created or written by its name; where a link leads, not the
 * link, is replaced.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdio.h>

typedef struct OutputFile OutputFile;

/* -EISDIR, -ENAMETOOLONG and other errnos, with words. */
int output_file_open(const char *path, OutputFile **ret_file);

/* To be written to; the file's own. */
FILE *output_file_stream(const OutputFile *file);

/* All is in it: it gets its name. The error of any write before, with words. */
int output_file_finish(OutputFile *file);

/* What did not get its name is removed. */
void output_file_close(OutputFile *file);
DEFINE_CLEANUP(OutputFile, output_file_close);
