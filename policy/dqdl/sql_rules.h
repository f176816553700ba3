/*
 * sql_rules: what SQL sees of a table's rows, and the rows that CustomSql keeps; for evaluate.c, filter.c, kind_sql.c.
 *
 *     cell ─▶ null policy, column's type ─▶ number, text or NULL ─▶ filters (one row), SqlStore (many)
 *
 * A column's type is told by the cells of the rows that are shown first (dqdl_evaluator_sample). In a column of numbers
 * a later cell that is none is NULL, as Spark's cast makes it, and is counted; in any other it is its text. A column of
 * which no cell was seen takes each cell for itself.
 */
#pragma once

#include "policy/dqdl/evaluate.h"
#include "policy/sql/sql.h"

/* Columns of which nothing is known, whose names stay the caller's; to be freed; NULL without memory. */
struct sql_column *sql_columns_named(const struct table_cell *names, size_t count);

/* What SQL takes a column for of which this was seen. */
enum sql_type sql_type_of_kind(const struct column_kind *kind);

/* A cell of such a column. False: it is not of the column's type, and so NULL. */
bool sql_value_of(const struct dqdl_nulls *nulls, const struct column_kind *kind, enum sql_type type,
        struct table_cell cell, struct sql_value *ret_value);

/* The same of the table that is checked, with what is known of them. */
struct sql_column *sql_columns_of(const DqdlEvaluator *evaluator);

/* SQL will look at the column: what it is must be known. */
void sql_column_needed(DqdlEvaluator *evaluator, size_t column);

/* A row, as the argument of sql_cell_value. With line 0 nothing is counted. */
struct sql_row {
	DqdlEvaluator *evaluator;
	const struct table_cell *cells;
	uint64_t line;
};
sql_value_fn sql_cell_value;

/*
 * The statements of CustomSql and the rows that are kept for them, for all rules together.
 *
 *     open ─▶ (tables of references) ─▶ begin ─▶ row, row …
 *
 * Statements are made ready when all tables are there.
 *
 * All do nothing where no rule needs them. -ENOMEM.
 */
typedef struct CustomSql CustomSql;

/* Before checks are started: a table of the evaluator's columns, if there is a rule with a statement. */
int custom_sql_open(DqdlEvaluator *evaluator);

/* Before the first row, or where there is none at the end; again: nothing. Settles checks whose statement is none. */
int custom_sql_begin(DqdlEvaluator *evaluator);

/* Keeps what statements read of the row. Settles those that wait for more than there is memory for. */
int custom_sql_row(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line);

/* NULL is allowed. */
void custom_sql_free(CustomSql *sql);
