/* Any bytes as a ruleset. What is read prints, and its values are computed. */
#include "policy/dqdl/dqdl.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(const struct dqdl_rule *rule) {
	if (rule->id == DQDL_COMPOSITE) {
		visit(rule->left);
		visit(rule->right);
		return;
	}
	bool holds;
	char *text = dqdl_condition_text(&rule->condition);
	if (!text || !rule->text || rule->text[0] == '\0')
		abort();
	free(text);
	(void)dqdl_condition_holds(&rule->condition, 0.5, &holds);
	(void)dqdl_condition_holds(&rule->threshold, 0.5, &holds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	struct dqdl_diagnostic diagnostic;
	if (dqdl_parse(bytes_of(data, size), &ruleset, &diagnostic) < 0)
		return 0;
	for (size_t i = 0; i < ruleset_rules(ruleset); i++)
		visit(ruleset_rule(ruleset, i));
	if (ruleset_rules(ruleset) + ruleset_analyzers(ruleset) == 0 || dqdl_canonical(ruleset)[0] == '\0')
		abort();
	return 0;
}
