/* Who tells what, in one text. */
#include "fs/metrics.h"

#include "tests/fs/unit.h"

#include <errno.h>

static void tell(void *arg, Exposition *e) {
	const struct exposition_family family = {.name = arg, .type = EXPOSITION_GAUGE, .help = "One."};
	exposition_single(e, &family, 1);
}

static void providers_follow_each_other_in_either_format(void **state) {
	(void)state;
	_cleanup_(metrics_freep) Metrics *metrics = NULL;
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) char *open = NULL;
	char first[] = "assayfs_first", second[] = "assayfs_second";
	size_t size = 0;
	assert_int_equal(metrics_new(&metrics), 0);
	assert_int_equal(metrics_add_provider(metrics, tell, first), 0);
	assert_int_equal(metrics_add_provider(metrics, tell, second), 0);
	assert_int_equal(metrics_text(metrics, EXPOSITION_PROMETHEUS, &text, &size), 0);
	assert_string_equal(text, "# TYPE assayfs_first gauge\n# HELP assayfs_first One.\nassayfs_first 1\n"
	                          "# TYPE assayfs_second gauge\n# HELP assayfs_second One.\nassayfs_second 1\n");
	assert_int_equal(size, strlen(text));
	assert_int_equal(metrics_text(metrics, EXPOSITION_OPENMETRICS, &open, &size), 0);
	assert_non_null(strstr(open, "# EOF\n"));
}

static void the_same_family_twice_is_an_error_and_those_that_left_are_not_asked(void **state) {
	(void)state;
	_cleanup_(metrics_freep) Metrics *metrics = NULL;
	_cleanup_(freep) char *text = NULL;
	char name[] = "assayfs_same";
	size_t size = 0;
	assert_int_equal(metrics_new(&metrics), 0);
	assert_int_equal(metrics_add_provider(metrics, tell, name), 0);
	assert_int_equal(metrics_add_provider(metrics, tell, name), 0);
	assert_int_equal(metrics_text(metrics, EXPOSITION_PROMETHEUS, &text, &size), -EINVAL);
	metrics_forget(metrics);
	assert_int_equal(metrics_text(metrics, EXPOSITION_PROMETHEUS, &text, &size), 0);
	assert_string_equal(text, "");
}

static void there_is_an_end_to_providers(void **state) {
	(void)state;
	_cleanup_(metrics_freep) Metrics *metrics = NULL;
	int rc = 0, count = 0;
	assert_int_equal(metrics_new(&metrics), 0);
	while ((rc = metrics_add_provider(metrics, tell, NULL)) == 0)
		count++;
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(count, 16);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(providers_follow_each_other_in_either_format),
	        cmocka_unit_test(the_same_family_twice_is_an_error_and_those_that_left_are_not_asked),
	        cmocka_unit_test(there_is_an_end_to_providers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
