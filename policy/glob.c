#include "policy/glob.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* A piece of text between two slashes. */
struct piece {
	const char *at;
	size_t length;
};

/* ---- one component ---- */

static bool set_has(const char *set, const char *end, unsigned char byte) {
	bool found = false;
	for (const char *at = set; at < end; at++) {
		unsigned char low = (unsigned char)*at;
		unsigned char high = low;
		if (end - at > 2 && at[1] == '-') {
			high = (unsigned char)at[2];
			at += 2;
		}
		found = found || (byte >= low && byte <= high);
	}
	return found;
}

/* The ']' that closes a set begun at `at`; NULL when there is none. A ']' in first place belongs to the set. */
static const char *set_end(const char *at, const char *end) {
	const char *first = at + 1;
	if (first < end && *first == '!')
		first++;
	return first + 1 < end ? memchr(first + 1, ']', (size_t)(end - first) - 1) : NULL;
}

/* Does the pattern's element at `at`, which is no star, take `byte`? Says where the next element begins. */
static bool element_takes(const char *at, const char *end, unsigned char byte, const char **ret_next) {
	if (*at == '[') {
		const char *close = set_end(at, end);
		if (close) {
			bool inverted = at[1] == '!';
			*ret_next = close + 1;
			return set_has(at + 1 + inverted, close, byte) != inverted;
		}
	}
	if (*at == '\\' && at + 1 < end)
		at++;
	else if (*at == '?') {
		*ret_next = at + 1;
		return true;
	}
	*ret_next = at + 1;
	return (unsigned char)*at == byte;
}

static bool component_matches(struct piece pattern, struct piece text) {
	const char *p = pattern.at, *p_end = pattern.at + pattern.length;
	const char *t = text.at, *t_end = text.at + text.length;
	const char *after_star = NULL, *star_took_to = NULL;
	while (t < t_end) {
		const char *next = NULL;
		if (p < p_end && *p == '*') {
			after_star = ++p;
			star_took_to = t;
		} else if (p < p_end && element_takes(p, p_end, (unsigned char)*t, &next)) {
			p = next;
			t++;
		} else if (after_star) {
			p = after_star;
			t = ++star_took_to;
		} else {
			return false;
		}
	}
	while (p < p_end && *p == '*')
		p++;
	return p == p_end;
}

/* ---- whole paths: the same walk, with components for bytes and `**` for the star ---- */

static bool piece_at(const char *at, struct piece *ret_piece) {
	if (!at)
		return false;
	*ret_piece = (struct piece){.at = at, .length = strcspn(at, "/")};
	return true;
}

static const char *piece_next(struct piece piece) {
	return piece.at[piece.length] == '/' ? piece.at + piece.length + 1 : NULL;
}

static bool is_double_star(struct piece piece) {
	return piece.length == 2 && memcmp(piece.at, "**", 2) == 0;
}

bool glob_match(const char *pattern, const char *path) {
	const char *p = pattern, *t = path, *after_star = NULL, *star_took_to = NULL;
	struct piece want, have;
	while (piece_at(t, &have)) {
		if (piece_at(p, &want) && is_double_star(want)) {
			p = piece_next(want);
			if (!p)
				return true; /* at the end: all below, and there is at least one component */
			after_star = p;
			star_took_to = t;
		} else if (piece_at(p, &want) && component_matches(want, have)) {
			p = piece_next(want);
			t = piece_next(have);
		} else if (after_star) {
			(void)piece_at(star_took_to, &have);
			p = after_star;
			t = star_took_to = piece_next(have);
		} else {
			return false;
		}
	}
	return !p;
}

bool glob_reaches_below(const char *pattern, const char *folder) {
	const char *p = pattern, *t = folder;
	struct piece want, have;
	while (piece_at(p, &want)) {
		if (is_double_star(want) || !piece_at(t, &have))
			return true;
		if (!component_matches(want, have))
			return false;
		p = piece_next(want);
		t = piece_next(have);
	}
	return false;
}

/* ---- is it a pattern? ---- */

static int check_set(const char *pattern, const char *at, const char *end, const char **ret_close) {
	size_t position = (size_t)(at - pattern) + 1;
	const char *close = set_end(at, end);
	if (!close)
		return fault(EINVAL, "the set at byte %zu is empty or not closed; put a backslash before a plain '['",
		        position);
	for (const char *in = at + 1; in < close; in++) {
		if ((unsigned char)*in >= 0x80)
			return fault(
			        EINVAL, "the set at byte %zu holds a letter outside ASCII; use '*' for it", position);
		if (close - in > 2 && in[1] == '-' && (unsigned char)in[0] > (unsigned char)in[2])
			return fault(EINVAL, "the set at byte %zu runs backwards (%c-%c)", position, in[0], in[2]);
	}
	*ret_close = close;
	return 0;
}

static int check_component(const char *pattern, struct piece piece) {
	size_t position = (size_t)(piece.at - pattern) + 1;
	const char *end = piece.at + piece.length;
	if (piece.length == 0)
		return fault(EINVAL, "an empty component at byte %zu: no slash at either end, and no two in a row",
		        position);
	if ((piece.length == 1 && piece.at[0] == '.') || (piece.length == 2 && memcmp(piece.at, "..", 2) == 0))
		return fault(EINVAL, "'%.*s' at byte %zu is no name", (int)piece.length, piece.at, position);
	for (const char *at = piece.at; at < end; at++) {
		if (*at == '\\') {
			if (++at == end)
				return fault(EINVAL, "the backslash at byte %zu has nothing after it",
				        (size_t)(at - pattern));
		} else if (*at == '[') {
			int rc = check_set(pattern, at, end, &at);
			if (rc < 0)
				return rc;
		} else if (*at == '*' && at + 1 < end && at[1] == '*' && piece.length != 2) {
			return fault(EINVAL, "'**' at byte %zu stands beside other text; it must be a whole component",
			        (size_t)(at - pattern) + 1);
		}
	}
	return 0;
}

