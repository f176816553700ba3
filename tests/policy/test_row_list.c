#include "policy/row_list.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const size_t broken[] = {0, 3, 200};
static const struct csv_dialect by_semicolons = {
        .delimiter = ';', .quote = '\'', .newline = CSV_NEWLINE_CRLF, .header = true, .bom = true};

static int note_rule(void *arg, size_t rule) {
	size_t **to = arg;
	*(*to)++ = rule;
	return 0;
}

/* Rows at 10 (20 bytes, line 2, three rules), 30 (5 bytes, line 3, none) and 1000 (1 byte, line 70, one). */
static RowList *three_rows(void) {
	RowList *list = NULL;
	assert_int_equal(row_list_new(8, &by_semicolons, &list), 0);
	assert_int_equal(row_list_add(list, 10, 20, 2, broken, 3), 0);
	assert_int_equal(row_list_add(list, 30, 5, 3, NULL, 0), 0);
	assert_int_equal(row_list_add(list, 1000, 1, 70, broken + 1, 1), 0);
	return list;
}

static void expect_three_rows(const RowList *list) {
	struct row_cursor cursor = {0};
	struct listed_row row;
	size_t rules[8], *to = rules;
	assert_int_equal(row_list_header(list), 8);
	assert_memory_equal(row_list_dialect(list), &by_semicolons, sizeof by_semicolons);
	assert_int_equal(row_list_count(list), 3);
	assert_int_equal(row_list_broken(list), 2);
	assert_int_equal(row_list_size(list), 26);
	assert_true(row_list_next(list, &cursor, &row));
	assert_true(row.offset == 10 && row.length == 20 && row.line == 2 && row.rule_count == 3);
	assert_int_equal(row_list_rules(list, &row, note_rule, &to), 0);
	assert_int_equal(to - rules, 3);
	assert_memory_equal(rules, broken, sizeof broken);
	assert_true(row_list_next(list, &cursor, &row));
	assert_true(row.offset == 30 && row.length == 5 && row.line == 3 && row.rule_count == 0);
	assert_true(row_list_next(list, &cursor, &row));
	assert_true(row.offset == 1000 && row.length == 1 && row.line == 70 && row.rule_count == 1);
	to = rules;
	assert_int_equal(row_list_rules(list, &row, note_rule, &to), 0);
	assert_int_equal(rules[0], 3);
	assert_false(row_list_next(list, &cursor, &row));
	assert_false(row_list_next(list, &cursor, &row));
}

static void rows_are_read_as_they_were_added(void **state) {
	(void)state;
	_cleanup_(row_list_freep) RowList *list = three_rows();
	expect_three_rows(list);
}

static void a_packed_list_comes_back_the_same(void **state) {
	(void)state;
	_cleanup_(row_list_freep) RowList *list = three_rows();
	_cleanup_(row_list_freep) RowList *again = NULL;
	assert_int_equal(row_list_parse(row_list_packed(list), 1001, 201, &again), 0);
	expect_three_rows(again);
	assert_int_equal(row_list_packed(again).size, row_list_packed(list).size);
}

/* In pieces of any size, what is left is the same. */
static void the_rest_is_what_no_row_is(void **state) {
	(void)state;
	_cleanup_(row_list_freep) RowList *list = three_rows();
	uint8_t file[1200], expected[1200], left[1200];
	size_t size = 0;
	for (size_t i = 0; i < sizeof file; i++) {
		file[i] = (uint8_t)(i % 251);
		if ((i < 10 || i >= 35) && i != 1000)
			expected[size++] = file[i];
	}
	static const size_t pieces[] = {1, 3, 7, 25, 1000, 1200};
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct row_rest rest = {.without = list}, all = {0};
		size_t kept = 0;
		for (size_t at = 0; at < sizeof file; at += pieces[i]) {
			size_t got = sizeof file - at < pieces[i] ? sizeof file - at : pieces[i];
			memcpy(left + kept, file + at, got);
			assert_int_equal(row_rest_squeeze(&all, at, left + kept, got), got);
			kept += row_rest_squeeze(&rest, at, left + kept, got);
		}
		assert_int_equal(kept, size);
		assert_memory_equal(left, expected, size);
	}
}

static void a_list_without_rows_has_none(void **state) {
	(void)state;
	_cleanup_(row_list_freep) RowList *list = NULL;
	_cleanup_(row_list_freep) RowList *again = NULL;
	struct row_cursor cursor = {0};
	struct listed_row row;
	assert_int_equal(row_list_new(300, NULL, &list), 0);
	assert_false(row_list_next(list, &cursor, &row));
	assert_int_equal(row_list_parse(row_list_packed(list), 300, 0, &again), 0);
	assert_int_equal(row_list_header(again), 300);
	assert_int_equal(row_list_count(again), 0);
}

static void what_does_not_come_behind_the_last_row_is_not_added(void **state) {
	(void)state;
	_cleanup_(row_list_freep) RowList *list = NULL;
	static const size_t twice[] = {4, 4};
	assert_int_equal(row_list_new(8, &by_semicolons, &list), 0);
	assert_int_equal(row_list_add(list, 7, 2, 1, NULL, 0), -EINVAL); /* the header's */
	assert_int_equal(row_list_add(list, 8, 0, 1, NULL, 0), -EINVAL);
	assert_int_equal(row_list_add(list, 8, UINT64_MAX, 1, NULL, 0), -EINVAL);
	assert_int_equal(row_list_add(list, 8, 4, 1, twice, 2), -EINVAL);
	assert_int_equal(row_list_add(list, 8, 4, 1, NULL, 0), 0);
	assert_int_equal(row_list_add(list, 11, 4, 2, NULL, 0), -EINVAL); /* overlaps */
	assert_int_equal(row_list_add(list, 12, 4, 1, NULL, 0), -EINVAL); /* the same line */
	assert_int_equal(row_list_count(list), 1);
}

