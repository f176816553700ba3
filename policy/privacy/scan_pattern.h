/*
 * scan_pattern: what an organisation adds to the detectors: patterns of its own, and texts that are no matter.
 *
 *     { .name = "EMPLOYEE", .regex = "\\bE\\d{6}\\b", .keywords = {"employee", "staff number"}, .distance = 30 }
 *
 * A pattern is PCRE2's, of valid UTF-8, with look-around and references backwards if need be. \w, \d, \s and \b are
 * ASCII's, as they are in the detectors.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct scan_pattern {
	const char *name;      /* told as the entity */
	const char *regex;     /* never matches the empty text */
	const char *validator; /* one of validate.h's, without "validate_"; NULL: none */
	/* Words, or several with blanks between. With some, a match without one near by is nothing: in so many bytes
	 * before or behind it, or in the column's name. */
	const char *const *keywords;
	size_t keyword_count;
	unsigned distance;
	const char *const *ignore; /* exact texts that are no match, in any case of ASCII's letters */
	size_t ignore_count;
	unsigned score; /* percent; 0: 60 */
};

/* What is found and is no matter, so not told but counted. */
struct scan_allow {
	const char *text; /* of the whole finding, in any case of ASCII's letters */
	bool is_regex;    /* an expression that must match the whole finding, its case as written */
};

/* -EINVAL with words: what is wrong with it and where; -ENOMEM. */
int scanner_check_pattern(const struct scan_pattern *pattern);
