/* The rules of a backup: how they are kept, what they take, and which can't be. */
#include "tests/backend/backup_fixture.h"

#include "backend/backup/inventory.h"
#include "backend/backup/targets.h"
#include "crypto/base/deadline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void targets_are_kept_and_forgotten(void **state) {
	struct backup_world *w = *state;
	const struct actor actor = {.uid = 7, .exe = "test"};
	struct backup_target rule = {.zones = 1u << ZONE_RAW, .secret_key = "secret"};
	assert_rc(backup_world_add(w, &rule));
	backup_world_reopen(w);
	assert_int_equal(backup_world_status(w)->target.zones, 1u << ZONE_RAW);
	assert_string_equal(backup_world_status(w)->target.url, w->url);
	assert_string_equal(backup_world_status(w)->target.secret_key, "");
	/* The same URL changes the rule. */
	rule.zones = 0;
	(void)snprintf(rule.url, sizeof rule.url, "%s/", w->url);
	assert_rc(backup_add(w->backup, &rule, true, &actor));
	assert_int_equal(rule.number, 1);
	assert_int_equal(backup_world_status(w)->target.zones, 0);
	backup_world_sync(w);
	assert_rc(backup_remove(w->backup, w->url, &actor));
	assert_int_equal(backup_remove(w->backup, w->url, &actor), -ENOENT);
	assert_int_equal(backup_status(w->backup, NULL, 0), 0);
	assert_rc(backup_sync(w->backup, NULL, 1000));
	backup_world_check(w);
	backup_world_reopen(w);
	assert_int_equal(backup_status(w->backup, NULL, 0), 0);
}

static void rules_that_cannot_be_are_refused(void **state) {
	struct backup_world *w = *state;
	const struct actor actor = {.uid = 7, .exe = "test"};
	struct backup_target rule = {.url = "ftp://x"}, zone = {.zones = 1u << 9}, prefix = {.prefix = "/a"};
	assert_int_equal(backup_add(w->backup, &rule, true, &actor), -EINVAL);
	assert_int_equal(backup_world_add(w, &zone), -EINVAL);
	assert_int_equal(backup_world_add(w, &prefix), -EINVAL);
	(void)snprintf(rule.url, sizeof rule.url, "file://%s/none", w->v->path);
	assert_int_equal(backup_add(w->backup, &rule, false, &actor), -ENOENT);
	assert_int_equal(backup_status(w->backup, NULL, 0), 0);
}

static void only_segments_of_the_rules_zones_are_shipped(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {.zones = 1u << ZONE_TRUSTED};
	struct inventory there = {0};
	const struct objects_place place = {.url = w->url};
	_cleanup_(objects_closep) Objects *objects = NULL;
	backup_world_file(w, "a", 100000, 1);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	assert_rc(objects_open(&place, &objects));
	assert_rc(inventory_read(objects, &there));
	assert_int_equal(there.segment_count, 0);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", 1), BACKUP_NONE);
	assert_int_equal(backup_world_replication(w, ZONE_TRUSTED, "a", 1), BACKUP_COMPLETED);
	rule.zones = 1u << ZONE_LANDING;
	assert_rc(backup_world_add(w, &rule));
	backup_world_file(w, "b", 1000, 1);
	backup_world_sync(w);
	assert_rc(inventory_read(objects, &there));
	assert_true(there.segment_count > 0);
	backup_world_check(w);
	inventory_clear(&there);
}

static void a_zone_that_is_added_is_not_there_before_it_was_shipped(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {.zones = 1u << ZONE_TRUSTED}, all = {0};
	backup_world_file(w, "a", 100000, 1);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	uint64_t commit = store_durable_commit(w->v->store);
	w->failing.rc = -ETIMEDOUT;
	w->failing.fails_puts = true;
	assert_rc(backup_world_add(w, &all));
	assert_int_equal(backup_sync(w->backup, NULL, 300), -ETIME);
	assert_int_equal(backup_world_status(w)->commit, 0);
	assert_true(backup_world_status(w)->pending_bytes >= 100000);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", commit), BACKUP_PENDING);
	w->failing.fails_puts = false;
	backup_world_sync(w);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", commit), BACKUP_COMPLETED);
	backup_world_check(w);
}

