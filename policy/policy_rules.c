#include "policy/policy.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/dqdl.h"
#include "policy/dqdl/lint.h"

#include <errno.h>

static int check_rules(const struct policy_dataset *dataset) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	struct dqdl_diagnostic at;
	int rc = dqdl_parse(dataset->rules, &ruleset, &at);
	if (rc == -EINVAL)
		return fault(EINVAL, "%s:%u:%u: %s", dataset->rules_file, at.line, at.column, at.message);
	if (rc == 0 && ruleset_rules(ruleset) == 0)
		return fault(EINVAL, "%s has no rules, so nothing can pass them", dataset->rules_file);
	return rc;
}

static int lint(const struct policy_dataset *dataset) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	struct dqdl_diagnostic at;
	int rc = dataset->rules_file ? dqdl_parse(dataset->rules, &ruleset, NULL) : ruleset_none(&ruleset);
	if (rc < 0 || (rc = dqdl_lint(ruleset, dataset->keep, &at)) != -EINVAL)
		return rc;
	if (at.line == 0)
		return fault(EINVAL, "policy.yaml: dataset %s: %s", dataset->name, at.message);
	return fault(EINVAL, "%s:%u:%u: %s; whatever the file, this can't be decided", dataset->rules_file, at.line,
	        at.column, at.message);
}

int policy_lint_rules(const Policy *policy) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < policy_dataset_count(policy); i++)
		rc = lint(policy_dataset(policy, i));
	return rc;
}

int policy_check_rules(const Policy *policy) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < policy_dataset_count(policy); i++)
		if (policy_dataset(policy, i)->rules_file)
			rc = check_rules(policy_dataset(policy, i));
	return rc;
}
