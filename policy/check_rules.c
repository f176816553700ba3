#include "policy/check_rules.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/check_feed.h"
#include "policy/check_hide.h"
#include "policy/check_keep.h"
#include "policy/check_privacy.h"
#include "policy/check_sample.h"
#include "policy/check_second.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/table.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#define NS_PER_S 1000000000LL
/* What may be used for counting different values, with a spill; and for that without one, for what rules keep of
 * references, and for SQL, together with twice the files. The worker's limit grows with four times the files. */
#define COUNT_BYTES (256ull << 20)
/* A guess: of a value of two bytes, packed to a sixteenth, a slot of 24 in a table that has just doubled, with the old
 * one beside it. Where it is wrong, a rule is an error that says so. */
#define SMALL_FILE_BYTES (COUNT_BYTES / 64 / 16)

bool check_job_may_spill(const struct check_job *job) {
	return job->size > SMALL_FILE_BYTES;
}

/* ---- the job, in the words of reader and evaluator ---- */

static struct table_options table_options_of(
        const struct policy_format *format, const char *file_name, bool hides_keys) {
	static const enum table_type types[] = {[POLICY_FILE_DETECT] = TABLE_DETECT,
	        [POLICY_FILE_CSV] = TABLE_CSV,
	        [POLICY_FILE_JSONL] = TABLE_JSONL,
	        [POLICY_FILE_TEXT] = TABLE_DETECT};
	static const enum csv_header headers[] = {[POLICY_HEADER_DETECT] = CSV_HEADER_DETECT,
	        [POLICY_HEADER_YES] = CSV_HEADER_YES,
	        [POLICY_HEADER_NO] = CSV_HEADER_NO};
	return (struct table_options){.type = types[format->type],
	        .name = file_name,
	        .jsonl = {.hides_keys = hides_keys},
	        .csv = {.delimiter = format->delimiter,
	                .quote = format->quote,
	                .escape = format->escape,
	                .header = headers[format->header]}};
}

static struct dqdl_options dqdl_options_of(const struct check_job *job) {
	static const enum dqdl_nulls_mode modes[] = {[POLICY_NULLS_GLUE] = DQDL_NULLS_GLUE,
	        [POLICY_NULLS_EMPTY] = DQDL_NULLS_EMPTY,
	        [POLICY_NULLS_NONE] = DQDL_NULLS_NONE,
	        [POLICY_NULLS_WORDS] = DQDL_NULLS_LIST};
	uint64_t bytes = check_job_bytes(job);
	uint64_t memory = bytes < SIZE_MAX / 4 ? COUNT_BYTES + 2 * bytes : SIZE_MAX / 2;
	return (struct dqdl_options){
	        .nulls = {.mode = modes[job->nulls], .list = job->null_words, .count = job->null_word_count},
	        .now = job->clock_ns / NS_PER_S,
	        .file_lists = job->file_lists,
	        .file_list_count = job->file_list_count,
	        .memory_bytes = (size_t)memory,
	        .spill = job->spill,
	        .count_bytes = COUNT_BYTES,
	        .keep = job->keep,
	        .types = job->types,
	        .type_count = job->type_count,
	        .knows_history = job->knows_history,
	        .series = job->history,
	        .series_count = job->history_count};
}

/* The file's bytes on their way to the reader, counted, and hashed where a rule asks for that. */
struct own_bytes {
	const struct check_input *input;
	uint64_t size;
	bool is_hashed;
	struct sha256 hash;
};

static int read_for_table(void *context, void *buffer, size_t size) {
	struct own_bytes *own = context;
	ssize_t got = own->input->read(own->input->context, buffer, size < INT_MAX ? size : INT_MAX);
	if (got > 0)
		own->size += (uint64_t)got;
	if (got > 0 && own->is_hashed)
		sha256_update(&own->hash, bytes_of(buffer, (size_t)got));
	return (int)got;
}

static void tell_own_file(DqdlEvaluator *evaluator, const struct check_job *job, struct own_bytes *own) {
	struct dqdl_file file = {.path = job->file_name ? job->file_name : "",
	        .size = own->size,
	        .mtime = job->mtime_s,
	        .has_sha256 = own->is_hashed};
	if (own->is_hashed)
		sha256_final(&own->hash, file.sha256);
	dqdl_evaluator_own_file(evaluator, &file);
}

