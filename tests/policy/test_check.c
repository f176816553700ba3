#include "policy/check.h"

#include "policy/check_json.h"

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

#include "tests/policy/packed.h"
#include "tests/policy/pieces.h"

static struct check_result *check_bytes(struct bytes file, const char *name, const char *rules) {
	struct pieces source = pieces_of(file, 1000);
	struct check_job job = {.dataset = "d",
	        .file_name = name,
	        .size = file.size,
	        .rules = bytes_of_string(rules),
	        .rules_file = "r.dqdl"};
	struct check_input input = {.read = pieces_read, .context = &source};
	struct check_result *result = NULL;
	uint8_t digest[32], expected[32];
	if (check_run(check_table, &job, &input, digest, &result) < 0)
		fail_msg("%s", fault_message());
	assert_int_equal(result->bytes_read, file.size);
	sha256(file, expected);
	assert_memory_equal(digest, expected, 32);
	return result;
}

static struct check_result *check_text(const char *text, const char *rules) {
	return check_bytes(bytes_of_string(text), "a.csv", rules);
}

/* Held against one reference, whose text goes by the alias "ref". */
static struct check_result *check_with(const char *text, const char *reference, const char *rules) {
	struct pieces source = pieces_of(bytes_of_string(text), 1000);
	struct pieces other = pieces_of(bytes_of_string(reference), 1000);
	struct check_reference references[] = {{.alias = "ref",
	        .file_name = "r.csv",
	        .size = strlen(reference),
	        .input = {.read = pieces_read, .context = &other}}};
	struct check_job job = {.dataset = "d",
	        .file_name = "a.csv",
	        .size = strlen(text),
	        .rules = bytes_of_string(rules),
	        .references = references,
	        .reference_count = 1};
	struct check_input input = {.read = pieces_read, .context = &source};
	struct check_result *result = NULL;
	if (check_run(check_table, &job, &input, NULL, &result) < 0)
		fail_msg("%s", fault_message());
	return result;
}

static void expect(struct check_result *result, enum outcome outcome, const char *reason) {
	if (result->outcome != outcome)
		fail_msg("%s: %s", outcome_word(result->outcome), result->reason);
	if (reason && !strstr(result->reason, reason))
		fail_msg("'%s' is not in '%s'", reason, result->reason);
	check_result_free(result);
}

static const char table[] = "id;State\n1;Lost\n2;Found\n3;Lost\n";

static void a_file_that_keeps_the_rules_passes(void **state) {
	(void)state;
	struct check_result *result = check_text(table, "Rules = [ RowCount = 3, IsUnique \"id\", ColumnCount = 2 ]");
	assert_int_equal(result->rows, 3);
	assert_int_equal(result->columns, 2);
	assert_int_equal(result->rule_count, 3);
	assert_string_equal(result->rules[0].text, "RowCount = 3");
	assert_string_equal(result->rules[0].metrics[0].name, "Dataset.*.RowCount");
	assert_non_null(strstr(result->dialect, "';'"));
	expect(result, OUTCOME_PASSED, NULL);
}

static void a_file_is_held_against_a_reference(void **state) {
	(void)state;
	static const char rules[] =
	        "Rules = [ ReferentialIntegrity \"State\" \"ref.name\" = 1.0, RowCountMatch \"ref\" = 1.5 ]";
	expect(check_with(table, "name,code\nLost,L\nFound,F\n", rules), OUTCOME_PASSED, NULL);
	expect(check_with(table, "name,code\nLost,L\nGone,G\n", rules), OUTCOME_FAILED, "1 of 2 rules did not pass");
}

static void a_reference_that_is_no_table_leaves_the_file_undecided(void **state) {
	(void)state;
	static const char rules[] = "Rules = [ RowCountMatch \"ref\" > 0 ]";
	expect(check_with(table, "a,b\n1,2,3\n", rules), OUTCOME_ERROR,
	        "the reference \"ref\" can't be read as a table: line 2");
	expect(check_with(table, "", rules), OUTCOME_ERROR, "the reference \"ref\" can't be read as a table");
	expect(check_with(table, "PAR1 and so on", rules), OUTCOME_ERROR, "Parquet");
	/* nobody asks for it */
	expect(check_with(table, "a,b\n1,2,3\n", "Rules = [ RowCount > 0 ]"), OUTCOME_PASSED, NULL);
}

