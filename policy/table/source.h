/*
 * source: where bytes come from. Readers and the layers below them (peek, unpack, encoding) are stacked: each reads
 * from a source and is one itself.
 */
#pragma once

#include <stddef.h>

/* Fills up to `size` bytes; returns how many (0 at the end, and ever after) or a negative errno. `size` is at most
 * INT_MAX. */
typedef int table_read_function(void *ctx, void *buf, size_t size);

struct table_source {
	table_read_function *read;
	void *ctx;
};

/* Reads some, as table_read_function says. */
static inline int source_take(const struct table_source *source, void *buf, size_t size) {
	return source->read(source->ctx, buf, size);
}
