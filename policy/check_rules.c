#include "policy/check_rules.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/csv.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define NS_PER_S 1000000000LL
/* What may be used for telling different values apart: the worker's limit grows with the file twice as fast. */
#define DISTINCT_BYTES (256ull << 20)

/* ---- the job, in the words of reader and evaluator ---- */

static struct csv_options csv_options_of(const struct check_job *job) {
	static const enum csv_header headers[] = {[POLICY_HEADER_DETECT] = CSV_HEADER_DETECT,
	        [POLICY_HEADER_YES] = CSV_HEADER_YES,
	        [POLICY_HEADER_NO] = CSV_HEADER_NO};
	return (struct csv_options){
	        .delimiter = job->format.delimiter, .quote = job->format.quote, .header = headers[job->format.header]};
}

static struct dqdl_options dqdl_options_of(const struct check_job *job) {
	static const enum dqdl_nulls_mode modes[] = {[POLICY_NULLS_GLUE] = DQDL_NULLS_GLUE,
	        [POLICY_NULLS_EMPTY] = DQDL_NULLS_EMPTY,
	        [POLICY_NULLS_NONE] = DQDL_NULLS_NONE,
	        [POLICY_NULLS_WORDS] = DQDL_NULLS_LIST};
	uint64_t memory = job->size < SIZE_MAX / 4 ? DISTINCT_BYTES + 2 * job->size : SIZE_MAX / 2;
	return (struct dqdl_options){
	        .nulls = {.mode = modes[job->nulls], .list = job->null_words, .count = job->null_word_count},
	        .now = job->clock_ns / NS_PER_S,
	        .memory_bytes = (size_t)memory,
	        .no_jit = job->is_confined};
}

static int read_for_csv(void *context, void *buffer, size_t size) {
	const struct check_input *input = context;
	return (int)input->read(input->context, buffer, size < INT_MAX ? size : INT_MAX);
}

/* ---- a delimiter that can't be right ---- */

/* What to tell a person about it; "" when nothing is to be told. */
struct advice {
	char text[200];
};

static void advise(const CsvReader *reader, struct advice *ret_advice) {
	size_t fields;
	char better = csv_better_delimiter(reader, &fields), given = csv_dialect_of(reader)->delimiter;
	const char better_text[] = {better, 0}, given_text[] = {given, 0};
	ret_advice->text[0] = '\0';
	if (better)
		(void)snprintf(ret_advice->text, sizeof ret_advice->text,
		        "with the delimiter '%s' that the policy gives, the first line is one field, with '%s' it is "
		        "%zu: perhaps format: {delimiter: \"%s\"} is meant",
		        given == '\t' ? "\\t" : given_text, better == '\t' ? "\\t" : better_text, fields,
		        better == '\t' ? "\\t" : better_text);
}

/* ---- the outcomes, in the words of the result ---- */

static int add_outcome(struct check_result *result, const struct dqdl_outcome *outcome) {
	static const enum outcome outcomes[] = {
	        [DQDL_PASSED] = OUTCOME_PASSED, [DQDL_FAILED] = OUTCOME_FAILED, [DQDL_ERROR] = OUTCOME_ERROR};
	struct check_rule *rule = check_result_add_rule(result, outcome->rule->text, outcomes[outcome->result]);
	if (!rule)
		return -ENOMEM;
	int rc = outcome->reason ? check_rule_set_reason(rule, outcome->reason) : 0;
	for (size_t i = 0; rc == 0 && i < outcome->metric_count && i < CHECK_METRICS_MAX; i++)
		rc = check_rule_add_metric(rule, outcome->metrics[i].name, outcome->metrics[i].value);
	for (size_t i = 0; rc == 0 && i < outcome->line_count; i++)
		rc = check_rule_add_failing_line(rule, outcome->lines[i]);
	rule->has_failing_rows = outcome->row_level && outcome->rule->id != DQDL_COMPOSITE;
	rule->failing_rows = rule->has_failing_rows ? outcome->failing_rows : 0;
	return rc;
}

/* One rule that can't be decided leaves the file undecided, however many others failed: what the file is worth is not
 * known. */
static int sum_up(const struct advice *advice, struct check_result *result) {
	enum outcome outcome = OUTCOME_PASSED;
	for (size_t i = 0; i < result->rule_count && outcome != OUTCOME_ERROR; i++)
		if (result->rules[i].outcome != OUTCOME_PASSED)
			outcome = result->rules[i].outcome;
	if (outcome == OUTCOME_PASSED) {
		result->outcome = OUTCOME_PASSED;
		return advice->text[0] ? check_result_warn(result, advice->text) : 0;
	}
	_cleanup_(freep) char *summary = check_result_summary(result);
	if (!summary)
		return fault(ENOMEM, "no memory for a check");
	return check_result_say(result, outcome, "%s%s%s", advice->text, advice->text[0] ? "; so " : "", summary);
}

