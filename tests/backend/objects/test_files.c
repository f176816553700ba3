#include "backend/objects/files.h"

#include "tests/backend/scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct place {
	char top[64], directory[80], url[96];
	Objects *objects;
};

static int setup(void **state) {
	struct place *place = calloc(1, sizeof *place);
	assert_non_null(place);
	scratch_directory(place->top);
	(void)snprintf(place->directory, sizeof place->directory, "%s/there", place->top);
	(void)snprintf(place->url, sizeof place->url, "file://%s", place->directory);
	assert_rc(objects_open(&(struct objects_place){.url = place->url}, &place->objects));
	*state = place;
	return 0;
}

static int teardown(void **state) {
	struct place *place = *state;
	objects_close(place->objects);
	scratch_remove(place->top);
	free(place);
	return 0;
}

static void expect(Objects *objects, const char *name, const char *wanted) {
	_cleanup_(freep) uint8_t *data = NULL;
	size_t size;
	assert_rc(objects_get_all(objects, name, 1 << 20, &data, &size));
	assert_string_equal((const char *)data, wanted);
}

static int join(void *arg, const struct object_info *object) {
	char *all = arg;
	(void)snprintf(all + strlen(all), 1024 - strlen(all), "%s:%zu ", object->name, (size_t)object->size);
	assert_string_equal(object->version, "");
	assert_true(object->modified_s > time(NULL) - 3600);
	return 0;
}

static void expect_list(Objects *objects, const char *prefix, const char *wanted) {
	char all[1024] = "";
	assert_rc(objects_list(objects, prefix, join, all));
	assert_string_equal(all, wanted);
}

