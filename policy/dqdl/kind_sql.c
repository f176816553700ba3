/*
 * kind_sql: CustomSql: a statement's one number held against a condition, or rows that are among a statement's rows.
 *
 *     a row alone tells    SELECT columns FROM primary WHERE (of those columns)   asked of each row, nothing is kept
 *     the sum of parts     SELECT count|sum|total(…) FROM primary WHERE …         asked of some thousand rows at once
 *     the whole table      all others                                             keeps rows: the columns that are
 * read, within the memory's limit
 */
#include "policy/dqdl/reference.h"
#include "policy/dqdl/sql_reference.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/sql_rules.h"
#include "policy/sql/sql_store.h"
#include "policy/sql/sql_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define WHAT "the SQL statement is invalid"
#define PRIMARY "primary"
#define PART_ROWS 8192u
#define PART_BYTES (4u << 20)

enum way { BY_ROW, BY_PARTS, BY_WHOLE };

/* What a check has: its statement and what it has told so far. */
struct own {
	bool is_ready;
	enum way way;
	SqlStatement *statement; /* the store's */
	SqlFilter *filter;       /* BY_ROW */
	char *text;              /* the statement, for the filter */
	size_t *columns;         /* of rows: which of primary's each of the answer's is */
	enum sql_type *types;
	size_t column_count;
	Distinct *answers; /* of rows, BY_WHOLE: the answer's tuples */
	double number;     /* BY_PARTS: the sum so far */
	bool has_number;
	uint64_t rows; /* of the answer */
};

struct kept_rows {
	SqlStore *store;
	size_t table;
	uint64_t rows; /* in it now */
};

struct CustomSql {
	struct sql_column *columns;
	size_t column_count;
	struct kept_rows whole, part;
	uint64_t bytes; /* of `whole`, as they stand in the evaluator's budget */
	char *broken;   /* why there is no table for SQL */
	char *tuple;    /* the last that was written down */
	size_t tuple_room, tuple_size;
	bool has_begun;
	struct named_table *references; /* the one that is fed first */
};

/* A reference, and the check through which its rows come, of all that name it. */
struct named_table {
	struct named_table *next;
	SqlReference *reference;
	const struct check *feeder;
};

static bool is_custom_sql(const struct check *check) {
	return check->rule->id == DQDL_CUSTOM_SQL;
}

static const char *statement_of(const struct check *check) {
	return check->rule->parameters[0].value;
}

static bool is_of_rows(const struct check *check) {
	return check->kind == &kind_custom_sql_rows;
}

/* ---- the rows that are kept ---- */

static int open_store(CustomSql *sql, struct kept_rows *kept) {
	int rc = sql_store_new(&kept->store);
	return rc < 0 ? rc : sql_table_add(kept->store, PRIMARY, sql->columns, sql->column_count, &kept->table);
}

int custom_sql_open(DqdlEvaluator *evaluator) {
	bool is_needed = false;
	for (size_t i = 0; i < evaluator->check_count; i++)
		is_needed |= is_custom_sql(&evaluator->checks[i]);
	if (!is_needed)
		return 0;
	CustomSql *sql = evaluator->custom_sql = calloc(1, sizeof *sql);
	if (!sql || !(sql->columns = sql_columns_of(evaluator)))
		return evaluator_out_of_memory();
	sql->column_count = evaluator->column_count;
	int rc = open_store(sql, &sql->whole);
	if (rc == 0)
		rc = open_store(sql, &sql->part);
	if (rc == 0 || rc == -ENOMEM)
		return rc;
	sql->broken = strdup(fault_message());
	return sql->broken ? 0 : evaluator_out_of_memory();
}

void custom_sql_free(CustomSql *sql) {
	if (!sql)
		return;
	sql_store_free(sql->whole.store);
	sql_store_free(sql->part.store);
	while (sql->references) {
		struct named_table *next = sql->references->next;
		sql_reference_free(sql->references->reference);
		free(sql->references);
		sql->references = next;
	}
	free(sql->columns);
	free(sql->broken);
	free(sql->tuple);
	free(sql);
}

