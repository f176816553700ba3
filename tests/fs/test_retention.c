/* What the policy says of old records, done by the mount itself. */
#include "fs/retention.h"

#include "backend/audit.h"
#include "backend/audit_retain.h"
#include "tests/backend/test_vault.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_NS (INT64_C(86400) * 1000000000)

struct world {
	struct test_vault *v;
	struct retention_rules rules;
	_Atomic unsigned asked;
};

static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	void *vault = NULL;
	assert_non_null(w);
	assert_int_equal(test_vault_setup(&vault), 0);
	w->v = vault;
	*state = w;
	return 0;
}

static int teardown(void **state) {
	struct world *w = *state;
	void *vault = w->v;
	assert_int_equal(test_vault_teardown(&vault), 0);
	free(w);
	return 0;
}

static void record_many(struct world *w, int count) {
	Meta *m = store_meta(w->v->store);
	const struct audit_event event = {.event = "open", .path = "Landing/a", .actor = {.exe = "cp"}};
	for (int i = 0; i < count; i++) {
		meta_begin(m);
		assert_rc(meta_end(m, audit_record(m, &event, NULL)));
	}
	assert_rc(store_commit_wait(w->v->store));
}

/* {archived, shipped, pruned} */
static int count_one(void *arg, const struct audit_archived *archived) {
	unsigned *count = arg;
	count[0]++;
	count[1] += archived->shipped_ns != 0;
	count[2] += archived->pruned;
	return 0;
}

static void expect(struct world *w, unsigned archived, unsigned shipped, unsigned pruned) {
	unsigned count[3] = {0};
	Meta *m = store_meta(w->v->store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_retain_list(m, count_one, count)));
	assert_int_equal(count[0], archived);
	assert_int_equal(count[1], shipped);
	assert_int_equal(count[2], pruned);
}

/* As it will be so many days from now. */
static int round_in(struct world *w, int days, const _Atomic bool *stop) {
	return retention_round(w->v->store, &w->rules, meta_now(store_meta(w->v->store)) + days * DAY_NS, stop);
}

static size_t files_in(const char *path) {
	DIR *dir = opendir(path);
	size_t count = 0;
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += strstr(entry->d_name, ".sealed") != NULL;
	closedir(dir);
	return count;
}

static void each_step_is_done_when_its_day_has_come(void **state) {
	struct world *w = *state;
	record_many(w, 600);
	w->rules = (struct retention_rules){.archive_after_days = 7, .keep_days = 30};
	(void)snprintf(w->rules.ship, sizeof w->rules.ship, "%s", w->v->path);
	assert_rc(round_in(w, 0, NULL));
	assert_rc(round_in(w, 6, NULL));
	expect(w, 0, 0, 0);
	assert_rc(round_in(w, 7, NULL));
	expect(w, 1, 1, 0);
	assert_int_equal(files_in(w->v->path), 1);
	assert_rc(round_in(w, 29, NULL));
	expect(w, 1, 1, 0);
	assert_rc(round_in(w, 31, NULL));
	expect(w, 1, 1, 1);
	assert_rc(round_in(w, 31, NULL));
	expect(w, 1, 1, 1);
}

static void without_a_rule_nothing_is_done(void **state) {
	struct world *w = *state;
	record_many(w, 600);
	assert_rc(round_in(w, 1000, NULL));
	expect(w, 0, 0, 0);
	w->rules.archive_after_days = 1;
	assert_rc(round_in(w, 1000, NULL));
	expect(w, 1, 0, 0);
}

static void a_round_that_is_stopped_leaves_the_rest(void **state) {
	struct world *w = *state;
	const _Atomic bool stop = true;
	record_many(w, 600);
	w->rules.archive_after_days = 1;
	assert_rc(round_in(w, 1000, &stop));
	expect(w, 0, 0, 0);
}

static void what_can_not_be_shipped_is_not_pruned(void **state) {
	struct world *w = *state;
	record_many(w, 600);
	w->rules = (struct retention_rules){.archive_after_days = 1, .keep_days = 1};
	(void)snprintf(w->rules.ship, sizeof w->rules.ship, "%s/nowhere", w->v->path);
	assert_int_equal(round_in(w, 10, NULL), -ENOENT);
	assert_non_null(strstr(fault_message(), "shipping"));
	expect(w, 1, 0, 0);
	w->rules.ship[0] = '\0';
	assert_int_equal(round_in(w, 10, NULL), -ESTALE);
	expect(w, 1, 0, 0);
}

/* ---- the thread ---- */

static void tell(void *arg, struct retention_rules *ret) {
	struct world *w = arg;
	*ret = w->rules;
	atomic_fetch_add(&w->asked, 1);
}

static void wait_until_asked(struct world *w, unsigned times) {
	for (int i = 0; i < 5000 && atomic_load(&w->asked) < times; i++)
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	assert_true(atomic_load(&w->asked) >= times);
}

static int count_failure(void *arg, const struct audit_entry *entry) {
	unsigned *count = arg;
	assert_non_null(strstr(entry->event.detail, "shipping records of the log: finding "));
	assert_int_equal(entry->event.err, ENOENT);
	(*count)++;
	return 0;
}

static void the_thread_goes_round_and_tells_a_failure_once_a_day(void **state) {
	struct world *w = *state;
	Retention *retention = NULL;
	const struct retention_options options = {
	        .store = w->v->store, .rules = tell, .arg = w, .first_ms = 1, .every_ms = 1};
	const struct audit_filter filter = {.event = "log-archive", .outcome = "error"};
	const struct actor actor = {.exe = "test"};
	struct audit_archived archived;
	unsigned failures = 0;
	Meta *m = store_meta(w->v->store);
	record_many(w, 600);
	assert_int_equal(audit_retain_archive(w->v->store, INT64_MAX, &actor, &archived), 1);
	w->rules.archive_after_days = 1;
	(void)snprintf(w->rules.ship, sizeof w->rules.ship, "%s/nowhere", w->v->path);
	assert_rc(retention_start(&options, &retention));
	wait_until_asked(w, 4);
	retention_stop(retention);
	expect(w, 1, 0, 0);
	meta_begin(m);
	assert_rc(meta_end(m, audit_query(m, &filter, count_failure, &failures)));
	assert_int_equal(failures, 1);
	/* and what stood in its way is gone */
	(void)snprintf(w->rules.ship, sizeof w->rules.ship, "%s", w->v->path);
	atomic_store(&w->asked, 0);
	assert_rc(retention_start(&options, &retention));
	wait_until_asked(w, 2);
	retention_stop(retention);
	expect(w, 1, 1, 0);
}

static void the_thread_ends_at_once_while_it_waits(void **state) {
	struct world *w = *state;
	Retention *retention = NULL;
	const struct retention_options options = {.store = w->v->store, .rules = tell, .arg = w};
	assert_rc(retention_start(&options, &retention));
	retention_stop(retention);
	assert_int_equal(atomic_load(&w->asked), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        TEST(each_step_is_done_when_its_day_has_come),
	        TEST(without_a_rule_nothing_is_done),
	        TEST(a_round_that_is_stopped_leaves_the_rest),
	        TEST(what_can_not_be_shipped_is_not_pruned),
	        TEST(the_thread_goes_round_and_tells_a_failure_once_a_day),
	        TEST(the_thread_ends_at_once_while_it_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
