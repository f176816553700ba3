/* The log's signed heads as the store makes them: when, how durable, and what is remembered outside of the vault. */
#include "backend/audit.h"
#include "backend/audit_head.h"
#include "backend/last_seen.h"
#include "backend/store_internal.h"
#include "tests/backend/test_vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct world {
	struct test_vault vault; /* first: it is what the set-up of test_vault knows */
	char state[96];
	char words[1024]; /* of the last notice */
};

static void keep_notice(void *arg, const char *words) {
	struct world *w = arg;
	(void)snprintf(w->words, sizeof w->words, "%s", words);
}

static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	assert_non_null(w);
	test_vault_make(&w->vault);
	(void)snprintf(w->state, sizeof w->state, "%s/state", w->vault.path);
	w->vault.options = (struct store_options){.reserve_bytes = 8 << 20,
	        .state_directory = w->state,
	        .commit_ms = 100,
	        .notice = keep_notice,
	        .notice_arg = w};
	assert_rc(test_vault_open(w->vault.vault, &w->vault.options, &w->vault.store));
	*state = w;
	return 0;
}

static void record(struct world *w, int count) {
	const struct audit_event event = {.event = "open", .path = "Landing/a"};
	Meta *m = store_meta(w->vault.store);
	meta_begin(m);
	for (int i = 0; i < count; i++)
		assert_rc(audit_record(m, &event, NULL));
	assert_rc(meta_end(m, 0));
}

static uint64_t size_of(struct world *w) {
	Meta *m = store_meta(w->vault.store);
	meta_begin(m);
	uint64_t size = audit_size(m);
	assert_rc(meta_end(m, 0));
	return size;
}

static uint64_t signed_size(struct world *w) {
	Meta *m = store_meta(w->vault.store);
	struct audit_head head = {0};
	meta_begin(m);
	int rc = meta_end(m, audit_head_last(m, store_durable_seq(w->vault.store), &head));
	assert_true(rc == 0 || rc == -ENOENT);
	return head.checkpoint.size;
}

static int read_seen(struct world *w, struct last_seen *ret) {
	struct store_info info;
	store_info(w->vault.store, &info);
	return last_seen_read(w->state, bytes_of(info.vault_id, sizeof info.vault_id), ret);
}

static uint64_t size_in(const struct last_seen_branch *branch) {
	return strtoull(strchr((const char *)branch->note.data, '\n') + 1, NULL, 10);
}

/* The size of the head that stands outside, of the branch used last; 0: none. */
static uint64_t seen_size(struct world *w) {
	struct last_seen seen;
	if (read_seen(w, &seen) < 0)
		return 0;
	uint64_t size = size_in(&seen.branches[0]);
	last_seen_free(&seen);
	return size;
}

static bool comes_to(uint64_t (*ask)(struct world *), struct world *w, uint64_t wanted) {
	for (int i = 0; i < 400 && ask(w) != wanted; i++)
		scratch_sleep_ms(10);
	return ask(w) == wanted;
}

static void a_mount_begins_with_a_signed_head(void **state) {
	struct world *w = *state;
	assert_int_equal(signed_size(w), size_of(w));
	assert_int_equal(seen_size(w), size_of(w));
}

static void what_is_new_is_signed_soon_and_remembered(void **state) {
	struct world *w = *state;
	record(w, 10);
	assert_true(comes_to(signed_size, w, size_of(w)));
	assert_true(comes_to(seen_size, w, size_of(w)));
}

/* Commits that come often are not each signed; the last of them still is, though nothing comes after it. */
static void commits_in_a_row_share_a_signature(void **state) {
	struct world *w = *state;
	uint64_t heads = 0;
	for (int i = 0; i < 200; i++) {
		record(w, 1);
		assert_rc(store_commit_wait(w->vault.store));
	}
	assert_true(comes_to(signed_size, w, size_of(w)));
	assert_true(comes_to(seen_size, w, size_of(w)));
	Meta *m = store_meta(w->vault.store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_head_verify(m, store_keyring(w->vault.store), &heads)));
	assert_in_range(heads, 2, 150);
}

