/*
 * frequent: what occurs most often in a stream that is longer than memory: the Space-Saving algorithm (Metwally,
 * Agrawal, El Abbadi, 2005).
 *
 *      a b a c a d …  ─►  at most N keys, each with a count       a new key takes the place of the rarest one,
 *                                                                 whose count it inherits as its possible error
 *
 * While no more than N keys have come the counts are exact. Afterwards a key occurred at most `count` and at least
 * `count - error` times, and each that is more than an N-th of the stream is there. Not thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

typedef struct Frequent Frequent;

struct frequent_item {
	uint64_t count, error;
	const void *value;
	struct bytes key;
};

/* At most `most` keys (1 at least), each with a value of `value_size` bytes. NULL when memory is out. */
Frequent *frequent_new(size_t most, size_t value_size);
void frequent_free(Frequent *frequent);
DEFINE_CLEANUP(Frequent, frequent_free);

/* Counts a key, which is copied. Its value, for the caller to change until the next call: all zero when the key is new
 * or was driven out before. NULL when memory is out; nothing was counted then. */
void *frequent_add(Frequent *frequent, struct bytes key);

/* The most frequent ones, at most `most`, in order; of the same count the smaller key first. Returns how many.
 * Borrowed until the next call. Nothing can be added afterwards. */
size_t frequent_top(Frequent *frequent, size_t most, struct frequent_item *ret_items);

/* How many keys it holds, and how many have been driven out: 0: all counts are exact. */
size_t frequent_size(const Frequent *frequent);
uint64_t frequent_driven_out(const Frequent *frequent);
