/*
 * json_scan: reads JSON (RFC 8259) where it lies, without a copy: for answers with keys in them, which are to lie in
 * locked memory and nowhere else. (jansson copies each text to memory that it doesn't wipe.)
 *
 *     {"Plaintext":"qk…=","KeyMetadata":{"Arn":"arn:…"}}
 *                   ╰────╯               ╰────────────╯     a value: its kind, and where it stands
 *
 * The text is untrusted. What is taken is taken by other readers too: UTF-8 without surrogates, no raw control
 * characters, no \u0000, no half pairs, no text behind the object; and less: depth and length of numbers are bounded, a
 * member's name has no escapes.
 */
#pragma once

#include "crypto/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_SCAN_DEPTH 16
#define JSON_SCAN_NUMBER_MAX 32

struct json_value {
	enum { JSON_SCAN_STRING, JSON_SCAN_NUMBER, JSON_SCAN_OBJECT, JSON_SCAN_ARRAY, JSON_SCAN_WORD } kind;
	struct bytes
	        text; /* of a string what is between the quotes, escapes and all; of a word "true", "false", "null" */
};

/* Whether the whole text is one well-formed object, into *ret_object. -EBADMSG. */
int json_scan(struct bytes text, struct json_value *ret_object);

/* A member of an object that json_scan gave, or this. -ENOENT: it has none, or it is null; -EBADMSG: it has it twice,
 * or it is no object. Neither has words. */
int json_scan_member(const struct json_value *object, const char *name, struct json_value *ret_value);

/* The string, its escapes resolved, control characters as '?', into `ret`, NUL-terminated. What has no room is cut at a
 * character's end, and false; false and "" when it is no string. */
bool json_scan_text(const struct json_value *value, char *ret, size_t room);

/* The whole part of a number, which may have a fraction and an exponent (1.7E9). false: it is none, or too large. */
bool json_scan_number(const struct json_value *value, int64_t *ret_number);

/* Whether it is the word true. */
bool json_scan_is_true(const struct json_value *value);
