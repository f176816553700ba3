/*
 * widen: a regular expression that Hyperscan may be asked of a larger text, in the place of one that PCRE2 is asked of
 * a cell of it.
 *
 *     ^\bE\d{6}$   ─▶   (?:)(?:)E\d{6}(?:)      a cell's ends are not the text's, and what stands before it is not its
 *     \p{Lu}x      ─▶   (?s:.)x                 which characters are upper case, versions of Unicode say otherwise
 *
 * It matches wherever the first one does, with the same end, and perhaps elsewhere. Only syntax that both are known to
 * read alike is taken; for the rest there is no such expression.
 */
#pragma once

#include <stdbool.h>

/* The wider one, allocated, in *ret_wide; NULL: there is none. -ENOMEM. */
int widen(const char *regex, char **ret_wide);
