#include "fs/watch/activity.h"

#include "backend/run.h"

void activity_begin(struct activity *activity, Store *store, Gate *gate, const OperationStats *operations) {
	*activity = (struct activity){
	        .store = store, .gate = gate, .operations = operations, .looked_ns = meta_now(store_meta(store))};
	operation_stats_totals(operations, &activity->before);
}

int activity_collect_operations(void *arg, struct sampler_round *round) {
	struct activity *activity = arg;
	struct operation_totals now;
	operation_stats_totals(activity->operations, &now);
	const struct operation_totals *before = &activity->before;
	sampler_emit(round, "Operations", "", (double)(now.answered - before->answered));
	sampler_emit(round, "ReadBytes", "", (double)(now.read_bytes - before->read_bytes));
	sampler_emit(round, "WrittenBytes", "", (double)(now.written_bytes - before->written_bytes));
	activity->before = now;
	return 0;
}

static int collect_workflow(Meta *m, const char *workflow, int64_t since_ns, struct sampler_round *round) {
	char labels[SAMPLER_LABEL_BYTES];
	struct run_facts facts = {0};
	int rc = run_facts(m, workflow, since_ns, &facts);
	if (rc < 0)
		return rc;
	(void)sampler_label("workflow", workflow, labels);
	sampler_emit(round, "WorkflowSucceeded", labels, (double)facts.succeeded);
	sampler_emit(round, "WorkflowFailed", labels, (double)facts.failed);
	sampler_emit(round, "WorkflowMissed", labels, (double)facts.missed);
	return 0;
}

/* All in one operation, whose time no run that ends later lies before: none is told twice, or never. */
int activity_collect_workflows(void *arg, struct sampler_round *round) {
	struct activity *activity = arg;
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(activity->gate);
	Meta *m = store_meta(activity->store);
	int rc = 0;
	meta_begin(m);
	int64_t now_ns = meta_now(m);
	for (size_t i = 0; rc == 0 && i < policy_workflow_count(held->policy); i++)
		rc = collect_workflow(m, policy_workflow(held->policy, i)->name, activity->looked_ns, round);
	rc = meta_end(m, rc);
	if (rc == 0)
		activity->looked_ns = now_ns;
	return rc;
}
