#include "tests/policy/gate_world.h"

#include "backend/run.h"
#include "backend/stale.h"
#include "policy/gate/schedule.h"

#define DAY INT64_C(86400)
#define SECOND_NS INT64_C(1000000000)

/* A schedule that is looked at by hand, at times that the test says. */
struct clockwork {
	struct world *w;
	Schedule *schedule;
	int64_t now_s;
	char failed[1000];
};

static int64_t tell_time(void *arg) {
	return ((struct clockwork *)arg)->now_s * SECOND_NS;
}

static void note_failure(void *arg, const char *words) {
	struct clockwork *c = arg;
	(void)snprintf(c->failed, sizeof c->failed, "%s", words);
}

static void wind(struct clockwork *c) {
	const struct schedule_options options = {.gate = c->w->gate,
	        .store = c->w->store,
	        .actor = {.exe = "assayfs"},
	        .now = tell_time,
	        .failed = note_failure,
	        .arg = c};
	assert_int_equal(schedule_new(&options, &c->schedule), 0);
}

/* Noon of the day after tomorrow: behind the policy, whatever time it is. */
static int64_t noon(void) {
	return (time(NULL) / DAY + 2) * DAY + DAY / 2;
}

static int64_t look(struct clockwork *c) {
	int64_t next_ns = 0;
	for (int i = 0; i < 20 && next_ns == 0; i++)
		assert_int_equal(schedule_look(c->schedule, &next_ns), 0);
	return next_ns;
}

/* At that time, and until what it began has ended. */
static void look_at(struct clockwork *c, int64_t now_s) {
	c->now_s = now_s;
	(void)look(c);
	settle(c->w);
	(void)look(c);
}

/* A dataset that some workflow names is checked on arrival only where one says so. */
#define ARRIVAL "  - {name: on-arrival, dataset: animals, from: Landing, to: Trusted, on: close}\n"

static void apply_workflows(struct world *w, const char *workflows) {
	char yaml[2048];
	(void)snprintf(yaml, sizeof yaml, "%sworkflows:\n%s", policy_yaml, workflows);
	apply(w, yaml);
}

struct list {
	struct run runs[100];
	size_t count;
};

static int take(void *arg, const struct run *run) {
	struct list *list = arg;
	list->runs[list->count++] = *run;
	return list->count == 100;
}

/* The newest first; the test's own until the next call. */
static struct list *runs_of(struct world *w, const char *workflow) {
	static struct list list;
	Meta *m = store_meta(w->store);
	list.count = 0;
	meta_begin(m);
	assert_int_equal(meta_end(m, run_list(m, workflow, 0, take, &list)), 0);
	return &list;
}

static void ended(struct world *w, const char *workflow, size_t count, enum run_state state, enum run_cause cause) {
	struct list *list = runs_of(w, workflow);
	assert_int_equal(list->count, count);
	if (list->runs[0].state != state)
		fail_msg("%s: %s", run_state_word(list->runs[0].state), list->runs[0].words);
	assert_int_equal(list->runs[0].cause, cause);
}

#define NIGHTLY ARRIVAL "  - {name: nightly, dataset: animals, from: Raw, to: Trusted, cron: \"0 3 * * *\""

static void what_is_due_runs_once(void **state) {
	struct clockwork c = {.w = *state};
	apply_workflows(c.w, NIGHTLY "}\n");
	put(c.w, "Landing/animals/a.csv", "good");
	put(c.w, "Landing/animals/b.csv", "BAD");
	settle(c.w);
	wind(&c);
	int64_t day = noon() - DAY / 2;
	look_at(&c, day);
	size_t before = runs_of(c.w, "nightly")->count;
	look_at(&c, day + 3 * 3600 - 1);
	assert_int_equal(runs_of(c.w, "nightly")->count, before);
	look_at(&c, day + 3 * 3600);
	look_at(&c, day + 3 * 3600 + 1);
	look_at(&c, day + 20 * 3600);
	ended(c.w, "nightly", before + 1, RUN_SUCCEEDED, RUN_BY_SCHEDULE);
	struct run *run = &runs_of(c.w, "nightly")->runs[0];
	assert_int_equal(run->due_ns, (day + 3 * 3600) * SECOND_NS);
	assert_int_equal(run->total, 2);
	assert_int_equal(run->passed, 1);
	assert_int_equal(run->failed, 1);
	assert_int_equal(look(&c), (day + DAY + 3 * 3600) * SECOND_NS);
	assert_string_equal(c.failed, "");
	schedule_stop(c.schedule);
}

