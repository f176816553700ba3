#include "policy/sql/row_table.h"

#include "crypto/base/fault.h"
#include "policy/sql/confine.h"
#include "policy/sql/definition.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct definition {
	char *columns; /* CREATE TABLE … */
	const struct row_source *source;
};

struct row_table {
	sqlite3_vtab base;
	const struct row_source *source;
};

struct row_cursor {
	sqlite3_vtab_cursor base;
	const struct row_source *source;
	bool at_end;
};

static int connect_table(
        sqlite3 *db, void *arg, int argc, const char *const *argv, sqlite3_vtab **ret_table, char **ret_words) {
	const struct definition *definition = arg;
	(void)argc;
	(void)argv;
	(void)ret_words;
	int code = sqlite3_declare_vtab(db, definition->columns);
	if (code != SQLITE_OK)
		return code;
	struct row_table *table = calloc(1, sizeof *table);
	if (!table)
		return SQLITE_NOMEM;
	table->source = definition->source;
	*ret_table = &table->base;
	return SQLITE_OK;
}

static int disconnect_table(sqlite3_vtab *base) {
	free(base);
	return SQLITE_OK;
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info) {
	(void)base;
	info->estimatedRows = 1;
	info->estimatedCost = 1;
	return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **ret_cursor) {
	struct row_cursor *cursor = calloc(1, sizeof *cursor);
	if (!cursor)
		return SQLITE_NOMEM;
	cursor->source = ((struct row_table *)base)->source;
	*ret_cursor = &cursor->base;
	return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *base) {
	free(base);
	return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int index, const char *name, int argc, sqlite3_value **argv) {
	(void)index;
	(void)name;
	(void)argc;
	(void)argv;
	((struct row_cursor *)base)->at_end = false;
	return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base) {
	((struct row_cursor *)base)->at_end = true;
	return SQLITE_OK;
}

static int at_end(sqlite3_vtab_cursor *base) {
	return ((struct row_cursor *)base)->at_end;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *context, int index) {
	const struct row_source *source = ((struct row_cursor *)base)->source;
	struct sql_value value = {.kind = SQL_NULL};
	if (source->value)
		source->value(source->arg, (size_t)index, &value);
	if (value.kind == SQL_TEXT)
		sqlite3_result_text64(context, value.cell.data, value.cell.size, SQLITE_STATIC, SQLITE_UTF8);
	else if (value.kind == SQL_NUMBER && sql_is_whole(value.number))
		sqlite3_result_int64(context, (sqlite3_int64)value.number);
	else if (value.kind == SQL_NUMBER)
		sqlite3_result_double(context, value.number);
	else
		sqlite3_result_null(context);
	return SQLITE_OK;
}

static int row_id(sqlite3_vtab_cursor *base, sqlite3_int64 *ret_id) {
	(void)base;
	*ret_id = 1;
	return SQLITE_OK;
}

/* Without xCreate it is there by its name alone. */
static const sqlite3_module module = {
        .xConnect = connect_table,
        .xDisconnect = disconnect_table,
        .xBestIndex = best_index,
        .xOpen = open_cursor,
        .xClose = close_cursor,
        .xFilter = filter,
        .xNext = next,
        .xEof = at_end,
        .xColumn = column,
        .xRowid = row_id,
};

static void free_definition(void *arg) {
	struct definition *definition = arg;
	free(definition->columns);
	free(definition);
}

int row_table_register(sqlite3 *db, const char *name, const struct sql_column *columns, size_t count,
        const struct row_source *source) {
	struct definition *definition = calloc(1, sizeof *definition);
	if (!definition)
		return fault(ENOMEM, "no memory for a condition over rows");
	definition->source = source;
	definition->columns = sql_definition(name, columns, count, NULL);
	if (!definition->columns) {
		free_definition(definition);
		return fault(ENOMEM, "no memory for a condition over rows");
	}
	/* Frees the definition itself when it fails. The table is made with its first use, while that is allowed. */
	int code = sqlite3_create_module_v2(db, name, &module, definition, free_definition);
	_cleanup_(freep) char *first_use = NULL;
	if (asprintf(&first_use, "SELECT 1 FROM \"%s\"", name) < 0) {
		first_use = NULL;
		return fault(ENOMEM, "no memory for a condition over rows");
	}
	if (code == SQLITE_OK)
		code = sqlite3_exec(db, first_use, NULL, NULL, NULL);
	if (code == SQLITE_NOMEM)
		return fault(ENOMEM, "no memory for a condition over rows");
	return code == SQLITE_OK ? 0 : fault(EINVAL, "the columns make no table for SQL: %s", sqlite3_errmsg(db));
}
