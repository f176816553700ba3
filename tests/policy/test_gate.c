#include "policy/gate/gate.h"

#include "backend/content.h"
#include "backend/version.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A worker may not sleep. */
static void spin(void) {
	struct timespec now, until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec < until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec < until.tv_nsec));
}

/* A toy check, run in a real worker: content with BAD fails, with CRASH kills its worker, with SLOW takes a second, an
 * empty file fails. */
static int toy_check(const struct check_job *job, struct check_input *input, struct check_result *result) {
	(void)job;
	static char content[4096];
	size_t size = 0;
	ssize_t got;
	while ((got = input->read(input->context, content + size, sizeof content - 1 - size)) > 0)
		size += (size_t)got;
	content[size] = '\0';
	result->bytes_read = size;
	if (strstr(content, "CRASH"))
		abort();
	if (strstr(content, "SLOW"))
		spin();
	if (size == 0)
		return check_result_say(result, OUTCOME_FAILED, "empty");
	if (strstr(content, "BAD"))
		return check_result_say(result, OUTCOME_FAILED, "it says BAD");
	result->outcome = OUTCOME_PASSED;
	return check_result_add_rule(result, "RowCount > 0", OUTCOME_PASSED) ? 0 : -ENOMEM;
}

struct world {
	char directory[64], vault[96];
	Spawner *spawner;
	Store *store;
	Gate *gate;
};

static const struct actor somebody = {.uid = 1000, .gid = 1000, .pid = 42, .exe = "test"};
static const struct bytes passphrase = {.data = (const uint8_t *)"pass", .size = 4};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static void open_world(struct world *w) {
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = passphrase};
	struct store_options options = {.arrived = gate_recovered, .reserve_bytes = 1 << 20};
	struct spawner_options spawner = {.check = toy_check};
	assert_int_equal(spawner_start(&spawner, &w->spawner), 0);
	if (store_open(w->vault, &secret, &options, &w->store) < 0)
		fail_msg("store_open: %s", fault_message());
	assert_int_equal(gate_start(w->store, w->spawner, NULL, &w->gate), 0);
}

static void close_world(struct world *w) {
	gate_stop(w->gate);
	assert_int_equal(store_close(w->store), 0);
	spawner_stop(w->spawner);
	w->gate = NULL;
}

static int set_up(void **state) {
	struct world *w = calloc(1, sizeof *w);
	char recovery[STORE_RECOVERY_TEXT_BYTES];
	struct store_init_options options = {.argon_memory = 1 << 20, .argon_passes = 1, .without_recovery = true};
	snprintf(w->directory, sizeof w->directory, "/tmp/assayfs-gate-XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	snprintf(w->vault, sizeof w->vault, "%s/vault", w->directory);
	if (store_init(w->vault, passphrase, &options, recovery) < 0)
		fail_msg("store_init: %s", fault_message());
	open_world(w);
	*state = w;
	return 0;
}

static int tear_down(void **state) {
	struct world *w = *state;
	if (w->gate)
		close_world(w);
	nftw(w->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

static const char *const policy_yaml = "version: 1\n"
                                       "datasets:\n"
                                       "  - name: animals\n"
                                       "    match: \"animals/*.csv\"\n"
                                       "    rules: animals.dqdl\n"
                                       "    settle: 0s\n"
                                       "  - name: later\n"
                                       "    match: \"later/*.csv\"\n"
                                       "    rules: animals.dqdl\n"
                                       "    keep: \"State = 'Lost'\"\n"
                                       "    settle: 0s\n";

static void apply(struct world *w, const char *yaml) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	uint8_t *archive = NULL;
	size_t size = 0;
	uint64_t number;
	bool changed;
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, "policy.yaml", bytes_of_string(yaml)), 0);
	assert_int_equal(policy_bundle_put(bundle, "animals.dqdl", bytes_of_string("Rules = [ RowCount > 0 ]\n")), 0);
	assert_int_equal(policy_bundle_serialise(bundle, &archive, &size), 0);
	if (gate_apply(w->gate, bytes_of(archive, size), &somebody, "tester", &number, &changed) < 0)
		fail_msg("gate_apply: %s", fault_message());
	free(archive);
}

/* ---- what a mount would do ---- */

struct arriving {
	Gate *gate;
	const char *path;
};