/* ---- making statements ready ---- */

/* Exactly, else without regard to case. */
static bool find_column(const CustomSql *sql, const char *name, size_t *ret_index) {
	for (size_t i = 0; i < sql->column_count; i++) {
		*ret_index = i;
		if (cell_equals(sql->columns[i].name, name, strlen(name)))
			return true;
	}
	for (size_t i = 0; i < sql->column_count; i++) {
		*ret_index = i;
		struct table_cell column = sql->columns[i].name;
		if (column.size == strlen(name) && strncasecmp(column.data, name, column.size) == 0)
			return true;
	}
	return false;
}

/* The columns of the answer among primary's; settles the check where one is not. */
static int find_columns(const CustomSql *sql, struct check *check, struct own *own) {
	own->column_count = sql_statement_columns(own->statement);
	own->columns = calloc(own->column_count + 1, sizeof *own->columns);
	own->types = calloc(own->column_count + 1, sizeof *own->types);
	if (!own->columns || !own->types)
		return evaluator_out_of_memory();
	for (size_t i = 0; i < own->column_count; i++) {
		const char *name = sql_statement_column(own->statement, i);
		if (!find_column(sql, name, &own->columns[i]))
			return check_settle(check, DQDL_FAILED,
			        "the statement's column \"%.200s\" is not found among those of primary", name);
		own->types[i] = sql->columns[own->columns[i]].type;
	}
	return 0;
}

/* Does it look at no other column than those it gives? Then a row that it gives is one that conforms, and no other. */
static bool reads_its_columns_alone(const CustomSql *sql, const struct own *own) {
	for (size_t i = 0; i < sql->column_count; i++) {
		bool is_given = false;
		for (size_t k = 0; k < own->column_count; k++)
			is_given |= own->columns[k] == i;
		if (!is_given && sql_statement_reads(own->statement, sql->whole.table, i))
			return false;
	}
	return true;
}

static int ask_each_row(CustomSql *sql, struct check *check, struct own *own) {
	own->text = sql_text_quote_primary(statement_of(check));
	if (!own->text)
		return evaluator_out_of_memory();
	int rc = sql_filter_new_select(
	        "the SQL statement", own->text, PRIMARY, sql->columns, sql->column_count, &own->filter);
	if (rc < 0)
		return rc;
	sql_statement_drop(sql->whole.store, own->statement);
	own->statement = NULL;
	own->way = BY_ROW;
	return 0;
}

static int start_rows(DqdlEvaluator *evaluator, struct check *check, struct own *own) {
	CustomSql *sql = evaluator->custom_sql;
	int rc = find_columns(sql, check, own);
	if (rc < 0 || check->settled)
		return rc;
	if (sql_text_shape(statement_of(check)) == SQL_SHAPE_ROWS && reads_its_columns_alone(sql, own))
		return ask_each_row(sql, check, own);
	own->answers = distinct_new(evaluator->key, &evaluator->budget, NULL);
	for (size_t i = 0; i < own->column_count; i++)
		sql_table_keep(sql->whole.store, sql->whole.table, own->columns[i]);
	return own->answers ? 0 : evaluator_out_of_memory();
}

static int start_number(CustomSql *sql, struct check *check, struct own *own) {
	size_t columns = sql_statement_columns(own->statement);
	if (columns != 1)
		return check_settle(check, DQDL_FAILED,
		        "the statement gives %zu columns; held against a condition it must give one row with one",
		        columns);
	if (sql_text_shape(statement_of(check)) != SQL_SHAPE_SUM)
		return 0;
	sql_statement_drop(sql->whole.store, own->statement);
	own->way = BY_PARTS;
	return sql_statement_add(sql->part.store, statement_of(check), &own->statement);
}