static void an_idle_vault_signs_nothing(void **state) {
	struct world *w = *state;
	uint64_t size = size_of(w);
	scratch_sleep_ms(400);
	struct meta_committed before, after;
	Meta *m = store_meta(w->vault.store);
	meta_begin(m);
	assert_rc(meta_end(m, meta_last_commit(m, &before)));
	scratch_sleep_ms(500);
	meta_begin(m);
	assert_rc(meta_end(m, meta_last_commit(m, &after)));
	assert_int_equal(before.commit, after.commit);
	assert_int_equal(size, size_of(w));
}

static void the_end_is_signed(void **state) {
	struct world *w = *state;
	record(w, 3);
	uint64_t size = size_of(w);
	assert_rc(store_close(w->vault.store));
	w->vault.options.read_only = true;
	assert_rc(test_vault_open(w->vault.vault, &w->vault.options, &w->vault.store));
	assert_int_equal(size_of(w), size + 1); /* the record of the end */
	assert_int_equal(signed_size(w), size + 1);
	assert_int_equal(seen_size(w), size + 1);
}

/* A crash may lose records that nobody acknowledged, never one that was signed where somebody could see it. */
static void a_crash_loses_nothing_that_was_seen(void **state) {
	struct world *w = *state;
	for (int i = 0; i < 20; i++) {
		record(w, 50);
		if (i % 3)
			scratch_sleep_ms(i * 7 % 120);
		uint64_t seen = seen_size(w);
		test_vault_crash(&w->vault);
		assert_true(size_of(w) >= seen);
	}
}

/* ---- an older copy ---- */

