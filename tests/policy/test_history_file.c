#include "policy/history_file.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int take(HistoryFile *history, const char *line) {
	return history_file_line(history, bytes_of_string(line));
}

static void the_newest_values_of_what_is_asked_for_are_kept(void **state) {
	(void)state;
	struct check_job job = {0};
	_cleanup_(history_file_freep) HistoryFile *history = NULL;
	struct bytes rules = bytes_of_string("Rules = [ RowCount > avg(last(3)), Mean \"a\" > last() ]");
	assert_int_equal(history_file_new(rules, &history), 0);
	for (int i = 1; i <= 5; i++) {
		char line[100];
		snprintf(line, sizeof line, "{\"name\":\"Dataset.*.RowCount\",\"value\":%d}", i);
		assert_int_equal(take(history, line), 0);
		assert_int_equal(take(history, "{ \"value\": 7.5, \"name\": \"Column.b.Mean\" }"), 0);
		assert_int_equal(take(history, ""), 0);
	}
	assert_int_equal(history_file_give(history, &job), 0);
	assert_true(job.knows_history);
	assert_int_equal(job.history_count, 2);
	assert_string_equal(job.history[0].name, "Dataset.*.RowCount");
	assert_int_equal(job.history[0].count, 3);
	assert_true(job.history[0].values[0] == 5 && job.history[0].values[1] == 4 && job.history[0].values[2] == 3);
	assert_string_equal(job.history[1].name, "Column.a.Mean");
	assert_int_equal(job.history[1].count, 0);
}

static void a_line_that_is_none_is_named(void **state) {
	(void)state;
	static const char *const lines[] = {"x", "{}", "[]", "{\"name\":\"a\"}", "{\"name\":1,\"value\":1}",
	        "{\"name\":\"a\",\"value\":\"1\"}", "{\"name\":\"a\",\"value\":1,\"more\":1}",
	        "{\"name\":\"a\",\"value\":1} x", "{\"name\":\"a\",\"name\":\"b\",\"value\":1}",
	        "{\"name\":\"a\",\"value\":1e999}", "{\"name\":\"a\",\"value\":NaN}"};
	_cleanup_(history_file_freep) HistoryFile *history = NULL;
	assert_int_equal(history_file_new(bytes_of_string("Rules = [ RowCount > last() ]"), &history), 0);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		char words[40];
		snprintf(words, sizeof words, "line %zu of the history", i + 1);
		if (take(history, lines[i]) != -EBADMSG)
			fail_msg("%s is taken", lines[i]);
		assert_non_null(strstr(fault_message(), words));
	}
	static char longest[HISTORY_LINE_MAX + 2];
	memset(longest, ' ', HISTORY_LINE_MAX + 1);
	assert_int_equal(take(history, longest), -EBADMSG);
}

static void rules_that_are_none_ask_for_nothing(void **state) {
	(void)state;
	struct check_job job = {0};
	_cleanup_(history_file_freep) HistoryFile *history = NULL;
	assert_int_equal(history_file_new(bytes_of_string("Rules = ["), &history), 0);
	assert_int_equal(take(history, "{\"name\":\"Dataset.*.RowCount\",\"value\":1}"), 0);
	assert_int_equal(history_file_give(history, &job), 0);
	assert_int_equal(job.history_count, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_newest_values_of_what_is_asked_for_are_kept),
	        cmocka_unit_test(a_line_that_is_none_is_named),
	        cmocka_unit_test(rules_that_are_none_ask_for_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
