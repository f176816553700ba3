#include "backend/backup/batch.h"

#include "backend/backup/ship.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* ---- packs that are there already ---- */

static int take_next(void *arg, const struct object_info *object) {
	struct layout_name name;
	struct layout_name *next = arg;
	layout_parse(object->name, &name);
	if (name.kind == LAYOUT_SUPER && name.number == next->number)
		next->kind = LAYOUT_SUPER;
	return 0;
}

static int take_age(void *arg, const struct object_info *object) {
	int64_t *age_s = arg;
	*age_s = (int64_t)time(NULL) - object->modified_s;
	return 0;
}

/* Whether nobody needs it: no superblock came since ours, and whoever put it is not at it any more. */
static int is_orphan(const struct ship *ship, const char *name, bool *ret) {
	struct layout_name next = {.number = ship->last.number + 1};
	int64_t age_s = 0;
	int rc = objects_list(ship->objects, "super/", take_next, &next);
	if (rc == 0)
		rc = objects_list(ship->objects, name, take_age, &age_s);
	if (rc == 0)
		*ret = next.kind != LAYOUT_SUPER && age_s >= (int64_t)ship->orphan_s;
	return rc;
}

/* From a round of ours that was broken off it is the same; of one of a vault that is lost since, an orphan. Else who
 * wrote it is another mount of a copy: what that needs is not overwritten. */
static int look_at_other(Batch *batch, struct object_request *request) {
	_cleanup_(freep) uint8_t *other = NULL;
	size_t size = 0;
	bool is_free = false;
	int rc = objects_get_all(batch->ship->objects, request->name, OBJECT_BYTES_MAX, &other, &size);
	if (rc < 0 && rc != -EFBIG)
		return rc;
	request->rc = 0;
	if (rc == 0 && size == request->data.size && memcmp(other, request->data.data, size) == 0)
		return 0;
	rc = is_orphan(batch->ship, request->name, &is_free);
	if (rc == 0 && !is_free)
		return fault(EEXIST,
		        "%s is there with other content: another mount of a copy of this vault ships there, or did "
		        "until "
		        "a moment ago; end that one, or take another bucket, prefix or directory",
		        request->name);
	request->if_absent = false;
	return rc < 0 ? rc : objects_do(batch->ship->objects, request, 1);
}

/* `rc` of the first that failed, but for those that turn out to be there already. */
static int look_at_others(Batch *batch, int rc) {
	bool is_there = false;
	for (size_t i = 0; i < batch->count; i++) {
		if (batch->requests[i].rc < 0 && batch->requests[i].rc != -EEXIST)
			return fault(-batch->requests[i].rc, "%s", batch->requests[i].words);
		is_there = is_there || batch->requests[i].rc == -EEXIST;
	}
	if (!is_there)
		return rc;
	rc = 0;
	for (size_t i = 0; i < batch->count && rc == 0; i++)
		if (batch->requests[i].rc == -EEXIST)
			rc = look_at_other(batch, &batch->requests[i]);
	return rc;
}

int batch_flush(Batch *batch) {
	int64_t until = ship_locked_until(batch->ship);
	if (batch->count == 0)
		return 0;
	for (size_t i = 0; i < batch->count; i++)
		batch->requests[i].locked_until_s = until;
	int rc = objects_do(batch->ship->objects, batch->requests, batch->count);
	if (rc < 0)
		rc = look_at_others(batch, rc);
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

/* Names of packs are numbers, which a copy of the vault gives, too. */
static bool is_pack(const char *name) {
	return strncmp(name, "meta/", strlen("meta/")) == 0;
}

int batch_put(Batch *batch, const char *name, uint8_t *buffer, size_t size) {
	size_t at = batch->count++;
	batch->buffers[at] = buffer;
	batch->bytes += size;
	(void)snprintf(batch->names[at], LAYOUT_NAME_BYTES, "%s", name);
	batch->requests[at] = (struct object_request){.what = OBJECT_PUT,
	        .name = batch->names[at],
	        .data = bytes_of(buffer, size),
	        .if_absent = is_pack(name)};
	return 0;
}
