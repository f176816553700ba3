#include "backend/objects/objects.h"

#include "tests/backend/scratch.h"

#include <stdio.h>
#include <string.h>

/* A place that keeps one object of `size` bytes, each the low byte of its offset, and does as it is told. */
struct one {
	size_t size;
	int rc;
	unsigned gets, closed, stopped;
};

static void one_close(void *place) {
	((struct one *)place)->closed++;
}

static int one_carry_out(void *place, struct object_request *requests, size_t count) {
	struct one *one = place;
	for (size_t i = 0; i < count; i++) {
		struct object_request *request = &requests[i];
		request->rc = strcmp(request->name, "fails") == 0 ? one->rc : 0;
		if (request->rc < 0)
			(void)snprintf(request->words, sizeof request->words, "told to fail");
		if (request->what != OBJECT_GET)
			continue;
		one->gets++;
		for (uint64_t at = request->offset; at < one->size && request->got < request->size; at++)
			request->into[request->got++] = (uint8_t)at;
	}
	return 0;
}

static int one_list(void *place, const char *prefix, object_fn *object, void *arg) {
	(void)place;
	struct object_info info = {.name = prefix, .version = ""};
	return object(arg, &info);
}

static int one_prepare(void *place, bool create, bool locks) {
	(void)create;
	(void)locks;
	return ((struct one *)place)->rc;
}

static int one_tidy(void *place, int64_t before_s) {
	(void)before_s;
	return ((struct one *)place)->rc;
}

static void one_stop(void *place) {
	((struct one *)place)->stopped++;
}

static const struct objects_ops one_ops = {
        .close = one_close,
        .carry_out = one_carry_out,
        .list = one_list,
        .prepare = one_prepare,
        .tidy = one_tidy,
        .stop = one_stop,
};

static Objects *open_one(struct one *one) {
	Objects *objects = NULL;
	assert_rc(objects_wrap(&one_ops, one, "one://", &objects));
	return objects;
}

static void urls_are_checked(void **state) {
	(void)state;
	static const char *const good[] = {
	        "s3://abc", "s3://a-b.c/", "s3://abc/Pre_fix-1/b.2/", "file:///tmp", "file:///mnt/a disk/b"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_rc(objects_check_url(good[i]));
	static const char *const bad[] = {"", "s3:/abc", "s3://", "s3://ab", "s3://Abc", "s3://-abc", "s3://abc-",
	        "s3://a..b", "s3://a_b", "s3://abc//d", "s3://abc/../d", "s3://abc/./d", "s3://abc/d?e", "s3://abc/d e",
	        "s3://abc/d\n", "s3://a234567890123456789012345678901234567890123456789012345678901234", "file://tmp",
	        "file:///", "file:///a/../b", "file:///a//b", "file:///a\tb", "http://abc", "/tmp"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		fault_clear();
		assert_int_equal(objects_check_url(bad[i]), -EINVAL);
		assert_true(fault_message()[0] != '\0');
	}
	Objects *objects = NULL;
	assert_int_equal(objects_open(&(struct objects_place){.url = "ftp://abc"}, &objects), -EINVAL);
	assert_null(objects);
}

static void names_are_checked_before_anything_is_done(void **state) {
	(void)state;
	struct one one = {.size = 4};
	Objects *objects = open_one(&one);
	char longest[OBJECT_NAME_MAX + 2];
	memset(longest, 'a', sizeof longest - 1);
	longest[OBJECT_NAME_MAX + 1] = '\0';
	const char *const bad[] = {"", "/a", "a/", "a//b", ".", "a/..", "../a", "A", "a b", "a\xc3\xa9", longest};
	uint8_t into[4];
	size_t got;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct object_request two[] = {{.what = OBJECT_REMOVE, .name = "good"},
		        {.what = OBJECT_GET, .name = bad[i], .into = into, .size = sizeof into}};
		assert_int_equal(objects_do(objects, two, 2), -EINVAL);
		assert_int_equal(two[1].rc, -EINVAL);
		assert_true(two[1].words[0] != '\0');
	}
	assert_int_equal(one.gets, 0);
	longest[OBJECT_NAME_MAX] = '\0';
	assert_rc(objects_get(objects, longest, 0, into, sizeof into, &got));
	assert_rc(objects_get(objects, "..a/b.c/-_", 0, into, sizeof into, &got));
	assert_int_equal(one.gets, 2);
	struct object_request large = {.what = OBJECT_PUT, .name = "a", .data = {into, OBJECT_BYTES_MAX + 1}};
	assert_int_equal(objects_do(objects, &large, 1), -EFBIG);
	struct object_request locked = {.what = OBJECT_PUT, .name = "a", .locked_until_s = 1};
	assert_int_equal(objects_do(objects, &locked, 1), -ENOTSUP);
	assert_int_equal(objects_lock(objects, "a", 1), -ENOTSUP);
	assert_int_equal(objects_prepare(objects, false, true), -ENOTSUP);
	objects_close(objects);
	assert_int_equal(one.closed, 1);
}

