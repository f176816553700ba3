#include "policy/privacy/widen.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING "(?:)"
#define ANYTHING "(?s:.)"

/* Each step goes on behind what it has read; false: this is not known to be read alike. */
struct widening {
	const char *at;
	FILE *out;
	bool in_class;
	bool has_look_around, has_reference;
};

static bool copy(struct widening *w, size_t bytes) {
	bool is_whole = strnlen(w->at, bytes) == bytes && fwrite(w->at, 1, bytes, w->out) == bytes;
	w->at += is_whole ? bytes : 0;
	return is_whole;
}

static bool replace(struct widening *w, size_t bytes, const char *by) {
	w->at += bytes;
	return fputs(by, w->out) >= 0;
}

/* \xHH, \x{H…} */
static bool step_hex(struct widening *w) {
	const char *hex = w->at + 2;
	if (isxdigit((unsigned char)hex[0]) && isxdigit((unsigned char)hex[1]))
		return copy(w, 4);
	size_t digits = hex[0] == '{' ? strspn(hex + 1, "0123456789abcdefABCDEF") : 0;
	return digits > 0 && hex[1 + digits] == '}' && copy(w, digits + 4);
}

/* \pL, \p{Lu} */
static bool step_property(struct widening *w) {
	if (w->in_class)
		return false;
	const char *end = w->at[2] == '{' ? strchr(w->at, '}') : w->at + 2;
	return end && *end && replace(w, (size_t)(end - w->at) + 1, ANYTHING);
}

static bool step_escape(struct widening *w) {
	char c = w->at[1];
	if (c == '\0')
		return false;
	if (c == 'x')
		return step_hex(w);
	if (c == 'p' || c == 'P')
		return step_property(w);
	if (!w->in_class && strchr("bBAzZG", c))
		return replace(w, 2, NOTHING);
	if (c >= '1' && c <= '9' && !w->in_class && !isdigit((unsigned char)w->at[2])) {
		w->has_reference = true;
		return copy(w, 2);
	}
	if (strchr("dDwWsStnrfae", c) || (w->in_class && c == 'b') || ispunct((unsigned char)c) || c == ' ')
		return copy(w, 2);
	return false;
}

static bool step_class(struct widening *w) {
	w->in_class = true;
	bool is_taken = copy(w, w->at[1] == '^' ? 2 : 1);
	for (bool is_first = true; is_taken && (is_first || *w->at != ']'); is_first = false) {
		const char *end;
		if (*w->at == '\\')
			is_taken = step_escape(w);
		else if (*w->at == '[' && w->at[1] == ':' && (end = strstr(w->at, ":]")) &&
		         strncmp(w->at, "[:<:", 4) != 0 && strncmp(w->at, "[:>:", 4) != 0)
			is_taken = copy(w, (size_t)(end - w->at) + 2);
		else
			is_taken = *w->at != '[' && copy(w, 1);
	}
	w->in_class = false;
	return is_taken && copy(w, 1);
}

/* A group's beginning. Flags for all of it only at the expression's start, where both mean the same. */
static bool step_group(struct widening *w, const char *regex) {
	static const char *const plain[] = {"(?:", "(?>", "(?=", "(?!", "(?<=", "(?<!"};
	if (w->at[1] == '*')
		return false;
	if (w->at[1] != '?')
		return copy(w, 1);
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (strncmp(w->at, plain[i], strlen(plain[i])) == 0) {
			w->has_look_around |= i >= 2;
			return copy(w, strlen(plain[i]));
		}
	if (w->at[2] == '<' || (w->at[2] == 'P' && w->at[3] == '<')) {
		const char *end = strchr(w->at, '>');
		return end && copy(w, (size_t)(end - w->at) + 1);
	}
	size_t flags = strspn(w->at + 2, "ims-");
	if (flags > 0 && w->at[2 + flags] == ':')
		return copy(w, flags + 3);
	return flags > 0 && w->at[2 + flags] == ')' && w->at == regex && copy(w, flags + 3);
}

/* {2}, {2,}, {2,3}; anything else is a brace, or not, with each of the two. */
static bool step_brace(struct widening *w) {
	size_t least = strspn(w->at + 1, "0123456789"), size = 1 + least;
	if (w->at[size] == ',')
		size += 1 + strspn(w->at + size + 1, "0123456789");
	return least > 0 && w->at[size] == '}' && copy(w, size + 1);
}

static bool step(struct widening *w, const char *regex) {
	switch (*w->at) {
	case '\\':
		return step_escape(w);
	case '[':
		return step_class(w);
	case '(':
		return step_group(w, regex);
	case '{':
		return step_brace(w);
	case '^':
	case '$':
		return replace(w, 1, NOTHING);
	default:
		return copy(w, 1);
	}
}

/* Of characters beyond ASCII versions of Unicode may say otherwise, which is whose other case. */
static bool folds_case_beyond_ascii(const char *regex) {
	const char *at = regex;
	while (*at && (unsigned char)*at < 0x80)
		at++;
	if (!*at && !strstr(regex, "\\x{"))
		return false;
	for (at = strstr(regex, "(?"); at; at = strstr(at + 2, "(?"))
		if (memchr(at + 2, 'i', strspn(at + 2, "ims-")))
			return true;
	return false;
}

int widen(const char *regex, char **ret_wide) {
	_cleanup_(freep) char *text = NULL;
	size_t size;
	struct widening w = {.at = regex, .out = open_memstream(&text, &size)};
	bool is_taken = w.out && !folds_case_beyond_ascii(regex);
	while (is_taken && *w.at)
		is_taken = step(&w, regex);
	if (!w.out || fclose(w.out) != 0)
		return fault(ENOMEM, "out of memory for a regular expression");
	is_taken = is_taken && !(w.has_look_around && w.has_reference);
	*ret_wide = is_taken ? steal_pointer(&text) : NULL;
	return 0;
}
