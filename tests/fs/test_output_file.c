#include "tests/fs/unit.h"

#include "fs/command/output_file.h"

#include "crypto/base/fault.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

static char folder[64], path[128];

static int set_up(void **state) {
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/assayfs-test.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/out", folder);
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	(void)unlink(path);
	return rmdir(folder); /* nothing else was left there */
}

static void expect_content(const char *expected) {
	char text[64] = "";
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	(void)!fread(text, 1, sizeof text - 1, file);
	(void)fclose(file);
	assert_string_equal(text, expected);
}

static void write_file(const char *text, bool is_finished) {
	OutputFile *file = NULL;
	assert_int_equal(output_file_open(path, &file), 0);
	assert_true(fputs(text, output_file_stream(file)) >= 0);
	if (is_finished)
		assert_int_equal(output_file_finish(file), 0);
	output_file_close(file);
}

static void a_file_has_its_name_when_it_is_whole(void **state) {
	(void)state;
	struct stat about;
	write_file("half", false);
	assert_int_equal(access(path, F_OK), -1);
	write_file("first", true);
	expect_content("first");
	assert_int_equal(chmod(path, 0640), 0);
	write_file("half", false);
	expect_content("first");
	write_file("second", true);
	expect_content("second");
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(about.st_mode & 0777, 0640);
}

static void what_is_no_regular_file_is_written_as_it_is(void **state) {
	(void)state;
	OutputFile *file = NULL;
	char text[8] = "";
	assert_int_equal(mkfifo(path, 0600), 0);
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	write_file("piped", true);
	assert_int_equal(read(fd, text, sizeof text), 5);
	assert_string_equal(text, "piped");
	close(fd);
	assert_int_equal(output_file_open(folder, &file), -EISDIR);
	assert_null(file);
}

static void a_write_that_failed_is_told(void **state) {
	(void)state;
	OutputFile *file = NULL;
	assert_int_equal(output_file_open("/dev/full", &file), 0);
	(void)fputs("lost", output_file_stream(file));
	assert_int_equal(output_file_finish(file), -ENOSPC);
	output_file_close(file);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_file_has_its_name_when_it_is_whole, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_no_regular_file_is_written_as_it_is, set_up, tear_down),
	        cmocka_unit_test(a_write_that_failed_is_told),
	};
	return cmocka_run_group_tests_name("output_file", tests, NULL, NULL);
}
