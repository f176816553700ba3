#include "fs/ship_place.h"

#include "tests/fs/unit.h"

#include "crypto/base/fault.h"

#include <stdbool.h>
#include <sys/stat.h>

static char top[] = "/tmp/assayfs-ship-XXXXXX";

static void make(const char *name, bool is_directory) {
	char path[128];
	snprintf(path, sizeof path, "%s/%s", top, name);
	FILE *file = is_directory ? NULL : fopen(path, "we");
	assert_true(is_directory ? mkdir(path, 0700) == 0 : file && fclose(file) == 0);
}

static int check(const char *name) {
	char path[128];
	snprintf(path, sizeof path, "%s/%s", top, name);
	return ship_place_check(path);
}

static void a_vault_and_what_is_below_it_is_refused(void **state) {
	(void)state;
	make("vault", true);
	make("vault/vault.json", false);
	make("vault/segments", true);
	make("vault/segments/ab", true);
	make("beside", true);
	assert_int_equal(check("vault"), -EINVAL);
	assert_int_equal(check("vault/segments/ab"), -EINVAL);
	assert_non_null(strstr(fault_message(), "lies in a vault"));
	assert_int_equal(check("vault/../vault/segments"), -EINVAL);
	assert_int_equal(check("beside"), 0);
	assert_int_equal(check("missing"), -ENOENT);
}

static void a_link_into_it_is_followed(void **state) {
	(void)state;
	char from[128], to[128];
	snprintf(from, sizeof from, "%s/link", top);
	snprintf(to, sizeof to, "%s/vault/segments", top);
	assert_int_equal(symlink(to, from), 0);
	assert_int_equal(check("link"), -EINVAL);
}

static int setup(void **state) {
	(void)state;
	return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state) {
	char command[128];
	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	return system(command); /* NOLINT(cert-env33-c) */
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_vault_and_what_is_below_it_is_refused),
	        cmocka_unit_test(a_link_into_it_is_followed),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
