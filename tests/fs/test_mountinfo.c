#include "tests/fs/unit.h"

#include "fs/mountinfo.h"

static const char table[] =
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 21 0:45 / /mnt/a rw,nosuid - fuse.assayfs /srv/vault rw,user_id=1000,group_id=1000\n"
        "31 21 0:46 / /mnt/with\\040blank\\134and rw shared:5 master:2 - fuse.assayfs /srv/v\\0402 rw,user_id=7\n"
        "garbage\n"
        "32 21 0:47 / /mnt/short rw -\n"
        "33 30 0:48 / /mnt/a rw - tmpfs none rw\n";

static void the_longest_mountpoint_wins(void **state) {
	(void)state;
	struct mountinfo mount;
	assert_int_equal(mountinfo_find_in(table, "/mnt/with blank\\and/x/y", &mount), 0);
	assert_string_equal(mount.type, "fuse.assayfs");
	assert_string_equal(mount.source, "/srv/v 2");
	assert_int_equal(mount.user, 7);
	assert_int_equal(mount.minor, 46);
	assert_int_equal(mountinfo_find_in(table, "/mnt/ab", &mount), 0);
	assert_string_equal(mount.mountpoint, "/");
}

static void what_is_mounted_on_top_is_what_is_seen(void **state) {
	(void)state;
	struct mountinfo mount;
	assert_int_equal(mountinfo_find_in(table, "/mnt/a/Landing", &mount), 0);
	assert_string_equal(mount.type, "tmpfs");
}

static void malformed_tables_find_nothing(void **state) {
	(void)state;
	struct mountinfo mount;
	assert_int_equal(mountinfo_find_in("", "/x", &mount), -ENOENT);
	assert_int_equal(mountinfo_find_in("\n\n1 2 3:4", "/x", &mount), -ENOENT);
	assert_int_equal(mountinfo_find_in("1 2 3:4 / /x rw - \n", "/x", &mount), 0);
	assert_string_equal(mount.type, "");
}

static void the_kernels_own_table_is_read(void **state) {
	(void)state;
	struct mountinfo mount;
	assert_int_equal(mountinfo_find("/proc/self", &mount), 0);
	assert_string_equal(mount.type, "proc");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_longest_mountpoint_wins),
	        cmocka_unit_test(what_is_mounted_on_top_is_what_is_seen),
	        cmocka_unit_test(malformed_tables_find_nothing),
	        cmocka_unit_test(the_kernels_own_table_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
