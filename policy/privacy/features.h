/*
 * features: how many digits and letters a piece of text has, told for any piece in a few steps after one pass over all.
 *
 *     text    V 6 B 1 A 1 ; A n n …
 *     digits  0 1 0 1 0 1 0 0 0 0 …     a bit a byte; a piece's are counted by popcount
 *
 * A cell without nine digits can hold no card number, whatever an expression would say of it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct features {
	uint64_t *digits, *letters, *uppers; /* ASCII's; of 64 bytes each */
	uint64_t *others;                    /* bytes of characters beyond ASCII */
	uint64_t *numerals;                  /* digits, and what stands between them: blanks, brackets, - + . , / ; */
	uint64_t *pairs; /* a capital (or one of these) behind a blank that a letter, full stop or comma is before */
	size_t room;
};

/* Looks at a text, behind which 64 bytes can be read. -ENOMEM. */
int features_look(struct features *features, const char *text, size_t size);
void features_release(struct features *features);

/* Without the processor's own instruction, which not all have, the compiler would call a function. */
static inline unsigned features_bits(uint64_t word) {
	word -= word >> 1 & 0x5555555555555555u;
	word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
	return (unsigned)(word * 0x0101010101010101u >> 56);
}

/* The 64 bits from `start` on. */
static inline uint64_t features_from(const uint64_t *bits, size_t start) {
	return bits[start / 64] >> start % 64 | (start % 64 ? bits[start / 64 + 1] << (64 - start % 64) : 0);
}

/* Is a bit set from `start` up to `end`? Which is no more than 64 behind, or it may be. */
static inline int features_any(const uint64_t *bits, size_t start, size_t end) {
	if (end - start > 64)
		return 1;
	uint64_t bits_from = features_from(bits, start);
	return (bits_from & (end - start < 64 ? (UINT64_C(1) << (end - start)) - 1 : ~UINT64_C(0))) != 0;
}

/* Are there bits in two places at least, between which one is not set? If `end` is more than 64 behind, it may be. */
static inline int features_two(const uint64_t *bits, size_t start, size_t end) {
	if (end - start > 64)
		return 1;
	uint64_t row =
	        features_from(bits, start) & (end - start < 64 ? (UINT64_C(1) << (end - start)) - 1 : ~UINT64_C(0));
	uint64_t begins = row & ~(row << 1);
	return (begins & (begins - 1)) != 0;
}

/* How many bits are set from `start` up to `end`. */
static inline unsigned features_count(const uint64_t *bits, size_t start, size_t end) {
	size_t first = start / 64, last = end / 64;
	uint64_t from = ~UINT64_C(0) << start % 64, to = end % 64 ? ~UINT64_C(0) >> (64 - end % 64) : 0;
	if (first == last)
		return features_bits(bits[first] & from & to);
	unsigned count = features_bits(bits[first] & from);
	for (size_t i = first + 1; i < last; i++)
		count += features_bits(bits[i]);
	return count + (to ? features_bits(bits[last] & to) : 0);
}
