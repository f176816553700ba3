/* confine: an SQLite connection in memory that can only read, within bounds; for the sources of this folder. */
#pragma once

#include "policy/sql/sql.h"

#include <sqlite3.h>

/* What a statement may take. */
struct sql_budget {
	uint64_t steps; /* counted down; time that a function takes counts as the steps that could have been made in it
	                 */
	int64_t looked_ns; /* of the thread's processor time, at the last look; 0: there was none */
	int64_t memory; /* bytes that SQLite may hold in this process (sqlite3_memory_used); 0: as many as there are */
	bool is_too_large; /* it was stopped because of its memory */
};

/* Told of each column of a table that a statement reads ("": of none); false refuses it. */
typedef bool sql_read_fn(void *arg, const char *table, const char *column);

/* What the connection's authorizer asks; the caller's, and outlives the connection. */
struct sql_watch {
	bool is_own; /* what is prepared now was not written by the policy's author: all is allowed */
	sql_read_fn *read;
	void *arg;
};

/* -ENOMEM. `budget` must outlive the connection; statements stop with SQLITE_INTERRUPT when it is used up. */
int sql_open(struct sql_budget *budget, sqlite3 **ret_db);
void sql_closep(sqlite3 **db);

/* From here on only SELECT, of tables that `watch` lets be read, and calls of functions without effects. */
void sql_confine(sqlite3 *db, struct sql_watch *watch);

/* Exactly one statement, and behind it nothing that means anything. -EINVAL, -ENOMEM with words behind `what`. */
int sql_prepare(
        sqlite3 *db, const struct sql_budget *budget, const char *what, const char *sql, sqlite3_stmt **ret_statement);

/* What SQLite answered, as -EINVAL, -EOVERFLOW or -ENOMEM with words that begin with `what`. */
int sql_fault(sqlite3 *db, const struct sql_budget *budget, int code, const char *what);

/* Is a number to be given to SQLite as one without a fraction? */
bool sql_is_whole(double number);
