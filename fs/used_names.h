/*
 * used_names: by which of its names a file was reached, for the record.
 *
 * A request names a file by its inode number alone. The kernel looks the name up right before, in the same thread, as
 * long as it keeps none of the names of a file that has several (entry_fill): so the last look-up of a thread says by
 * which name it came. A bounded ring: with more such files in use at one moment than it holds, the record bears any
 * name that the file has. Thread-safe; the lock is innermost.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/tree.h"
#include "crypto/base/bytes.h"

#define USED_NAMES 64

struct used_name {
	int32_t thread; /* 0: free */
	uint64_t node;
	struct tree_name name;
};

struct used_names {
	pthread_mutex_t lock;
	unsigned next; /* the place to be taken */
	struct used_name ring[USED_NAMES];
};

/* Static initialiser. */
#define USED_NAMES_INIT \
	{ .lock = PTHREAD_MUTEX_INITIALIZER }

/* Thread `thread` looked up the name and found the node; a former note of the two is replaced. */
void used_names_note(struct used_names *names, int32_t thread, uint64_t node, uint64_t parent, struct bytes name);

/* The name by which the thread reached the node last. False: it is not known. */
bool used_names_find(struct used_names *names, int32_t thread, uint64_t node, struct tree_name *ret_name);

/* It was used: what the thread does without a further look-up (through a descriptor, or by a name that the kernel kept
 * a moment longer) is not by that name. */
void used_names_drop(struct used_names *names, int32_t thread, uint64_t node);
