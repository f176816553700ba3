/* Shipping to a directory: what comes there, in what order, and what failures do. */
#include "tests/backend/backup_fixture.h"

#include "backend/audit.h"
#include "backend/backup/inventory.h"
#include "backend/backup/targets.h"
#include "crypto/base/deadline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void all_that_is_committed_is_there_when_sync_returns(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	backup_world_file(w, "a", 100000, 1);
	assert_rc(backup_world_add(w, &rule));
	assert_int_equal(rule.number, 1);
	backup_world_sync(w);
	assert_true(backup_world_check(w) >= 1);
	backup_world_file(w, "b", 40 << 20, 2);
	backup_world_sync(w);
	assert_true(backup_world_check(w) >= 2);
	const struct backup_status *status = backup_world_status(w);
	assert_int_equal(status->state, BACKUP_IDLE);
	assert_int_equal(status->pending_bytes, 0);
	assert_int_equal(status->pending_versions, 0);
	assert_int_equal(status->lag_ns, 0);
	assert_true(status->shipped_bytes > 40 << 20);
	assert_true(status->commit == store_durable_commit(w->v->store));
	assert_string_equal(status->target.secret_key, "");
}

static void an_idle_vault_ships_nothing(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	assert_rc(backup_world_add(w, &rule));
	backup_world_file(w, "a", 1000, 1);
	backup_world_sync(w);
	scratch_sleep_ms(1500); /* the log's head is signed by a commit of its own */
	backup_world_sync(w);
	size_t supers = backup_world_check(w);
	uint64_t commit = store_durable_commit(w->v->store);
	unsigned puts = w->failing.puts;
	scratch_sleep_ms(500);
	assert_int_equal(store_durable_commit(w->v->store), commit);
	assert_int_equal(w->failing.puts, puts);
	assert_int_equal(backup_world_check(w), supers);
	/* Nor does another mount of the backup, but what it committed itself. */
	backup_world_reopen(w);
	backup_world_sync(w);
	assert_int_equal(w->failing.puts, puts);
}

static void a_commit_is_shipped_without_being_asked_for(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	backup_world_file(w, "a", 1000, 1);
	uint64_t commit = store_durable_commit(w->v->store);
	int64_t until = monotonic_ms() + 10000;
	while (backup_world_status(w)->commit < commit && monotonic_ms() < until)
		scratch_sleep_ms(5);
	assert_true(backup_world_status(w)->commit >= commit);
}

static void a_version_is_pending_until_it_is_there(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", 1), BACKUP_NONE);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	w->failing.rc = -ETIMEDOUT;
	w->failing.after = 0;
	backup_world_file(w, "a", 1000, 1);
	uint64_t commit = store_durable_commit(w->v->store);
	scratch_sleep_ms(100);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", commit), BACKUP_PENDING);
	assert_int_equal(backup_world_status(w)->pending_versions, 1);
	assert_true(backup_world_status(w)->pending_bytes > 0);
	assert_true(backup_world_status(w)->lag_ns > 0);
	w->failing.rc = -EACCES;
	assert_int_equal(backup_sync(w->backup, NULL, 20000), -EACCES);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", commit), BACKUP_FAILED_VERSION);
	assert_int_equal(backup_world_status(w)->state, BACKUP_FAILED);
	assert_int_equal(backup_world_status(w)->failed_versions, 1);
	assert_non_null(strstr(backup_world_status(w)->trouble, "the place fails"));
	w->failing.after = -1;
	backup_world_sync(w);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", commit), BACKUP_COMPLETED);
	assert_string_equal(backup_world_status(w)->trouble, "");
	assert_true(backup_world_status(w)->retries > 0);
}

static void lost_answers_and_failures_are_caught_up_with(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	assert_rc(backup_world_add(w, &rule));
	for (int i = 0; i < 12; i++) {
		char name[16];
		w->failing.every = i % 3 == 0 ? 3 : 0;
		w->failing.lose_every = i % 3 == 1 ? 2 : 0;
		(void)snprintf(name, sizeof name, "%d", i);
		backup_world_file(w, name, 70000, (uint8_t)i);
		scratch_sleep_ms(60);
		w->failing.every = w->failing.lose_every = 0;
		backup_world_sync(w);
		backup_world_check(w);
	}
}

static void a_place_that_hangs_keeps_nobody(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	w->failing.hangs = true;
	backup_world_file(w, "a", 1000, 1);
	assert_int_equal(backup_sync(w->backup, NULL, 100), -ETIME);
	int64_t began = monotonic_ms();
	backup_close(w->backup, 200);
	assert_true(monotonic_ms() - began < 5000);
	w->failing.hangs = false;
	assert_rc(backup_open(w->v->store, &w->options, &w->backup));
	backup_world_sync(w);
	backup_world_check(w);
}

