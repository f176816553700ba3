/* Files that are erased: everywhere, with all that was made of them, and nothing else; also while they are judged. */
#include "backend/gc.h"
#include "policy/gate/internal.h"
#include "tests/policy/gate_world.h"

static const struct actor steward = {.uid = 7, .gid = 7, .pid = 43, .exe = "test"};

/* What an erasure told, a line for each place, sorted as it came. */
struct told {
	char text[4096];
	struct gate_erased sum;
};

static int note_place(void *arg, const struct gate_place *place) {
	static const char *const kinds[] = {[GATE_GOES] = "goes", [GATE_SHARES] = "shares", [GATE_LEFT] = "left"};
	struct told *told = arg;
	size_t used = strlen(told->text);
	snprintf(told->text + used, sizeof told->text - used, "%s %s %lu kept %lu%s%s\n", kinds[place->kind],
	        place->path, (unsigned long)place->versions, (unsigned long)place->kept,
	        place->is_shown ? " shown" : "", place->quarantine ? " held" : "");
	return 0;
}

static int try_erase(struct world *w, const char *path, const char *reason, bool is_dry, struct told *told) {
	struct gate_versions versions = {0};
	*told = (struct told){0};
	int rc = gate_versions_of_path(w->gate, path, &versions);
	struct gate_erasure erasure = {.versions = &versions, .reason = reason, .actor = steward, .is_dry = is_dry};
	if (rc == 0)
		rc = gate_erase(w->gate, &erasure, note_place, told, &told->sum);
	gate_versions_free(&versions);
	return rc;
}

static struct told erase(struct world *w, const char *path) {
	struct told told;
	if (try_erase(w, path, "they asked for it", false, &told) < 0)
		fail_msg("%s", fault_message());
	return told;
}

static void expect_told(const struct told *told, const char *line) {
	if (!strstr(told->text, line))
		fail_msg("'%s' is not in:\n%s", line, told->text);
}

struct states {
	unsigned count[4];
};

static int count_state(void *arg, const struct version *version) {
	((struct states *)arg)->count[version->state]++;
	return 0;
}

static struct states states_of(struct world *w) {
	struct states states = {0};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, version_list_all(m, 0, count_state, &states)), 0);
	return states;
}

static void expect_all_erased(struct world *w, unsigned count) {
	struct states states = states_of(w);
	assert_int_equal(states.count[VERSION_DRAFT], 0);
	assert_int_equal(states.count[VERSION_SEALED], 0);
	assert_int_equal(states.count[VERSION_WITHDRAWN], 0);
	assert_int_equal(states.count[VERSION_ERASED], count);
}

static int count_lines(void *arg, const struct audit_entry *entry) {
	*(unsigned *)arg += memmem(entry->line, entry->line_length, "\"event\":\"erase\"", 15) &&
	                    memmem(entry->line, entry->line_length, "they asked for it", 17);
	return 0;
}

static unsigned records(struct world *w) {
	unsigned count = 0;
	struct audit_filter all = {0};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, audit_query(m, &all, count_lines, &count)), 0);
	return count;
}

static struct gc_purging purging_of(struct world *w) {
	struct gc_purging purging;
	assert_int_equal(gc_purging(store_gc(w->store), &purging), 0);
	return purging;
}