static void need_columns(DqdlEvaluator *evaluator, const struct own *own) {
	const CustomSql *sql = evaluator->custom_sql;
	for (size_t i = 0; i < sql->column_count; i++)
		if (own->statement ? sql_statement_reads(own->statement, 0, i) : sql_filter_reads(own->filter, i))
			sql_column_needed(evaluator, i);
	for (size_t i = 0; i < own->column_count; i++)
		sql_column_needed(evaluator, own->columns[i]);
}

/* What does not parse, or names what is not there, is a rule that nothing conforms to, as in Glue. */
static int begin_check(DqdlEvaluator *evaluator, struct check *check) {
	CustomSql *sql = evaluator->custom_sql;
	struct own *own = check->own;
	int rc = sql->broken ? fault(EINVAL, WHAT ": %s", sql->broken)
	                     : sql_statement_add(sql->whole.store, statement_of(check), &own->statement);
	if (rc == 0)
		rc = is_of_rows(check) ? start_rows(evaluator, check, own) : start_number(sql, check, own);
	if (rc < 0)
		return rc == -ENOMEM ? rc : check_settle(check, DQDL_FAILED, "%s", fault_message());
	if (check->settled)
		return 0;
	need_columns(evaluator, own);
	own->is_ready = true;
	return 0;
}

int custom_sql_begin(DqdlEvaluator *evaluator) {
	CustomSql *sql = evaluator->custom_sql;
	if (!sql || sql->has_begun)
		return 0;
	sql->has_begun = true;
	for (size_t i = 0; i < evaluator->check_count; i++) {
		struct check *check = &evaluator->checks[i];
		int rc = is_custom_sql(check) && !check->settled ? begin_check(evaluator, check) : 0;
		if (rc < 0)
			return rc;
		check->row_level &= !is_custom_sql(check) || !check->settled;
	}
	if (sql->broken)
		return 0;
	int rc = sql->whole.store ? sql_store_begin(sql->whole.store) : 0;
	return rc < 0 ? rc : sql_store_begin(sql->part.store);
}

/* ---- rows, as they come ---- */

/* Settles all checks that wait for rows which can't be kept any longer. */
static int give_up(DqdlEvaluator *evaluator, enum way way, const char *words) {
	for (size_t i = 0; i < evaluator->check_count; i++) {
		struct check *check = &evaluator->checks[i];
		const struct own *own = is_custom_sql(check) ? check->own : NULL;
		if (!own || check->settled || own->way != way)
			continue;
		int rc = check_settle(check, DQDL_ERROR, "%s", words);
		if (rc < 0)
			return rc;
	}
	CustomSql *sql = evaluator->custom_sql;
	struct kept_rows *kept = way == BY_WHOLE ? &sql->whole : &sql->part;
	sql_store_free(kept->store);
	kept->store = NULL;
	return 0;
}

static int count_bytes(DqdlEvaluator *evaluator) {
	CustomSql *sql = evaluator->custom_sql;
	uint64_t bytes = sql_store_bytes(sql->whole.store);
	evaluator->budget.used += (size_t)(bytes - sql->bytes);
	sql->bytes = bytes;
	if (evaluator->budget.used <= evaluator->budget.limit)
		return 0;
	char words[300];
	(void)snprintf(words, sizeof words,
	        "the statement is about the table as a whole, and keeping the columns that it reads takes more than "
	        "the limit of %zu bytes of memory",
	        evaluator->budget.limit);
	evaluator->budget.used -= (size_t)bytes;
	sql->bytes = 0;
	return give_up(evaluator, BY_WHOLE, words);
}

static int keep_row(DqdlEvaluator *evaluator, struct kept_rows *kept, enum way way, struct sql_row *row) {
	if (!kept->store || !sql_store_is_used(kept->store))
		return 0;
	int rc = sql_table_row(kept->store, kept->table, sql_cell_value, row, row->line);
	if (rc < 0)
		return rc == -ENOMEM ? rc : give_up(evaluator, way, fault_message());
	kept->rows++;
	return 0;
}

