/* What the gate decided, in numbers. */
#include "policy/gate/gate_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct told {
	struct gate_dataset_view datasets[GATE_STATS_NAMES + 2];
	char names[GATE_STATS_NAMES + 2][16];
	size_t count;
	uint64_t cells_acted, cells_reported;
};

static void note_dataset(void *arg, const struct gate_dataset_view *view) {
	struct told *told = arg;
	(void)snprintf(told->names[told->count], sizeof told->names[0], "%s", view->dataset);
	told->datasets[told->count++] = *view;
}

static void note_finding(void *arg, const struct gate_finding_view *view) {
	struct told *told = arg;
	assert_string_equal(view->detector, "EMAIL");
	if (strcmp(view->action, "redact") == 0)
		told->cells_acted = view->cells;
	else if (strcmp(view->action, "report") == 0)
		told->cells_reported = view->cells;
	else
		fail();
}

static void verdicts_are_told_apart_by_dataset_and_outcome(void **state) {
	(void)state;
	_cleanup_(gate_stats_freep) GateStats *stats = NULL;
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	static struct told told;
	assert_int_equal(gate_stats_new(&stats), 0);
	assert_int_equal(check_result_new(&result), 0);
	gate_stats_decided(stats, "animals", OUTCOME_PASSED, false, result);
	gate_stats_decided(stats, "animals", OUTCOME_FAILED, false, result);
	gate_stats_decided(stats, "animals", OUTCOME_PASSED, true, result);
	gate_stats_decided(stats, NULL, OUTCOME_ERROR, false, result);
	gate_stats_know(stats, "animals");
	gate_stats_know(stats, "later");
	gate_stats_datasets(stats, note_dataset, &told);
	assert_int_equal(told.count, 3);
	assert_string_equal(told.names[2], "later");
	assert_int_equal(told.datasets[2].verdicts[GATE_PASSED], 0);
	assert_string_equal(told.names[0], "");
	assert_int_equal(told.datasets[0].verdicts[GATE_ERROR], 1);
	assert_string_equal(told.names[1], "animals");
	assert_int_equal(told.datasets[1].verdicts[GATE_PASSED], 1);
	assert_int_equal(told.datasets[1].verdicts[GATE_FAILED], 1);
	assert_int_equal(told.datasets[1].verdicts[GATE_WAIVED], 1);
}

static void findings_are_counted_in_cells_by_what_was_done(void **state) {
	(void)state;
	_cleanup_(gate_stats_freep) GateStats *stats = NULL;
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	static struct told told;
	assert_int_equal(gate_stats_new(&stats), 0);
	assert_int_equal(check_result_new(&result), 0);
	struct check_finding *finding = check_result_add_finding(result, "EMAIL", "contact");
	assert_non_null(finding);
	finding->action = PRIVACY_REDACT;
	finding->cells = 5;
	finding->acts = true;
	gate_stats_decided(stats, "a", OUTCOME_PASSED, false, result);
	finding->acts = false;
	gate_stats_decided(stats, "a", OUTCOME_PASSED, false, result);
	gate_stats_decided(stats, "b", OUTCOME_PASSED, false, result);
	gate_stats_findings(stats, note_finding, &told);
	assert_int_equal(told.cells_acted, 5);
	assert_int_equal(told.cells_reported, 10);
}

static void names_are_bounded_and_the_rest_counts_together(void **state) {
	(void)state;
	_cleanup_(gate_stats_freep) GateStats *stats = NULL;
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	static struct told told;
	char name[16];
	assert_int_equal(gate_stats_new(&stats), 0);
	assert_int_equal(check_result_new(&result), 0);
	for (unsigned turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < GATE_STATS_NAMES + 10; i++) {
			(void)snprintf(name, sizeof name, "d%u", i);
			gate_stats_decided(stats, name, OUTCOME_PASSED, false, result);
		}
	gate_stats_datasets(stats, note_dataset, &told);
	assert_int_equal(told.count, GATE_STATS_NAMES + 1);
	assert_string_equal(told.names[0], "");
	assert_int_equal(told.datasets[0].verdicts[GATE_PASSED], 20);
	assert_int_equal(told.datasets[GATE_STATS_NAMES].verdicts[GATE_PASSED], 2);
}

static void checks_have_a_duration(void **state) {
	(void)state;
	_cleanup_(gate_stats_freep) GateStats *stats = NULL;
	struct histogram_view view;
	assert_int_equal(gate_stats_new(&stats), 0);
	gate_stats_checked(stats, 2000000);
	gate_stats_checks(stats, &view);
	assert_int_equal(view.count, 1);
	assert_int_equal(view.sum_ns, 2000000);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(verdicts_are_told_apart_by_dataset_and_outcome),
	        cmocka_unit_test(findings_are_counted_in_cells_by_what_was_done),
	        cmocka_unit_test(names_are_bounded_and_the_rest_counts_together),
	        cmocka_unit_test(checks_have_a_duration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
