#include "policy/sql/sql.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WHERE "the where clause is invalid"
#define CELL(text) ((struct table_cell){.data = (text), .size = strlen(text)})

#define COLUMN(text, kind) \
	{ .name = {.data = (text), .size = sizeof(text) - 1}, .type = (kind) }

static const struct sql_column columns[] = {
        COLUMN("age", SQL_TYPE_ANY), COLUMN("my \"name", SQL_TYPE_ANY), COLUMN("none", SQL_TYPE_ANY)};
static const struct sql_value row[] = {{.kind = SQL_NUMBER, .number = 34.5, .cell = {.data = "34.5", .size = 4}},
        {.kind = SQL_TEXT, .cell = {.data = "007", .size = 3}}, {.kind = SQL_NULL}};

static void give(void *arg, size_t column, struct sql_value *ret_value) {
	const struct sql_value *values = arg;
	*ret_value = values[column];
}

static SqlFilter *filter_of(const char *condition) {
	SqlFilter *filter = NULL;
	if (sql_filter_new(WHERE, condition, columns, 3, &filter) < 0)
		fail_msg("%s: %s", condition, fault_message());
	return filter;
}

static bool holds(const char *condition) {
	_cleanup_(sql_filter_freep) SqlFilter *filter = filter_of(condition);
	struct sql_value values[3];
	bool is_true = false;
	memcpy(values, row, sizeof values);
	for (int i = 0; i < 2; i++) /* once more: nothing is left of the first */
		assert_int_equal(sql_filter_test(filter, give, values, &is_true), 0);
	return is_true;
}

static void conditions_are_those_of_sql(void **state) {
	(void)state;
	assert_true(holds("age > 21"));
	assert_false(holds("age > 35"));
	assert_true(holds("age = '34.5'"));
	assert_true(holds("age between 30 and 40 and \"my \"\"name\" like '00%'"));
	assert_true(holds("`my \"name` = '007' -- a comment"));
	assert_true(holds("none is null"));
	assert_true(holds("'Ann' like 'A%'"));
	assert_false(holds("'Ann' like 'a%'"));
	assert_false(holds("none > 1"));
	assert_false(holds("not (none > 1)"));
	assert_true(holds("coalesce(none, 5) = 5 and length(`my \"name`) = 3"));
	assert_true(holds("age in (1, 34.5)"));
	assert_true(holds("case when age > 3 then 1 else 0 end"));
}

static void what_is_no_condition_is_refused_with_words(void **state) {
	(void)state;
	static const char *const conditions[] = {"", "age >", "height > 3", "1) from \"row\"; drop table x; select (1",
	        "age > 1); select (2", "1, 2", "attach 'x' as y", "load_extension('x')", "randomblob(9) = 1",
	        "exists (select * from sqlite_master)", "age = ?", "invalid%%clause", "\"height\" = 'x'",
	        "exists (select * from pragma_database_list)", "zeroblob(1000000000) is null"};
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		SqlFilter *filter = NULL;
		if (sql_filter_new(WHERE, conditions[i], columns, 3, &filter) != -EINVAL)
			fail_msg("%s", conditions[i]);
		assert_non_null(strstr(fault_message(), "where clause is invalid"));
	}
}

#define TEN "(values (1), (2), (3), (4), (5), (6), (7), (8), (9), (10))"

static void a_condition_without_end_ends(void **state) {
	(void)state;
	SqlFilter *filter = NULL;
	struct sql_value values[3];
	bool is_true = true;
	memcpy(values, row, sizeof values);
	assert_int_equal(sql_filter_new(WHERE,
	                         "(with recursive n(i) as (select 1 union all select i + 1 from n)"
	                         " select count(*) from n) > 0",
	                         columns, 3, &filter),
	        -EINVAL);
	filter = filter_of("(select sum(a.column1 * b.column1) from " TEN " a, " TEN " b, " TEN " c, " TEN " d, " TEN
	                   " e, " TEN " f, " TEN " g, " TEN " h) > 0");
	assert_int_equal(sql_filter_test(filter, give, values, &is_true), -EOVERFLOW);
	assert_false(is_true);
	assert_non_null(strstr(fault_message(), "too many steps"));
	sql_filter_free(filter);
}

/* One function may take as long as a million steps. */
static void time_inside_functions_counts_as_steps(void **state) {
	(void)state;
	struct sql_value values[3];
	bool is_true = true;
	memcpy(values, row, sizeof values);
	SqlFilter *filter = filter_of("(select count(*) from " TEN " a, " TEN " b, " TEN " c, " TEN
	                              " d where length(printf('%.*c', 3000000 + d.column1, 'x')) > a.column1) > 0");
	assert_int_equal(sql_filter_test(filter, give, values, &is_true), -EOVERFLOW);
	assert_non_null(strstr(fault_message(), "too many steps"));
	sql_filter_free(filter);
}

static void many_and_strange_names_are_taken(void **state) {
	(void)state;
	static struct sql_column many[1500];
	static char text[1500][8];
	for (size_t i = 0; i < 1500; i++) {
		snprintf(text[i], sizeof text[i], "c%zu", i);
		many[i].name = CELL(text[i]);
	}
	SqlFilter *filter = NULL;
	assert_int_equal(sql_filter_new(WHERE, "c1499 = 1", many, 1500, &filter), 0);
	sql_filter_free(filter);
	many[7] = many[6]; /* twice the same */
	assert_int_equal(sql_filter_new(WHERE, "c1499 = 1", many, 10, &filter), -EINVAL);
}

int main(void) {
	sql_warm_up();
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(conditions_are_those_of_sql),
	        cmocka_unit_test(what_is_no_condition_is_refused_with_words),
	        cmocka_unit_test(a_condition_without_end_ends),
	        cmocka_unit_test(time_inside_functions_counts_as_steps),
	        cmocka_unit_test(many_and_strange_names_are_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