/* As mv does. */
static void move(struct world *w, const char *from, const char *to) {
	struct node node, directory;
	assert_int_not_equal(resolve(w, from, &node), 0);
	assert_int_not_equal(resolve(w, "Landing/animals", &directory), 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = tree_rename(m, directory.id, bytes_of_string(strrchr(from, '/') + 1), directory.id,
	        bytes_of_string(strrchr(to, '/') + 1), 0, NULL);
	if (rc == 0)
		rc = gate_arrived(w->gate, m, to, node.id, node.version, &somebody);
	assert_int_equal(meta_end(m, rc), 0);
}

/* ---- what is one file ---- */

static void a_file_goes_from_all_zones(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good 1");
	settle(w);
	put(w, "Landing/animals/a.csv", "good 2");
	put(w, "Landing/animals/other.csv", "good 3");
	settle(w);
	struct told told = erase(w, "Landing/animals/a.csv");
	assert_int_equal(told.sum.versions, 6);
	assert_int_equal(told.sum.names, 3);
	assert_int_equal(told.sum.bytes, 6 * strlen("good 1"));
	expect_told(&told, "goes Landing/animals/a.csv 2 kept 0 shown\n");
	expect_told(&told, "goes Raw/animals/a.csv 2 kept 0 shown\n");
	expect_told(&told, "goes Trusted/animals/a.csv 2 kept 0 shown\n");
	shows(w, "Landing/animals/a.csv", NULL);
	shows(w, "Raw/animals/a.csv", NULL);
	shows(w, "Trusted/animals/a.csv", NULL);
	shows(w, "Landing/animals/other.csv", "good 3");
	shows(w, "Trusted/animals/other.csv", "good 3");
	assert_int_equal(records(w), 3);
	assert_int_equal(states_of(w).count[VERSION_ERASED], 6);
	assert_int_equal(states_of(w).count[VERSION_SEALED], 3);
	assert_true(purging_of(w).wanted > 0);
	assert_int_equal(try_erase(w, "Landing/animals/a.csv", "x", false, &told), -ENOENT);
}

static void it_does_not_matter_in_which_zone_it_is_named(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	for (int i = 0; i < 2; i++) {
		put(w, "Landing/animals/a.csv", "good");
		settle(w);
		assert_int_equal(erase(w, i == 0 ? "Trusted/animals/a.csv" : "Raw/animals/a.csv").sum.versions, 3);
		shows(w, "Landing/animals/a.csv", NULL);
		shows(w, "Raw/animals/a.csv", NULL);
	}
	expect_all_erased(w, 6);
}

static void a_file_that_was_removed_before_is_found_by_its_name(void **state) {
	struct world *w = *state;
	struct node node, directory;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_not_equal(resolve(w, "Landing/animals", &directory), 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_unlink(m, directory.id, bytes_of_string("a.csv"), &node)), 0);
	struct told told = erase(w, "Landing/animals/a.csv");
	assert_int_equal(told.sum.versions, 3);
	expect_told(&told, "goes Landing/animals/a.csv 1 kept 0\n");
	expect_all_erased(w, 3);
}

static void what_is_held_goes_and_is_not_waited_for(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	assert_int_equal(quarantined(w), 1);
	struct told told = erase(w, "Landing/animals/a.csv");
	expect_told(&told, "goes Raw/animals/a.csv 1 kept 0 shown held\n");
	assert_int_equal(quarantined(w), 0);
	expect_all_erased(w, 2);
}

static void what_was_refused_in_trusted_is_found_by_id_and_by_name(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/a.csv", "BAD"), -EPERM);
	assert_int_equal(staged(w, "animals/b.csv", "BAD"), -EPERM);
	struct told told = erase(w, ".assayfs/quarantine/1/content");
	expect_told(&told, "goes Trusted/animals/a.csv 1 kept 0 held\n");
	assert_int_equal(quarantined(w), 1);
	(void)erase(w, "Trusted/animals/b.csv");
	assert_int_equal(quarantined(w), 0);
	expect_all_erased(w, 2);
	assert_int_equal(try_erase(w, ".assayfs/quarantine/9", "x", false, &told), -ENOENT);
}

static void withheld_rows_go_with_the_file_and_the_file_with_them(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, "Rules = [ ColumnValues \"kind\" in [\"cat\"] ]\n");
	for (int i = 0; i < 2; i++) {
		put(w, "Landing/animals/a.csv", "id;kind\n1;cat\n2;wolf\n3;cat\n");
		settle(w);
		shows(w, "Trusted/animals/a.csv", "id;kind\n1;cat\n3;cat\n");
		assert_int_equal(quarantined(w), 1);
		struct told told = erase(w, i == 0 ? "Landing/animals/a.csv" : ".assayfs/quarantine/2");
		assert_int_equal(told.sum.versions, 4);
		expect_told(&told, " 1 kept 0 held\n");
		assert_int_equal(quarantined(w), 0);
	}
	expect_all_erased(w, 8);
}

