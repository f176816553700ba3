#include "crypto/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/base/fault.h"

#define HEADING "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

/* Safe is what begins with "/dev/dm-"; remembers the last name and type asked for. */
struct asked {
	char name[PROCESS_NAME_BYTES], type[PROCESS_NAME_BYTES];
	int times;
};

static bool dm_is_safe(void *context, const char *type, const char *name) {
	struct asked *asked = context;
	(void)snprintf(asked->name, sizeof asked->name, "%s", name);
	(void)snprintf(asked->type, sizeof asked->type, "%s", type);
	asked->times++;
	return strncmp(name, "/dev/dm-", 8) == 0;
}

static void without_swap_nothing_is_exposed(void **state) {
	(void)state;
	struct asked asked = {0};
	char name[PROCESS_NAME_BYTES];
	assert_false(process_swap_exposed(HEADING, dm_is_safe, &asked, name));
	assert_false(process_swap_exposed("", dm_is_safe, &asked, name));
	assert_int_equal(asked.times, 0);
}

static void every_area_is_asked_about_until_one_is_exposed(void **state) {
	(void)state;
	struct asked asked = {0};
	char name[PROCESS_NAME_BYTES];
	assert_false(
	        process_swap_exposed(HEADING "/dev/dm-1                               partition\t8388604\t\t0\t\t-2\n"
	                                     "/dev/dm-2                               partition\t8388604\t\t0\t\t-3\n",
	                dm_is_safe, &asked, name));
	assert_int_equal(asked.times, 2);
	assert_string_equal(asked.name, "/dev/dm-2");
	assert_string_equal(asked.type, "partition");
	assert_true(
	        process_swap_exposed(HEADING "/dev/dm-1 partition\t8388604\t\t0\t\t-2\n"
	                                     "/swap\\040file\\011a\\134b                  file\t\t524284\t\t0\t\t-3",
	                dm_is_safe, &asked, name));
	assert_string_equal(name, "/swap file\ta\\b");
	assert_string_equal(asked.type, "file");
}

static void a_line_not_understood_counts_as_exposed(void **state) {
	(void)state;
	char name[PROCESS_NAME_BYTES], sysfs[] = "/sys";
	assert_true(process_swap_exposed(HEADING "strange\n", process_swap_is_safe, sysfs, name));
	assert_true(process_swap_exposed(HEADING " leading blank\n", process_swap_is_safe, sysfs, name));
	assert_true(process_swap_exposed(
	        HEADING "/dev/no-such-device partition 1 0 -2\n", process_swap_is_safe, sysfs, name));
	assert_string_equal(name, "/dev/no-such-device");
	assert_true(
	        process_swap_exposed(HEADING "/gone\\040(deleted) file 1 0 -2\n", process_swap_is_safe, sysfs, name));
}

/* ---- a sysfs of our own ---- */

static int make(void **state) {
	char path[] = "/tmp/assayfs-process-XXXXXX";
	*state = mkdtemp(path) ? strdup(path) : NULL;
	return *state ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *meta, int type, struct FTW *where) {
	(void)meta, (void)type, (void)where;
	return remove(path);
}

static int unmake(void **state) {
	int rc = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(*state);
	return rc;
}

/* Writes ROOT/class/block/`path` with its directories. */
static void put(const char *root, const char *path, const char *text) {
	char whole[512];
	assert_true(snprintf(whole, sizeof whole, "%s/class/block/%s", root, path) < (int)sizeof whole);
	for (char *slash = strchr(whole + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(whole, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *file = fopen(whole, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void encrypted_and_memory_devices_are_safe(void **state) {
	char *root = *state;
	put(root, "dm-0/dm/uuid", "CRYPT-PLAIN-swap\n");
	put(root, "zram0/mem_used_max", "0\n");
	put(root, "zram1/mem_used_max", "0\n");
	put(root, "zram1/backing_dev", "none\n");
	assert_true(process_swap_is_safe(root, "partition", "/dev/dm-0"));
	assert_true(process_swap_is_safe(root, "partition", "/dev/zram0"));
	assert_true(process_swap_is_safe(root, "partition", "/dev/zram1"));
}

static void other_devices_are_not(void **state) {
	char *root = *state;
	put(root, "sda2/size", "1\n");
	put(root, "dm-1/dm/uuid", "LVM-abc\n");
	put(root, "zram2/mem_used_max", "0\n");
	put(root, "zram2/backing_dev", "/dev/sda3\n");
	assert_false(process_swap_is_safe(root, "partition", "/dev/sda2"));
	assert_false(process_swap_is_safe(root, "partition", "/dev/dm-1"));
	assert_false(process_swap_is_safe(root, "partition", "/dev/zram2"));
	assert_false(process_swap_is_safe(root, "file", "/no/such/file"));
	assert_false(process_swap_is_safe(root, "tape", "/dev/sda2"));
}

static void a_stack_is_safe_when_all_below_it_is(void **state) {
	char *root = *state;
	put(root, "dm-2/dm/uuid", "LVM-good\n");
	put(root, "dm-2/slaves/dm-3/dm/uuid", "CRYPT-LUKS2-x\n");
	put(root, "dm-4/dm/uuid", "LVM-mixed\n");
	put(root, "dm-4/slaves/dm-3/dm/uuid", "CRYPT-LUKS2-x\n");
	put(root, "dm-4/slaves/sdb/size", "1\n");
	assert_true(process_swap_is_safe(root, "partition", "/dev/dm-2"));
	assert_false(process_swap_is_safe(root, "partition", "/dev/dm-4"));
}

static void a_loop_of_devices_ends(void **state) {
	char *root = *state;
	char link[512];
	put(root, "dm-5/slaves/.keep", "");
	(void)snprintf(link, sizeof link, "%s/class/block/dm-5/slaves/self", root);
	assert_int_equal(symlink("../../dm-5", link), 0);
	assert_false(process_swap_is_safe(root, "partition", "/dev/dm-5"));
}

/* ---- this process ---- */

static void a_hardened_process_leaves_no_core(void **state) {
	(void)state;
	(void)fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit core;
		int rc = process_harden();
		/* -EPERM is the right answer on a machine with plain swap and little lockable memory. */
		bool answered = rc == 0 || (rc == -EPERM && strstr(fault_message(), "swap"));
		_exit(answered && getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 &&
		                        prctl(PR_GET_DUMPABLE) == 0
		                ? 0
		                : 1);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* What the machine says and what harden does must come from the same look. */
static void without_swap_nothing_has_to_be_locked(void **state) {
	(void)state;
	FILE *swaps = fopen("/proc/swaps", "r");
	char line[256];
	unsigned lines = 0;
	assert_non_null(swaps);
	while (fgets(line, sizeof line, swaps))
		lines++;
	fclose(swaps);
	if (lines > 1)
		skip();
	assert_false(process_must_lock());
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(without_swap_nothing_has_to_be_locked),
	        cmocka_unit_test(without_swap_nothing_is_exposed),
	        cmocka_unit_test(every_area_is_asked_about_until_one_is_exposed),
	        cmocka_unit_test(a_line_not_understood_counts_as_exposed),
	        cmocka_unit_test_setup_teardown(encrypted_and_memory_devices_are_safe, make, unmake),
	        cmocka_unit_test_setup_teardown(other_devices_are_not, make, unmake),
	        cmocka_unit_test_setup_teardown(a_stack_is_safe_when_all_below_it_is, make, unmake),
	        cmocka_unit_test_setup_teardown(a_loop_of_devices_ends, make, unmake),
	        cmocka_unit_test(a_hardened_process_leaves_no_core),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
