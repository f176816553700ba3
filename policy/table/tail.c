#include "policy/table/tail.h"

#include "crypto/base/fault.h"
#include "policy/table/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tail_release(struct tail *tail) {
	free(tail->bytes);
	tail->bytes = NULL;
}

static int make_room(struct tail *tail, size_t more) {
	size_t kept = tail->end - tail->start;
	if (tail->room - tail->end >= more + ROWS_SLACK && tail->bytes)
		return 0;
	if (kept > 0)
		memmove(tail->bytes, tail->bytes + tail->start, kept);
	tail->start = 0;
	tail->end = kept;
	if (tail->bytes && tail->room / 2 >= kept + more + ROWS_SLACK)
		return 0;
	size_t room = 2 * (kept + more + ROWS_SLACK);
	char *bytes = realloc(tail->bytes, room);
	if (!bytes)
		return fault(ENOMEM, "no memory to keep what is read");
	memset(bytes + kept, 0, room - kept);
	tail->bytes = bytes;
	tail->room = room;
	return 0;
}

int tail_read(void *context, void *buffer, size_t size) {
	struct tail *tail = context;
	int got = tail->from.read(tail->from.ctx, buffer, size);
	if (got <= 0)
		return got;
	int rc = make_room(tail, (size_t)got);
	if (rc < 0)
		return rc;
	memcpy(tail->bytes + tail->end, buffer, (size_t)got);
	tail->end += (size_t)got;
	return got;
}

int tail_take(struct tail *tail, uint64_t offset, size_t size, struct bytes *ret_bytes) {
	uint64_t kept = tail->end - tail->start;
	if (offset < tail->offset || offset - tail->offset > kept || size > kept - (offset - tail->offset))
		return fault(EBADMSG, "the bytes of a row are not where they should be");
	tail->start += (size_t)(offset - tail->offset);
	tail->offset = offset;
	*ret_bytes = bytes_of(tail->bytes + tail->start, size);
	return 0;
}
