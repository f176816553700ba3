/* What the mount watches by itself: activity in samples, workflows, alarms and costs in figures, and its life. */
#include "fs/watch/watch.h"

#include "backend/meta_private.h"
#include "backend/run.h"
#include "backend/sample.h"
#include "fs/watch/activity.h"
#include "fs/watch/families.h"
#include "tests/policy/gate_world.h"

#include <linux/fuse.h>

#define SECOND_NS INT64_C(1000000000)
#define NOON (INT64_C(1795262400))
#define HOSTILE "wo\"rk\\ly,x"
#define HOSTILE_LABELS "workflow=wo\"rk\\ly_x"

static const char watched_yaml[] =
        "version: 1\n"
        "datasets:\n  - {name: animals, match: \"animals/*.csv\", rules: animals.dqdl, settle: 0s}\n"
        "workflows:\n"
        "  - {name: hourly, dataset: animals, from: Raw, to: Trusted, cron: \"0 * * * *\"}\n"
        "  - {name: 'wo\"rk\\ly,x', dataset: animals, from: Landing, to: Trusted, on: close}\n"
        "alarms:\n  - {name: 'a\"b', metric: StoredBytes, dimensions: {zone: Raw}, above: 38}\n";

/* ---- activity ---- */

static int add_up(void *arg, const struct sample_point *point) {
	*(double *)arg += point->sum;
	return 0;
}

/* Of all minutes together. */
static double sum(struct world *w, const char *name, const char *labels) {
	double total = 0;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, sample_read(m, name, labels, NOON, NOON + 600, 60, add_up, &total)), 0);
	return total;
}

static uint64_t ended_run(struct world *w, const char *workflow, enum run_state state, int64_t due_ns) {
	Meta *m = store_meta(w->store);
	struct run run = {.cause = RUN_BY_SCHEDULE, .attempt = 1, .due_ns = due_ns};
	uint64_t id = 0;
	(void)snprintf(run.workflow, sizeof run.workflow, "%s", workflow);
	run.state = state == RUN_MISSED ? RUN_MISSED : RUN_QUEUED;
	meta_begin(m);
	int rc = meta_raise_schema(m, META_SCHEMA_WATCHED);
	if (rc == 0)
		rc = run_put(m, &run, &id);
	if (rc == 0 && state != RUN_MISSED)
		rc = run_begin(m, id);
	if (rc == 0 && state != RUN_MISSED)
		rc = run_end(m, id, state, NULL);
	assert_int_equal(meta_end(m, rc), 0);
	return id;
}

static void each_operation_is_counted_in_one_minute(void **state) {
	struct world *w = *state;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	struct activity activity;
	Sampler *sampler = NULL;
	assert_int_equal(operation_stats_new(&stats), 0);
	operation_stats_asked(stats, FUSE_LOOKUP, 2);
	operation_stats_answered(stats, 2, 0, NULL, 0);
	activity_begin(&activity, w->store, w->gate, stats); /* what was before is not of this watch */
	assert_int_equal(sampler_new(w->store, &sampler), 0);
	assert_int_equal(sampler_add(sampler, "operations", activity_collect_operations, &activity), 0);
	operation_stats_asked(stats, FUSE_READ, 4);
	operation_stats_asked(stats, FUSE_WRITE, 6);
	operation_stats_answered(stats, 4, 0, "12345", 5);
	assert_int_equal(sampler_round(sampler, NOON), 0);
	assert_true(sum(w, "Operations", "") == 1); /* the other one has no answer */
	assert_true(sum(w, "ReadBytes", "") == 5 && sum(w, "WrittenBytes", "") == 0);
	struct fuse_write_out out = {.size = 4096};
	operation_stats_answered(stats, 6, 0, &out, sizeof out);
	for (int i = 1; i < 4; i++)
		assert_int_equal(sampler_round(sampler, NOON + i * 60), 0);
	assert_true(sum(w, "Operations", "") == 2);
	assert_true(sum(w, "ReadBytes", "") == 5 && sum(w, "WrittenBytes", "") == 4096);
	sampler_stop(sampler);
}