static void a_downtime_is_caught_up_once(void **state) {
	struct clockwork c = {.w = *state};
	apply_workflows(c.w,
	        NIGHTLY "}\n"
	                "  - {name: strict, dataset: animals, from: Raw, to: Trusted, cron: \"0 3 * * *\", catch_up: "
	                "none}\n"
	                "  - {name: off, dataset: animals, from: Raw, to: Trusted, cron: \"0 3 * * *\", enabled: "
	                "false}\n");
	put(c.w, "Landing/animals/a.csv", "good");
	settle(c.w);
	wind(&c);
	int64_t day = noon();
	look_at(&c, day);
	size_t before = runs_of(c.w, "nightly")->count, strict = runs_of(c.w, "strict")->count;
	schedule_stop(c.schedule);
	world_close(c.w);
	world_open(c.w);
	wind(&c);
	look_at(&c, day + 3 * DAY);
	ended(c.w, "nightly", before + 1, RUN_SUCCEEDED, RUN_CATCHES_UP);
	assert_string_equal(runs_of(c.w, "nightly")->runs[0].words, "for 3 times that went past");
	ended(c.w, "strict", strict + 1, RUN_MISSED, RUN_CATCHES_UP);
	assert_int_equal(runs_of(c.w, "off")->count, 0);
	look_at(&c, day + 3 * DAY + 60);
	assert_int_equal(runs_of(c.w, "nightly")->count, before + 1);
	struct run_facts facts;
	Meta *m = store_meta(c.w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, run_facts(m, "strict", 0, &facts)), 0);
	assert_int_equal(facts.missed, strict + 1);
	schedule_stop(c.schedule);
}

static void a_clock_set_back_runs_nothing_twice(void **state) {
	struct clockwork c = {.w = *state};
	apply_workflows(c.w, NIGHTLY "}\n");
	wind(&c);
	int64_t day = noon();
	look_at(&c, day);
	look_at(&c, day + DAY);
	size_t count = runs_of(c.w, "nightly")->count;
	look_at(&c, day + DAY - 10 * 3600); /* before 3 o'clock again */
	look_at(&c, day + DAY - 8 * 3600);
	look_at(&c, day + DAY);
	assert_int_equal(runs_of(c.w, "nightly")->count, count);
	look_at(&c, day + 400 * DAY); /* a year ahead by mistake, and back */
	assert_int_equal(runs_of(c.w, "nightly")->count, count + 1);
	look_at(&c, day + 2 * DAY - 10 * 3600);
	look_at(&c, day + 2 * DAY);
	ended(c.w, "nightly", count + 2, RUN_SUCCEEDED, RUN_CATCHES_UP);
	schedule_stop(c.schedule);
}

static void a_run_that_is_going_is_not_overtaken(void **state) {
	struct clockwork c = {.w = *state};
	struct run run;
	apply_workflows(c.w, ARRIVAL
	        "  - {name: often, dataset: animals, from: Raw, to: Trusted, cron: \"* * * * *\", time_limit: 1h}\n");
	put(c.w, "Landing/animals/a.csv", "SLOW");
	settle(c.w);
	apply_rules(c.w, policy_yaml, "Rules = [ RowCount > 1 ]");
	apply_workflows(c.w, ARRIVAL
	        "  - {name: often, dataset: animals, from: Raw, to: Trusted, cron: \"* * * * *\", time_limit: 1h}\n");
	wind(&c);
	c.now_s = noon();
	(void)look(&c);
	c.now_s += 60;
	(void)look(&c);
	ended(c.w, "often", 2, RUN_SKIPPED, RUN_BY_SCHEDULE);
	assert_int_equal(gate_run(c.w->gate, "often", &somebody, &run), -EBUSY);
	settle(c.w);
	(void)look(&c);
	assert_int_equal(runs_of(c.w, "often")->runs[1].state, RUN_SUCCEEDED);
	schedule_stop(c.schedule);
}

