/*
 * sql: an SQLite that can do nothing but look at the rows that it is shown.
 *
 *     where "age > 21"                   ─▶ SELECT (age > 21) FROM "row"        one row at a time: SqlFilter
 *     SELECT id FROM primary WHERE …     ─▶ the statement, of one row           the same
 *     SELECT count(*) FROM primary p …   ─▶ over rows that were kept            sql_store.h
 *
 * A database in memory, of its own for each use. Its authorizer lets statements read the tables that are shown and call
 * functions without effects; what it may take of memory, steps and depth is bounded, so that any statement ends:
 * recursive queries are refused altogether. What is written by the policy's author stays within that as what is written
 * by somebody else does.
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

/* How a column compares: ANY as its cell of the moment, NUMBER as a number also with a text in quotes, TEXT as a text
 * also with a number. */
enum sql_type { SQL_TYPE_ANY, SQL_TYPE_NUMBER, SQL_TYPE_TEXT };

struct sql_column {
	struct table_cell name;
	enum sql_type type;
};

enum sql_kind { SQL_TEXT, SQL_NUMBER, SQL_NULL };

/* One value of a row: as what the text of its cell is to be taken. */
struct sql_value {
	enum sql_kind kind;
	struct table_cell cell; /* TEXT: valid until the next row */
	double number;          /* NUMBER */
};

/* Gives the value of a column of the present row. */
typedef void sql_value_fn(void *arg, size_t column, struct sql_value *ret_value);

typedef struct SqlFilter SqlFilter;

/*
 * A condition over the columns of one row; `what` begins the words of its faults ("the where clause is invalid") and is
 * borrowed. *ret_filter is the caller's. -EINVAL with words: not an expression, a column that is not there, something
 * that is not allowed. -ENOMEM.
 */
int sql_filter_new(const char *what, const char *condition, const struct sql_column *columns, size_t count,
        SqlFilter **ret_filter);

/* The same with a whole SELECT over a table of that name, true of the row if it returns one. */
int sql_filter_new_select(const char *what, const char *select, const char *table, const struct sql_column *columns,
        size_t count, SqlFilter **ret_filter);
void sql_filter_free(SqlFilter *filter);
DEFINE_CLEANUP(SqlFilter, sql_filter_free);

/* Does it look at this column? */
bool sql_filter_reads(const SqlFilter *filter, size_t column);

/* Is the condition true of the row? False and NULL are both no. -EOVERFLOW with words: it took too many steps; -EINVAL:
 * it failed; -ENOMEM. */
int sql_filter_test(SqlFilter *filter, sql_value_fn *value, void *arg, bool *ret_true);
