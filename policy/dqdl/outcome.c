/* outcome: what the checks of each rule come to together. */
#include "policy/dqdl/evaluator.h"

#include <stdio.h>
#include <stdlib.h>

static enum dqdl_result combine(bool is_or, enum dqdl_result left, enum dqdl_result right) {
	if (left == DQDL_ERROR || right == DQDL_ERROR)
		return DQDL_ERROR;
	bool passed = is_or ? left == DQDL_PASSED || right == DQDL_PASSED : left == DQDL_PASSED && right == DQDL_PASSED;
	return passed ? DQDL_PASSED : DQDL_FAILED;
}

struct gathering {
	const struct check *check;
	struct dqdl_metric *metric;
	FILE *reasons;
	bool said;
	bool row_level;
};

static enum dqdl_result gather(const struct dqdl_rule *rule, struct gathering *gathering) {
	if (rule->id == DQDL_COMPOSITE) {
		enum dqdl_result left = gather(rule->left, gathering);
		return combine(rule->is_or, left, gather(rule->right, gathering));
	}
	const struct check *check = gathering->check++;
	for (size_t i = 0; i < check->metric_count; i++)
		*gathering->metric++ = check->metrics[i];
	if (check->reason) {
		(void)fprintf(gathering->reasons, "%s%s: %s", gathering->said ? "; " : "", rule->text, check->reason);
		gathering->said = true;
	}
	gathering->row_level &= check->row_level && check->result != DQDL_ERROR && !rule->excluded_in_rows;
	return check->result;
}

static int make_composite(DqdlEvaluator *evaluator, size_t index, struct gathering *gathering) {
	struct dqdl_outcome *outcome = &evaluator->outcomes[index];
	size_t size;
	struct dqdl_metric *first = gathering->metric;
	gathering->reasons = open_memstream(&evaluator->reasons[index], &size);
	if (!gathering->reasons)
		return evaluator_out_of_memory();
	gathering->said = false;
	gathering->row_level = true;
	outcome->result = gather(outcome->rule, gathering);
	if (fclose(gathering->reasons) != 0)
		return evaluator_out_of_memory();
	if (gathering->said)
		outcome->reason = evaluator->reasons[index];
	outcome->row_level = gathering->row_level;
	outcome->metrics = first;
	outcome->metric_count = (size_t)(gathering->metric - first);
	return 0;
}

static void make_single(struct dqdl_outcome *outcome, const struct check *check) {
	outcome->result = check->result;
	outcome->reason = check->reason;
	outcome->metrics = check->metrics;
	outcome->metric_count = check->metric_count;
	outcome->row_level = check->row_level && check->result != DQDL_ERROR;
	outcome->failing_rows = check->row_level ? check->failing_rows : 0;
	outcome->lines = check->lines;
	outcome->line_count = check->line_count;
}

int outcomes_make(DqdlEvaluator *evaluator) {
	size_t rules = ruleset_rules(evaluator->ruleset), analyzers = ruleset_analyzers(evaluator->ruleset);
	evaluator->outcomes = calloc(rules + analyzers + 1, sizeof *evaluator->outcomes);
	size_t metrics = 0;
	for (size_t i = 0; i < evaluator->check_count; i++)
		metrics += evaluator->checks[i].metric_count;
	evaluator->metrics = calloc(metrics + 1, sizeof *evaluator->metrics);
	evaluator->reasons = calloc(rules + 1, sizeof *evaluator->reasons);
	if (!evaluator->outcomes || !evaluator->metrics || !evaluator->reasons)
		return evaluator_out_of_memory();
	struct gathering gathering = {.check = evaluator->checks, .metric = evaluator->metrics};
	for (size_t i = 0; i < rules; i++) {
		struct dqdl_outcome *outcome = &evaluator->outcomes[i];
		outcome->rule = ruleset_rule(evaluator->ruleset, i);
		if (outcome->rule->id != DQDL_COMPOSITE) {
			make_single(outcome, gathering.check++);
			continue;
		}
		int rc = make_composite(evaluator, i, &gathering);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < analyzers; i++) {
		struct dqdl_outcome *outcome = &evaluator->outcomes[rules + i];
		outcome->rule = ruleset_analyzer(evaluator->ruleset, i);
		make_single(outcome, gathering.check++);
	}
	return 0;
}
