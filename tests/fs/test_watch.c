/* What a mount tells of by itself: work and workflows by the minute, and the figures of alarms, workflows and costs. */
#include "fs/watch/watch.h"

#include "backend/run.h"
#include "backend/sample.h"
#include "fs/backups.h"
#include "fs/watch/activity.h"
#include "fs/watch/families.h"
#include "fs/watch/replication.h"
#include "tests/policy/gate_world.h"

#include <linux/fuse.h>

#define MINUTE INT64_C(60)
#define SECOND_NS INT64_C(1000000000)
#define NOON (INT64_C(1795867200)) /* 2026-11-28 12:00 UTC */

static const char scheduled_yaml[] =
        "version: 1\n"
        "datasets:\n  - {name: animals, match: \"animals/*.csv\", rules: animals.dqdl, settle: 0s}\n"
        "workflows:\n"
        "  - {name: arrive, dataset: animals, from: Landing, to: Trusted, on: close}\n"
        "  - {name: \"night, \\\"ly\\\"\", dataset: animals, from: Raw, to: Trusted, cron: \"59 23 * * 0\"}\n"
        "alarms: [{name: costs, metric: EstimatedCharges, above: 38}]\n";
static const char nightly[] = "night, \"ly\"";

static int take(void *arg, const struct sample_point *point) {
	*(struct sample_point *)arg = *point;
	return 0;
}

/* -1: there is no sample. */
static double value(struct world *w, const char *name, const char *labels, int64_t now_s) {
	struct sample_point point = {.sum = -1};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, sample_read(m, name, labels, now_s, now_s + MINUTE, 60, take, &point)), 0);
	return point.sum;
}

static void ask(OperationStats *stats, uint32_t opcode, uint64_t unique, size_t bytes) {
	operation_stats_asked(stats, opcode, unique);
	operation_stats_answered(stats, unique, 0, NULL, bytes);
}

static Sampler *sampler_of(struct world *w, struct activity *activity, OperationStats *stats) {
	Sampler *sampler = NULL;
	assert_int_equal(sampler_new(w->store, false, &sampler), 0);
	activity_begin(activity, w->store, w->gate, stats);
	assert_int_equal(sampler_add(sampler, "operations", activity_collect_operations, activity), 0);
	assert_int_equal(sampler_add(sampler, "workflows", activity_collect_workflows, activity), 0);
	return sampler;
}

static void what_was_asked_is_told_once_in_the_minute_that_it_came(void **state) {
	struct world *w = *state;
	struct activity activity;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	assert_int_equal(operation_stats_new(&stats), 0);
	ask(stats, FUSE_READ, 100, 4096); /* before the mount began to measure */
	Sampler *sampler = sampler_of(w, &activity, stats);
	ask(stats, FUSE_READ, 102, 1000);
	ask(stats, FUSE_LOOKUP, 104, 128);
	assert_int_equal(sampler_round(sampler, NOON), 0);
	assert_true(value(w, "Operations", "", NOON) == 2);
	assert_true(value(w, "ReadBytes", "", NOON) == 1000);
	assert_true(value(w, "WrittenBytes", "", NOON) == 0);
	assert_int_equal(sampler_round(sampler, NOON + MINUTE), 0);
	assert_true(value(w, "Operations", "", NOON + MINUTE) == 0);
	sampler_stop(sampler);
}

static void put_run(struct world *w, enum run_state end, int64_t due_ns) {
	struct run run = {.cause = RUN_BY_SCHEDULE, .due_ns = due_ns};
	uint64_t id = 0;
	Meta *m = store_meta(w->store);
	(void)snprintf(run.workflow, sizeof run.workflow, "%s", nightly);
	meta_begin(m);
	int rc = run_put(m, &run, &id);
	if (rc == 0)
		rc = run_begin(m, id);
	if (rc == 0)
		rc = run_queued_all(m, id);
	if (rc == 0)
		rc = run_end(m, id, end, NULL);
	assert_int_equal(meta_end(m, rc), 0);
}

static void a_run_is_told_once_by_how_it_ended(void **state) {
	struct world *w = *state;
	struct activity activity;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	apply(w, scheduled_yaml);
	assert_int_equal(operation_stats_new(&stats), 0);
	Sampler *sampler = sampler_of(w, &activity, stats);
	put_run(w, RUN_SUCCEEDED, SECOND_NS);
	put_run(w, RUN_TIMED_OUT, 2 * SECOND_NS);
	put_run(w, RUN_FAILED, 3 * SECOND_NS);
	assert_int_equal(sampler_round(sampler, NOON), 0);
	/* A comma would end the label. */
	const char labels[] = "workflow=night_ \"ly\"";
	assert_true(value(w, "WorkflowSucceeded", labels, NOON) == 1);
	assert_true(value(w, "WorkflowFailed", labels, NOON) == 2);
	assert_true(value(w, "WorkflowMissed", labels, NOON) == 0);
	assert_true(value(w, "WorkflowFailed", "workflow=arrive", NOON) == 0);
	assert_int_equal(sampler_round(sampler, NOON + MINUTE), 0);
	assert_true(value(w, "WorkflowSucceeded", labels, NOON + MINUTE) == 0);
	assert_true(value(w, "WorkflowFailed", labels, NOON + MINUTE) == 0);
	sampler_stop(sampler);
}

