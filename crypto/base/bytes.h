/*
 * bytes: bytes with a length as one value, and integers as they stand on disk (little-endian, by explicit accessors).
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that somebody else owns. `data` may be NULL when `size` is 0. */
struct bytes {
	const uint8_t *data;
	size_t size;
};

/* Borrows `size` bytes at `data`, which may be NULL when there are none. */
static inline struct bytes bytes_of(const void *data, size_t size) {
	return (struct bytes){.data = data, .size = size};
}

/* Borrows a string without its NUL. */
static inline struct bytes bytes_of_string(const char *text) {
	return bytes_of(text, strlen(text));
}

/* Whether they begin with the string. */
static inline bool bytes_begin_with(struct bytes bytes, const char *start) {
	size_t length = strlen(start);
	return bytes.size >= length && memcmp(bytes.data, start, length) == 0;
}

/* Takes the first line off `*rest`, without its newline; false, and nothing taken, when no newline is left. */
static inline bool bytes_take_line(struct bytes *rest, struct bytes *ret_line) {
	const uint8_t *end = rest->size ? memchr(rest->data, '\n', rest->size) : NULL;
	if (!end)
		return false;
	*ret_line = bytes_of(rest->data, (size_t)(end - rest->data));
	*rest = bytes_of(end + 1, rest->size - ret_line->size - 1);
	return true;
}

/* A little-endian number of 2 bytes, which need no alignment. */
static inline uint16_t le16_get(const uint8_t *from) {
	uint16_t value;
	memcpy(&value, from, sizeof value);
	return le16toh(value);
}

/* Of 4 bytes. */
static inline uint32_t le32_get(const uint8_t *from) {
	uint32_t value;
	memcpy(&value, from, sizeof value);
	return le32toh(value);
}

/* Of 8 bytes. */
static inline uint64_t le64_get(const uint8_t *from) {
	uint64_t value;
	memcpy(&value, from, sizeof value);
	return le64toh(value);
}

/* Writes 2 bytes, little-endian. */
static inline void le16_put(uint8_t *to, uint16_t value) {
	value = htole16(value);
	memcpy(to, &value, sizeof value);
}

/* Writes 4 bytes. */
static inline void le32_put(uint8_t *to, uint32_t value) {
	value = htole32(value);
	memcpy(to, &value, sizeof value);
}

/* Writes 8 bytes. */
static inline void le64_put(uint8_t *to, uint64_t value) {
	value = htole64(value);
	memcpy(to, &value, sizeof value);
}
