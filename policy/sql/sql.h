/*
 * sql: an SQLite that can do nothing but look at the rows that it is shown.
 *
 *     where "age > 21"   ─▶ SELECT (age > 21) FROM "row"     one row at a time: SqlFilter
 *
 * A database in memory, of its own for each use. Its authorizer lets statements read the tables that are shown and call
 * functions without effects; what it may take of memory, steps and depth is bounded, so that any statement ends. What
 * is written by the policy's author stays within that as what is written by somebody else does.
 *
 * Names of columns are those of the table, quoted as SQL has it ("my column" or `my column`). What stands in a cell is
 * a number where the column is one of numbers, else a text.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/table/cell.h"

#include <stdint.h>

/* Steps of SQLite's machine that one row may take; thousands of times what a condition takes. */
#define SQL_ROW_STEPS 1000000u

/* Once, before a process gives up the system calls that SQLite's first steps need. */
void sql_warm_up(void);

enum sql_kind { SQL_TEXT, SQL_NUMBER, SQL_NULL };

/* One value of a row: as what the text of its cell is to be taken. */
struct sql_value {
	enum sql_kind kind;
	struct table_cell cell; /* TEXT, NUMBER: valid until the next row */
	double number;          /* NUMBER */
};

typedef struct SqlFilter SqlFilter;

/*
 * A condition over the columns of one row. *ret_filter is the caller's. -EINVAL with words: not an expression, a column
 * that is not there, something that is not allowed. -ENOMEM.
 */
int sql_filter_new(const char *condition, const struct table_cell *names, size_t count, SqlFilter **ret_filter);
void sql_filter_free(SqlFilter *filter);
DEFINE_CLEANUP(SqlFilter, sql_filter_free);

/* Gives the value of a column of the present row. */
typedef void sql_value_fn(void *arg, size_t column, struct sql_value *ret_value);

/* Is the condition true of the row? False and NULL are both no. -EOVERFLOW with words: it took too many steps; -EINVAL:
 * it failed; -ENOMEM. */
int sql_filter_test(SqlFilter *filter, sql_value_fn *value, void *arg, bool *ret_true);
