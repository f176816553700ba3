/* Metrics over time: what verdicts leave, what rules look back on, and when an earlier verdict is as good as a new one.
 */
#include "policy/verdict.h"
#include "tests/policy/gate_world.h"

static const char history_yaml[] = "version: 1\n"
                                   "datasets:\n"
                                   "  - name: animals\n"
                                   "    match: \"animals/*.csv\"\n"
                                   "    rules: animals.dqdl\n"
                                   "    settle: 0s\n"
                                   "workflows:\n"
                                   "  - {name: arrive, dataset: animals, from: Landing, to: Trusted, on: close}\n"
                                   "  - {name: again, dataset: animals, from: Raw, to: Trusted, on: demand}\n";

static int set_up(void **state) {
	int rc = world_set_up(state);
	struct world *w = *state;
	world_close(w);
	w->check = check_table;
	world_open(w);
	return rc;
}
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, world_tear_down)

/* A table of so many rows whose first cell is given. */
static void deliver(struct world *w, const char *path, const char *first, size_t rows) {
	char text[4000] = "n\n";
	size_t used = 2;
	for (size_t i = 0; i < rows; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "%s\n", i ? "1" : first);
	put(w, path, text);
	settle(w);
}

/* ---- what is seen of it ---- */

struct latest {
	bool fresh;
	uint64_t id;
	char text[20000];
};

static int take_latest(void *arg, const struct verdict_row *row) {
	struct latest *latest = arg;
	_cleanup_(verdict_freep) struct verdict *verdict = NULL;
	_cleanup_(freep) char *text = NULL;
	assert_int_equal(verdict_from_json(row->body, &verdict), 0);
	assert_int_equal(verdict_text(verdict, &text), 0);
	latest->fresh = row->fresh;
	latest->id = row->id;
	snprintf(latest->text, sizeof latest->text, "%s", text);
	return 0;
}

static struct latest latest_of(struct world *w, const char *path) {
	static struct latest latest;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, verdict_latest_for_path(m, bytes_of_string(path), take_latest, &latest)), 0);
	return latest;
}

static void says(struct world *w, const char *path, enum outcome outcome, const char *words) {
	struct latest latest = latest_of(w, path);
	if (outcome_of(w, path) != outcome || !strstr(latest.text, words))
		fail_msg("%s does not say '%s':\n%s", path, words, latest.text);
}

struct values {
	double list[2000];
	uint64_t verdict[2000];
	size_t count;
};

static int take_value(void *arg, int64_t time_ns, double value, uint64_t verdict) {
	struct values *values = arg;
	(void)time_ns;
	values->verdict[values->count] = verdict;
	values->list[values->count++] = value;
	return 0;
}

static const struct values *values_of(struct world *w, struct bytes subject, const char *name) {
	static struct values values;
	Meta *m = store_meta(w->store);
	values.count = 0;
	meta_begin(m);
	assert_int_equal(
	        meta_end(m, metric_list(m, subject, bytes_of_string(name), INT64_MAX, 0, take_value, &values)), 0);
	return &values;
}

#define ANIMALS bytes_of_string("animals")
#define FAILED bytes_of("failed\0animals", 14)
#define ROWS "Dataset.*.RowCount"

/* ---- rules that look back ---- */

static void a_delivery_is_held_against_those_before(void **state) {
	struct world *w = *state;
	apply_rules(w, history_yaml, "Rules = [ RowCount > avg(last(3)) * 0.5 ]");
	deliver(w, "Landing/animals/a.csv", "1", 20);
	says(w, "Landing/animals/a.csv", OUTCOME_PASSED, "not compared: there is no history yet");
	deliver(w, "Landing/animals/a.csv", "1", 30);
	deliver(w, "Landing/animals/b.csv", "1", 40); /* of the dataset, whatever the name */
	deliver(w, "Landing/animals/a.csv", "1", 15);
	says(w, "Landing/animals/a.csv", OUTCOME_FAILED,
	        "RowCount is 15; the rule wants > avg(last(3)) * 0.5, which is > 15");
	shows(w, "Trusted/animals/c.csv", NULL);
	deliver(w, "Landing/animals/c.csv", "1", 16);
	says(w, "Landing/animals/c.csv", OUTCOME_PASSED, "the rule passed");
	assert_int_equal(staged(w, "animals/d.csv", "n\n1\n"), -EPERM); /* nor is there a side door */
	const struct values *values = values_of(w, ANIMALS, ROWS);
	assert_int_equal(values->count, 4);
	assert_true(values->list[0] == 16 && values->list[1] == 40 && values->list[3] == 20);
	assert_int_equal(values->verdict[0], latest_of(w, "Landing/animals/c.csv").id);
}

