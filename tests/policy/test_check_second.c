/* Which rows of a file that failed are withheld, so that the rest may pass. */
#include "policy/check.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/worker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A file that can be read again, `most` bytes at a time. */
struct source {
	struct bytes file;
	size_t at, most, readings;
};

static ssize_t read_source(void *context, void *buffer, size_t size) {
	struct source *source = context;
	size_t left = source->file.size - source->at;
	size_t count = left < size ? left : size;
	count = count < source->most ? count : source->most;
	if (count > 0)
		memcpy(buffer, source->file.data + source->at, count);
	source->at += count;
	return (ssize_t)count;
}

static int begin_again(void *context) {
	struct source *source = context;
	source->at = 0;
	source->readings++;
	return 0;
}

static struct source source_of(struct bytes file) {
	return (struct source){.file = file, .most = 1000, .readings = 1};
}

static struct check_input input_of(struct source *source) {
	return (struct check_input){.read = read_source, .context = source, .again = begin_again};
}

static struct check_job job_of(const struct source *source, const char *rules) {
	return (struct check_job){.dataset = "d",
	        .file_name = "a.csv",
	        .size = source->file.size,
	        .rules = bytes_of_string(rules),
	        .rules_file = "r.dqdl",
	        .may_split = true};
}

static struct check_result *check_here(const char *text, const char *rules) {
	struct source source = source_of(bytes_of_string(text));
	struct check_job job = job_of(&source, rules);
	struct check_input input = input_of(&source);
	struct check_result *result = NULL;
	uint8_t digest[32], expected[32];
	if (check_run(check_table, &job, &input, digest, &result) < 0)
		fail_msg("%s", fault_message());
	assert_int_equal(result->bytes_read, strlen(text));
	sha256(source.file, expected);
	assert_memory_equal(digest, expected, 32); /* of one reading */
	return result;
}

static int put_rule(void *arg, size_t rule) {
	return fprintf(arg, ",%zu", rule) < 0 ? -EIO : 0;
}

/* "3:1\n|" for the row "1\n" on line 3, and ",0,2" behind it for the rules that it breaks. */
static char *words_of(const RowList *list, const char *text) {
	struct row_cursor cursor = {0};
	struct listed_row row;
	char *words = NULL;
	size_t size;
	FILE *to = open_memstream(&words, &size);
	assert_non_null(to);
	while (row_list_next(list, &cursor, &row)) {
		fprintf(to, "%u:%.*s", (unsigned)row.line, (int)row.length, text + row.offset);
		assert_int_equal(row_list_rules(list, &row, put_rule, to), 0);
		fputc('|', to);
	}
	fclose(to);
	return words;
}

static void expect_withheld(const char *text, const char *rules, const char *expected) {
	_cleanup_(check_result_freep) struct check_result *result = check_here(text, rules);
	assert_int_equal(result->outcome, OUTCOME_FAILED);
	if (!result->withheld)
		fail_msg("%s", result->reason);
	_cleanup_(freep) char *words = words_of(result->withheld, text);
	assert_string_equal(words, expected);
}

static void expect_whole(const char *text, const char *rules, enum outcome outcome, const char *reason) {
	_cleanup_(check_result_freep) struct check_result *result = check_here(text, rules);
	assert_int_equal(result->outcome, outcome);
	assert_null(result->withheld);
	if (reason && !strstr(result->reason, reason))
		fail_msg("'%s' is not in '%s'", reason, result->reason);
}

#define STATES "id;State\n1;Lost\n2;Found\n3;\n2;Lost\n"

static void rows_that_break_a_rule_are_withheld(void **state) {
	(void)state;
	expect_withheld(
	        STATES, "Rules = [ RowCount > 2, ColumnValues \"State\" in [\"Lost\",\"Found\"] ]", "4:3;\n,1|");
}

static void rows_that_were_good_until_a_later_one_came_are_withheld(void **state) {
	(void)state;
	expect_withheld(STATES, "Rules = [ IsUnique \"id\" ]", "3:2;Found\n,0|5:2;Lost\n,0|");
}

static void what_an_empty_cell_means_is_known_at_the_end(void **state) {
	(void)state;
	/* a column of numbers, as its last cell shows: the empty cell before is NULL */
	expect_withheld("a;b\n1;x\n;y\n3;z\n", "Rules = [ IsComplete \"a\" ]", "3:;y\n,0|");
	expect_whole("a;b\nk;x\n;y\n3;z\n", "Rules = [ IsComplete \"a\" ]", OUTCOME_PASSED, NULL);
}

static void a_row_is_listed_with_all_rules_that_it_breaks(void **state) {
	(void)state;
	expect_withheld("a;b\n1;\n-2;\n3;x\n",
	        "Rules = [ ColumnValues \"a\" > 0, RowCount > 0, ColumnValues \"b\" != EMPTY ]",
	        "2:1;\n,2|3:-2;\n,0,2|");
}

