/* Rules of the backup as rows. */
#include "backend/backup/targets.h"

#include "tests/backend/meta_fixture.h"
#include "tests/backend/scratch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct backup_target sample(uint32_t number) {
	struct backup_target target = {.number = number,
	        .endpoint = "http://127.0.0.1:7480",
	        .zones = 1u << ZONE_RAW,
	        .lock_days = 30,
	        .access_key = "AK\"IA\\",
	        .secret_key = "s/e+c=ret",
	        .session_token = "tök",
	        .region = "eu-west-1",
	        .uid = 4294967295u,
	        .added_ns = INT64_MAX};
	(void)snprintf(target.url, sizeof target.url, "s3://bucket/prefix-%u", number);
	return target;
}

static void a_rule_is_read_as_it_was_written(void **state) {
	(void)state;
	struct backup_target target = sample(3), back = {0};
	char *row = NULL;
	size_t size = 0;
	assert_rc(target_print(&target, &row, &size));
	assert_rc(target_parse(bytes_of(row, size), &back));
	free(row);
	target.number = 0;
	assert_string_equal(back.url, target.url);
	assert_string_equal(back.endpoint, target.endpoint);
	assert_string_equal(back.prefix, "");
	assert_string_equal(back.access_key, target.access_key);
	assert_string_equal(back.secret_key, target.secret_key);
	assert_string_equal(back.session_token, target.session_token);
	assert_string_equal(back.region, target.region);
	assert_int_equal(back.zones, target.zones);
	assert_int_equal(back.lock_days, 30);
	assert_int_equal(back.uid, target.uid);
	assert_true(back.added_ns == INT64_MAX);
}

static void rows_that_are_none_are_refused(void **state) {
	(void)state;
#define REST                                                                                                           \
	"\"endpoint\":\"\",\"prefix\":\"\",\"access_key\":\"\",\"secret_key\":\"\",\"session_token\":\"\",\"region\":" \
	"\"\","                                                                                                        \
	"\"added_ns\":1"
	static const char *const rows[] = {"", "{}", "[]", "{" REST "}",
	        "{" REST ",\"url\":\"x\",\"zones\":0,\"lock_days\":0,\"paused\":false,\"uid\":0,\"more\":1}",
	        "{" REST ",\"url\":\"x\",\"zones\":1,\"lock_days\":-1,\"paused\":false,\"uid\":0}",
	        "{" REST ",\"url\":\"x\",\"zones\":64,\"lock_days\":0,\"paused\":false,\"uid\":0}",
	        "{" REST ",\"url\":\"x\",\"zones\":0,\"lock_days\":0,\"paused\":false,\"uid\":4294967296}",
	        "{" REST ",\"url\":1,\"zones\":0,\"lock_days\":0,\"paused\":false,\"uid\":0}"};
	struct backup_target target;
	assert_rc(target_parse(
	        bytes_of_string("{" REST ",\"url\":\"x\",\"zones\":0,\"lock_days\":0,\"paused\":true,\"uid\":0}"),
	        &target));
	assert_true(target.paused);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_int_equal(target_parse(bytes_of_string(rows[i]), &target), -EUCLEAN);
	struct backup_target bad = {.url = "\xff"};
	char *row = NULL;
	size_t size = 0;
	assert_int_equal(target_print(&bad, &row, &size), -EINVAL);
}

static void rows_come_by_number_and_go(void **state) {
	struct fixture *f = *state;
	struct backup_target ten = sample(10), two = sample(2), *read = NULL;
	size_t count = 0;
	meta_begin(f->m);
	assert_rc(target_put(f->m, &ten));
	assert_rc(target_put(f->m, &two));
	assert_rc(targets_read(f->m, &read, &count));
	assert_int_equal(count, 2);
	assert_int_equal(read[0].number, 2);
	assert_int_equal(read[1].number, 10);
	assert_string_equal(read[1].url, "s3://bucket/prefix-10");
	free(read);
	assert_rc(target_remove(f->m, 2));
	assert_rc(targets_read(f->m, &read, &count));
	assert_int_equal(count, 1);
	assert_int_equal(read[0].number, 10);
	free(read);
	assert_rc(meta_end(f->m, 0));
}

static void staging_goes_with_landing(void **state) {
	(void)state;
	struct backup_target target = {.zones = 0};
	assert_int_equal(target_zones(&target), TARGET_ZONES_ALL);
	target.zones = 1u << ZONE_LANDING;
	assert_int_equal(target_zones(&target), 1u << ZONE_LANDING | 1u << ZONE_STAGING);
	target.zones = 1u << ZONE_TRUSTED;
	assert_int_equal(target_zones(&target), 1u << ZONE_TRUSTED);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_rule_is_read_as_it_was_written),
	        cmocka_unit_test(rows_that_are_none_are_refused),
	        cmocka_unit_test_setup_teardown(rows_come_by_number_and_go, fixture_setup, fixture_teardown),
	        cmocka_unit_test(staging_goes_with_landing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