static void a_place_is_made_when_asked(void **state) {
	struct place *place = *state;
	assert_int_equal(objects_prepare(place->objects, false, false), -ENOENT);
	assert_int_equal(objects_put(place->objects, "a", bytes_of_string("1")), -ENOENT);
	assert_int_equal(objects_remove(place->objects, "a"), -ENOENT);
	char all[1024] = "";
	assert_int_equal(objects_list(place->objects, "", join, all), -ENOENT);
	assert_rc(objects_prepare(place->objects, true, false));
	assert_rc(objects_prepare(place->objects, true, false));
	assert_rc(objects_prepare(place->objects, false, false));
	assert_int_equal(objects_prepare(place->objects, false, true), -ENOTSUP);
	expect_list(place->objects, "", "");
	struct stat st;
	assert_int_equal(stat(place->directory, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void what_is_put_is_got(void **state) {
	Objects *objects = ((struct place *)*state)->objects;
	assert_rc(objects_prepare(objects, true, false));
	assert_rc(objects_put(objects, "a/b/c", bytes_of_string("first")));
	assert_rc(objects_put(objects, "a/b/c", bytes_of_string("second one")));
	assert_rc(objects_put(objects, "empty", bytes_of(NULL, 0)));
	expect(objects, "a/b/c", "second one");
	expect(objects, "empty", "");
	uint8_t into[16];
	size_t got = 0;
	assert_rc(objects_get(objects, "a/b/c", 7, into, 2, &got));
	assert_int_equal(got, 2);
	assert_memory_equal(into, "on", 2);
	assert_rc(objects_get(objects, "a/b/c", 7, into, 16, &got));
	assert_int_equal(got, 3);
	assert_rc(objects_get(objects, "a/b/c", 10, into, 16, &got));
	assert_int_equal(got, 0);
	assert_rc(objects_get(objects, "a/b/c", UINT64_MAX, into, 16, &got));
	assert_int_equal(got, 0);
	got = 77;
	assert_int_equal(objects_get(objects, "none", 0, into, 16, &got), -ENOENT);
	assert_int_equal(objects_get(objects, "a/b", 0, into, 16, &got), -ENOENT);
	assert_int_equal(objects_get(objects, "a/x/c", 0, into, 16, &got), -ENOENT);
	assert_int_equal(got, 77);
}

static void if_absent_changes_nothing_that_is_there(void **state) {
	Objects *objects = ((struct place *)*state)->objects;
	assert_rc(objects_prepare(objects, true, false));
	struct object_request request = {
	        .what = OBJECT_PUT, .name = "s/1", .data = bytes_of_string("mine"), .if_absent = true};
	assert_rc(objects_do(objects, &request, 1));
	request.data = bytes_of_string("other");
	assert_int_equal(objects_do(objects, &request, 1), -EEXIST);
	assert_int_equal(request.rc, -EEXIST);
	expect(objects, "s/1", "mine");
	expect_list(objects, "", "s/1:4 ");
	request.locked_until_s = time(NULL) + 1000;
	assert_int_equal(objects_do(objects, &request, 1), -ENOTSUP);
}

static void a_list_is_sorted_and_of_objects_only(void **state) {
	struct place *place = *state;
	Objects *objects = place->objects;
	assert_rc(objects_prepare(objects, true, false));
	static const char *const names[] = {"b", "a/z", "a.b", "a/b/1", "a/b/2", "ab", "a-"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_rc(objects_put(objects, names[i], bytes_of_string(names[i])));
	scratch_write(place->directory, "~0123456789abcdef", "x", 1);
	scratch_write(place->directory, "lost+found", "x", 1);
	char path[160];
	(void)snprintf(path, sizeof path, "%s/link", place->directory);
	assert_int_equal(symlink("a", path), 0);
	(void)snprintf(path, sizeof path, "%s/pipe", place->directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_list(objects, "", "a-:2 a.b:3 a/b/1:5 a/b/2:5 a/z:3 ab:2 b:1 ");
	expect_list(objects, "a/", "a/b/1:5 a/b/2:5 a/z:3 ");
	expect_list(objects, "a", "a-:2 a.b:3 a/b/1:5 a/b/2:5 a/z:3 ab:2 ");
	expect_list(objects, "a/b", "a/b/1:5 a/b/2:5 ");
	expect_list(objects, "a/b/2", "a/b/2:5 ");
	expect_list(objects, "c/", "");
	char all[1024] = "";
	assert_rc(objects_versions(objects, "b", join, all));
	assert_string_equal(all, "b:1 ");
}

static void no_symbolic_link_is_followed(void **state) {
	struct place *place = *state;
	assert_rc(objects_prepare(place->objects, true, false));
	scratch_write(place->top, "secret", "x", 1);
	char path[160];
	(void)snprintf(path, sizeof path, "%s/out", place->directory);
	assert_int_equal(symlink("..", path), 0);
	(void)snprintf(path, sizeof path, "%s/one", place->directory);
	assert_int_equal(symlink("../secret", path), 0);
	uint8_t into[4];
	size_t got;
	assert_int_equal(objects_get(place->objects, "out/secret", 0, into, sizeof into, &got), -EIO);
	assert_int_equal(objects_get(place->objects, "one", 0, into, sizeof into, &got), -EIO);
	assert_int_equal(objects_put(place->objects, "out/new", bytes_of_string("x")), -EIO);
	assert_int_equal(objects_remove(place->objects, "out/secret"), -EIO);
	/* A link in an object's own place is replaced, not written through. */
	assert_rc(objects_put(place->objects, "one", bytes_of_string("yy")));
	size_t size;
	_cleanup_(freep) uint8_t *kept = scratch_read(place->top, "secret", &size);
	assert_int_equal(size, 1);
}

static void what_is_removed_is_gone_with_its_directory(void **state) {
	struct place *place = *state;
	assert_rc(objects_prepare(place->objects, true, false));
	assert_rc(objects_put(place->objects, "a/b/1", bytes_of_string("x")));
	assert_rc(objects_put(place->objects, "a/2", bytes_of_string("x")));
	assert_rc(objects_remove(place->objects, "a/b/1"));
	assert_rc(objects_remove(place->objects, "a/b/1"));
	assert_rc(objects_remove(place->objects, "a/none"));
	char path[160];
	(void)snprintf(path, sizeof path, "%s/a/b", place->directory);
	assert_int_equal(access(path, F_OK), -1);
	expect_list(place->objects, "", "a/2:1 ");
	assert_rc(objects_put(place->objects, "a/b/1", bytes_of_string("x")));
	expect_list(place->objects, "", "a/2:1 a/b/1:1 ");
}

static void tidy_takes_old_temporaries_only(void **state) {
	struct place *place = *state;
	assert_rc(objects_prepare(place->objects, true, false));
	assert_rc(objects_put(place->objects, "a/1", bytes_of_string("x")));
	scratch_write(place->directory, "~old", "x", 1);
	scratch_write(place->directory, "a/~old", "x", 1);
	scratch_write(place->directory, "a/~new", "x", 1);
	char path[160];
	struct timespec past[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	static const char *const old[] = {"~old", "a/~old", "a/1"};
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", place->directory, old[i]);
		assert_int_equal(utimensat(AT_FDCWD, path, past, 0), 0);
	}
	assert_rc(objects_tidy(place->objects, 2000));
	(void)snprintf(path, sizeof path, "%s/a/~new", place->directory);
	assert_int_equal(access(path, F_OK), 0);
	(void)snprintf(path, sizeof path, "%s/a/~old", place->directory);
	assert_int_equal(access(path, F_OK), -1);
	(void)snprintf(path, sizeof path, "%s/~old", place->directory);
	assert_int_equal(access(path, F_OK), -1);
	expect(place->objects, "a/1", "x");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_place_is_made_when_asked, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_is_put_is_got, setup, teardown),
	        cmocka_unit_test_setup_teardown(if_absent_changes_nothing_that_is_there, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_list_is_sorted_and_of_objects_only, setup, teardown),
	        cmocka_unit_test_setup_teardown(no_symbolic_link_is_followed, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_is_removed_is_gone_with_its_directory, setup, teardown),
	        cmocka_unit_test_setup_teardown(tidy_takes_old_temporaries_only, setup, teardown),
	};
	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
