#include "policy/sql/sql_store.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/value.h"
#include "policy/sql/confine.h"
#include "policy/sql/definition.h"
#include "policy/sql/sql_text.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define WHAT "the SQL statement is invalid"
#define VARIABLES_MAX 32766

struct table {
	char *alias;
	const struct sql_column *columns; /* the owner's, until the rows begin */
	size_t column_count;
	bool *kept;
	const char *number; /* what a row's number is called */
	sqlite3_stmt *insert;
	sqlite3_int64 last; /* row's number: its line, or one more than the one before */
	uint64_t rows;
};

struct SqlStatement {
	SqlStatement *next;
	char *sql;
	sqlite3_stmt *prepared; /* only to be looked at until the rows begin */
	bool **reads;           /* of each table, each column */
	size_t table_count;
};

struct SqlStore {
	struct sql_budget budget;
	struct sql_watch watch;
	sqlite3 *db;
	struct table *tables;
	size_t table_count;
	SqlStatement *statements;
	SqlStatement *reading; /* the one that is being prepared */
};

static int no_memory(void) {
	return fault(ENOMEM, "no memory for SQL");
}

/* What is no column of a table is SQLite's number of the row, which is none of the data. */
static bool may_read(void *arg, const char *name, const char *column) {
	SqlStore *store = arg;
	for (size_t t = 0; t < store->table_count; t++) {
		const struct table *table = &store->tables[t];
		if (strcasecmp(table->alias, name) != 0)
			continue;
		if (column[0] == '\0')
			return true;
		for (size_t i = 0; table->columns && i < table->column_count; i++) {
			if (!cell_equals(table->columns[i].name, column, strlen(column)))
				continue;
			if (store->reading)
				store->reading->reads[t][i] = true;
			return true;
		}
	}
	return column[0] == '\0' && strncasecmp(name, "sqlite_", 7) != 0;
}

int sql_store_new(SqlStore **ret_store) {
	_cleanup_(sql_store_freep) SqlStore *store = calloc(1, sizeof *store);
	if (!store)
		return no_memory();
	store->budget = (struct sql_budget){.steps = SQL_RUN_STEPS};
	store->watch = (struct sql_watch){.read = may_read, .arg = store};
	int rc = sql_open(&store->budget, &store->db);
	if (rc < 0)
		return rc;
	sql_confine(store->db, &store->watch);
	*ret_store = steal_pointer(&store);
	return 0;
}

static void free_statement(SqlStatement *statement) {
	(void)sqlite3_finalize(statement->prepared);
	for (size_t i = 0; statement->reads && i < statement->table_count; i++)
		free(statement->reads[i]);
	free(statement->reads);
	free(statement->sql);
	free(statement);
}

void sql_store_free(SqlStore *store) {
	if (!store)
		return;
	while (store->statements) {
		SqlStatement *next = store->statements->next;
		free_statement(store->statements);
		store->statements = next;
	}
	for (size_t i = 0; i < store->table_count; i++) {
		(void)sqlite3_finalize(store->tables[i].insert);
		free(store->tables[i].alias);
		free(store->tables[i].kept);
	}
	free(store->tables);
	sql_closep(&store->db);
	free(store);
}

