/*
 * sql_reference: another table that statements name by its alias; for kind_sql.c.
 *
 *     row, row … ─▶ waiting, up to 64 KiB: what do the columns hold? ─▶ a table of the store, and all later rows
 *
 * Its rows are kept with all their columns, as which of them a statement reads is known only when all tables are there.
 */
#pragma once

#include "policy/dqdl/value.h"
#include "policy/sql/sql_store.h"

typedef struct SqlReference SqlReference;

/* Store and null policy must outlive it, and it the store's statements. -ENOMEM. */
int sql_reference_new(SqlStore *store, const struct dqdl_nulls *nulls, const char *alias,
        const struct table_cell *names, size_t count, SqlReference **ret_reference);
void sql_reference_free(SqlReference *reference);
DEFINE_CLEANUP(SqlReference, sql_reference_free);

const char *sql_reference_alias(const SqlReference *reference);

/* A row of as many cells as there are names. -EINVAL with words: the columns make no table; -ENOMEM. */
int sql_reference_row(SqlReference *reference, const struct table_cell *cells);

/* All rows were added: the table is there from here on. As sql_reference_row. */
int sql_reference_end(SqlReference *reference);
