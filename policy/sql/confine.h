/* confine: an SQLite connection in memory that can only read, within bounds; for the sources of this folder. */
#pragma once

#include "policy/sql/sql.h"

#include <sqlite3.h>

/* What a statement may take, counted down. */
struct sql_budget {
	uint64_t steps;
};

/* -ENOMEM. `budget` must outlive the connection; statements stop with SQLITE_INTERRUPT when it is used up. */
int sql_open(struct sql_budget *budget, sqlite3 **ret_db);
void sql_closep(sqlite3 **db);

/* From here on only SELECT, and what is in no list of what may be called is refused. */
void sql_confine(sqlite3 *db);

/* What SQLite answered, as -EINVAL, -EOVERFLOW or -ENOMEM with words that begin with `what`. */
int sql_fault(sqlite3 *db, int code, const char *what);