static int arrive(Meta *m, const struct version *sealed, void *arg) {
	struct arriving *a = arg;
	return gate_arrived(a->gate, m, a->path, sealed->node, sealed->id, &somebody);
}

static uint64_t resolve(struct world *w, const char *path, struct node *ret_node) {
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = meta_end(m, tree_resolve(m, bytes_of_string(path), ret_node));
	assert_true(rc == 0 || rc == -ENOENT);
	return rc == 0 ? ret_node->id : 0;
}

static uint64_t make_name(struct world *w, const char *path) {
	struct node node, parent;
	char folder[256];
	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = '\0';
	Meta *m = store_meta(w->store);
	if (!resolve(w, folder, &parent)) {
		char *name = strrchr(folder, '/');
		*name++ = '\0';
		resolve(w, folder, &parent);
		meta_begin(m);
		struct node directory = {.mode = S_IFDIR | 0755};
		assert_int_equal(meta_end(m, tree_create(m, parent.id, bytes_of_string(name), &directory,
		                                     (struct bytes){0}, &parent)),
		        0);
	}
	if (resolve(w, path, &node))
		return node.id;
	meta_begin(m);
	struct node file = {.mode = S_IFREG | 0644, .uid = 1000, .gid = 1000};
	assert_int_equal(meta_end(m, tree_create(m, parent.id, bytes_of_string(strrchr(path, '/') + 1), &file,
	                                     (struct bytes){0}, &node)),
	        0);
	return node.id;
}

static void put(struct world *w, const char *path, const char *text) {
	_cleanup_(content_closep) Content *content = NULL;
	struct arriving a = {.gate = w->gate, .path = path};
	struct version sealed;
	assert_int_equal(content_open(w->store, make_name(w, path), 0, &content), 0);
	assert_int_equal(content_truncate(content, 0), 0);
	assert_int_equal(content_touch(content), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string(text)), 0);
	assert_int_equal(content_seal(content, ORIGIN_WRITE, 0, NULL, arrive, &a, &sealed), 0);
}

static void shows(struct world *w, const char *path, const char *expected) {
	_cleanup_(content_closep) Content *content = NULL;
	struct node node;
	char text[4096] = "";
	size_t got = 0;
	if (!resolve(w, path, &node)) {
		if (expected)
			fail_msg("%s is not there", path);
		return;
	}
	if (!expected)
		fail_msg("%s is there", path);
	assert_int_equal(content_open(w->store, node.id, node.version, &content), 0);
	assert_int_equal(content_read(content, 0, (uint8_t *)text, sizeof text - 1, &got), 0);
	assert_string_equal(text, expected);
}

static enum outcome outcome_of(struct world *w, const char *path) {
	struct node node;
	enum outcome outcome;
	assert_true(resolve(w, path, &node) != 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, gate_outcome(m, path, &node, &outcome, NULL)), 0);
	return outcome;
}

static int print_record(void *arg, const struct audit_entry *entry) {
	(void)arg;
	print_message("%.*s\n", (int)entry->line_length, entry->line);
	return 0;
}

/* With ASSAYFS_TEST_VERBOSE the log says what the gate did. */
static void settle(struct world *w) {
	if (gate_wait_idle(w->gate, 30) < 0)
		fail_msg("%s", fault_message());
	if (!getenv("ASSAYFS_TEST_VERBOSE"))
		return;
	struct audit_filter all = {0};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, audit_query(m, &all, print_record, NULL)), 0);
}

static int count_one(void *arg, const struct version *version) {
	(void)version;
	++*(unsigned *)arg;
	return 0;
}

static unsigned versions_of(struct world *w, const char *path) {
	struct node node;
	unsigned count = 0;
	assert_true(resolve(w, path, &node) != 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, version_list(m, node.id, count_one, &count)), 0);
	return count;
}

static int count_row(void *arg, const struct quarantine_row *row) {
	(void)row;
	++*(unsigned *)arg;
	return 0;
}

static unsigned quarantined(struct world *w) {
	unsigned count = 0;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, quarantine_list(m, 0, true, count_row, &count)), 0);
	return count;
}

/* ---- the tests ---- */

static void a_good_arrival_reaches_raw_and_trusted(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Raw/animals/a.csv", "good");
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
	assert_int_equal(outcome_of(w, "Raw/animals/a.csv"), OUTCOME_PASSED);
	assert_int_equal(outcome_of(w, "Trusted/animals/a.csv"), OUTCOME_PASSED);
}

