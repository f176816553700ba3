/*
 * Path patterns of audit_filter. Our own matcher: fnmatch(3) and SQLite's GLOB know no '**', depend on the locale or
 * take exponential time on hostile patterns. Each kind of star keeps one place to come back to, so the time is the
 * length of the pattern times that of the path at worst.
 */
#include "backend/audit.h"

#include <string.h>

/* [abc], [a-z], [!x]: whether `byte` is in the set at `*at`, which is moved behind it. An unclosed '[' is literal. */
static bool in_set(const char **at, char byte) {
	const char *p = *at + 1;
	bool negated = *p == '!' || *p == '^';
	if (negated)
		p++;
	const char *first = p;
	bool found = false;
	for (; *p && (*p != ']' || p == first); p++) {
		unsigned char low = (unsigned char)*p, high = low, value = (unsigned char)byte;
		if (p[1] == '-' && p[2] && p[2] != ']') {
			high = (unsigned char)p[2];
			p += 2;
		}
		found |= low <= value && value <= high;
	}
	if (*p != ']') {
		(*at)++;
		return byte == '[';
	}
	*at = p + 1;
	return found != negated && byte != '/';
}

/* Whether one byte of the path matches what stands at `*at`, which is moved behind it when it does. */
static bool match_one(const char **at, char byte) {
	const char *p = *at;
	if (*p == '[') {
		if (!in_set(&p, byte))
			return false;
	} else if (*p == '?') {
		if (byte == '/')
			return false;
		p++;
	} else {
		if (*p == '\\' && p[1])
			p++;
		if (*p != byte)
			return false;
		p++;
	}
	*at = p;
	return true;
}

/* Where a "**" may stop next; NULL: nowhere. */
static const char *next_start(const char *path, bool whole) {
	if (!whole)
		return *path ? path + 1 : NULL;
	const char *slash = strchr(path, '/');
	return slash ? slash + 1 : NULL;
}

bool audit_glob_match(const char *pattern, const char *path) {
	const char *star = NULL, *star_path = NULL;   /* behind the last '*', and where it stopped */
	const char *dstar = NULL, *dstar_path = NULL; /* the same for "**" */
	bool whole = false;                           /* that was a component of its own: steps from name to name */
	size_t length = strlen(pattern);
	bool below = length > 0 && pattern[length - 1] == '/' && (length < 2 || pattern[length - 2] != '\\');
	const char *p = pattern;
	while (true) {
		if (p[0] == '*' && p[1] == '*') {
			whole = (p == pattern || p[-1] == '/') && p[2] == '/';
			while (*p == '*')
				p++;
			p += whole ? 1 : 0;
			dstar = p;
			dstar_path = path;
			star = NULL;
		} else if (p[0] == '*') {
			star = ++p;
			star_path = path;
		} else if (*path && *p && match_one(&p, *path)) {
			path++;
			if (below && *p == '\0')
				return true;
		} else if (!*path && !*p) {
			return true;
		} else if (star && *star_path && *star_path != '/') {
			p = star;
			path = ++star_path;
		} else if (dstar && (dstar_path = next_start(dstar_path, whole)) != NULL) {
			star = NULL;
			p = dstar;
			path = dstar_path;
		} else {
			return false;
		}
	}
}
