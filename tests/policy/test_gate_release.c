/* What a steward decides about what is held: released when it passes by now, or with a waiver; dropped. */
#include "policy/gate/internal.h"
#include "tests/policy/gate_world.h"

#define HOUR_NS INT64_C(3600000000000)

static const struct actor steward = {.uid = 7, .gid = 7, .pid = 43, .exe = "test"};

static struct gate_decision decide(const char *reason) {
	return (struct gate_decision){.id = 1, .reason = reason, .by = "anna", .actor = steward};
}

static int64_t now_of(struct world *w) {
	return meta_now(store_meta(w->store));
}

static struct quarantine_row row_of(struct world *w, uint64_t id) {
	struct quarantine_row row;
	char path[TREE_PATH_MAX];
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, quarantine_get(m, id, &row, path)), 0);
	row.path = (struct bytes){0}; /* which ends here */
	return row;
}

static int keep_verdict(void *arg, const struct verdict_row *row) {
	assert_int_equal(row->outcome, VERDICT_PASSED); /* or the database would let nothing out */
	assert_memory_equal(row->input_sha256, row->output_sha256, 32);
	assert_int_equal(verdict_from_json(row->body, arg), 0);
	return 0;
}

/* Of what the name shows. */
static struct verdict *verdict_of(struct world *w, const char *path) {
	struct verdict *verdict = NULL;
	struct node node;
	struct version version;
	Meta *m = store_meta(w->store);
	assert_int_not_equal(resolve(w, path, &node), 0);
	meta_begin(m);
	int rc = version_get(m, node.version, &version);
	if (rc == 0)
		rc = verdict_get(m, version.verdict, keep_verdict, &verdict);
	assert_int_equal(meta_end(m, rc), 0);
	return verdict;
}

static int note_waiver(void *arg, const char *path, int64_t until_ns) {
	int64_t *until = arg;
	assert_string_equal(path, "Trusted/animals/a.csv");
	assert_int_equal(*until, 0); /* one only */
	*until = until_ns;
	return 0;
}

static int64_t waived(struct world *w) {
	int64_t until = 0;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, gate_waivers(m, note_waiver, &until)), 0);
	return until;
}

/* The record of an event, as the log shows it. */
struct wanted {
	const char *event;
	char line[4096];
};

static int keep_line(void *arg, const struct audit_entry *entry) {
	struct wanted *wanted = arg;
	char name[64];
	snprintf(name, sizeof name, "\"event\":\"%s\"", wanted->event);
	if (memmem(entry->line, entry->line_length, name, strlen(name)))
		snprintf(wanted->line, sizeof wanted->line, "%.*s", (int)entry->line_length, entry->line);
	return 0;
}

static void log_has(struct world *w, const char *event, const char *words) {
	struct wanted wanted = {.event = event};
	struct audit_filter all = {0};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, audit_query(m, &all, keep_line, &wanted)), 0);
	if (!strstr(wanted.line, words))
		fail_msg("'%s' is not in the record %s", words, wanted.line);
}

static void hold(struct world *w, const char *text) {
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", text);
	settle(w);
	assert_int_equal(quarantined(w), 1);
	assert_int_equal(store_commit_wait(w->store), 0);
}

static void what_still_fails_is_not_released(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("they asked for it");
	bool is_waived;
	hold(w, "BAD");
	assert_int_equal(gate_release(w->gate, &d, &is_waived), -EPERM);
	assert_non_null(strstr(fault_message(), "it says BAD"));
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(quarantined(w), 1);
	log_has(w, "quarantine-release", "\"denied\"");
}

