/*
 * feed: bytes on their way into a worker through one socket, a block at a time. For worker.c only.
 *
 *     feed_open ─▶ feed_begin ─▶ { feed_fill, poll, feed_send }* ─▶ feed_close
 *
 * Nothing here waits but the input's own read. The input is a socket, not a pipe: writing to one whose reader died
 * needs no SIGPIPE to be blocked; and it is never swapped, as a memory file might be.
 */
#pragma once

#include "policy/check.h"

#define FEED_BLOCK_BYTES (256u << 10)

struct feed {
	int fd; /* ours; -1: nobody reads any more */
	struct check_input input;
	bool is_read_whole; /* to the input's end, even if nobody reads any more */
	bool has_ended;     /* the input is used up, or what is left of it is not wanted */
	bool is_again;      /* an input that can be read again is, as long as somebody reads */
	uint8_t *block;     /* what is to be sent next */
	size_t size, sent;
};

/* Makes the socket; *ret_theirs is the end that reads, and the caller's. */
int feed_open(struct feed *feed, int *ret_theirs);

/* `first` (copied) is sent before what `input` gives. -ENOMEM. */
int feed_begin(struct feed *feed, struct bytes first, struct check_input input);

/* Has the next block ready, or knows that there is none. The input's errors. */
int feed_fill(struct feed *feed);

/* Sends what the socket takes just now; closes it behind the last byte, or when the reader is gone. */
void feed_send(struct feed *feed);

/* Nobody will read any more. */
void feed_stop(struct feed *feed);

/* Must something still be read that nobody waits for? Then the caller should not sleep. */
bool feed_is_busy(const struct feed *feed);

/* Frees what is left; the feed may be used anew. */
void feed_close(struct feed *feed);

/* The references of a job one behind the other, each of the size that the job tells: what its references' channel is
 * fed with. -EIO when one has become shorter. */
struct reference_queue {
	const struct check_job *job;
	size_t at;
	uint64_t given; /* of that one */
};
struct check_input reference_queue_input(struct reference_queue *queue);
