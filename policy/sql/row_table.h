/* row_table: a virtual table of one row, for sql_filter.c. */
#pragma once

#include "policy/sql/sql.h"

#include <sqlite3.h>

/* Where the row comes from; belongs to whoever registered it. */
struct row_source {
	sql_value_fn *value;
	void *arg;
};

/* Makes a table with these columns in `db`; its name needs no quotes within quotes. `source` must outlive the
 * connection. -EINVAL, -ENOMEM. */
int row_table_register(
        sqlite3 *db, const char *name, const struct sql_column *columns, size_t count, const struct row_source *source);