static void a_bad_arrival_is_kept_in_raw_and_shown_nowhere(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	shows(w, "Raw/animals/a.csv", "BAD");
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
	assert_int_equal(quarantined(w), 1);
}

static void a_bad_second_version_leaves_the_good_one(void **state) {
	struct world *w = *state;
	enum outcome newer;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, gate_newer(m, "animals/a.csv", &newer)), 0);
	assert_int_equal(newer, OUTCOME_FAILED);
	put(w, "Landing/animals/a.csv", "better");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "better");
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 2);
	assert_int_equal(versions_of(w, "Raw/animals/a.csv"), 3);
}

static void the_same_content_again_is_a_delivery(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_equal(versions_of(w, "Raw/animals/a.csv"), 1);
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 1);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
}

static void what_no_dataset_governs_stays_in_landing(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/other/a.csv", "good");
	put(w, "Landing/animals/.a.csv.swp", "good"); /* and what the ignore list names */
	settle(w);
	shows(w, "Raw/other/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/other/a.csv"), OUTCOME_NONE);
	assert_int_equal(outcome_of(w, "Landing/animals/.a.csv.swp"), OUTCOME_NONE);
}

static void without_a_policy_nothing_passes(void **state) {
	struct world *w = *state;
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	apply(w, policy_yaml); /* from here on it is governed, and what waited is judged */
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

static void a_check_that_crashes_is_an_error_and_no_pass(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "CRASH");
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	shows(w, "Raw/animals/a.csv", "CRASH");
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_ERROR);
}

static void what_the_engine_can_not_do_yet_is_an_error(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/later/a.csv", "good");
	settle(w);
	shows(w, "Trusted/later/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/later/a.csv"), OUTCOME_ERROR);
}

static void a_queued_job_survives_a_crash(void **state) {
	struct world *w = *state;
	apply(w, "version: 1\n"
	         "datasets:\n"
	         "  - {name: animals, match: \"animals/*.csv\", rules: animals.dqdl, settle: 60m}\n");
	put(w, "Landing/animals/a.csv", "good");
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PENDING);
	assert_int_equal(store_commit_wait(w->store), 0);
	gate_stop(w->gate);
	store_abandon(w->store);
	spawner_stop(w->spawner);
	open_world(w);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PENDING);
	apply(w, policy_yaml); /* its arrival anew, without the hour's wait, takes the place of the one that was queued
	                        */
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

static int staged(struct world *w, const char *below, const char *text) {
	_cleanup_(content_closep) Content *content = NULL;
	struct node attributes = {.mode = S_IFREG | 0640, .zone = ZONE_STAGING}, node;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_create_orphan(m, &attributes, &node)), 0);
	assert_int_equal(content_open(w->store, node.id, 0, &content), 0);
	assert_int_equal(content_touch(content), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string(text)), 0);
	return gate_judge_staged(w->gate, content, below, &somebody);
}

static void a_direct_write_is_published_whole_or_refused_in_words(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/d.csv", "good"), 0);
	shows(w, "Trusted/animals/d.csv", "good");
	assert_int_equal(staged(w, "animals/d.csv", "BAD"), -EPERM);
	assert_non_null(strstr(fault_message(), "it says BAD"));
	assert_non_null(strstr(fault_message(), "assayfs why"));
	shows(w, "Trusted/animals/d.csv", "good");
	assert_int_equal(quarantined(w), 1);
	assert_int_equal(staged(w, "nobody/d.csv", "good"), -EPERM);
	shows(w, "Trusted/nobody/d.csv", NULL);
}

static void a_restored_version_passes_the_gate_too(void **state) {
	struct world *w = *state;
	uint64_t ordinal;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	put(w, "Landing/animals/a.csv", "third");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "third");
	assert_int_equal(gate_restore(w->gate, "Landing/animals/a.csv", 2, &somebody, &ordinal), 0);
	assert_int_equal(ordinal, 4);
	settle(w);
	shows(w, "Landing/animals/a.csv", "BAD");
	shows(w, "Trusted/animals/a.csv", "third");
	assert_int_equal(gate_restore(w->gate, "Trusted/animals/a.csv", 1, &somebody, &ordinal), 0);
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(gate_restore(w->gate, "Raw/animals/a.csv", 1, &somebody, &ordinal), -EPERM);
	assert_int_equal(gate_restore(w->gate, "Landing/animals/a.csv", 99, &somebody, &ordinal), -ENOENT);
	assert_int_equal(gate_restore(w->gate, "Landing/nothing.csv", 1, &somebody, &ordinal), -ENOENT);
}

