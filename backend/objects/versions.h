/*
 * versions: what a place keeps of one object beside its latest version, for whoever can tell which one is genuine.
 *
 * An object of a backup is put once, and who has stolen the credentials can only lay versions over it: then the oldest
 * is the genuine one. After a slip of the server or a healing it is the newest. So they are looked at from both ends,
 * and laying many versions over one gains nothing.
 */
#pragma once

#include "backend/objects/objects.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many are kept of a listing; of more half the newest and half the oldest ones: where the genuine one is gone, what
 * was laid over it is not read without an end. */
#define OBJECT_VERSIONS_MOST 256u

struct object_version {
	char *id; /* as objects_get wants it */
	uint64_t size;
	bool is_latest;
};

struct object_versions {
	const char *name;            /* the caller's, and to be kept by him */
	struct object_version *list; /* newest first, without delete markers */
	size_t count, room;
};

/* All that are kept of the object; none where the place keeps none, or who asks may not list them. Errors of the
 * listing. object_versions_clear frees, also after an error. */
int object_versions_read(Objects *objects, const char *name, struct object_versions *ret);
void object_versions_clear(struct object_versions *versions);

/* The one to look at as the `nth`, from 0: the newest, the oldest, the second newest, … NULL: that was all. */
const struct object_version *object_versions_nth(const struct object_versions *versions, size_t nth);

/* One of them whole, allocated. -EBADMSG: it is longer than `limit`, or shorter than the listing said. */
int object_version_get(Objects *objects, const char *name, const struct object_version *version, size_t limit,
        uint8_t **ret_data, size_t *ret_size);
