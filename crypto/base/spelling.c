#include "crypto/base/spelling.h"

#include <stdint.h>
#include <string.h>

static size_t smallest(size_t a, size_t b, size_t c) {
	size_t least = a < b ? a : b;
	return least < c ? least : c;
}

size_t spelling_distance(const char *one, const char *other) {
	size_t row[64];
	size_t length = strlen(other);
	if (length >= 64 || strlen(one) >= 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 1; one[i - 1]; i++) {
		size_t corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t above = row[j];
			row[j] = smallest(above + 1, row[j - 1] + 1, corner + (one[i - 1] != other[j - 1]));
			corner = above;
		}
	}
	return row[length];
}

const char *spelling_nearest(const char *typed, const char *const *words, size_t count) {
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	for (size_t i = 0; i < count; i++) {
		size_t away = spelling_distance(typed, words[i]);
		if (away < best) {
			best = away;
			nearest = words[i];
		}
	}
	return best <= strlen(typed) / 3 + 1 ? nearest : NULL;
}
