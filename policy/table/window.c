#include "policy/table/window.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int grow(struct window *window) {
	if (window->end >= window->most)
		return -EMSGSIZE;
	size_t capacity = window->capacity ? window->capacity * 2 : WINDOW_BYTES;
	char *bytes = realloc(window->bytes, capacity + WINDOW_SLACK);
	if (!bytes)
		return fault(ENOMEM, "out of memory while reading a table");
	memset(bytes + capacity, 0, WINDOW_SLACK);
	window->bytes = bytes;
	window->capacity = capacity;
	return 0;
}

int window_fill(struct window *window) {
	if (window->start > 0) {
		memmove(window->bytes, window->bytes + window->start, window->end - window->start);
		window->end -= window->start;
		window->dropped += window->start;
		window->start = 0;
	}
	int rc = window->end == window->capacity ? grow(window) : 0;
	if (rc < 0)
		return rc;
	int got = source_take(&window->source, window->bytes + window->end, window->capacity - window->end);
	if (got < 0)
		return got;
	window->end += (size_t)got;
	window->at_end = got == 0;
	return 0;
}

void window_release(struct window *window) {
	free(window->bytes);
	window->bytes = NULL;
}