/* A job's end and that of its run are two operations: who asks between them is not refused. */
static void a_run_whose_last_job_has_ended_is_not_in_the_way(void **state) {
	struct world *w = *state;
	struct run over = {.workflow = "often", .cause = RUN_BY_HAND, .attempt = 1, .due_ns = 1}, run;
	apply_workflows(
	        w, ARRIVAL "  - {name: often, dataset: animals, from: Raw, to: Trusted, cron: \"0 3 1 1 *\"}\n");
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = run_put(m, &over, &over.id);
	if (rc >= 0)
		rc = run_begin(m, over.id);
	if (rc >= 0)
		rc = run_queued_all(m, over.id);
	assert_int_equal(meta_end(m, rc), 0);
	assert_int_equal(gate_run(w->gate, "often", &somebody, &run), 0);
	assert_int_equal(runs_of(w, "often")->runs[1].id, over.id);
	assert_int_equal(runs_of(w, "often")->runs[1].state, RUN_SUCCEEDED);
}

static void a_run_out_of_time_is_ended_and_tried_again(void **state) {
	struct clockwork c = {.w = *state};
	apply_workflows(c.w,
	        "  - {name: short, dataset: animals, from: Landing, to: Trusted, cron: \"0 3 * * *\", time_limit: 1s,"
	        " retries: 1, retry_after: 1s}\n");
	put(c.w, "Landing/animals/a.csv", "AGES");
	wind(&c);
	c.now_s = noon();
	(void)look(&c);
	assert_int_equal(runs_of(c.w, "short")->runs[0].state, RUN_RUNNING);
	(void)usleep(1200 * 1000);
	int64_t next;
	assert_int_equal(schedule_look(c.schedule, &next), 0);
	struct list *list = runs_of(c.w, "short");
	assert_int_equal(list->count, 2);
	assert_int_equal(list->runs[1].state, RUN_TIMED_OUT);
	assert_int_equal(list->runs[1].retried_by, list->runs[0].id);
	assert_int_equal(list->runs[0].cause, RUN_RETRY);
	assert_int_equal(list->runs[0].attempt, 2);
	(void)look(&c);
	(void)usleep(1200 * 1000);
	(void)look(&c);
	ended(c.w, "short", 2, RUN_TIMED_OUT, RUN_RETRY); /* and no third */
	settle(c.w);
	shows(c.w, "Trusted/animals/a.csv", NULL);
	schedule_stop(c.schedule);
}

static void what_could_not_be_checked_fails_the_run(void **state) {
	struct clockwork c = {.w = *state};
	apply_workflows(c.w, NIGHTLY ", retries: 2, retry_after: 1s}\n");
	put(c.w, "Landing/animals/a.csv", "CRASH");
	settle(c.w);
	wind(&c);
	int64_t day = noon();
	look_at(&c, day);
	settle(c.w);
	look_at(&c, day + 1);
	look_at(&c, day + 2);
	struct list *list = runs_of(c.w, "nightly");
	assert_int_equal(list->count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(list->runs[i].state, RUN_FAILED);
		assert_int_equal(list->runs[i].attempt, 3 - i);
		assert_int_equal(list->runs[i].errors, 1);
	}
	assert_non_null(strstr(list->runs[2].words, "1 of 1 files could not be checked"));
	schedule_stop(c.schedule);
}