static void what_failed_teaches_nothing(void **state) {
	struct world *w = *state;
	char first[8];
	apply_rules(w, history_yaml, "Rules = [ RowCount > avg(last(3)) * 0.5 ]");
	deliver(w, "Landing/animals/a.csv", "1", 20);
	for (int i = 2; i < 8; i++) {
		snprintf(first, sizeof first, "%d", i);
		deliver(w, "Landing/animals/a.csv", first, 5);
		assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
	}
	assert_int_equal(values_of(w, ANIMALS, ROWS)->count, 1);
	assert_int_equal(values_of(w, FAILED, ROWS)->count, 6);
}

static void a_content_counts_once(void **state) {
	struct world *w = *state;
	struct run run;
	apply_rules(w, history_yaml, "Rules = [ RowCount > 0 ]");
	deliver(w, "Landing/animals/a.csv", "1", 20);
	deliver(w, "Landing/animals/b.csv", "1", 20);
	deliver(w, "Landing/animals/a.csv", "1", 10);
	deliver(w, "Landing/animals/a.csv", "1", 20);
	assert_int_equal(gate_run(w->gate, "again", &somebody, &run), 0);
	settle(w);
	assert_int_equal(values_of(w, ANIMALS, ROWS)->count, 2);
}

/* A first file that failed counts when another policy lets it pass. */
static void a_content_counts_when_it_first_passes(void **state) {
	struct world *w = *state;
	apply_rules(w, history_yaml, "Rules = [ RowCount > 100 ]");
	deliver(w, "Landing/animals/a.csv", "1", 20);
	assert_int_equal(values_of(w, ANIMALS, ROWS)->count, 0);
	apply_rules(w, history_yaml, "Rules = [ RowCount > 10 ]");
	settle(w);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
	assert_int_equal(values_of(w, ANIMALS, ROWS)->count, 1);
}

static void all_metrics_are_kept_each_under_its_name(void **state) {
	struct world *w = *state;
	apply_rules(w, history_yaml,
	        "Rules = [ RowCount > 0, RowCount > 0 where \"n > 1\", (Mean \"n\" > 0) and (RowCount > 1), "
	        "(Sum \"n\" > 0) and (ColumnCount = 1 ), (Range \"n\" > 0 where \"n > 0\") or (RowCount > 1) ] "
	        "Analyzers = [ AllStatistics \"n\" ]");
	deliver(w, "Landing/animals/a.csv", "7", 20);
	says(w, "Landing/animals/a.csv", OUTCOME_PASSED, "  measured  AllStatistics \"n\"");
	static const char *const names[] = {ROWS, ROWS " where \"n > 1\"", "Column.n.Mean", "Column.n.Sum",
	        "Column.n.Range", "Column.n.Entropy", "Dataset.*.ColumnCount"};
	static const double expected[] = {20, 1, 26.0 / 20, 26, 6};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct values *values = values_of(w, ANIMALS, names[i]);
		if (values->count != 1 || (i < 5 && values->list[0] != expected[i]))
			fail_msg("%s: %zu values", names[i], values->count);
	}
}

static void a_history_outlives_a_crash(void **state) {
	struct world *w = *state;
	apply_rules(w, history_yaml, "Rules = [ RowCount > last() ]");
	deliver(w, "Landing/animals/a.csv", "1", 20);
	assert_int_equal(store_commit_wait(w->store), 0);
	world_crash(w);
	deliver(w, "Landing/animals/a.csv", "1", 10);
	says(w, "Landing/animals/a.csv", OUTCOME_FAILED, "which is > 20");
}

static void rules_that_want_too_much_of_the_past_decide_nothing(void **state) {
	struct world *w = *state;
	char rules[12000] = "Rules = [ ColumnCount = 1";
	for (int i = 0; i < 101; i++) {
		char rule[64];
		snprintf(rule, sizeof rule, ", Mean \"c%d\" < avg(last(1000))", i);
		strcat(rules, rule);
	}
	apply_rules(w, history_yaml, strcat(rules, " ]"));
	deliver(w, "Landing/animals/a.csv", "1", 3);
	says(w, "Landing/animals/a.csv", OUTCOME_ERROR, "look back on more than 100000 earlier values");
}

/* ---- a worker that lies ---- */

static int flood(const struct check_job *job, struct check_input *input, struct check_result *result) {
	(void)job;
	char text[64] = "";
	ssize_t got = input->read(input->context, text, sizeof text - 1);
	result->bytes_read = (uint64_t)(got > 0 ? got : 0);
	result->outcome = OUTCOME_PASSED;
	struct check_rule *rule = check_result_add_rule(result, "RowCount > last()", OUTCOME_PASSED);
	for (int i = 0; rule && i < CHECK_METRICS_MAX - 1; i++) {
		char name[128];
		snprintf(name, sizeof name, "%.50s.%d", text, i);
		check_rule_add_metric(rule, name, i);
	}
	return rule ? check_rule_add_metric(rule, ROWS, 5) : -ENOMEM;
}

