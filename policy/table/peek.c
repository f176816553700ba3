#include "policy/table/peek.h"

#include "crypto/base/fault.h"
#include "policy/table/window.h"

#include <errno.h>
#include <stdlib.h>

int peek_fill(struct peek *peek, struct table_source below) {
	peek->below = below;
	peek->bytes = calloc(1, PEEK_BYTES + WINDOW_SLACK);
	if (!peek->bytes)
		return fault(ENOMEM, "no memory to read a file");
	while (peek->size < PEEK_BYTES && !peek->whole) {
		int got = source_take(&below, peek->bytes + peek->size, PEEK_BYTES - peek->size);
		if (got < 0)
			return got;
		peek->size += (size_t)got;
		peek->whole = got == 0;
	}
	return 0;
}

void peek_release(struct peek *peek) {
	free(peek->bytes);
	peek->bytes = NULL;
}

static int read_again(void *ctx, void *buf, size_t size) {
	struct peek *peek = ctx;
	size_t left = peek->size - peek->used;
	if (left == 0)
		return peek->whole ? 0 : source_take(&peek->below, buf, size);
	size_t count = left < size ? left : size;
	memcpy(buf, peek->bytes + peek->used, count);
	peek->used += count;
	return (int)count;
}

struct table_source peek_source(struct peek *peek) {
	return (struct table_source){.read = read_again, .ctx = peek};
}
