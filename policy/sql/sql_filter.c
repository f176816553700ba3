#include "policy/sql/sql.h"

#include "crypto/base/fault.h"
#include "policy/sql/confine.h"
#include "policy/sql/row_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define ROW "row"

struct SqlFilter {
	const char *what;
	const char *table;
	struct sql_budget budget;
	struct sql_watch watch;
	struct row_source source;
	bool *reads;                      /* each column */
	const struct sql_column *columns; /* while it is prepared */
	size_t count;
	bool is_select;
	sqlite3 *db;
	sqlite3_stmt *statement;
};

static bool may_read(void *arg, const char *table, const char *column) {
	SqlFilter *filter = arg;
	if (!filter->columns)
		return false;
	if (strcasecmp(table, filter->table) != 0)
		return column[0] == '\0' && strncasecmp(table, "sqlite_", 7) != 0;
	bool is_known = column[0] == '\0'; /* what is none of the columns is the number that SQLite gives a row */
	for (size_t i = 0; i < filter->count; i++) {
		bool is_this = cell_equals(filter->columns[i].name, column, strlen(column));
		filter->reads[i] |= is_this;
		is_known |= is_this;
	}
	return is_known;
}

static int open_filter(
        const char *what, const char *table, const struct sql_column *columns, size_t count, SqlFilter **ret_filter) {
	_cleanup_(sql_filter_freep) SqlFilter *filter = calloc(1, sizeof *filter);
	if (!filter || !(filter->reads = calloc(count + 1, sizeof *filter->reads)))
		return fault(ENOMEM, "no memory for a condition over rows");
	filter->what = what;
	filter->table = table;
	filter->columns = columns;
	filter->count = count;
	filter->budget = (struct sql_budget){.steps = SQL_ROW_STEPS};
	filter->watch = (struct sql_watch){.read = may_read, .arg = filter};
	int rc = sql_open(&filter->budget, &filter->db);
	if (rc == 0)
		rc = row_table_register(filter->db, table, columns, count, &filter->source);
	if (rc < 0)
		return rc;
	sql_confine(filter->db, &filter->watch);
	*ret_filter = steal_pointer(&filter);
	return 0;
}

/* One expression and nothing behind it: what closes the parenthesis early does not end here. */
static int prepare_condition(SqlFilter *filter, const char *condition) {
	_cleanup_(freep) char *sql = NULL;
	if (asprintf(&sql, "SELECT (%s\n) FROM \"" ROW "\"", condition) < 0)
		return fault(ENOMEM, "no memory for a condition over rows");
	int rc = sql_prepare(filter->db, &filter->budget, filter->what, sql, &filter->statement);
	filter->columns = NULL; /* the caller's */
	if (rc == 0 && sqlite3_column_count(filter->statement) != 1)
		return fault(EINVAL, "%s: it must be one expression over the columns of a row", filter->what);
	return rc;
}

int sql_filter_new(const char *what, const char *condition, const struct sql_column *columns, size_t count,
        SqlFilter **ret_filter) {
	_cleanup_(sql_filter_freep) SqlFilter *filter = NULL;
	int rc = open_filter(what, ROW, columns, count, &filter);
	if (rc == 0)
		rc = prepare_condition(filter, condition);
	if (rc < 0)
		return rc;
	*ret_filter = steal_pointer(&filter);
	return 0;
}

int sql_filter_new_select(const char *what, const char *select, const char *table, const struct sql_column *columns,
        size_t count, SqlFilter **ret_filter) {
	_cleanup_(sql_filter_freep) SqlFilter *filter = NULL;
	int rc = open_filter(what, table, columns, count, &filter);
	if (rc == 0)
		rc = sql_prepare(filter->db, &filter->budget, what, select, &filter->statement);
	if (rc < 0)
		return rc;
	filter->columns = NULL;
	filter->is_select = true;
	*ret_filter = steal_pointer(&filter);
	return 0;
}

void sql_filter_free(SqlFilter *filter) {
	if (!filter)
		return;
	(void)sqlite3_finalize(filter->statement);
	sql_closep(&filter->db);
	free(filter->reads);
	free(filter);
}

bool sql_filter_reads(const SqlFilter *filter, size_t column) {
	return filter->reads[column];
}

int sql_filter_test(SqlFilter *filter, sql_value_fn *value, void *arg, bool *ret_true) {
	filter->source = (struct row_source){.value = value, .arg = arg};
	filter->budget = (struct sql_budget){.steps = SQL_ROW_STEPS};
	int code = sqlite3_step(filter->statement);
	bool is_there = code == SQLITE_ROW, is_done = is_there || (filter->is_select && code == SQLITE_DONE);
	int rc = is_done ? 0 : sql_fault(filter->db, &filter->budget, code, filter->what);
	*ret_true = is_there && (filter->is_select || sqlite3_column_double(filter->statement, 0) != 0);
	(void)sqlite3_reset(filter->statement);
	filter->source = (struct row_source){0};
	return rc;
}
