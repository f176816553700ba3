#include "policy/table/utf8.h"

#include <string.h>

/* Length of the valid sequence at p, 0 if there is none. */
static size_t sequence(const uint8_t *p, size_t left) {
	uint8_t lead = p[0];
	if (lead < 0x80)
		return lead != 0;
	size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || left < size)
		return 0;
	/* The second byte's range is narrower after four leads: overlong forms, surrogates, beyond U+10FFFF. */
	uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
	uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

/* Are 8 bytes all in 0x01..0x7f? A zero byte borrows into its top bit. */
static int plain8(const uint8_t *p) {
	uint64_t word;
	memcpy(&word, p, sizeof word);
	uint64_t borrow = word - 0x0101010101010101u;
	return ((word | borrow) & 0x8080808080808080u) == 0;
}

size_t utf8_valid_prefix(const char *text, size_t size) {
	const uint8_t *p = (const uint8_t *)text;
	size_t i = 0;
	while (i < size) {
		while (i + 16 <= size && plain8(p + i) && plain8(p + i + 8))
			i += 16;
		/* One sequence at a time up to where the fast way can go on. */
		size_t stop = size - i > 16 ? i + 16 : size;
		while (i < stop) {
			size_t step = sequence(p + i, size - i);
			if (step == 0)
				return i;
			i += step;
		}
	}
	return size;
}

/* Eight bytes at a time: a byte that continues a character has its top bit set and the next one not. */
size_t utf8_length(const char *text, size_t size) {
	size_t continued = 0, i = 0;
	for (; size - i >= 8; i += 8) {
		uint64_t word;
		memcpy(&word, text + i, sizeof word);
		uint64_t top = word & 0x8080808080808080u;
		if (top)
			continued += (size_t)__builtin_popcountll(top & ~(word << 1));
	}
	for (; i < size; i++)
		continued += ((uint8_t)text[i] & 0xc0) == 0x80;
	return size - continued;
}

size_t utf8_cut(const char *text, size_t size, size_t most) {
	if (size <= most)
		return size;
	while (most > 0 && ((uint8_t)text[most] & 0xc0) == 0x80)
		most--;
	return most;
}

size_t utf8_put(char *to, uint32_t code) {
	if (code < 0x80) {
		*to = (char)code;
		return 1;
	}
	size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = size - 1; i > 0; i--) {
		to[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	to[0] = (char)(leads[size] | code);
	return size;
}

size_t ascii_prefix(const char *text, size_t size) {
	size_t i = 0;
	uint64_t words[4];
	for (; size - i >= sizeof words; i += sizeof words) {
		memcpy(words, text + i, sizeof words);
		if ((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080u)
			break;
	}
	while (i < size && (uint8_t)text[i] < 0x80)
		i++;
	return i;
}
