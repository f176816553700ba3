#include "policy/feed.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKET_BYTES (1 << 20)

int feed_open(struct feed *feed, int *ret_theirs) {
	int pair[2], bytes = SOCKET_BYTES;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fault_errno(errno, "making a socket for a check");
	feed->fd = pair[0];
	*ret_theirs = pair[1];
	if (setsockopt(feed->fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
		(void)setsockopt(feed->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
	return 0;
}

int feed_begin(struct feed *feed, struct bytes first, struct check_input input) {
	feed->input = input;
	feed->block = malloc(first.size > FEED_BLOCK_BYTES ? first.size : FEED_BLOCK_BYTES);
	if (!feed->block)
		return fault(ENOMEM, "no memory for a check");
	if (first.size > 0)
		memcpy(feed->block, first.data, first.size);
	feed->size = first.size;
	return 0;
}

int feed_fill(struct feed *feed) {
	if (feed->fd < 0)
		feed->sent = feed->size; /* nobody reads it */
	if (feed->fd < 0 && (!feed->is_read_whole || feed->is_again))
		feed->has_ended = true;
	if (feed->has_ended || feed->sent < feed->size)
		return 0;
	ssize_t got = feed->input.read(feed->input.context, feed->block, FEED_BLOCK_BYTES);
	if (got < 0)
		return (int)got;
	feed->size = (size_t)got;
	feed->sent = 0;
	if (got > 0)
		return 0;
	bool is_wanted = feed->input.again && !feed->is_again && feed->fd >= 0;
	feed->has_ended = !is_wanted;
	feed->is_again = is_wanted;
	return is_wanted ? feed->input.again(feed->input.context) : 0;
}

void feed_stop(struct feed *feed) {
	closep(&feed->fd);
}

void feed_send(struct feed *feed) {
	size_t left = feed->size - feed->sent;
	if (feed->fd < 0 || left == 0) {
		if (feed->has_ended)
			feed_stop(feed);
		return;
	}
	ssize_t put = send(feed->fd, feed->block + feed->sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (put < 0 && errno != EAGAIN && errno != EINTR)
		feed_stop(feed);
	if (put > 0)
		feed->sent += (size_t)put;
}

bool feed_is_busy(const struct feed *feed) {
	return feed->fd < 0 && !feed->has_ended;
}

void feed_close(struct feed *feed) {
	closep(&feed->fd);
	free(feed->block);
	feed->block = NULL;
}

/* ---- references ---- */

static ssize_t read_queue(void *context, void *buffer, size_t size) {
	struct reference_queue *queue = context;
	const struct check_job *job = queue->job;
	while (queue->at < job->reference_count && queue->given == job->references[queue->at].size) {
		queue->at++;
		queue->given = 0;
	}
	if (queue->at == job->reference_count)
		return 0;
	const struct check_reference *reference = &job->references[queue->at];
	uint64_t left = reference->size - queue->given;
	ssize_t got = reference->input.read(reference->input.context, buffer, left < size ? (size_t)left : size);
	if (got == 0)
		return fault(EIO, "the reference \"%s\" ended after %llu of its %llu bytes", reference->alias,
		        (unsigned long long)queue->given, (unsigned long long)reference->size);
	if (got > 0)
		queue->given += (uint64_t)got;
	return got;
}

struct check_input reference_queue_input(struct reference_queue *queue) {
	return (struct check_input){.read = read_queue, .context = queue};
}
