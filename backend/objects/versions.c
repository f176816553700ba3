#include "backend/objects/versions.h"

#include "crypto/base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int take_version(void *arg, const struct object_info *object) {
	struct object_versions *versions = arg;
	if (strcmp(object->name, versions->name) != 0 || object->is_removed || !object->version[0])
		return 0;
	char *id = strdup(object->version);
	struct object_version *list =
	        array_room(versions->list, &versions->room, versions->count + 1, sizeof *versions->list);
	versions->list = list ? list : versions->list;
	if (!id || !list) {
		free(id);
		return fault(ENOMEM, "no memory for the versions of %s", object->name);
	}
	if (versions->count == OBJECT_VERSIONS_MOST) {
		struct object_version *middle = &list[OBJECT_VERSIONS_MOST / 2];
		free(middle->id);
		memmove(middle, middle + 1, (size_t)(--versions->count - OBJECT_VERSIONS_MOST / 2) * sizeof *middle);
	}
	list[versions->count++] =
	        (struct object_version){.id = id, .size = object->size, .is_latest = object->is_latest};
	return 0;
}

int object_versions_read(Objects *objects, const char *name, struct object_versions *ret) {
	*ret = (struct object_versions){.name = name};
	int rc = objects_versions(objects, name, take_version, ret);
	return rc == -EACCES || rc == -ENOTSUP ? 0 : rc;
}

void object_versions_clear(struct object_versions *versions) {
	for (size_t i = 0; i < versions->count; i++)
		free(versions->list[i].id);
	free(versions->list);
	versions->list = NULL;
	versions->count = versions->room = 0;
}

const struct object_version *object_versions_nth(const struct object_versions *versions, size_t nth) {
	if (nth >= versions->count)
		return NULL;
	return &versions->list[nth % 2 == 0 ? nth / 2 : versions->count - 1 - nth / 2];
}

int object_version_get(Objects *objects, const char *name, const struct object_version *version, size_t limit,
        uint8_t **ret_data, size_t *ret_size) {
	if (version->size > limit)
		return fault(EBADMSG, "a version of %s is too long", name);
	size_t size = (size_t)version->size;
	_cleanup_(freep) uint8_t *data = calloc(1, size + 1);
	_cleanup_(freep) struct object_request *request = calloc(1, sizeof *request);
	if (!data || !request)
		return fault(ENOMEM, "no memory for object %s", name);
	*request = (struct object_request){
	        .what = OBJECT_GET, .name = name, .version = version->id, .into = data, .size = size};
	int rc = size > 0 ? objects_do(objects, request, 1) : 0;
	if (rc == 0 && request->got < size)
		rc = fault(EBADMSG, "a version of %s is shorter than its listing says", name);
	if (rc < 0)
		return rc;
	*ret_data = steal_pointer(&data);
	*ret_size = size;
	return 0;
}
