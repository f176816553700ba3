/* .assayfs/at: the tree as of a time, without what is not to be shown any more. */
#include "fs/filesystem.h"
#include "fs/virtual/providers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "tests/backend/meta_fixture.h"

struct listed {
	char names[256];
};

static int keep(void *arg, struct bytes name, uint32_t mode) {
	struct listed *listed = arg;
	(void)mode;
	size_t used = strlen(listed->names);
	snprintf(listed->names + used, sizeof listed->names - used, "%.*s ", (int)name.size, (const char *)name.data);
	return 0;
}

/* A second and more after all that was done so far, and before what comes. */
static void path_of_now(struct fixture *f, const char *below, char *ret_path, size_t size) {
	char stamp[40];
	struct tm tm;
	f->now += 3000000000;
	time_t seconds = (time_t)(f->now / 1000000000) - 1;
	assert_non_null(gmtime_r(&seconds, &tm));
	assert_true(strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0);
	snprintf(ret_path, size, "%s/%s", stamp, below);
}

static void a_withdrawn_version_is_neither_listed_nor_found(void **state) {
	struct fixture *f = *state;
	struct filesystem fs = {.meta = f->m};
	struct node kept = make(f, NODE_LANDING, "kept", S_IFREG | 0644),
	            gone = make(f, NODE_LANDING, "gone", S_IFREG | 0644);
	(void)make(f, NODE_LANDING, "unwritten", S_IFREG | 0644);
	(void)make(f, NODE_LANDING, "folder", S_IFDIR | 0755);
	(void)seal_version(f, kept.id, ZONE_LANDING, 10, 1);
	struct version version = seal_version(f, gone.id, ZONE_LANDING, 20, 2);
	fixture_commit(f);
	char folder[80], file[96];
	path_of_now(f, "Landing", folder, sizeof folder);
	snprintf(file, sizeof file, "%s/gone", folder);

	struct listed listed = {""};
	struct node node;
	assert_int_equal(virtual_at.list(&fs, folder, keep, &listed), 0);
	assert_string_equal(listed.names, "kept gone folder ");
	assert_int_equal(virtual_at.stat(&fs, file, &node), 0);

	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, version_withdraw(f->m, version.id, 0)), 0);
	fixture_commit(f);
	listed = (struct listed){""};
	assert_int_equal(virtual_at.list(&fs, folder, keep, &listed), 0);
	assert_string_equal(listed.names, "kept folder ");
	assert_int_equal(virtual_at.stat(&fs, file, &node), -ENOENT);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_withdrawn_version_is_neither_listed_nor_found, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