static void of_a_name_in_raw_what_came_of_other_files_stays(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good a");
	settle(w);
	put(w, "Landing/animals/b.csv", "good b");
	settle(w);
	assert_int_equal(store_commit_wait(w->store), 0); /* a name that no commit saw leaves nothing behind */
	move(w, "Landing/animals/b.csv", "Landing/animals/a.csv");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good b");
	struct told told = erase(w, "Landing/animals/b.csv");
	expect_told(&told, "goes Landing/animals/a.csv 1 kept 0 shown\n");
	expect_told(&told, "goes Raw/animals/a.csv 1 kept 1 shown\n");
	expect_told(&told, "goes Raw/animals/b.csv 1 kept 0 shown\n");
	shows(w, "Raw/animals/a.csv", NULL);
	shows(w, "Trusted/animals/a.csv", NULL);
	/* The former version is there, and comes back. */
	uint64_t made = 0;
	if (gate_restore(w->gate, "Trusted/animals/a.csv", 1, &somebody, NULL, NULL, &made) < 0)
		fail_msg("%s", fault_message());
	shows(w, "Trusted/animals/a.csv", "good a");
	/* And the next arrival has its name in Raw. */
	put(w, "Landing/animals/a.csv", "good c");
	settle(w);
	shows(w, "Raw/animals/a.csv", "good c");
	shows(w, "Trusted/animals/a.csv", "good c");
}

static void what_stands_under_its_name_and_was_not_made_of_it_is_told(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	assert_int_equal(staged(w, "animals/a.csv", "good by hand"), 0);
	struct told told = erase(w, "Landing/animals/a.csv");
	expect_told(&told, "left Trusted/animals/a.csv 0 kept 0\n");
	shows(w, "Trusted/animals/a.csv", "good by hand");
}

static void who_shares_its_bytes_is_told_and_keeps_them(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	struct node node;
	uint64_t done = 0, from = resolve(w, "Landing/animals/a.csv", &node), to = make_name(w, "Landing/animals/copy");
	Content *a = NULL, *b = NULL;
	assert_int_equal(content_open(w->store, from, 0, &a), 0);
	assert_int_equal(content_open(w->store, to, 0, &b), 0);
	assert_int_equal(content_clone_range(a, 0, b, 0, 4, &done), 0);
	assert_int_equal(content_seal(b, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL), 0);
	content_close(a);
	content_close(b);
	struct told told = erase(w, "Landing/animals/a.csv");
	assert_int_equal(told.sum.sharers, 1);
	expect_told(&told, "shares Landing/animals/copy 0 kept 0\n");
	shows(w, "Landing/animals/copy", "good");
}

/* ---- asking ---- */

static void a_dry_run_tells_the_same_and_changes_nothing(void **state) {
	struct world *w = *state;
	struct told dry, told;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_equal(try_erase(w, "Raw/animals/a.csv", NULL, true, &dry), 0);
	shows(w, "Landing/animals/a.csv", "good");
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(states_of(w).count[VERSION_ERASED], 0);
	assert_int_equal(records(w), 0);
	assert_int_equal(purging_of(w).wanted, 0);
	told = erase(w, "Raw/animals/a.csv");
	assert_string_equal(told.text, dry.text);
	assert_memory_equal(&told.sum, &dry.sum, sizeof dry.sum);
}

static void a_reason_and_a_file_are_needed(void **state) {
	struct world *w = *state;
	struct told told;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_equal(try_erase(w, "Landing/animals/a.csv", " ", false, &told), -EINVAL);
	assert_int_equal(try_erase(w, "Landing/animals/x.csv", "x", false, &told), -ENOENT);
	assert_int_equal(try_erase(w, "Landing/animals", "x", false, &told), -EISDIR);
	assert_int_equal(try_erase(w, "elsewhere", "x", false, &told), -EINVAL);
	shows(w, "Trusted/animals/a.csv", "good");
}

static bool say_written(void *arg, uint64_t ino) {
	return ino == *(uint64_t *)arg;
}

static void what_is_open_for_writing_is_not_erased(void **state) {
	struct world *w = *state;
	struct told told;
	struct node node;
	uint64_t ino = 0;
	world_close(w);
	w->options.is_written = say_written;
	w->options.changed_arg = &ino;
	world_open(w);
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_not_equal(resolve(w, "Landing/animals/a.csv", &node), 0);
	ino = node.ino;
	assert_int_equal(try_erase(w, "Trusted/animals/a.csv", "x", false, &told), -EBUSY);
	assert_non_null(strstr(fault_message(), "Landing/animals/a.csv"));
	shows(w, "Trusted/animals/a.csv", "good");
	ino = 0;
	(void)erase(w, "Trusted/animals/a.csv");
	expect_all_erased(w, 3);
}

