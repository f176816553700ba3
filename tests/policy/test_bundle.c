/* Bundles: the files of a policy as one archive, and as they lie in a directory. */
#include "policy/bundle.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void the_same_files_make_the_same_archive_in_any_order(void **state) {
	(void)state;
	PolicyBundle *one = NULL, *other = NULL, *back = NULL;
	uint8_t *archive = NULL, *again = NULL, hash[32], hash_again[32];
	size_t size, size_again;
	assert_int_equal(policy_bundle_new(&one), 0);
	assert_int_equal(policy_bundle_new(&other), 0);
	assert_int_equal(policy_bundle_put(one, "b/x.dqdl", bytes_of_string("2")), 0);
	assert_int_equal(policy_bundle_put(one, "a", bytes_of(NULL, 0)), 0);
	assert_int_equal(policy_bundle_put(other, "a", bytes_of_string("replaced")), 0);
	assert_int_equal(policy_bundle_put(other, "a", bytes_of(NULL, 0)), 0);
	assert_int_equal(policy_bundle_put(other, "b/x.dqdl", bytes_of_string("2")), 0);
	assert_int_equal(policy_bundle_serialise(one, &archive, &size), 0);
	assert_int_equal(policy_bundle_serialise(other, &again, &size_again), 0);
	assert_int_equal(size, size_again);
	assert_memory_equal(archive, again, size);
	assert_int_equal(policy_bundle_parse(bytes_of(archive, size), &back), 0);
	assert_int_equal(policy_bundle_sha256(one, hash), 0);
	assert_int_equal(policy_bundle_sha256(back, hash_again), 0);
	assert_memory_equal(hash, hash_again, 32);
	assert_string_equal(policy_bundle_name(back, 1), "b/x.dqdl");
	policy_bundle_free(back);
	for (size_t cut = 0; cut < size; cut++) {
		back = NULL;
		assert_int_equal(policy_bundle_parse(bytes_of(archive, cut), &back), -EBADMSG);
	}
	for (size_t i = 0; i < size; i++) { /* a changed byte is another bundle or none, never a crash */
		archive[i] ^= 0x41;
		back = NULL;
		if (policy_bundle_parse(bytes_of(archive, size), &back) == 0) {
			assert_int_equal(policy_bundle_sha256(back, hash_again), 0);
			assert_true(memcmp(hash, hash_again, 32) != 0);
			policy_bundle_free(back);
		}
		archive[i] ^= 0x41;
	}
	free(archive);
	free(again);
	policy_bundle_free(one);
	policy_bundle_free(other);
}

static void names_that_lead_elsewhere_are_no_names(void **state) {
	(void)state;
	static const char *const names[] = {
	        "", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a b", "a\nb", "\xc3\xa9"};
	PolicyBundle *bundle = NULL;
	assert_int_equal(policy_bundle_new(&bundle), 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(policy_bundle_put(bundle, names[i], bytes_of_string("x")), -EINVAL);
	policy_bundle_free(bundle);
}

struct directory {
	char path[64];
};

static void put_file(const struct directory *directory, const char *name, const char *text) {
	char path[128];
	snprintf(path, sizeof path, "%s/%s", directory->path, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int make_directory(void **state) {
	struct directory *directory = calloc(1, sizeof *directory);
	strcpy(directory->path, "/tmp/assayfs-test-XXXXXX");
	*state = directory;
	return mkdtemp(directory->path) ? 0 : -1;
}

static int remove_directory(void **state) {
	struct directory *directory = *state;
	static const char *const names[] = {"policy.yaml", "r.dqdl", "other.txt", "link.dqdl", "pipe.dqdl"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s/%s", directory->path, names[i]);
		(void)unlink(path);
	}
	int rc = rmdir(directory->path);
	free(directory);
	return rc;
}

static void a_directory_gives_the_files_that_the_policy_names_and_no_others(void **state) {
	const struct directory *directory = *state;
	PolicyBundle *bundle = NULL;
	assert_int_equal(policy_bundle_read(directory->path, &bundle), -ENOENT);
	assert_non_null(strstr(fault_message(), "policy.yaml"));
	put_file(directory, "policy.yaml",
	        "version: 1\ndatasets:\n  - name: a\n    match: \"*.csv\"\n    rules: r.dqdl\n");
	assert_int_equal(policy_bundle_read(directory->path, &bundle), -ENOENT);
	assert_non_null(strstr(fault_message(), "policy.yaml:5:12: rules: opening "));
	put_file(directory, "r.dqdl", "Rules = [ RowCount > 10 ]\n");
	put_file(directory, "other.txt", "not a part of it");
	assert_int_equal(policy_bundle_read(directory->path, &bundle), 0);
	assert_int_equal(policy_bundle_count(bundle), 2);
	policy_bundle_free(bundle);
}

static void a_rules_file_outside_the_directory_is_refused(void **state) {
	const struct directory *directory = *state;
	PolicyBundle *bundle = NULL;
	char path[128];
	put_file(directory, "policy.yaml", "version: 1\ndatasets: [{name: a, match: x, rules: link.dqdl}]\n");
	snprintf(path, sizeof path, "%s/link.dqdl", directory->path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(policy_bundle_read(directory->path, &bundle), -EXDEV);
	assert_non_null(strstr(fault_message(), "leads out of the policy directory"));
	put_file(directory, "policy.yaml", "version: 1\ndatasets: [{name: a, match: x, rules: ../../etc/passwd}]\n");
	assert_int_equal(policy_bundle_read(directory->path, &bundle), -EXDEV);
	put_file(directory, "policy.yaml", "version: 1\ndatasets: [{name: a, match: x, rules: pipe.dqdl}]\n");
	snprintf(path, sizeof path, "%s/pipe.dqdl", directory->path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(policy_bundle_read(directory->path, &bundle), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_same_files_make_the_same_archive_in_any_order),
	        cmocka_unit_test(names_that_lead_elsewhere_are_no_names),
	        cmocka_unit_test_setup_teardown(a_directory_gives_the_files_that_the_policy_names_and_no_others,
	                make_directory, remove_directory),
	        cmocka_unit_test_setup_teardown(
	                a_rules_file_outside_the_directory_is_refused, make_directory, remove_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