static void each_run_is_counted_in_one_minute(void **state) {
	struct world *w = *state;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	struct activity activity;
	Sampler *sampler = NULL;
	assert_int_equal(operation_stats_new(&stats), 0);
	apply(w, watched_yaml);
	ended_run(w, "hourly", RUN_FAILED, 1 * SECOND_NS);
	activity_begin(&activity, w->store, w->gate, stats);
	assert_int_equal(sampler_new(w->store, &sampler), 0);
	assert_int_equal(sampler_add(sampler, "workflows", activity_collect_workflows, &activity), 0);
	ended_run(w, "hourly", RUN_SUCCEEDED, 2 * SECOND_NS);
	ended_run(w, "hourly", RUN_FAILED, 3 * SECOND_NS);
	ended_run(w, HOSTILE, RUN_MISSED, 4 * SECOND_NS);
	assert_int_equal(sampler_round(sampler, NOON), 0);
	ended_run(w, "hourly", RUN_TIMED_OUT, 5 * SECOND_NS);
	for (int i = 1; i < 4; i++)
		assert_int_equal(sampler_round(sampler, NOON + i * 60), 0);
	assert_true(sum(w, "WorkflowSucceeded", "workflow=hourly") == 1);
	assert_true(sum(w, "WorkflowFailed", "workflow=hourly") == 2);
	assert_true(sum(w, "WorkflowMissed", "workflow=hourly") == 0);
	assert_true(sum(w, "WorkflowMissed", HOSTILE_LABELS) == 1);
	sampler_stop(sampler);
}

/* ---- figures ---- */

struct watched {
	struct filesystem fs;
	Watch *watch;
	OperationStats *stats;
};

static struct watched *watch_world(struct world *w, bool read_only) {
	struct watched *it = calloc(1, sizeof *it);
	assert_non_null(it);
	assert_int_equal(operation_stats_new(&it->stats), 0);
	it->fs.store = w->store;
	it->fs.meta = store_meta(w->store);
	it->fs.operations = it->stats;
	it->fs.read_only = read_only;
	assert_int_equal(watch_prepare(NULL, &it->watch), 0);
	assert_int_equal(watch_open(it->watch, &it->fs, w->gate, w->spawner), 0);
	return it;
}

static void end_watch(struct watched *it) {
	watch_hush(it->watch);
	assert_null(it->fs.metrics);
	watch_stop(it->watch);
	watch_free(it->watch);
	operation_stats_free(it->stats);
	free(it);
}

static bool tells(struct watched *it, const char *words) {
	_cleanup_(freep) char *text = NULL;
	size_t size;
	assert_int_equal(metrics_text(watch_metrics(it->watch), EXPOSITION_PROMETHEUS, &text, &size), 0);
	return strstr(text, words) != NULL;
}

static void figures_tell_alarms_workflows_and_costs(void **state) {
	struct world *w = *state;
	apply(w, watched_yaml);
	struct watched *it = watch_world(w, false);
	assert_true(tells(it, "\nassayfs_alarm_state{alarm=\"a\\\"b\"} 0\n"));
	assert_true(tells(it, "\nassayfs_cost_month_to_date_usd "));
	assert_true(tells(it, "\nassayfs_cost_month_end_usd "));
	assert_true(tells(it, "\nassayfs_cost_kind_month_to_date_usd{kind=\"storage\"} "));
	assert_true(tells(it, "\nassayfs_workflow_failing{workflow=\"wo\\\"rk\\\\ly,x\"} 0\n"));
	assert_true(tells(it, "\nassayfs_workflow_next_run_timestamp_seconds{workflow=\"hourly\"} "));
	assert_false(tells(it, "assayfs_workflow_next_run_timestamp_seconds{workflow=\"wo"));
	assert_false(tells(it, "assayfs_workflow_last_success_timestamp_seconds{"));
	ended_run(w, "hourly", RUN_SUCCEEDED, 2 * SECOND_NS);
	assert_true(tells(it, "\nassayfs_workflow_last_success_timestamp_seconds{workflow=\"hourly\"} "));
	ended_run(w, "hourly", RUN_FAILED, 3 * SECOND_NS);
	assert_true(tells(it, "\nassayfs_workflow_failing{workflow=\"hourly\"} 1\n"));
	assert_true(tells(it, "\nassayfs_workflow_last_success_timestamp_seconds{workflow=\"hourly\"} "));
	ended_run(w, "hourly", RUN_SUCCEEDED, 4 * SECOND_NS);
	assert_true(tells(it, "\nassayfs_workflow_failing{workflow=\"hourly\"} 0\n"));
	ended_run(w, "hourly", RUN_MISSED, 5 * SECOND_NS);
	assert_true(tells(it, "\nassayfs_workflow_failing{workflow=\"hourly\"} 1\n"));
	end_watch(it);
}

