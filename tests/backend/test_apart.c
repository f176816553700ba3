/* Places of backups that are within the vault or within each other. */
#include "backend/backup/apart.h"

#include "tests/backend/scratch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_url(const struct scratch *s, const char *name, char ret_url[static 128]) {
	(void)snprintf(ret_url, 128, "file://%s%s", s->path, name);
}

static void a_place_in_the_vault_is_refused_by_any_path(void **state) {
	const struct scratch *s = *state;
	const struct apart_id vault = apart_id_of(s->vault);
	char url[128], link[100];
	assert_true(vault.inode != 0);
	(void)snprintf(url, sizeof url, "file://%s", s->vault);
	assert_int_equal(apart_from_vault(url, &vault), -EINVAL);
	(void)snprintf(url, sizeof url, "file://%s/not/made/yet", s->vault);
	assert_int_equal(apart_from_vault(url, &vault), -EINVAL);
	(void)snprintf(link, sizeof link, "%s/link", s->path);
	assert_int_equal(symlink(s->vault, link), 0);
	make_url(s, "/link/below", url);
	assert_int_equal(apart_from_vault(url, &vault), -EINVAL);
	make_url(s, "/beside/it", url);
	assert_rc(apart_from_vault(url, &vault));
	assert_rc(apart_from_vault("s3://bucket/vault", &vault));
	assert_rc(apart_from_vault(url, &(struct apart_id){0}));
	assert_int_equal(apart_id_of("/none/such").inode, 0);
}

static void places_in_one_another_are_refused(void **state) {
	const struct scratch *s = *state;
	char one[128], other[128], directory[100];
	(void)snprintf(directory, sizeof directory, "%s/one", s->path);
	assert_int_equal(mkdir(directory, 0700), 0);
	make_url(s, "/one", one);
	make_url(s, "/one/more", other);
	assert_int_equal(apart_from_target(other, "", one, ""), -EINVAL);
	assert_int_equal(mkdir(other + strlen("file://"), 0700), 0);
	assert_int_equal(apart_from_target(one, "", other, ""), -EINVAL);
	make_url(s, "/one-more", other);
	assert_rc(apart_from_target(one, "", other, ""));
	assert_int_equal(apart_from_target("s3://bucket/a/b", "", "s3://bucket/a", ""), -EINVAL);
	assert_int_equal(apart_from_target("s3://bucket", "", "s3://bucket/a", ""), -EINVAL);
	assert_rc(apart_from_target("s3://bucket/ab", "", "s3://bucket/a", ""));
	assert_rc(apart_from_target("s3://bucket/a/b", "http://x", "s3://bucket/a", "http://y"));
	assert_rc(apart_from_target("s3://bucket/a/b", "", one, ""));
}

#define scratch_test(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        scratch_test(a_place_in_the_vault_is_refused_by_any_path),
	        scratch_test(places_in_one_another_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