/* ---- the outcomes, in the words of the result ---- */

static const enum outcome found_outcomes[] = {
        [DQDL_PASSED] = OUTCOME_PASSED, [DQDL_FAILED] = OUTCOME_FAILED, [DQDL_ERROR] = OUTCOME_ERROR};

/* Of a rule or an analyzer that was just added; NULL: there was no memory. */
static int add_findings(struct check_rule *rule, const struct dqdl_outcome *outcome) {
	if (!rule)
		return -ENOMEM;
	int rc = outcome->reason ? check_rule_set_reason(rule, outcome->reason) : 0;
	for (size_t i = 0; rc == 0 && i < outcome->metric_count && i < CHECK_METRICS_MAX; i++)
		rc = check_rule_add_metric(rule, outcome->metrics[i].name, outcome->metrics[i].value);
	return rc;
}

static int add_outcome(struct check_result *result, const struct dqdl_outcome *outcome) {
	struct check_rule *rule = check_result_add_rule(result, outcome->rule->text, found_outcomes[outcome->result]);
	int rc = add_findings(rule, outcome);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < outcome->line_count; i++)
		rc = check_rule_add_failing_line(rule, outcome->lines[i]);
	rule->has_failing_rows = outcome->row_level && outcome->rule->id != DQDL_COMPOSITE;
	rule->failing_rows = rule->has_failing_rows ? outcome->failing_rows : 0;
	return rc;
}

/* One rule that can't be decided leaves the file undecided, however many others failed: what the file is worth is not
 * known. */
static int sum_up(const char *advice, struct check_result *result) {
	enum outcome outcome = OUTCOME_PASSED;
	for (size_t i = 0; i < result->rule_count && outcome != OUTCOME_ERROR; i++)
		if (result->rules[i].outcome != OUTCOME_PASSED)
			outcome = result->rules[i].outcome;
	if (outcome == OUTCOME_PASSED) {
		result->outcome = OUTCOME_PASSED;
		return advice[0] ? check_result_warn(result, advice) : 0;
	}
	_cleanup_(freep) char *summary = check_result_summary(result);
	if (!summary)
		return fault(ENOMEM, "no memory for a check");
	return check_result_say(result, outcome, "%s%s%s", advice, advice[0] ? "; so " : "", summary);
}

/* What is past the bound is not shown, and a warning says so: no rule depends on it. */
static int take_analyzers(const DqdlEvaluator *evaluator, struct check_result *result) {
	size_t count = dqdl_evaluator_analyzers(evaluator);
	int rc = count > CHECK_ANALYZERS_MAX
	                 ? check_result_warn(result, "the ruleset has more analyzers than are shown")
	                 : 0;
	for (size_t i = 0; rc == 0 && i < count && i < CHECK_ANALYZERS_MAX; i++) {
		const struct dqdl_outcome *outcome = dqdl_evaluator_analyzer(evaluator, i);
		rc = add_findings(
		        check_result_add_analyzer(result, outcome->rule->text, found_outcomes[outcome->result]),
		        outcome);
	}
	return rc;
}

static int take_outcomes(const struct check_job *job, const DqdlEvaluator *evaluator, const TableReader *reader,
        struct check_result *result) {
	result->has_rows = true;
	result->rows = dqdl_evaluator_row_count(evaluator);
	result->columns = table_columns(reader);
	result->has_dropped = job->keep != NULL;
	result->dropped = dqdl_evaluator_dropped(evaluator);
	if (dqdl_evaluator_keep_fault(evaluator))
		return check_result_say(result, OUTCOME_ERROR, "%s", dqdl_evaluator_keep_fault(evaluator));
	size_t count = dqdl_evaluator_outcomes(evaluator);
	if (count > CHECK_RULES_MAX)
		return check_result_say(result, OUTCOME_ERROR, "the ruleset has more than %d rules", CHECK_RULES_MAX);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_outcome(result, dqdl_evaluator_outcome(evaluator, i));
	if (rc == 0)
		rc = take_analyzers(evaluator, result);
	return rc < 0 ? rc : sum_up(table_advice(reader), result);
}

