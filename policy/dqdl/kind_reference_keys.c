/*
 * kind_reference_keys: ReferentialIntegrity and DatasetMatch, rows whose tuple is in the reference / rows.
 *
 * As the keys of DatasetMatch must be unique on both sides, "the row there with the same key has the same values" is
 * "there is such a tuple of key and values", and one set does for both rules.
 */
#include "policy/dqdl/reference.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct match {
	char *alias;
	size_t key_count; /* the first pairs; the others are compared */
	struct column_pairs pairs;
	struct key_set set;
	bool is_there;
	bool *has_empty;            /* our key columns with an empty cell in a row that matches */
	struct first_lines if_text; /* rows that match if those columns are texts */
	Distinct *ours, *theirs;    /* keys; NULL: they need not be unique */
	uint64_t our_rows_again, their_rows_again;
	bool stopped; /* a count of keys is over the memory's limit */
};

static struct table_cell text_cell(const char *text) {
	return (struct table_cell){.data = text, .size = strlen(text)};
}

/* ---- what the rule says ---- */

/* "alias.column" or "alias.{a,b}" */
static bool split_reference(const char *text, struct table_cell *ret_alias, struct table_cell *ret_columns) {
	size_t size = strlen(text);
	const char *brace = strstr(text, ".{");
	const char *point = brace ? brace : strrchr(text, '.');
	const char *columns = point ? point + (brace ? 2 : 1) : NULL, *end = text + size - (brace ? 1 : 0);
	if (!point || point == text || columns >= end || (brace && *end != '}'))
		return false;
	*ret_alias = (struct table_cell){.data = text, .size = (size_t)(point - text)};
	*ret_columns = (struct table_cell){.data = columns, .size = (size_t)(end - columns)};
	return true;
}

static int join_pairs(const struct column_pairs *ours, const struct column_pairs *theirs, struct match *match) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < ours->count; i++)
		rc = column_pairs_add(&match->pairs, text_cell(ours->ours[i]), text_cell(theirs->theirs[i]));
	match->key_count = match->pairs.count;
	return rc;
}

/* ReferentialIntegrity "a,b" "alias.{c,d}" */
static int read_integrity(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	struct match *match = check->own;
	const struct dqdl_parameter *parameters = check->rule->parameters;
	struct column_pairs ours = {0}, theirs = {0};
	struct table_cell alias, columns;
	if (!split_reference(parameters[1].value, &alias, &columns))
		return check_settle(check, DQDL_FAILED, "\"%s\" is neither alias.column nor alias.{column,column}",
		        parameters[1].value);
	match->alias = strndup(alias.data, alias.size);
	int rc = match->alias ? column_pairs_read(text_cell(parameters[0].value), &ours) : evaluator_out_of_memory();
	if (rc == 0)
		rc = column_pairs_read(columns, &theirs);
	if (rc == 0)
		rc = ours.count == theirs.count
		             ? join_pairs(&ours, &theirs, match)
		             : check_settle(check, DQDL_FAILED, "it names %zu columns, and %zu of \"%s\"", ours.count,
		                       theirs.count, match->alias);
	column_pairs_drop(&ours);
	column_pairs_drop(&theirs);
	return rc;
}

static bool is_key(const struct match *match, struct table_cell name) {
	for (size_t i = 0; i < match->key_count; i++)
		if (cell_equals(name, match->pairs.ours[i], strlen(match->pairs.ours[i])))
			return true;
	return false;
}

/* Every column that is no key, by the same name on both sides. */
static int compare_all(const DqdlEvaluator *evaluator, struct match *match) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < evaluator->column_count; i++)
		if (!is_key(match, evaluator->names[i]))
			rc = column_pairs_add(&match->pairs, evaluator->names[i], evaluator->names[i]);
	return rc;
}

static int compare_named(const char *text, struct match *match) {
	struct column_pairs named = {0};
	int rc = column_pairs_read(text_cell(text), &named);
	for (size_t i = 0; rc == 0 && i < named.count; i++)
		rc = column_pairs_add(&match->pairs, text_cell(named.ours[i]), text_cell(named.theirs[i]));
	column_pairs_drop(&named);
	return rc;
}

