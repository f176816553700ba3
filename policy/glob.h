/*
 * glob: path patterns below a zone, as policy.yaml spells them.
 *
 *     *.csv      `*` any bytes but '/', `?` one byte but '/', `[a-z]` and `[!a-z]` one byte of a set
 *     a/@/b.csv  with `**` in the place of '@', a whole component: any number of folders, none included
 *     a/@        the same at the end: everything below `a`, at any depth, but not `a` itself
 *     50\*.csv   a backslash takes the meaning out of the next byte
 *
 * Names are bytes, not characters: a pattern of UTF-8 text matches names with the same bytes; `?` is one byte. Sets
 * take ASCII only, so that `[é]` can't silently mean "either of two bytes". Matching is case-sensitive, needs no
 * memory, and takes at most (length of pattern) × (length of path) steps: after a star, only the last star is ever
 * taken back, which is enough because what stands between two stars is fitted as early as possible (and the same holds
 * one level up, for whole components between two `**`).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Longest pattern accepted, in bytes. */
#define GLOB_PATTERN_MAX 1024

/* Is this a pattern? 0, or -EINVAL with words that say what is wrong at which byte (counted from 1): empty, too long, a
 * slash at either end or two in a row, `.` or `..` as a component, `**` glued to other text, a set that is not closed,
 * is empty, runs backwards, or holds '/' or non-ASCII bytes, a backslash at the end. */
int glob_check(const char *pattern);

/* Does `path` (relative, '/' between components, no leading slash) match all of `pattern`? A pattern that glob_check
 * refuses matches nothing it should not be trusted with: the answer is defined and safe, but meaningless. */
bool glob_match(const char *pattern, const char *path);

/* May a path below `folder` match the pattern, whatever its further components are? */
bool glob_reaches_below(const char *pattern, const char *folder);

/* How near `path` came to `pattern`: 1000 matches, 0 has nothing in common. For telling a person which pattern they
 * probably meant, not for deciding. It is 1000 less the share of the pattern's own letters that would have to be
 * changed, added or dropped; a letter in the wrong case counts a quarter. Looks at the first 255 bytes of each. */
unsigned glob_closeness(const char *pattern, const char *path);

/* In what a path that doesn't match differs from a pattern. */
enum glob_miss {
	GLOB_MISS_OTHER,
	GLOB_MISS_CASE,   /* in upper and lower case of ASCII letters alone */
	GLOB_MISS_FOLDER, /* its name fits the pattern's last component, the folders above it don't fit the rest */
};
enum glob_miss glob_miss(const char *pattern, const char *path);