static void a_job_crosses_to_a_worker_with_its_references(void **state) {
	(void)state;
	struct check_reference references[] = {{.alias = "one", .file_name = "1.csv", .size = 7},
	        {.alias = "two",
	                .file_name = "2.csv",
	                .size = 0,
	                .format = {.delimiter = '|', .header = POLICY_HEADER_NO}}};
	struct check_job job = {
	        .rules = bytes_of_string("r"), .size = 5, .references = references, .reference_count = 2};
	struct check_job back;
	_cleanup_(check_job_freep) CheckJobMemory *memory = NULL;
	char *json = NULL;
	size_t size;
	assert_int_equal(check_job_to_json(&job, &json, &size), 0);
	assert_int_equal(check_job_from_json(bytes_of(json, size), &back, &memory), 0);
	assert_int_equal(back.reference_count, 2);
	assert_int_equal(check_job_bytes(&back), 12);
	assert_string_equal(back.references[0].alias, "one");
	assert_string_equal(back.references[1].file_name, "2.csv");
	assert_int_equal(back.references[1].format.delimiter, '|');
	assert_int_equal(back.references[1].format.header, POLICY_HEADER_NO);
	free(json);
}

static void a_broken_rule_is_told_with_its_number_and_lines(void **state) {
	(void)state;
	struct check_result *result =
	        check_text(table, "Rules = [ RowCount > 2, ColumnValues \"State\" in [\"Found\"] ]");
	assert_int_equal(result->rules[0].outcome, OUTCOME_PASSED);
	assert_int_equal(result->rules[1].outcome, OUTCOME_FAILED);
	assert_true(result->rules[1].has_failing_rows);
	assert_int_equal(result->rules[1].failing_rows, 2);
	assert_int_equal(result->rules[1].failing_lines[0], 2);
	assert_int_equal(result->rules[1].failing_lines[1], 4);
	expect(result, OUTCOME_FAILED, "1 of 2 rules did not pass");
}

#define OVERFLOWS "CustomSql \"select abs(-9223372036854775807 - 1)\" = 1"

static void what_is_not_decided_is_an_error_and_no_failure(void **state) {
	(void)state;
	expect(check_text(table, "Rules = [ RowCount > 2, " OVERFLOWS " ]"), OUTCOME_ERROR, "integer overflow");
	expect(check_text(table, "Rules = [ RowCount > 5, " OVERFLOWS " ]"), OUTCOME_ERROR, "rule 2");
	expect(check_text(table, "Rules = [ RowCount >> 2 ]"), OUTCOME_ERROR, "r.dqdl:1:");
	expect(check_text(table, ""), OUTCOME_ERROR, "r.dqdl:");
	expect(check_text(table, "Rules = [ ]"), OUTCOME_ERROR, "r.dqdl");
	expect(check_text("a;b\n1;2\n3\n", "Rules = [ RowCount > 0 ]"), OUTCOME_ERROR, "line 3");
}

/* Types are told by the first 64 KiB; the second row's cell lies in them, the last one behind. */
static void sql_knows_what_a_column_holds_from_the_first_rows(void **state) {
	(void)state;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fputs("zip;age\n02134;5\nK1A;6\n", out);
	for (int i = 0; i < 20000; i++)
		fputs("90210;7\n", out);
	fputs("90210;n/a\n", out);
	fclose(out);
	struct check_result *result = check_text(text,
	        "Rules = [ RowCount = 1 where \"zip = '02134'\", CustomSql \"select count(*) from primary where age > "
	        "4\""
	        " = 20002, CustomSql \"select zip from primary where length(zip) = 5\" with threshold > 0.9 ]");
	assert_int_equal(result->warning_count, 1);
	assert_non_null(strstr(result->warnings[0], "column \"age\" holds numbers"));
	assert_non_null(
	        strstr(result->warnings[0], "1 later cell is no number and NULL in SQL, the first on line 20004"));
	expect(result, OUTCOME_PASSED, NULL);
	free(text);
}