int glob_check(const char *pattern) {
	size_t length = strnlen(pattern, GLOB_PATTERN_MAX + 1);
	if (length == 0)
		return fault(EINVAL, "the pattern is empty");
	if (length > GLOB_PATTERN_MAX)
		return fault(EINVAL, "the pattern is longer than %d bytes", GLOB_PATTERN_MAX);
	struct piece piece;
	for (const char *at = pattern; piece_at(at, &piece); at = piece_next(piece)) {
		int rc = check_component(pattern, piece);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- how near ---- */

#define CLOSENESS_BYTES 255u
#define COST_LETTER 4u /* a quarter of it is one letter in the wrong case */

/* An element of a pattern as the edit distance sees it. */
struct element {
	enum { EL_LETTER, EL_ANY, EL_STAR, EL_DEEP } kind;
	unsigned char letter;
	const char *at, *end;
};

static size_t elements_of(const char *pattern, struct element elements[static CLOSENESS_BYTES]) {
	size_t count = 0;
	const char *end = pattern + strnlen(pattern, CLOSENESS_BYTES);
	for (const char *at = pattern; at < end;) {
		struct element *el = &elements[count++];
		*el = (struct element){.kind = EL_LETTER, .letter = (unsigned char)*at, .at = at, .end = end};
		if (*at == '*' && at + 1 < end && at[1] == '*') {
			el->kind = EL_DEEP;
			at += 2;
		} else if (*at == '*') {
			el->kind = EL_STAR;
			at++;
		} else {
			const char *next = at + 1;
			(void)element_takes(at, end, 0, &next);
			if (*at == '?' || (*at == '[' && next > at + 1))
				el->kind = EL_ANY;
			else
				el->letter = (unsigned char)next[-1];
			at = next;
		}
	}
	return count;
}

static unsigned lower(unsigned char byte) {
	return byte >= 'A' && byte <= 'Z' ? byte + 32u : byte;
}

static unsigned cost_of(const struct element *el, unsigned char byte) {
	const char *next;
	if (el->kind == EL_ANY)
		return byte != '/' && element_takes(el->at, el->end, byte, &next) ? 0 : COST_LETTER;
	if (el->letter == byte)
		return 0;
	return lower(el->letter) == lower(byte) ? COST_LETTER / 4 : COST_LETTER;
}

static unsigned least(unsigned a, unsigned b) {
	return a < b ? a : b;
}

/* One row of the edit distance: what it costs to bring elements up to `el` onto each beginning of the text. */
static void next_row(
        const struct element *el, const char *text, size_t length, unsigned row[static CLOSENESS_BYTES + 1]) {
	bool is_star = el->kind == EL_STAR || el->kind == EL_DEEP;
	unsigned diagonal = row[0];
	row[0] += is_star ? 0 : COST_LETTER;
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];
		unsigned above = row[i + 1];
		bool is_free = el->kind == EL_DEEP || (el->kind == EL_STAR && byte != '/');
		unsigned left = row[i] + (is_free ? 0 : COST_LETTER);
		if (is_star)
			row[i + 1] = least(above, left);
		else
			row[i + 1] = least(least(above + COST_LETTER, left), diagonal + cost_of(el, byte));
		diagonal = above;
	}
}

unsigned glob_closeness(const char *pattern, const char *path) {
	if (glob_match(pattern, path))
		return 1000;
	struct element elements[CLOSENESS_BYTES];
	unsigned row[CLOSENESS_BYTES + 1];
	size_t count = elements_of(pattern, elements);
	size_t length = strnlen(path, CLOSENESS_BYTES);
	size_t letters = 0;
	for (size_t i = 0; i <= length; i++)
		row[i] = (unsigned)i * COST_LETTER;
	for (size_t i = 0; i < count; i++) {
		letters += elements[i].kind == EL_LETTER || elements[i].kind == EL_ANY;
		next_row(&elements[i], path, length, row);
	}
	size_t whole = letters * COST_LETTER;
	if (whole == 0 || row[length] >= whole)
		return 0;
	unsigned share = (unsigned)(1000 - row[length] * 1000 / whole);
	return share < 999 ? share : 999;
}

/* ---- in what it differs ---- */

static void lower_text(const char *text, char ret_lower[static GLOB_PATTERN_MAX + 1]) {
	size_t length = strnlen(text, GLOB_PATTERN_MAX);
	for (size_t i = 0; i < length; i++)
		ret_lower[i] = (char)lower((unsigned char)text[i]);
	ret_lower[length] = '\0';
}

static const char *last_component(const char *path) {
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* "*" or "**" fits every name: that says nothing about what was meant. */
static bool has_letters(const char *pattern) {
	return pattern[strspn(pattern, "*?")] != '\0';
}

enum glob_miss glob_miss(const char *pattern, const char *path) {
	char pattern_lower[GLOB_PATTERN_MAX + 1] = "", path_lower[GLOB_PATTERN_MAX + 1] = "";
	lower_text(pattern, pattern_lower);
	lower_text(path, path_lower);
	if (strlen(path) <= GLOB_PATTERN_MAX && glob_match(pattern_lower, path_lower))
		return GLOB_MISS_CASE;
	const char *want = last_component(pattern);
	return has_letters(want) && glob_match(want, last_component(path)) ? GLOB_MISS_FOLDER : GLOB_MISS_OTHER;
}
