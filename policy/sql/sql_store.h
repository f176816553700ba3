/*
 * sql_store: rows of tables, kept for statements that look at all of them.
 *
 *     add tables ─▶ add statements ─▶ begin ─▶ row, row … ─▶ run each statement, look through the rows
 *       │ columns     which are read    └ tables of these columns alone
 *       └▶ begin one that comes first (a reference), with the columns that it is to keep ─▶ its rows
 *
 * A statement over a whole table (a join, GROUP BY, a window) needs all its rows, and the stream passes once: what it
 * reads is kept, as rows of an SQLite table in memory, where joins find an index that SQLite makes for the occasion.
 * When a statement is prepared, the authorizer tells which columns it reads; the others are not kept, and a row of
 * which none is read takes some six bytes. The owner counts the bytes (sql_store_bytes) and lets go of it all where
 * there are too many. What a statement takes while it runs is bounded in steps, by the number of rows, and in memory.
 *
 * A statement whose answer is the sum of those over parts of the table needs no more than a part: run, clear, go on.
 *
 *     SqlStore ── table "primary"  columns, those that are read ── rows
 *              ├─ table "register" (a reference)
 *              └─ SqlStatement, SqlStatement …
 */
#pragma once

#include "policy/sql/sql.h"

/* Steps of SQLite's machine that a statement may take, at some 50 million a second. A join that finds its rows by an
 * index, or a GROUP BY, takes 20 to 50 a row. */
#define SQL_RUN_STEPS 50000000ull
#define SQL_RUN_STEPS_PER_ROW 300u

typedef struct SqlStore SqlStore;
typedef struct SqlStatement SqlStatement;

/* -ENOMEM. */
int sql_store_new(SqlStore **ret_store);
void sql_store_free(SqlStore *store);
DEFINE_CLEANUP(SqlStore, sql_store_free);

/* A table of that name, before the first statement; the columns' names are borrowed until sql_store_begin.
 * *ret_table is its number. -EINVAL with words: the columns make no table; -ENOMEM. */
int sql_table_add(
        SqlStore *store, const char *alias, const struct sql_column *columns, size_t count, size_t *ret_table);

/* One SELECT over the tables, before sql_store_begin; belongs to the store. -EINVAL with words, -ENOMEM. */
int sql_statement_add(SqlStore *store, const char *sql, SqlStatement **ret_statement);

/* Takes one back that is asked in another way. */
void sql_statement_drop(SqlStore *store, SqlStatement *statement);

/* Its columns' names, and which of a table's columns it reads. */
size_t sql_statement_columns(const SqlStatement *statement);
const char *sql_statement_column(const SqlStatement *statement, size_t i);
bool sql_statement_reads(const SqlStatement *statement, size_t table, size_t column);

/* Has a column kept whether or not a statement reads it. */
void sql_table_keep(SqlStore *store, size_t table, size_t column);

/* Makes one table ready for rows, before statements are added: it has the columns that were told to be kept, and a
 * statement that reads another does not find it. -EINVAL, -ENOMEM. */
int sql_table_begin(SqlStore *store, size_t table);

/* All statements are added: makes ready for rows. -EINVAL, -ENOMEM. */
int sql_store_begin(SqlStore *store);

/* Whether any statement was added, and is there still. */
bool sql_store_is_used(const SqlStore *store);

/* Adds a row, from the values of those columns that are kept; `line` tells it apart when the rows are looked through.
 * -ENOMEM, -EINVAL. */
int sql_table_row(SqlStore *store, size_t table, sql_value_fn *value, void *arg, uint64_t line);

/* Forgets the table's rows. */
int sql_table_clear(SqlStore *store, size_t table);

/* Bytes that the rows take. */
uint64_t sql_store_bytes(const SqlStore *store);

/* One row of an answer, valid during the call; a negative answer ends it and is returned. */
typedef int sql_answer_fn(void *arg, uint64_t line, const struct sql_value *values, size_t count);

/* Runs a statement; it may take `memory` bytes beyond the rows. `types` (NULL: any): what the values of each column are
 * turned into, where they can. `line` is 0. -EOVERFLOW with words: steps or memory; -EINVAL: it failed; -ENOMEM. */
int sql_statement_run(SqlStore *store, SqlStatement *statement, uint64_t memory, const enum sql_type *types,
        sql_answer_fn *answer, void *arg);

/* Looks through these columns, which are kept, of all rows of a table in the order in which they were added. */
int sql_table_scan(
        SqlStore *store, size_t table, const size_t *columns, size_t count, sql_answer_fn *answer, void *arg);
