/*
 * batch: objects that are put together, several at once, with a bound on what is in memory. A part of ship.
 *
 *     batch_room ─ fill the buffer ─ batch_put … batch_flush
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

typedef struct Batch Batch;
struct ship;

int batch_new(struct ship *ship, Batch **ret_batch);
void batch_free(Batch *batch);

/* A buffer of `size` bytes for the next object (the caller's until batch_put); sends what waits when it would be too
 * much with it. `ret_buffer` may be NULL: only one more object is to come. */
int batch_room(Batch *batch, size_t size, uint8_t **ret_buffer);

/* Takes the buffer over, in any case. The name is copied. */
int batch_put(Batch *batch, const char *name, uint8_t *buffer, size_t size);

/* Sends what waits. After an error it is not known what has arrived. */
int batch_flush(Batch *batch);