static int parse(const void *packed, size_t size, uint64_t file, size_t rules) {
	RowList *list = NULL;
	int rc = row_list_parse(bytes_of(packed, size), file, rules, &list);
	row_list_free(list);
	return rc;
}
#define DIALECT ';', '"', 0, 1
#define PARSE(file, rules, ...) \
	parse((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), file, rules)

static void a_worker_is_not_believed(void **state) {
	(void)state;
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 10, 1, 1, 1), 0);
	assert_int_equal(PARSE(20, 2, 8, DIALECT, 2, 10, 1, 1, 1), 0);         /* to the file's last byte */
	assert_int_equal(PARSE(19, 2, 8, DIALECT, 2, 10, 1, 1, 1), -EBADMSG);  /* and one more */
	assert_int_equal(PARSE(100, 2, 101, DIALECT), -EBADMSG);               /* a header longer than the file */
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 0, 1, 0), -EBADMSG);     /* a row of nothing */
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 10, 0, 0), -EBADMSG);    /* two rows on one line */
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 10, 102, 0), -EBADMSG);  /* more lines than bytes */
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 10, 1, 1, 2), -EBADMSG); /* a rule that there is not */
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 10, 1, 2, 0, 1), -EBADMSG);
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 10, 1, 3, 0, 0, 0), -EBADMSG); /* more rules than there are */
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 10, 1), -EBADMSG);             /* cut off */
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 2, 10, 1, 1), -EBADMSG);
	assert_int_equal(PARSE(100, 2, 8, DIALECT, 0x82, 0, 10, 1, 0), -EBADMSG); /* 2 in more bytes than it needs */
	assert_int_equal(parse("", 0, 100, 2), -EBADMSG);
	assert_int_equal(PARSE(100, 2, 8, ';', '"', 0), -EBADMSG); /* no whole dialect, or none that a table has */
	assert_int_equal(PARSE(100, 2, 8, '\n', '"', 0, 0), -EBADMSG);
	assert_int_equal(PARSE(100, 2, 8, '"', '"', 0, 0), -EBADMSG);
	assert_int_equal(PARSE(100, 2, 8, ';', 'x', 0, 0), -EBADMSG);
	assert_int_equal(PARSE(100, 2, 8, ';', '"', 3, 0), -EBADMSG);
	assert_int_equal(PARSE(100, 2, 8, ';', '"', 0, 4), -EBADMSG);
	assert_int_equal(PARSE(100, 2, 2, ';', '"', 0, 2), -EBADMSG); /* a byte order mark of two bytes */
	/* 2^64, and a gap that wraps around */
	assert_int_equal(PARSE(100, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2), -EBADMSG);
	assert_int_equal(
	        PARSE(100, 2, 8, DIALECT, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 10, 1, 0), -EBADMSG);
	assert_int_equal(
	        PARSE(100, 2, 8, DIALECT, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0), -EBADMSG);
}

static void the_list_has_an_end(void **state) {
	(void)state;
	_cleanup_(row_list_freep) RowList *list = NULL;
	_cleanup_(row_list_freep) RowList *again = NULL;
	uint64_t at = 0;
	assert_int_equal(row_list_new(0, NULL, &list), 0);
	for (; at < ROW_LIST_ROWS_MAX; at++)
		if (row_list_add(list, 2 * at, 1, at + 1, NULL, 0) < 0)
			fail_msg("row %u: %s", (unsigned)at, fault_message());
	assert_int_equal(row_list_add(list, 2 * at, 1, at + 1, NULL, 0), -E2BIG);
	assert_int_equal(row_list_parse(row_list_packed(list), 2 * at, 0, &again), 0);
	assert_int_equal(row_list_count(again), ROW_LIST_ROWS_MAX);
}

static void many_rules_fill_it_too(void **state) {
	(void)state;
	_cleanup_(row_list_freep) RowList *list = NULL;
	static size_t all[4096];
	int rc = 0;
	for (size_t i = 0; i < 4096; i++)
		all[i] = i;
	assert_int_equal(row_list_new(0, NULL, &list), 0);
	for (uint64_t at = 0; rc == 0 && at < ROW_LIST_ROWS_MAX; at++)
		rc = row_list_add(list, at, 1, at + 1, all, 4096);
	assert_int_equal(rc, -E2BIG);
	assert_true(row_list_packed(list).size <= ROW_LIST_BYTES_MAX);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_are_read_as_they_were_added),
	        cmocka_unit_test(a_packed_list_comes_back_the_same),
	        cmocka_unit_test(the_rest_is_what_no_row_is),
	        cmocka_unit_test(a_list_without_rows_has_none),
	        cmocka_unit_test(what_does_not_come_behind_the_last_row_is_not_added),
	        cmocka_unit_test(a_worker_is_not_believed),
	        cmocka_unit_test(the_list_has_an_end),
	        cmocka_unit_test(many_rules_fill_it_too),
	};
	return cmocka_run_group_tests_name("row_list", tests, NULL, NULL);
}
