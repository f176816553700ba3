/*
 * evaluate: see evaluate.h. Here rules are made ready and rows are fed; outcome.c settles the outcomes.
 *
 * Measured (tests/policy/bench_table.c, gcc 12 -O2, one core of an AMD EPYC virtual machine, 1M rows of 6 columns, 70
 * bytes a row, CSV from memory, reading included):
 *
 *     RowCount alone                                                           14 M rows/s   1000 MB/s
 *     eight rules (counts, completeness, a pattern, two lists, a length)        5 M rows/s    360 MB/s
 *     IsUnique of a million different values (misses the cache every time)      3 M rows/s    200 MB/s
 */
#include "policy/dqdl/evaluate.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/evaluator.h"

#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static int out_of_memory(void) {
	return fault(ENOMEM, "out of memory while evaluating rules");
}

int check_settle(struct check *check, enum dqdl_result result, const char *format, ...) {
	char *reason = NULL;
	va_list args;
	va_start(args, format);
	int size = vasprintf(&reason, format, args);
	va_end(args);
	if (size < 0)
		return out_of_memory();
	free(check->reason);
	check->reason = reason;
	check->result = result;
	check->settled = true;
	return 0;
}

static size_t count_leaves(const struct dqdl_rule *rule) {
	return rule->id == DQDL_COMPOSITE ? count_leaves(rule->left) + count_leaves(rule->right) : 1;
}

static void add_leaves(DqdlEvaluator *evaluator, const struct dqdl_rule *rule) {
	if (rule->id == DQDL_COMPOSITE) {
		add_leaves(evaluator, rule->left);
		add_leaves(evaluator, rule->right);
		return;
	}
	evaluator->checks[evaluator->check_count++].rule = rule;
}

int dqdl_evaluator_new(const Ruleset *ruleset, const struct dqdl_options *options, DqdlEvaluator **ret_evaluator) {
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = calloc(1, sizeof *evaluator);
	if (!evaluator)
		return out_of_memory();
	evaluator->ruleset = ruleset;
	evaluator->options = *options;
	evaluator->budget.limit = options->memory_bytes ? options->memory_bytes : DQDL_MEMORY_BYTES;
	if (options->hash_key)
		memcpy(evaluator->key, options->hash_key, sizeof evaluator->key);
	else
		randombytes_buf(evaluator->key, sizeof evaluator->key);
	size_t leaves = 0;
	for (size_t i = 0; i < ruleset_rules(ruleset); i++)
		leaves += count_leaves(ruleset_rule(ruleset, i));
	evaluator->checks = calloc(leaves + 1, sizeof *evaluator->checks);
	evaluator->tuples = calloc(leaves + 1, sizeof(struct tuple *));
	evaluator->first_check = calloc(ruleset_rules(ruleset) + 1, sizeof *evaluator->first_check);
	if (!evaluator->checks || !evaluator->tuples || !evaluator->first_check)
		return out_of_memory();
	for (size_t i = 0; i < ruleset_rules(ruleset); i++) {
		evaluator->first_check[i] = evaluator->check_count;
		add_leaves(evaluator, ruleset_rule(ruleset, i));
	}
	*ret_evaluator = steal_pointer(&evaluator);
	return 0;
}

static void check_free(struct check *check) {
	free(check->columns);
	free(check->reason);
	predicate_free(check->predicate);
	for (size_t i = 0; i < check->metric_count; i++) {
		union {
			const char *kept;
			char *owned;
		} name = {.kept = check->metrics[i].name};
		free(name.owned);
	}
}

void dqdl_evaluator_free(DqdlEvaluator *evaluator) {
	if (!evaluator)
		return;
	for (size_t i = 0; i < evaluator->check_count; i++)
		check_free(&evaluator->checks[i]);
	for (size_t i = 0; i < evaluator->tuple_count; i++) {
		distinct_free(evaluator->tuples[i]->distinct);
		free(evaluator->tuples[i]);
	}
	for (size_t i = 0; evaluator->reasons && i < ruleset_rules(evaluator->ruleset); i++)
		free(evaluator->reasons[i]);
	free(evaluator->reasons);
	free(evaluator->outcomes);
	free(evaluator->metrics);
	free(evaluator->tuples);
	free(evaluator->checks);
	free(evaluator->first_check);
	free(evaluator->columns);
	free(evaluator->scratch);
	free(evaluator);
}

