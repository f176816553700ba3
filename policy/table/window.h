/*
 * window: the part of a text that a reader has in memory.
 *
 *     bytes  [ … done … | start ── record ── … end )  slack
 *
 * A reader takes records from `start` on; window_fill() makes room in front of it and behind it and reads more. The
 * window grows up to the longest record allowed. Behind `end` WINDOW_SLACK bytes may be read (and hold anything), so
 * that a vector's width can be looked at from any place.
 */
#pragma once

#include "policy/table/source.h"

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_SLACK 64
#define WINDOW_BYTES (128u << 10) /* at first */

struct window {
	struct table_source source;
	size_t most; /* bytes of the longest record */
	char *bytes;
	size_t capacity, start, end;
	uint64_t dropped; /* bytes that stood before the first one that is here */
	bool at_end;      /* the source has no more */
};

/* Reads at least as much as is there (so that who begins again at `start` reads nothing more than twice) or up to the
 * source's end. Pointers into the window are void afterwards. -ENOMEM and -EMSGSIZE (the record from `start` on is
 * longer than `most`; without words), or the source's own error. `line` is where `start` stands: to words about what is
 * no text (-EILSEQ) the line where that is is added. */
int window_fill(struct window *window, uint64_t line, char newline);
void window_release(struct window *window);

/* How many newlines stand in a part of the window. */
uint64_t window_newlines(const struct window *window, size_t from, size_t to, char newline);

/* Is the part text? -EILSEQ with words that name the line, if `from` is on `line`. */
int window_check_text(const struct window *window, size_t from, size_t to, uint64_t line, char newline);
