/* evaluate: see evaluate.h. Here rules are made ready, and rows are judged again. */
#include "policy/dqdl/evaluate.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/evaluator.h"
#include "policy/dqdl/sql_rules.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

static size_t count_leaves(const struct dqdl_rule *rule) {
	return rule->id == DQDL_COMPOSITE ? count_leaves(rule->left) + count_leaves(rule->right) : 1;
}

static int add_check(DqdlEvaluator *evaluator, const struct dqdl_rule *rule, struct check **ret_check) {
	struct check *check = &evaluator->checks[evaluator->check_count++];
	const struct dqdl_rule *subject = NULL;
	int rc = rule->id == DQDL_DETECT_ANOMALIES ? anomaly_subject(evaluator->arena, rule, &subject) : 0;
	check->source = rule;
	check->rule = subject ? subject : rule;
	check->condition = &check->rule->condition;
	check->watches = check->measures_only = subject != NULL;
	*ret_check = check;
	return rc;
}

static int add_leaves(DqdlEvaluator *evaluator, const struct dqdl_rule *rule, bool is_inside) {
	struct check *check;
	if (rule->id == DQDL_COMPOSITE) {
		int rc = add_leaves(evaluator, rule->left, true);
		return rc < 0 ? rc : add_leaves(evaluator, rule->right, true);
	}
	int rc = add_check(evaluator, rule, &check);
	check->is_inside = is_inside;
	return rc;
}

static int add_checks(DqdlEvaluator *evaluator) {
	const Ruleset *ruleset = evaluator->ruleset;
	struct check *check;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ruleset_rules(ruleset); i++) {
		evaluator->first_check[i] = evaluator->check_count;
		rc = add_leaves(evaluator, ruleset_rule(ruleset, i), false);
	}
	evaluator->first_check[ruleset_rules(ruleset)] = evaluator->check_count;
	for (size_t i = 0; rc == 0 && i < ruleset_analyzers(ruleset); i++) {
		rc = add_check(evaluator, ruleset_analyzer(ruleset, i), &check);
		if (rc == 0)
			check->measures_only = true;
	}
	return rc;
}

int dqdl_evaluator_new(const Ruleset *ruleset, const struct dqdl_options *options, DqdlEvaluator **ret_evaluator) {
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = calloc(1, sizeof *evaluator);
	if (!evaluator)
		return evaluator_out_of_memory();
	evaluator->ruleset = ruleset;
	evaluator->options = *options;
	evaluator->own_file.path = "";
	evaluator->budget.limit = options->memory_bytes ? options->memory_bytes : DQDL_MEMORY_BYTES;
	if (options->hash_key)
		memcpy(evaluator->key, options->hash_key, sizeof evaluator->key);
	else
		randombytes_buf(evaluator->key, sizeof evaluator->key);
	size_t leaves = ruleset_analyzers(ruleset);
	for (size_t i = 0; i < ruleset_rules(ruleset); i++)
		leaves += count_leaves(ruleset_rule(ruleset, i));
	evaluator->arena = arena_new();
	evaluator->checks = calloc(leaves + 1, sizeof *evaluator->checks);
	evaluator->tuples = calloc(leaves + 1, sizeof(struct tuple *));
	evaluator->fed = calloc(leaves + 1, sizeof(struct check *));
	evaluator->filters = calloc(leaves + 1, sizeof *evaluator->filters);
	evaluator->filter_count = 1;
	if (evaluator->filters)
		evaluator->filters[0].is_in = true;
	evaluator->first_check = calloc(ruleset_rules(ruleset) + 1, sizeof *evaluator->first_check);
	if (!evaluator->arena || !evaluator->checks || !evaluator->tuples || !evaluator->fed || !evaluator->filters ||
	        !evaluator->first_check)
		return evaluator_out_of_memory();
	int rc = add_checks(evaluator);
	if (rc < 0)
		return rc;
	*ret_evaluator = steal_pointer(&evaluator);
	return 0;
}

