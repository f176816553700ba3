/* How a backup's targets stand, as JSON for people and programs. */
#include "fs/backups.h"

#include "tests/fs/unit.h"

#include <string.h>

#define SECOND INT64_C(1000000000)

static void make(struct backup_status *status, const char *url) {
	*status = (struct backup_status){.target = {.number = 1, .lock_days = 7},
	        .state = BACKUP_SHIPPING,
	        .is_known = true,
	        .generation = 12,
	        .generations = 9,
	        .shipped_ns = 1795867200 * SECOND,
	        .commit = 40,
	        .pending_bytes = 1 << 20,
	        .pending_versions = 3,
	        .lag_ns = 2 * SECOND + SECOND / 2,
	        .stored_bytes = 77};
	(void)snprintf(status->target.url, sizeof status->target.url, "%s", url);
	(void)snprintf(status->target.access_key, sizeof status->target.access_key, "AKIAWHO");
	(void)snprintf(status->target.secret_key, sizeof status->target.secret_key, "hush");
}

static const char *text(const json_t *item, const char *name) {
	return json_string_value(json_object_get(item, name));
}

static long long number(const json_t *item, const char *name) {
	assert_true(json_is_integer(json_object_get(item, name)));
	return json_integer_value(json_object_get(item, name));
}

static void a_target_tells_how_far_it_is_and_no_secret(void **state) {
	static struct backup_status status;
	(void)state;
	make(&status, "s3://bucket/vault");
	_cleanup_(json_decrefp) json_t *item = backups_target_json(&status, true);
	assert_string_equal(text(item, "url"), "s3://bucket/vault");
	assert_string_equal(text(item, "state"), "shipping");
	assert_string_equal(text(item, "shipped"), "2026-11-28T12:00:00Z");
	assert_true(json_is_null(json_object_get(item, "retry")));
	assert_int_equal(number(item, "pending"), 3);
	assert_int_equal(number(item, "failed"), 0);
	assert_int_equal(number(item, "pending_bytes"), 1 << 20);
	assert_int_equal(number(item, "lag_bytes"), 1 << 20);
	assert_int_equal(number(item, "generation"), 12);
	assert_int_equal(number(item, "lock_days"), 7);
	assert_int_equal(number(item, "stored_bytes"), 77);
	assert_true(json_real_value(json_object_get(item, "lag_seconds")) == 2.5);
	_cleanup_(freep) char *all = json_dumps(item, 0);
	assert_null(strstr(all, "hush"));
	assert_null(strstr(all, "AKIAWHO"));
}

static void what_is_not_known_yet_is_null(void **state) {
	static struct backup_status status;
	(void)state;
	make(&status, "file:///backup");
	status.is_known = false;
	status.lost_segments = 2;
	_cleanup_(json_decrefp) json_t *item = backups_target_json(&status, true);
	for (const char *const *name = (const char *const[]){"lag_seconds", "pending", "failed", "pending_bytes",
	             "lag_bytes", "last_verified", "last_findings", NULL};
	        *name; name++)
		assert_true(json_is_null(json_object_get(item, *name)));
	assert_int_equal(number(item, "lost_segments"), 2);
	_cleanup_(json_decrefp) json_t *sum = backups_summary_json(&status, 1);
	assert_true(json_is_null(json_object_get(sum, "lag_seconds")));
	status.verified_ns = 1795867200 * SECOND;
	status.verify_findings = 3;
	_cleanup_(json_decrefp) json_t *verified = backups_target_json(&status, true);
	assert_string_equal(text(verified, "last_verified"), "2026-11-28T12:00:00Z");
	assert_int_equal(number(verified, "last_findings"), 3);
}

static void zones_are_named_and_none_means_all(void **state) {
	static struct backup_status status;
	(void)state;
	make(&status, "file:///backup");
	_cleanup_(json_decrefp) json_t *all = backups_target_json(&status, true);
	assert_int_equal(json_array_size(json_object_get(all, "zones")), 3);
	status.target.zones = 1u << 3;
	_cleanup_(json_decrefp) json_t *one = backups_target_json(&status, true);
	assert_int_equal(json_array_size(json_object_get(one, "zones")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(one, "zones"), 0)), "Trusted");
}

static void a_prefix_is_a_name_and_not_told_to_everybody(void **state) {
	static struct backup_status status;
	(void)state;
	make(&status, "file:///backup");
	_cleanup_(json_decrefp) json_t *none = backups_target_json(&status, false);
	assert_string_equal(text(none, "prefix"), "");
	(void)snprintf(status.target.prefix, sizeof status.target.prefix, "secret/project");
	_cleanup_(json_decrefp) json_t *hidden = backups_target_json(&status, false);
	assert_true(json_is_null(json_object_get(hidden, "prefix")));
	_cleanup_(json_decrefp) json_t *told = backups_target_json(&status, true);
	assert_string_equal(text(told, "prefix"), "secret/project");
}

static void the_summary_is_of_the_worst(void **state) {
	static struct backup_status list[3];
	(void)state;
	for (size_t i = 0; i < 3; i++)
		make(&list[i], "file:///backup");
	list[0].state = BACKUP_IDLE;
	list[0].lag_ns = 0;
	list[1].state = BACKUP_FAILED;
	list[1].failed_versions = 5;
	list[1].lag_ns = 90 * SECOND;
	list[2].state = BACKUP_RETRYING;
	list[2].pending_bytes = 1 << 30;
	_cleanup_(json_decrefp) json_t *sum = backups_summary_json(list, 3);
	assert_int_equal(number(sum, "targets"), 3);
	assert_string_equal(text(sum, "state"), "failed");
	assert_int_equal(number(sum, "failed"), 5);
	assert_int_equal(number(sum, "lag_bytes"), 1 << 30);
	assert_true(json_real_value(json_object_get(sum, "lag_seconds")) == 90);
	_cleanup_(json_decrefp) json_t *good = backups_summary_json(list, 1);
	assert_string_equal(text(good, "state"), "idle");
	assert_true(json_real_value(json_object_get(good, "lag_seconds")) == 0);
	_cleanup_(json_decrefp) json_t *none = backups_summary_json(NULL, 0);
	assert_true(json_is_null(none));
}

static void without_a_backup_there_are_no_targets(void **state) {
	struct backup_status *list = (struct backup_status *)0x1;
	size_t count = 7;
	(void)state;
	assert_int_equal(backups_status(NULL, &list, &count), 0);
	assert_null(list);
	assert_int_equal(count, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_target_tells_how_far_it_is_and_no_secret),
	        cmocka_unit_test(what_is_not_known_yet_is_null),
	        cmocka_unit_test(zones_are_named_and_none_means_all),
	        cmocka_unit_test(a_prefix_is_a_name_and_not_told_to_everybody),
	        cmocka_unit_test(the_summary_is_of_the_worst),
	        cmocka_unit_test(without_a_backup_there_are_no_targets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
