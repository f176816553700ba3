/*
 * kind_reference_schema: SchemaMatch, columns of the same name and type / columns; 0 if the numbers of columns differ.
 *
 * Types are what the values of a column have in common, as Spark infers them: integer, double, boolean, date, timestamp
 * or text, which a column without values is, too. An integer's width makes no difference. A type that is given stands
 * for what the values look like; a number is integer or double by its values all the same.
 */
#include "policy/dqdl/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum type { TYPE_TEXT, TYPE_INTEGER, TYPE_DOUBLE, TYPE_BOOLEAN, TYPE_DATE, TYPE_TIMESTAMP };

struct typed {
	struct column_kind kind;
	bool has_fraction; /* a number that is no integer */
	bool has_time;     /* a date with a time behind it */
};

struct schemas {
	bool is_there;
	size_t count;         /* of our columns, and theirs if it is the same */
	bool differs;         /* it is not */
	size_t *theirs;       /* for each of ours the column of the same name; SIZE_MAX: none */
	struct typed *ours;   /* of our columns */
	struct typed *others; /* of theirs */
};

static int start(DqdlEvaluator *evaluator, struct check *check) {
	struct schemas *schemas = calloc(1, sizeof *schemas);
	check->own = schemas;
	if (!schemas)
		return evaluator_out_of_memory();
	schemas->count = evaluator->column_count;
	schemas->theirs = calloc(schemas->count + 1, sizeof *schemas->theirs);
	schemas->ours = calloc(schemas->count + 1, sizeof *schemas->ours);
	schemas->others = calloc(schemas->count + 1, sizeof *schemas->others);
	if (!schemas->theirs || !schemas->ours || !schemas->others)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < schemas->count; i++)
		if (evaluator->columns[i].kind.given)
			schemas->ours[i].kind = evaluator->columns[i].kind;
	return 0;
}

static void release(struct check *check) {
	struct schemas *schemas = check->own;
	free(schemas->theirs);
	free(schemas->ours);
	free(schemas->others);
}

static bool refers(const struct check *check, const char *alias) {
	return strcmp(check->rule->parameters[0].value, alias) == 0;
}

/* ---- which columns are called the same ---- */

struct named {
	struct table_cell name;
	size_t index;
};

static int compare(const void *a, const void *b) {
	const struct named *left = a, *right = b;
	size_t size = left->name.size < right->name.size ? left->name.size : right->name.size;
	int order = size > 0 ? memcmp(left->name.data, right->name.data, size) : 0;
	return order != 0 ? order : (left->name.size > right->name.size) - (left->name.size < right->name.size);
}

static int find(DqdlEvaluator *evaluator, struct check *check, const struct reference *table) {
	struct schemas *schemas = check->own;
	schemas->is_there = true;
	schemas->differs = table->column_count != schemas->count;
	if (schemas->differs)
		return 0;
	_cleanup_(freep) struct named *names = calloc(schemas->count + 1, sizeof *names);
	if (!names)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < schemas->count; i++)
		names[i] = (struct named){.name = table->names[i], .index = i};
	qsort(names, schemas->count, sizeof *names, compare);
	for (size_t i = 0; i < schemas->count; i++) {
		struct named wanted = {.name = evaluator->names[i]};
		const struct named *found = bsearch(&wanted, names, schemas->count, sizeof *names, compare);
		schemas->theirs[i] = found ? found->index : SIZE_MAX;
	}
	return 0;
}

/* ---- types ---- */

static bool is_integer(struct table_cell cell) {
	for (size_t i = 0; i < cell.size; i++)
		if ((cell.data[i] < '0' || cell.data[i] > '9') && cell.data[i] != '-' && cell.data[i] != '+' &&
		        cell.data[i] != ' ')
			return false;
	return true;
}

static void see(const DqdlEvaluator *evaluator, struct typed *types, size_t count, const struct table_cell *cells) {
	for (size_t i = 0; i < count; i++) {
		struct typed *type = &types[i];
		bool is_text = type->kind.no_number && type->kind.no_date && type->kind.no_boolean;
		if (is_text || cell_presence_of(&evaluator->options.nulls, cells[i]) != CELL_VALUE)
			continue;
		column_kind_see(&type->kind, cells[i]);
		type->has_fraction |= !type->kind.no_number && !is_integer(cells[i]);
		type->has_time |= !type->kind.no_date && cells[i].size > sizeof "yyyy-mm-dd";
	}
}

static enum type type_of(const struct typed *type) {
	if (column_kind_is_text(&type->kind))
		return TYPE_TEXT;
	if (!type->kind.no_number)
		return type->has_fraction ? TYPE_DOUBLE : TYPE_INTEGER;
	if (!type->kind.no_boolean)
		return TYPE_BOOLEAN;
	return type->has_time ? TYPE_TIMESTAMP : TYPE_DATE;
}

static int feed_theirs(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	(void)line;
	struct schemas *schemas = check->own;
	see(evaluator, schemas->others, schemas->differs ? 0 : schemas->count, cells);
	return 0;
}

static int feed_ours(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	(void)line;
	struct schemas *schemas = check->own;
	see(evaluator, schemas->ours, schemas->is_there && !schemas->differs ? schemas->count : 0, cells);
	return 0;
}

static size_t count_alike(const struct schemas *schemas) {
	size_t alike = 0;
	for (size_t i = 0; i < schemas->count && !schemas->differs; i++)
		alike += schemas->theirs[i] != SIZE_MAX &&
		         type_of(&schemas->ours[i]) == type_of(&schemas->others[schemas->theirs[i]]);
	return alike;
}

static int finish(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	const struct schemas *schemas = check->own;
	const char *alias = check->rule->parameters[0].value;
	char subject[300];
	if (!schemas->is_there)
		return reference_missing(check, alias);
	(void)snprintf(subject, sizeof subject, "Dataset.%.200s", alias);
	double count = schemas->count > 0 ? (double)schemas->count : 1;
	return reference_settle(check, subject, (double)count_alike(schemas) / count);
}

const struct check_kind kind_schema_match = {.columns = KIND_COLUMNS_NONE,
        .measures = true,
        .names_itself = true,
        .start = start,
        .row = feed_ours,
        .finish = finish,
        .refers = refers,
        .reference = find,
        .reference_row = feed_theirs,
        .release = release};
