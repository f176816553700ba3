#include "backend/objects/versions.h"

#include "tests/backend/scratch.h"

#include <stdio.h>
#include <string.h>

/* A place that keeps `count` versions of "a", the newest first, version n of n bytes, and one of "ab". */
struct kept {
	unsigned count;
	int rc;
	bool lies; /* about how long they are */
};

static void leave(void *place) {
	(void)place;
}

static int carry_out(void *place, struct object_request *requests, size_t count) {
	const struct kept *kept = place;
	for (size_t i = 0; i < count; i++) {
		struct object_request *request = &requests[i];
		size_t size = strtoul(request->version, NULL, 10) - (kept->lies ? 1 : 0);
		request->got = size < request->size ? size : request->size;
		memset(request->into, 'v', request->got);
	}
	return 0;
}

static int list_versions(void *place, const char *prefix, object_fn *object, void *arg) {
	const struct kept *kept = place;
	int rc = kept->rc;
	(void)prefix;
	for (unsigned n = kept->count; n > 0 && rc == 0; n--) {
		char id[16];
		(void)snprintf(id, sizeof id, "%u", n);
		const struct object_info info = {.name = "a", .version = id, .size = n, .is_latest = n == kept->count};
		rc = object(arg, &info);
	}
	const struct object_info marker = {.name = "a", .version = "m", .is_removed = true};
	const struct object_info other = {.name = "ab", .version = "x", .size = 1};
	if (rc == 0)
		rc = object(arg, &marker);
	return rc == 0 ? object(arg, &other) : rc;
}

static const struct objects_ops ops = {
        .close = leave, .carry_out = carry_out, .versions = list_versions, .stop = leave};

static Objects *open_place(struct kept *kept) {
	Objects *objects = NULL;
	assert_rc(objects_wrap(&ops, kept, "kept://", &objects));
	return objects;
}

static void they_are_looked_at_from_both_ends(void **state) {
	(void)state;
	struct kept kept = {.count = 5};
	struct object_versions versions;
	_cleanup_(objects_closep) Objects *objects = open_place(&kept);
	assert_rc(object_versions_read(objects, "a", &versions));
	assert_int_equal(versions.count, 5);
	static const char *const order[] = {"5", "1", "4", "2", "3"};
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(object_versions_nth(&versions, i)->id, order[i]);
	assert_null(object_versions_nth(&versions, 5));
	assert_true(object_versions_nth(&versions, 0)->is_latest);
	object_versions_clear(&versions);
}

/* However often somebody has written over it, the first ones are among them, and the last ones. */
static void the_oldest_and_newest_are_kept_when_there_are_too_many(void **state) {
	(void)state;
	struct kept kept = {.count = OBJECT_VERSIONS_MOST + 3};
	struct object_versions versions;
	_cleanup_(objects_closep) Objects *objects = open_place(&kept);
	assert_rc(object_versions_read(objects, "a", &versions));
	assert_int_equal(versions.count, OBJECT_VERSIONS_MOST);
	for (unsigned i = 0; i < OBJECT_VERSIONS_MOST; i++) {
		unsigned number = i % 2 ? i / 2 + 1 : OBJECT_VERSIONS_MOST + 3 - i / 2;
		char id[16];
		(void)snprintf(id, sizeof id, "%u", number);
		assert_string_equal(object_versions_nth(&versions, i)->id, id);
	}
	object_versions_clear(&versions);
}

static void who_may_not_list_them_has_none(void **state) {
	(void)state;
	struct kept kept = {.count = 2, .rc = -EACCES};
	struct object_versions versions;
	_cleanup_(objects_closep) Objects *objects = open_place(&kept);
	assert_rc(object_versions_read(objects, "a", &versions));
	assert_null(object_versions_nth(&versions, 0));
	kept.rc = -EIO;
	assert_int_equal(object_versions_read(objects, "a", &versions), -EIO);
	object_versions_clear(&versions);
}

static void one_is_got_whole_or_not_at_all(void **state) {
	(void)state;
	struct kept kept = {.count = 3};
	struct object_versions versions;
	_cleanup_(objects_closep) Objects *objects = open_place(&kept);
	_cleanup_(freep) uint8_t *data = NULL;
	size_t size = 0;
	assert_rc(object_versions_read(objects, "a", &versions));
	assert_rc(object_version_get(objects, "a", object_versions_nth(&versions, 0), 3, &data, &size));
	assert_int_equal(size, 3);
	assert_memory_equal(data, "vvv", 4);
	uint8_t *none = NULL;
	assert_int_equal(
	        object_version_get(objects, "a", object_versions_nth(&versions, 0), 2, &none, &size), -EBADMSG);
	kept.lies = true;
	assert_int_equal(
	        object_version_get(objects, "a", object_versions_nth(&versions, 0), 3, &none, &size), -EBADMSG);
	assert_null(none);
	object_versions_clear(&versions);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(they_are_looked_at_from_both_ends),
	        cmocka_unit_test(the_oldest_and_newest_are_kept_when_there_are_too_many),
	        cmocka_unit_test(who_may_not_list_them_has_none),
	        cmocka_unit_test(one_is_got_whole_or_not_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