/* ---- backups ---- */

#define URL_BYTES 128

/* A target beside the vault, which has all. */
static Backups *back_up(struct world *w, char url[static URL_BYTES]) {
	static struct backup_target target;
	Backups *backups = NULL;
	target = (struct backup_target){.number = 0};
	(void)snprintf(target.url, sizeof target.url, "file://%s/place", w->directory);
	(void)snprintf(url, URL_BYTES, "file://%s/place", w->directory);
	assert_int_equal(backups_open(w->store, &backups), 0);
	assert_int_equal(backup_add(backups_backup(backups), &target, true, &somebody), 0);
	assert_int_equal(backup_sync(backups_backup(backups), NULL, 60000), 0);
	return backups;
}

static void each_target_and_the_worst_have_samples(void **state) {
	struct world *w = *state;
	char url[URL_BYTES], labels[SAMPLER_LABEL_BYTES];
	Sampler *sampler = NULL;
	assert_int_equal(sampler_new(w->store, false, &sampler), 0);
	Backups *backups = back_up(w, url);
	assert_int_equal(sampler_add(sampler, "backups", replication_collect, backups_backup(backups)), 0);
	assert_int_equal(sampler_round(sampler, NOON), 0);
	(void)sampler_label("target", url, labels);
	for (size_t i = 0; i < 2; i++) {
		const char *of = i == 0 ? "" : labels;
		assert_true(value(w, "ReplicationLag", of, NOON) >= 0);
		assert_true(value(w, "BytesPendingReplication", of, NOON) >= 0);
		assert_true(value(w, "OperationsPendingReplication", of, NOON) == 0);
		assert_true(value(w, "OperationsFailedReplication", of, NOON) == 0);
	}
	assert_int_equal(backup_remove(backups_backup(backups), url, &somebody), 0);
	assert_int_equal(sampler_round(sampler, NOON + MINUTE), 0);
	assert_true(value(w, "ReplicationLag", "", NOON + MINUTE) == -1); /* no target, no sample */
	sampler_stop(sampler);
	backups_close(backups);
}

/* ---- figures ---- */

static char *figures(struct world *w, Alarms *alarms, Costs *costs) {
	const struct watch_sources sources = {
	        .meta = store_meta(w->store), .gate = w->gate, .alarms = alarms, .costs = costs};
	_cleanup_(metrics_freep) Metrics *metrics = NULL;
	char *text = NULL;
	size_t size = 0;
	assert_int_equal(metrics_new(&metrics), 0);
	assert_int_equal(watch_add_families(metrics, &sources), 0);
	assert_int_equal(metrics_text(metrics, EXPOSITION_OPENMETRICS, &text, &size), 0);
	return text;
}

static void has(const char *text, const char *line) {
	if (!strstr(text, line))
		fail_msg("'%s' is not in:\n%s", line, text);
}

static void without_a_policy_there_are_no_values_of_workflows(void **state) {
	struct world *w = *state;
	_cleanup_(freep) char *text = figures(w, NULL, NULL);
	has(text, "# TYPE assayfs_workflow_failing gauge\n");
	assert_null(strstr(text, "\nassayfs_workflow"));
	assert_null(strstr(text, "\nassayfs_cost"));
}

static void the_last_run_says_whether_a_workflow_fails(void **state) {
	struct world *w = *state;
	apply(w, scheduled_yaml);
	_cleanup_(freep) char *never = figures(w, NULL, NULL);
	has(never, "\nassayfs_workflow_failing{workflow=\"night, \\\"ly\\\"\"} 0\n");
	assert_null(strstr(never, "\nassayfs_workflow_last_success"));
	put_run(w, RUN_SUCCEEDED, SECOND_NS);
	put_run(w, RUN_FAILED, 2 * SECOND_NS);
	_cleanup_(freep) char *fails = figures(w, NULL, NULL);
	has(fails, "\nassayfs_workflow_failing{workflow=\"night, \\\"ly\\\"\"} 1\n");
	has(fails, "\nassayfs_workflow_last_success_timestamp_seconds{workflow=\"night, \\\"ly\\\"\"} ");
	assert_null(strstr(fails, "last_success_timestamp_seconds{workflow=\"arrive\"}"));
	put_run(w, RUN_SUCCEEDED, 3 * SECOND_NS);
	_cleanup_(freep) char *well = figures(w, NULL, NULL);
	has(well, "\nassayfs_workflow_failing{workflow=\"night, \\\"ly\\\"\"} 0\n");
}

