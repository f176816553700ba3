#include "backend/last_seen.h"

#include "tests/backend/test_vault.h"

#include "crypto/base/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t id[16] = {0xab, 1};
#define ID bytes_of(id, sizeof id)

static void expect(const char *directory, const char *wanted) {
	char *note = NULL;
	size_t size;
	assert_rc(last_seen_read(directory, ID, &note, &size));
	assert_int_equal(size, strlen(wanted));
	assert_string_equal(note, wanted);
	free(note);
}

static void what_was_written_is_read_again(void **state) {
	(void)state;
	char top[64], directory[96], path[160];
	struct stat about;
	scratch_directory(top);
	(void)snprintf(directory, sizeof directory, "%s/a/b", top);
	char *note = NULL;
	size_t size;
	assert_int_equal(last_seen_read(directory, ID, &note, &size), -ENOENT);
	assert_rc(last_seen_write(directory, ID, bytes_of_string("one\n"), false));
	expect(directory, "one\n");
	assert_rc(last_seen_write(directory, ID, bytes_of_string("the second\n"), true));
	expect(directory, "the second\n");
	assert_rc(last_seen_write(directory, ID, bytes_of(NULL, 0), true)); /* as a power cut may leave it */
	assert_int_equal(last_seen_read(directory, ID, &note, &size), -ENOENT);
	assert_rc(last_seen_path(directory, ID, path, sizeof path));
	assert_string_equal(path + strlen(directory), "/ab010000000000000000000000000000.checkpoint");
	assert_rc(stat(path, &about));
	assert_int_equal(about.st_mode & 0777, 0600);
	assert_rc(stat(directory, &about));
	assert_int_equal(about.st_mode & 0777, 0700);
	scratch_remove(top);
}

static void what_cannot_be_one_is_said_to_be_none(void **state) {
	(void)state;
	char top[64], path[160], other[160], *note = NULL;
	size_t size;
	scratch_directory(top);
	assert_rc(last_seen_path(top, ID, path, sizeof path));
	assert_int_equal(last_seen_path(top, ID, path, 20), -ENAMETOOLONG);
	assert_rc(last_seen_path(top, ID, path, sizeof path));
	FILE *file = fopen(path, "we");
	for (size_t i = 0; i <= NOTE_BYTES_MAX; i++)
		(void)fputc('x', file);
	assert_rc(fclose(file));
	assert_int_equal(last_seen_read(top, ID, &note, &size), -EFBIG);
	assert_rc(unlink(path));
	(void)snprintf(other, sizeof other, "%s/elsewhere", top);
	assert_rc(symlink(other, path));
	assert_int_equal(last_seen_read(top, ID, &note, &size), -ELOOP);
	assert_rc(last_seen_write(top, ID, bytes_of_string("x\n"), true)); /* the link is replaced, not followed */
	assert_int_equal(access(other, F_OK), -1);
	expect(top, "x\n");
	scratch_remove(top);
}

/* Whoever may write there could have the mount wait for ever, or write elsewhere. */
static void no_pipe_is_waited_for_and_nothing_else_written(void **state) {
	(void)state;
	char top[64], path[160], new[168], other[160], *note = NULL;
	size_t size;
	scratch_directory(top);
	assert_rc(last_seen_path(top, ID, path, sizeof path));
	(void)snprintf(new, sizeof new, "%s.new", path);
	assert_rc(mkfifo(path, 0600));
	assert_int_equal(last_seen_read(top, ID, &note, &size), -EUCLEAN);
	assert_rc(mkfifo(new, 0600));
	assert_rc(last_seen_write(top, ID, bytes_of_string("x\n"), false));
	expect(top, "x\n");
	scratch_write(top, "precious", "y", 1);
	(void)snprintf(other, sizeof other, "%s/precious", top);
	assert_rc(link(other, new));
	assert_rc(last_seen_write(top, ID, bytes_of_string("z\n"), false));
	uint8_t *data = scratch_read(top, "precious", &size);
	assert_int_equal(size, 1);
	free(data);
	scratch_remove(top);
}

static void a_place_that_is_none_is_named(void **state) {
	(void)state;
	assert_int_equal(last_seen_write("/dev/null/x", ID, bytes_of_string("x"), false), -ENOTDIR);
	assert_non_null(strstr(fault_message(), "/dev/null/x"));
	const uint8_t longer[33] = {0};
	char path[200];
	assert_int_equal(last_seen_path("/x", bytes_of(longer, sizeof longer), path, sizeof path), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_written_is_read_again),
	        cmocka_unit_test(what_cannot_be_one_is_said_to_be_none),
	        cmocka_unit_test(no_pipe_is_waited_for_and_nothing_else_written),
	        cmocka_unit_test(a_place_that_is_none_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
