/* A ruleset, a NUL byte, a CSV file: evaluated, judged again, and rules suggested, which must be a ruleset. */
#include "policy/dqdl/evaluate.h"
#include "policy/dqdl/suggest.h"
#include "policy/table/csv.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int source_read(void *ctx, void *buf, size_t size) {
	struct bytes *source = ctx;
	size_t take = source->size < size ? source->size : size;
	if (take)
		memcpy(buf, source->data, take);
	source->data += take;
	source->size -= take;
	return (int)take;
}

static void feed(DqdlEvaluator *evaluator, DqdlProfile *profile, CsvReader *reader) {
	struct table_rows rows;
	while (csv_rows(reader, &rows) == 1) {
		if (dqdl_evaluator_rows(evaluator, &rows) < 0)
			abort();
		for (size_t i = 0; i < rows.count; i++)
			if (dqdl_profile_row(profile, rows_at(&rows, i)) < 0)
				abort();
	}
}

/* What is suggested is DQDL, and what it was made from passes it. */
static void check_suggestion(const DqdlProfile *profile, const struct dqdl_nulls *nulls, struct bytes csv) {
	struct dqdl_options options = {.nulls = *nulls, .now = 1710000000};
	_cleanup_(freep) char *text = NULL;
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = NULL;
	const struct table_cell *cells;
	if (dqdl_profile_suggest(profile, options.now, &text) < 0 ||
	        dqdl_parse(bytes_of_string(text), &ruleset, NULL) < 0 ||
	        csv_open(source_read, &csv, NULL, &reader) < 0 ||
	        dqdl_evaluator_new(ruleset, &options, &evaluator) < 0 ||
	        dqdl_evaluator_header(evaluator, csv_header_of(reader), csv_columns(reader)) < 0)
		abort();
	while (csv_next(reader, &cells) == 1)
		if (dqdl_evaluator_row(evaluator, cells, csv_line(reader)) < 0)
			abort();
	if (dqdl_evaluator_finish(evaluator) < 0)
		abort();
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++)
		if (dqdl_evaluator_outcome(evaluator, i)->result != DQDL_PASSED)
			abort();
}

/* The table itself as the one that rules name "ref". */
static void feed_reference(DqdlEvaluator *evaluator, struct bytes csv) {
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	const struct table_cell *cells;
	if (!dqdl_evaluator_wants(evaluator, "ref"))
		return;
	if (csv_open(source_read, &csv, NULL, &reader) < 0 ||
	        dqdl_evaluator_reference(evaluator, "ref", csv_header_of(reader), csv_columns(reader)) < 0)
		abort();
	while (csv_next(reader, &cells) == 1)
		if (dqdl_evaluator_reference_row(evaluator, cells, csv_line(reader)) < 0)
			abort();
	if (dqdl_evaluator_reference_end(evaluator) < 0)
		abort();
}

static void evaluate(const Ruleset *ruleset, struct bytes csv, unsigned int mode) {
	static const double rows[] = {3, 1, 2, 1e300, 5, 0};
	static const struct dqdl_series past = {.name = "Dataset.*.RowCount", .values = rows, .count = 6};
	struct dqdl_options options = {.nulls = {.mode = mode % 3},
	        .memory_bytes = 60000,
	        .knows_history = mode & 8,
	        .series = &past,
	        .series_count = 1};
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	_cleanup_(dqdl_evaluator_freep) DqdlEvaluator *evaluator = NULL;
	_cleanup_(dqdl_profile_freep) DqdlProfile *profile = NULL;
	const struct table_cell *cells;
	struct bytes again = csv;
	if (csv_open(source_read, &csv, NULL, &reader) < 0)
		return;
	if (dqdl_evaluator_new(ruleset, &options, &evaluator) < 0 ||
	        dqdl_evaluator_header(evaluator, csv_header_of(reader), csv_columns(reader)) < 0 ||
	        dqdl_profile_new(csv_header_of(reader), csv_columns(reader), &options.nulls, &profile) < 0)
		abort();
	feed_reference(evaluator, again);
	feed(evaluator, profile, reader);
	if (dqdl_evaluator_finish(evaluator) < 0)
		abort();
	check_suggestion(profile, &options.nulls, again);
	csv_close(reader);
	reader = NULL;
	if (csv_open(source_read, &again, NULL, &reader) < 0)
		abort();
	while (csv_next(reader, &cells) == 1)
		if (dqdl_evaluator_judge(evaluator, cells) < 0)
			abort();
	for (size_t i = 0; i < dqdl_evaluator_outcomes(evaluator); i++)
		if (dqdl_evaluator_outcome(evaluator, i)->result != DQDL_PASSED &&
		        !dqdl_evaluator_outcome(evaluator, i)->reason)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	if (!end || end + 1 == data + size)
		return 0;
	if (dqdl_parse(bytes_of(data, (size_t)(end - data)), &ruleset, NULL) < 0)
		return 0;
	evaluate(ruleset, bytes_of(end + 2, (size_t)(data + size - end) - 2), end[1]);
	return 0;
}