/* DatasetMatch "alias" "key->key,key" "column->column" */
static int read_match(DqdlEvaluator *evaluator, struct check *check) {
	struct match *match = check->own;
	const struct dqdl_rule *rule = check->rule;
	match->alias = strdup(rule->parameters[0].value);
	match->ours = distinct_new(evaluator->key, &evaluator->budget, NULL);
	match->theirs = distinct_new(evaluator->key, &evaluator->budget, NULL);
	if (!match->alias || !match->ours || !match->theirs)
		return evaluator_out_of_memory();
	int rc = column_pairs_read(text_cell(rule->parameters[1].value), &match->pairs);
	match->key_count = match->pairs.count;
	if (rc == 0 && match->key_count == 0)
		return check_settle(check, DQDL_FAILED, "it names no key column");
	if (rc < 0)
		return rc;
	const char *named = rule->parameter_count > 2 ? rule->parameters[2].value : "";
	return named[0] ? compare_named(named, match) : compare_all(evaluator, match);
}

/* ---- the columns ---- */

/* Looks up the pairs' names on one side; those that are not there settle the check. */
static int find_side(struct check *check, const struct table_cell *names, size_t count, bool is_ours) {
	struct match *match = check->own;
	char **wanted = is_ours ? match->pairs.ours : match->pairs.theirs;
	size_t *indexes = is_ours ? match->set.ours : match->set.theirs;
	_cleanup_(freep) char *keys = NULL;
	_cleanup_(freep) char *others = NULL;
	const char *where = is_ours ? "primary" : match->alias;
	int rc = columns_find(names, count, wanted, match->key_count, indexes, &keys);
	if (rc == 0)
		rc = columns_find(names, count, wanted + match->key_count, match->pairs.count - match->key_count,
		        indexes + match->key_count, &others);
	if (rc < 0 || (!keys && !others))
		return rc;
	if (check->rule->id == DQDL_REFERENTIAL_INTEGRITY)
		return check_settle(check, DQDL_FAILED,
		        "%s does not exist in \"%s\", or more than one column is called so", keys, where);
	return check_settle(check, DQDL_FAILED, "these %scolumns were not found in \"%s\", or not once: %s",
	        keys ? "key " : "", where, keys ? keys : others);
}

/* An empty key cell is NULL or a text as its column turns out, so those columns' kinds matter. */
static int show_keys(struct check *check, const struct match *match) {
	check->columns = calloc(match->key_count + 1, sizeof *check->columns);
	if (!check->columns)
		return evaluator_out_of_memory();
	check->column_count = match->key_count;
	for (size_t i = 0; i < match->key_count; i++)
		check->columns[i] = match->set.ours[i];
	return 0;
}

static int start(DqdlEvaluator *evaluator, struct check *check) {
	struct match *match = calloc(1, sizeof *match);
	check->own = match;
	if (!match)
		return evaluator_out_of_memory();
	int rc =
	        check->rule->id == DQDL_DATASET_MATCH ? read_match(evaluator, check) : read_integrity(evaluator, check);
	if (rc < 0 || check->settled)
		return rc;
	match->has_empty = calloc(match->key_count + 1, sizeof *match->has_empty);
	if (!match->has_empty)
		return evaluator_out_of_memory();
	rc = key_set_init(&match->set, match->pairs.count, match->key_count);
	if (rc == 0)
		rc = find_side(check, evaluator->names, evaluator->column_count, true);
	return rc < 0 || check->settled ? rc : show_keys(check, match);
}

static void release(struct check *check) {
	struct match *match = check->own;
	key_set_drop(&match->set);
	column_pairs_drop(&match->pairs);
	distinct_free(match->ours);
	distinct_free(match->theirs);
	free(match->has_empty);
	free(match->alias);
}

/* ---- the reference ---- */

static bool refers(const struct check *check, const char *alias) {
	const struct match *match = check->own;
	return strcmp(match->alias, alias) == 0;
}

static int find(DqdlEvaluator *evaluator, struct check *check, const struct reference *table) {
	struct match *match = check->own;
	match->is_there = true;
	int rc = find_side(check, table->names, table->column_count, false);
	check->row_level = !check->settled;
	return rc < 0 || check->settled ? rc : key_set_start(evaluator, &match->set);
}

