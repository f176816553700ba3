/* definition: names and tables as SQL text, for the sources of this folder. */
#pragma once

#include "policy/sql/sql.h"

#include <stdio.h>

/* A name in quotes, whatever stands in it. */
void sql_put_name(FILE *out, struct table_cell name);

/* CREATE TABLE "table" (…) of the columns that `kept` marks (NULL: all; none marked: one that has no name to be asked
 * by). Allocated; NULL without memory. */
char *sql_definition(const char *table, const struct sql_column *columns, size_t count, const bool *kept);

/* The name by which SQL knows a row's number, where no column is called so; NULL: columns have taken all three. */
const char *sql_row_number(const struct sql_column *columns, size_t count);