static void check_free(struct check *check) {
	if (check->own && check->kind->release)
		check->kind->release(check);
	free(check->own);
	free(check->columns);
	free(check->reason);
	free(check->note);
	predicate_free(check->predicate);
	for (size_t i = 0; i < check->metric_count; i++) {
		union {
			const char *kept;
			char *owned;
		} name = {.kept = check->metrics[i].name};
		free(name.owned);
	}
	free(check->metrics);
}

void dqdl_evaluator_free(DqdlEvaluator *evaluator) {
	if (!evaluator)
		return;
	for (size_t i = 0; i < evaluator->check_count; i++)
		check_free(&evaluator->checks[i]);
	for (size_t i = 0; evaluator->filters && i < evaluator->filter_count; i++)
		filter_free(&evaluator->filters[i]);
	for (size_t i = 0; i < evaluator->tuple_count; i++)
		tuple_free(evaluator->tuples[i]);
	for (size_t i = 0; evaluator->reasons && i < ruleset_rules(evaluator->ruleset); i++)
		free(evaluator->reasons[i]);
	free(evaluator->reasons);
	free(evaluator->outcomes);
	free(evaluator->metrics);
	arena_free(evaluator->arena);
	free(evaluator->tuples);
	free(evaluator->fed);
	free(evaluator->filters);
	free(evaluator->checks);
	free(evaluator->first_check);
	custom_sql_free(evaluator->custom_sql);
	keep_free(&evaluator->keep);
	free(evaluator->sample);
	free(evaluator->columns);
	free(evaluator->names);
	reference_free(evaluator->reference);
	free(evaluator);
}

/* --- making rules ready, when the columns are known --- */

/* 0 with the column's index, or settles the check. */
static int find_column(
        struct check *check, const struct table_cell *names, size_t count, const char *wanted, size_t *ret_index) {
	size_t found = column_find(names, count, wanted, ret_index);
	if (found > 1)
		return check_settle(check, DQDL_ERROR, "%zu columns are called \"%s\"", found, wanted);
	return found == 1 ? 0 : check_settle(check, DQDL_FAILED, "the table has no column \"%s\"", wanted);
}