static void a_row_within_a_threshold_is_withheld_with_the_others(void **state) {
	(void)state;
	static const char rules[] =
	        "Rules = [ ColumnValues \"a\" > 0 with threshold > 0.5, ColumnValues \"b\" != EMPTY ]";
	expect_whole("a;b\n1;y\n-2;y\n3;x\n", rules, OUTCOME_PASSED, NULL);
	expect_withheld("a;b\n1;y\n-2;y\n3;\n", rules, "3:-2;y\n,0|4:3;\n,1|");
}

static void ranges_are_those_of_the_file_whatever_its_dialect(void **state) {
	(void)state;
	static const char rules[] = "Rules = [ ColumnValues \"b\" != \"bad\" ]";
	expect_withheld("\xef\xbb\xbf"
	                "a,b\r\n\r\n1,bad\r\n2,\"go\"\"od\nand more\"\r\n3,\"bad\"\r\n4,bad",
	        rules, "3:1,bad\r\n,0|6:3,\"bad\"\r\n,0|7:4,bad,0|");
	expect_withheld("a\tb\r1\tgood\r2\tbad\r", rules, "3:2\tbad\r,0|");
}

static void a_table_without_names_begins_with_a_row(void **state) {
	(void)state;
	static const char text[] = "1;bad\n2;good\n3;bad\n";
	struct source source = source_of(bytes_of_string(text));
	struct check_job job = job_of(&source, "Rules = [ ColumnValues \"col1\" != \"bad\" ]");
	job.format.header = POLICY_HEADER_NO;
	struct check_input input = input_of(&source);
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	assert_int_equal(check_run(check_table, &job, &input, NULL, &result), 0);
	assert_non_null(result->withheld);
	assert_int_equal(row_list_header(result->withheld), 0);
	assert_false(row_list_dialect(result->withheld)->header);
	_cleanup_(freep) char *words = words_of(result->withheld, text);
	assert_string_equal(words, "1:1;bad\n,0|3:3;bad\n,0|");
}

static void a_rule_on_the_whole_never_splits(void **state) {
	(void)state;
	expect_whole(STATES, "Rules = [ RowCount > 5, ColumnValues \"State\" != EMPTY ]", OUTCOME_FAILED,
	        "2 of 2 rules did not pass; refused whole: RowCount > 5 is about the file");
	expect_whole(STATES, "Rules = [ Completeness \"id\" > 1.5, IsUnique \"id\" ]", OUTCOME_FAILED, "Completeness");
}

static void nothing_undecided_is_split(void **state) {
	(void)state;
	expect_whole(STATES, "Rules = [ IsUnique \"id\", ColumnValues \"State\" > NULL ]", OUTCOME_ERROR, NULL);
	expect_whole("a;b\n1;2\n3\n", "Rules = [ IsUnique \"a\" ]", OUTCOME_ERROR, "line 3");
	expect_whole("", "Rules = [ IsUnique \"a\" ]", OUTCOME_FAILED, "empty");
}

static void a_table_of_which_no_row_passed_is_refused_whole(void **state) {
	(void)state;
	expect_whole(STATES, "Rules = [ ColumnValues \"id\" > 7 ]", OUTCOME_FAILED, "refused whole: no row passed");
}

/* What is shown with it is quoted, and means the same there as in a file that doubles its quotes. */
static void a_table_without_quotes_or_with_escapes_is_split_too(void **state) {
	(void)state;
	static const char none[] = "a;b\n1;\"x\n2;bad\n", escaped[] = "a;b\n1;\"x\\\"y;z\"\n2;\"bad\"\n";
	for (int i = 0; i < 2; i++) {
		const char *text = i == 0 ? none : escaped;
		struct source source = source_of(bytes_of_string(text));
		struct check_job job = job_of(&source, "Rules = [ ColumnValues \"b\" != \"bad\" ]");
		job.format.quote = i == 0 ? POLICY_QUOTE_NONE : '"';
		job.format.escape = i == 0 ? POLICY_QUOTE_NONE : '\\';
		struct check_input input = input_of(&source);
		_cleanup_(check_result_freep) struct check_result *result = NULL;
		_cleanup_(row_list_freep) RowList *again = NULL;
		assert_int_equal(check_run(check_table, &job, &input, NULL, &result), 0);
		if (!result->withheld)
			fail_msg("%s", result->reason);
		assert_int_equal(row_list_parse(row_list_packed(result->withheld), source.file.size, 1, &again), 0);
		assert_int_equal(row_list_dialect(again)->delimiter, 0);
		assert_true(row_list_dialect(again)->header);
		_cleanup_(freep) char *words = words_of(again, text);
		assert_string_equal(words, i == 0 ? "3:2;bad\n,0|" : "3:2;\"bad\"\n,0|");
	}
}

