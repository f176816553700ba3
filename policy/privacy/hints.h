/*
 * hints: where in a text one of many expressions may match, asked of Hyperscan for all at once.
 *
 *     expressions ──▶ one database       text of many cells ──▶ hints, by where they end: | 3: 17 | 1: 40 | …
 *
 * A hint says that there may be a match that ends there; where there is none there is no match. So an expression is
 * widened where Hyperscan can't follow PCRE2 (look-around, references), and those that are not known to be wide enough
 * are refused, for the caller to ask PCRE2 of every cell.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct HintFinder HintFinder;

enum {
	HINT_WIDE = 1,       /* what Hyperscan can't follow it may widen */
	HINT_CHARACTERS = 2, /* characters of UTF-8, not bytes; the text must be valid then */
};

struct hint_expression {
	char *text;
	unsigned flags;
	unsigned id;
};

struct hint {
	unsigned id;
	size_t end;
};

struct hints {
	struct hint *list;
	size_t count, room;
	bool is_out_of_memory;
};
void hints_release(struct hints *hints);

/* -EINVAL with words: one does not compile; -EIO with words: the library misses what is there; -ENOMEM. */
int hints_new(const struct hint_expression *expressions, size_t count, HintFinder **ret_finder);
void hints_free(HintFinder *finder);
DEFINE_CLEANUP(HintFinder, hints_free);

/* Replaces what is in *hints, in no order. -ENOMEM; -EIO with words. */
int hints_find(HintFinder *finder, const char *text, size_t size, struct hints *hints);

/* One more, which ends there. -ENOMEM. */
int hints_add(struct hints *hints, unsigned id, size_t end);

/* Ascending by their ends. -ENOMEM. */
int hints_sort(struct hints *hints);

/* Of an expression that PCRE2 takes: one that hints at all its matches in a cell, whatever stands around the cell, to
 * be used with both flags; allocated. *ret_wide is NULL, when there is none. -ENOMEM. */
int hints_widen(const char *regex, char **ret_wide);
