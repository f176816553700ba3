/*
 * colour: what stands out on a terminal. In a pipe or a file, with NO_COLOR set to anything (https://no-color.org), or
 * on a terminal that knows none (TERM=dumb or unset), all here prints the plain words: no meaning is in a colour alone.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum colour {
	COLOUR_PLAIN,
	COLOUR_GOOD,
	COLOUR_BAD,
	COLOUR_WAITS, /* not decided, or to be looked at */
	COLOUR_HEAD,
};

/* Whether `out` is to be coloured. Reads the environment. */
bool colour_wanted(FILE *out);

/* Prints to `out` in that colour, which ends with the text; a line end at its end comes after that. */
void colour_print(FILE *out, enum colour colour, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The colour of an outcome: passed, failed, error, pending, waived, expired, … */
enum colour colour_of_outcome(const char *outcome);