static int find_columns(struct check *check, const struct table_cell *names, size_t count) {
	const struct dqdl_rule *rule = check->rule;
	bool whole_row = check->kind->columns == KIND_COLUMNS_OR_WHOLE_ROW && rule->parameter_count == 0;
	if (check->kind->columns == KIND_COLUMNS_NONE)
		return 0;
	check->column_count = whole_row ? count : rule->parameter_count;
	check->columns = calloc(check->column_count + 1, sizeof *check->columns);
	if (!check->columns)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < check->column_count && !check->settled; i++) {
		int rc = 0;
		check->columns[i] = i;
		if (!whole_row)
			rc = find_column(check, names, count, rule->parameters[i].value, &check->columns[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Under other policies than Glue's, and for most conditions, it does not matter what kind a column is. */
static void need_kinds(DqdlEvaluator *evaluator, const struct check *check) {
	bool needed = check->predicate ? predicate_needs_kind(check->predicate) : check->kind->asks_kind;
	if (evaluator->options.nulls.mode != DQDL_NULLS_GLUE)
		return;
	for (size_t i = 0; needed && i < check->column_count; i++)
		evaluator->columns[check->columns[i]].needed = true;
}

static int check_start(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *names, size_t count) {
	check->row = DQDL_ROW_SKIPPED;
	check->filter = evaluator->filters;
	check->kind = check->measures_only ? kind_that_measures(check->rule) : kind_of(check->rule);
	if (!check->kind && check->measures_only && kind_of(check->rule))
		return check_settle(check, DQDL_ERROR, "%s measures nothing without a condition", check->rule->type);
	if (!check->kind)
		return check_settle(check, DQDL_ERROR, "%s: not supported yet", check->rule->type);
	int rc = find_columns(check, names, count);
	if (rc == 0 && !check->settled)
		rc = filter_for(evaluator, check);
	if (rc == 0 && !check->settled)
		rc = lookback_prepare(evaluator, check);
	if (rc == 0 && !check->settled && check->kind->start)
		rc = check->kind->start(evaluator, check);
	if (rc < 0 || check->settled)
		return rc;
	check->row_level = check->kind->row_level;
	if (check->tuple)
		check->tuple->is_judged |= check->row_level;
	need_kinds(evaluator, check);
	return 0;
}

/* A type for a column that is not there is most likely a slip of the pen, which would leave another to be inferred. */
static int give_types(DqdlEvaluator *evaluator) {
	for (size_t i = 0; i < evaluator->options.type_count; i++) {
		const struct column_given *given = &evaluator->options.types[i];
		size_t index;
		size_t found = column_find(evaluator->names, evaluator->column_count, given->name, &index);
		if (found > 1)
			return fault(ENXIO, "a type is given for \"%.200s\", and %zu columns are called so",
			        given->name, found);
		if (found == 0)
			return fault(
			        ENXIO, "a type is given for \"%.200s\", but the table has no such column", given->name);
		evaluator->columns[index].kind = column_kind_given(given->type);
	}
	return 0;
}

int dqdl_evaluator_header(DqdlEvaluator *evaluator, const struct table_cell *names, size_t count) {
	evaluator->names = cells_copy(names, count);
	evaluator->column_count = count;
	evaluator->columns = calloc(count + 1, sizeof *evaluator->columns);
	if (!evaluator->columns || !evaluator->names)
		return evaluator_out_of_memory();
	int rc = give_types(evaluator);
	if (rc == 0)
		rc = keep_open(evaluator);
	if (rc == 0)
		rc = custom_sql_open(evaluator);
	for (size_t i = 0; i < evaluator->check_count && rc == 0; i++)
		rc = check_start(evaluator, &evaluator->checks[i], evaluator->names, count);
	for (size_t i = 0; i < evaluator->check_count && rc == 0; i++)
		if (!evaluator->checks[i].settled && evaluator->checks[i].kind->row)
			evaluator->fed[evaluator->fed_count++] = &evaluator->checks[i];
	tuples_share_memory(evaluator);
	const struct keep *keep = &evaluator->keep;
	evaluator->has_sql = keep->sql || keep->fault || evaluator->custom_sql || evaluator->filter_count > 1;
	return rc;
}

/* Does a rule of this kind look at no cells but those of its columns? What is not listed may look at any. */
static bool keeps_to_its_columns(const struct check *check) {
	static const struct check_kind *const kinds[] = {&kind_row_count, &kind_column_count, &kind_column_exists,
	        &kind_column_names, &kind_completeness, &kind_is_complete, &kind_column_values, &kind_column_length,
	        &kind_is_unique, &kind_tuple_metric, &kind_duplicate_row_count, &kind_primary_key, &kind_numbers,
	        &kind_correlation, &kind_column_data_type, &kind_data_freshness};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (check->kind == kinds[i])
			return true;
	return false;
}

void dqdl_evaluator_needs(const DqdlEvaluator *evaluator, bool *ret_columns) {
	bool all = evaluator->options.keep || evaluator->custom_sql || evaluator->filter_count > 1;
	for (size_t i = 0; i < evaluator->column_count; i++)
		ret_columns[i] = evaluator->columns[i].needed;
	for (size_t i = 0; i < evaluator->check_count; i++) {
		const struct check *check = &evaluator->checks[i];
		if (check->settled)
			continue;
		all |= !keeps_to_its_columns(check);
		for (size_t j = 0; j < check->column_count; j++)
			ret_columns[check->columns[j]] = true;
	}
	for (size_t i = 0; all && i < evaluator->column_count; i++)
		ret_columns[i] = true;
}

/* --- judging rows again --- */

int dqdl_evaluator_judge(DqdlEvaluator *evaluator, const struct table_cell *cells) {
	int rc = keep_ask(evaluator, cells, 0);
	if (rc < 0 || !evaluator->keep.is_kept || (rc = filters_ask(evaluator, cells, 0)) < 0)
		return rc;
	for (size_t i = 0; i < evaluator->tuple_count; i++) {
		rc = evaluator->tuples[i]->is_judged ? tuple_judge(evaluator, evaluator->tuples[i], cells) : 0;
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < evaluator->check_count; i++) {
		struct check *check = &evaluator->checks[i];
		if (!check->row_level || check->result == DQDL_ERROR || !check->kind->row)
			continue;
		check->row = DQDL_ROW_SKIPPED;
		rc = check->filter->is_in ? check->kind->row(evaluator, check, cells, 0) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

void dqdl_evaluator_own_file(DqdlEvaluator *evaluator, const struct dqdl_file *file) {
	evaluator->own_file = *file;
}

static int finish_check(DqdlEvaluator *evaluator, struct check *check) {
	bool is_open = !check->settled;
	int rc = is_open ? check->kind->finish(evaluator, check) : 0;
	if (rc < 0 || !is_open || check->result != DQDL_PASSED)
		return rc;
	if (check->note)
		return check_settle(check, DQDL_PASSED, "%s", check->note);
	return check->watches ? anomaly_judge(evaluator, check) : 0;
}

int dqdl_evaluator_finish(DqdlEvaluator *evaluator) {
	int begun = custom_sql_begin(evaluator);
	if (begun < 0 || (begun = tuples_total(evaluator)) < 0)
		return begun;
	for (size_t i = 0; i < evaluator->check_count; i++) {
		int rc = finish_check(evaluator, &evaluator->checks[i]);
		if (rc < 0)
			return rc;
	}
	evaluator->finished = true;
	return outcomes_make(evaluator);
}

uint64_t dqdl_evaluator_row_count(const DqdlEvaluator *evaluator) {
	return evaluator->filters[0].rows;
}

size_t dqdl_evaluator_outcomes(const DqdlEvaluator *evaluator) {
	return evaluator->finished ? ruleset_rules(evaluator->ruleset) : 0;
}

const struct dqdl_outcome *dqdl_evaluator_outcome(const DqdlEvaluator *evaluator, size_t index) {
	return &evaluator->outcomes[index];
}

size_t dqdl_evaluator_analyzers(const DqdlEvaluator *evaluator) {
	return evaluator->finished ? ruleset_analyzers(evaluator->ruleset) : 0;
}

const struct dqdl_outcome *dqdl_evaluator_analyzer(const DqdlEvaluator *evaluator, size_t index) {
	return &evaluator->outcomes[ruleset_rules(evaluator->ruleset) + index];
}

static enum dqdl_row_result row_of(const struct dqdl_rule *rule, const struct check **check, bool inside) {
	if (rule->id != DQDL_COMPOSITE) {
		const struct check *leaf = (*check)++;
		bool silent = !leaf->row_level || leaf->result == DQDL_ERROR || (inside && rule->excluded_in_rows);
		return silent ? DQDL_ROW_SKIPPED : leaf->row;
	}
	enum dqdl_row_result left = row_of(rule->left, check, true);
	enum dqdl_row_result right = row_of(rule->right, check, true);
	if (left == DQDL_ROW_SKIPPED || right == DQDL_ROW_SKIPPED)
		return DQDL_ROW_SKIPPED;
	bool passed = rule->is_or ? left == DQDL_ROW_PASSED || right == DQDL_ROW_PASSED
	                          : left == DQDL_ROW_PASSED && right == DQDL_ROW_PASSED;
	return passed ? DQDL_ROW_PASSED : DQDL_ROW_FAILED;
}

enum dqdl_row_result dqdl_evaluator_row_result(const DqdlEvaluator *evaluator, size_t index) {
	const struct check *check = &evaluator->checks[evaluator->first_check[index]];
	if (!evaluator->keep.is_kept)
		return DQDL_ROW_SKIPPED;
	return row_of(ruleset_rule(evaluator->ruleset, index), &check, false);
}