static void closing_ships_what_is_committed(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	w->options.rpo_ms = 3600 * 1000;
	backup_world_reopen(w);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	backup_world_file(w, "a", 1000, 1);
	uint64_t commit = store_durable_commit(w->v->store);
	assert_true(backup_world_status(w)->commit < commit);
	backup_close(w->backup, 20000);
	assert_rc(backup_open(w->v->store, &w->options, &w->backup));
	int64_t until = monotonic_ms() + 10000;
	while (backup_world_status(w)->commit == 0 && monotonic_ms() < until)
		scratch_sleep_ms(5);
	assert_true(backup_world_status(w)->commit >= commit);
}

static void a_place_with_another_vaults_backup_is_refused(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0}, again = {0};
	struct backup_world *other = NULL;
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	assert_int_equal(backup_world_setup((void **)&other), 0);
	(void)snprintf(other->url, sizeof other->url, "%s", w->url);
	assert_int_equal(backup_world_add(other, &again), -EEXIST);
	assert_non_null(strstr(fault_message(), "another vault"));
	assert_int_equal(backup_status(other->backup, NULL, 0), 0);
	assert_int_equal(backup_world_teardown((void **)&other), 0);
	backup_world_file(w, "a", 1000, 1);
	backup_world_sync(w);
	backup_world_check(w);
}

static void an_older_copy_of_the_vault_does_not_ship_over_the_newer(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	char command[400];
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	backup_close(w->backup, 0);
	w->backup = NULL;
	assert_rc(store_close(w->v->store));
	(void)snprintf(command, sizeof command, "cp -a %s %s.old", w->v->vault, w->v->vault);
	assert_int_equal(system(command), 0);
	assert_rc(test_vault_open(w->v->vault, &w->v->options, &w->v->store));
	assert_rc(backup_open(w->v->store, &w->options, &w->backup));
	backup_world_file(w, "new", 1000, 1);
	backup_world_sync(w);
	backup_close(w->backup, 0);
	assert_rc(store_close(w->v->store));
	(void)snprintf(command, sizeof command, "rm -r %s && mv %s.old %s", w->v->vault, w->v->vault, w->v->vault);
	assert_int_equal(system(command), 0);
	assert_rc(test_vault_open(w->v->vault, &w->v->options, &w->v->store));
	assert_rc(backup_open(w->v->store, &w->options, &w->backup));
	unsigned puts = w->failing.puts;
	assert_int_equal(backup_sync(w->backup, NULL, 20000), -EEXIST);
	assert_int_equal(w->failing.puts, puts);
	assert_int_equal(backup_world_status(w)->state, BACKUP_FAILED);
}

static void a_copy_and_its_vault_do_not_overwrite_each_others_packs(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	char command[600], path[300];
	Store *copy = NULL;
	Backup *backup = NULL;
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	/* As a snapshot of the machine would: while it is mounted. */
	(void)snprintf(path, sizeof path, "%s.copy", w->v->vault);
	(void)snprintf(command, sizeof command, "cp -a %s %s", w->v->vault, path);
	assert_int_equal(system(command), 0);
	assert_rc(test_vault_open(path, &w->v->options, &copy));
	assert_rc(backup_open(copy, &w->options, &backup));
	assert_rc(backup_sync(backup, NULL, 20000));
	const char *place = w->url + strlen("file://");
	(void)snprintf(command, sizeof command, "cp -a %s %s.before", place, place);
	assert_int_equal(system(command), 0);
	backup_world_file(w, "new", 1000, 1);
	assert_int_equal(backup_sync(w->backup, NULL, 20000), -EEXIST);
	(void)snprintf(command, sizeof command, "diff -rq %s.before %s | grep differ", place, place);
	assert_int_not_equal(system(command), 0);
	backup_close(backup, 0);
	store_abandon(copy);
}

static void who_is_killed_goes_on_at_the_next_mount(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	assert_rc(backup_world_add(w, &rule));
	for (int i = 0; i < 10; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "k%d", i);
		w->failing.done = 0;
		w->failing.after = i;
		w->failing.rc = -EIO;
		backup_world_file(w, name, 30000, (uint8_t)i);
		scratch_sleep_ms(50);
		backup_close(w->backup, 0);
		test_vault_crash(w->v);
		w->failing.after = -1;
		assert_rc(backup_open(w->v->store, &w->options, &w->backup));
		backup_world_sync(w);
		backup_world_check(w);
	}
}

