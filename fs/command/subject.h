/*
 * subject: a person's data, as commands take it: from standard input, never as an argument, which every user of the
 * machine could read.
 */
#pragma once

/* Bytes of a line, with its end. */
#define SUBJECT_LINE_MAX 4096

/* Reads one line from standard input, and asks for it where that is a terminal. *ret_value has no line end; the caller
 * gives it to subject_wipep. -EINVAL with words: there is none, or it is too long, or no text. */
int subject_read(char **ret_value);

/* Overwrites and frees; for _cleanup_. NULL is fine. */
void subject_wipep(char **value);