static void with_a_waiver_it_is_published_and_said_to_be_waived(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("the register is late");
	bool is_waived = false;
	hold(w, "BAD");
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	if (gate_release(w->gate, &d, &is_waived) < 0)
		fail_msg("%s", fault_message());
	assert_true(is_waived);
	shows(w, "Trusted/animals/a.csv", "BAD");
	assert_int_equal(quarantined(w), 0);
	assert_int_equal(row_of(w, 1).state, QUARANTINE_RELEASED);
	assert_int_equal(row_of(w, 1).decided_uid, 7);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_of(w, "Trusted/animals/a.csv");
	assert_string_equal(verdict_word(verdict), "waived");
	assert_int_equal(verdict->check->outcome, OUTCOME_FAILED);
	assert_string_equal(verdict->waiver->reason, "the register is late");
	assert_string_equal(verdict->waiver->by, "anna");
	assert_int_equal(verdict->waiver->quarantine, 1);
	assert_int_equal(verdict->waiver->until_ns / 1000, d.waiver_until_ns / 1000);
	_cleanup_(freep) char *text = NULL;
	assert_int_equal(verdict_text(verdict, &text), 0);
	assert_non_null(strstr(text, "Landing/animals/a.csv: waived"));
	assert_non_null(strstr(text, "the register is late"));
	assert_int_equal(waived(w), d.waiver_until_ns);
	log_has(w, "quarantine-release", "waived, verdict 2: the register is late");
	world_crash(w); /* perhaps before a commit: nothing of it is there, or all */
	assert_int_equal(waived(w) != 0, quarantined(w) == 0);
}

static void a_waiver_ends_with_the_file_that_it_is_about(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("x");
	bool is_waived;
	hold(w, "BAD");
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	assert_int_equal(gate_release(w->gate, &d, &is_waived), 0);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(waived(w), 0);
}

static void a_waiver_needs_a_reason_and_a_time_to_come(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("  ");
	bool is_waived;
	hold(w, "BAD");
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	assert_int_equal(gate_release(w->gate, &d, &is_waived), -EINVAL);
	d.reason = "\xff";
	assert_int_equal(gate_release(w->gate, &d, &is_waived), -EINVAL);
	d.reason = "x";
	d.waiver_until_ns = now_of(w) - 1;
	assert_int_equal(gate_release(w->gate, &d, &is_waived), -EINVAL);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(quarantined(w), 1);
}

static void what_passes_by_now_needs_no_waiver(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("the policy was wrong");
	bool is_waived = true;
	apply(w, policy_yaml);
	put(w, "Landing/later/a.csv", "good"); /* asks for what is not built: error */
	settle(w);
	assert_int_equal(quarantined(w), 1);
	static const char without_keep[] = "version: 1\n"
	                                   "datasets:\n"
	                                   "  - name: later\n"
	                                   "    match: \"later/*.csv\"\n"
	                                   "    rules: animals.dqdl\n"
	                                   "    settle: 59m\n";
	apply(w, without_keep);
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	if (gate_release(w->gate, &d, &is_waived) < 0)
		fail_msg("%s", fault_message());
	assert_false(is_waived);
	shows(w, "Trusted/later/a.csv", "good");
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_of(w, "Trusted/later/a.csv");
	assert_string_equal(verdict_word(verdict), "passed");
	assert_null(verdict->waiver);
	assert_int_equal(waived(w), 0);
}

static void what_is_newer_in_trusted_is_not_written_over(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("x");
	bool is_waived;
	hold(w, "BAD");
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	assert_int_equal(gate_release(w->gate, &d, &is_waived), -EBUSY);
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(quarantined(w), 1);
}

static void what_no_dataset_governs_is_not_released(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("x");
	bool is_waived;
	hold(w, "BAD");
	apply(w, "version: 1\ndatasets:\n  - {name: o, match: \"o/*\", rules: animals.dqdl}\n");
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	assert_int_equal(gate_release(w->gate, &d, &is_waived), -EPERM);
	assert_int_equal(quarantined(w), 1);
}

static void what_was_written_into_trusted_is_released_too(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("x");
	bool is_waived;
	apply(w, policy_yaml);
	assert_int_equal(staged(w, "animals/a.csv", "BAD"), -EPERM);
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	if (gate_release(w->gate, &d, &is_waived) < 0)
		fail_msg("%s", fault_message());
	shows(w, "Trusted/animals/a.csv", "BAD");
}

