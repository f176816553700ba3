/*
 * leb: whole numbers as LEB128 (DWARF 5, 7.6), in the fewest bytes: so a list of them has one form only.
 */
#pragma once

#include "crypto/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEB_BYTES_MAX 10

/* Writes the number, at most LEB_BYTES_MAX bytes; returns how many. */
static inline size_t leb_put(uint8_t *at, uint64_t number) {
	size_t size = 0;
	for (; number >= 0x80; number >>= 7)
		at[size++] = (uint8_t)(number | 0x80);
	at[size++] = (uint8_t)number;
	return size;
}

/* The number at *at, which is moved behind it. False: cut off, too large, or not in the fewest bytes. */
static inline bool leb_get(struct bytes packed, size_t *at, uint64_t *ret_number) {
	uint64_t number = 0;
	for (unsigned i = 0; i < LEB_BYTES_MAX && *at < packed.size; i++) {
		uint8_t byte = packed.data[(*at)++];
		if ((i == LEB_BYTES_MAX - 1 && byte > 1) || (i > 0 && byte == 0))
			return false;
		number |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80) {
			*ret_number = number;
			return true;
		}
	}
	return false;
}
