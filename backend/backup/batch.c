#include "backend/backup/batch.h"

#include "backend/backup/ship.h"
#include "crypto/base/fault.h"

#include <stdio.h>
#include <stdlib.h>

struct Batch {
	struct ship *ship;
	size_t count, bytes;
	uint8_t *buffers[SHIP_BATCH_OBJECTS];
	char names[SHIP_BATCH_OBJECTS][LAYOUT_NAME_BYTES];
	struct object_request requests[SHIP_BATCH_OBJECTS];
};

int batch_new(struct ship *ship, Batch **ret_batch) {
	Batch *batch = calloc(1, sizeof *batch);
	if (!batch)
		return fault(ENOMEM, "no memory to ship");
	batch->ship = ship;
	*ret_batch = batch;
	return 0;
}

static void empty(Batch *batch) {
	for (size_t i = 0; i < batch->count; i++)
		free(batch->buffers[i]);
	batch->count = batch->bytes = 0;
}

void batch_free(Batch *batch) {
	if (!batch)
		return;
	empty(batch);
	free(batch);
}

static void count_put(struct ship *ship, uint64_t size) {
	uint64_t missing = atomic_load(&ship->missing);
	atomic_store(&ship->missing, missing > size ? missing - size : 0);
	atomic_fetch_add(&ship->put_bytes, size);
	atomic_fetch_add(&ship->put_objects, 1);
}

/* In order: an extent counts only behind those before it. */
static int note_arrived(Batch *batch) {
	int rc = 0;
	for (size_t i = 0; i < batch->count && rc == 0; i++) {
		if (batch->requests[i].rc < 0)
			continue;
		count_put(batch->ship, batch->requests[i].data.size);
		rc = inventory_add(&batch->ship->inventory, batch->names[i], batch->requests[i].data.size);
	}
	return rc;
}

int batch_flush(Batch *batch) {
	int64_t until = ship_locked_until(batch->ship);
	if (batch->count == 0)
		return 0;
	for (size_t i = 0; i < batch->count; i++)
		batch->requests[i].locked_until_s = until;
	int rc = objects_do(batch->ship->objects, batch->requests, batch->count);
	if (rc == 0)
		rc = note_arrived(batch);
	empty(batch);
	return rc;
}

int batch_room(Batch *batch, size_t size, uint8_t **ret_buffer) {
	int rc = 0;
	if (batch->count == SHIP_BATCH_OBJECTS || (batch->count > 0 && batch->bytes + size > SHIP_BATCH_BYTES))
		rc = batch_flush(batch);
	if (rc < 0 || !ret_buffer)
		return rc;
	uint8_t *buffer = malloc(size + 1);
	if (!buffer)
		return fault(ENOMEM, "no memory for an object of the backup");
	*ret_buffer = buffer;
	return 0;
}

int batch_put(Batch *batch, const char *name, uint8_t *buffer, size_t size) {
	size_t at = batch->count++;
	batch->buffers[at] = buffer;
	batch->bytes += size;
	(void)snprintf(batch->names[at], LAYOUT_NAME_BYTES, "%s", name);
	batch->requests[at] =
	        (struct object_request){.what = OBJECT_PUT, .name = batch->names[at], .data = bytes_of(buffer, size)};
	return 0;
}
