/*
 * subject: a person's data, as commands take it: from standard input, never as an argument, which every user of the
 * machine could read. One identifier a line, as a person has several: addresses, numbers, a name in two spellings.
 */
#pragma once

#include "policy/gate/gate.h"

#include <jansson.h>
#include <stddef.h>

/* Lines that are not blank, and bytes of one. */
#define SUBJECT_LINES_MAX GATE_SUBJECTS_MAX
#define SUBJECT_LINE_MAX 4096

struct subject_lines {
	char *text; /* all of standard input; the lines point into it */
	const char *lines[SUBJECT_LINES_MAX];
	size_t count;
};

/* Reads standard input to its end, and asks for it where that is a terminal. Lines have no end; blank ones are left
 * out. The caller gives *ret to subject_release. -EINVAL with words: there is none, a line is too long or no text, or
 * there are more than SUBJECT_LINES_MAX: none is ever passed over in silence. */
int subject_read(struct subject_lines *ret);

/* Overwrites and frees; for _cleanup_. All zero is fine. */
void subject_release(struct subject_lines *lines);

/* Prints where a stored policy holds it, as the mount told it. */
void subject_print_policy(const json_t *item);

/* A list for the mount; NULL where a line is no UTF-8. */
json_t *subject_json(const struct subject_lines *lines);
