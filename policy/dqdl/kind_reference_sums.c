/*
 * kind_reference_sums: AggregateMatch, the sum or mean of one column / that of another: "sum(col)" of the table itself
 * or "avg(alias.col)", the alias being what stands before the last point. 0/0 is 1, x/0 is 0. NULL is left out; a text
 * that is no number, or not one number at all, fails the rule, as it does Sum and Mean.
 */
#include "policy/dqdl/reference.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PRIMARY "primary"

struct side {
	bool is_mean;
	char *alias; /* "primary": the table itself */
	char *column;
	bool is_there, is_read; /* the table was found; it is the one that is fed */
	size_t index;
	long double sum;
	uint64_t count;
	uint64_t other_line; /* the first line with something that is no number; 0: none */
};

struct sides {
	struct side side[2];
};

static int parse(const char *text, struct side *ret_side, bool *ret_valid) {
	size_t size = strlen(text);
	*ret_valid = size > 5 && text[3] == '(' && text[size - 1] == ')' &&
	             (strncasecmp(text, "sum", 3) == 0 || strncasecmp(text, "avg", 3) == 0);
	if (!*ret_valid)
		return 0;
	const char *name = text + 4, *end = text + size - 1;
	const char *point = memrchr(name, '.', (size_t)(end - name));
	*ret_side = (struct side){.is_mean = strncasecmp(text, "avg", 3) == 0,
	        .alias = point ? strndup(name, (size_t)(point - name)) : strdup(PRIMARY),
	        .column = point ? strndup(point + 1, (size_t)(end - point - 1)) : strndup(name, (size_t)(end - name))};
	return ret_side->alias && ret_side->column ? 0 : evaluator_out_of_memory();
}

/* Finds the column, or settles the check. */
static int find_column(struct check *check, struct side *side, const struct table_cell *names, size_t count) {
	size_t found = column_find(names, count, side->column, &side->index);
	side->is_there = true;
	if (found == 1)
		return 0;
	return check_settle(check, found ? DQDL_ERROR : DQDL_FAILED, "\"%s\" has %s column \"%s\"", side->alias,
	        found ? "more than one" : "no", side->column);
}

static int start(DqdlEvaluator *evaluator, struct check *check) {
	struct sides *sides = calloc(1, sizeof *sides);
	check->own = sides;
	if (!sides)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < 2 && !check->settled; i++) {
		struct side *side = &sides->side[i];
		const char *text = check->rule->parameters[i].value;
		bool is_valid;
		int rc = parse(text, side, &is_valid);
		if (rc == 0 && !is_valid)
			rc = check_settle(check, DQDL_FAILED,
			        "\"%s\" is neither sum(column) nor avg(column), nor one of alias.column", text);
		else if (rc == 0 && strcmp(side->alias, PRIMARY) == 0)
			rc = find_column(check, side, evaluator->names, evaluator->column_count);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void release(struct check *check) {
	struct sides *sides = check->own;
	for (size_t i = 0; i < 2; i++) {
		free(sides->side[i].alias);
		free(sides->side[i].column);
	}
}

static bool refers(const struct check *check, const char *alias) {
	const struct sides *sides = check->own;
	return strcmp(alias, PRIMARY) != 0 &&
	       (strcmp(sides->side[0].alias, alias) == 0 || strcmp(sides->side[1].alias, alias) == 0);
}

static int find(DqdlEvaluator *evaluator, struct check *check, const struct reference *table) {
	(void)evaluator;
	struct sides *sides = check->own;
	for (size_t i = 0; i < 2; i++) {
		struct side *side = &sides->side[i];
		side->is_read = strcmp(side->alias, table->alias) == 0;
		int rc = side->is_read ? find_column(check, side, table->names, table->column_count) : 0;
		if (rc < 0 || check->settled)
			return rc;
	}
	return 0;
}

static void add(const DqdlEvaluator *evaluator, struct side *side, struct table_cell cell, uint64_t line) {
	double value;
	if (cell_presence_of(&evaluator->options.nulls, cell) != CELL_VALUE)
		return;
	if (cell_number(cell, &value)) {
		side->sum += value;
		side->count++;
	} else if (!side->other_line) {
		side->other_line = line;
	}
}

static int feed_theirs(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct sides *sides = check->own;
	for (size_t i = 0; i < 2; i++)
		if (sides->side[i].is_read)
			add(evaluator, &sides->side[i], cells[sides->side[i].index], line);
	return 0;
}

static int end(DqdlEvaluator *evaluator, struct check *check, const struct reference *table) {
	(void)evaluator;
	(void)table;
	struct sides *sides = check->own;
	sides->side[0].is_read = sides->side[1].is_read = false;
	return 0;
}

static int feed_ours(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct sides *sides = check->own;
	for (size_t i = 0; i < 2; i++)
		if (strcmp(sides->side[i].alias, PRIMARY) == 0)
			add(evaluator, &sides->side[i], cells[sides->side[i].index], line);
	return 0;
}

/* Settles a rule for which one side has no number to tell. */
static int check_side(struct check *check, const struct side *side) {
	if (!side->is_there)
		return reference_missing(check, side->alias);
	if (side->other_line)
		return check_settle(check, DQDL_FAILED,
		        "line %" PRIu64 " of \"%s\" has a text that is no number in \"%s\"", side->other_line,
		        side->alias, side->column);
	if (side->count == 0)
		return check_settle(
		        check, DQDL_FAILED, "\"%s\" has not one number in \"%s\"", side->alias, side->column);
	return 0;
}

static double value_of(const struct side *side) {
	return (double)(side->is_mean ? side->sum / (long double)side->count : side->sum);
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	const struct sides *sides = check->own;
	const struct side *first = &sides->side[0], *second = &sides->side[1];
	char subject[600];
	int rc = check_side(check, first);
	if (rc == 0 && !check->settled)
		rc = check_side(check, second);
	if (rc < 0 || check->settled)
		return rc;
	double above = value_of(first), below = value_of(second);
	bool is_same = strcmp(first->column, second->column) == 0;
	(void)snprintf(subject, sizeof subject, "Column.%.200s%s%.200s", first->column, is_same ? "" : ",",
	        is_same ? "" : second->column);
	return reference_settle(check, subject, below != 0 ? above / below : above != 0 ? 0 : 1);
}

const struct check_kind kind_aggregate_match = {.columns = KIND_COLUMNS_NONE,
        .measures = true,
        .names_itself = true,
        .start = start,
        .row = feed_ours,
        .finish = finish,
        .refers = refers,
        .reference = find,
        .reference_row = feed_theirs,
        .reference_end = end,
        .release = release};
