/*
 * pattern_fixed: regular expressions that are a sequence of characters of known kinds, as those of dates, codes and
 * numbers of accounts are: `^\d{4}-\d{2}-\d{2}$`, `^[A-Z]{2}\d{6}$`.
 *
 *     \d \d \d \d - …        each place one bit, each byte the bits of the places it may stand at
 *
 * They are answered by looking at each byte once, without a branch, the same with machine code or without; or at eight
 * at a time, where no more than 16 places have one range of ASCII each.
 */
#pragma once

#include "policy/dqdl/text_key.h"

#define FIXED_PATTERN_MOST 32u

struct fixed_pattern {
	size_t size;                      /* 0: the expression is no such */
	uint8_t kind[FIXED_PATTERN_MOST]; /* of each place, a bit */
	uint8_t kinds_of[256];            /* of each byte */
	bool has_ranges;                  /* the same is told by: */
	struct text_key least, most;      /* of each place, as a text of that size would have it */
};

enum fixed_answer { FIXED_NO, FIXED_YES, FIXED_UNKNOWN /* what `$` means before a newline: ask the engine */ };

/* Takes an expression apart, if it is `^…$` of literals, \d, simple sets and {n}; what is anything more is none. */
void fixed_pattern_parse(const char *text, struct fixed_pattern *ret_pattern);

/* Does the cell match? The pattern's size is not 0. */
enum fixed_answer fixed_pattern_test(const struct fixed_pattern *pattern, struct table_cell cell);

/* Is each byte of a word in its range? Seven bits are compared: with the eighth added a byte that is less than the one
 * taken from it loses it, and no byte borrows from the next. */
static inline bool fixed_word_fits(uint64_t word, uint64_t least, uint64_t most) {
	const uint64_t top = 0x8080808080808080u;
	uint64_t low = word & ~top;
	return (((low | top) - least) & ((most | top) - low) & ~word & top) == top;
}

/* The same of a cell of the pattern's size by its key, if the pattern has ranges. */
static inline enum fixed_answer fixed_pattern_test_key(const struct fixed_pattern *pattern, struct text_key key) {
	bool fits = fixed_word_fits(key.head, pattern->least.head, pattern->most.head) &
	            fixed_word_fits(key.tail, pattern->least.tail, pattern->most.tail);
	return fits ? FIXED_YES : FIXED_NO;
}