static void copy_vault(const struct world *w, const char *from, const char *to) {
	char command[512];
	(void)w;
	(void)snprintf(command, sizeof command, "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
}

/* Closes, keeps a copy, goes on, closes, and puts the copy back. */
static void put_back(struct world *w, int meanwhile) {
	char copy[96];
	(void)snprintf(copy, sizeof copy, "%s/copy", w->vault.path);
	assert_rc(store_close(w->vault.store));
	copy_vault(w, w->vault.vault, copy);
	assert_rc(test_vault_open(w->vault.vault, &w->vault.options, &w->vault.store));
	record(w, meanwhile);
	assert_rc(store_close(w->vault.store));
	w->vault.store = NULL;
	copy_vault(w, copy, w->vault.vault);
}

static int reopen(struct world *w) {
	return test_vault_open(w->vault.vault, &w->vault.options, &w->vault.store);
}

static bool has_event(struct world *w, const char *event) {
	char line[AUDIT_LINE_MAX + 1];
	bool found = false;
	Meta *m = store_meta(w->vault.store);
	meta_begin(m);
	for (uint64_t i = 0; i < audit_size(m); i++)
		found = found || (audit_render(m, i, line, sizeof line, NULL) == 0 && strstr(line, event));
	assert_rc(meta_end(m, 0));
	return found;
}

static void an_older_copy_is_refused_until_it_is_accepted(void **state) {
	struct world *w = *state;
	put_back(w, 5);
	assert_int_equal(reopen(w), -ESTALE);
	assert_non_null(strstr(fault_message(), "--accept-restore"));
	assert_int_equal(reopen(w), -ESTALE); /* asking changes nothing */
	w->vault.options.read_only = true;
	assert_int_equal(reopen(w), -ESTALE);
	w->vault.options.read_only = false;
	w->vault.options.accept_restore = true;
	assert_rc(reopen(w));
	assert_true(has_event(w, "accept-restore"));
	w->vault.options.accept_restore = false;
	test_vault_reopen(&w->vault);
}

/* The older copy went on elsewhere, and is longer by now: by its size it could be the same log. */
static void another_history_is_refused(void **state) {
	struct world *w = *state;
	put_back(w, 5);
	w->vault.options.state_directory = NULL;
	assert_rc(reopen(w));
	record(w, 100);
	assert_rc(store_close(w->vault.store));
	w->vault.store = NULL;
	w->vault.options.state_directory = w->state;
	assert_int_equal(reopen(w), -ESTALE);
	assert_non_null(strstr(fault_message(), "others than when"));
}

static void accepting_what_is_no_older_copy_records_nothing(void **state) {
	struct world *w = *state;
	w->vault.options.accept_restore = true;
	test_vault_reopen(&w->vault);
	assert_false(has_event(w, "accept-restore"));
}

static void what_stands_outside_and_is_no_head_of_this_vault_is_refused(void **state) {
	struct world *w = *state;
	struct store_info info;
	char path[160];
	store_info(w->vault.store, &info);
	assert_rc(store_close(w->vault.store));
	w->vault.store = NULL;
	assert_rc(last_seen_path(w->state, bytes_of(info.vault_id, sizeof info.vault_id), path, sizeof path));
	scratch_write(w->state, path + strlen(w->state) + 1, "nonsense\n", 9);
	assert_int_equal(reopen(w), -ESTALE);
	assert_non_null(strstr(fault_message(), "is not what the vault has signed"));
	w->vault.options.accept_restore = true;
	assert_rc(reopen(w));
	assert_true(has_event(w, "accept-restore"));
}

/* ---- branches ---- */

static const char *place(const struct world *w, const char *name, char room[static 96]) {
	(void)snprintf(room, 96, "%s/%s", w->vault.path, name);
	return room;
}

static void copy(const struct world *w, const char *from, const char *to) {
	char old[96], new[96];
	copy_vault(w, place(w, from, old), place(w, to, new));
}

/* Mounts the vault of that name, records so much, unmounts. */
static int go_on(struct world *w, const char *name, int count) {
	char path[96];
	int rc = test_vault_open(place(w, name, path), &w->vault.options, &w->vault.store);
	if (rc < 0)
		return rc;
	record(w, count);
	rc = store_close(w->vault.store);
	w->vault.store = NULL;
	return rc;
}

/* Mounted with that option, once. */
static int begin_branch(struct world *w, const char *name, bool *option) {
	*option = true;
	int rc = go_on(w, name, 3);
	*option = false;
	return rc;
}

static void close_it(struct world *w) {
	assert_rc(store_close(w->vault.store));
	w->vault.store = NULL;
	w->vault.options.gc_by_hand = true;
}

static void expect_refused(struct world *w, const char *name) {
	assert_int_equal(go_on(w, name, 1), -ESTALE);
	w->vault.options.read_only = true;
	assert_int_equal(go_on(w, name, 0), -ESTALE);
	w->vault.options.read_only = false;
}

/* An older copy was taken; what it was put in the place of turns up again. */
static void what_was_accepted_goes_on_beside_what_it_comes_from(void **state) {
	struct world *w = *state;
	close_it(w);
	copy(w, "vault", "old");
	assert_rc(go_on(w, "vault", 20));
	copy(w, "vault", "middle");
	assert_rc(go_on(w, "vault", 20));
	copy(w, "old", "drill");
	assert_rc(begin_branch(w, "drill", &w->vault.options.accept_restore));
	copy(w, "drill", "drill-1");
	for (int i = 0; i < 2; i++) {
		assert_rc(go_on(w, "vault", 2));
		assert_rc(go_on(w, "drill", 100));
	}
	expect_refused(w, "old");
	expect_refused(w, "middle");
	expect_refused(w, "drill-1");
	assert_rc(go_on(w, "vault", 1));
	assert_rc(go_on(w, "drill", 1));
}

/* A backup that had all: what was recovered has the live vault's head, and must not go on as that. */
static void a_recovery_of_the_newest_is_a_branch_of_its_own(void **state) {
	struct world *w = *state;
	struct last_seen seen;
	uint64_t size = size_of(w) + 1; /* the record of the end */
	close_it(w);
	copy(w, "vault", "live");
	copy(w, "vault", "drill");
	assert_rc(begin_branch(w, "drill", &w->vault.options.forks));
	copy(w, "drill", "drill-1");
	assert_rc(go_on(w, "drill", 5));
	expect_refused(w, "drill-1"); /* though it has the head at which the live one still is */
	assert_rc(go_on(w, "live", 5));
	expect_refused(w, "vault"); /* as it was at the recovery */
	assert_rc(go_on(w, "drill", 5));
	assert_rc(go_on(w, "live", 5));
	copy(w, "live", "vault");
	assert_rc(reopen(w));
	assert_rc(read_seen(w, &seen));
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.branches[0].since.size, 0);
	assert_true(seen.branches[1].since.size > size);
	last_seen_free(&seen);
}

/* As a crash's small fsyncs have it signed before anything is recorded: the log that it comes from has that head too,
 * and all that came later there would be taken for this branch. */