static int take_outcomes(
        const DqdlEvaluator *evaluator, const struct advice *advice, size_t columns, struct check_result *result) {
	result->has_rows = true;
	result->rows = dqdl_evaluator_rows(evaluator);
	result->columns = columns;
	size_t count = dqdl_evaluator_outcomes(evaluator);
	if (count > CHECK_RULES_MAX)
		return check_result_say(result, OUTCOME_ERROR, "the ruleset has more than %d rules", CHECK_RULES_MAX);
	for (size_t i = 0; i < count; i++) {
		int rc = add_outcome(result, dqdl_evaluator_outcome(evaluator, i));
		if (rc < 0)
			return rc;
	}
	return sum_up(advice, result);
}

/* ---- the way of a table ---- */

static int feed_rows(CsvReader *reader, DqdlEvaluator *evaluator) {
	const struct table_cell *cells;
	int rc;
	while ((rc = csv_next(reader, &cells)) > 0)
		if ((rc = dqdl_evaluator_row(evaluator, cells, csv_line(reader))) < 0)
			return rc;
	return rc;
}

/* What stands in the way is the file's: it is said with the line, and nothing is guessed. */
static int say_unreadable(int rc, const struct advice *advice, struct check_result *result) {
	if (rc == -ENODATA)
		return check_result_say(result, OUTCOME_FAILED, "empty: the file has not one row");
	if (rc == -EBADMSG || rc == -EILSEQ || rc == -EMSGSIZE || rc == -EINVAL)
		return check_result_say(result, OUTCOME_ERROR, "the file can't be read as a table: %s%s%s",
		        fault_message(), advice->text[0] ? "; " : "", advice->text);
	return rc;
}

static int evaluate(
        const Ruleset *ruleset, const struct check_job *job, struct check_input *input, struct check_result *result) {
	struct csv_options csv = csv_options_of(job);
	struct dqdl_options dqdl = dqdl_options_of(job);
	struct advice advice = {0};
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = NULL;
	int rc = csv_open(read_for_csv, input, &csv, &reader);
	if (rc < 0)
		return say_unreadable(rc, &advice, result);
	advise(reader, &advice);
	char dialect[128];
	csv_dialect_text(csv_dialect_of(reader), dialect, sizeof dialect);
	result->dialect = strdup(dialect);
	if (!result->dialect)
		return fault(ENOMEM, "no memory for a check");
	size_t columns = csv_columns(reader);
	if ((rc = dqdl_evaluator_new(ruleset, &dqdl, &evaluator)) < 0 ||
	        (rc = dqdl_evaluator_header(evaluator, csv_header_of(reader), columns)) < 0 ||
	        (rc = feed_rows(reader, evaluator)) < 0 || (rc = dqdl_evaluator_finish(evaluator)) < 0)
		return say_unreadable(rc, &advice, result);
	return take_outcomes(evaluator, &advice, columns, result);
}

static int add_warnings(const Ruleset *ruleset, const char *file, struct check_result *result) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ruleset_warnings(ruleset); i++) {
		const struct dqdl_diagnostic *warning = ruleset_warning(ruleset, i);
		char text[512];
		snprintf(text, sizeof text, "%.200s:%u:%u: %s", file, warning->line, warning->column, warning->message);
		rc = check_result_warn(result, text);
	}
	return rc;
}

int check_rules(const struct check_job *job, struct check_input *input, struct check_result *result) {
	const char *file = job->rules_file ? job->rules_file : "the rules";
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	struct dqdl_diagnostic at = {0};
	int rc = dqdl_parse(job->rules, &ruleset, &at);
	if (rc == -EINVAL)
		return check_result_say(
		        result, OUTCOME_ERROR, "%.200s:%u:%u: %s", file, at.line, at.column, at.message);
	if (rc < 0)
		return rc;
	result->canonical = strdup(dqdl_canonical(ruleset));
	if (!result->canonical)
		return fault(ENOMEM, "no memory for a check");
	if (ruleset_rules(ruleset) == 0)
		return check_result_say(result, OUTCOME_ERROR, "%.200s has no rules, so nothing can pass them", file);
	rc = add_warnings(ruleset, file, result);
	return rc < 0 ? rc : evaluate(ruleset, job, input, result);
}