static void what_follows_runs_when_all_have_ended_well(void **state) {
	struct clockwork c = {.w = *state};
	apply_workflows(c.w, ARRIVAL "  - {name: one, dataset: animals, from: Raw, to: Trusted, on: demand}\n"
	                             "  - {name: two, dataset: animals, from: Raw, to: Trusted, on: demand}\n"
	                             "  - {name: both, dataset: animals, from: Raw, to: Trusted, after: [one, two]}\n"
	                             "  - {name: last, dataset: animals, from: Raw, to: Trusted, after: both}\n");
	put(c.w, "Landing/animals/a.csv", "good");
	settle(c.w);
	wind(&c);
	struct run run;
	for (size_t round = 1; round <= 2; round++) {
		assert_int_equal(gate_run(c.w->gate, "one", &somebody, &run), 0);
		settle(c.w);
		look_at(&c, noon());
		assert_int_equal(runs_of(c.w, "both")->count, round - 1);
		assert_int_equal(gate_run(c.w->gate, "two", &somebody, &run), 0);
		settle(c.w);
		look_at(&c, noon());
		look_at(&c, noon());
		ended(c.w, "both", round, RUN_SUCCEEDED, RUN_AFTER);
		ended(c.w, "last", round, RUN_SUCCEEDED, RUN_AFTER);
	}
	/* What did not end well brings nothing about. */
	put(c.w, "Landing/animals/b.csv", "CRASH");
	settle(c.w);
	assert_int_equal(gate_run(c.w->gate, "one", &somebody, &run), 0);
	assert_int_equal(gate_run(c.w->gate, "two", &somebody, &run), 0);
	settle(c.w);
	look_at(&c, noon());
	assert_int_equal(runs_of(c.w, "both")->count, 2);
	schedule_stop(c.schedule);
}

static void a_run_goes_on_in_the_next_mount(void **state) {
	struct clockwork c = {.w = *state};
	apply_workflows(c.w, "  - {name: short, dataset: animals, from: Landing, to: Trusted, cron: \"0 3 * * *\"}\n");
	put(c.w, "Landing/animals/a.csv", "SLOW");
	put(c.w, "Landing/animals/b.csv", "SLOW, too");
	wind(&c);
	c.now_s = noon();
	(void)look(&c);
	size_t count = runs_of(c.w, "short")->count;
	assert_false(run_is_over(&runs_of(c.w, "short")->runs[0]));
	schedule_stop(c.schedule);
	assert_int_equal(store_commit_wait(c.w->store), 0);
	world_crash(c.w);
	wind(&c);
	look_at(&c, c.now_s);
	ended(c.w, "short", count, RUN_SUCCEEDED, runs_of(c.w, "short")->runs[0].cause);
	struct run *run = &runs_of(c.w, "short")->runs[0];
	assert_int_equal(run->total, 2);
	assert_int_equal(run->passed + run->skipped, 2);
	schedule_stop(c.schedule);
}

static void a_workflow_that_is_gone_ends_its_run(void **state) {
	struct clockwork c = {.w = *state};
	apply_workflows(c.w, "  - {name: short, dataset: animals, from: Landing, to: Trusted, cron: \"0 3 * * *\"}\n");
	put(c.w, "Landing/animals/a.csv", "AGES");
	wind(&c);
	c.now_s = noon();
	(void)look(&c);
	apply(c.w, policy_yaml);
	(void)look(&c);
	ended(c.w, "short", 1, RUN_INTERRUPTED, runs_of(c.w, "short")->runs[0].cause);
	schedule_stop(c.schedule);
}

/* ---- what is published and fails ---- */

static uint64_t stale_files(struct world *w) {
	uint64_t count;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, stale_count(m, &count)), 0);
	return count;
}

static enum outcome newer_of(struct world *w, const char *below) {
	enum outcome outcome;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, gate_newer(m, below, &outcome)), 0);
	return outcome;
}

#define REFERRING                                                                                            \
	"version: 1\ndatasets:\n  - {name: list, match: \"list.csv\", rules: animals.dqdl, settle: 0s}\n"    \
	"  - {name: animals, match: \"animals/*.csv\", rules: animals.dqdl, settle: 0s, references: {list: " \
	"Trusted/list.csv}%s}\n"                                                                             \
	"workflows:\n" ARRIVAL "  - {name: again, dataset: animals, from: Raw, to: Trusted, on: demand}\n"

static void run_again_with(struct world *w, const char *list) {
	struct run run;
	put(w, "Landing/list.csv", list);
	settle(w);
	assert_int_equal(gate_run(w->gate, "again", &somebody, &run), 0);
	settle(w);
}

