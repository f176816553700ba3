/*
 * text_key: a text as two words: up to 16 bytes all of it, the rest zeros, so that with the size short texts are
 * compared without looking at them again; of a longer one the first and the last eight bytes, by which it is hashed.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "policy/table/cell.h"

#include <stdint.h>

#define TEXT_KEY_WHOLE 16u

struct text_key {
	uint64_t head, tail;
};

/* Up to eight bytes as a word, the first one lowest, without a branch a byte: a copy of a size that is not known costs
 * a call. */
static inline uint64_t text_word(const char *text, size_t size) {
	uint64_t word = 0;
	if (size >= 8) {
		word = le64_get((const uint8_t *)text);
	} else if (size >= 4) {
		uint32_t first = le32_get((const uint8_t *)text), last = le32_get((const uint8_t *)text + size - 4);
		word = first | (uint64_t)last << 8 * (size - 4);
	} else if (size > 0) {
		word = (uint64_t)(uint8_t)text[0] | (uint64_t)(uint8_t)text[size / 2] << 8 * (size / 2) |
		       (uint64_t)(uint8_t)text[size - 1] << 8 * (size - 1);
	}
	return word;
}

/* The key of a cell that is not NULL. */
static inline struct text_key text_key_of(struct table_cell cell) {
	size_t behind = cell.size > 8 ? cell.size - 8 : 0;
	struct text_key key = {.head = text_word(cell.data, cell.size)};
	if (behind >= 8)
		key.tail = text_word(cell.data + cell.size - 8, 8);
	else if (behind > 0)
		key.tail = text_word(cell.data + 8, behind);
	return key;
}

/* The bytes that a text of that size has in a word. */
static inline uint64_t text_word_mask(size_t size) {
	return size >= 8 ? ~UINT64_C(0) : (UINT64_C(1) << 8 * size) - 1;
}

/* The same without a branch, for cells from whose start TEXT_KEY_WHOLE bytes can be read, whatever their size is. */
static inline struct text_key text_key_near(struct table_cell cell) {
	const uint8_t *text = (const uint8_t *)cell.data;
	size_t rest = cell.size > 8 ? cell.size - 8 : 0, behind = rest > 8 ? rest : 8;
	return (struct text_key){.head = le64_get(text) & text_word_mask(cell.size),
	        .tail = le64_get(text + behind) & text_word_mask(rest)};
}

/* A quick hash: the tables that use it hold what a policy's author wrote, or forget what they held. */
static inline size_t text_key_hash(struct text_key key, size_t size) {
	uint64_t hash = (key.head ^ key.tail * 0x9e3779b97f4a7c15u ^ size) * 0xff51afd7ed558ccdu;
	hash = (hash ^ hash >> 32) * 0xc4ceb9fe1a85ec53u; /* or the months of dates would not tell in the low bits */
	return (size_t)(hash ^ hash >> 32);
}

/* Of texts of one size: are they the same, as far as keys tell? */
static inline bool text_key_equals(struct text_key a, struct text_key b) {
	return ((a.head ^ b.head) | (a.tail ^ b.tail)) == 0;
}
