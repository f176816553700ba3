/* A copy of an archive in somebody's directory. */
#include "backend/audit_ship.h"

#include "tests/backend/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VAULT "00112233445566778899aabbccddeeff"
#define NAME "assayfs-log-" VAULT "-000000000256-000000000511.sealed"

static int setup(void **state) {
	char *path = malloc(64);
	assert_non_null(path);
	scratch_directory(path);
	*state = path;
	return 0;
}

static int teardown(void **state) {
	scratch_remove(*state);
	free(*state);
	return 0;
}

static int ship(const char *directory, const char *text, char place[static AUDIT_SHIP_PLACE_BYTES],
        uint8_t digest[static DIGEST_BYTES]) {
	return audit_ship(directory, VAULT, 256, 511, bytes_of_string(text), place, digest);
}

static void the_copy_is_where_it_says_and_has_that_digest(void **state) {
	const char *directory = *state;
	char place[AUDIT_SHIP_PLACE_BYTES], expected[128];
	uint8_t digest[DIGEST_BYTES], of_text[DIGEST_BYTES];
	struct stat about;
	for (int i = 0; i < 2; i++) { /* what is there already is replaced */
		const char *text = i ? "other words" : "words";
		size_t size = 0;
		assert_rc(ship(directory, text, place, digest));
		(void)snprintf(expected, sizeof expected, "%s/%s", directory, NAME);
		assert_string_equal(place, expected);
		uint8_t *copy = scratch_read(directory, NAME, &size);
		assert_int_equal(size, strlen(text));
		assert_memory_equal(copy, text, size);
		free(copy);
		sha256(bytes_of_string(text), of_text);
		assert_memory_equal(digest, of_text, sizeof digest);
		assert_int_equal(stat(place, &about), 0);
		assert_int_equal(about.st_mode & 0777, 0600);
	}
}

static void the_place_is_told_without_links(void **state) {
	const char *directory = *state;
	char link[96], place[AUDIT_SHIP_PLACE_BYTES];
	uint8_t digest[DIGEST_BYTES];
	(void)snprintf(link, sizeof link, "%s/link", directory);
	assert_int_equal(symlink(directory, link), 0);
	assert_rc(ship(link, "words", place, digest));
	assert_null(strstr(place, "/link/"));
}

static void a_directory_that_is_not_there_is_named(void **state) {
	const char *directory = *state;
	char path[96], place[AUDIT_SHIP_PLACE_BYTES] = "";
	uint8_t digest[DIGEST_BYTES];
	(void)snprintf(path, sizeof path, "%s/nowhere", directory);
	assert_int_equal(ship(path, "words", place, digest), -ENOENT);
	assert_non_null(strstr(fault_message(), path));
	(void)snprintf(path, sizeof path, "%s/file", directory);
	scratch_write(directory, "file", "x", 1);
	assert_int_equal(ship(path, "words", place, digest), -ENOTDIR);
	assert_string_equal(place, "");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(the_copy_is_where_it_says_and_has_that_digest, setup, teardown),
	        cmocka_unit_test_setup_teardown(the_place_is_told_without_links, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_is_named, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