static int add_part(void *arg, uint64_t line, const struct sql_value *values, size_t count) {
	struct own *own = arg;
	(void)line;
	(void)count;
	if (values[0].kind != SQL_NUMBER)
		return 0;
	own->number += values[0].number;
	own->has_number = true;
	return 0;
}

static uint64_t memory_left(const DqdlEvaluator *evaluator) {
	const struct distinct_budget *budget = &evaluator->budget;
	return budget->limit > budget->used ? budget->limit - budget->used : 0;
}

/* What went wrong while a statement ran was not foreseen by whoever wrote the rule: nothing is decided. */
static int settle_run(struct check *check, int rc) {
	return rc == 0 || rc == -ENOMEM ? rc : check_settle(check, DQDL_ERROR, "%s", fault_message());
}

static int run_parts(DqdlEvaluator *evaluator) {
	struct kept_rows *kept = &evaluator->custom_sql->part;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < evaluator->check_count; i++) {
		struct check *check = &evaluator->checks[i];
		struct own *own = is_custom_sql(check) ? check->own : NULL;
		if (!own || check->settled || own->way != BY_PARTS)
			continue;
		rc = sql_statement_run(kept->store, own->statement, memory_left(evaluator), NULL, add_part, own);
		rc = settle_run(check, rc);
	}
	kept->rows = 0;
	return rc < 0 ? rc : sql_table_clear(kept->store, kept->table);
}

int custom_sql_row(DqdlEvaluator *evaluator, const struct table_cell *cells, uint64_t line) {
	CustomSql *sql = evaluator->custom_sql;
	if (!sql || sql->broken)
		return 0;
	struct sql_row row = {.evaluator = evaluator, .cells = cells, .line = line};
	int rc = keep_row(evaluator, &sql->whole, BY_WHOLE, &row);
	if (rc == 0 && sql->whole.store && sql_store_is_used(sql->whole.store))
		rc = count_bytes(evaluator);
	if (rc == 0)
		rc = keep_row(evaluator, &sql->part, BY_PARTS, &row);
	bool is_full = rc == 0 && sql->part.store &&
	               (sql->part.rows >= PART_ROWS || sql_store_bytes(sql->part.store) > PART_BYTES);
	return is_full ? run_parts(evaluator) : rc;
}

/* ---- other tables ---- */

static bool refers(const struct check *check, const char *alias) {
	return sql_text_names(statement_of(check), alias);
}

/* Its rows come once, however many rules name it. */
static int find_reference(DqdlEvaluator *evaluator, struct check *check, const struct reference *table) {
	CustomSql *sql = evaluator->custom_sql;
	if (sql->broken || !sql->whole.store ||
	        (sql->references && strcmp(sql_reference_alias(sql->references->reference), table->alias) == 0))
		return 0;
	struct named_table *named = calloc(1, sizeof *named);
	if (!named)
		return evaluator_out_of_memory();
	named->next = sql->references;
	named->feeder = check;
	sql->references = named;
	return sql_reference_new(sql->whole.store, &evaluator->options.nulls, table->alias, table->names,
	        table->column_count, &named->reference);
}

/* What is wrong with the table is so for all. */
static int settle_reference(DqdlEvaluator *evaluator, int rc) {
	char words[400];
	if (rc == -ENOMEM)
		return rc;
	(void)snprintf(words, sizeof words, "the reference \"%.100s\": %.250s",
	        sql_reference_alias(evaluator->custom_sql->references->reference), fault_message());
	return rc < 0 ? give_up(evaluator, BY_WHOLE, words) : count_bytes(evaluator);
}