static int count_key(DqdlEvaluator *evaluator, struct match *match, bool is_ours, const struct table_cell *cells) {
	bool again = false;
	if (!match->ours || match->stopped)
		return 0;
	int rc = key_set_count_key(
	        evaluator, &match->set, is_ours, is_ours ? match->ours : match->theirs, cells, &again);
	*(is_ours ? &match->our_rows_again : &match->their_rows_again) += again;
	match->stopped = rc == -E2BIG;
	return match->stopped ? 0 : rc;
}

static int feed_theirs(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	(void)line;
	struct match *match = check->own;
	int rc = key_set_add(evaluator, &match->set, cells);
	return rc < 0 ? rc : count_key(evaluator, match, false, cells);
}

/* ---- the rows ---- */

static bool is_text(const DqdlEvaluator *evaluator, size_t column) {
	return column_kind_is_text(&evaluator->columns[column].kind);
}

/* Are our key columns that are empty in this row texts, as far as is known? */
static bool empties_are_texts(
        const DqdlEvaluator *evaluator, const struct check *check, const struct table_cell *cells) {
	for (size_t i = 0; i < check->column_count; i++)
		if (cells[check->columns[i]].size == 0 && !is_text(evaluator, check->columns[i]))
			return false;
	return true;
}

static void note_empties(
        struct match *match, const struct check *check, const struct table_cell *cells, uint64_t line) {
	for (size_t i = 0; i < check->column_count; i++)
		match->has_empty[i] |= cells[check->columns[i]].size == 0;
	first_lines_add(&match->if_text, line);
}

static int feed_ours(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct match *match = check->own;
	enum key_match found = KEY_ABSENT;
	if (!match->set.distinct)
		return 0;
	int rc = key_set_find(evaluator, &match->set, cells, &found);
	if (rc < 0)
		return rc;
	if (!line) {
		bool passes = found == KEY_PRESENT ||
		              (found == KEY_PRESENT_IF_TEXT && empties_are_texts(evaluator, check, cells));
		check->row = passes ? DQDL_ROW_PASSED : DQDL_ROW_FAILED;
		return 0;
	}
	if (found == KEY_ABSENT)
		first_lines_add(&check->failing, line);
	else if (found == KEY_PRESENT_IF_TEXT)
		note_empties(match, check, cells, line);
	return count_key(evaluator, match, true, cells);
}

static void count_failing(const DqdlEvaluator *evaluator, struct check *check) {
	static const struct first_lines nothing;
	const struct match *match = check->own;
	bool fail = false;
	for (size_t i = 0; i < check->column_count; i++)
		fail |= match->has_empty[i] && !is_text(evaluator, check->columns[i]);
	check->failing_rows = check->failing.count + (fail ? match->if_text.count : 0);
	check_merge_lines(check, &check->failing, fail ? &match->if_text : &nothing);
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	const struct match *match = check->own;
	uint64_t rows = check->filter->rows;
	char subject[300];
	check->row_level = match->is_there;
	if (!match->is_there)
		return reference_missing(check, match->alias);
	if (match->stopped || match->set.stopped)
		return check_settle(check, DQDL_ERROR,
		        "\"%s\" has too many rows: keeping what is compared needs more than the limit of %zu bytes of "
		        "memory",
		        match->alias, evaluator->budget.limit);
	if (match->our_rows_again || match->their_rows_again)
		return check_settle(check, DQDL_FAILED,
		        "keys must be unique, and %" PRIu64 " rows of primary and %" PRIu64
		        " rows of \"%s\" have the key of a row before them",
		        match->our_rows_again, match->their_rows_again, match->alias);
	if (rows == 0)
		return check_settle(
		        check, DQDL_FAILED, "the table has no rows, so that there is no %s", check->rule->type);
	count_failing(evaluator, check);
	bool is_integrity = check->rule->id == DQDL_REFERENTIAL_INTEGRITY;
	(void)snprintf(subject, sizeof subject, "%s.%.200s", is_integrity ? "Column" : "Dataset", match->alias);
	return reference_settle(check, subject, (double)(rows - check->failing_rows) / (double)rows);
}

const struct check_kind kind_reference_keys = {.columns = KIND_COLUMNS_NONE,
        .measures = true,
        .names_itself = true,
        .row_level = true,
        .asks_kind = true,
        .start = start,
        .row = feed_ours,
        .finish = finish,
        .refers = refers,
        .reference = find,
        .reference_row = feed_theirs,
        .release = release};
