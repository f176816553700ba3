#include "policy/dqdl/suggest.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/evaluate.h"
#include "policy/table/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1710000000 /* 2024-03-09 16:00 UTC */

struct source {
	const char *text;
	size_t size;
};

static int source_read(void *ctx, void *buf, size_t size) {
	struct source *source = ctx;
	size_t take = source->size < size ? source->size : size;
	memcpy(buf, source->text, take);
	source->text += take;
	source->size -= take;
	return (int)take;
}

static char *suggest(const char *csv, size_t size, const struct dqdl_nulls *nulls) {
	struct source source = {.text = csv, .size = size};
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	_cleanup_(dqdl_profile_freep) DqdlProfile *profile = NULL;
	const struct table_cell *cells;
	char *text = NULL;
	assert_int_equal(csv_open(source_read, &source, &(struct csv_options){.header = CSV_HEADER_YES}, &reader), 0);
	assert_int_equal(dqdl_profile_new(csv_header_of(reader), csv_columns(reader), nulls, &profile), 0);
	while (csv_next(reader, &cells) == 1)
		assert_int_equal(dqdl_profile_row(profile, cells), 0);
	assert_int_equal(dqdl_profile_suggest(profile, NOW, &text), 0);
	return text;
}

static void assert_passes(const char *csv, size_t size, const struct dqdl_nulls *nulls, const char *rules) {
	struct source source = {.text = csv, .size = size};
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = NULL;
	const struct table_cell *cells;
	if (dqdl_parse(bytes_of_string(rules), &ruleset, NULL) < 0)
		fail_msg("%s\n%s", fault_message(), rules);
	assert_int_equal(ruleset_warnings(ruleset), 0);
	assert_int_equal(csv_open(source_read, &source, &(struct csv_options){.header = CSV_HEADER_YES}, &reader), 0);
	assert_int_equal(
	        dqdl_evaluator_new(ruleset, &(struct dqdl_options){.nulls = *nulls, .now = NOW}, &evaluator), 0);
	assert_int_equal(dqdl_evaluator_header(evaluator, csv_header_of(reader), csv_columns(reader)), 0);
	while (csv_next(reader, &cells) == 1)
		assert_int_equal(dqdl_evaluator_row(evaluator, cells, csv_line(reader)), 0);
	assert_int_equal(dqdl_evaluator_finish(evaluator), 0);
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++) {
		const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, i);
		if (outcome->result != DQDL_PASSED)
			fail_msg("%s: %s", outcome->rule->text, outcome->reason);
	}
}

static const struct dqdl_nulls policies[] = {
        {.mode = DQDL_NULLS_GLUE}, {.mode = DQDL_NULLS_EMPTY}, {.mode = DQDL_NULLS_NONE}};

static void assert_suggests(const char *csv, const char *rule) {
	for (size_t i = 0; i < 3; i++) {
		_cleanup_(freep) char *rules = suggest(csv, strlen(csv), &policies[i]);
		assert_passes(csv, strlen(csv), &policies[i], rules);
		if (i == 0 && !strstr(rules, rule))
			fail_msg("no %s in\n%s", rule, rules);
	}
}

/* A header and `rows` rows of what `format` makes of the row's number, twice. */
static char *table(const char *header, int rows, const char *(*row)(int)) {
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fprintf(out, "%s\n", header);
	for (int i = 0; i < rows; i++)
		fprintf(out, "%s\n", row(i));
	fclose(out);
	return text;
}

static const char *mixed_row(int i) {
	static char line[200];
	(void)snprintf(line, sizeof line, "%d,%s,%s,2024-01-%02d,%d,%s", i, i % 2 ? "\"a \"\"b\"\"\\\"" : "c",
	        i % 50 ? "x" : "", i % 28 + 1, i * 7 % 90, i % 3 ? "word" : "");
	return line;
}

static void each_kind_of_column_gets_its_rule(void **state) {
	(void)state;
	_cleanup_(freep) char *csv = table("id,quoted,rarely,day,number,often", 200, mixed_row);
	assert_suggests(csv, "RowCount > 100");
	assert_suggests(csv, "ColumnCount = 6");
	assert_suggests(csv, "IsPrimaryKey \"id\"");
	assert_suggests(csv, "ColumnValues \"quoted\" in [\"c\", \"a \\\"b\\\"\\\\\"]");
	assert_suggests(csv, "ColumnValues \"rarely\" in [\"x\"] with threshold >= 0.98");
	assert_suggests(csv, "ColumnDataType \"day\" = \"Date\" with format = \"yyyy-MM-dd\"");
	assert_suggests(csv, "ColumnDataType \"number\" = \"Integer\"");
	assert_suggests(csv, "ColumnValues \"number\" >= 0");
	assert_suggests(csv, "ColumnValues \"often\" in [\"word\", EMPTY]");
}

