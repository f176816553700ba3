/* evaluate_csv: rules held against a CSV text, for the tests of the evaluator. A call that fails ends the test. */
#pragma once

#include "policy/dqdl/evaluate.h"

#include "crypto/base/fault.h"
#include "policy/table/csv.h"
#include "tests/policy/pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* 2026-11-23 10:30:45 UTC */
#define NOW 1795429845

static inline Ruleset *parse(const char *rules) {
	Ruleset *ruleset = NULL;
	if (dqdl_parse(bytes_of_string(rules), &ruleset, NULL) < 0)
		fail_msg("%s in %s", fault_message(), rules);
	return ruleset;
}

static inline DqdlEvaluator *start(const Ruleset *ruleset, struct dqdl_options options) {
	DqdlEvaluator *evaluator = NULL;
	options.now = NOW;
	assert_int_equal(dqdl_evaluator_new(ruleset, &options, &evaluator), 0);
	return evaluator;
}

static inline void feed_csv(DqdlEvaluator *evaluator, const char *csv, size_t size) {
	struct pieces source = {.data = csv, .size = size};
	_cleanup_(csv_closep) CsvReader *reader = NULL;
	struct table_rows rows;
	assert_int_equal(csv_open(pieces_take, &source, &(struct csv_options){.header = CSV_HEADER_YES}, &reader), 0);
	assert_int_equal(dqdl_evaluator_header(evaluator, csv_header_of(reader), csv_columns(reader)), 0);
	int rc;
	while ((rc = csv_rows(reader, &rows)) == 1)
		assert_int_equal(dqdl_evaluator_rows(evaluator, &rows), 0);
	assert_int_equal(rc, 0);
	assert_int_equal(dqdl_evaluator_finish(evaluator), 0);
}

static const char *const results[] = {"PASSED", "FAILED", "ERROR"};

/* What an empty cell means. */
static const struct dqdl_options glue;
static const struct dqdl_options empty = {.nulls = {.mode = DQDL_NULLS_EMPTY}};
static const struct dqdl_options none = {.nulls = {.mode = DQDL_NULLS_NONE}};