static void what_is_not_given_anew_stays_in_the_rule(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {.zones = 1u << ZONE_RAW, .access_key = "key", .secret_key = "secret"};
	struct backup_target again = {.kept = BACKUP_KEEP_ZONES | BACKUP_KEEP_CREDENTIALS | BACKUP_KEEP_LOCK_DAYS};
	assert_rc(backup_world_add(w, &rule));
	assert_true(backup_world_status(w)->has_credentials);
	assert_rc(backup_world_add(w, &again));
	assert_int_equal(backup_world_status(w)->target.zones, 1u << ZONE_RAW);
	assert_string_equal(again.secret_key, "secret");
	struct backup_target anew = {.kept = BACKUP_KEEP_ENDPOINT};
	assert_rc(backup_world_add(w, &anew));
	assert_int_equal(backup_world_status(w)->target.zones, 0);
	assert_false(backup_world_status(w)->has_credentials);
}

static void a_place_in_the_vault_is_no_target(void **state) {
	struct backup_world *w = *state;
	const struct actor actor = {.uid = 7, .exe = "test"};
	struct backup_target rule = {0};
	(void)snprintf(rule.url, sizeof rule.url, "file://%s/backup", w->v->vault);
	assert_int_equal(backup_add(w->backup, &rule, true, &actor), -EINVAL);
	assert_non_null(strstr(fault_message(), "in the vault itself"));
	assert_rc(backup_world_add(w, &(struct backup_target){0}));
	(void)snprintf(rule.url, sizeof rule.url, "%s/inner", w->url);
	assert_int_equal(backup_add(w->backup, &rule, true, &actor), -EINVAL);
	assert_int_equal(backup_status(w->backup, NULL, 0), 1);
}

static void wait_until_failed(struct backup_world *w, const char *words) {
	int64_t until = monotonic_ms() + 10000;
	while (!strstr(backup_world_status(w)->trouble, words) && monotonic_ms() < until)
		scratch_sleep_ms(5);
	assert_int_equal(backup_world_status(w)->state, BACKUP_FAILED);
	assert_non_null(strstr(backup_world_status(w)->trouble, words));
}

/* As a mount point is whose disk is not mounted. */
static void put_another_directory(struct backup_world *w) {
	char away[120];
	(void)snprintf(away, sizeof away, "%s.away", w->place);
	assert_int_equal(rename(w->place, away), 0);
	assert_int_equal(mkdir(w->place, 0700), 0);
}

static void nothing_is_put_where_the_disk_is_not_mounted(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	backup_world_file(w, "a", 1000, 1);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	put_another_directory(w);
	backup_world_file(w, "b", 1000, 1);
	/* The rule is young, but this mount has seen what was there. */
	int64_t until = monotonic_ms() + 10000;
	while (backup_world_status(w)->retries == 0 && monotonic_ms() < until)
		scratch_sleep_ms(5);
	Meta *m = store_meta(w->v->store);
	rule.added_ns = 1;
	meta_begin(m);
	assert_rc(meta_end(m, target_put(m, &rule)));
	backup_world_reopen(w);
	wait_until_failed(w, "is empty");
	assert_int_equal(rmdir(w->place), 0);
	/* Unless somebody says that it may be. */
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	backup_world_check(w);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        backup_world_test(targets_are_kept_and_forgotten),
	        backup_world_test(rules_that_cannot_be_are_refused),
	        backup_world_test(only_segments_of_the_rules_zones_are_shipped),
	        backup_world_test(a_zone_that_is_added_is_not_there_before_it_was_shipped),
	        backup_world_test(what_is_not_given_anew_stays_in_the_rule),
	        backup_world_test(a_place_in_the_vault_is_no_target),
	        backup_world_test(nothing_is_put_where_the_disk_is_not_mounted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