static void small_and_odd_tables_pass_their_rules(void **state) {
	(void)state;
	assert_suggests("a,b\n", "ColumnCount = 2");
	assert_suggests("a,b\n1,\n", "RowCount > 0");
	assert_suggests("a,b\n1,\n", "ColumnExists \"b\"");
	assert_suggests("a,a\n1,2\n", "ColumnCount = 2");
	assert_suggests("2024-01-01,\"say \"\"hi\"\"\",c\\\n1,2,3\n-1,,\n", "\"say \\\"hi\\\"\"");
	assert_suggests(
	        "t,u\n12:30,x\n12:30,x\n12:30,x\n12:30,x\n12:30,x\n12:30,x\n12:30,x\n12:30,x\n12:30,x\n12:30,x\n",
	        "ColumnLength \"t\" = 5");
	assert_suggests("n,u\n-1,x\n,y\n5,z\n", "ColumnDataType \"n\" = \"Integer\" with threshold >= 0.66");
	assert_suggests("n,u\n01,x\n,y\n005,z\n", "Completeness \"n\" >= 0.66");
}

static void a_rule_that_no_empty_cell_could_break_is_not_suggested(void **state) {
	(void)state;
	static const char csv[] = "id,name\n05,a\n1,b\n3,c\n";
	static const char *const wanted[] = {
	        "ColumnValues \"name\" != EMPTY", "IsComplete \"name\"", "ColumnValues \"name\" != EMPTY"};
	for (size_t i = 0; i < 3; i++) {
		_cleanup_(freep) char *rules = suggest(csv, sizeof csv - 1, &policies[i]);
		assert_passes(csv, sizeof csv - 1, &policies[i], rules);
		assert_non_null(strstr(rules, wanted[i]));
	}
	_cleanup_(freep) char *rules = suggest(csv, sizeof csv - 1, &policies[0]);
	assert_non_null(strstr(rules, "IsComplete \"id\"")); /* among numbers, if only codes, an empty cell is NULL */
}

static const char *typed_row(int i) {
	static char line[300];
	(void)snprintf(line, sizeof line, "%d,%d000000000,%d.5,-%d,%s,2024-03-0%d 1%d:00:00,%05d,%d.25,x%d", i % 37,
	        i % 31 + 1, i % 33, i % 35,
	        i % 3   ? "true"
	        : i % 2 ? "False"
	                : "",
	        i % 8 + 1, i % 10, i % 41, i, i);
	return line;
}

static void types_and_ranges_are_found(void **state) {
	(void)state;
	_cleanup_(freep) char *csv = table("int,long,double,minus,flag,time,code,amount,note", 80, typed_row);
	assert_suggests(csv, "ColumnDataType \"int\" = \"Integer\"");
	assert_suggests(csv, "ColumnDataType \"long\" = \"Long\"");
	assert_suggests(csv, "ColumnDataType \"double\" = \"Double\"");
	assert_suggests(csv, "ColumnDataType \"minus\" = \"Integer\"");
	assert_suggests(csv, "ColumnDataType \"time\" = \"Timestamp\"");
	assert_suggests(csv, "ColumnDataType \"amount\" = \"Double\"");
	assert_suggests(csv, "IsPrimaryKey \"note\"");
	_cleanup_(freep) char *rules = suggest(csv, strlen(csv), &policies[0]);
	assert_non_null(strstr(rules, "ColumnValues \"int\" >= 0"));
	assert_null(strstr(rules, "ColumnValues \"minus\" >= 0"));
	assert_null(strstr(rules, "ColumnDataType \"code\""));
	assert_null(strstr(rules, "IsUnique")); /* of amounts */
	assert_null(strstr(rules, "Mean"));
	assert_null(strstr(rules, "Range"));
}

static void few_booleans_are_told_by_their_type(void **state) {
	(void)state;
	assert_suggests("b,u\ntrue,x\nFALSE,y\n,z\n", "ColumnDataType \"b\" = \"Boolean\" with threshold >= 0.66");
	_cleanup_(freep) char *rules = suggest("b,u\nt,x\nyes,y\n", 14, &policies[0]);
	assert_null(strstr(rules, "Boolean")); /* words, though Spark casts them */
}

static int first_day; /* of March 2024, on whose ninth day it is now */

static const char *dated_row(int i) {
	static char line[100];
	(void)snprintf(line, sizeof line, "%d,2024-03-%02d,%c", i % 5, first_day + i % 3, 'a' + i);
	return line;
}

static char *dated_rules(int day) {
	first_day = day;
	_cleanup_(freep) char *csv = table("n,day,u", 20, dated_row);
	char *rules = suggest(csv, strlen(csv), &policies[0]);
	assert_passes(csv, strlen(csv), &policies[0], rules);
	return rules;
}

