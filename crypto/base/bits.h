/*
 * bits: a set of small numbers, which grows as they come: a bit for each number up to the largest.
 *
 *     struct bits seen = {0};
 *     int rc = bits_add(&seen, number);          1: it was there before
 *     bits_clear(&seen);                         frees
 *
 * One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers stay below: 8 GiB. */
#define BITS_MOST (UINT64_C(1) << 36)

struct bits {
	uint64_t *words;
	size_t count; /* of words */
};

/* 0: it is new; 1: it was there before; -ENOMEM with words. */
int bits_add(struct bits *bits, uint64_t number);

/* Whether the number was added. */
bool bits_has(const struct bits *bits, uint64_t number);

/* `to`, which is cleared before, becomes what `from` is. -ENOMEM with words: it is empty then. */
int bits_copy(struct bits *to, const struct bits *from);

/* Takes all out, and frees. */
void bits_clear(struct bits *bits);