/* ---- while it is judged ---- */

static void a_check_that_is_queued_is_not_made(void **state) {
	struct world *w = *state;
	uint64_t queued, running;
	apply(w, "version: 1\ndatasets:\n  - {name: a, match: \"animals/*\", rules: animals.dqdl, settle: 59m}\n");
	put(w, "Landing/animals/a.csv", "good");
	assert_int_equal(erase(w, "Landing/animals/a.csv").sum.jobs, 1);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, job_counts(m, &queued, &running)), 0);
	assert_int_equal(queued + running, 0);
	expect_all_erased(w, 1);
}

static void wait_running(struct world *w) {
	uint64_t queued, running = 0;
	Meta *m = store_meta(w->store);
	while (running == 0) {
		meta_begin(m);
		assert_int_equal(meta_end(m, job_counts(m, &queued, &running)), 0);
		usleep(10000);
	}
	usleep(200000); /* so that it has read all of it, and spins */
}

/* It was read before, and judged after: nothing may be made of it. */
static void of_a_file_that_is_erased_while_it_is_checked_nothing_is_made(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "SLOW");
	wait_running(w);
	(void)erase(w, "Landing/animals/a.csv");
	settle(w);
	shows(w, "Raw/animals/a.csv", NULL);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(quarantined(w), 0);
	expect_all_erased(w, 1);
}

static void a_refusal_that_comes_later_holds_nothing(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "SLOW BAD");
	wait_running(w);
	(void)erase(w, "Landing/animals/a.csv");
	settle(w);
	assert_int_equal(quarantined(w), 0);
	expect_all_erased(w, 1);
}

/* What nobody breaks off (a restore, a write into Trusted) is judged to its end, and makes nothing then. */
static void what_is_judged_to_its_end_is_not_published(void **state) {
	struct world *w = *state;
	pthread_t thread;
	struct node node;
	apply(w, policy_yaml);
	put(w, "Landing/loose.csv", "SLOW");
	struct slow slow = {.w = w, .node = resolve(w, "Landing/loose.csv", &node), .below = "animals/a.csv"};
	slow.version = node.version;
	assert_int_equal(pthread_create(&thread, NULL, judge_slowly, &slow), 0);
	usleep(500000); /* it was read, and is thought about */
	(void)erase(w, "Landing/loose.csv");
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(slow.rc, -ECANCELED);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(quarantined(w), 0);
	expect_all_erased(w, 1);
}

static void after_a_crash_all_of_it_is_erased(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	(void)erase(w, "Landing/animals/a.csv");
	world_crash(w);
	expect_all_erased(w, 3);
	assert_int_equal(records(w), 3);
	assert_true(purging_of(w).wanted + purging_of(w).is_seeking > 0);
	shows(w, "Trusted/animals/a.csv", NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_file_goes_from_all_zones),
	        WORLD(it_does_not_matter_in_which_zone_it_is_named),
	        WORLD(a_file_that_was_removed_before_is_found_by_its_name),
	        WORLD(what_is_held_goes_and_is_not_waited_for),
	        WORLD(what_was_refused_in_trusted_is_found_by_id_and_by_name),
	        WORLD(withheld_rows_go_with_the_file_and_the_file_with_them),
	        WORLD(of_a_name_in_raw_what_came_of_other_files_stays),
	        WORLD(what_stands_under_its_name_and_was_not_made_of_it_is_told),
	        WORLD(who_shares_its_bytes_is_told_and_keeps_them),
	        WORLD(a_dry_run_tells_the_same_and_changes_nothing),
	        WORLD(a_reason_and_a_file_are_needed),
	        WORLD(what_is_open_for_writing_is_not_erased),
	        WORLD(a_check_that_is_queued_is_not_made),
	        WORLD(of_a_file_that_is_erased_while_it_is_checked_nothing_is_made),
	        WORLD(a_refusal_that_comes_later_holds_nothing),
	        WORLD(what_is_judged_to_its_end_is_not_published),
	        WORLD(after_a_crash_all_of_it_is_erased),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