static void a_policy_that_does_not_parse_changes_nothing(void **state) {
	struct world *w = *state;
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	uint8_t *archive;
	size_t size;
	uint64_t number;
	bool changed;
	apply(w, policy_yaml);
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, "policy.yaml", bytes_of_string("version: 1\ndatasetz: []\n")), 0);
	assert_int_equal(policy_bundle_serialise(bundle, &archive, &size), 0);
	assert_int_equal(gate_apply(w->gate, bytes_of(archive, size), &somebody, "tester", &number, &changed), -EINVAL);
	assert_non_null(strstr(fault_message(), "policy.yaml:2:"));
	free(archive);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

static void a_workflow_by_hand_judges_raw_again(void **state) {
	struct world *w = *state;
	uint64_t count;
	char yaml[1024];
	snprintf(yaml, sizeof yaml,
	        "%sworkflows:\n  - {name: again, dataset: animals, from: Raw, to: Trusted, on: demand}\n", policy_yaml);
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	apply(w, yaml);
	assert_int_equal(gate_run(w->gate, "again", &somebody, &count), 0);
	assert_int_equal(count, 1);
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 1);
	assert_int_equal(gate_run(w->gate, "nope", &somebody, &count), -ENOENT);
	assert_non_null(strstr(fault_message(), "again"));
}

static int take_policy(void *arg, const struct verdict_row *row) {
	*(uint64_t *)arg = row->policy;
	return 0;
}

static void a_file_restored_under_its_former_name_is_one_of_its_own(void **state) {
	struct world *w = *state;
	struct node folder;
	struct renamed renamed;
	uint64_t ordinal;
	put(w, "Landing/x/a.csv", "first");
	put(w, "Landing/x/a.csv", "second");
	assert_int_equal(store_commit_wait(w->store), 0); /* what a name showed within one commit leaves no trace */
	resolve(w, "Landing/x", &folder);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_rename(m, folder.id, bytes_of_string("a.csv"), folder.id,
	                                     bytes_of_string("b.csv"), 0, &renamed)),
	        0);
	assert_int_equal(gate_restore(w->gate, "Landing/x/a.csv", 1, &somebody, &ordinal), 0);
	shows(w, "Landing/x/a.csv", "first");
	shows(w, "Landing/x/b.csv", "second");
}

/* Judges in a thread of its own what takes a second. */
struct slow {
	struct world *w;
	uint64_t node, version, from_parent;
	const char *below, *from_name;
	int rc;
};

static void *judge_slowly(void *arg) {
	struct slow *slow = arg;
	slow->rc = gate_judge_version(slow->w->gate, slow->node, slow->version, slow->below, &somebody,
	        slow->from_parent, slow->from_name ? bytes_of_string(slow->from_name) : (struct bytes){0});
	return NULL;
}

static void a_policy_that_comes_into_force_meanwhile_is_the_one_that_counts(void **state) {
	struct world *w = *state;
	struct node node;
	pthread_t thread;
	apply(w, policy_yaml);
	put(w, "Landing/elsewhere.csv", "SLOW");
	resolve(w, "Landing/elsewhere.csv", &node);
	struct slow slow = {.w = w, .node = node.id, .version = node.version, .below = "animals/s.csv"};
	assert_int_equal(pthread_create(&thread, NULL, judge_slowly, &slow), 0);
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
	apply(w, "version: 1\n"
	         "datasets:\n"
	         "  - {name: others, match: \"others/*.csv\", rules: animals.dqdl}\n");
	pthread_join(thread, NULL);
	assert_int_equal(slow.rc, -EPERM); /* no dataset governs it any more */
	shows(w, "Trusted/animals/s.csv", NULL);
}

static void an_arrival_is_judged_anew_under_a_policy_that_came_meanwhile(void **state) {
	struct world *w = *state;
	char yaml[1024];
	snprintf(yaml, sizeof yaml, "%s  - {name: more, match: \"more/*.csv\", rules: animals.dqdl}\n", policy_yaml);
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "SLOW");
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
	apply(w, yaml);
	settle(w);
	shows(w, "Trusted/animals/a.csv", "SLOW");
	struct node node;
	struct version version;
	uint64_t policy = 0;
	resolve(w, "Trusted/animals/a.csv", &node);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = version_get(m, node.version, &version);
	if (rc == 0)
		rc = verdict_get(m, version.verdict, take_policy, &policy);
	assert_int_equal(meta_end(m, rc), 0);
	assert_int_equal(policy, 2);
}

