/*
 * json_scan: walks over JSON (RFC 8259) where it stands in memory and builds nothing.
 *
 *     struct json_scan scan = {.at = text, .end = text + size};
 *     json_scan_value(&scan, JSON_SCAN_DEPTH, &value)      scan.at stands behind it, or at what is wrong
 *
 * The text is valid UTF-8 already (utf8.h). Strict: no comments, no control characters in strings, no lone surrogates,
 * and no \u0000, which is no text. WINDOW_SLACK bytes behind `end` are looked at, whatever they hold.
 */
#pragma once

#include "policy/table/cell.h"

#define JSON_SCAN_DEPTH 64

enum json_kind { JSON_KIND_STRING, JSON_KIND_NUMBER, JSON_KIND_BOOLEAN, JSON_KIND_NULL, JSON_KIND_NESTED };

struct json_scan {
	const char *at, *end;
	const char *wrong; /* after a failure: what is wrong at `at`, in words; NULL: too deep */
};

struct json_value {
	enum json_kind kind;
	struct table_cell text; /* as it is written; of a string what is between its quotes */
	bool escaped;           /* a string with backslashes: json_unescape() */
};

/* Moves over white space, and says whether `c` stands there; if so, moves over it. */
bool json_scan_take(struct json_scan *scan, char c);

/* Moves over white space, and says whether nothing else is left. */
bool json_scan_ends(struct json_scan *scan);

/* A value, with white space before it. Arrays and objects may be nested `depth` deep; 0: none may. */
bool json_scan_value(struct json_scan *scan, unsigned depth, struct json_value *ret_value);

/* A string that is a key, with white space before it. */
bool json_scan_key(struct json_scan *scan, struct json_value *ret_key);

/* Undoes the escapes of a string that was scanned, in place; returns its length, which is never more. */
size_t json_unescape(char *text, size_t size);

/* Of the escape at `at` of a string that was scanned: its length, and how many bytes it stands for; 0: none is there.
 */
size_t json_escape_size(const char *at, const char *end, size_t *ret_bytes);
