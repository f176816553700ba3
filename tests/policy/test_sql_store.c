#include "policy/sql/sql_store.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME(text) \
	{ .data = (text), .size = sizeof(text) - 1 }

static const struct sql_column columns[] = {{.name = NAME("id"), .type = SQL_TYPE_NUMBER},
        {.name = NAME("zip"), .type = SQL_TYPE_TEXT}, {.name = NAME("a \"b\"; drop table x"), .type = SQL_TYPE_ANY}};
static const struct sql_column register_columns[] = {
        {.name = NAME("id"), .type = SQL_TYPE_NUMBER}, {.name = NAME("name"), .type = SQL_TYPE_TEXT}};

static struct sql_value text(const char *data) {
	return (struct sql_value){.kind = SQL_TEXT, .cell = {.data = data, .size = strlen(data)}};
}

static struct sql_value number(double value) {
	return (struct sql_value){.kind = SQL_NUMBER, .number = value};
}

static void give(void *arg, size_t column, struct sql_value *ret_value) {
	*ret_value = ((const struct sql_value *)arg)[column];
}

static SqlStore *store_of(size_t *ret_table) {
	SqlStore *store = NULL;
	assert_int_equal(sql_store_new(&store), 0);
	assert_int_equal(sql_table_add(store, "primary", columns, 3, ret_table), 0);
	return store;
}

static void add_rows(SqlStore *store, size_t table, size_t count) {
	for (size_t i = 0; i < count; i++) {
		struct sql_value row[] = {number((double)i), text(i % 2 ? "02134" : "K1A"), {.kind = SQL_NULL}};
		assert_int_equal(sql_table_row(store, table, give, row, 2 * i + 2), 0);
	}
}

struct answer {
	size_t rows;
	uint64_t lines;
	char first[64];
	double number;
};

static int take(void *arg, uint64_t line, const struct sql_value *values, size_t count) {
	struct answer *answer = arg;
	assert_true(count > 0);
	if (answer->rows++ == 0 && values[0].kind == SQL_TEXT)
		snprintf(answer->first, sizeof answer->first, "%.*s", (int)values[0].cell.size, values[0].cell.data);
	answer->number = values[0].kind == SQL_NUMBER ? values[0].number : -1;
	answer->lines += line;
	return 0;
}

/* Over ten rows: ids 0 to 9, zips "K1A" and "02134" in turns. */
static double number_of(const char *sql) {
	size_t table;
	struct answer answer = {0};
	SqlStatement *statement = NULL;
	_cleanup_(sql_store_freep) SqlStore *store = store_of(&table);
	if (sql_statement_add(store, sql, &statement) < 0)
		fail_msg("%s: %s", sql, fault_message());
	assert_int_equal(sql_store_begin(store), 0);
	add_rows(store, table, 10);
	if (sql_statement_run(store, statement, 1 << 20, NULL, take, &answer) < 0)
		fail_msg("%s: %s", sql, fault_message());
	assert_int_equal(answer.rows, 1);
	return answer.number;
}

#define assert_number(sql, expected) assert_true(number_of(sql) == (expected))

static void statements_see_all_rows(void **state) {
	(void)state;
	assert_number("select count(*) from primary", 10);
	assert_number("select sum(id) from primary where id > 7;", 17);
	assert_number("select count(*) from primary p join primary q on p.id = q.id + 1", 9);
	assert_number("with big as (select id from primary where id > 7) select count(*) from big", 2);
	assert_number("select n from (select count(*) n, zip from primary group by zip) where zip = 'K1A'", 5);
	assert_number("select r from (select id, rank() over (order by id desc) r from primary) where id = 9", 1);
	assert_number("select count(\"a \"\"b\"\"; drop table x\") from primary", 0);
	assert_number("select 1 -- from primary", 1);
}

static void columns_compare_by_their_type(void **state) {
	(void)state;
	assert_number("select count(*) from primary where id = '3'", 1);
	assert_number("select count(*) from primary where zip = 2134", 0);
	assert_number("select count(*) from primary where zip = '02134'", 5);
	assert_number("select sum(length(zip)) from primary where zip like '0%'", 25);
	assert_number("select count(*) from primary where zip > 5", 5); /* as texts: "K1A" > "5" > "02134" */
}