static void what_is_of_these_days_should_stay_so(void **state) {
	(void)state;
	static const struct {
		int day;
		const char *rule;
	} cases[] = {{7, "DataFreshness \"day\" <= 7 days"}, {2, "DataFreshness \"day\" <= 31 days"}, {11, NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		_cleanup_(freep) char *rules = dated_rules(cases[i].day);
		const char *found = strstr(rules, "DataFreshness");
		assert_int_equal(found != NULL, cases[i].rule != NULL);
		if (found && strncmp(found, cases[i].rule, strlen(cases[i].rule)) != 0)
			fail_msg("%s is not in %s", cases[i].rule, rules);
	}
	/* Dates of long ago are no news, however few they are. */
	_cleanup_(freep) char *csv = table("id,quoted,rarely,day,number,often", 200, mixed_row);
	_cleanup_(freep) char *rules = suggest(csv, strlen(csv), &policies[0]);
	assert_null(strstr(rules, "DataFreshness"));
}

static const char *wide_row(int i) {
	static char line[400];
	size_t at = 0;
	for (int c = 0; c < 30; c++)
		at += (size_t)snprintf(line + at, sizeof line - at, "%s%d", c ? "," : "", c == 29 ? i : i * c % 7);
	return line;
}

static void a_wide_table_gets_its_strongest_rules_only(void **state) {
	(void)state;
	char header[400] = "";
	for (int c = 0; c < 30; c++)
		(void)snprintf(header + strlen(header), sizeof header - strlen(header), "%sc%d", c ? "," : "", c);
	_cleanup_(freep) char *csv = table(header, 100, wide_row);
	assert_suggests(csv, "IsPrimaryKey \"c29\"");
	_cleanup_(freep) char *rules = suggest(csv, strlen(csv), &policies[0]);
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	assert_int_equal(dqdl_parse(bytes_of_string(rules), &ruleset, NULL), 0);
	assert_int_equal(ruleset_rules(ruleset), 12);
}

static const char *worded_row(int i) {
	static char line[200];
	(void)snprintf(line, sizeof line, "%d,%s,%s,%s,%c", i % 7, i % 2 ? "call back" : "seen",
	        i % 3 ? "he came to us on foot" : "nothing", i % 2 ? "cat" : "dog", i < 190 ? 'a' : 'a' + i - 189);
	return line;
}

static void what_people_write_as_they_like_is_no_vocabulary(void **state) {
	(void)state;
	_cleanup_(freep) char *csv = table("n,Notes,said,kind,rare", 200, worded_row);
	assert_suggests(csv, "ColumnValues \"kind\" in [\"dog\", \"cat\"]");
	assert_suggests(csv, "ColumnValues \"Notes\" != EMPTY"); /* as the column is called */
	assert_suggests(csv, "ColumnValues \"said\" != EMPTY");  /* sentences */
	assert_suggests(csv, "ColumnLength \"rare\" = 1");       /* most values come once */
}

static void the_lost_and_found_file_passes_its_eight_rules(void **state) {
	(void)state;
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char path[512];
	(void)snprintf(path, sizeof path, "%s/vancouver/animal-control-inventory-lost-and-found.csv", data ? data : "");
	FILE *file = data ? fopen(path, "r") : NULL;
	if (!file) {
		print_message("skipped: no vancouver data under ASSAYFS_TEST_DATA\n");
		skip();
	}
	_cleanup_(freep) char *csv = malloc(4 << 20);
	size_t size = fread(csv, 1, 4 << 20, file);
	fclose(file);
	for (size_t i = 0; i < 3; i++) {
		_cleanup_(freep) char *rules = suggest(csv, size, &policies[i]);
		assert_passes(csv, size, &policies[i], rules);
		_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
		assert_int_equal(dqdl_parse(bytes_of_string(rules), &ruleset, NULL), 0);
		assert_int_equal(ruleset_rules(ruleset), 8);
		assert_non_null(strstr(rules, "RowCount > 10000"));
		if (i == 0)
			print_message("%s", rules);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_kind_of_column_gets_its_rule),
	        cmocka_unit_test(small_and_odd_tables_pass_their_rules),
	        cmocka_unit_test(a_rule_that_no_empty_cell_could_break_is_not_suggested),
	        cmocka_unit_test(types_and_ranges_are_found),
	        cmocka_unit_test(few_booleans_are_told_by_their_type),
	        cmocka_unit_test(what_is_of_these_days_should_stay_so),
	        cmocka_unit_test(a_wide_table_gets_its_strongest_rules_only),
	        cmocka_unit_test(what_people_write_as_they_like_is_no_vocabulary),
	        cmocka_unit_test(the_lost_and_found_file_passes_its_eight_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