static void what_fails_again_stays_and_is_marked(void **state) {
	struct world *w = *state;
	char yaml[1024];
	(void)snprintf(yaml, sizeof yaml, REFERRING, "");
	apply(w, yaml);
	put(w, "Landing/list.csv", "good");
	settle(w);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
	run_again_with(w, "other");
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(stale_files(w), 1);
	assert_int_equal(newer_of(w, "animals/a.csv"), OUTCOME_NONE);
	unsigned held = quarantined(w);
	run_again_with(w, "another");
	assert_int_equal(stale_files(w), 1);
	assert_int_equal(quarantined(w), held); /* it is held once */
	run_again_with(w, "good");
	assert_int_equal(stale_files(w), 0);
	/* What arrives and fails is newer, and what is published not stale. */
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	run_again_with(w, "good");
	assert_int_equal(stale_files(w), 0);
	assert_int_equal(newer_of(w, "animals/a.csv"), OUTCOME_FAILED);
	shows(w, "Trusted/animals/a.csv", "good");
}

static void what_fails_again_goes_where_the_dataset_says_so(void **state) {
	struct world *w = *state;
	char yaml[1024];
	(void)snprintf(yaml, sizeof yaml, REFERRING, ", on_recheck_failure: withdraw");
	apply(w, yaml);
	put(w, "Landing/list.csv", "good");
	settle(w);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	run_again_with(w, "other");
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(stale_files(w), 0);
}

static void the_thread_does_it_by_itself(void **state) {
	struct world *w = *state;
	Schedule *schedule;
	const struct schedule_options options = {.gate = w->gate, .store = w->store, .actor = {.exe = "assayfs"}};
	apply_workflows(w, ARRIVAL "  - {name: one, dataset: animals, from: Raw, to: Trusted, on: demand}\n"
	                           "  - {name: two, dataset: animals, from: Raw, to: Trusted, after: one}\n");
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_equal(schedule_new(&options, &schedule), 0);
	assert_int_equal(schedule_start(schedule), 0);
	struct run run;
	assert_int_equal(gate_run(w->gate, "one", &somebody, &run), 0);
	for (int i = 0; i < 500 && (runs_of(w, "two")->count == 0 || !run_is_over(&runs_of(w, "two")->runs[0])); i++)
		(void)usleep(20 * 1000);
	ended(w, "two", 1, RUN_SUCCEEDED, RUN_AFTER);
	schedule_stop(schedule);
}

static void a_run_that_somebody_is_queueing_is_his_until_the_next_mount(void **state) {
	struct world *w = *state;
	Schedule *schedule;
	const struct schedule_options options = {.gate = w->gate, .store = w->store, .actor = {.exe = "assayfs"}};
	struct run run = {.cause = RUN_BY_HAND, .attempt = 1, .due_ns = 1, .workflow = "one"};
	Meta *m = store_meta(w->store);
	int64_t next_ns;
	apply_workflows(w, ARRIVAL "  - {name: one, dataset: animals, from: Raw, to: Trusted, on: demand}\n");
	assert_int_equal(schedule_new(&options, &schedule), 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, run_put(m, &run, &run.id)), 0);
	assert_int_equal(schedule_look(schedule, &next_ns), 0);
	assert_int_equal(runs_of(w, "one")->runs[0].state, RUN_QUEUED);
	schedule_stop(schedule);
	assert_int_equal(schedule_new(&options, &schedule), 0);
	assert_int_equal(schedule_look(schedule, &next_ns), 0);
	assert_true(runs_of(w, "one")->runs[0].state != RUN_QUEUED);
	schedule_stop(schedule);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(what_is_due_runs_once),
	        WORLD(a_downtime_is_caught_up_once),
	        WORLD(a_clock_set_back_runs_nothing_twice),
	        WORLD(a_run_that_is_going_is_not_overtaken),
	        WORLD(a_run_whose_last_job_has_ended_is_not_in_the_way),
	        WORLD(a_run_out_of_time_is_ended_and_tried_again),
	        WORLD(what_could_not_be_checked_fails_the_run),
	        WORLD(what_follows_runs_when_all_have_ended_well),
	        WORLD(a_run_goes_on_in_the_next_mount),
	        WORLD(a_workflow_that_is_gone_ends_its_run),
	        WORLD(what_fails_again_stays_and_is_marked),
	        WORLD(what_fails_again_goes_where_the_dataset_says_so),
	        WORLD(the_thread_does_it_by_itself),
	        WORLD(a_run_that_somebody_is_queueing_is_his_until_the_next_mount),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
