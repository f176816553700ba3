/*
 * tail: bytes that a reader has read, kept until it is known that nobody asks for them: so who works on rows can see
 * how a row was written, whatever its reader has made of it.
 *
 *     source ─▶ tail_read ─▶ reader ─▶ row, and its place ─▶ tail_take: its bytes
 *                  └─ kept ───────────────────────────────────┘
 *
 * As much is kept as the reader is ahead of its rows.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "policy/table/source.h"

#include <stdint.h>

/* All zero but the source: nothing was read yet. */
struct tail {
	struct table_source from;
	char *bytes;
	size_t start, end, room;
	uint64_t offset; /* of the byte at `start` */
};

/* A table_read_function on a struct tail. */
int tail_read(void *context, void *buffer, size_t size);

/* Bytes that were read: `size` of them from `offset` on; behind them ROWS_SLACK bytes may be read. Those before are
 * kept no longer. -EBADMSG: they are not there. Valid until the next call of either. */
int tail_take(struct tail *tail, uint64_t offset, size_t size, struct bytes *ret_bytes);
void tail_release(struct tail *tail);