/* ---- the way of a table ---- */

static int feed_reference(const struct check_reference *reference, DqdlEvaluator *evaluator) {
	struct table_options table = table_options_of(&reference->format, reference->file_name, false);
	struct check_input input = reference->input;
	struct own_bytes bytes = {.input = &input};
	_cleanup_(table_closep) TableReader *reader = NULL;
	const struct table_cell *cells;
	int rc = table_open(read_for_table, &bytes, &table, &reader);
	if (rc == 0)
		rc = dqdl_evaluator_reference(evaluator, reference->alias, table_header(reader), table_columns(reader));
	if (rc < 0)
		return rc;
	while ((rc = table_next(reader, &cells)) > 0)
		if ((rc = dqdl_evaluator_reference_row(evaluator, cells, table_line(reader))) < 0)
			return rc;
	return rc < 0 ? rc : dqdl_evaluator_reference_end(evaluator);
}

static bool is_unreadable(int rc) {
	return rc == -EBADMSG || rc == -EILSEQ || rc == -EMSGSIZE || rc == -EINVAL;
}

/* Those that a rule names. One that is no table leaves the file undecided: 1, and it is said. */
static int feed_references(const struct check_job *job, DqdlEvaluator *evaluator, struct check_result *result) {
	for (size_t i = 0; i < job->reference_count; i++) {
		const struct check_reference *reference = &job->references[i];
		int rc = dqdl_evaluator_wants(evaluator, reference->alias) ? feed_reference(reference, evaluator) : 0;
		if (is_unreadable(rc) || rc == -ENODATA || rc == -ENOTSUP) {
			rc = check_result_say(result, OUTCOME_ERROR,
			        "the reference \"%.200s\" can't be read as a table: %s", reference->alias,
			        fault_message());
			return rc < 0 ? rc : 1;
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Cells that no rule looks at are not even made; who looks for personal data looks at all. */
static int want_needed(TableReader *reader, const DqdlEvaluator *evaluator, const CheckPrivacy *privacy) {
	if (privacy)
		return 0;
	_cleanup_(freep) bool *needed = calloc(table_columns(reader) + 1, sizeof *needed);
	if (!needed)
		return fault(ENOMEM, "no memory for a check");
	dqdl_evaluator_needs(evaluator, needed);
	table_want(reader, needed);
	return 0;
}

static int see_rows(void *context, const struct table_rows *rows) {
	return check_privacy_rows(context, rows);
}

/* One by one where rows may be dropped: each that is is noted with its place, and nobody else sees it. */
static int feed_kept(
        TableReader *reader, DqdlEvaluator *evaluator, CheckPrivacy *privacy, struct dropped_rows *dropped) {
	const struct table_cell *cells;
	int rc;
	while ((rc = table_next(reader, &cells)) > 0) {
		uint64_t line = table_line(reader);
		const struct table_rows one = {
		        .count = 1, .columns = table_columns(reader), .cells = cells, .lines = &line};
		rc = dqdl_evaluator_row(evaluator, cells, line);
		if (rc == 0 && !dqdl_evaluator_kept(evaluator))
			rc = check_drop_row(dropped, reader);
		else if (rc == 0 && privacy)
			rc = check_privacy_rows(privacy, &one);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int feed_rows(const struct check_job *job, TableReader *reader, DqdlEvaluator *evaluator, CheckPrivacy *privacy,
        struct dropped_rows *dropped) {
	const struct check_feed_also also = {.rows = privacy ? see_rows : NULL, .context = privacy};
	int rc = want_needed(reader, evaluator, privacy);
	if (rc == 0)
		rc = check_list_begin(reader, &dropped->list);
	if (rc < 0)
		return rc;
	return job->keep ? feed_kept(reader, evaluator, privacy, dropped)
	                 : check_feed(reader, evaluator, job->crew, &also);
}

/* What stands in the way is the file's: it is said with the line, and nothing is guessed. The reader is NULL when it
 * could not even be opened. */
static int say_unreadable(int rc, const TableReader *reader, struct check_result *result) {
	const char *advice = reader ? table_advice(reader) : "";
	if (rc == -ENODATA)
		return check_result_say(result, OUTCOME_FAILED, "empty: %s", fault_message());
	if (rc == -ENOTSUP || rc == -ENXIO)
		return check_result_say(result, OUTCOME_ERROR, "%s", fault_message());
	if (is_unreadable(rc))
		return check_result_say(result, OUTCOME_ERROR, "the file can't be read as a table: %s%s%s",
		        fault_message(), advice[0] ? "; " : "", advice);
	return rc;
}

/* How the file is written, and what the reader has to say of it: known when the last row is read. */
static int tell_of_reader(TableReader *reader, struct check_result *result) {
	const char *warning;
	int rc = 0;
	result->dialect = strdup(table_dialect_text(reader));
	if (!result->dialect)
		return fault(ENOMEM, "no memory for a check");
	for (size_t i = 0; rc == 0 && (warning = table_warning(reader, i)); i++)
		rc = check_result_warn(result, warning);
	return rc;
}

/* ---- the second pass ---- */

static int tell_row(const struct check_rows *rows, const DqdlEvaluator *evaluator, uint64_t number,
        const struct check_result *result, enum outcome *outcomes) {
	static const enum outcome words[] = {[DQDL_ROW_PASSED] = OUTCOME_PASSED,
	        [DQDL_ROW_FAILED] = OUTCOME_FAILED,
	        [DQDL_ROW_SKIPPED] = OUTCOME_NONE};
	size_t count = dqdl_evaluator_outcomes(evaluator);
	for (size_t i = 0; i < result->rule_count; i++) /* those on groups of rows are behind */
		outcomes[i] = i < count ? words[dqdl_evaluator_row_result(evaluator, i)] : OUTCOME_NONE;
	return rows->row(rows->context, number, result, outcomes);
}

/* Reads the table again; what could be read once can be read twice, unless somebody has written to it since. */
static int judge_rows(const struct check_job *job, DqdlEvaluator *evaluator, const struct check_result *result) {
	struct check_input input;
	struct own_bytes own = {.input = &input};
	struct table_options table = table_options_of(&job->format, job->file_name, job->privacy != NULL);
	_cleanup_(table_closep) TableReader *reader = NULL;
	_cleanup_(freep) enum outcome *outcomes = calloc(result->rule_count + 1, sizeof *outcomes);
	if (!outcomes)
		return fault(ENOMEM, "no memory to judge rows");
	int rc = job->rows->again(job->rows->context, &input);
	if (rc < 0 || (rc = table_open(read_for_table, &own, &table, &reader)) < 0)
		return rc;
	const struct table_cell *cells;
	uint64_t number = 0, kept = 0;
	bool is_same = table_columns(reader) == result->columns;
	while (is_same && (rc = table_next(reader, &cells)) > 0) {
		number++;
		if ((rc = dqdl_evaluator_judge(evaluator, cells)) < 0)
			return rc;
		if (!dqdl_evaluator_kept(evaluator))
			continue;
		kept++;
		if ((rc = tell_row(job->rows, evaluator, number, result, outcomes)) < 0)
			return rc;
	}
	is_same = is_same && kept == result->rows && number - kept == result->dropped;
	if (rc == 0 && !is_same)
		return fault(EBUSY, "the file was changed while it was checked");
	return rc < 0 ? rc : job->rows->end(job->rows->context);
}

/* The rules' outcome first; what personal data says comes behind. */
static int settle(const struct check_job *job, TableReader *reader, DqdlEvaluator *evaluator, CheckPrivacy *privacy,
        struct dropped_rows *dropped, struct check_result *result) {
	int rc = dqdl_evaluator_finish(evaluator);
	if (rc >= 0)
		rc = check_sample_warn(evaluator, reader, result);
	if (rc >= 0)
		rc = take_outcomes(job, evaluator, reader, result);
	if (rc >= 0 && privacy && result->outcome != OUTCOME_ERROR)
		rc = check_privacy_end(privacy);
	/* what no cell shows nobody has looked through; what was found stays told */
	if (rc >= 0 && job->privacy && table_left_out(reader)[0])
		rc = check_privacy_say_unseen(result, table_left_out(reader), "put an object with all keys first");
	if (rc >= 0 && job->privacy && table_aside(reader, job->file_name)[0])
		rc = check_privacy_say_unseen(result, table_aside(reader, job->file_name), CHECK_PACK_AGAIN);
	if (rc >= 0 && job->privacy)
		rc = check_hide_numbers(job->privacy, result);
	return rc < 0 ? rc : check_drop_take(dropped, reader, result);
}

/* All that is asked of a table is made ready when its columns are known. */
static int begin(const struct check_job *job, const TableReader *reader, DqdlEvaluator *evaluator,
        struct check_result *result, CheckPrivacy **ret_privacy) {
	int rc = dqdl_evaluator_header(evaluator, table_header(reader), table_columns(reader));
	if (rc < 0)
		return say_unreadable(rc, reader, result);
	if (job->privacy || job->group_count > 0)
		rc = check_privacy_new(job, result, ret_privacy);
	if (rc >= 0 && *ret_privacy)
		rc = check_privacy_header(*ret_privacy, table_header(reader), table_columns(reader));
	return rc;
}

static int evaluate(
        const Ruleset *ruleset, const struct check_job *job, struct check_input *input, struct check_result *result) {
	struct table_options table = table_options_of(&job->format, job->file_name, job->privacy != NULL);
	struct dqdl_options dqdl = dqdl_options_of(job);
	struct table_source source;
	_cleanup_(peek_release) struct peek head = {0};
	_cleanup_(dropped_release) struct dropped_rows dropped = {0};
	_cleanup_(table_closep) TableReader *reader = NULL;
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = NULL;
	_cleanup_(check_privacy_freep) CheckPrivacy *privacy = NULL;
	struct own_bytes own = {.input = input, .is_hashed = dqdl_wants_own_sha256(ruleset)};
	sha256_init(&own.hash);
	int rc = dqdl_evaluator_new(ruleset, &dqdl, &evaluator);
	if (rc < 0)
		return rc;
	rc = check_sample(
	        (struct table_source){.read = read_for_table, .ctx = &own}, &table, evaluator, &head, &source);
	if (rc == 0)
		rc = table_open(source.read, source.ctx, &table, &reader);
	if (rc < 0)
		return say_unreadable(rc, NULL, result);
	if ((rc = begin(job, reader, evaluator, result, &privacy)) < 0 || result->outcome != OUTCOME_NONE)
		return rc;
	if ((rc = feed_references(job, evaluator, result)) != 0)
		return rc < 0 ? rc : 0;
	if ((rc = feed_rows(job, reader, evaluator, privacy, &dropped)) < 0)
		rc = say_unreadable(rc, reader, result);
	else
		tell_own_file(evaluator, job, &own);
	if (rc < 0 || (rc = tell_of_reader(reader, result)) < 0 || result->outcome == OUTCOME_ERROR)
		return rc;
	if ((rc = settle(job, reader, evaluator, privacy, &dropped, result)) < 0)
		return rc;
	bool has_all = result->rule_count >= ruleset_rules(ruleset);
	if (job->rows && has_all && (rc = judge_rows(job, evaluator, result)) == -E2BIG)
		rc = check_result_warn(result, fault_message()); /* the verdict stands, row by row it is not known */
	return rc < 0 ? rc : check_second(job, input, &table, evaluator, privacy, result);
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

static int read_rules(const struct check_job *job, struct check_result *result, Ruleset **ret_ruleset) {
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
	*ret_ruleset = steal_pointer(&ruleset);
	return rc;
}

/* A dataset may have none, and what is to be published its rules let pass already. */
int check_rules(const struct check_job *job, struct check_input *input, struct check_result *result) {
	bool has_rules = !job->is_output && (job->rules.size > 0 || !job->privacy);
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	int rc = has_rules ? read_rules(job, result, &ruleset) : ruleset_none(&ruleset);
	return rc < 0 || !ruleset ? rc : evaluate(ruleset, job, input, result);
}
