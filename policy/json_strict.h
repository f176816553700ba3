/*
 * json_strict: reading JSON that somebody hostile may have written, and writing it in the one canonical way.
 *
 * Canonical: keys sorted bytewise, no white space, reals with 17 significant digits. A reader that takes the fields it
 * knows, writes them again and compares the bytes has refused everything else; that is how each reader here ends.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>

#include <jansson.h>

/* One JSON object; -EBADMSG when it is no object, has a key twice, is longer than `most` bytes, or has more than
 * `most_elements` commas and brackets (which bounds the memory that reading takes). `what` begins the message. */
int json_strict_parse(struct bytes text, const char *what, size_t most, size_t most_elements, json_t **ret_object);

/* The canonical text, NUL-terminated, allocated. */
int json_strict_write(const json_t *value, char **ret_text, size_t *ret_size);

/* Ends a reader: are these the same bytes? -EBADMSG. */
int json_strict_same(struct bytes text, const char *again, size_t size, const char *what);

/* Fields of an object. All: -EBADMSG when the field is missing or of another type. `ret_…` are set on success only. */
int json_strict_text(const json_t *object, const char *key, char **ret_copy);         /* allocated */
int json_strict_text_or_null(const json_t *object, const char *key, char **ret_copy); /* null: NULL */
int json_strict_count(const json_t *object, const char *key, uint64_t *ret_count);
int json_strict_int(const json_t *object, const char *key, int64_t *ret_number);
int json_strict_hex(const json_t *object, const char *key, uint8_t *ret_bytes, size_t size);
int json_strict_array(const json_t *object, const char *key, size_t most, const json_t **ret_array);
int json_strict_object(const json_t *object, const char *key, const json_t **ret_object);
bool json_strict_is_null(const json_t *object, const char *key);

/* Adds fields; a failure (memory) is kept in `object`'s stead: they return false, and so may be chained with &&. */
bool json_put_text(json_t *object, const char *key, const char *text); /* NULL: null; bytes that are not UTF-8 fail */
bool json_put_count(json_t *object, const char *key, uint64_t count);
bool json_put_int(json_t *object, const char *key, int64_t number);
bool json_put_hex(json_t *object, const char *key, const uint8_t *bytes, size_t size);