static void superblocks_that_are_not_genuine_are_passed_over(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	const struct objects_place place = {.url = w->url};
	_cleanup_(objects_closep) Objects *objects = NULL;
	char name[LAYOUT_NAME_BYTES];
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	uint64_t last = backup_world_status(w)->generation;
	assert_rc(objects_open(&place, &objects));
	for (uint64_t i = 1; i <= 3; i++) {
		layout_super_name(last + i, name);
		assert_rc(objects_put(objects, name, bytes_of_string("forged")));
	}
	assert_rc(objects_put(objects, "super/ffffffffffffffff", bytes_of_string("forged")));
	backup_world_file(w, "a", 1000, 1);
	backup_world_sync(w);
	assert_int_equal(backup_world_status(w)->generation, last + 4);
	backup_world_reopen(w);
	backup_world_file(w, "b", 1000, 1);
	backup_world_sync(w);
	assert_int_equal(backup_world_status(w)->generation, last + 5);
}

static size_t supers_of(struct backup_world *w) {
	const struct objects_place place = {.url = w->url};
	_cleanup_(objects_closep) Objects *objects = NULL;
	struct inventory there = {0};
	assert_rc(objects_open(&place, &objects));
	assert_rc(inventory_read(objects, &there));
	size_t count = there.super_count;
	inventory_clear(&there);
	return count;
}

/* Passes go on all the while: on a busy machine the first ones are gone before the last ones come. */
static void generations_that_are_not_kept_go_by_themselves(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	w->options.grace_s = 1;
	backup_world_reopen(w);
	assert_rc(backup_world_add(w, &rule));
	for (int i = 0; i < BACKUP_KEEP_LAST + 4; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "g%d", i);
		backup_world_file(w, name, 100, (uint8_t)i);
		backup_world_sync(w);
	}
	assert_true(backup_world_status(w)->generation >= BACKUP_KEEP_LAST + 4);
	int64_t until = monotonic_ms() + 60000;
	while ((supers_of(w) > BACKUP_KEEP_LAST + 2 || backup_world_status(w)->generations > BACKUP_KEEP_LAST + 2) &&
	        monotonic_ms() < until)
		scratch_sleep_ms(50);
	/* Nothing goes while what is there is read. */
	size_t generations = backup_world_status(w)->generations;
	backup_close(w->backup, 0);
	w->backup = NULL;
	assert_in_range(generations, BACKUP_KEEP_LAST, BACKUP_KEEP_LAST + 2);
	assert_in_range(backup_world_check(w), BACKUP_KEEP_LAST, BACKUP_KEEP_LAST + 2);
	assert_rc(backup_open(w->v->store, &w->options, &w->backup));
	backup_world_sync(w);
}

struct heard {
	_Atomic unsigned count[BACKUP_NOTICE_LOST + 1];
};

static void hear(void *arg, enum backup_notice kind, const struct backup_status *status, const char *words) {
	struct heard *heard = arg;
	(void)status;
	(void)words;
	heard->count[kind]++;
}

static void wait_for_notice(const struct heard *heard, enum backup_notice kind) {
	int64_t until = monotonic_ms() + 60000;
	while (heard->count[kind] == 0 && monotonic_ms() < until)
		scratch_sleep_ms(20);
	assert_int_equal(heard->count[kind], 1);
}

/* Once it is told that it fails, and once that it works again; shipping goes on, and never had any trouble. */
static void a_pass_that_fails_is_told_and_said_to_fail(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	struct heard heard = {0};
	const struct objects_place place = {.url = w->url};
	_cleanup_(objects_closep) Objects *objects = NULL;
	w->options.grace_s = 1;
	w->options.notice = hear;
	w->options.notice_arg = &heard;
	backup_world_reopen(w);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	assert_rc(objects_open(&place, &objects));
	assert_rc(objects_put(objects, "super/fffffffffffffff0", bytes_of_string("forged")));
	wait_for_notice(&heard, BACKUP_NOTICE_PASS_FAILED);
	assert_non_null(strstr(backup_world_status(w)->pass_trouble, "super/fffffffffffffff0"));
	assert_string_equal(backup_world_status(w)->trouble, "");
	backup_world_file(w, "a", 1000, 1);
	backup_world_sync(w);
	assert_rc(objects_remove(objects, "super/fffffffffffffff0"));
	wait_for_notice(&heard, BACKUP_NOTICE_PASS_WORKS);
	assert_string_equal(backup_world_status(w)->pass_trouble, "");
	assert_int_equal(heard.count[BACKUP_NOTICE_PASS_FAILED], 1);
	assert_int_equal(heard.count[BACKUP_NOTICE_FAILS] + heard.count[BACKUP_NOTICE_WORKS], 0);
	backup_close(w->backup, 0);
	w->backup = NULL;
}

