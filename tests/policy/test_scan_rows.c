#include "policy/privacy/scan_rows.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char text[] = "a\nb\nc\n";
static const struct table_cell cells[] = {{text, 1}, {text + 2, 1}, {text + 4, 1}};

/* What was looked at: the letters, with a stroke behind each call. */
struct looked {
	char letters[4096];
	int answer;
};

static int look(void *context, const struct table_rows *rows) {
	struct looked *looked = context;
	assert_non_null(rows->text);
	for (size_t i = 0; i < rows->count; i++)
		strncat(looked->letters, rows_at(rows, i)->data, 1);
	strcat(looked->letters, "|");
	return looked->answer;
}

static int add(struct scan_rows *rows, size_t from, size_t count, bool is_in_one) {
	static const uint64_t lines[] = {1, 2, 3};
	const struct table_rows more = {.count = count,
	        .columns = 1,
	        .cells = cells + from,
	        .lines = lines + from,
	        .text = is_in_one ? text : NULL,
	        .size = is_in_one ? sizeof text - 1 : 0};
	return scan_rows_add(rows, &more);
}

static void rows_in_one_text_are_looked_at_at_once(void **state) {
	(void)state;
	struct looked looked = {0};
	struct scan_rows rows = {.look = look, .context = &looked};
	assert_int_equal(add(&rows, 0, 2, true), 0);
	assert_string_equal(looked.letters, "ab|");
	assert_int_equal(add(&rows, 2, 1, true), 0);
	assert_int_equal(scan_rows_end(&rows), 0);
	assert_string_equal(looked.letters, "ab|c|");
	scan_rows_release(&rows);
}

static void others_are_brought_together_and_keep_their_order(void **state) {
	(void)state;
	struct looked looked = {0};
	struct scan_rows rows = {.look = look, .context = &looked};
	assert_int_equal(add(&rows, 0, 1, false), 0);
	assert_int_equal(add(&rows, 1, 1, false), 0);
	assert_string_equal(looked.letters, "");
	assert_int_equal(add(&rows, 2, 1, true), 0);
	assert_string_equal(looked.letters, "ab|c|");
	assert_int_equal(add(&rows, 0, 1, false), 0);
	assert_int_equal(scan_rows_end(&rows), 0);
	assert_string_equal(looked.letters, "ab|c|a|");
	assert_int_equal(scan_rows_end(&rows), 0); /* nothing waits */
	assert_string_equal(looked.letters, "ab|c|a|");
	scan_rows_release(&rows);
}

static void a_sample_waits_until_it_is_whole(void **state) {
	(void)state;
	struct looked looked = {0};
	Scanner *scanner = NULL;
	assert_int_equal(scanner_new(&(struct scan_options){.sensitivity = SCAN_LOW}, &scanner), 0);
	assert_int_equal(scanner_columns(scanner, cells, 1), 0);
	struct scan_rows rows = {.scanner = scanner, .sample = 3, .look = look, .context = &looked};
	assert_int_equal(add(&rows, 0, 2, true), 0);
	assert_int_equal(add(&rows, 2, 1, true), 0);
	assert_string_equal(looked.letters, "");
	assert_int_equal(add(&rows, 0, 1, true), 0); /* it was whole before */
	assert_string_equal(looked.letters, "abc|a|");
	struct looked short_one = {0};
	struct scan_rows few = {.scanner = scanner, .sample = 3, .look = look, .context = &short_one};
	assert_int_equal(add(&few, 0, 2, true), 0);
	assert_int_equal(scan_rows_end(&few), 0);
	assert_string_equal(short_one.letters, "ab|");
	scan_rows_release(&rows);
	scan_rows_release(&few);
	scanner_free(scanner);
}

static void what_look_says_ends_it(void **state) {
	(void)state;
	struct looked looked = {.answer = -E2BIG};
	struct scan_rows rows = {.look = look, .context = &looked};
	assert_int_equal(add(&rows, 0, 1, true), -E2BIG);
	assert_int_equal(add(&rows, 0, 1, false), 0);
	assert_int_equal(scan_rows_end(&rows), -E2BIG);
	scan_rows_release(&rows);
}

static int note(void *context, const struct scan_finding *finding) {
	struct looked *looked = context;
	char words[64];
	(void)snprintf(words, sizeof words, "%s %zu %zu-%zu line %zu;", finding->entity, finding->column,
	        finding->start, finding->end, (size_t)finding->line);
	strcat(looked->letters, words);
	return 0;
}

static void names_are_looked_at_as_cells_are(void **state) {
	(void)state;
	static const struct table_cell names[] = {{"id", 2}, {"to bob@example.com", 18}};
	struct looked looked = {0};
	Scanner *scanner = NULL;
	assert_int_equal(scanner_new(&(struct scan_options){.sensitivity = SCAN_LOW}, &scanner), 0);
	assert_int_equal(scanner_columns(scanner, names, 2), 0);
	assert_int_equal(scan_names(scanner, names, 2, 7, note, &looked), 0);
	assert_string_equal(looked.letters, "EMAIL 1 3-18 line 7;");
	scanner_free(scanner);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_in_one_text_are_looked_at_at_once),
	        cmocka_unit_test(others_are_brought_together_and_keep_their_order),
	        cmocka_unit_test(a_sample_waits_until_it_is_whole),
	        cmocka_unit_test(what_look_says_ends_it),
	        cmocka_unit_test(names_are_looked_at_as_cells_are),
	};
	return cmocka_run_group_tests_name("scan_rows", tests, NULL, NULL);
}
