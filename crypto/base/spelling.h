/*
 * spelling: how far one word is from another, to tell a person which one was perhaps meant.
 *
 * Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals" (1966).
 */
#pragma once

#include <stddef.h>

/* Letters to be put in, left out or changed, of words of up to 63 bytes; SIZE_MAX for longer ones. */
size_t spelling_distance(const char *one, const char *other);

/* The word of `count` nearest to what was typed, with one slip for every three letters at most; NULL: none is near. */
const char *spelling_nearest(const char *typed, const char *const *words, size_t count);