/* --- making rules ready, when the columns are known --- */

enum match { MATCH_EXACT, MATCH_UNESCAPED, MATCH_CASELESS };

static bool name_matches(enum match how, struct table_cell name, const char *wanted) {
	if (how == MATCH_EXACT)
		return cell_equals(name, wanted, strlen(wanted));
	if (how == MATCH_CASELESS)
		return name.size == strlen(wanted) && strncasecmp(name.data, wanted, name.size) == 0;
	size_t at = 0;
	for (; *wanted; wanted++, at++) {
		if (*wanted == '\\' && wanted[1])
			wanted++;
		if (at == name.size || name.data[at] != *wanted)
			return false;
	}
	return at == name.size;
}

/* 0 with the column's index, or settles the check. */
static int find_column(
        struct check *check, const struct table_cell *names, size_t count, const char *wanted, size_t *ret_index) {
	for (enum match how = MATCH_EXACT; how <= MATCH_CASELESS; how++) {
		size_t found = 0;
		for (size_t i = 0; i < count; i++) {
			if (!name_matches(how, names[i], wanted))
				continue;
			*ret_index = i;
			found++;
		}
		if (found > 1)
			return check_settle(check, DQDL_ERROR, "%zu columns are called \"%s\"", found, wanted);
		if (found == 1)
			return 0;
	}
	return check_settle(check, DQDL_FAILED, "the table has no column \"%s\"", wanted);
}