static void what_is_due_stays_due_until_it_has_a_run(void **state) {
	struct world *w = *state;
	Meta *m = store_meta(w->store);
	int64_t due_s = 0;
	apply(w, scheduled_yaml);
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(w->gate);
	const struct policy_workflow *workflow = policy_workflow_named(held->policy, nightly);
	const int64_t sunday = INT64_C(1795996740); /* 2026-11-29 23:59 UTC */
	assert_int_equal(watch_due(m, workflow, NOON * SECOND_NS, &due_s), 0);
	assert_int_equal(due_s, sunday);
	put_run(w, RUN_SUCCEEDED, sunday * SECOND_NS);
	assert_int_equal(watch_due(m, workflow, NOON * SECOND_NS, &due_s), 0);
	assert_int_equal(due_s, sunday + 7 * 24 * 60 * MINUTE);
	workflow = policy_workflow_named(held->policy, "arrive");
	assert_int_equal(watch_due(m, workflow, 0, &due_s), -ENOENT);
}

static void targets_have_figures_by_their_url(void **state) {
	struct world *w = *state;
	char url[URL_BYTES], line[URL_BYTES + 64];
	_cleanup_(metrics_freep) Metrics *metrics = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	Backups *backups = back_up(w, url);
	const struct watch_sources sources = {
	        .meta = store_meta(w->store), .gate = w->gate, .backup = backups_backup(backups)};
	assert_int_equal(metrics_new(&metrics), 0);
	assert_int_equal(watch_add_families(metrics, &sources), 0);
	assert_int_equal(metrics_text(metrics, EXPOSITION_OPENMETRICS, &text, &size), 0);
	has(text, "# UNIT assayfs_backup_shipped_bytes bytes\n");
	(void)snprintf(line, sizeof line, "\nassayfs_backup_failed_versions{target=\"%s\"} 0\n", url);
	has(text, line);
	(void)snprintf(line, sizeof line, "\nassayfs_backup_refused_removals_total{target=\"%s\"} 0\n", url);
	has(text, line);
	backups_close(backups);
}

/* ---- the whole ---- */

static void use_watch(struct world *w, bool read_only) {
	Watch *watch = NULL;
	_cleanup_(operation_stats_freep) OperationStats *stats = NULL;
	struct filesystem fs = {.store = w->store, .meta = store_meta(w->store), .read_only = read_only};
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	assert_int_equal(operation_stats_new(&stats), 0);
	fs.operations = stats;
	assert_int_equal(watch_prepare(w->directory, &watch), 0);
	assert_int_equal(watch_open(watch, &fs, w->gate, w->spawner), 0);
	assert_int_equal(watch_start(watch), 0);
	assert_int_equal(!watch_alarms(watch), read_only);
	assert_int_equal(metrics_text(watch_metrics(watch), EXPOSITION_OPENMETRICS, &text, &size), 0);
	has(text, "\nassayfs_cost_month_to_date_usd ");
	if (!read_only)
		has(text, "\nassayfs_alarm_state{alarm=\"costs\"} ");
	watch_hush(watch);
	assert_null(fs.metrics);
	watch_stop(watch); /* at once, not with the next minute */
	watch_free(watch);
}

static void a_watch_begins_and_ends(void **state) {
	struct world *w = *state;
	apply(w, scheduled_yaml);
	use_watch(w, false);
	use_watch(w, true);
	use_watch(w, false);
}

static void a_watch_that_was_never_opened_ends_too(void **state) {
	(void)state;
	Watch *watch = NULL;
	assert_int_equal(watch_prepare(NULL, &watch), 0);
	watch_hush(watch);
	watch_stop(watch);
	watch_free(watch);
	watch_hush(NULL);
	watch_stop(NULL);
	watch_free(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(what_was_asked_is_told_once_in_the_minute_that_it_came),
	        WORLD(a_run_is_told_once_by_how_it_ended),
	        WORLD(each_target_and_the_worst_have_samples),
	        WORLD(targets_have_figures_by_their_url),
	        WORLD(without_a_policy_there_are_no_values_of_workflows),
	        WORLD(the_last_run_says_whether_a_workflow_fails),
	        WORLD(what_is_due_stays_due_until_it_has_a_run),
	        WORLD(a_watch_begins_and_ends),
	        cmocka_unit_test(a_watch_that_was_never_opened_ends_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
