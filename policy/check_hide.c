#include "policy/check_hide.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char hidden[] =
        "the number does not meet the rule; it is not told, as there is personal data where it comes from";

static bool is_personal(
        const struct privacy *privacy, const struct check_result *result, const char *name, size_t size) {
	const struct check_privacy_result *found = &result->privacy;
	for (size_t i = 0; i < found->finding_count; i++) {
		const char *column = found->findings[i].column;
		if (column && strlen(column) == size && strncasecmp(column, name, size) == 0)
			return true;
	}
	for (size_t i = 0; i < privacy->column_count; i++)
		if (strlen(privacy->columns[i].name) == size && strncasecmp(privacy->columns[i].name, name, size) == 0)
			return true;
	return false;
}

/* Does a metric of that name tell a value, and of a column with personal data? */
static bool tells(const struct privacy *privacy, const struct check_result *result, const char *metric) {
	static const char of_column[] = "Column.";
	static const char *const numbers[] = {".Minimum", ".Maximum", ".Mean", ".Sum", ".StandardDeviation",
	        ".Variance", ".Range", ".DataFreshness.MaximumHours"};
	size_t size = strlen(metric), prefix = sizeof of_column - 1;
	const char *last = strrchr(metric, '.');
	bool is_of_any = strcmp(metric, "Dataset.*.CustomSQL") == 0 || (last && strcmp(last, ".AggregateMatch") == 0);
	if (is_of_any)
		return !result->has_privacy || result->privacy.finding_count > 0 || privacy->column_count > 0;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		size_t tail = strlen(numbers[i]);
		if (size > prefix + tail && strncmp(metric, of_column, prefix) == 0 &&
		        strcmp(metric + size - tail, numbers[i]) == 0)
			return !result->has_privacy ||
			       is_personal(privacy, result, metric + prefix, size - prefix - tail);
	}
	return false;
}

static int hide(const struct privacy *privacy, const struct check_result *result, struct check_rule *rule) {
	size_t kept = 0;
	for (size_t i = 0; i < rule->metric_count; i++) {
		if (tells(privacy, result, rule->metrics[i].name))
			free(rule->metrics[i].name);
		else
			rule->metrics[kept++] = rule->metrics[i];
	}
	bool is_hidden = kept < rule->metric_count;
	rule->metric_count = kept;
	bool may_tell = rule->reason && !rule->has_failing_rows; /* those are counted */
	return is_hidden && may_tell ? check_rule_set_reason(rule, hidden) : 0;
}

int check_hide_numbers(const struct privacy *privacy, struct check_result *result) {
	int rc = 0;
	for (size_t i = 0; i < result->rule_count && rc == 0; i++)
		rc = hide(privacy, result, &result->rules[i]);
	for (size_t i = 0; i < result->analyzer_count && rc == 0; i++)
		rc = hide(privacy, result, &result->analyzers[i]);
	return rc;
}
