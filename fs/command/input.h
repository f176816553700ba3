/*
 * input: a file, or standard input ("-"), as the source of a check, with a progress bar while it is read.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/check.h"

typedef struct Input Input;

/* `label` is borrowed. -EISDIR for a directory. */
int input_open(const char *path, const char *label, Input **ret_input);
void input_close(Input *input);
DEFINE_CLEANUP(Input, input_close);

/* Its size where that is known, else 0. */
uint64_t input_size(const Input *input);

/* When it was last changed, in seconds since 1970 UTC. */
int64_t input_mtime(const Input *input);

/* The bytes as a check reads them, again if it is lasting; valid until the input is closed. */
struct check_input input_source(Input *input);

/* Can it be read more than once? A pipe or a terminal can't. */
bool input_is_lasting(const Input *input);

/* The same bytes anew, from where they began. -EBUSY with words when somebody has written to the file since it was
 * opened. */
int input_again(Input *input, struct check_input *ret_input);

/* All is read: takes the progress bar away. */
void input_done(Input *input);