static void a_branch_begins_with_a_record_of_its_own(void **state) {
	struct world *w = *state;
	struct last_seen seen;
	Store *store = w->vault.store;
	uint64_t size = size_of(w);
	assert_true(comes_to(seen_size, w, size));
	store->head_forks = true;
	store->head_after = size;
	store->head_is_new = true;
	store_head_remember(store, false);
	assert_rc(read_seen(w, &seen));
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.branches[0].since.size, 0);
	last_seen_free(&seen);
	record(w, 1);
	assert_true(comes_to(seen_size, w, size + 1));
	assert_rc(read_seen(w, &seen));
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.branches[0].since.size, size + 1);
	assert_int_equal(size_in(&seen.branches[1]), size);
	last_seen_free(&seen);
}

/* A recovery of what was recovered: each has its own newest head, however deep. */
static void branches_have_branches(void **state) {
	struct world *w = *state;
	close_it(w);
	copy(w, "vault", "a");
	assert_rc(begin_branch(w, "a", &w->vault.options.forks));
	copy(w, "a", "b");
	copy(w, "a", "a-1");
	assert_rc(begin_branch(w, "b", &w->vault.options.forks));
	copy(w, "b", "b-1");
	assert_rc(go_on(w, "b", 50));
	assert_rc(go_on(w, "vault", 5));
	expect_refused(w, "b-1");
	assert_rc(go_on(w, "a", 5));
	expect_refused(w, "a-1");
	assert_rc(begin_branch(w, "a-1", &w->vault.options.accept_restore));
	assert_rc(go_on(w, "a", 5));
	assert_rc(go_on(w, "b", 5));
	assert_rc(go_on(w, "a-1", 5));
	assert_rc(go_on(w, "vault", 5));
}

/* Recovery upon recovery while the live vault is mounted: it is told of, however long ago, when it writes again. */
static void a_mounted_vault_stays_however_many_come(void **state) {
	struct world *w = *state;
	char name[16], path[96];
	close_it(w);
	copy(w, "vault", "was");
	Store *live;
	assert_rc(reopen(w));
	live = w->vault.store;
	for (int i = 0; i <= LAST_SEEN_BRANCHES; i++) {
		(void)snprintf(name, sizeof name, "drill-%d", i);
		copy(w, "was", name);
		assert_rc(begin_branch(w, name, &w->vault.options.accept_restore));
	}
	w->vault.store = live;
	record(w, 3);
	assert_rc(store_close(live));
	assert_rc(go_on(w, "vault", 1));
	assert_rc(go_on(w, name, 1));
	expect_refused(w, "drill-0"); /* no room: as if it were an older copy */
	expect_refused(w, "was");
	w->vault.options.read_only = true;
	assert_rc(test_vault_open(place(w, "vault", path), &w->vault.options, &w->vault.store));
}

/* The vault is as good as ever but for that; it is said once and not each second. */
static void where_nothing_can_be_kept_it_says_so_and_goes_on(void **state) {
	struct world *w = *state;
	scratch_write(w->vault.path, "a-file", "x", 1);
	assert_rc(store_close(w->vault.store));
	w->vault.store = NULL;
	(void)snprintf(w->state, sizeof w->state, "%s/a-file/state", w->vault.path);
	w->vault.options.state_directory = w->state;
	assert_rc(reopen(w));
	assert_non_null(strstr(w->words, "outside of the vault"));
	w->words[0] = '\0';
	record(w, 1);
	assert_true(comes_to(signed_size, w, size_of(w)));
	assert_rc(store_commit_wait(w->vault.store));
	assert_string_equal(w->words, "");
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_mount_begins_with_a_signed_head),
	        WORLD(what_is_new_is_signed_soon_and_remembered),
	        WORLD(commits_in_a_row_share_a_signature),
	        WORLD(an_idle_vault_signs_nothing),
	        WORLD(the_end_is_signed),
	        WORLD(a_crash_loses_nothing_that_was_seen),
	        WORLD(an_older_copy_is_refused_until_it_is_accepted),
	        WORLD(another_history_is_refused),
	        WORLD(accepting_what_is_no_older_copy_records_nothing),
	        WORLD(what_stands_outside_and_is_no_head_of_this_vault_is_refused),
	        WORLD(what_was_accepted_goes_on_beside_what_it_comes_from),
	        WORLD(a_recovery_of_the_newest_is_a_branch_of_its_own),
	        WORLD(a_branch_begins_with_a_record_of_its_own),
	        WORLD(branches_have_branches),
	        WORLD(a_mounted_vault_stays_however_many_come),
	        WORLD(where_nothing_can_be_kept_it_says_so_and_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
