/*
 * memory_place: a place of objects in memory, with locks, whose clock and failures are the test's. One thread.
 */
#pragma once

#include "backend/objects/objects.h"

#include <stdint.h>

struct memory_object {
	char name[OBJECT_NAME_MAX + 1];
	uint8_t *data;
	size_t size;
	int64_t modified_s, locked_until_s;
};

/* All zero but for the clock: an empty one. */
struct memory_place {
	int64_t now_s;
	struct memory_object *objects; /* in order of names */
	size_t count, room;
	unsigned refused;        /* removals, by a lock */
	size_t list_fails_after; /* objects; 0: never */
	bool denies;             /* each removal */
	const char *no_lock;     /* of which no lock can be renewed; NULL */
};

/* `place` stays the caller's and must outlive *ret. */
int memory_place_open(struct memory_place *place, Objects **ret);
void memory_place_clear(struct memory_place *place);

/* How many there are whose name begins so. */
size_t memory_place_count(const struct memory_place *place, const char *prefix);
void memory_place_lock_all(struct memory_place *place, int64_t until_s);
