/*
 * answer: reading the items of a mount's answer. What is missing or of another type reads as 0, false or "": a mount of
 * another version may leave a member out, and printing the rest is better than refusing all of it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A member of an answer as text, "" when it is absent or none; borrowed from `item`. */
static inline const char *answer_text(const json_t *item, const char *name) {
	const char *text = json_string_value(json_object_get(item, name));
	return text ? text : "";
}

/* As a number, 0 when it is absent or negative. */
static inline uint64_t answer_number(const json_t *item, const char *name) {
	json_int_t number = json_integer_value(json_object_get(item, name));
	return number > 0 ? (uint64_t)number : 0;
}

/* As nanoseconds since 1970, 0 when it is absent. */
static inline int64_t answer_time(const json_t *item, const char *name) {
	return (int64_t)json_integer_value(json_object_get(item, name));
}

/* Whether it is there and true. */
static inline bool answer_flag(const json_t *item, const char *name) {
	return json_is_true(json_object_get(item, name));
}

/* The name of a user or group in `buffer`, or its number. Returns `buffer`. */
#define ANSWER_NAME_BYTES 64
const char *answer_user(const json_t *item, const char *name, char buffer[static ANSWER_NAME_BYTES]);

/* A path (control_wire.h: text, or hexadecimal) in `buffer`; "?" when it is neither. Returns `buffer`. */
#define ANSWER_PATH_BYTES 4096
const char *answer_path(const json_t *item, const char *name, char buffer[static ANSWER_PATH_BYTES]);
