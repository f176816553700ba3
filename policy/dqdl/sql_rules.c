#include "policy/dqdl/sql_rules.h"

#include "policy/dqdl/evaluator.h"

#include <stdlib.h>

/* Is it told what the column holds, or was something of it seen before the rows? */
static bool is_known(const DqdlEvaluator *evaluator, size_t column) {
	return evaluator->columns[column].kind.given ||
	       (column < evaluator->sample_count && evaluator->sample[column].seen);
}

/* What is told, or was seen before the rows; one that nothing was seen of is what it has come to look like. */
static const struct column_kind *kind_for_sql(const DqdlEvaluator *evaluator, size_t column) {
	const struct column_kind *now = &evaluator->columns[column].kind;
	return is_known(evaluator, column) && !now->given ? &evaluator->sample[column] : now;
}

enum sql_type sql_type_of_kind(const struct column_kind *kind) {
	return !kind->seen ? SQL_TYPE_ANY : kind->no_number ? SQL_TYPE_TEXT : SQL_TYPE_NUMBER;
}

static enum sql_type type_of(const DqdlEvaluator *evaluator, size_t column) {
	return is_known(evaluator, column) ? sql_type_of_kind(kind_for_sql(evaluator, column)) : SQL_TYPE_ANY;
}

struct sql_column *sql_columns_named(const struct table_cell *names, size_t count) {
	struct sql_column *columns = calloc(count + 1, sizeof *columns);
	for (size_t i = 0; columns && i < count; i++)
		columns[i] = (struct sql_column){.name = names[i], .type = SQL_TYPE_ANY};
	return columns;
}

struct sql_column *sql_columns_of(const DqdlEvaluator *evaluator) {
	struct sql_column *columns = sql_columns_named(evaluator->names, evaluator->column_count);
	for (size_t i = 0; columns && i < evaluator->column_count; i++)
		columns[i].type = type_of(evaluator, i);
	return columns;
}

void sql_column_needed(DqdlEvaluator *evaluator, size_t column) {
	if (type_of(evaluator, column) == SQL_TYPE_ANY)
		evaluator->columns[column].needed = true;
}

/* Once a row, however often it is asked for. */
static void count_misfit(struct column *column, uint64_t line) {
	if (line == 0 || line == column->last_misfit)
		return;
	if (column->misfits++ == 0)
		column->first_misfit = line;
	column->last_misfit = line;
}

bool sql_value_of(const struct dqdl_nulls *nulls, const struct column_kind *kind, enum sql_type type,
        struct table_cell cell, struct sql_value *ret_value) {
	enum cell_presence presence = cell_presence_of(nulls, cell);
	*ret_value = (struct sql_value){.kind = SQL_NULL};
	if (presence == CELL_NULL || (presence == CELL_EMPTY && !column_kind_is_text(kind)))
		return true;
	if (type != SQL_TYPE_TEXT && cell_number(cell, &ret_value->number))
		ret_value->kind = SQL_NUMBER;
	else if (type != SQL_TYPE_NUMBER)
		*ret_value = (struct sql_value){.kind = SQL_TEXT, .cell = cell};
	else
		return cell.size == 0;
	return true;
}

void sql_cell_value(void *arg, size_t index, struct sql_value *ret_value) {
	const struct sql_row *row = arg;
	DqdlEvaluator *evaluator = row->evaluator;
	if (!sql_value_of(&evaluator->options.nulls, kind_for_sql(evaluator, index), type_of(evaluator, index),
	            row->cells[index], ret_value))
		count_misfit(&evaluator->columns[index], row->line);
}

int dqdl_evaluator_sample(DqdlEvaluator *evaluator, const struct table_cell *cells, size_t count) {
	if (!evaluator->sample) {
		evaluator->sample = calloc(count + 1, sizeof *evaluator->sample);
		evaluator->sample_count = evaluator->sample ? count : 0;
	}
	if (!evaluator->sample)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < count && i < evaluator->sample_count; i++)
		if (cells[i].size > 0 && cell_presence_of(&evaluator->options.nulls, cells[i]) != CELL_NULL)
			column_kind_see(&evaluator->sample[i], cells[i]);
	return 0;
}

uint64_t dqdl_evaluator_misfits(const DqdlEvaluator *evaluator, size_t column, uint64_t *ret_line) {
	*ret_line = evaluator->columns[column].first_misfit;
	return evaluator->columns[column].misfits;
}

bool dqdl_evaluator_asks_sql(const DqdlEvaluator *evaluator) {
	for (size_t i = 0; i < evaluator->check_count; i++)
		if (evaluator->checks[i].rule->id == DQDL_CUSTOM_SQL || evaluator->checks[i].rule->where)
			return true;
	return evaluator->options.keep != NULL;
}