static void what_was_dropped_is_decided(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("nobody needs it");
	bool is_waived;
	hold(w, "BAD");
	assert_int_equal(gate_drop(w->gate, &d), 0);
	assert_int_equal(quarantined(w), 0);
	assert_int_equal(row_of(w, 1).state, QUARANTINE_DROPPED);
	log_has(w, "quarantine-drop", "quarantine 1: nobody needs it");
	assert_int_equal(gate_drop(w->gate, &d), -EALREADY);
	assert_int_equal(gate_release(w->gate, &d, &is_waived), -EALREADY);
	d.id = 2;
	assert_int_equal(gate_drop(w->gate, &d), -ENOENT);
	assert_int_equal(gate_release(w->gate, &d, &is_waived), -ENOENT);
	d.reason = "";
	assert_int_equal(gate_drop(w->gate, &d), -EINVAL);
}

static int note_recheck(void *arg, const struct gate_rechecked *rechecked) {
	*(enum outcome *)arg = rechecked->then;
	return 0;
}

static void while_it_lasts_a_recheck_does_not_withdraw_it(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("x");
	enum outcome then = OUTCOME_NONE;
	bool is_waived;
	hold(w, "BAD");
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	assert_int_equal(gate_release(w->gate, &d, &is_waived), 0);
	assert_int_equal(gate_recheck(w->gate, &steward, note_recheck, &then), 0);
	assert_int_equal(then, OUTCOME_PASSED);
	shows(w, "Trusted/animals/a.csv", "BAD");
	assert_int_equal(waived(w), d.waiver_until_ns);
}

static void when_it_is_over_a_recheck_withdraws_it(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("x");
	enum outcome then = OUTCOME_NONE;
	bool is_waived;
	hold(w, "BAD");
	d.waiver_until_ns = now_of(w) + HOUR_NS / 36000; /* a tenth of a second */
	int rc = gate_release(w->gate, &d, &is_waived);
	while (rc == 0 && now_of(w) <= d.waiver_until_ns)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	if (rc == -EINVAL)
		skip(); /* the machine was too slow for a tenth of a second */
	assert_int_equal(rc, 0);
	shows(w, "Trusted/animals/a.csv", "BAD");
	assert_int_equal(gate_recheck(w->gate, &steward, note_recheck, &then), 0);
	assert_int_equal(then, OUTCOME_FAILED);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(waived(w), 0);
}

static void a_split_file_is_released_whole(void **state) {
	struct world *w = *state;
	struct gate_decision d = decide("both are right");
	bool is_waived;
	world_split_by_rules(w, "Rules = [ IsUnique \"id\" ]");
	put(w, "Landing/animals/a.csv", "id;b\n1;x\n2;y\n1;z\n");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "id;b\n2;y\n");
	d.waiver_until_ns = now_of(w) + HOUR_NS;
	if (gate_release(w->gate, &d, &is_waived) < 0)
		fail_msg("%s", fault_message());
	shows(w, "Trusted/animals/a.csv", "id;b\n1;x\n2;y\n1;z\n");
	assert_int_equal(quarantined(w), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(what_still_fails_is_not_released),
	        WORLD(with_a_waiver_it_is_published_and_said_to_be_waived),
	        WORLD(a_waiver_ends_with_the_file_that_it_is_about),
	        WORLD(a_waiver_needs_a_reason_and_a_time_to_come),
	        WORLD(what_passes_by_now_needs_no_waiver),
	        WORLD(what_is_newer_in_trusted_is_not_written_over),
	        WORLD(what_no_dataset_governs_is_not_released),
	        WORLD(what_was_written_into_trusted_is_released_too),
	        WORLD(what_was_dropped_is_decided),
	        WORLD(while_it_lasts_a_recheck_does_not_withdraw_it),
	        WORLD(when_it_is_over_a_recheck_withdraws_it),
	        WORLD(a_split_file_is_released_whole),
	};
	return cmocka_run_group_tests_name("gate_release", tests, NULL, NULL);
}
