/* pieces: bytes in memory as what a reader reads from, handed out a few at a time. */
#pragma once

#include "crypto/base/bytes.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

struct pieces {
	const void *data;
	size_t size;
	size_t step; /* bytes at a time; 0: as many as are asked for */
};

static inline struct pieces pieces_of(struct bytes bytes, size_t step) {
	return (struct pieces){.data = bytes.data, .size = bytes.size, .step = step};
}

/* As csv_read_function and table_source want it. */
static inline int pieces_take(void *context, void *buffer, size_t size) {
	struct pieces *pieces = context;
	size_t count = pieces->size < size ? pieces->size : size;
	count = pieces->step && pieces->step < count ? pieces->step : count;
	if (count > 0)
		memcpy(buffer, pieces->data, count);
	pieces->data = (const char *)pieces->data + count;
	pieces->size -= count;
	return (int)count;
}

/* Nothing can be read. */
static inline int pieces_fail(void *ctx, void *buf, size_t size) {
	(void)ctx;
	(void)buf;
	(void)size;
	return -EIO;
}

/* As check_input wants it. */
static inline ssize_t pieces_read(void *context, void *buffer, size_t size) {
	return pieces_take(context, buffer, size);
}