static void rows_that_keep_drops_are_left_out_too(void **state) {
	(void)state;
	static const char text[] = "a;b\n1;x\n2;drop\n3;bad\n";
	struct source source = source_of(bytes_of_string(text));
	struct check_job job = job_of(&source, "Rules = [ RowCount = 2, ColumnValues \"b\" = \"x\" ]");
	job.keep = "b <> 'drop'";
	struct check_input input = input_of(&source);
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	assert_int_equal(check_run(check_table, &job, &input, NULL, &result), 0);
	if (!result->withheld)
		fail_msg("%s", result->reason);
	assert_int_equal(row_list_broken(result->withheld), 1);
	_cleanup_(freep) char *words = words_of(result->withheld, text);
	assert_string_equal(words, "3:2;drop\n|4:3;bad\n,1|");
}

/* Its rows are no bytes of the file. */
static void a_table_in_another_encoding_is_refused_whole(void **state) {
	(void)state;
	expect_whole("a;b\n1;caf\xe9\n2;bad\n", "Rules = [ ColumnValues \"b\" != \"bad\" ]", OUTCOME_FAILED,
	        "in another encoding than UTF-8");
}

static void an_input_that_is_read_once_is_not_split(void **state) {
	(void)state;
	struct source source = source_of(bytes_of_string(STATES));
	struct check_job job = job_of(&source, "Rules = [ IsUnique \"id\" ]");
	struct check_input input = {.read = read_source, .context = &source};
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	assert_int_equal(check_run(check_table, &job, &input, NULL, &result), 0);
	assert_int_equal(result->outcome, OUTCOME_FAILED);
	assert_null(result->withheld);
	assert_string_equal(result->reason, "1 of 1 rule did not pass");
}

static void more_rows_than_the_limit_are_refused_whole(void **state) {
	(void)state;
	size_t rows = ROW_LIST_ROWS_MAX + 1;
	_cleanup_(freep) char *text = malloc(4 + 4 * rows + 8);
	assert_non_null(text);
	char *to = stpcpy(text, "a;b\n");
	for (size_t i = 0; i < rows; i++)
		to = stpcpy(to, "x;1\n");
	strcpy(to, "y;1\n");
	expect_whole(text, "Rules = [ ColumnValues \"a\" = \"y\" ]", OUTCOME_FAILED,
	        "refused whole: more than 1000000 rows did not pass");
}

/* ---- in a worker ---- */

static struct check_result *check_by(
        check_function *check, struct source *source, const char *rules, uint64_t size, uint8_t ret_sha256[static 32]) {
	Spawner *spawner = NULL;
	struct spawner_options options = {.check = check};
	assert_int_equal(spawner_start(&options, &spawner), 0);
	struct check_job job = job_of(source, rules);
	job.size = size;
	struct check_request request = {.job = &job, .input = input_of(source)};
	struct check_outcome outcome = {0};
	if (spawner_check(spawner, &request, &outcome) < 0)
		fail_msg("%s", fault_message());
	spawner_stop(spawner);
	assert_int_equal(outcome.size, source->file.size);
	memcpy(ret_sha256, outcome.sha256, 32);
	return outcome.result;
}

static struct check_result *check_there(struct source *source, const char *rules, uint8_t ret_sha256[static 32]) {
	return check_by(check_table, source, rules, source->file.size, ret_sha256);
}

static char *many_rows(size_t rows, size_t bad_each) {
	char *text = malloc(16 + rows * 16);
	assert_non_null(text);
	char *to = stpcpy(text, "a;b\n");
	for (size_t i = 0; i < rows; i++)
		to += sprintf(to, "%07zu;%s\n", i, bad_each && i % bad_each == 3 ? "bad" : "good");
	return text;
}

static void in_a_worker_the_rows_are_the_same(void **state) {
	(void)state;
	_cleanup_(freep) char *text = many_rows(300000, 10);
	static const char rules[] = "Rules = [ IsUnique \"a\", ColumnValues \"b\" != \"bad\" ]";
	struct source source = source_of(bytes_of_string(text));
	source.most = 1 << 20;
	uint8_t digest[32], expected[32];
	_cleanup_(check_result_freep) struct check_result *here = check_here(text, rules);
	_cleanup_(check_result_freep) struct check_result *there = check_there(&source, rules, digest);
	sha256(source.file, expected);
	assert_memory_equal(digest, expected, 32);
	assert_int_equal(source.readings, 2);
	if (!there->withheld)
		fail_msg("%s", there->reason);
	assert_int_equal(row_list_count(there->withheld), 30000);
	struct bytes one = row_list_packed(here->withheld), other = row_list_packed(there->withheld);
	assert_int_equal(one.size, other.size);
	assert_memory_equal(one.data, other.data, one.size);
}

