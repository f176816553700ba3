#include "policy/privacy/features.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static int make_room(struct features *features, size_t words) {
	if (words <= features->room)
		return 0;
	features_release(features);
	features->digits = calloc(words, sizeof *features->digits);
	features->letters = calloc(words, sizeof *features->letters);
	features->uppers = calloc(words, sizeof *features->uppers);
	features->others = calloc(words, sizeof *features->others);
	if (!features->digits || !features->letters || !features->uppers || !features->others)
		return fault(ENOMEM, "no memory to look for personal data");
	features->room = words;
	return 0;
}

#ifdef __SSE2__
/* Bytes from `least` on, so many: as the distance from the first one, without a sign, is less. */
static inline uint64_t in_range(__m128i bytes, char least, char span, unsigned at) {
	__m128i distance = _mm_sub_epi8(bytes, _mm_set1_epi8(least));
	__m128i inside = _mm_cmpeq_epi8(_mm_min_epu8(distance, _mm_set1_epi8(span)), distance);
	return (uint64_t)(uint32_t)_mm_movemask_epi8(inside) << at;
}

static void look(struct features *features, size_t i, const char *text) {
	uint64_t digits = 0, letters = 0, uppers = 0, others = 0;
	for (unsigned at = 0; at < 64; at += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
		digits |= in_range(bytes, '0', 9, at);
		uppers |= in_range(bytes, 'A', 25, at);
		letters |= in_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 25, at);
		others |= (uint64_t)(uint32_t)_mm_movemask_epi8(bytes) << at;
	}
	features->digits[i] = digits;
	features->letters[i] = letters;
	features->uppers[i] = uppers;
	features->others[i] = others;
}
#else
static void look(struct features *features, size_t i, const char *text) {
	uint64_t digits = 0, letters = 0, uppers = 0, others = 0;
	for (unsigned at = 0; at < 64; at++) {
		unsigned char c = (unsigned char)text[at], lower = c | 0x20;
		digits |= (uint64_t)(c >= '0' && c <= '9') << at;
		uppers |= (uint64_t)(c >= 'A' && c <= 'Z') << at;
		letters |= (uint64_t)(lower >= 'a' && lower <= 'z') << at;
		others |= (uint64_t)(c >= 0x80) << at;
	}
	features->digits[i] = digits;
	features->letters[i] = letters;
	features->uppers[i] = uppers;
	features->others[i] = others;
}
#endif

int features_look(struct features *features, const char *text, size_t size) {
	size_t words = size / 64 + 1;
	int rc = make_room(features, words + 1); /* one more is read, and does not matter */
	for (size_t i = 0; rc == 0 && i < words; i++)
		look(features, i, text + i * 64);
	return rc;
}

void features_release(struct features *features) {
	free(features->digits);
	free(features->letters);
	free(features->uppers);
	free(features->others);
	*features = (struct features){0};
}