static void an_empty_file_fails_as_empty(void **state) {
	(void)state;
	expect(check_text("", "Rules = [ RowCount >= 0 ]"), OUTCOME_FAILED, "empty");
	expect(check_text("\n\n", "Rules = [ RowCount >= 0 ]"), OUTCOME_FAILED, "empty");
}

static void a_format_that_is_not_supported_is_named(void **state) {
	(void)state;
	static const struct {
		const char *name, *bytes;
		size_t size;
		const char *format;
	} cases[] = {
	        {"a.csv", "PAR1xxxx", 8, "Parquet"},
	        {"a.parquet", "a;b\n", 4, "Parquet"},
	        {"a.csv", "PK\x03\x04....xl/workbook.xml", 23, "xlsx"},
	        {"a.csv", "PK\x03\x04....whatever", 16, "zip"},
	        {"A.XLSX", "a;b\n", 4, "xlsx"},
	        {"a.csv.bz2", "BZh91AY&SY\x01", 11, "bzip2"},
	        {"a.json", "[{\"a\":1}]\n", 10, "JSON"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char words[64];
		snprintf(words, sizeof words, "the file is %s, a format", cases[i].format);
		expect(check_bytes(bytes_of(cases[i].bytes, cases[i].size), cases[i].name, "Rules = [ RowCount > 0 ]"),
		        OUTCOME_ERROR, words);
	}
}

static void json_lines_are_held_against_rules(void **state) {
	(void)state;
	static const char text[] = "{\"id\":1,\"name\":\"Ann\"}\n{\"id\":2,\"name\":null}\n{\"id\":3}\n";
	const char *rules = "Rules = [ RowCount = 3, ColumnCount = 2, IsUnique \"id\", Completeness \"name\" < 0.4 ]";
	struct check_result *result = check_bytes(bytes_of_string(text), "a.txt", rules);
	assert_string_equal(result->dialect, "JSON Lines, LF");
	expect(result, OUTCOME_PASSED, NULL);
	expect(check_bytes(bytes_of_string("{\"a\":1}\n{\"a\":}\n"), "a.jsonl", rules), OUTCOME_ERROR,
	        "line 2, byte 6: this is no value");
}

static void a_policy_that_says_csv_is_believed_over_the_name(void **state) {
	(void)state;
	struct pieces source = pieces_of(bytes_of_string(table), 7);
	struct check_job job = {.dataset = "d",
	        .file_name = "table.json",
	        .size = sizeof table - 1,
	        .format.type = POLICY_FILE_CSV,
	        .rules = bytes_of_string("Rules = [ RowCount = 3 ]")};
	struct check_input input = {.read = pieces_read, .context = &source};
	struct check_result *result = NULL;
	assert_int_equal(check_run(check_table, &job, &input, NULL, &result), 0);
	expect(result, OUTCOME_PASSED, NULL);
}

static struct check_result *check_with_delimiter(const char *text, char delimiter, const char *rules) {
	struct pieces source = pieces_of(bytes_of_string(text), 7);
	struct check_job job = {.dataset = "d",
	        .file_name = "a.csv",
	        .size = strlen(text),
	        .format.delimiter = delimiter,
	        .rules = bytes_of_string(rules)};
	struct check_input input = {.read = pieces_read, .context = &source};
	struct check_result *result = NULL;
	assert_int_equal(check_run(check_table, &job, &input, NULL, &result), 0);
	return result;
}

static void a_delimiter_that_does_not_fit_is_told_with_the_one_that_does(void **state) {
	(void)state;
	static const char text[] = "name,kind,age\na,cat,1\nb,dog,2\n";
	static const char advice[] = "with the delimiter ';' that was given, the first line is one field, with "
	                             "',' it is 3: perhaps format: {delimiter: \",\"} is meant";
	expect(check_with_delimiter(text, ';', "Rules = [ IsComplete \"kind\" ]"), OUTCOME_FAILED, advice);
	expect(check_with_delimiter(text, ';', "Rules = [ RowCount > 5 ]"), OUTCOME_FAILED, advice);
	expect(check_with_delimiter("a;1,5\nb;2,5\n", ',', "Rules = [ RowCount = 2 ]"), OUTCOME_PASSED, NULL);
	expect(check_with_delimiter("name\tkind\nx;y\tcat\n", ';', "Rules = [ RowCount = 1 ]"), OUTCOME_ERROR,
	        "found 2 (delimiter ';'");
	expect(check_with_delimiter("name\tkind\nx;y\tcat\n", ';', "Rules = [ RowCount = 1 ]"), OUTCOME_ERROR,
	        "perhaps format: {delimiter: \"\\t\"} is meant");
	/* A table of one column is one: it passes, with a note. */
	struct check_result *result = check_with_delimiter(text, ';', "Rules = [ RowCount = 2 ]");
	assert_int_equal(result->warning_count, 1);
	assert_string_equal(result->warnings[0], advice);
	expect(result, OUTCOME_PASSED, NULL);
	result = check_with_delimiter("words\none, two\nthree\n", ';', "Rules = [ RowCount = 2 ]");
	assert_int_equal(result->warning_count, 0);
	expect(result, OUTCOME_PASSED, NULL);
}

static ssize_t read_error(void *context, void *buffer, size_t size) {
	(void)context;
	(void)buffer;
	(void)size;
	return fault(EIO, "the disk is gone");
}

static void a_result_as_a_value_is_its_text(void **state) {
	(void)state;
	struct check_result *result = check_text("a\n1\n", "Rules = [ RowCount = 1 ]");
	json_t *value = check_result_json(result);
	char *text = NULL, *same = NULL;
	size_t size, same_size;
	assert_int_equal(check_result_to_json(result, &text, &size), 0);
	assert_int_equal(json_strict_write(value, &same, &same_size), 0);
	assert_string_equal(same, text);
	json_decref(value);
	free(text);
	free(same);
	check_result_free(result);
}

static void an_input_that_can_not_be_read_decides_nothing(void **state) {
	(void)state;
	struct check_job job = {
	        .dataset = "d", .file_name = "a.csv", .rules = bytes_of_string("Rules = [ RowCount = 3 ]")};
	struct check_input input = {.read = read_error};
	struct check_result *result = NULL;
	assert_int_equal(check_run(check_table, &job, &input, NULL, &result), -EIO);
	assert_null(result);
}

/* ---- the city's own file ---- */

static const char eight_rules[] =
        "Rules = [\n"
        "  RowCount > 10000,\n"
        "  ColumnCount = 6,\n"
        "  ColumnExists \"Breed\",\n"
        "  IsComplete \"Date\",\n"
        "  Completeness \"Name\" > 0.2,\n"
        "  ColumnValues \"Sex\" in [\"F\",\"F/S\",\"M\",\"M/N\",\"X\",\"\"],\n"
        "  ColumnValues \"State\" in [\"Lost\",\"Matched\",\"Found\",\"\"] with threshold > 0.9,\n"
        "  ColumnValues \"Date\" matches \"[0-9]{4}-[0-9]{2}-[0-9]{2}\"\n"
        "]\n";

static uint8_t *read_city_file(size_t *ret_size) {
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char path[512];
	snprintf(path, sizeof path, "%s/vancouver/animal-control-inventory-lost-and-found.csv", data ? data : ".");
	FILE *file = fopen(path, "rb");
	if (!file)
		return NULL;
	uint8_t *bytes = malloc(4 << 20);
	*ret_size = bytes ? fread(bytes, 1, 4 << 20, file) : 0;
	(void)fclose(file);
	return bytes;
}

static struct check_outcome check_in_worker(struct bytes file, const char *rules) {
	Spawner *spawner = NULL;
	assert_int_equal(spawner_start(NULL, &spawner), 0);
	struct pieces source = pieces_of(file, 1 << 20);
	struct check_job job = {
	        .dataset = "d", .file_name = "a.csv", .size = file.size, .rules = bytes_of_string(rules)};
	job.rules_file = "r.dqdl";
	struct check_request request = {.job = &job, .input = {.read = pieces_read, .context = &source}};
	struct check_outcome outcome = {0};
	assert_int_equal(spawner_check(spawner, &request, &outcome), 0);
	spawner_stop(spawner);
	return outcome;
}

static void in_a_worker_the_answer_is_the_same(void **state) {
	(void)state;
	size_t size = 0;
	uint8_t *bytes = read_city_file(&size);
	if (!bytes)
		skip(); /* without the city's file */
	struct check_result *here = check_bytes(bytes_of(bytes, size), "a.csv", eight_rules);
	print_message("%s: %s\n", outcome_word(here->outcome), here->reason ? here->reason : "");
	assert_int_equal(here->rows, 17628);
	assert_int_equal(here->rule_count, 8);
	struct check_outcome there = check_in_worker(bytes_of(bytes, size), eight_rules);
	char *one = NULL, *other = NULL;
	size_t one_size, other_size;
	assert_int_equal(check_result_to_json(here, &one, &one_size), 0);
	assert_int_equal(check_result_to_json(there.result, &other, &other_size), 0);
	assert_string_equal(one, other);
	free(one);
	free(other);
	check_result_free(here);
	check_result_free(there.result);
	free(bytes);
}

/* What unpacks asks the system for memory only, or the worker would not survive it. */
static void a_packed_table_is_checked_in_a_worker_and_hashed_as_it_is(void **state) {
	(void)state;
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fputs("id,word\n", out);
	for (int i = 0; i < 200000; i++)
		fprintf(out, "%d,w%d\n", i, i % 7);
	fclose(out);
	for (enum packing packing = PACKING_GZIP; packing <= PACKING_ZSTD; packing++) {
		_cleanup_(packed_free) struct packed packed = {0};
		uint8_t digest[32];
		add_packed(&packed, packing, text, size);
		struct check_outcome outcome = check_in_worker(
		        bytes_of(packed.data, packed.size), "Rules = [ RowCount = 200000, IsUnique \"id\" ]");
		sha256(bytes_of(packed.data, packed.size), digest);
		assert_memory_equal(outcome.sha256, digest, 32);
		assert_int_equal(outcome.size, packed.size);
		expect(outcome.result, OUTCOME_PASSED, NULL);
	}
}

static void a_regular_expression_without_end_ends(void **state) {
	(void)state;
	Spawner *spawner = NULL;
	struct spawner_options options = {.seconds = 20};
	assert_int_equal(spawner_start(&options, &spawner), 0);
	char text[200] = "a\n";
	memset(text + 2, 'a', 100);
	strcpy(text + 102, "!\n");
	struct pieces source = pieces_of(bytes_of_string(text), 1000);
	struct check_job job = {.dataset = "d", .file_name = "a.csv", .size = strlen(text)};
	job.rules = bytes_of_string("Rules = [ ColumnValues \"a\" matches \"(a+)+$\" ]");
	struct check_request request = {.job = &job, .input = {.read = pieces_read, .context = &source}};
	struct check_outcome outcome = {0};
	assert_int_equal(spawner_check(spawner, &request, &outcome), 0);
	print_message("%s\n", outcome.result->reason);
	expect(outcome.result, OUTCOME_ERROR, "");
	spawner_stop(spawner);
}

/* ---- analyzers, and rules that look back ---- */

static void same_after_json(const struct check_result *result, const char *part) {
	_cleanup_(freep) char *one = NULL;
	_cleanup_(freep) char *other = NULL;
	_cleanup_(check_result_freep) struct check_result *back = NULL;
	size_t size;
	assert_int_equal(check_result_to_json(result, &one, &size), 0);
	if (!strstr(one, part))
		fail_msg("%s is not in %s", part, one);
	if (check_result_from_json(bytes_of(one, size), &back) < 0)
		fail_msg("%s", fault_message());
	assert_int_equal(check_result_to_json(back, &other, &size), 0);
	assert_string_equal(one, other);
}

static void analyzers_tell_metrics_and_have_no_say(void **state) {
	(void)state;
	struct check_result *result = check_text(
	        table, "Rules = [ RowCount = 3 ] Analyzers = [ ColumnCount, Mean \"State\", DataFreshness \"id\" ]");
	assert_int_equal(result->rule_count, 1);
	assert_int_equal(result->analyzer_count, 3);
	assert_int_equal(result->analyzers[1].outcome, OUTCOME_FAILED);
	assert_int_equal(result->analyzers[2].outcome, OUTCOME_ERROR);
	same_after_json(result,
	        "\"analyzers\":[{\"analyzer\":\"ColumnCount\",\"metrics\":{\"Dataset.*.ColumnCount\":2.0},"
	        "\"outcome\":\"passed\",\"reason\":null}");
	expect(result, OUTCOME_PASSED, NULL);
	expect(check_text(table, "Analyzers = [ RowCount ]"), OUTCOME_ERROR, "has no rules, so nothing can pass");
}

static void results_without_analyzers_are_as_they_were(void **state) {
	(void)state;
	_cleanup_(check_result_freep) struct check_result *result = check_text(table, "Rules = [ RowCount = 3 ]");
	_cleanup_(freep) char *json = NULL;
	size_t size;
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	assert_null(strstr(json, "analyzers"));
}

static void hostile_analyzers_are_refused(void **state) {
	(void)state;
	static const char *const lists[] = {"{}", "[]", "[1]", "[{\"analyzer\":\"a\"}]",
	        "[{\"analyzer\":\"a\",\"metrics\":{\"m\":\"x\"},\"outcome\":\"passed\",\"reason\":null}]",
	        "[{\"analyzer\":\"a\",\"extra\":1,\"metrics\":{},\"outcome\":\"passed\",\"reason\":null}]",
	        "[{\"analyzer\":\"a\",\"metrics\":{},\"outcome\":\"fine\",\"reason\":null}]"};
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		_cleanup_(check_result_freep) struct check_result *result = NULL;
		_cleanup_(freep) char *json = NULL;
		assert_true(
		        asprintf(&json,
		                "{\"analyzers\":%s,\"bytes_read\":1,\"canonical\":null,\"columns\":null,\"dialect\":"
		                "null,"
		                "\"outcome\":\"error\",\"reason\":\"r\",\"rows\":null,\"rules\":[],\"warnings\":[]}",
		                lists[i]) > 0);
		assert_int_equal(check_result_from_json(bytes_of_string(json), &result), -EBADMSG);
	}
	_cleanup_(check_result_freep) struct check_result *most = NULL;
	assert_int_equal(check_result_new(&most), 0);
	for (int i = 0; i < CHECK_ANALYZERS_MAX; i++)
		assert_non_null(check_result_add_analyzer(most, "RowCount", OUTCOME_PASSED));
	assert_null(check_result_add_analyzer(most, "RowCount", OUTCOME_PASSED));
}