static int feed_reference(
        DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	const struct named_table *named = evaluator->custom_sql->references;
	(void)line;
	if (!named || named->feeder != check)
		return 0;
	return settle_reference(evaluator, sql_reference_row(named->reference, cells));
}

static int end_reference(DqdlEvaluator *evaluator, struct check *check, const struct reference *table) {
	const struct named_table *named = evaluator->custom_sql->references;
	(void)table;
	if (!named || named->feeder != check)
		return 0;
	return settle_reference(evaluator, sql_reference_end(named->reference));
}

/* ---- one number ---- */

static int start(DqdlEvaluator *evaluator, struct check *check) {
	(void)evaluator;
	struct own *own = check->own = calloc(1, sizeof *own);
	if (!own)
		return evaluator_out_of_memory();
	own->way = BY_WHOLE; /* until it turns out to be less */
	return 0;
}

static void release(struct check *check) {
	struct own *own = check->own;
	sql_filter_free(own->filter);
	distinct_free(own->answers);
	free(own->text);
	free(own->columns);
	free(own->types);
}

/* A text is a number if it can be cast to one; a second row is enough to know that there are too many. */
static int take_number(void *arg, uint64_t line, const struct sql_value *values, size_t count) {
	struct own *own = arg;
	(void)line;
	(void)count;
	own->has_number = values[0].kind == SQL_NUMBER;
	own->number = values[0].number;
	return ++own->rows > 1 ? 1 : 0;
}

static int finish_number(DqdlEvaluator *evaluator, struct check *check) {
	struct own *own = check->own;
	CustomSql *sql = evaluator->custom_sql;
	static const enum sql_type number = SQL_TYPE_NUMBER;
	int rc = own->way == BY_PARTS ? run_parts(evaluator)
	                              : sql_statement_run(sql->whole.store, own->statement, memory_left(evaluator),
	                                        &number, take_number, own);
	if (rc < 0 && (rc = settle_run(check, rc)) < 0)
		return rc;
	if (check->settled)
		return 0;
	if (own->way == BY_WHOLE && own->rows != 1)
		return check_settle(check, DQDL_FAILED,
		        "the statement gives %s; held against a condition it must give exactly one",
		        own->rows ? "more than one row" : "no row");
	if (!own->has_number)
		return check_settle(check, DQDL_FAILED, "the statement's value is NULL, or a text that is no number");
	return check_settle_metric(check, "CustomSQL", own->number);
}

/* ---- rows ---- */

static int put(CustomSql *sql, const void *bytes, size_t size) {
	if (size > sql->tuple_room - sql->tuple_size) {
		size_t room = 2 * (sql->tuple_size + size) + 64;
		char *tuple = realloc(sql->tuple, room);
		if (!tuple)
			return evaluator_out_of_memory();
		sql->tuple = tuple;
		sql->tuple_room = room;
	}
	if (size > 0)
		memcpy(sql->tuple + sql->tuple_size, bytes, size);
	sql->tuple_size += size;
	return 0;
}

/* A tuple as one text: each value as its kind and itself, so that no two are alike; NULL is like NULL. */
static int write_tuple(CustomSql *sql, const struct sql_value *values, size_t count) {
	int rc = 0;
	sql->tuple_size = 0;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		const struct sql_value *value = &values[i];
		char kind = (char)value->kind;
		double number = value->number + 0.0; /* -0 is 0 */
		uint64_t size = value->cell.size;
		rc = put(sql, &kind, 1);
		if (rc == 0 && value->kind == SQL_NUMBER)
			rc = put(sql, &number, sizeof number);
		if (rc == 0 && value->kind == SQL_TEXT && (rc = put(sql, &size, sizeof size)) == 0)
			rc = put(sql, value->cell.data, value->cell.size);
	}
	return rc;
}