/* What passes is not read again to its end: the worker has gone by then. */
static void a_file_that_passes_is_read_once(void **state) {
	(void)state;
	_cleanup_(freep) char *text = many_rows(1000000, 0);
	struct source source = source_of(bytes_of_string(text));
	source.most = 64 << 10;
	uint8_t digest[32];
	_cleanup_(check_result_freep) struct check_result *result =
	        check_there(&source, "Rules = [ IsUnique \"a\", ColumnValues \"b\" != \"bad\" ]", digest);
	assert_int_equal(result->outcome, OUTCOME_PASSED);
	assert_true(source.readings == 1 || source.at < source.file.size);
}

/* ---- a worker that lies ---- */

static int withhold(struct check_input *input, struct check_result *result, uint64_t offset, uint64_t length) {
	static const size_t first[] = {0};
	char buffer[4096];
	while (input->read(input->context, buffer, sizeof buffer) > 0)
		;
	int rc = row_list_new(0, NULL, &result->withheld);
	if (rc == 0)
		rc = row_list_add(result->withheld, offset, length, 1, first, 1);
	if (rc == 0)
		rc = check_result_add_rule(result, "IsUnique \"id\"", result->outcome) ? 0 : -ENOMEM;
	return rc;
}

static int withholds_what_is_not_there(
        const struct check_job *job, struct check_input *input, struct check_result *result) {
	(void)check_result_say(result, OUTCOME_FAILED, "it fails");
	return withhold(input, result, job->size, 1);
}

static int withholds_of_what_passed(
        const struct check_job *job, struct check_input *input, struct check_result *result) {
	(void)job;
	result->outcome = OUTCOME_PASSED;
	return withhold(input, result, 0, 1);
}

static void a_worker_that_withholds_what_it_may_not_is_not_believed(void **state) {
	(void)state;
	check_function *const liars[] = {withholds_what_is_not_there, withholds_of_what_passed};
	for (size_t i = 0; i < 2; i++) {
		struct source source = source_of(bytes_of_string(STATES));
		uint8_t digest[32];
		_cleanup_(check_result_freep) struct check_result *result =
		        check_by(liars[i], &source, "Rules = [ ]", source.file.size, digest);
		assert_int_equal(result->outcome, OUTCOME_ERROR);
		assert_null(result->withheld);
		if (!strstr(result->reason, "can't be believed"))
			fail_msg("%s", result->reason);
	}
}

static void a_file_that_is_not_as_long_as_was_said_is_not_judged(void **state) {
	(void)state;
	for (int more = -5; more <= 5; more += 10) {
		struct source source = source_of(bytes_of_string(STATES));
		uint8_t digest[32];
		_cleanup_(check_result_freep) struct check_result *result = check_by(check_table, &source,
		        "Rules = [ IsUnique \"id\" ]", source.file.size + (uint64_t)(int64_t)more, digest);
		assert_int_equal(result->outcome, OUTCOME_ERROR);
		assert_null(result->withheld);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_that_break_a_rule_are_withheld),
	        cmocka_unit_test(rows_that_were_good_until_a_later_one_came_are_withheld),
	        cmocka_unit_test(what_an_empty_cell_means_is_known_at_the_end),
	        cmocka_unit_test(a_row_is_listed_with_all_rules_that_it_breaks),
	        cmocka_unit_test(a_row_within_a_threshold_is_withheld_with_the_others),
	        cmocka_unit_test(ranges_are_those_of_the_file_whatever_its_dialect),
	        cmocka_unit_test(a_table_without_names_begins_with_a_row),
	        cmocka_unit_test(a_rule_on_the_whole_never_splits),
	        cmocka_unit_test(nothing_undecided_is_split),
	        cmocka_unit_test(a_table_of_which_no_row_passed_is_refused_whole),
	        cmocka_unit_test(a_table_without_quotes_or_with_escapes_is_split_too),
	        cmocka_unit_test(rows_that_keep_drops_are_left_out_too),
	        cmocka_unit_test(a_table_in_another_encoding_is_refused_whole),
	        cmocka_unit_test(an_input_that_is_read_once_is_not_split),
	        cmocka_unit_test(more_rows_than_the_limit_are_refused_whole),
	        cmocka_unit_test(in_a_worker_the_rows_are_the_same),
	        cmocka_unit_test(a_file_that_passes_is_read_once),
	        cmocka_unit_test(a_worker_that_withholds_what_it_may_not_is_not_believed),
	        cmocka_unit_test(a_file_that_is_not_as_long_as_was_said_is_not_judged),
	};
	return cmocka_run_group_tests_name("check_second", tests, NULL, NULL);
}
