/* Rows that are fed one by one and many at once, and what answers for many cells at once. */
#include "policy/dqdl/evaluate.h"
#include "policy/dqdl/predicate.h"
#include "policy/dqdl/text_set.h"
#include "policy/table/csv.h"

#include "crypto/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/policy/evaluate_csv.h"

/* ---- rules ---- */

static const char *const rules[] = {"IsComplete \"name\"", "Completeness \"code\" > 0.5", "IsUnique \"id\"",
        "IsPrimaryKey \"id\"", "IsPrimaryKey \"id\" \"name\"", "Uniqueness \"name\" > 0.1",
        "DistinctValuesCount \"code\" = 3", "UniqueValueRatio \"id\" > 0.5", "Entropy \"code\" > 0.1",
        "DuplicateRowCount = 0", "ColumnValues \"code\" in [\"A\",\"BB\",EMPTY]",
        "ColumnValues \"code\" not in [\"A\",\"a text of more than sixteen bytes\"]", "ColumnValues \"code\" = NULL",
        "ColumnValues \"code\" != NULL", "ColumnValues \"code\" in [\"A\", NULL]",
        "ColumnValues \"code\" in [\"a\"] with threshold > 0.1", "ColumnValues \"name\" = WHITESPACES_ONLY",
        "ColumnValues \"day\" matches \"\\d{4}-\\d{2}-\\d{2}\"", "ColumnValues \"day\" not matches \"x.*\"",
        "ColumnValues \"name\" matches \"[A-Z][a-z]+.*\"", "ColumnValues \"day\" > \"2024-01-05\"",
        "ColumnValues \"n\" between 3 and 90", "ColumnValues \"n\" in [1,2,3] with threshold > 0.01",
        "ColumnValues \"n\" != 5", "ColumnLength \"name\" <= 30", "ColumnLength \"name\" between 1 and 7",
        "ColumnLength \"code\" = 1", "ColumnLength \"name\" != 4", "ColumnDataType \"n\" = \"integer\"",
        "Sum \"n\" > 5", "Mean \"id\" > 5", "StandardDeviation \"id\" > 5", "ColumnCorrelation \"id\" \"n\" > -1.1",
        "DataFreshness \"day\" <= 10 days", "ColumnValues \"name\" in [\"Zoë\"]", "RowCount > 2",
        "ColumnValues \"n\" > 5 where \"id > 10\"", "(IsComplete \"code\") or (ColumnValues \"id\" > 3)",
        "CustomSql \"select count(*) from primary\" > 4"};

enum { ROWS = 1500 };

/* With cells of all kinds, at all places of a lot: empty, blank, long, not ASCII, quoted now and then. */
static char *make_csv(size_t *ret_size) {
	static const char *const names[] = {
	        "Ann", "", "  ", "Zoë", "A name of more than sixteen bytes", "sixteen bytes!!!", "\xe2\x80\xa8", "Bo"};
	static const char *const codes[] = {"A", "BB", "", "a text of more than sixteen bytes", "A"};
	static const char *const days[] = {"2024-01-08", "2024-01-0", "", "x", "2024-01-08T10:00"};
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);
	assert_non_null(out);
	fputs("id,name,code,day,n\n", out);
	for (unsigned i = 0; i < ROWS; i++) {
		bool is_quoted = i % 397 == 250 || (i > 1000 && i % 5 == 0);
		fprintf(out, is_quoted ? "%u,\"%s, \"\"jr\"\"\",%s,%s,%s%u\n" : "%u,%s,%s,%s,%s%u\n", i % 1400,
		        names[i % 8], codes[i * 7 % 5], i > 50 ? days[0] : days[i % 5], i == 1499 ? "no" : "", i % 97);
	}
	assert_int_equal(fclose(out), 0);
	return text;
}

/* At most `most` at once. */
static void feed_parts(DqdlEvaluator *evaluator, const struct table_rows *rows, size_t most) {
	for (size_t from = 0; from < rows->count; from += most) {
		struct table_rows part = *rows;
		part.count = rows->count - from < most ? rows->count - from : most;
		part.cells = rows_at(rows, from);
		part.lines = rows->lines + from;
		for (size_t i = dqdl_evaluator_parts(evaluator); i-- > 0;)
			assert_int_equal(dqdl_evaluator_part(evaluator, i, &part), 0);
		dqdl_evaluator_count(evaluator, &part);
	}
}

