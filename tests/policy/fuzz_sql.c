/* A statement over a table of five rows: what is asked row by row or in parts must come to what the whole table says.
 */
#include "policy/sql/sql_store.h"
#include "policy/sql/sql_text.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME(text) \
	{ .data = (text), .size = sizeof(text) - 1 }
#define ROWS 5u

static const struct sql_column columns[] = {{.name = NAME("a"), .type = SQL_TYPE_NUMBER},
        {.name = NAME("b"), .type = SQL_TYPE_TEXT}, {.name = NAME("my name"), .type = SQL_TYPE_ANY}};

#define TEXT(text) \
	{ .kind = SQL_TEXT, .cell = NAME(text) }
#define NUMBER(value) \
	{ .kind = SQL_NUMBER, .number = (value) }

static struct sql_value rows[ROWS][3] = {{NUMBER(1), TEXT("x"), TEXT("7")}, {NUMBER(2), TEXT(""), {.kind = SQL_NULL}},
        {{.kind = SQL_NULL}, TEXT("02134"), NUMBER(3)}, {NUMBER(-4), TEXT("x"), TEXT("primary")},
        {NUMBER(2.5), TEXT("y"), TEXT("'")}};

static void give(void *arg, size_t column, struct sql_value *ret_value) {
	*ret_value = ((const struct sql_value *)arg)[column];
}

struct answer {
	uint64_t rows;
	double sum;
};

static int take(void *arg, uint64_t line, const struct sql_value *values, size_t count) {
	struct answer *answer = arg;
	(void)line;
	answer->rows++;
	if (count > 0 && values[0].kind == SQL_NUMBER)
		answer->sum += values[0].number;
	return 0;
}

/* Runs the statement over `part` rows at a time; false: it is none, or fails. */
static bool ask_store(const char *sql, size_t part, struct answer *answer) {
	size_t table;
	SqlStatement *statement = NULL;
	_cleanup_(sql_store_freep) SqlStore *store = NULL;
	if (sql_store_new(&store) < 0 || sql_table_add(store, "primary", columns, 3, &table) < 0)
		abort();
	if (sql_statement_add(store, sql, &statement) < 0)
		return false;
	if (sql_store_begin(store) < 0)
		abort();
	for (size_t i = 0; i < ROWS; i++) {
		if (sql_table_row(store, table, give, rows[i], i + 2) < 0)
			abort();
		if ((i + 1) % part != 0 && i + 1 < ROWS)
			continue;
		if (sql_statement_run(store, statement, 1 << 20, NULL, take, answer) < 0)
			return false;
		if (sql_table_clear(store, table) < 0)
			abort();
	}
	return true;
}

static bool ask_rows(const char *sql, struct answer *answer) {
	_cleanup_(freep) char *quoted = sql_text_quote_primary(sql);
	_cleanup_(sql_filter_freep) SqlFilter *filter = NULL;
	if (!quoted || sql_filter_new_select("it", quoted, "primary", columns, 3, &filter) < 0)
		return false;
	for (size_t i = 0; i < ROWS; i++) {
		bool is_there = false;
		if (sql_filter_test(filter, give, rows[i], &is_there) < 0)
			return false;
		answer->rows += is_there;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	_cleanup_(freep) char *sql = calloc(1, size + 1);
	if (!sql)
		abort();
	if (size > 0)
		memcpy(sql, data, size);
	enum sql_shape shape = sql_text_shape(sql);
	struct answer whole = {0}, parts = {0};
	bool is_answered = ask_store(sql, ROWS, &whole);
	if (!is_answered && !fault_message()[0])
		abort();
	if (!is_answered || shape == SQL_SHAPE_ANY)
		return 0;
	if (shape == SQL_SHAPE_ROWS && ask_rows(sql, &parts) && parts.rows != whole.rows)
		abort();
	if (shape == SQL_SHAPE_SUM && ask_store(sql, 2, &parts) &&
	        (whole.rows != 1 || parts.rows != 3 || fabs(parts.sum - whole.sum) > 1e-9 * fabs(whole.sum)))
		abort();
	return 0;
}
