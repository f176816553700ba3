#include "tests/backend/memory_place.h"

#include "crypto/base/array.h"

#include <stdlib.h>
#include <string.h>

static void close_place(void *place) {
	(void)place;
}

static size_t place_of(const struct memory_place *place, const char *name) {
	size_t low = 0;
	for (size_t high = place->count; low < high;) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(place->objects[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct memory_object *find(struct memory_place *place, const char *name) {
	size_t at = place_of(place, name);
	return at < place->count && strcmp(place->objects[at].name, name) == 0 ? &place->objects[at] : NULL;
}

static int put(struct memory_place *place, const struct object_request *request) {
	struct memory_object *object = find(place, request->name);
	if (object && request->if_absent)
		return fault(EEXIST, "%s is there", request->name);
	if (!object) {
		size_t at = place_of(place, request->name);
		void *grown = array_room(place->objects, &place->room, place->count + 1, sizeof *object);
		if (!grown)
			abort();
		place->objects = grown;
		object = &place->objects[at];
		memmove(object + 1, object, (place->count++ - at) * sizeof *object);
		*object = (struct memory_object){0};
		memcpy(object->name, request->name, strlen(request->name) + 1);
	}
	free(object->data);
	object->data = malloc(request->data.size + 1);
	if (!object->data)
		abort();
	memcpy(object->data, request->data.data, request->data.size);
	object->size = request->data.size;
	object->modified_s = place->now_s;
	object->locked_until_s = request->locked_until_s;
	return 0;
}

static int get(struct memory_place *place, struct object_request *request) {
	const struct memory_object *object = find(place, request->name);
	if (!object)
		return fault(ENOENT, "no %s", request->name);
	size_t there = request->offset < object->size ? object->size - (size_t)request->offset : 0;
	request->got = there < request->size ? there : request->size;
	if (request->got)
		memcpy(request->into, object->data + request->offset, request->got);
	return 0;
}

static int take_away(struct memory_place *place, const char *name) {
	struct memory_object *object = find(place, name);
	if (place->denies)
		return fault(EACCES, "%s: no right to remove", name);
	if (!object)
		return 0;
	if (object->locked_until_s > place->now_s) {
		place->refused++;
		return fault(EPERM, "%s is under a lock", name);
	}
	free(object->data);
	size_t at = (size_t)(object - place->objects);
	memmove(object, object + 1, (--place->count - at) * sizeof *object);
	return 0;
}

static int carry_out(void *opaque, struct object_request *requests, size_t count) {
	int first = 0;
	for (size_t i = 0; i < count; i++) {
		struct object_request *request = &requests[i];
		if (request->what == OBJECT_PUT)
			request->rc = put(opaque, request);
		else if (request->what == OBJECT_GET)
			request->rc = get(opaque, request);
		else
			request->rc = take_away(opaque, request->name);
		if (request->rc < 0)
			strncpy(request->words, fault_message(), sizeof request->words - 1);
		first = first < 0 ? first : request->rc;
	}
	return first;
}

static int list(void *opaque, const char *prefix, object_fn *object, void *arg) {
	struct memory_place *place = opaque;
	size_t told = 0;
	for (size_t i = place_of(place, prefix); i < place->count; i++) {
		const struct memory_object *one = &place->objects[i];
		const struct object_info info = {.name = one->name,
		        .version = "",
		        .size = one->size,
		        .modified_s = one->modified_s,
		        .is_latest = true};
		if (strncmp(one->name, prefix, strlen(prefix)) != 0)
			break;
		if (place->list_fails_after && told++ >= place->list_fails_after)
			return fault(EIO, "the listing breaks off");
		int rc = object(arg, &info);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int lock(void *opaque, const char *name, int64_t until_s) {
	struct memory_place *place = opaque;
	struct memory_object *object = find(place, name);
	if (place->no_lock && strcmp(name, place->no_lock) == 0)
		return fault(EACCES, "%s: no right to lock", name);
	if (!object)
		return fault(ENOENT, "no %s", name);
	if (object->locked_until_s < until_s)
		object->locked_until_s = until_s;
	return 0;
}

static int prepare(void *opaque, bool create, bool locks) {
	(void)opaque;
	(void)create;
	(void)locks;
	return 0;
}

static int tidy(void *opaque, int64_t before_s) {
	(void)opaque;
	(void)before_s;
	return 0;
}

int memory_place_open(struct memory_place *place, Objects **ret) {
	static const struct objects_ops ops = {.close = close_place,
	        .carry_out = carry_out,
	        .list = list,
	        .lock = lock,
	        .prepare = prepare,
	        .tidy = tidy,
	        .stop = close_place};
	return objects_wrap(&ops, place, "file:///memory", ret);
}

void memory_place_clear(struct memory_place *place) {
	for (size_t i = 0; i < place->count; i++)
		free(place->objects[i].data);
	free(place->objects);
	*place = (struct memory_place){0};
}

size_t memory_place_count(const struct memory_place *place, const char *prefix) {
	size_t count = 0;
	for (size_t i = 0; i < place->count; i++)
		count += strncmp(place->objects[i].name, prefix, strlen(prefix)) == 0;
	return count;
}

void memory_place_lock_all(struct memory_place *place, int64_t until_s) {
	for (size_t i = 0; i < place->count; i++)
		place->objects[i].locked_until_s = until_s;
}
