/*
 * pattern_fixed: regular expressions that are a sequence of characters of known kinds, as those of dates, codes and
 * numbers of accounts are: `^\d{4}-\d{2}-\d{2}$`, `^[A-Z]{2}\d{6}$`.
 *
 *     \d \d \d \d - …        each place one bit, each byte the bits of the places it may stand at
 *
 * They are answered by looking at each byte once, without a branch, the same with machine code or without.
 */
#pragma once

#include "policy/table/cell.h"

#include <stdint.h>

#define FIXED_PATTERN_MOST 32u

struct fixed_pattern {
	size_t size;                      /* 0: the expression is no such */
	uint8_t kind[FIXED_PATTERN_MOST]; /* of each place, a bit */
	uint8_t kinds_of[256];            /* of each byte */
};

enum fixed_answer { FIXED_NO, FIXED_YES, FIXED_UNKNOWN /* what `$` means before a newline: ask the engine */ };

/* Takes an expression apart, if it is `^…$` of literals, \d, simple sets and {n}; what is anything more is none. */
void fixed_pattern_parse(const char *text, struct fixed_pattern *ret_pattern);

/* Does the cell match? The pattern's size is not 0. */
enum fixed_answer fixed_pattern_test(const struct fixed_pattern *pattern, struct table_cell cell);
