/*
 * read_buffers: what files are read into before the kernel gets it: one buffer a thread, kept, as a fresh megabyte for
 * each READ would be mapped and cleared each time.
 *
 *     take ─ read, reply ─ done          wipe: when keys of content go, nothing of it stays in a buffer
 *
 * Thread-safe; take and done of one thread. A buffer that is taken when all are to be wiped is wiped by its thread's
 * done: a read may wait for long, for a backup.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdint.h>

/* What the kernel asks for in one READ: max_readahead and max_pages keep it to 1 MiB. */
#define READ_BUFFER_BYTES (1u << 20)

typedef struct ReadBuffers ReadBuffers;

/* -ENOMEM; -EAGAIN: the process has no key for another thing of each thread. The caller owns the result. */
int read_buffers_new(ReadBuffers **ret);

/* Wipes and frees all. No thread may have one taken. NULL is fine. */
void read_buffers_free(ReadBuffers *buffers);
DEFINE_CLEANUP(ReadBuffers, read_buffers_free);

/* The calling thread's buffer of READ_BUFFER_BYTES, page-aligned, until read_buffers_done. NULL: no memory. */
uint8_t *read_buffers_take(ReadBuffers *buffers);
void read_buffers_done(ReadBuffers *buffers);

/* Zeros in all of them. */
void read_buffers_wipe(ReadBuffers *buffers);