static void without_a_policy_there_is_no_workflow_and_no_alarm(void **state) {
	struct watched *it = watch_world(*state, false);
	assert_false(tells(it, "assayfs_workflow_failing{"));
	assert_false(tells(it, "assayfs_alarm_state{"));
	assert_true(tells(it, "\nassayfs_cost_month_to_date_usd "));
	end_watch(it);
}

static void a_workflow_is_due_until_it_is_begun(void **state) {
	struct world *w = *state;
	const int64_t hour = 3600, at = NOON - NOON % hour;
	int64_t due = 0;
	apply(w, watched_yaml);
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(w->gate);
	const struct policy_workflow *hourly = policy_workflow_named(held->policy, "hourly");
	Meta *m = store_meta(w->store);
	assert_int_equal(watch_due(m, hourly, (at + 1) * SECOND_NS, &due), 0);
	assert_int_equal(due, at + hour); /* whatever the time is by now */
	ended_run(w, "hourly", RUN_SUCCEEDED, (at + hour) * SECOND_NS);
	assert_int_equal(watch_due(m, hourly, (at + 1) * SECOND_NS, &due), 0);
	assert_int_equal(due, at + 2 * hour);
	assert_int_equal(watch_due(m, hourly, (at + 5 * hour) * SECOND_NS, &due), 0); /* a newer policy */
	assert_int_equal(due, at + 6 * hour);
	assert_int_equal(watch_due(m, policy_workflow_named(held->policy, HOSTILE), 0, &due), -ENOENT);
}

/* ---- life ---- */

static void it_starts_and_stops_at_once(void **state) {
	struct world *w = *state;
	apply(w, watched_yaml);
	for (int i = 0; i < 20; i++) {
		struct watched *it = watch_world(w, false);
		assert_non_null(watch_alarms(it->watch));
		assert_non_null(watch_costs(it->watch));
		assert_ptr_equal(it->fs.metrics, watch_metrics(it->watch));
		if (i > 0) /* one that was opened only ends as well */
			assert_int_equal(watch_start(it->watch), 0);
		end_watch(it);
	}
	watch_hush(NULL);
	watch_stop(NULL);
	watch_free(NULL);
}

static void a_mount_that_writes_nothing_has_figures_and_no_alarms(void **state) {
	struct world *w = *state;
	apply(w, watched_yaml);
	struct watched *it = watch_world(w, true);
	assert_null(watch_alarms(it->watch));
	assert_int_equal(watch_start(it->watch), 0);
	assert_true(tells(it, "\nassayfs_workflow_failing{workflow=\"hourly\"} 0\n"));
	assert_false(tells(it, "assayfs_alarm_state{"));
	end_watch(it);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(each_operation_is_counted_in_one_minute),
	        WORLD(each_run_is_counted_in_one_minute),
	        WORLD(figures_tell_alarms_workflows_and_costs),
	        WORLD(without_a_policy_there_is_no_workflow_and_no_alarm),
	        WORLD(a_workflow_is_due_until_it_is_begun),
	        WORLD(it_starts_and_stops_at_once),
	        WORLD(a_mount_that_writes_nothing_has_figures_and_no_alarms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