static const double rows_before[] = {8, 0.1, 4e300};
static const struct dqdl_series history[] = {
        {"Dataset.*.RowCount", rows_before, 1}, {"\x01\"é", rows_before, 3}, {"c", NULL, 0}};
static const struct check_job looking_back = {.dataset = "d",
        .file_name = "a.csv",
        .rules = {(const uint8_t *)"Rules = [ RowCount > last() * 0.5 ]", 35},
        .clock_ns = 60,
        .knows_history = true,
        .history = history,
        .history_count = 3};

static void a_job_carries_its_history(void **state) {
	(void)state;
	struct check_job back;
	_cleanup_(check_job_freep) CheckJobMemory *memory = NULL;
	_cleanup_(freep) char *json = NULL;
	size_t size;
	assert_int_equal(check_job_to_json(&looking_back, &json, &size), 0);
	assert_int_equal(check_job_from_json(bytes_of(json, size), &back, &memory), 0);
	assert_true(back.knows_history);
	assert_int_equal(back.history_count, 3);
	assert_string_equal(back.history[1].name, history[1].name);
	assert_int_equal(back.history[1].count, 3);
	assert_memory_equal(back.history[1].values, rows_before, sizeof rows_before);
	assert_int_equal(back.history[2].count, 0);
	struct pieces source = pieces_of(bytes_of_string(table), 1000);
	struct check_input input = {.read = pieces_read, .context = &source};
	struct check_result *result = NULL;
	assert_int_equal(check_run(check_table, &back, &input, NULL, &result), 0);
	expect(result, OUTCOME_FAILED, "1 of 1 rule did not pass");
}

