#include "fs/virtual/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"

struct lines {
	struct filesystem *fs;
	lines_fn *more;
	int64_t arg;
	uint64_t position;
	uint64_t offset; /* in the text, of buffer's first byte */
	size_t used;     /* bytes in the buffer */
	char buffer[LINES_BYTES];
};

bool lines_put(struct lines *lines, const char *line, size_t length) {
	if (length >= sizeof lines->buffer - lines->used)
		return false;
	memcpy(lines->buffer + lines->used, line, length);
	lines->used += length;
	lines->buffer[lines->used++] = '\n';
	return true;
}

static void start_anew(struct lines *lines) {
	lines->position = 0;
	lines->offset = 0;
	lines->used = 0;
}

static int refill(struct lines *lines) {
	lines->offset += lines->used;
	lines->used = 0;
	return lines->more(lines->fs, lines->arg, &lines->position, lines);
}

static int read_lines(void *state, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got) {
	struct lines *lines = state;
	size_t got = 0;
	int rc = 0;
	if (offset < lines->offset)
		start_anew(lines);
	while (got < size) {
		if (offset + got >= lines->offset + lines->used) {
			rc = refill(lines);
			if (rc < 0 || lines->used == 0)
				break;
			continue;
		}
		size_t from = (size_t)(offset + got - lines->offset);
		size_t part = lines->used - from < size - got ? lines->used - from : size - got;
		memcpy(out + got, lines->buffer + from, part);
		got += part;
	}
	*ret_got = got;
	return rc;
}

int lines_open(struct filesystem *fs, lines_fn *more, int64_t arg, struct virtual_file *ret) {
	struct lines *lines = malloc(sizeof *lines);
	if (!lines)
		return fault(ENOMEM, "reading the audit log");
	lines->fs = fs;
	lines->more = more;
	lines->arg = arg;
	start_anew(lines);
	*ret = (struct virtual_file){.read = read_lines, .close = free, .state = lines};
	return 0;
}