static void the_first_failure_of_a_batch_is_told(void **state) {
	(void)state;
	struct one one = {.rc = -EACCES};
	_cleanup_(objects_closep) Objects *objects = open_one(&one);
	struct object_request three[] = {{.what = OBJECT_PUT, .name = "a"}, {.what = OBJECT_PUT, .name = "fails"},
	        {.what = OBJECT_PUT, .name = "b"}};
	assert_int_equal(objects_do(objects, three, 3), -EACCES);
	assert_string_equal(fault_message(), "told to fail");
	assert_int_equal(three[0].rc, 0);
	assert_int_equal(three[2].rc, 0);
	assert_rc(objects_do(objects, NULL, 0));
	assert_int_equal(objects_prepare(objects, true, false), -EACCES);
	assert_int_equal(objects_tidy(objects, 1), -EACCES);
}

static void a_whole_object_is_read_up_to_a_limit(void **state) {
	(void)state;
	static const size_t sizes[] = {0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3 << 20};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct one one = {.size = sizes[i]};
		_cleanup_(objects_closep) Objects *objects = open_one(&one);
		_cleanup_(freep) uint8_t *data = NULL;
		size_t size = 1;
		assert_rc(objects_get_all(objects, "a", sizes[i], &data, &size));
		assert_int_equal(size, sizes[i]);
		assert_int_equal(data[size], 0);
		assert_true(size == 0 || data[size - 1] == (uint8_t)(size - 1));
		uint8_t *none = NULL;
		if (sizes[i])
			assert_int_equal(objects_get_all(objects, "a", sizes[i] - 1, &none, &size), -EFBIG);
		assert_null(none);
	}
}

static int count_one(void *arg, const struct object_info *object) {
	(void)object;
	(*(int *)arg)++;
	return 0;
}

static int endless_list(void *place, const char *prefix, object_fn *object, void *arg) {
	struct object_info info = {.name = prefix, .version = ""};
	int rc = 0;
	while (rc == 0)
		rc = object(arg, &info);
	(void)place;
	return rc;
}

static int count_object(void *arg, const struct object_info *object) {
	(void)object;
	++*(size_t *)arg;
	return 0;
}

static void a_listing_without_end_is_an_error(void **state) {
	(void)state;
	const struct objects_ops ops = {
	        .close = one_close, .list = endless_list, .versions = endless_list, .stop = one_stop};
	struct one one = {0};
	size_t count = 0;
	_cleanup_(objects_closep) Objects *objects = NULL;
	assert_rc(objects_wrap(&ops, &one, "one://", &objects));
	assert_int_equal(objects_list(objects, "super/", count_object, &count), -E2BIG);
	assert_int_equal(count, OBJECTS_LIST_MAX);
	assert_int_equal(objects_versions(objects, "super/", count_object, &count), -E2BIG);
	assert_int_equal(count, 2 * OBJECTS_LIST_MAX);
}

static void after_a_stop_nothing_is_done(void **state) {
	(void)state;
	struct one one = {.size = 1};
	_cleanup_(objects_closep) Objects *objects = open_one(&one);
	int seen = 0;
	assert_rc(objects_list(objects, "a/", count_one, &seen));
	assert_rc(objects_versions(objects, "", count_one, &seen));
	assert_int_equal(objects_list(objects, "A", count_one, &seen), -EINVAL);
	assert_int_equal(seen, 2);
	assert_string_equal(objects_url(objects), "one://");
	objects_stop(objects);
	assert_int_equal(one.stopped, 1);
	assert_int_equal(objects_put(objects, "a", bytes_of("", 0)), -ECANCELED);
	assert_int_equal(objects_remove(objects, "a"), -ECANCELED);
	assert_int_equal(objects_list(objects, "", count_one, &seen), -ECANCELED);
	assert_int_equal(objects_versions(objects, "", count_one, &seen), -ECANCELED);
	assert_int_equal(objects_prepare(objects, false, false), -ECANCELED);
	assert_int_equal(objects_tidy(objects, 0), -ECANCELED);
	assert_int_equal(objects_lock(objects, "a", 1), -ECANCELED);
	assert_int_equal(seen, 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(urls_are_checked),
	        cmocka_unit_test(names_are_checked_before_anything_is_done),
	        cmocka_unit_test(the_first_failure_of_a_batch_is_told),
	        cmocka_unit_test(a_whole_object_is_read_up_to_a_limit),
	        cmocka_unit_test(a_listing_without_end_is_an_error),
	        cmocka_unit_test(after_a_stop_nothing_is_done),
	};
	return cmocka_run_group_tests_name("objects", tests, NULL, NULL);
}