static int find_columns(struct check *check, const struct table_cell *names, size_t count) {
	const struct dqdl_rule *rule = check->rule;
	bool all = rule->id == DQDL_DUPLICATE_ROW_COUNT && rule->parameter_count == 0;
	check->column_count = all ? count : rule->parameter_count;
	check->columns = calloc(check->column_count + 1, sizeof *check->columns);
	if (!check->columns)
		return out_of_memory();
	for (size_t i = 0; i < check->column_count && !check->settled; i++) {
		int rc = 0;
		check->columns[i] = i;
		if (!all)
			rc = find_column(check, names, count, rule->parameters[i].value, &check->columns[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int make_tuple(DqdlEvaluator *evaluator, struct check *check) {
	for (size_t i = 0; i < evaluator->tuple_count; i++) {
		struct tuple *tuple = evaluator->tuples[i];
		if (tuple->column_count == check->column_count &&
		        memcmp(tuple->columns, check->columns, check->column_count * sizeof *check->columns) == 0) {
			check->tuple = tuple;
			return 0;
		}
	}
	struct tuple *tuple = calloc(1, sizeof *tuple);
	if (!tuple)
		return out_of_memory();
	tuple->columns = check->columns;
	tuple->column_count = check->column_count;
	evaluator->tuples[evaluator->tuple_count++] = tuple;
	check->tuple = tuple;
	tuple->distinct = distinct_new(evaluator->key, &evaluator->budget);
	return tuple->distinct ? 0 : out_of_memory();
}

static bool has_ignore_case(const struct dqdl_rule *rule) {
	for (size_t i = 0; i < rule->tags.count; i++)
		if (strcasecmp(rule->tags.pairs[i].key, "ignoreCase") == 0)
			return strcasecmp(rule->tags.pairs[i].value, "\"true\"") == 0;
	return false;
}

static int make_predicate(DqdlEvaluator *evaluator, struct check *check) {
	struct predicate_options options = {
	        .now = evaluator->options.now,
	        .lengths = check->rule->id == DQDL_COLUMN_LENGTH,
	        .fold_case = has_ignore_case(check->rule),
	        .no_jit = evaluator->options.no_jit,
	};
	int rc = predicate_new(&check->rule->condition, &options, &check->predicate);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	const struct dqdl_condition *condition = &check->rule->condition;
	check->fail_if_text = !condition->negated;
	return 0;
}

/* What kind of work the rule's type is; settles those that cannot be decided. */
static int make_ready(DqdlEvaluator *evaluator, struct check *check) {
	const struct dqdl_rule *rule = check->rule;
	switch ((int)rule->id) {
	case DQDL_ROW_COUNT:
	case DQDL_COLUMN_COUNT:
	case DQDL_COLUMN_EXISTS:
	case DQDL_COMPLETENESS:
		return 0;
	case DQDL_IS_COMPLETE:
		check->row_level = true;
		return 0;
	case DQDL_COLUMN_LENGTH:
	case DQDL_COLUMN_VALUES:
		check->row_level = true;
		return make_predicate(evaluator, check);
	case DQDL_IS_UNIQUE:
		check->row_level = true;
		return make_tuple(evaluator, check);
	case DQDL_UNIQUENESS:
	case DQDL_UNIQUE_VALUE_RATIO:
	case DQDL_DISTINCT_VALUES_COUNT:
	case DQDL_ENTROPY:
	case DQDL_DUPLICATE_ROW_COUNT:
		return make_tuple(evaluator, check);
	default:
		return check_settle(check, DQDL_ERROR, "%s: not supported yet", rule->type);
	}
}

static bool is_implemented(enum dqdl_rule_id id) {
	return id == DQDL_ROW_COUNT || id == DQDL_COLUMN_COUNT || id == DQDL_COLUMN_EXISTS || id == DQDL_COMPLETENESS ||
	       id == DQDL_IS_COMPLETE || id == DQDL_COLUMN_LENGTH || id == DQDL_COLUMN_VALUES || id == DQDL_IS_UNIQUE ||
	       id == DQDL_UNIQUENESS || id == DQDL_UNIQUE_VALUE_RATIO || id == DQDL_DISTINCT_VALUES_COUNT ||
	       id == DQDL_ENTROPY || id == DQDL_DUPLICATE_ROW_COUNT;
}

static int check_start(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *names, size_t count) {
	const struct dqdl_rule *rule = check->rule;
	check->row = DQDL_ROW_SKIPPED;
	if (!is_implemented(rule->id))
		return check_settle(check, DQDL_ERROR, "%s: not supported yet", rule->type);
	if (rule->where)
		return check_settle(check, DQDL_ERROR, "%s with where: not supported yet", rule->type);
	int rc = find_columns(check, names, count);
	if (rc < 0 || check->settled)
		return rc;
	rc = make_ready(evaluator, check);
	/* Under other policies than Glue's, and for most conditions, it does not matter what kind a column is. */
	bool needed = evaluator->options.nulls.mode == DQDL_NULLS_GLUE &&
	              (check->predicate ? predicate_needs_kind(check->predicate)
	                                : check->row_level || check->tuple || rule->id == DQDL_COMPLETENESS);
	for (size_t i = 0; rc == 0 && needed && i < check->column_count; i++)
		evaluator->columns[check->columns[i]].needed = true;
	return rc;
}

int dqdl_evaluator_header(DqdlEvaluator *evaluator, const struct table_cell *names, size_t count) {
	evaluator->column_count = count;
	evaluator->columns = calloc(count + 1, sizeof *evaluator->columns);
	if (!evaluator->columns)
		return out_of_memory();
	for (size_t i = 0; i < evaluator->check_count; i++) {
		int rc = check_start(evaluator, &evaluator->checks[i], names, count);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* --- rows --- */

bool empty_is_null(const DqdlEvaluator *evaluator, const size_t *columns, size_t count) {
	for (size_t i = 0; i < count; i++)
		if (column_kind_is_text(&evaluator->columns[columns[i]].kind))
			return false;
	return true;
}

static int room(DqdlEvaluator *evaluator, size_t size) {
	if (size <= evaluator->scratch_size)
		return 0;
	size_t wanted = size * 2;
	char *scratch = realloc(evaluator->scratch, wanted);
	if (!scratch)
		return out_of_memory();
	evaluator->scratch = scratch;
	evaluator->scratch_size = wanted;
	return 0;
}

/* A tuple as one value: each part as its presence, its length and its bytes, so that no two tuples are alike. */
static int tuple_value(DqdlEvaluator *evaluator, const struct tuple *tuple, const struct table_cell *cells,
        struct table_cell *ret_value, enum cell_presence *ret_presence) {
	const struct dqdl_nulls *nulls = &evaluator->options.nulls;
	if (tuple->column_count == 1) {
		*ret_value = cells[tuple->columns[0]];
		*ret_presence = cell_presence_of(nulls, *ret_value);
		return 0;
	}
	size_t size = 0;
	for (size_t i = 0; i < tuple->column_count; i++)
		size += 9 + cells[tuple->columns[i]].size;
	int rc = room(evaluator, size);
	if (rc < 0)
		return rc;
	char *to = evaluator->scratch;
	*ret_presence = CELL_NULL;
	for (size_t i = 0; i < tuple->column_count; i++) {
		struct table_cell cell = cells[tuple->columns[i]];
		enum cell_presence presence = cell_presence_of(nulls, cell);
		if (presence == CELL_VALUE || (presence == CELL_EMPTY && *ret_presence == CELL_NULL))
			*ret_presence = presence;
		uint64_t length = presence == CELL_VALUE ? cell.size : 0;
		*to++ = (char)presence;
		memcpy(to, &length, sizeof length);
		to += sizeof length;
		if (length)
			memcpy(to, cell.data, length);
		to += length;
	}
	*ret_value = (struct table_cell){.data = evaluator->scratch, .size = (size_t)(to - evaluator->scratch)};
	return 0;
}

static int feed_tuple(DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_cell *cells, uint64_t line) {
	struct table_cell value;
	if (tuple->stopped)
		return 0;
	int rc = tuple_value(evaluator, tuple, cells, &value, &tuple->last_presence);
	if (rc < 0)
		return rc;
	if (tuple->last_presence == CELL_NULL) {
		tuple->nulls++;
		return 0;
	}
	if (tuple->last_presence == CELL_EMPTY) {
		tuple->last = ++tuple->empties;
		return 0;
	}
	rc = distinct_add(tuple->distinct, value.data, value.size, &tuple->last);
	if (rc == -ENOSPC) {
		tuple->stopped = true;
		return 0;
	}
	if (rc == 0 && tuple->last > 1)
		first_lines_add(&tuple->repeats, line);
	return rc < 0 ? out_of_memory() : 0;
}

static void measure(struct check *check, double value) {
	if (!check->measured || value < check->minimum)
		check->minimum = value;
	if (!check->measured || value > check->maximum)
		check->maximum = value;
	check->measured = true;
}

/* One cell against one row-level check. `line` 0: only judge. */
static int feed_predicate(DqdlEvaluator *evaluator, struct check *check, struct table_cell cell,
        enum cell_presence presence, uint64_t line) {
	double none = __builtin_nan("");
	double number = none;
	enum predicate_verdict verdict = predicate_test(check->predicate, cell, presence, &number);
	if (line && number == number)
		measure(check, number);
	switch (verdict) {
	case PREDICATE_PASS:
		check->row = DQDL_ROW_PASSED;
		return 0;
	case PREDICATE_FAIL:
		check->row = DQDL_ROW_FAILED;
		if (line)
			first_lines_add(&check->failing, line);
		return 0;
	case PREDICATE_PASS_IF_NULL:
	case PREDICATE_FAIL_IF_NULL:
		check->row = empty_is_null(evaluator, check->columns, 1) == (verdict == PREDICATE_PASS_IF_NULL)
		                     ? DQDL_ROW_PASSED
		                     : DQDL_ROW_FAILED;
		if (line)
			first_lines_add(&check->undecided, line);
		return 0;
	case PREDICATE_OVER_LIMIT:
	default:
		check->row = DQDL_ROW_SKIPPED;
		if (!line)
			return 0;
		return check_settle(check, DQDL_ERROR,
		        "line %llu: the regular expression takes more than %u steps; write it without nested "
		        "repetition",
		        (unsigned long long)line, PREDICATE_MATCH_LIMIT);
	}
}

static void feed_complete(DqdlEvaluator *evaluator, struct check *check, enum cell_presence presence, uint64_t line) {
	check->row = DQDL_ROW_PASSED;
	if (presence == CELL_VALUE)
		return;
	if (presence == CELL_NULL || empty_is_null(evaluator, check->columns, 1))
		check->row = DQDL_ROW_FAILED;
	if (line)
		first_lines_add(presence == CELL_NULL ? &check->failing : &check->undecided, line);
}

static bool is_repeated(const DqdlEvaluator *evaluator, const struct tuple *tuple) {
	if (tuple->last_presence == CELL_NULL || tuple->last < 2)
		return false;
	return tuple->last_presence == CELL_VALUE || !empty_is_null(evaluator, tuple->columns, tuple->column_count);
}

static int feed_check(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	if (check->settled && line)
		return 0;
	struct table_cell cell;
	switch ((int)check->rule->id) {
	case DQDL_COMPLETENESS:
	case DQDL_IS_COMPLETE:
		cell = cells[check->columns[0]];
		feed_complete(evaluator, check, cell_presence_of(&evaluator->options.nulls, cell), line);
		if (!check->row_level)
			check->row = DQDL_ROW_SKIPPED;
		return 0;
	case DQDL_COLUMN_VALUES:
	case DQDL_COLUMN_LENGTH:
		cell = cells[check->columns[0]];
		return feed_predicate(evaluator, check, cell, cell_presence_of(&evaluator->options.nulls, cell), line);
	case DQDL_IS_UNIQUE:
		check->row = is_repeated(evaluator, check->tuple) ? DQDL_ROW_FAILED : DQDL_ROW_PASSED;
		return 0;
	default:
		return 0;
	}
}

int dqdl_evaluator_row(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line) {
	evaluator->rows++;
	for (size_t i = 0; i < evaluator->column_count; i++) {
		struct column *column = &evaluator->columns[i];
		if (column->needed && cells[i].size > 0 &&
		        !(column->kind.no_number && column->kind.no_date && column->kind.no_boolean))
			column_kind_see(&column->kind, cells[i]);
	}
	for (size_t i = 0; i < evaluator->tuple_count; i++) {
		int rc = feed_tuple(evaluator, evaluator->tuples[i], cells, line);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < evaluator->check_count; i++) {
		int rc = feed_check(evaluator, &evaluator->checks[i], cells, line ? line : 1);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* How often the value has occurred in the whole table; NULLs, however many, repeat nothing. */
static int judge_tuple(DqdlEvaluator *evaluator, struct tuple *tuple, const struct table_cell *cells) {
	struct table_cell value;
	int rc = tuple_value(evaluator, tuple, cells, &value, &tuple->last_presence);
	if (rc < 0)
		return rc;
	tuple->last = 0;
	if (tuple->last_presence == CELL_VALUE)
		tuple->last = distinct_count(tuple->distinct, value.data, value.size);
	else if (tuple->last_presence == CELL_EMPTY && !empty_is_null(evaluator, tuple->columns, tuple->column_count))
		tuple->last = tuple->empties;
	return 0;
}

int dqdl_evaluator_judge(DqdlEvaluator *evaluator, const struct table_cell *cells) {
	for (size_t i = 0; i < evaluator->tuple_count; i++) {
		int rc = judge_tuple(evaluator, evaluator->tuples[i], cells);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < evaluator->check_count; i++) {
		struct check *check = &evaluator->checks[i];
		if (!check->row_level || check->result == DQDL_ERROR)
			continue;
		int rc = feed_check(evaluator, check, cells, 0);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int dqdl_evaluator_finish(DqdlEvaluator *evaluator) {
	for (size_t i = 0; i < evaluator->check_count; i++) {
		int rc = check_finish(evaluator, &evaluator->checks[i]);
		if (rc < 0)
			return rc;
	}
	evaluator->finished = true;
	return outcomes_make(evaluator);
}

uint64_t dqdl_evaluator_rows(const DqdlEvaluator *evaluator) {
	return evaluator->rows;
}

size_t dqdl_evaluator_outcomes(const DqdlEvaluator *evaluator) {
	return evaluator->finished ? ruleset_rules(evaluator->ruleset) : 0;
}

const struct dqdl_outcome *dqdl_evaluator_outcome(const DqdlEvaluator *evaluator, size_t index) {
	return &evaluator->outcomes[index];
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
	return row_of(ruleset_rule(evaluator->ruleset, index), &check, false);
}