static void only_what_is_read_is_kept(void **state) {
	(void)state;
	size_t table;
	SqlStatement *statement = NULL;
	_cleanup_(sql_store_freep) SqlStore *store = store_of(&table);
	assert_int_equal(sql_statement_add(store, "select ID from primary where id > 1", &statement), 0);
	assert_int_equal(sql_statement_columns(statement), 1);
	assert_true(sql_statement_reads(statement, table, 0));
	assert_false(sql_statement_reads(statement, table, 1));
	assert_false(sql_statement_reads(statement, table, 2));
	assert_int_equal(sql_store_begin(store), 0);
	static char big[1 << 16];
	memset(big, 'x', sizeof big - 1);
	for (size_t i = 0; i < 1000; i++) {
		struct sql_value row[] = {number(1), text(big), text(big)};
		assert_int_equal(sql_table_row(store, table, give, row, i + 1), 0);
	}
	assert_true(sql_store_bytes(store) > 1000);
	assert_true(sql_store_bytes(store) < 100000);
	assert_int_equal(sql_table_clear(store, table), 0);
	struct answer answer = {0};
	assert_int_equal(sql_statement_run(store, statement, 1 << 20, NULL, take, &answer), 0);
	assert_int_equal(answer.rows, 0);
}

static void rows_are_looked_through_with_their_lines(void **state) {
	(void)state;
	size_t table;
	SqlStatement *statement = NULL;
	static const size_t zip[] = {1};
	struct answer answer = {0};
	_cleanup_(sql_store_freep) SqlStore *store = store_of(&table);
	assert_int_equal(sql_statement_add(store, "select id from primary", &statement), 0);
	sql_table_keep(store, table, 1);
	assert_int_equal(sql_store_begin(store), 0);
	add_rows(store, table, 3);
	assert_int_equal(sql_table_scan(store, table, zip, 1, take, &answer), 0);
	assert_int_equal(answer.rows, 3);
	assert_int_equal(answer.lines, 2 + 4 + 6);
	assert_string_equal(answer.first, "K1A");
}

static void references_are_tables_by_their_alias(void **state) {
	(void)state;
	size_t table, other;
	SqlStatement *statement = NULL;
	struct answer answer = {0};
	_cleanup_(sql_store_freep) SqlStore *store = store_of(&table);
	assert_int_equal(sql_table_add(store, "the \"register", register_columns, 2, &other), 0);
	sql_table_keep(store, other, 0);
	sql_table_keep(store, other, 1);
	assert_int_equal(sql_table_begin(store, other), 0);
	for (size_t i = 0; i < 1000; i++) {
		struct sql_value row[] = {number((double)i), text("Ann")};
		assert_int_equal(sql_table_row(store, other, give, row, i + 1), 0);
	}
	assert_int_equal(sql_statement_add(store,
	                         "select max(r.name) from primary p join \"the \"\"register\" r on p.id = r.id "
	                         "where p.id = 5",
	                         &statement),
	        0);
	assert_int_equal(sql_store_begin(store), 0);
	add_rows(store, table, 10);
	assert_int_equal(sql_statement_run(store, statement, 1 << 20, NULL, take, &answer), 0);
	assert_string_equal(answer.first, "Ann");
}

static void what_is_no_selection_is_refused(void **state) {
	(void)state;
	static const char *const statements[] = {"", ";", "-- nothing", "select", "select * from primary; select 2",
	        "drop table primary", "delete from primary", "update primary set id = 1",
	        "insert into primary values (1, 2, 3)", "create table y (a)",
	        "create temp table y as select * from primary", "attach 'x' as y", "attach ':memory:' as y",
	        "detach main", "pragma table_info(primary)", "pragma user_version = 7", "vacuum",
	        "vacuum into '/tmp/x'", "begin", "commit", "rollback", "savepoint x", "reindex", "analyze",
	        "explain select 1", "explain query plan select * from primary", "select * from sqlite_master",
	        "select * from sqlite_schema", "select * from sqlite_temp_master", "select sql from main.sqlite_master",
	        "select * from pragma_database_list", "select * from pragma_table_info('primary')",
	        "select load_extension('x')", "select randomblob(8)", "select random()", "select sqlite_version()",
	        "select * from primary where id = ?", "select :a", "select $a",
	        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
	        "select rowid from primary", "select _rowid_ from primary where oid = 1", "select height from primary",
	        "select \"height\" from primary", "select * from register", "select * from dbstat",
	        "select id from primary) union select (1", "values (1); drop table primary",
	        "select readfile('/etc/passwd')", "select writefile('x', 'y')", "select edit('x')",
	        "select fts3_tokenizer('x')", "select 1 into x"};
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
		size_t table;
		SqlStatement *statement = NULL;
		_cleanup_(sql_store_freep) SqlStore *store = store_of(&table);
		if (sql_statement_add(store, statements[i], &statement) != -EINVAL)
			fail_msg("%s", statements[i]);
		assert_non_null(strstr(fault_message(), "the SQL statement is invalid"));
	}
}

static void a_table_that_is_not_there_is_named(void **state) {
	(void)state;
	size_t table;
	SqlStatement *statement = NULL;
	_cleanup_(sql_store_freep) SqlStore *store = store_of(&table);
	assert_int_equal(sql_statement_add(store, "select * from register", &statement), -EINVAL);
	assert_non_null(strstr(fault_message(), "the table register is not found"));
}

