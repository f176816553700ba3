#include "backend/objects/objects.h"

#include "backend/objects/files.h"
#include "backend/objects/s3.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct Objects {
	const struct objects_ops *ops;
	void *place;
	char *url;
	atomic_bool is_stopped;
};

/* Of objects_get_all: superblocks and headers come with the first request. */
#define FIRST_BYTES ((size_t)256 << 10)
#define BUCKET_NAME_MAX 63
#define PREFIX_MAX 512

/* ---- names and URLs ---- */

static bool is_among(char c, const char *others) {
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr(others, c));
}

/* Whether the components between slashes are neither empty nor "." nor ".."; the last one may be empty. */
static bool components_are_plain(const char *path) {
	for (const char *part = path;; part++) {
		size_t length = strcspn(part, "/");
		bool is_last = part[length] == '\0';
		if ((length == 0 && !is_last) || (length == 1 && part[0] == '.') ||
		        (length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (is_last)
			return true;
		part += length;
	}
}

static int check_name(const char *name, bool is_prefix) {
	size_t length = strlen(name);
	bool is_good = length <= OBJECT_NAME_MAX && (is_prefix || (length > 0 && name[length - 1] != '/'));
	for (size_t i = 0; is_good && i < length; i++)
		is_good = is_among(name[i], "._-/");
	if (!is_good || !components_are_plain(name))
		return fault(EINVAL, "'%.80s' is no name of an object", name);
	return 0;
}

static int check_bucket_url(const char *url, const char *rest) {
	size_t length = strcspn(rest, "/");
	bool is_good = length >= 3 && length <= BUCKET_NAME_MAX;
	for (size_t i = 0; is_good && i < length; i++)
		is_good = is_among(rest[i], i == 0 || i == length - 1 ? "" : ".-") &&
		          (rest[i] != '.' || rest[i + 1] != '.');
	if (!is_good)
		return fault(EINVAL,
		        "%.200s: a bucket's name has 3 to %d of a-z 0-9 . - and begins and ends with a letter or digit",
		        url, BUCKET_NAME_MAX);
	const char *prefix = rest + length + (rest[length] == '/');
	for (const char *c = prefix; is_good && *c; c++)
		is_good = is_among(*c, "._-/") || (*c >= 'A' && *c <= 'Z');
	if (!is_good || !components_are_plain(prefix) || strlen(prefix) > PREFIX_MAX)
		return fault(EINVAL,
		        "%.200s: what follows the bucket has A-Z a-z 0-9 . _ - and single slashes, at most %d bytes",
		        url, PREFIX_MAX);
	return 0;
}

static const char *after(const char *text, const char *start) {
	size_t length = strlen(start);
	return strncmp(text, start, length) == 0 ? text + length : NULL;
}

int objects_check_url(const char *url) {
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return fault(EINVAL, "a URL has no control characters");
	const char *bucket = after(url, "s3://");
	if (bucket)
		return check_bucket_url(url, bucket);
	const char *path = after(url, "file://");
	if (!path)
		return fault(EINVAL, "%.200s: write s3://BUCKET/PREFIX or file:///DIRECTORY", url);
	if (path[0] != '/' || path[1] == '\0' || !components_are_plain(path + 1))
		return fault(EINVAL, "%.200s: write file:// and an absolute path without '.' and '..'", url);
	return 0;
}

/* ---- opening ---- */

int objects_wrap(const struct objects_ops *ops, void *place, const char *url, Objects **ret_objects) {
	_cleanup_(freep) Objects *objects = calloc(1, sizeof *objects);
	if (!objects || !(objects->url = strdup(url)))
		return fault(ENOMEM, "no memory to open %s", url);
	objects->ops = ops;
	objects->place = place;
	*ret_objects = steal_pointer(&objects);
	return 0;
}

int objects_open(const struct objects_place *place, Objects **ret_objects) {
	int rc = objects_check_url(place->url);
	if (rc < 0)
		return rc;
	bool is_s3 = after(place->url, "s3://") != NULL;
	const struct objects_ops *ops = is_s3 ? &s3_ops : &files_ops;
	void *opened = NULL;
	if (is_s3)
		rc = s3_open(place, NULL, &opened);
	else
		rc = files_open(place->url + strlen("file://"), &opened);
	if (rc < 0)
		return rc;
	rc = objects_wrap(ops, opened, place->url, ret_objects);
	if (rc < 0)
		ops->close(opened);
	return rc;
}

void objects_close(Objects *objects) {
	if (!objects)
		return;
	objects->ops->close(objects->place);
	free(objects->url);
	free(objects);
}

const char *objects_url(const Objects *objects) {
	return objects->url;
}

void objects_stop(Objects *objects) {
	atomic_store(&objects->is_stopped, true);
	if (objects->ops->stop)
		objects->ops->stop(objects->place);
}

static int check_running(Objects *objects) {
	return atomic_load(&objects->is_stopped) ? fault(ECANCELED, "%s was stopped", objects->url) : 0;
}

/* ---- requests ---- */

static int check_request(Objects *objects, const struct object_request *request) {
	int rc = check_name(request->name, false);
	if (rc == 0 && request->what == OBJECT_PUT && request->data.size > OBJECT_BYTES_MAX)
		rc = fault(EFBIG, "%s: %zu bytes are too many for one object", request->name, request->data.size);
	if (rc == 0 && request->what == OBJECT_PUT && request->locked_until_s && !objects->ops->lock)
		rc = fault(ENOTSUP, "%s can't lock what it keeps", objects->url);
	return rc;
}

int objects_do(Objects *objects, struct object_request *requests, size_t count) {
	int rc = check_running(objects);
	for (size_t i = 0; i < count; i++) {
		requests[i].rc = 0;
		requests[i].words[0] = '\0';
		requests[i].got = 0;
	}
	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = requests[i].rc = check_request(objects, &requests[i]);
		if (rc < 0)
			(void)snprintf(requests[i].words, sizeof requests[i].words, "%s", fault_message());
	}
	if (rc == 0 && count > 0)
		rc = objects->ops->carry_out(objects->place, requests, count);
	for (size_t i = 0; i < count; i++)
		if (requests[i].rc < 0)
			return fault(
			        -requests[i].rc, "%s", requests[i].words[0] ? requests[i].words : "a request failed");
	return rc;
}

int objects_put(Objects *objects, const char *name, struct bytes data) {
	struct object_request request = {.what = OBJECT_PUT, .name = name, .data = data};
	return objects_do(objects, &request, 1);
}

int objects_get(Objects *objects, const char *name, uint64_t offset, uint8_t *into, size_t size, size_t *ret_got) {
	struct object_request request = {
	        .what = OBJECT_GET, .name = name, .offset = offset, .into = into, .size = size};
	int rc = objects_do(objects, &request, 1);
	if (rc == 0)
		*ret_got = request.got;
	return rc;
}

int objects_remove(Objects *objects, const char *name) {
	struct object_request request = {.what = OBJECT_REMOVE, .name = name};
	return objects_do(objects, &request, 1);
}

int objects_get_all(Objects *objects, const char *name, size_t limit, uint8_t **ret_data, size_t *ret_size) {
	_cleanup_(freep) uint8_t *data = NULL;
	size_t room = 0;
	size_t size = 0;
	while (size == room) {
		/* One byte more than the limit is asked for, to see that there are no more. */
		size_t wanted = room ? room * 4 : FIRST_BYTES;
		room = wanted < limit + 1 ? wanted : limit + 1;
		uint8_t *grown = realloc(data, room + 1);
		if (!grown)
			return fault(ENOMEM, "no memory for object %s", name);
		data = grown;
		size_t got = 0;
		int rc = objects_get(objects, name, size, data + size, room - size, &got);
		if (rc < 0)
			return rc;
		size += got;
		if (size > limit)
			return fault(EFBIG, "object %s has more than %zu bytes", name, limit);
	}
	data[size] = '\0';
	*ret_data = steal_pointer(&data);
	*ret_size = size;
	return 0;
}

/* ---- listings ---- */

struct counting {
	object_fn *object;
	void *arg;
	size_t count;
};

static int count_one(void *arg, const struct object_info *info) {
	struct counting *counting = arg;
	if (++counting->count > OBJECTS_LIST_MAX)
		return fault(E2BIG, "the place lists more than %u objects", OBJECTS_LIST_MAX);
	return counting->object(counting->arg, info);
}

int objects_list(Objects *objects, const char *prefix, object_fn *object, void *arg) {
	struct counting counting = {.object = object, .arg = arg};
	int rc = check_running(objects);
	if (rc == 0)
		rc = check_name(prefix, true);
	return rc < 0 ? rc : objects->ops->list(objects->place, prefix, count_one, &counting);
}

int objects_versions(Objects *objects, const char *prefix, object_fn *object, void *arg) {
	struct counting counting = {.object = object, .arg = arg};
	if (!objects->ops->versions)
		return objects_list(objects, prefix, object, arg);
	int rc = check_running(objects);
	if (rc == 0)
		rc = check_name(prefix, true);
	return rc < 0 ? rc : objects->ops->versions(objects->place, prefix, count_one, &counting);
}

/* ---- the place ---- */

int objects_lock(Objects *objects, const char *name, int64_t until_s) {
	int rc = check_running(objects);
	if (rc == 0)
		rc = check_name(name, false);
	if (rc < 0)
		return rc;
	if (!objects->ops->lock)
		return fault(ENOTSUP, "%s can't lock what it keeps", objects->url);
	return objects->ops->lock(objects->place, name, until_s);
}

int objects_prepare(Objects *objects, bool create, bool locks) {
	int rc = check_running(objects);
	if (rc < 0)
		return rc;
	if (locks && !objects->ops->lock)
		return fault(ENOTSUP, "%s can't lock what it keeps; S3 buckets with Object Lock can", objects->url);
	return objects->ops->prepare(objects->place, create, locks);
}

int objects_tidy(Objects *objects, int64_t before_s) {
	int rc = check_running(objects);
	return rc < 0 ? rc : objects->ops->tidy(objects->place, before_s);
}
