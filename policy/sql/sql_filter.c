#include "policy/sql/sql.h"

#include "crypto/base/fault.h"
#include "policy/sql/confine.h"
#include "policy/sql/row_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WHAT "the where clause is invalid"

struct SqlFilter {
	struct sql_budget budget;
	struct row_source source;
	sqlite3 *db;
	sqlite3_stmt *statement;
};

/* One expression and nothing behind it: what closes the parenthesis early does not end here. */
static int prepare(SqlFilter *filter, const char *condition) {
	_cleanup_(freep) char *sql = NULL;
	const char *rest = NULL;
	if (asprintf(&sql, "SELECT (%s\n) FROM \"row\"", condition) < 0)
		return fault(ENOMEM, "no memory for a condition over rows");
	int code = sqlite3_prepare_v3(filter->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &filter->statement, &rest);
	if (code != SQLITE_OK)
		return sql_fault(filter->db, code, WHAT);
	if (!filter->statement || rest[0] || sqlite3_column_count(filter->statement) != 1)
		return fault(EINVAL, WHAT ": it must be one expression over the columns of a row");
	return 0;
}

int sql_filter_new(const char *condition, const struct table_cell *names, size_t count, SqlFilter **ret_filter) {
	_cleanup_(sql_filter_freep) SqlFilter *filter = calloc(1, sizeof *filter);
	if (!filter)
		return fault(ENOMEM, "no memory for a condition over rows");
	filter->budget.steps = SQL_ROW_STEPS;
	int rc = sql_open(&filter->budget, &filter->db);
	if (rc == 0)
		rc = row_table_register(filter->db, names, count, &filter->source);
	if (rc < 0)
		return rc;
	sql_confine(filter->db);
	rc = prepare(filter, condition);
	if (rc < 0)
		return rc;
	*ret_filter = steal_pointer(&filter);
	return 0;
}

void sql_filter_free(SqlFilter *filter) {
	if (!filter)
		return;
	(void)sqlite3_finalize(filter->statement);
	sql_closep(&filter->db);
	free(filter);
}

int sql_filter_test(SqlFilter *filter, sql_value_fn *value, void *arg, bool *ret_true) {
	filter->source = (struct row_source){.value = value, .arg = arg};
	filter->budget.steps = SQL_ROW_STEPS;
	int code = sqlite3_step(filter->statement);
	int rc = code == SQLITE_ROW ? 0 : sql_fault(filter->db, code, WHAT);
	*ret_true = rc == 0 && sqlite3_column_double(filter->statement, 0) != 0;
	(void)sqlite3_reset(filter->statement);
	filter->source = (struct row_source){0};
	return rc;
}
