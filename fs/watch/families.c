#include "fs/watch/families.h"

#include "backend/record.h"
#include "backend/run.h"
#include "fs/watch/replication.h"
#include "policy/gate/schedule.h"

#include <time.h>

#define SECOND_NS INT64_C(1000000000)
#define LABELS(...) ((const struct exposition_label[]){__VA_ARGS__})

static void begin(Exposition *e, const char *name, const char *unit, const char *help) {
	const struct exposition_family family = {.name = name, .type = EXPOSITION_GAUGE, .unit = unit, .help = help};
	exposition_family(e, &family);
}

/* ---- alarms ---- */

static int tell_alarm(void *arg, const struct policy_alarm *alarm, const struct alarm_row *row) {
	exposition_count(arg, row->state, LABELS({"alarm", alarm->name}), 1);
	return 0;
}

static void tell_alarms(const struct watch_sources *from, Exposition *e) {
	begin(e, "assayfs_alarm_state", NULL, "State of the alarm: 0 INSUFFICIENT_DATA, 1 OK, 2 ALARM.");
	if (from->alarms)
		(void)alarms_list(from->alarms, tell_alarm, e);
}

/* ---- workflows ---- */

/* A family with a value of each workflow; `fn` answers with one, or -ENOENT: there is none. */
typedef int workflow_fn(Meta *m, const struct policy_workflow *workflow, int64_t policy_ns, int64_t *ret_value);

static int take_policy(void *arg, const struct policy_row *row) {
	*(int64_t *)arg = row->time_ns;
	return 0;
}

int watch_due(Meta *m, const struct policy_workflow *workflow, int64_t policy_ns, int64_t *ret_s) {
	int64_t last_ns = 0;
	meta_begin(m);
	int rc = meta_end(m, run_last_due(m, workflow->name, &last_ns));
	if (rc < 0)
		return rc;
	int64_t behind_ns = last_ns > policy_ns ? last_ns : policy_ns;
	return schedule_next(workflow, behind_ns / SECOND_NS, ret_s);
}

static int last_success(Meta *m, const struct policy_workflow *workflow, int64_t policy_ns, int64_t *ret_s) {
	struct run_facts facts = {0};
	(void)policy_ns;
	meta_begin(m);
	int rc = meta_end(m, run_facts(m, workflow->name, 0, &facts));
	*ret_s = facts.last_success_ns / SECOND_NS;
	return rc == 0 && facts.last_success_ns == 0 ? -ENOENT : rc;
}

/* Of those that have an end; one that is tried again has none yet. */
static int take_ended(void *arg, const struct run *run) {
	if (!run_is_over(run) || run->state == RUN_SKIPPED || run->retried_by != 0)
		return 0;
	*(int64_t *)arg = run->state != RUN_SUCCEEDED;
	return 1;
}

static int is_failing(Meta *m, const struct policy_workflow *workflow, int64_t policy_ns, int64_t *ret_failing) {
	(void)policy_ns;
	*ret_failing = 0;
	meta_begin(m);
	int rc = meta_end(m, run_list(m, workflow->name, 0, take_ended, ret_failing));
	return rc < 0 ? rc : 0;
}

static void tell_workflows(const struct watch_sources *from, Exposition *e) {
	static const struct {
		const char *name, *unit, *help;
		workflow_fn *fn;
	} rows[] = {
	        {"assayfs_workflow_failing", NULL,
	                "1: the last run of the workflow that has ended did not succeed, or was missed.", is_failing},
	        {"assayfs_workflow_last_success_timestamp_seconds", "seconds",
	                "When a run of the workflow last succeeded, since 1970.", last_success},
	        {"assayfs_workflow_next_run_timestamp_seconds", "seconds",
	                "When the workflow is due, since 1970; past until it is begun.", watch_due},
	};
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(from->gate);
	int64_t policy_ns = 0, value;
	meta_begin(from->meta);
	(void)meta_end(from->meta, policy_current(from->meta, take_policy, &policy_ns));
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		begin(e, rows[r].name, rows[r].unit, rows[r].help);
		for (size_t i = 0; i < policy_workflow_count(held->policy); i++) {
			const struct policy_workflow *workflow = policy_workflow(held->policy, i);
			if (rows[r].fn(from->meta, workflow, policy_ns, &value) == 0)
				exposition_number(e, (double)value, LABELS({"workflow", workflow->name}), 1);
		}
	}
}

/* ---- costs ---- */

static void tell_costs(const struct watch_sources *from, Exposition *e) {
	struct cost cost;
	if (!from->costs || costs_figures(from->costs, time(NULL), &cost) < 0)
		return;
	begin(e, "assayfs_cost_month_to_date_usd", "usd", "Estimated charges of this month so far (docs/costs.md).");
	exposition_number(e, cost.total.now, NULL, 0);
	begin(e, "assayfs_cost_month_end_usd", "usd", "Estimated charges of this month at its end.");
	exposition_number(e, cost.total.forecast, NULL, 0);
	begin(e, "assayfs_cost_kind_month_to_date_usd", "usd", "Estimated charges of this month so far, by kind.");
	exposition_number(e, cost.now_all.storage, LABELS({"kind", "storage"}), 1);
	exposition_number(e, cost.now_all.requests, LABELS({"kind", "requests"}), 1);
	exposition_number(e, cost.now_all.kms, LABELS({"kind", "kms"}), 1);
}

static void tell_watched(void *arg, Exposition *e) {
	const struct watch_sources *from = arg;
	tell_alarms(from, e);
	tell_workflows(from, e);
	tell_costs(from, e);
	replication_tell(from->backup, e);
}

int watch_add_families(Metrics *metrics, const struct watch_sources *sources) {
	return metrics_add_provider(metrics, tell_watched, (void *)(uintptr_t)sources);
}