/* Runs what is ours. */
static int execute(SqlStore *store, const char *sql) {
	store->watch.is_own = true;
	store->budget = (struct sql_budget){.steps = UINT64_MAX};
	int code = sql ? sqlite3_exec(store->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
	store->watch.is_own = false;
	return code == SQLITE_OK ? 0 : sql_fault(store->db, &store->budget, code, "the columns make no table for SQL");
}

static int execute_on(SqlStore *store, const char *verb, const struct table *table) {
	char *sql = sqlite3_mprintf("%s \"%w\"", verb, table->alias);
	int rc = execute(store, sql);
	sqlite3_free(sql);
	return rc;
}

int sql_table_add(
        SqlStore *store, const char *alias, const struct sql_column *columns, size_t count, size_t *ret_table) {
	struct table *tables = reallocarray(store->tables, store->table_count + 1, sizeof *tables);
	if (!tables)
		return no_memory();
	store->tables = tables;
	struct table table = {.columns = columns, .column_count = count};
	_cleanup_(freep) char *sql = sql_definition(alias, columns, count, NULL);
	int rc = execute(store, sql);
	if (rc < 0)
		return rc;
	table.number = sql_row_number(columns, count);
	if (!table.number)
		return fault(EINVAL, "columns called rowid, oid and _rowid_ leave no name for SQL to tell rows by");
	table.alias = strdup(alias);
	table.kept = calloc(count + 1, sizeof *table.kept);
	tables[store->table_count++] = table;
	*ret_table = store->table_count - 1;
	return table.alias && table.kept ? 0 : no_memory();
}

/* ---- statements ---- */

static SqlStatement *new_statement(const SqlStore *store, const char *sql) {
	SqlStatement *statement = calloc(1, sizeof *statement);
	if (!statement)
		return NULL;
	statement->sql = sql_text_quote_primary(sql);
	statement->reads = calloc(store->table_count + 1, sizeof(bool *));
	bool is_whole = statement->sql && statement->reads;
	for (size_t i = 0; is_whole && i < store->table_count; i++) {
		statement->reads[i] = calloc(store->tables[i].column_count + 1, sizeof(bool));
		statement->table_count++;
		is_whole = statement->reads[i] != NULL;
	}
	if (is_whole)
		return statement;
	free_statement(statement);
	return NULL;
}

int sql_statement_add(SqlStore *store, const char *sql, SqlStatement **ret_statement) {
	SqlStatement *statement = new_statement(store, sql);
	if (!statement)
		return no_memory();
	store->reading = statement;
	int rc = sql_prepare(store->db, &store->budget, WHAT, statement->sql, &statement->prepared);
	store->reading = NULL;
	if (rc == 0 && sqlite3_column_count(statement->prepared) == 0)
		rc = fault(EINVAL, WHAT ": it must be one SELECT");
	if (rc < 0) {
		free_statement(statement);
		return rc;
	}
	statement->next = store->statements;
	store->statements = statement;
	*ret_statement = statement;
	return 0;
}

void sql_statement_drop(SqlStore *store, SqlStatement *statement) {
	SqlStatement **slot = &store->statements;
	while (*slot != statement)
		slot = &(*slot)->next;
	*slot = statement->next;
	free_statement(statement);
}

size_t sql_statement_columns(const SqlStatement *statement) {
	return (size_t)sqlite3_column_count(statement->prepared);
}

const char *sql_statement_column(const SqlStatement *statement, size_t i) {
	const char *name = sqlite3_column_name(statement->prepared, (int)i);
	return name ? name : "";
}

bool sql_statement_reads(const SqlStatement *statement, size_t table, size_t column) {
	return statement->reads[table][column];
}

void sql_table_keep(SqlStore *store, size_t table, size_t column) {
	store->tables[table].kept[column] = true;
}

bool sql_store_is_used(const SqlStore *store) {
	return store->statements != NULL;
}

/* ---- rows ---- */

static char *insertion_into(const struct table *table) {
	char *text = NULL;
	size_t size, kept = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	(void)fputs("INSERT INTO ", out);
	sql_put_name(out, (struct table_cell){.data = table->alias, .size = strlen(table->alias)});
	(void)fprintf(out, " (%s", table->number);
	for (size_t i = 0; i < table->column_count; i++) {
		if (!table->kept[i])
			continue;
		(void)fputs(", ", out);
		sql_put_name(out, table->columns[i].name);
		kept++;
	}
	(void)fputs(") VALUES (?", out);
	for (size_t i = 0; i < kept; i++)
		(void)fputs(", ?", out);
	(void)fputc(')', out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* Prepares what is ours, which alone may have parameters. */
static int prepare_own(SqlStore *store, const char *sql, sqlite3_stmt **ret_statement) {
	store->watch.is_own = true;
	int most = sqlite3_limit(store->db, SQLITE_LIMIT_VARIABLE_NUMBER, VARIABLES_MAX);
	int rc = sql ? sql_prepare(store->db, &store->budget, WHAT, sql, ret_statement) : no_memory();
	(void)sqlite3_limit(store->db, SQLITE_LIMIT_VARIABLE_NUMBER, most);
	store->watch.is_own = false;
	return rc;
}

/* Makes the table again, of what is kept. */
int sql_table_begin(SqlStore *store, size_t index) {
	struct table *table = &store->tables[index];
	_cleanup_(freep) char *definition =
	        sql_definition(table->alias, table->columns, table->column_count, table->kept);
	_cleanup_(freep) char *insertion = insertion_into(table);
	int rc = execute_on(store, "DROP TABLE", table);
	if (rc == 0)
		rc = execute(store, definition);
	if (rc == 0)
		rc = prepare_own(store, insertion, &table->insert);
	return rc < 0 || !sqlite3_get_autocommit(store->db) ? rc : execute(store, "BEGIN");
}

static void keep_what_is_read(SqlStore *store, size_t index) {
	struct table *table = &store->tables[index];
	for (const SqlStatement *statement = store->statements; statement; statement = statement->next)
		for (size_t i = 0; i < table->column_count; i++)
			table->kept[i] |= statement->reads[index][i];
}

/* What was prepared for the tables as they were is prepared for those that there are now. */
int sql_store_begin(SqlStore *store) {
	int rc = 0;
	for (SqlStatement *statement = store->statements; statement; statement = statement->next) {
		(void)sqlite3_finalize(statement->prepared);
		statement->prepared = NULL;
	}
	for (size_t i = 0; rc == 0 && i < store->table_count; i++) {
		if (store->tables[i].insert)
			continue;
		keep_what_is_read(store, i);
		rc = sql_table_begin(store, i);
	}
	for (SqlStatement *statement = store->statements; rc == 0 && statement; statement = statement->next)
		rc = sql_prepare(store->db, &store->budget, WHAT, statement->sql, &statement->prepared);
	for (size_t i = 0; i < store->table_count; i++)
		store->tables[i].columns = NULL;
	return rc;
}

static int bind_value(sqlite3_stmt *statement, int at, const struct sql_value *value) {
	switch (value->kind) {
	case SQL_TEXT:
		return sqlite3_bind_text64(
		        statement, at, value->cell.data, value->cell.size, SQLITE_STATIC, SQLITE_UTF8);
	case SQL_NUMBER:
		return sql_is_whole(value->number) ? sqlite3_bind_int64(statement, at, (sqlite3_int64)value->number)
		                                   : sqlite3_bind_double(statement, at, value->number);
	case SQL_NULL:
	default:
		return sqlite3_bind_null(statement, at);
	}
}

int sql_table_row(SqlStore *store, size_t index, sql_value_fn *value, void *arg, uint64_t line) {
	struct table *table = &store->tables[index];
	table->last = line < INT64_MAX && (sqlite3_int64)line > table->last ? (sqlite3_int64)line : table->last + 1;
	int at = 1, code = sqlite3_bind_int64(table->insert, at++, table->last);
	for (size_t i = 0; code == SQLITE_OK && i < table->column_count; i++) {
		struct sql_value given = {.kind = SQL_NULL};
		if (!table->kept[i])
			continue;
		value(arg, i, &given);
		code = bind_value(table->insert, at++, &given);
	}
	store->budget = (struct sql_budget){.steps = SQL_ROW_STEPS};
	if (code == SQLITE_OK)
		code = sqlite3_step(table->insert);
	(void)sqlite3_reset(table->insert);
	if (code != SQLITE_DONE)
		return sql_fault(store->db, &store->budget, code, "keeping a row for SQL");
	table->rows++;
	return 0;
}

int sql_table_clear(SqlStore *store, size_t index) {
	store->tables[index].rows = 0;
	return execute_on(store, "DELETE FROM", &store->tables[index]);
}

uint64_t sql_store_bytes(const SqlStore *store) {
	int now = 0, most = 0;
	(void)sqlite3_db_status(store->db, SQLITE_DBSTATUS_CACHE_USED, &now, &most, 0);
	return now > 0 ? (uint64_t)now : 0;
}

/* ---- answers ---- */

static struct sql_value value_of(sqlite3_stmt *statement, int i, enum sql_type type) {
	struct sql_value value = {.kind = SQL_NULL};
	int kind = sqlite3_column_type(statement, i);
	if (kind == SQLITE_NULL)
		return value;
	bool is_number = kind == SQLITE_INTEGER || kind == SQLITE_FLOAT;
	if (is_number && type != SQL_TYPE_TEXT)
		return (struct sql_value){.kind = SQL_NUMBER, .number = sqlite3_column_double(statement, i)};
	value.kind = SQL_TEXT;
	value.cell.data = (const char *)sqlite3_column_text(statement, i);
	value.cell.size = (size_t)sqlite3_column_bytes(statement, i);
	if (type == SQL_TYPE_NUMBER && cell_number(value.cell, &value.number))
		value.kind = SQL_NUMBER;
	return value;
}

/* What is wanted of each row that a statement gives: its line, and which columns (NULL: all) as what (NULL: any). */
struct wanted {
	const int *picks;
	size_t count;
	const enum sql_type *types;
	bool is_numbered; /* the first column is the line */
};

static int give_rows(
        SqlStore *store, sqlite3_stmt *statement, const struct wanted *wanted, sql_answer_fn *answer, void *arg) {
	_cleanup_(freep) struct sql_value *values = calloc(wanted->count + 1, sizeof *values);
	int rc = 0, code = SQLITE_DONE;
	if (!values)
		return no_memory();
	while (rc == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		uint64_t line = wanted->is_numbered ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
		for (size_t i = 0; i < wanted->count; i++)
			values[i] = value_of(statement, wanted->picks ? wanted->picks[i] : (int)i,
			        wanted->types ? wanted->types[i] : SQL_TYPE_ANY);
		rc = answer(arg, line, values, wanted->count);
	}
	if (rc == 0 && code != SQLITE_DONE)
		rc = sql_fault(store->db, &store->budget, code, "the SQL statement");
	(void)sqlite3_reset(statement);
	return rc;
}

int sql_statement_run(SqlStore *store, SqlStatement *statement, uint64_t memory, const enum sql_type *types,
        sql_answer_fn *answer, void *arg) {
	uint64_t rows = 0;
	for (size_t i = 0; i < store->table_count; i++)
		rows += store->tables[i].rows;
	int64_t most = memory < INT64_MAX / 2 ? (int64_t)memory : INT64_MAX / 2;
	store->budget = (struct sql_budget){
	        .steps = SQL_RUN_STEPS + SQL_RUN_STEPS_PER_ROW * rows, .memory = sqlite3_memory_used() + most + 1};
	struct wanted wanted = {.count = sql_statement_columns(statement), .types = types};
	return give_rows(store, statement->prepared, &wanted, answer, arg);
}

int sql_table_scan(
        SqlStore *store, size_t index, const size_t *columns, size_t count, sql_answer_fn *answer, void *arg) {
	const struct table *table = &store->tables[index];
	_cleanup_(freep) int *picks = calloc(count + 1, sizeof *picks);
	char *sql = sqlite3_mprintf("SELECT %s, * FROM \"%w\"", table->number, table->alias);
	sqlite3_stmt *scan = NULL;
	int rc = picks ? prepare_own(store, sql, &scan) : no_memory();
	sqlite3_free(sql);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		picks[i] = 1; /* behind the number, in the table's order */
		for (size_t k = 0; k < columns[i]; k++)
			picks[i] += table->kept[k];
	}
	store->budget = (struct sql_budget){.steps = UINT64_MAX};
	struct wanted wanted = {.picks = picks, .count = count, .is_numbered = true};
	rc = rc < 0 ? rc : give_rows(store, scan, &wanted, answer, arg);
	(void)sqlite3_finalize(scan);
	return rc;
}