/* Sorting a thousand values, and a result's many names, asks the machine for what a worker may not ask. */
static void a_worker_can_sort_a_long_history(void **state) {
	(void)state;
	static double values[DQDL_HISTORY_MAX];
	for (size_t i = 0; i < DQDL_HISTORY_MAX; i++)
		values[i] = (double)(i * 7919 % DQDL_HISTORY_MAX);
	const struct dqdl_series past = {.name = "Dataset.*.RowCount", .values = values, .count = DQDL_HISTORY_MAX};
	Spawner *spawner = NULL;
	assert_int_equal(spawner_start(NULL, &spawner), 0);
	struct pieces source = pieces_of(bytes_of_string(table), 1 << 20);
	struct check_job job = looking_back;
	job.rules = bytes_of_string("Rules = [ RowCount > median(last(1000)) ]");
	job.history = &past;
	job.history_count = 1;
	struct check_request request = {.job = &job, .input = {.read = pieces_read, .context = &source}};
	struct check_outcome there = {0};
	assert_int_equal(spawner_check(spawner, &request, &there), 0);
	spawner_stop(spawner);
	if (there.result->rule_count != 1)
		fail_msg("%s", there.result->reason);
	assert_string_equal(
	        there.result->rules[0].reason, "RowCount is 3; the rule wants > median(last(1000)), which is > 499.5");
	expect(there.result, OUTCOME_FAILED, NULL);
}

