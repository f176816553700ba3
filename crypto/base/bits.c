#include "crypto/base/bits.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

static uint64_t bit_of(uint64_t number) {
	return UINT64_C(1) << number % WORD_BITS;
}

bool bits_has(const struct bits *bits, uint64_t number) {
	return number / WORD_BITS < bits->count && (bits->words[number / WORD_BITS] & bit_of(number));
}

static int grow(struct bits *bits, uint64_t word) {
	if (word >= BITS_MOST / WORD_BITS)
		return fault(ENOMEM, "no memory to note a number above %lu", (unsigned long)BITS_MOST);
	size_t count = 2 * (size_t)word + 16;
	uint64_t *words = reallocarray(bits->words, count, sizeof *words);
	if (!words)
		return fault(ENOMEM, "no memory to note %zu numbers", count * WORD_BITS);
	memset(words + bits->count, 0, (count - bits->count) * sizeof *words);
	bits->words = words;
	bits->count = count;
	return 0;
}

int bits_add(struct bits *bits, uint64_t number) {
	uint64_t word = number / WORD_BITS;
	if (bits_has(bits, number))
		return 1;
	int rc = word < bits->count ? 0 : grow(bits, word);
	if (rc == 0)
		bits->words[word] |= bit_of(number);
	return rc;
}

int bits_copy(struct bits *to, const struct bits *from) {
	bits_clear(to);
	if (from->count == 0)
		return 0;
	to->words = reallocarray(NULL, from->count, sizeof *to->words);
	if (!to->words)
		return fault(ENOMEM, "no memory to note %zu numbers", from->count * WORD_BITS);
	memcpy(to->words, from->words, from->count * sizeof *to->words);
	to->count = from->count;
	return 0;
}

void bits_clear(struct bits *bits) {
	free(bits->words);
	*bits = (struct bits){0};
}