static void put_away(struct backup_world *w, uint32_t number, char ret_path[static 400], char ret_away[static 410]) {
	char name[SEGMENT_NAME_BYTES];
	assert_rc(segment_name(store_segments(w->v->store), number, name));
	(void)snprintf(ret_path, 400, "%s/%s", w->v->vault, name);
	(void)snprintf(ret_away, 410, "%s.away", ret_path);
	assert_int_equal(rename(ret_path, ret_away), 0);
}

static void a_segment_that_cannot_be_read_is_told_until_it_is_there(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	char path[400], away[410];
	backup_world_file(w, "a", 300000, 1);
	put_away(w, 1, path, away);
	assert_rc(backup_world_add(w, &rule));
	assert_int_equal(backup_sync(w->backup, NULL, 20000), -EIO);
	const struct backup_status *status = backup_world_status(w);
	assert_int_equal(status->state, BACKUP_FAILED);
	assert_int_equal(status->lost_segments, 1);
	assert_true(status->pending_bytes > 0);
	assert_true(status->generation > 0);
	assert_non_null(strstr(status->trouble, "can't be read here"));
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", 1), BACKUP_FAILED_VERSION);
	/* The rest goes on, and says the same. */
	backup_world_file(w, "b", 1000, 2);
	assert_int_equal(backup_sync(w->backup, NULL, 20000), -EIO);
	/* It comes back without any commit. */
	assert_int_equal(rename(away, path), 0);
	int64_t until = monotonic_ms() + 10000;
	while (backup_world_status(w)->lost_segments > 0 && monotonic_ms() < until)
		scratch_sleep_ms(5);
	backup_world_sync(w);
	assert_int_equal(backup_world_status(w)->pending_bytes, 0);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", 1), BACKUP_COMPLETED);
	backup_world_check(w);
}

static void nothing_is_said_of_a_place_that_was_not_listed(void **state) {
	struct backup_world *w = *state;
	struct backup_target rule = {0};
	backup_world_file(w, "a", 1000, 1);
	assert_rc(backup_world_add(w, &rule));
	backup_world_sync(w);
	uint64_t before = store_durable_commit(w->v->store);
	w->failing.rc = -ETIMEDOUT;
	w->failing.every = 1;
	backup_world_reopen(w);
	assert_int_equal(backup_sync(w->backup, NULL, 100), -ETIME);
	assert_false(backup_world_status(w)->is_known);
	assert_int_equal(backup_world_status(w)->lag_ns, 0);
	assert_int_equal(backup_world_status(w)->pending_versions, 0);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", before), BACKUP_UNKNOWN);
	assert_string_equal(backup_replication_word(BACKUP_UNKNOWN), "");
	/* What came since is not there for sure. */
	backup_world_file(w, "b", 1000, 1);
	scratch_sleep_ms(20);
	assert_true(backup_world_status(w)->lag_ns > 0);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "b", before + 1), BACKUP_PENDING);
	w->failing.every = 0;
	backup_world_sync(w);
	assert_true(backup_world_status(w)->is_known);
	assert_int_equal(backup_world_replication(w, ZONE_LANDING, "a", before), BACKUP_COMPLETED);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        backup_world_test(all_that_is_committed_is_there_when_sync_returns),
	        backup_world_test(an_idle_vault_ships_nothing),
	        backup_world_test(a_commit_is_shipped_without_being_asked_for),
	        backup_world_test(a_version_is_pending_until_it_is_there),
	        backup_world_test(lost_answers_and_failures_are_caught_up_with),
	        backup_world_test(a_place_that_hangs_keeps_nobody),
	        backup_world_test(closing_ships_what_is_committed),
	        backup_world_test(a_place_with_another_vaults_backup_is_refused),
	        backup_world_test(an_older_copy_of_the_vault_does_not_ship_over_the_newer),
	        backup_world_test(a_copy_and_its_vault_do_not_overwrite_each_others_packs),
	        backup_world_test(superblocks_that_are_not_genuine_are_passed_over),
	        backup_world_test(generations_that_are_not_kept_go_by_themselves),
	        backup_world_test(a_pass_that_fails_is_told_and_said_to_fail),
	        backup_world_test(a_segment_that_cannot_be_read_is_told_until_it_is_there),
	        backup_world_test(nothing_is_said_of_a_place_that_was_not_listed),
	        backup_world_test(who_is_killed_goes_on_at_the_next_mount),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