static void a_name_that_shows_something_newer_is_not_moved_away_unseen(void **state) {
	struct world *w = *state;
	struct node node, folder;
	pthread_t thread;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/a.csv", "SLOW"), 0);
	resolve(w, "Trusted/animals", &folder);
	resolve(w, "Trusted/animals/a.csv", &node);
	struct slow slow = {.w = w,
	        .node = node.id,
	        .version = node.version,
	        .below = "animals/b.csv",
	        .from_parent = folder.id,
	        .from_name = "a.csv"};
	assert_int_equal(pthread_create(&thread, NULL, judge_slowly, &slow), 0);
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
	assert_int_equal(staged(w, "animals/a.csv", "newer"), 0);
	pthread_join(thread, NULL);
	assert_int_equal(slow.rc, -EBUSY);
	shows(w, "Trusted/animals/a.csv", "newer");
	shows(w, "Trusted/animals/b.csv", NULL);
}

static void a_job_that_can_not_be_looked_at_holds_up_no_other(void **state) {
	struct world *w = *state;
	char path[400] = "Landing/";
	uint64_t id;
	struct node node = {0};
	memset(path + strlen(path), 'n', 300); /* no name is that long: stands for a row that can't be read */
	apply(w, policy_yaml);
	struct job job = {.kind = JOB_ARRIVE, .path = bytes_of_string(path), .dataset = "animals", .due_ns = 1};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, job_put(m, &job, &id, NULL, NULL)), 0);
	put(w, "Landing/animals/a.csv", "good");
	for (int turn = 0; turn < 500 && !resolve(w, "Trusted/animals/a.csv", &node); turn++)
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	shows(w, "Trusted/animals/a.csv", "good");
}

static void *apply_in_a_small_thread(void *arg) {
	apply(arg, policy_yaml);
	return NULL;
}

static void directories_may_lie_deeper_than_a_stack(void **state) {
	struct world *w = *state;
	struct node node;
	Meta *m = store_meta(w->store);
	resolve(w, "Landing", &node);
	meta_begin(m);
	for (int depth = 0; depth < 1900; depth++) {
		struct node directory = {.mode = S_IFDIR | 0755};
		assert_int_equal(
		        tree_create(m, node.id, bytes_of_string("d"), &directory, (struct bytes){0}, &node), 0);
	}
	assert_int_equal(meta_end(m, 0), 0);
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstacksize(&attributes, 1 << 20), 0); /* as the control socket's threads have */
	assert_int_equal(pthread_create(&thread, &attributes, apply_in_a_small_thread, w), 0);
	pthread_attr_destroy(&attributes);
	pthread_join(thread, NULL);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_good_arrival_reaches_raw_and_trusted),
	        WORLD(a_bad_arrival_is_kept_in_raw_and_shown_nowhere),
	        WORLD(a_bad_second_version_leaves_the_good_one),
	        WORLD(the_same_content_again_is_a_delivery),
	        WORLD(what_no_dataset_governs_stays_in_landing),
	        WORLD(without_a_policy_nothing_passes),
	        WORLD(a_check_that_crashes_is_an_error_and_no_pass),
	        WORLD(what_the_engine_can_not_do_yet_is_an_error),
	        WORLD(a_queued_job_survives_a_crash),
	        WORLD(a_direct_write_is_published_whole_or_refused_in_words),
	        WORLD(a_restored_version_passes_the_gate_too),
	        WORLD(a_policy_that_does_not_parse_changes_nothing),
	        WORLD(a_workflow_by_hand_judges_raw_again),
	        WORLD(a_file_restored_under_its_former_name_is_one_of_its_own),
	        WORLD(a_policy_that_comes_into_force_meanwhile_is_the_one_that_counts),
	        WORLD(an_arrival_is_judged_anew_under_a_policy_that_came_meanwhile),
	        WORLD(a_name_that_shows_something_newer_is_not_moved_away_unseen),
	        WORLD(a_job_that_can_not_be_looked_at_holds_up_no_other),
	        WORLD(directories_may_lie_deeper_than_a_stack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
