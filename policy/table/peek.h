/*
 * peek: a source whose first bytes are looked at before they are read.
 *
 *     struct peek peek = {0};
 *     peek_fill(&peek, below);                  reads up to PEEK_BYTES
 *     ... peek_head(&peek) ...
 *     struct table_source all = peek_source(&peek);        from the first byte on; valid as long as `peek`
 *     peek_release(&peek);
 */
#pragma once

#include "crypto/base/bytes.h"
#include "policy/table/source.h"

#include <stdbool.h>

#define PEEK_BYTES (64u << 10)

struct peek {
	struct table_source below;
	uint8_t *bytes;
	size_t size, used;
	bool whole; /* there is no more than the head */
};

/* -ENOMEM, or the source's own error. */
int peek_fill(struct peek *peek, struct table_source below);
void peek_release(struct peek *peek);

/* The first bytes, at most PEEK_BYTES, with WINDOW_SLACK bytes behind them; they belong to `peek`. */
static inline struct bytes peek_head(const struct peek *peek) {
	return bytes_of(peek->bytes, peek->size);
}

/* The source with its head put back. What comes behind the head is read straight into the reader's own buffer. */
struct table_source peek_source(struct peek *peek);