/* most 0: one row after the other. What is said of all of it, as text. */
static char *outcomes_of(const char *csv, size_t size, struct dqdl_options options, size_t most) {
	char text[16384] = "Rules = [";
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s %s", i ? "," : "", rules[i]);
	strcat(text, "]");
	_cleanup_(ruleset_freep) Ruleset *ruleset = parse(text);
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = start(ruleset, options);
	struct pieces source = {.data = csv, .size = size, .step = 5000};
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	struct table_rows rows;
	assert_int_equal(csv_open(pieces_take, &source, NULL, &reader), 0);
	assert_int_equal(dqdl_evaluator_header(evaluator, csv_header_of(reader), csv_columns(reader)), 0);
	if (most)
		while (csv_rows(reader, &rows) == 1)
			feed_parts(evaluator, &rows, most);
	else
		while (csv_next(reader, &cells) == 1)
			assert_int_equal(dqdl_evaluator_row(evaluator, cells, csv_line(reader)), 0);
	assert_int_equal(dqdl_evaluator_finish(evaluator), 0);
	assert_int_equal(dqdl_evaluator_row_count(evaluator), options.keep ? ROWS / 2 : ROWS);
	char *said = NULL;
	size_t said_size;
	FILE *out = open_memstream(&said, &said_size);
	assert_non_null(out);
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++) {
		const struct dqdl_outcome *outcome = dqdl_evaluator_outcome(evaluator, i);
		fprintf(out, "%s: %s %s, %llu rows:", rules[i], results[outcome->result],
		        outcome->reason ? outcome->reason : "", (unsigned long long)outcome->failing_rows);
		for (size_t k = 0; k < outcome->line_count; k++)
			fprintf(out, " %llu", (unsigned long long)outcome->lines[k]);
		for (size_t k = 0; k < outcome->metric_count; k++)
			fprintf(out, "; %s %.17g", outcome->metrics[k].name, outcome->metrics[k].value);
		fputc('\n', out);
	}
	assert_int_equal(fclose(out), 0);
	return said;
}

static void many_rows_say_the_same_as_one_after_the_other(void **state) {
	(void)state;
	static const char *const words[] = {"", "A"};
	const struct dqdl_options listed = {.nulls = {.mode = DQDL_NULLS_LIST, .list = words, .count = 2}};
	const struct dqdl_options keep = {.keep = "id % 2 = 0"};
	const struct dqdl_options options[] = {glue, empty, none, listed, keep};
	size_t size;
	_cleanup_(freep) char *csv = make_csv(&size);
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		_cleanup_(freep) char *single = outcomes_of(csv, size, options[i], 0);
		for (size_t most = 1; most <= 1000; most = most * 3 + 4) {
			_cleanup_(freep) char *many = outcomes_of(csv, size, options[i], most);
			assert_string_equal(many, single);
		}
	}
}

/* ---- keys and sets of texts ---- */

static void a_key_is_the_same_read_near_or_with_care(void **state) {
	(void)state;
	char bytes[64];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 37 + 201);
	for (size_t size = 0; size <= 40; size++) {
		struct table_cell cell = {.data = bytes, .size = size};
		struct text_key near = text_key_near(cell), careful = text_key_of(cell);
		assert_int_equal(near.head, careful.head);
		assert_int_equal(near.tail, careful.tail);
	}
}

static void a_set_has_what_was_put_into_it_and_nothing_else(void **state) {
	(void)state;
	enum { MOST = 300 };
	static char texts[MOST * 2][40];
	struct table_cell cells[MOST * 2];
	for (size_t i = 0; i < (size_t)MOST * 2; i++) {
		snprintf(texts[i], sizeof texts[i], i % 3 ? "%zu" : "%zu, that is longer than a key", i);
		cells[i] = (struct table_cell){.data = texts[i], .size = strlen(texts[i])};
	}
	for (size_t count = 0; count <= MOST; count = count * 2 + 1) {
		struct text_set set;
		assert_int_equal(text_set_init(&set, cells, count), 0);
		for (size_t i = 0; i < (size_t)MOST * 2; i++)
			assert_int_equal(text_set_has(&set, cells[i], text_key_of(cells[i])), i < count);
		assert_false(text_set_has(&set, (struct table_cell){.data = ""}, (struct text_key){0}));
		text_set_release(&set);
	}
}

/* Of the same size, beginning and end. */
static void long_texts_are_told_apart_by_their_middle(void **state) {
	(void)state;
	const struct table_cell texts[] = {{"beginning one the end", 21}, {"beginning two the end", 21}};
	const struct table_cell other = {"beginning tow the end", 21};
	struct text_set set;
	assert_int_equal(text_set_init(&set, texts, 2), 0);
	for (size_t i = 0; i < 2; i++)
		assert_true(text_set_has(&set, texts[i], text_key_of(texts[i])));
	assert_false(text_set_has(&set, other, text_key_of(other)));
	text_set_release(&set);
}

static void an_empty_text_and_one_named_twice_are_members(void **state) {
	(void)state;
	const struct table_cell texts[] = {{"", 0}, {"a", 1}, {"a", 1}};
	struct text_set set;
	assert_int_equal(text_set_init(&set, texts, 3), 0);
	assert_true(text_set_has(&set, texts[0], text_key_of(texts[0])));
	assert_true(text_set_has(&set, texts[1], text_key_of(texts[1])));
	text_set_release(&set);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(many_rows_say_the_same_as_one_after_the_other),
	        cmocka_unit_test(a_key_is_the_same_read_near_or_with_care),
	        cmocka_unit_test(a_set_has_what_was_put_into_it_and_nothing_else),
	        cmocka_unit_test(long_texts_are_told_apart_by_their_middle),
	        cmocka_unit_test(an_empty_text_and_one_named_twice_are_members),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