#define TEN "(values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10))"

static int run_hostile(const char *sql, size_t rows, uint64_t memory) {
	size_t table;
	struct answer answer = {0};
	SqlStatement *statement = NULL;
	_cleanup_(sql_store_freep) SqlStore *store = store_of(&table);
	if (sql_statement_add(store, sql, &statement) < 0)
		fail_msg("%s: %s", sql, fault_message());
	assert_int_equal(sql_store_begin(store), 0);
	add_rows(store, table, rows);
	return sql_statement_run(store, statement, memory, NULL, take, &answer);
}

static void a_statement_without_end_ends(void **state) {
	(void)state;
	assert_int_equal(run_hostile("select count(*) from primary a, primary b, primary c, primary d", 1000, 1 << 20),
	        -EOVERFLOW);
	assert_non_null(strstr(fault_message(), "too many steps"));
}

static void a_statement_that_takes_all_memory_ends(void **state) {
	(void)state;
	static const char *const statements[] = {
	        "select count(*) from (select a.id, b.id, a.zip || b.zip x from primary a, primary b order by x)",
	        "select length(group_concat(hex(hex(hex(a.zip || b.zip || c.zip))))) from primary a, primary b, "
	        "primary c",
	        "select count(*) from (select distinct a.id || '/' || b.id from primary a, primary b)"};
	for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
		if (run_hostile(statements[i], 3000, 8 << 20) != -EOVERFLOW ||
		        !strstr(fault_message(), "too much memory"))
			fail_msg("%s: %s", statements[i], fault_message());
}

static void a_million_rows_join_in_their_steps(void **state) {
	(void)state;
	size_t table;
	struct answer answer = {0};
	SqlStatement *statement = NULL;
	_cleanup_(sql_store_freep) SqlStore *store = store_of(&table);
	assert_int_equal(
	        sql_statement_add(store, "select count(*) from primary p join primary q on p.id = q.id", &statement),
	        0);
	assert_int_equal(sql_store_begin(store), 0);
	add_rows(store, table, 1000000);
	assert_true(sql_store_bytes(store) < 20000000);
	assert_int_equal(sql_statement_run(store, statement, 64 << 20, NULL, take, &answer), 0);
	assert_true(answer.number == 1000000);
}

static void names_that_make_no_table_are_told(void **state) {
	(void)state;
	static const struct sql_column twice[] = {{.name = NAME("a")}, {.name = NAME("A")}};
	static const struct sql_column taken[] = {
	        {.name = NAME("rowid")}, {.name = NAME("OID")}, {.name = NAME("_rowid_")}};
	size_t table;
	_cleanup_(sql_store_freep) SqlStore *store = NULL;
	assert_int_equal(sql_store_new(&store), 0);
	assert_int_equal(sql_table_add(store, "primary", twice, 2, &table), -EINVAL);
	assert_non_null(strstr(fault_message(), "duplicate column name: A"));
	assert_int_equal(sql_table_add(store, "primary", taken, 3, &table), -EINVAL);
}

static void a_column_called_rowid_is_a_column(void **state) {
	(void)state;
	static const struct sql_column taken[] = {
	        {.name = NAME("rowid"), .type = SQL_TYPE_NUMBER}, {.name = NAME("oid")}};
	size_t table;
	struct answer answer = {0};
	SqlStatement *statement = NULL;
	struct sql_value row[] = {number(77), text("x")};
	_cleanup_(sql_store_freep) SqlStore *store = NULL;
	assert_int_equal(sql_store_new(&store), 0);
	assert_int_equal(sql_table_add(store, "primary", taken, 2, &table), 0);
	assert_int_equal(sql_statement_add(store, "select rowid from primary where oid = 'x'", &statement), 0);
	assert_int_equal(sql_store_begin(store), 0);
	assert_int_equal(sql_table_row(store, table, give, row, 5), 0);
	assert_int_equal(sql_statement_run(store, statement, 1 << 20, NULL, take, &answer), 0);
	assert_true(answer.number == 77);
}

int main(void) {
	sql_warm_up();
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(statements_see_all_rows),
	        cmocka_unit_test(columns_compare_by_their_type),
	        cmocka_unit_test(only_what_is_read_is_kept),
	        cmocka_unit_test(rows_are_looked_through_with_their_lines),
	        cmocka_unit_test(references_are_tables_by_their_alias),
	        cmocka_unit_test(what_is_no_selection_is_refused),
	        cmocka_unit_test(a_table_that_is_not_there_is_named),
	        cmocka_unit_test(a_statement_without_end_ends),
	        cmocka_unit_test(a_statement_that_takes_all_memory_ends),
	        cmocka_unit_test(a_million_rows_join_in_their_steps),
	        cmocka_unit_test(names_that_make_no_table_are_told),
	        cmocka_unit_test(a_column_called_rowid_is_a_column),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
