#include "policy/sql/sql_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_quoted(const char *sql, const char *expected) {
	_cleanup_(freep) char *text = sql_text_quote_primary(sql);
	assert_string_equal(text, expected);
}

static void the_table_is_put_into_quotes(void **state) {
	(void)state;
	assert_quoted("select * from primary", "select * from \"primary\"");
	assert_quoted("select primary.id from Primary join r on r.id = PRIMARY.id",
	        "select \"primary\".id from \"primary\" join r on r.id = \"primary\".id");
	assert_quoted("select 1 from r,primary", "select 1 from r,\"primary\"");
	assert_quoted("select 1 from (primary)", "select 1 from (\"primary\")");
	assert_quoted("from/**/primary--", "from/**/\"primary\"--");
	assert_quoted("primary", "\"primary\"");
	assert_quoted("", "");
}

static void what_only_looks_like_the_table_stays(void **state) {
	(void)state;
	static const char *const texts[] = {"select 'from primary'", "select 'it''s primary' ", "\"primary\"",
	        "`primary`", "[primary]", "\"a\"\"primary\"", "-- from primary", "/* from primary */", "/* * primary",
	        "'primary", "primary_key", "my$primary", "primaryé", "éprimary", "1primary", ":primary", "@primary",
	        "$primary", "x.primaries"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_quoted(texts[i], texts[i]);
	assert_quoted("'a' primary 'b'", "'a' \"primary\" 'b'");
	assert_quoted("-- a\nprimary", "-- a\n\"primary\"");
	assert_quoted("a/b*primary", "a/b*\"primary\"");
	assert_quoted("'a\\' primary 'b'", "'a\\' \"primary\" 'b'"); /* a backslash means nothing */
}

static void names_are_found_bare_and_in_quotes(void **state) {
	(void)state;
	assert_true(sql_text_names("select 1 from register r", "register"));
	assert_true(sql_text_names("select 1 from REGISTER", "register"));
	assert_true(sql_text_names("select 1 from `the \"reg` x", "the \"reg"));
	assert_true(sql_text_names("select 1 from \"the \"\"reg\"", "the \"reg"));
	assert_true(sql_text_names("select 1 from [reg]", "reg"));
	assert_false(sql_text_names("select 'register' -- register", "register"));
	assert_false(sql_text_names("select 1 from registers, \"registe\", \"registers\", \"", "register"));
	assert_false(sql_text_names("", "register"));
}

static void every_byte_is_in_one_word(void **state) {
	(void)state;
	static const char sql[] = "sélect a.b,'c''d' -- e\n/*f*/ \"g\" [h] `i` 1.5e3 ?1 \x01 /* open";
	const char *rest = sql;
	struct sql_token token;
	size_t size = 0;
	while (sql_token_next(&rest, &token)) {
		assert_ptr_equal(token.text, sql + size);
		assert_true(token.size > 0);
		size += token.size;
	}
	assert_int_equal(size, strlen(sql));
}

static void sums_of_parts_are_known_by_their_form(void **state) {
	(void)state;
	static const char *const sums[] = {"select count(*) from primary", "SELECT COUNT (*) AS n FROM primary;",
	        "select sum(a * (b + 1)) total from \"primary\" p where p.a in (1, 2) and b like '%select%' -- x",
	        "select total(a) from primary as p where a between 1 and 3", "select count(a) from `primary`"};
	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
		if (sql_text_shape(sums[i]) != SQL_SHAPE_SUM)
			fail_msg("%s", sums[i]);
}

static void selections_of_rows_are_known_by_their_form(void **state) {
	(void)state;
	static const char *const rows[] = {"select * from primary",
	        "select id, p.`my name`, p.* from primary p where id > 3",
	        "select id from primary where name is not null;", "select id from primary where name in ('a', 'b')"};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (sql_text_shape(rows[i]) != SQL_SHAPE_ROWS)
			fail_msg("%s", rows[i]);
}

/* Taken for one that can be asked in parts, each of these would give another answer. */
static void what_looks_at_other_rows_is_neither(void **state) {
	(void)state;
	static const char *const others[] = {"", "select", "select 1", "select count(*)",
	        "with p as (select 1) select 1", "select count(distinct a) from primary",
	        "select count(*) + 1 from primary", "select avg(a) from primary", "select max(a) from primary",
	        "select count(*), sum(a) from primary", "select count(*) from primary, r",
	        "select count(*) from primary join r", "select count(*) from primary natural join r",
	        "select count(*) from primary cross join r", "select count(*) from primary group by a",
	        "select count(*) from primary limit 0", "select count(*) from primary where a in r",
	        "select count(*) from primary where a in (select a from r)", "select count(*) from r",
	        "select count(*) from primary where exists (select 1 from r)", "select count(*) over () from primary",
	        "select count(*) filter (where a > 1) from primary", "select sum(a) over (order by b) from primary",
	        "select count(*) from primary union all select 1", "select count(*) from primary p, primary q",
	        "select count(*) from primary where a) union select (1", "select count(*) from (select * from primary)",
	        "select count(*) from main.primary", "select id from primary order by id limit 1",
	        "select distinct id from primary", "select id a from primary", "select id as name from primary",
	        "select upper(id) from primary", "select id, from primary", "select id from primary p q",
	        "select id from primary where rank() over (order by a) = 1", "select id from primary where a in r",
	        "select id from primary having count(*) > 1", "select id from primary except select 1",
	        "select id from primary; select 2", "explain select id from primary", "select all id from primary",
	        "select id from primary tablesample (10 rows)"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (sql_text_shape(others[i]) != SQL_SHAPE_ANY)
			fail_msg("%s", others[i]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_table_is_put_into_quotes),
	        cmocka_unit_test(what_only_looks_like_the_table_stays),
	        cmocka_unit_test(names_are_found_bare_and_in_quotes),
	        cmocka_unit_test(every_byte_is_in_one_word),
	        cmocka_unit_test(sums_of_parts_are_known_by_their_form),
	        cmocka_unit_test(selections_of_rows_are_known_by_their_form),
	        cmocka_unit_test(what_looks_at_other_rows_is_neither),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