static void a_flood_of_metrics_is_kept_out_but_not_what_rules_ask_for(void **state) {
	struct world *w = *state;
	uint64_t series;
	char first[8];
	world_close(w);
	w->check = flood;
	world_open(w);
	apply_rules(w, history_yaml, "Rules = [ RowCount > last() ]");
	for (int i = 0; i < 9; i++) {
		snprintf(first, sizeof first, "%d", i);
		deliver(w, "Landing/animals/a.csv", first, 1);
	}
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, metric_series(m, ANIMALS, 10000, &series)), 0);
	assert_int_equal(series, 2000);
	assert_int_equal(values_of(w, ANIMALS, ROWS)->count, 9);
}

/* ---- an earlier verdict, used again ---- */

static bool is_fresh_again(struct world *w) {
	struct run run;
	uint64_t before = latest_of(w, "Raw/animals/a.csv").id;
	assert_int_equal(gate_run(w->gate, "again", &somebody, &run), 0);
	assert_int_equal(run.total, 1);
	settle(w);
	struct latest latest = latest_of(w, "Raw/animals/a.csv");
	assert_true(latest.id > before); /* it is judged each time, and says so */
	shows(w, "Trusted/animals/a.csv", "n\n1\n1\n");
	return latest.fresh;
}

/* A file that was judged under those rules, and once again from Raw. */
static void judged(struct world *w, const char *rules) {
	struct run run;
	apply_rules(w, history_yaml, rules);
	deliver(w, "Landing/animals/a.csv", "1", 2);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
	assert_int_equal(gate_run(w->gate, "again", &somebody, &run), 0);
	settle(w);
}

static void a_verdict_is_used_again_while_all_is_the_same(void **state) {
	struct world *w = *state;
	judged(w, "Rules = [ RowCount = 2 ]");
	assert_false(latest_of(w, "Raw/animals/a.csv").fresh); /* the first recheck already */
	assert_false(is_fresh_again(w));
	says(w, "Raw/animals/a.csv", OUTCOME_PASSED, "the rule passed");
}

static void another_policy_needs_another_verdict(void **state) {
	struct world *w = *state;
	judged(w, "Rules = [ RowCount = 2 ]");
	apply_rules(w, history_yaml, "Rules = [ RowCount >= 2 ]");
	assert_true(is_fresh_again(w));
	assert_false(is_fresh_again(w));
}

static void another_history_needs_another_verdict(void **state) {
	struct world *w = *state;
	judged(w, "Rules = [ RowCount > last() * 0.5 ]");
	assert_true(latest_of(w, "Raw/animals/a.csv").fresh); /* its own value is history by now */
	assert_false(is_fresh_again(w));
	_cleanup_(content_closep) Content *content = NULL;
	assert_int_equal(staged(w, "animals/a.csv", "n\n1\n1\n1\n"), 0); /* of the same dataset, and not in Raw */
	struct run run;
	assert_int_equal(gate_run(w->gate, "again", &somebody, &run), 0);
	settle(w);
	assert_true(latest_of(w, "Raw/animals/a.csv").fresh);
}

static void rules_that_look_at_the_clock_need_another_verdict_each_time(void **state) {
	struct world *w = *state;
	judged(w, "Rules = [ RowCount = 2, ColumnValues \"n\" != now() with threshold >= 0 ]");
	assert_true(latest_of(w, "Raw/animals/a.csv").fresh);
	assert_true(is_fresh_again(w));
	judged(w, "Rules = [ RowCount = 2 where \"n < unixepoch()\" ]");
	assert_true(is_fresh_again(w));
}

static void another_content_needs_another_verdict(void **state) {
	struct world *w = *state;
	judged(w, "Rules = [ RowCount >= 1 ]");
	deliver(w, "Landing/animals/a.csv", "2", 2);
	assert_true(latest_of(w, "Landing/animals/a.csv").fresh);
}

static void an_error_is_not_used_again(void **state) {
	struct world *w = *state;
	struct run run;
	apply_rules(w, history_yaml, "Rules = [ RowCount > 0 where \"abs(-9223372036854775807 - 1) > 0\" ]");
	deliver(w, "Landing/animals/a.csv", "1", 2);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_ERROR);
	assert_int_equal(gate_run(w->gate, "again", &somebody, &run), 0);
	settle(w);
	assert_true(latest_of(w, "Raw/animals/a.csv").fresh);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(a_delivery_is_held_against_those_before),
	        TEST(what_failed_teaches_nothing),
	        TEST(a_content_counts_once),
	        TEST(a_content_counts_when_it_first_passes),
	        TEST(all_metrics_are_kept_each_under_its_name),
	        TEST(a_history_outlives_a_crash),
	        TEST(rules_that_want_too_much_of_the_past_decide_nothing),
	        TEST(a_flood_of_metrics_is_kept_out_but_not_what_rules_ask_for),
	        TEST(a_verdict_is_used_again_while_all_is_the_same),
	        TEST(another_policy_needs_another_verdict),
	        TEST(another_history_needs_another_verdict),
	        TEST(rules_that_look_at_the_clock_need_another_verdict_each_time),
	        TEST(another_content_needs_another_verdict),
	        TEST(an_error_is_not_used_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
