/* What the scanner's sources share: what it was made of, and what is known of the columns and the rows in hand. */
#pragma once

#include "policy/privacy/scanner.h"

#include "policy/dqdl/pattern.h"
#include "policy/privacy/detector.h"
#include "policy/privacy/features.h"
#include "policy/privacy/hints.h"
#include "policy/privacy/shadow.h"
#include "policy/privacy/triggers.h"

#define SCANNER_LEAST_LOW 50u /* percent, at low sensitivity */

struct use {
	const struct detector *detector;
	const struct scan_pattern *own; /* which the detector was made of; NULL: built in */
	Pattern *pattern;
	bool by_context;  /* without a word of its context it is nothing, so that words are looked for in its stead */
	bool by_trigger;  /* its number and a word of its context are looked for */
	bool by_look;     /* it hints itself */
	bool by_features; /* what its needs say is all that is looked for */
	bool everywhere;  /* no hint can be had: all cells are asked */
};

struct Scanner {
	enum scan_sensitivity sensitivity;
	struct use *uses;
	size_t use_count;
	unsigned least_digits[2]; /* with fewer no use by features has a match: without letters, with some */
	struct features features;
	struct detector *own; /* made of the patterns */
	const struct scan_allow *allow;
	size_t allow_count;
	Pattern **allow_patterns; /* NULL for a text */
	uint64_t *allowed;
	HintFinder *finder;
	struct shadow shadow;
	uint64_t unclear_line; /* 0: none so far */
	bool is_trial;         /* nothing that is found now counts */
	const char *original;  /* text of the rows in hand */
	bool is_treated;       /* placeholders are no context */
	struct hints hints;
	bool asks_everywhere;      /* a use does */
	size_t *looks, look_count; /* the uses that hint themselves */
	struct triggers triggers;
	size_t triggered[TRIGGERS_MOST]; /* the uses that are, by their bits */
	unsigned triggered_count;
	unsigned triggering_digits[2]; /* with fewer none of them has a match: in one place, in several */
	bool *has_context;             /* of each use and column: the column's name is one, or what was seen of it */
	bool *is_other;                /* of each use and column: it is known to hold something else */
	bool *has_no_keys;             /* of each use and column: keys of JSON in it say nothing of the use */
	bool *is_asked;                /* of each column: a use that goes by context is asked of all its cells */
	size_t columns;
	struct match {
		struct scan_finding finding; /* its place in bytes alone */
		size_t use;
	} * matches; /* of one cell */
	size_t match_count, match_room;
	size_t *last; /* of each use: its last match before the one in hand */
};

/* -ENOMEM, with words. */
int scanner_no_memory(void);

/* Is a word of the use's context in the text, which may be a column's name? */
bool scanner_has_context(const struct use *use, const char *text, size_t size);

/* From now on the column is context for the use. */
void scanner_note_context(Scanner *scanner, size_t use, size_t column);

/* Where a use's expression first matches in a cell from a byte on: 1, 0 if nowhere, -EOVERFLOW with words. */
int scanner_find(Scanner *scanner, size_t use, struct table_cell cell, uint64_t line, size_t from, size_t *ret_start,
        size_t *ret_end);
