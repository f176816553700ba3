/* timeless: whether rules could say something else tomorrow of the same table. */
#include "policy/dqdl/evaluate.h"

#include <string.h>

static bool condition_is_timeless(const struct dqdl_condition *condition) {
	for (size_t i = 0; i < condition->operand_count; i++) {
		enum dqdl_operand_form form = condition->operands[i].form;
		if (form == DQDL_OPERAND_NOW || form == DQDL_OPERAND_NOW_OFFSET || form == DQDL_OPERAND_TIME)
			return false;
	}
	return true;
}

/* Words that SQLite's functions and keywords of time have in their names, also where they name a column: rather one
 * check too many. */
static bool sql_is_timeless(const char *sql) {
	static const char *const words[] = {"now", "current_", "date", "time", "julianday", "unixepoch"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasestr(sql, words[i]))
			return false;
	return true;
}

static bool rule_is_timeless(const struct dqdl_rule *rule) {
	if (rule->id == DQDL_COMPOSITE)
		return rule_is_timeless(rule->left) && rule_is_timeless(rule->right);
	bool asks_age = rule->id == DQDL_DATA_FRESHNESS || rule->id == DQDL_FILE_FRESHNESS;
	bool is_sql = rule->id == DQDL_CUSTOM_SQL && rule->parameter_count > 0;
	return !asks_age && condition_is_timeless(&rule->condition) && condition_is_timeless(&rule->threshold) &&
	       (!rule->where || sql_is_timeless(rule->where)) &&
	       (!is_sql || sql_is_timeless(rule->parameters[0].value));
}

bool dqdl_is_timeless(const Ruleset *ruleset) {
	for (size_t i = 0; i < ruleset_rules(ruleset); i++)
		if (!rule_is_timeless(ruleset_rule(ruleset, i)))
			return false;
	for (size_t i = 0; i < ruleset_analyzers(ruleset); i++)
		if (!rule_is_timeless(ruleset_analyzer(ruleset, i)))
			return false;
	return true;
}
