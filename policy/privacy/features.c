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
	features->numerals = calloc(words, sizeof *features->numerals);
	features->pairs = calloc(words, sizeof *features->pairs);
	if (!features->digits || !features->letters || !features->uppers || !features->others || !features->numerals ||
	        !features->pairs)
		return fault(ENOMEM, "no memory to look for personal data");
	features->room = words;
	return 0;
}

/* What 64 bytes are. */
struct kinds {
	uint64_t digits, letters, uppers, others, numerals, blanks, points;
};

#ifdef __SSE2__
/* Bytes from `least` on, so many: as the distance from the first one, without a sign, is less. */
static inline uint64_t in_range(__m128i bytes, char least, char span, unsigned at) {
	__m128i distance = _mm_sub_epi8(bytes, _mm_set1_epi8(least));
	__m128i inside = _mm_cmpeq_epi8(_mm_min_epu8(distance, _mm_set1_epi8(span)), distance);
	return (uint64_t)(uint32_t)_mm_movemask_epi8(inside) << at;
}

static inline uint64_t is_one_of(__m128i bytes, char one, char other, unsigned at) {
	__m128i is =
	        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(one)), _mm_cmpeq_epi8(bytes, _mm_set1_epi8(other)));
	return (uint64_t)(uint32_t)_mm_movemask_epi8(is) << at;
}

static inline struct kinds look(const char *text) {
	struct kinds kinds = {0};
	for (unsigned at = 0; at < 64; at += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
		kinds.digits |= in_range(bytes, '0', 9, at);
		kinds.uppers |= in_range(bytes, 'A', 25, at);
		kinds.letters |= in_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 25, at);
		kinds.others |= (uint64_t)(uint32_t)_mm_movemask_epi8(bytes) << at;
		kinds.numerals |= in_range(bytes, ' ', '9' - ' ', at) | is_one_of(bytes, ';', ';', at);
		kinds.blanks |= is_one_of(bytes, ' ', ' ', at);
		kinds.points |= is_one_of(bytes, '.', ',', at);
	}
	return kinds;
}
#else
static inline struct kinds look(const char *text) {
	struct kinds kinds = {0};
	for (unsigned at = 0; at < 64; at++) {
		unsigned char c = (unsigned char)text[at], lower = c | 0x20;
		kinds.digits |= (uint64_t)(c >= '0' && c <= '9') << at;
		kinds.uppers |= (uint64_t)(c >= 'A' && c <= 'Z') << at;
		kinds.letters |= (uint64_t)(lower >= 'a' && lower <= 'z') << at;
		kinds.others |= (uint64_t)(c >= 0x80) << at;
		kinds.numerals |= (uint64_t)((c >= ' ' && c <= '9') || c == ';') << at;
		kinds.blanks |= (uint64_t)(c == ' ') << at;
		kinds.points |= (uint64_t)(c == '.' || c == ',') << at;
	}
	return kinds;
}
#endif

int features_look(struct features *features, const char *text, size_t size) {
	size_t words = size / 64 + 1;
	uint64_t blanks = 0, joints = 0;         /* of the 64 bytes before */
	int rc = make_room(features, words + 1); /* one more is read, and does not matter */
	for (size_t i = 0; rc == 0 && i < words; i++) {
		struct kinds kinds = look(text + i * 64);
		features->digits[i] = kinds.digits;
		features->letters[i] = kinds.letters;
		features->uppers[i] = kinds.uppers;
		features->others[i] = kinds.others;
		features->numerals[i] = kinds.numerals;
		uint64_t joint = kinds.letters | kinds.others | kinds.points;
		features->pairs[i] = (kinds.uppers | kinds.others) & (kinds.blanks << 1 | blanks >> 63) &
		                     (joint << 2 | joints >> 62);
		blanks = kinds.blanks;
		joints = joint;
	}
	return rc;
}

void features_release(struct features *features) {
	free(features->digits);
	free(features->letters);
	free(features->uppers);
	free(features->others);
	free(features->numerals);
	free(features->pairs);
	*features = (struct features){0};
}
