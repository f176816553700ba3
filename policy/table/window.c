#include "policy/table/window.h"

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
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

int window_fill(struct window *window, uint64_t line, char newline) {
	if (window->start > 0) {
		memmove(window->bytes, window->bytes + window->start, window->end - window->start);
		window->end -= window->start;
		window->dropped += window->start;
		window->start = 0;
	}
	for (size_t wanted = 2 * window->end + 1; window->end < wanted && !window->at_end;) {
		int rc = window->end == window->capacity ? grow(window) : 0;
		if (rc < 0)
			return rc;
		int got = source_take(&window->source, window->bytes + window->end, window->capacity - window->end);
		if (got == -EILSEQ)
			return fault_while(got, "line %" PRIu64,
			        line + window_newlines(window, window->start, window->end, newline));
		if (got < 0)
			return got;
		window->end += (size_t)got;
		window->at_end = got == 0;
	}
	return 0;
}

void window_release(struct window *window) {
	free(window->bytes);
	window->bytes = NULL;
}

uint64_t window_newlines(const struct window *window, size_t from, size_t to, char newline) {
	uint64_t count = 0;
	const char *p = window->bytes + from, *end = window->bytes + to;
	while (p < end && (p = memchr(p, newline, (size_t)(end - p)))) {
		count++;
		p++;
	}
	return count;
}

int window_check_text(const struct window *window, size_t from, size_t to, uint64_t line, char newline) {
	size_t good = utf8_valid_prefix(window->bytes + from, to - from);
	if (good == to - from)
		return 0;
	unsigned byte = (unsigned char)window->bytes[from + good];
	line += window_newlines(window, from, from + good, newline);
	if (byte == 0)
		return fault(EILSEQ,
		        "line %" PRIu64 ": a NUL byte; this is not text (UTF-16 must be converted to UTF-8)", line);
	return fault(EILSEQ, "line %" PRIu64 ": byte 0x%02x is not UTF-8; convert the file to UTF-8", line, byte);
}