/* An expected hash would only say that nothing changed: which parts count is what matters. */
static void jobs_that_go_by_the_same_have_one_hash(void **state) {
	(void)state;
	uint8_t hash[32], timely[32], other[32];
	struct check_job job = looking_back;
	assert_int_equal(check_job_hash(&job, true, hash), 0);
	assert_int_equal(check_job_hash(&job, false, timely), 0);
	job.clock_ns = 120;
	assert_int_equal(check_job_hash(&job, true, other), 0);
	assert_memory_equal(hash, other, 32);
	assert_int_equal(check_job_hash(&job, false, other), 0);
	assert_memory_not_equal(timely, other, 32);
	job.history_count = 2;
	assert_int_equal(check_job_hash(&job, true, other), 0);
	assert_memory_not_equal(hash, other, 32);
	job.knows_history = false;
	job.history_count = 0;
	assert_int_equal(check_job_hash(&job, true, other), 0);
	assert_memory_not_equal(hash, other, 32);
	job = looking_back;
	job.nulls = POLICY_NULLS_NONE;
	assert_int_equal(check_job_hash(&job, true, other), 0);
	assert_memory_not_equal(hash, other, 32);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_file_that_keeps_the_rules_passes),
	        cmocka_unit_test(a_file_is_held_against_a_reference),
	        cmocka_unit_test(a_reference_that_is_no_table_leaves_the_file_undecided),
	        cmocka_unit_test(a_job_crosses_to_a_worker_with_its_references),
	        cmocka_unit_test(a_broken_rule_is_told_with_its_number_and_lines),
	        cmocka_unit_test(what_is_not_decided_is_an_error_and_no_failure),
	        cmocka_unit_test(sql_knows_what_a_column_holds_from_the_first_rows),
	        cmocka_unit_test(an_empty_file_fails_as_empty),
	        cmocka_unit_test(a_format_that_is_not_supported_is_named),
	        cmocka_unit_test(json_lines_are_held_against_rules),
	        cmocka_unit_test(a_policy_that_says_csv_is_believed_over_the_name),
	        cmocka_unit_test(a_delimiter_that_does_not_fit_is_told_with_the_one_that_does),
	        cmocka_unit_test(a_result_as_a_value_is_its_text),
	        cmocka_unit_test(an_input_that_can_not_be_read_decides_nothing),
	        cmocka_unit_test(in_a_worker_the_answer_is_the_same),
	        cmocka_unit_test(a_packed_table_is_checked_in_a_worker_and_hashed_as_it_is),
	        cmocka_unit_test(a_regular_expression_without_end_ends),
	        cmocka_unit_test(analyzers_tell_metrics_and_have_no_say),
	        cmocka_unit_test(results_without_analyzers_are_as_they_were),
	        cmocka_unit_test(hostile_analyzers_are_refused),
	        cmocka_unit_test(a_job_carries_its_history),
	        cmocka_unit_test(a_worker_can_sort_a_long_history),
	        cmocka_unit_test(jobs_that_go_by_the_same_have_one_hash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
