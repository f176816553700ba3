#include "policy/dqdl/sql_reference.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/sql_rules.h"

#include <errno.h>
#include <stdlib.h>

#define WAITING_BYTES ((size_t)64 << 10)
#define NO_VALUE SIZE_MAX /* in place of a size: a cell without data */

struct SqlReference {
	SqlStore *store;
	const struct dqdl_nulls *nulls;
	char *alias;
	struct table_cell *names;
	struct sql_column *columns;
	struct column_kind *kinds;
	struct table_cell *cells; /* room for a row */
	size_t count;
	size_t table;
	bool is_there; /* the table is */
	uint64_t rows;
	char *waiting; /* rows: of each cell its size and its bytes */
	size_t used, room;
};

static int no_memory(void) {
	return fault(ENOMEM, "no memory for the rows of a reference");
}

int sql_reference_new(SqlStore *store, const struct dqdl_nulls *nulls, const char *alias,
        const struct table_cell *names, size_t count, SqlReference **ret_reference) {
	_cleanup_(sql_reference_freep) SqlReference *reference = calloc(1, sizeof *reference);
	if (!reference)
		return no_memory();
	reference->store = store;
	reference->nulls = nulls;
	reference->count = count;
	reference->alias = strdup(alias);
	reference->names = cells_copy(names, count);
	reference->columns = reference->names ? sql_columns_named(reference->names, count) : NULL;
	reference->kinds = calloc(count + 1, sizeof *reference->kinds);
	reference->cells = calloc(count + 1, sizeof *reference->cells);
	if (!reference->alias || !reference->columns || !reference->kinds || !reference->cells)
		return no_memory();
	*ret_reference = steal_pointer(&reference);
	return 0;
}

void sql_reference_free(SqlReference *reference) {
	if (!reference)
		return;
	free(reference->alias);
	free(reference->columns);
	free(reference->names);
	free(reference->kinds);
	free(reference->cells);
	free(reference->waiting);
	free(reference);
}

const char *sql_reference_alias(const SqlReference *reference) {
	return reference->alias;
}

/* ---- rows that wait ---- */

static int put(SqlReference *reference, const void *bytes, size_t size) {
	if (size > reference->room - reference->used) {
		size_t room = 2 * (reference->used + size) + 1024;
		char *waiting = realloc(reference->waiting, room);
		if (!waiting)
			return no_memory();
		reference->waiting = waiting;
		reference->room = room;
	}
	if (size > 0)
		memcpy(reference->waiting + reference->used, bytes, size);
	reference->used += size;
	return 0;
}

static int wait_row(SqlReference *reference, const struct table_cell *cells) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < reference->count; i++) {
		size_t size = cells[i].data ? cells[i].size : NO_VALUE;
		if (cells[i].size > 0 && cell_presence_of(reference->nulls, cells[i]) != CELL_NULL)
			column_kind_see(&reference->kinds[i], cells[i]);
		rc = put(reference, &size, sizeof size);
		if (rc == 0)
			rc = put(reference, cells[i].data, cells[i].size);
	}
	return rc;
}

/* ---- the table ---- */

struct reference_row {
	const SqlReference *reference;
	const struct table_cell *cells;
};

static void give_value(void *arg, size_t column, struct sql_value *ret_value) {
	const struct reference_row *row = arg;
	const SqlReference *reference = row->reference;
	(void)sql_value_of(reference->nulls, &reference->kinds[column], reference->columns[column].type,
	        row->cells[column], ret_value);
}

static int add_row(SqlReference *reference, const struct table_cell *cells) {
	struct reference_row row = {.reference = reference, .cells = cells};
	return sql_table_row(reference->store, reference->table, give_value, &row, ++reference->rows);
}

static int add_waiting(SqlReference *reference) {
	int rc = 0;
	if (reference->used == 0)
		return 0;
	for (const char *at = reference->waiting, *end = at + reference->used; rc == 0 && at < end;) {
		for (size_t i = 0; i < reference->count; i++) {
			size_t size;
			memcpy(&size, at, sizeof size);
			at += sizeof size;
			bool is_there = size != NO_VALUE;
			reference->cells[i] = (struct table_cell){is_there ? at : NULL, is_there ? size : 0};
			at += reference->cells[i].size;
		}
		rc = add_row(reference, reference->cells);
	}
	free(reference->waiting);
	reference->waiting = NULL;
	reference->used = reference->room = 0;
	return rc;
}

static int make_table(SqlReference *reference) {
	for (size_t i = 0; i < reference->count; i++)
		reference->columns[i].type = sql_type_of_kind(&reference->kinds[i]);
	int rc = sql_table_add(
	        reference->store, reference->alias, reference->columns, reference->count, &reference->table);
	for (size_t i = 0; rc == 0 && i < reference->count; i++)
		sql_table_keep(reference->store, reference->table, i);
	if (rc == 0)
		rc = sql_table_begin(reference->store, reference->table);
	reference->is_there = true;
	return rc < 0 ? rc : add_waiting(reference);
}

int sql_reference_row(SqlReference *reference, const struct table_cell *cells) {
	if (reference->is_there)
		return add_row(reference, cells);
	int rc = wait_row(reference, cells);
	return rc < 0 || reference->used < WAITING_BYTES ? rc : make_table(reference);
}

int sql_reference_end(SqlReference *reference) {
	return reference->is_there ? 0 : make_table(reference);
}
