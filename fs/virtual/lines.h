/*
 * lines: a text of the tree .assayfs that is too long to be made at once: lines, made as they are read.
 *
 *     read ─► what was made already │ more: asks for the next lines, from where it stopped │ …
 *
 * A reader goes through the text in order; going back starts anew from its first line.
 */
#pragma once

#include <stdint.h>

#include "fs/virtual.h"

/* Room for what is made at a time. A line that does not fit into an empty one ends the text. */
#define LINES_BYTES (256u << 10)

struct lines;

/* Puts a line, to which its end is added; false: there is no room for it any more, it comes again in the next turn. */
bool lines_put(struct lines *lines, const char *line, size_t length);

/* Puts the next lines, from *position on (0: the first), which it moves past those that had room; none: the end. `arg`
 * is what lines_open was given. Negative: an error. */
typedef int lines_fn(struct filesystem *fs, int64_t arg, uint64_t *position, struct lines *lines);

/* Such a text as an open file. -ENOMEM. */
int lines_open(struct filesystem *fs, lines_fn *more, int64_t arg, struct virtual_file *ret);
