#include "policy/dqdl/pattern_fixed.h"

#include <ctype.h>

#define KINDS 8u

struct kinds {
	bool members[KINDS][256];
	unsigned count;
};

static bool is_literal(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr(" -_/:,;@#%=<>~!'\"&", c));
}

static bool is_end_of_range(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The inside of [ ]: letters, digits and ranges of them. */
static bool parse_set(const char **p, bool members[static 256]) {
	const char *at = *p;
	if (*at == ']')
		return false;
	for (; *at != ']'; at++) {
		if (!is_end_of_range(*at))
			return false;
		char to = *at;
		if (at[1] == '-') {
			to = at[2];
			if (!is_end_of_range(to) || to < *at)
				return false;
		}
		for (int c = *at; c <= to; c++)
			members[c] = true;
		at += at[1] == '-' ? 2 : 0;
	}
	*p = at + 1;
	return true;
}

static bool parse_kind(const char **p, bool members[static 256]) {
	char c = *(*p)++;
	if (c == '[')
		return parse_set(p, members);
	if (c == '\\' && **p == 'd') {
		++*p;
		for (int digit = '0'; digit <= '9'; digit++)
			members[digit] = true;
		return true;
	}
	if (c == '\\') {
		c = *(*p)++;
		if ((unsigned char)c > 0x7e || !ispunct((unsigned char)c))
			return false;
	} else if (!is_literal(c)) {
		return false;
	}
	members[(unsigned char)c] = true;
	return true;
}

/* {n}, or once; nothing that makes it more or less may follow. */
static bool parse_count(const char **p, size_t *ret_count) {
	*ret_count = 1;
	if (**p == '{') {
		size_t count = 0;
		const char *at = *p + 1;
		while (*at >= '0' && *at <= '9' && count <= FIXED_PATTERN_MOST)
			count = count * 10 + (size_t)(*at++ - '0');
		if (*at != '}' || count == 0)
			return false;
		*ret_count = count;
		*p = at + 1;
	}
	return **p != '?' && **p != '*' && **p != '+' && **p != '{';
}

/* The bit of a kind, new or known; 0: there are too many. */
static uint8_t bit_of(struct kinds *kinds, const bool members[static 256]) {
	unsigned i = 0;
	while (i < kinds->count && memcmp(kinds->members[i], members, sizeof kinds->members[i]) != 0)
		i++;
	if (i == KINDS)
		return 0;
	if (i == kinds->count)
		memcpy(kinds->members[kinds->count++], members, sizeof kinds->members[i]);
	return (uint8_t)(1u << i);
}

static bool parse(const char *p, struct fixed_pattern *pattern, struct kinds *kinds) {
	if (*p++ != '^')
		return false;
	while (*p && strcmp(p, "$") != 0) {
		bool members[256] = {false};
		size_t count;
		if (!parse_kind(&p, members) || !parse_count(&p, &count))
			return false;
		uint8_t bit = bit_of(kinds, members);
		if (bit == 0 || pattern->size + count > FIXED_PATTERN_MOST)
			return false;
		memset(pattern->kind + pattern->size, bit, count);
		pattern->size += count;
	}
	return *p == '$';
}

/* The one range of ASCII that a place's bytes are; false: they are no such. */
static bool find_range(const struct fixed_pattern *pattern, uint8_t bit, char *ret_least, char *ret_most) {
	int least = -1, most = -1, count = 0;
	for (int c = 0; c < 256; c++) {
		if (!(pattern->kinds_of[c] & bit))
			continue;
		least = least < 0 ? c : least;
		most = c;
		count++;
	}
	*ret_least = (char)least;
	*ret_most = (char)most;
	return most < 0x80 && count == most - least + 1;
}

static void find_ranges(struct fixed_pattern *pattern) {
	char least[TEXT_KEY_WHOLE] = {0}, most[TEXT_KEY_WHOLE] = {0};
	pattern->has_ranges = pattern->size > 0 && pattern->size <= TEXT_KEY_WHOLE;
	for (size_t i = 0; i < pattern->size && pattern->has_ranges; i++)
		pattern->has_ranges = find_range(pattern, pattern->kind[i], &least[i], &most[i]);
	if (!pattern->has_ranges)
		return;
	pattern->least = text_key_of((struct table_cell){.data = least, .size = pattern->size});
	pattern->most = text_key_of((struct table_cell){.data = most, .size = pattern->size});
}

void fixed_pattern_parse(const char *text, struct fixed_pattern *ret_pattern) {
	struct fixed_pattern pattern = {0};
	struct kinds kinds = {.count = 0};
	if (!parse(text, &pattern, &kinds))
		pattern = (struct fixed_pattern){0};
	for (unsigned i = 0; i < kinds.count; i++)
		for (unsigned c = 0; c < 256; c++)
			pattern.kinds_of[c] |= (uint8_t)(kinds.members[i][c] << i);
	find_ranges(&pattern);
	*ret_pattern = pattern;
}

enum fixed_answer fixed_pattern_test(const struct fixed_pattern *pattern, struct table_cell cell) {
	if (cell.size < pattern->size)
		return FIXED_NO;
	if (cell.size > pattern->size) {
		unsigned char last = (unsigned char)cell.data[cell.size - 1];
		return last < ' ' || last >= 0x80 ? FIXED_UNKNOWN : FIXED_NO;
	}
	uint8_t fits = 1;
	for (size_t i = 0; i < pattern->size; i++)
		fits &= (pattern->kinds_of[(unsigned char)cell.data[i]] & pattern->kind[i]) != 0;
	return fits ? FIXED_YES : FIXED_NO;
}