/* Feeding: a row that is told by itself is judged at once; of the others nothing is known before the end. */
static int feed(DqdlEvaluator *evaluator, struct check *check, const struct table_cell *cells, uint64_t line) {
	struct own *own = check->own;
	CustomSql *sql = evaluator->custom_sql;
	struct sql_row row = {.evaluator = evaluator, .cells = cells, .line = line};
	bool conforms = false;
	if (!own->is_ready || (own->way == BY_WHOLE && line))
		return 0;
	if (own->way == BY_ROW) {
		int rc = sql_filter_test(own->filter, sql_cell_value, &row, &conforms);
		if (rc < 0)
			return settle_run(check, rc);
	} else {
		_cleanup_(freep) struct sql_value *values = calloc(own->column_count + 1, sizeof *values);
		if (!values)
			return evaluator_out_of_memory();
		for (size_t i = 0; i < own->column_count; i++)
			sql_cell_value(&row, own->columns[i], &values[i]);
		int rc = write_tuple(sql, values, own->column_count);
		if (rc < 0)
			return rc;
		conforms = distinct_has(own->answers, sql->tuple, sql->tuple_size);
	}
	check->row = conforms ? DQDL_ROW_PASSED : DQDL_ROW_FAILED;
	if (!conforms && line)
		first_lines_add(&check->failing, line);
	return 0;
}

struct looking {
	CustomSql *sql;
	struct check *check;
};

static int add_answer(void *arg, uint64_t line, const struct sql_value *values, size_t count) {
	const struct looking *looking = arg;
	const struct own *own = looking->check->own;
	uint64_t times;
	(void)line;
	int rc = write_tuple(looking->sql, values, count);
	return rc < 0 ? rc : distinct_add(own->answers, looking->sql->tuple, looking->sql->tuple_size, 0, &times);
}

static int look_up_row(void *arg, uint64_t line, const struct sql_value *values, size_t count) {
	const struct looking *looking = arg;
	const struct own *own = looking->check->own;
	int rc = write_tuple(looking->sql, values, count);
	if (rc == 0 && !distinct_has(own->answers, looking->sql->tuple, looking->sql->tuple_size))
		first_lines_add(&looking->check->failing, line);
	return rc;
}

static int find_rows(DqdlEvaluator *evaluator, struct check *check) {
	const struct own *own = check->own;
	struct kept_rows *kept = &evaluator->custom_sql->whole;
	struct looking looking = {.sql = evaluator->custom_sql, .check = check};
	int rc = sql_statement_run(
	        kept->store, own->statement, memory_left(evaluator), own->types, add_answer, &looking);
	if (rc == -E2BIG)
		return check_settle(check, DQDL_ERROR,
		        "the statement gives so many different rows that keeping them takes more than the limit of %zu "
		        "bytes of memory",
		        evaluator->budget.limit);
	if (rc == 0)
		rc = sql_table_scan(kept->store, kept->table, own->columns, own->column_count, look_up_row, &looking);
	return settle_run(check, rc);
}

static int finish_rows(DqdlEvaluator *evaluator, struct check *check) {
	const struct own *own = check->own;
	if (check->filter->rows == 0)
		return check_settle(check, DQDL_FAILED, "the table has no rows");
	int rc = own->way == BY_WHOLE ? find_rows(evaluator, check) : 0;
	return rc < 0 || check->settled ? rc : check_settle_rows(evaluator, check, "CustomSQL.Compliance");
}

const struct check_kind kind_custom_sql = {.columns = KIND_COLUMNS_NONE,
        .measures = true,
        .start = start,
        .finish = finish_number,
        .refers = refers,
        .reference = find_reference,
        .reference_row = feed_reference,
        .reference_end = end_reference,
        .release = release};
const struct check_kind kind_custom_sql_rows = {.columns = KIND_COLUMNS_NONE,
        .row_level = true,
        .start = start,
        .row = feed,
        .finish = finish_rows,
        .refers = refers,
        .reference = find_reference,
        .reference_row = feed_reference,
        .reference_end = end_reference,
        .release = release};
